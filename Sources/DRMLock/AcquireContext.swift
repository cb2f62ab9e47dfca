/// A ticket (`ww_acquire_ctx`): the age of one attempt to take several ``WWMutex``es, whatever their order.
///
/// It belongs to one actor at a time. It outlives the rounds of its attempt, so that who had to give way grows older
/// than all who come later; for another attempt it is to be begun anew.
public final class AcquireContext: @unchecked Sendable {
    public let gate: Gate
    /// Smaller is older.
    public private(set) var stamp: UInt64
    /// How many locks it holds.
    public internal(set) var acquiredCount: Int {
        @inlinable get { acquired }
        set { acquired = newValue }
    }
    @usableFromInline var acquired = 0

    enum Phase { case acquiring, done, ended }
    private(set) var phase = Phase.acquiring

    /// A ticket that is younger than all before it.
    public init(gate: Gate) {
        self.gate = gate
        stamp = gate.nextStamp()
    }

    /// Makes a new, youngest ticket of it. It holds nothing.
    public func begin() {
        stamp = gate.nextStamp()
        phase = .acquiring
    }

    /// Says that it takes no more locks (`ww_acquire_done`).
    public func done() { phase = .done }

    /// The end of its attempt (`ww_acquire_fini`). It holds nothing.
    public func end() { phase = .ended }
}
