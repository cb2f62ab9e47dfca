internal import DRMLock

/// Numbers for a file's objects: each new one gets the lowest free number, from 1, as the kernel's IDR gives them.
/// Looking one up takes constant time; giving and taking back take the logarithm of how many are free in between.
///
/// Any actor may call it; what is taken out goes without its lock.
final class HandleTable<Object>: @unchecked Sendable {
    private let spin = SpinLock()
    @exclusivity(unchecked) private var numbers = Numbers<Object>()

    subscript(handle: UInt32) -> Object? { spin.withLock { numbers[handle] } }

    func insert(_ object: Object) -> UInt32 { spin.withLock { numbers.insert(object) } }

    func remove(_ handle: UInt32) -> Object? { spin.withLock { numbers.remove(handle) } }

    func first(where isIt: (Object) -> Bool) -> Object? { spin.withLock { numbers.first(where: isIt) } }

    /// All, by their numbers, ascending.
    var all: [(handle: UInt32, object: Object)] { spin.withLock { numbers.all } }

    func removeAll() {
        let old = spin.withLock { exchange(&numbers, with: Numbers()) }
        _ = consume old
    }

    private func exchange(_ value: inout Numbers<Object>, with new: Numbers<Object>) -> Numbers<Object> {
        defer { value = new }
        return value
    }
}

private struct Numbers<Object> {
    private var slots: [Object?] = []
    /// Slots that are free again: a binary heap, the lowest first.
    private var free: [UInt32] = []

    subscript(handle: UInt32) -> Object? {
        let i = Int(handle) - 1
        return slots.indices.contains(i) ? slots[i] : nil
    }

    mutating func insert(_ object: Object) -> UInt32 {
        guard let slot = takeLowestFree() else {
            slots.append(object)
            return UInt32(slots.count)
        }
        slots[Int(slot)] = object
        return slot + 1
    }

    mutating func remove(_ handle: UInt32) -> Object? {
        let i = Int(handle) - 1
        guard slots.indices.contains(i), let object = slots[i] else { return nil }
        slots[i] = nil
        giveBack(UInt32(i))
        return object
    }

    var all: [(handle: UInt32, object: Object)] {
        slots.indices.compactMap { i in slots[i].map { (UInt32(i) + 1, $0) } }
    }

    func first(where isIt: (Object) -> Bool) -> Object? {
        slots.lazy.compactMap { $0 }.first(where: isIt)
    }

    private mutating func giveBack(_ slot: UInt32) {
        free.append(slot)
        var i = free.count - 1
        while i > 0, free[i] < free[(i - 1) / 2] {
            free.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }

    private mutating func takeLowestFree() -> UInt32? {
        guard let lowest = free.first else { return nil }
        let last = free.removeLast()
        guard !free.isEmpty else { return lowest }
        free[0] = last
        var i = 0
        while true {
            var least = i
            for child in [2 * i + 1, 2 * i + 2] where child < free.count && free[child] < free[least] { least = child }
            guard least != i else { return lowest }
            free.swapAt(i, least)
            i = least
        }
    }
}
