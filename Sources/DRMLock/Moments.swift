/// What is to happen when: the stepped gate's timers and deadlines, the earliest first; at one moment, in the order
/// they were added. Entries are never taken out before their time: the owner's number tells a void one.
struct Moments {
    enum What {
        case actor(GateActor, park: Int)
        case timer(Timer, arming: Int)

        var isVoid: Bool {
            switch self {
            case .actor(let actor, let park):
                if case .parked = actor.state { actor.parkNumber != park } else { true }
            case .timer(let timer, let arming):
                timer.deadline == nil || timer.armNumber != arming
            }
        }
    }

    private struct Entry {
        let time, number: UInt64
        let what: What

        func isBefore(_ other: Entry) -> Bool {
            (time, number) < (other.time, other.number)
        }
    }

    /// A binary heap.
    private var heap: [Entry] = []
    private var added: UInt64 = 0

    mutating func add(at time: UInt64, _ what: What) {
        dropVoid()
        added += 1
        heap.append(Entry(time: time, number: added, what: what))
        var i = heap.count - 1
        while i > 0, heap[i].isBefore(heap[(i - 1) / 2]) {
            heap.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }

    /// The earliest that still counts.
    var next: UInt64? {
        mutating get {
            dropVoid()
            return heap.first?.time
        }
    }

    /// There is one: `next` was asked.
    mutating func removeFirst() -> (UInt64, What) {
        let first = heap[0]
        removeRoot()
        return (first.time, first.what)
    }

    private mutating func dropVoid() {
        while let first = heap.first, first.what.isVoid { removeRoot() }
    }

    private mutating func removeRoot() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        var i = 0
        while true {
            var least = i
            for child in [2 * i + 1, 2 * i + 2] where child < heap.count && heap[child].isBefore(heap[least]) {
                least = child
            }
            guard least != i else { return }
            heap.swapAt(i, least)
            i = least
        }
    }
}
