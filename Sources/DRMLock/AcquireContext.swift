/// A ticket (`ww_acquire_ctx`): the age of one attempt to take several ``WWMutex``es, whatever their order.
///
/// It belongs to one actor at a time. It outlives the rounds of its attempt, so that who had to give way grows older
/// than all who come later; for another attempt it is to be begun anew.
public final class AcquireContext: @unchecked Sendable {
    public let gate: Gate
    /// Smaller is older.
    @exclusivity(unchecked) public private(set) var stamp: UInt64
    /// How many locks it holds.
    public internal(set) var acquiredCount: Int {
        @inlinable get { acquired }
        set { acquired = newValue }
    }
    @exclusivity(unchecked) @usableFromInline var acquired = 0
    @exclusivity(unchecked) private var kept: [AnyObject] = []

    #if GPUVM_VALIDATE
    @usableFromInline enum Phase { case acquiring, done, ended }
    private(set) var phase = Phase.acquiring
    /// Where it came into its phase.
    private(set) var site: Site
    #endif

    /// A ticket that is younger than all before it.
    public init(gate: Gate, _ file: StaticString = #fileID, _ line: UInt32 = #line) {
        self.gate = gate
        stamp = gate.nextStamp()
        #if GPUVM_VALIDATE
        site = Site(file, line)
        #endif
    }

    /// Makes a new, youngest ticket of it. It holds nothing.
    public func begin(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        #if GPUVM_VALIDATE
        gate.validator.checkHoldsNothing(self, Site(file, line))
        phase = .acquiring
        site = Site(file, line)
        #endif
        stamp = gate.nextStamp()
    }

    /// Keeps what a lock that it holds is in, until it has let go of all locks: who kept it until now lets it go, and
    /// its actor does so.
    package func keep(_ object: AnyObject) { kept.append(object) }

    /// All locks are let go.
    package func dropKept() {
        if !kept.isEmpty { kept = [] }
    }

    /// Says that it takes no more locks (`ww_acquire_done`).
    @inlinable public func done(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        #if GPUVM_VALIDATE
        finish(.done, Site(file, line))
        #endif
    }

    /// The end of its attempt (`ww_acquire_fini`). It holds nothing.
    @inlinable public func end(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        #if GPUVM_VALIDATE
        finish(.ended, Site(file, line))
        #endif
    }

    #if GPUVM_VALIDATE
    @usableFromInline func finish(_ phase: Phase, _ site: Site) {
        if phase == .ended { gate.validator.checkHoldsNothing(self, site) }
        self.phase = phase
        self.site = site
    }
    #endif
}
