/// Who may go on with the stepped gate, in the order they became so: a ring of words, so that a step counts references
/// only of an item that nobody else keeps (``Work/isKept``).
///
/// A word is an actor, or an item with the lowest bit set. Such an item is kept by the line; actors are kept by the
/// gate.
struct ReadyLine: ~Copyable {
    enum Entry {
        case actor(Unmanaged<SteppedActor>)
        /// Not kept by others: the line's reference is the caller's now.
        case work(Unmanaged<Work>, isKept: Bool)
    }

    private var words: UnsafeMutablePointer<UInt>
    /// A power of two.
    private var capacity = 16
    private var head = 0
    private(set) var count = 0

    init() {
        words = .allocate(capacity: capacity)
    }

    deinit {
        for i in 0..<count {
            let word = words[(head &+ i) & (capacity &- 1)]
            if word & 1 != 0 { Self.item(word).letGo() }
        }
        words.deallocate()
    }

    var isEmpty: Bool { count == 0 }

    mutating func append(_ actor: SteppedActor) { append(word: Self.word(actor)) }

    mutating func append(_ work: Work) {
        if !work.isKept { _ = Unmanaged.passRetained(work) }
        append(word: Self.word(work))
    }

    /// - Parameter i: counted from the first.
    mutating func remove(at i: Int) -> Entry {
        let word = removeWord(at: i)
        if word & 1 != 0 {
            let item = Self.item(word)
            return .work(item, isKept: item._withUnsafeGuaranteedRef { $0.isKept })
        }
        let pointer = UnsafeRawPointer(bitPattern: word).unsafelyUnwrapped
        return .actor(.fromOpaque(pointer))
    }

    mutating func remove(_ actor: SteppedActor) {
        if let i = index(of: Self.word(actor)) { _ = removeWord(at: i) }
    }

    mutating func remove(_ work: Work) {
        guard let i = index(of: Self.word(work)) else { return }
        _ = removeWord(at: i)
        Unmanaged.passUnretained(work).letGo()
    }

    // MARK: Words

    private static func word(_ actor: SteppedActor) -> UInt {
        UInt(bitPattern: Unmanaged.passUnretained(actor).toOpaque())
    }

    private static func word(_ work: Work) -> UInt {
        UInt(bitPattern: Unmanaged.passUnretained(work).toOpaque()) | 1
    }

    private static func item(_ word: UInt) -> Unmanaged<Work> {
        .fromOpaque(UnsafeRawPointer(bitPattern: word & ~1).unsafelyUnwrapped)
    }

    private func slot(_ i: Int) -> Int { (head &+ i) & (capacity &- 1) }

    private func index(of word: UInt) -> Int? { (0..<count).first { words[slot($0)] == word } }

    private mutating func append(word: UInt) {
        if count == capacity { grow() }
        words[slot(count)] = word
        count &+= 1
    }

    private mutating func removeWord(at i: Int) -> UInt {
        let word = words[slot(i)]
        // Those before it move up.
        var i = i
        while i > 0 {
            words[slot(i)] = words[slot(i &- 1)]
            i &-= 1
        }
        head = slot(1)
        count &-= 1
        return word
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<UInt>.allocate(capacity: capacity * 2)
        for i in 0..<count { larger[i] = words[slot(i)] }
        words.deallocate()
        words = larger
        capacity *= 2
        head = 0
    }
}

extension Unmanaged<Work> {
    /// Gives back the line's reference, if it has one.
    fileprivate func letGo() {
        if !_withUnsafeGuaranteedRef({ $0.isKept }) { release() }
    }
}
