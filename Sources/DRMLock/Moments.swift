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
/// entries know their places.
struct Moments {
    private var heap: ContiguousArray<Moment> = []
    private var added: UInt64 = 0

    /// The earliest.
    var first: Moment? { heap.first }

    /// Adds one, or moves it.
    mutating func add(_ moment: Moment, at time: UInt64) {
        added += 1
        moment.time = time
        moment.number = added
        if !moment.isWaiting {
            moment.index = heap.count
            heap.append(moment)
        }
        settle(moment.index)
    }

    mutating func remove(_ moment: Moment) {
        let i = moment.index
        guard i >= 0 else { return }
        swap(i, heap.count - 1)
        heap.removeLast()
        moment.index = -1
        if i < heap.count { settle(i) }
    }

    /// - Returns: those that there were, to be let go where it hurts nobody.
    mutating func removeAll() -> ContiguousArray<Moment> {
        for moment in heap { moment.index = -1 }
        defer { heap = [] }
        return heap
    }

    private mutating func swap(_ i: Int, _ j: Int) {
        heap.swapAt(i, j)
        heap[i].index = i
        heap[j].index = j
    }

    /// Moves an entry up or down to where it belongs.
    private mutating func settle(_ start: Int) {
        var i = start
        while i > 0, heap[i].isBefore(heap[(i - 1) / 2]) {
            swap(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
        while true {
            var least = i
            if 2 * i + 1 < heap.count, heap[2 * i + 1].isBefore(heap[least]) { least = 2 * i + 1 }
            if 2 * i + 2 < heap.count, heap[2 * i + 2].isBefore(heap[least]) { least = 2 * i + 2 }
            guard least != i else { return }
            swap(i, least)
            i = least
        }
    }
}
