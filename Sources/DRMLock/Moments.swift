/// Something that is to happen at a moment of the clock: a timer, or the end of somebody's park.
public class Moment: @unchecked Sendable {
    // Belong to the line of moments it stands in.
    fileprivate(set) final var time: UInt64 = 0
    fileprivate final var number: UInt64 = 0
    fileprivate final var index = -1

    final var isWaiting: Bool { index >= 0 }

    /// It has come. The gate's locks are free.
    func come() {}

    fileprivate final func isBefore(_ other: Moment) -> Bool {
        (time, number) < (other.time, other.number)
    }
}

/// What is to happen when, the earliest first; at one moment, in the order they were added. A binary heap whose
/// entries, which it keeps, know their places.
struct Moments: ~Copyable {
    private var heap: ContiguousArray<Unmanaged<Moment>> = []
    private var added: UInt64 = 0

    deinit {
        for moment in heap { moment.release() }
    }

    /// The earliest.
    var first: Moment? { heap.first?.takeUnretainedValue() }

    /// Adds one, or moves it.
    mutating func add(_ moment: Moment, at time: UInt64) {
        added += 1
        moment.time = time
        moment.number = added
        if !moment.isWaiting {
            moment.index = heap.count
            heap.append(.passRetained(moment))
        }
        settle(moment.index)
    }

    mutating func remove(_ moment: Moment) {
        let i = moment.index
        guard i >= 0 else { return }
        moment.index = -1
        let last = heap.removeLast()
        if i < heap.count {
            put(last, at: i)
            settle(i)
        }
        Unmanaged.passUnretained(moment).release()
    }

    /// - Returns: those that there were, to be let go where it hurts nobody.
    mutating func removeAll() -> [Moment] {
        defer { heap = [] }
        return heap.map { moment in
            moment._withUnsafeGuaranteedRef { $0.index = -1 }
            return moment.takeRetainedValue()
        }
    }

    private mutating func put(_ moment: Unmanaged<Moment>, at i: Int) {
        heap[i] = moment
        moment._withUnsafeGuaranteedRef { $0.index = i }
    }

    private mutating func swap(_ i: Int, _ j: Int) {
        let other = heap[i]
        put(heap[j], at: i)
        put(other, at: j)
    }

    private func isBefore(_ i: Int, _ j: Int) -> Bool {
        let other = heap[j]
        return heap[i]._withUnsafeGuaranteedRef { moment in other._withUnsafeGuaranteedRef { moment.isBefore($0) } }
    }

    /// Moves an entry up or down to where it belongs.
    private mutating func settle(_ start: Int) {
        var i = start
        while i > 0, isBefore(i, (i - 1) / 2) {
            swap(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
        while true {
            var least = i
            if 2 * i + 1 < heap.count, isBefore(2 * i + 1, least) { least = 2 * i + 1 }
            if 2 * i + 2 < heap.count, isBefore(2 * i + 2, least) { least = 2 * i + 2 }
            guard least != i else { return }
            swap(i, least)
            i = least
        }
    }
}
