/// Who may go on with the stepped gate, in the order they became so.
struct ReadyLine {
    enum Entry {
        case actor(SteppedActor)
        case work(Work)
    }

    /// Those before `head` have gone.
    private var entries: ContiguousArray<Entry?> = []
    private var head = 0

    var count: Int { entries.count - head }
    var isEmpty: Bool { entries.count == head }

    mutating func append(_ entry: Entry) { entries.append(entry) }

    /// - Parameter i: counted from the first that is there.
    mutating func remove(at i: Int) -> Entry {
        if i > 0 { return entries.remove(at: head + i)! }
        let entry = entries[head].take()!
        head += 1
        if head == entries.count {
            entries.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 64, head > count {
            entries.removeSubrange(..<head)
            head = 0
        }
        return entry
    }

    mutating func removeActor(_ actor: SteppedActor) {
        remove { if case .actor(let other) = $0 { other === actor } else { false } }
    }

    mutating func removeWork(_ work: Work) {
        remove { if case .work(let other) = $0 { other === work } else { false } }
    }

    private mutating func remove(_ matches: (Entry) -> Bool) {
        if let i = entries[head...].firstIndex(where: { matches($0!) }) { _ = remove(at: i - head) }
    }
}
