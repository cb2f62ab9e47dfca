/// Plain values in a row, in memory that stays when they go. Unlike an array it is never shared: to add to it, or to go
/// through it, counts no references.
struct Batch<Element>: ~Copyable {
    private var base: UnsafeMutablePointer<Element>
    private(set) var capacity: Int
    private(set) var count = 0

    init(capacity: Int = 4) {
        precondition(_isPOD(Element.self), "elements are forgotten, not destroyed")
        base = .allocate(capacity: capacity)
        self.capacity = capacity
    }

    deinit { base.deallocate() }

    var isEmpty: Bool { count == 0 }

    /// Until the batch changes.
    var elements: UnsafeBufferPointer<Element> { UnsafeBufferPointer(start: base, count: count) }

    subscript(index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count)
            return base[index]
        }
        set {
            precondition(index >= 0 && index < count)
            base[index] = newValue
        }
    }

    @inline(__always) mutating func append(_ element: Element) {
        if count == capacity { grow() }
        (base + count).initialize(to: element)
        count += 1
    }

    /// So many more, which the caller writes.
    mutating func makeRoom(for more: Int) -> UnsafeMutableBufferPointer<Element> {
        reserve(count + more)
        defer { count += more }
        return UnsafeMutableBufferPointer(start: base + count, count: more)
    }

    mutating func popLast() -> Element? {
        guard count > 0 else { return nil }
        count -= 1
        return base[count]
    }

    @inline(never) private mutating func grow() { reserve(count + 1) }

    /// Makes room for so many in all.
    mutating func reserve(_ wanted: Int) {
        guard wanted > capacity else { return }
        capacity = max(wanted, 2 * capacity)
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
        larger.update(from: base, count: count)
        base.deallocate()
        base = larger
    }

    mutating func removeAll() { count = 0 }

    mutating func removeAll(where isIt: (Element) -> Bool) {
        var kept = 0
        for i in 0..<count where !isIt(base[i]) {
            base[kept] = base[i]
            kept += 1
        }
        count = kept
    }
}
