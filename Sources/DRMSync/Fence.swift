public import DRMLock
public import KernelErrno
public import Synchronization

/// A promise that something will be done, kept once (`dma_fence`).
///
/// Subclasses say what the something is. A fence belongs to a context, whose fences are done in the order of their
/// sequence numbers. What is left of `dma_fence_ops` are the overridable members at the end.
///
/// Locking: none outside. Callbacks run on the signaller's stack, in list order, after the fence is signalled and
/// without its lock; they may not park.
///
/// Source: dma-fence.c, dma-fence.h.
open class Fence: @unchecked Sendable {
    public final var gate: Gate { gateReference.takeUnretainedValue() }
    final let gateReference: Unmanaged<Gate>
    /// The gate, or what keeps it.
    package final let keeper: AnyObject
    /// From ``Gate/allocateContexts(_:)``; 0: a stub's.
    @exclusivity(unchecked) public final package(set) var context: UInt64
    @exclusivity(unchecked) public final package(set) var seqno: UInt64

    @usableFromInline let state: Atomic<UInt32>
    private let lock: SpinLock
    /// When it signalled; 0: not yet.
    private let signalTime = Atomic<UInt64>(0)
    /// A raw `KernelErrno`; 0: none. Atomic, since others ask for it before it counts.
    private let failure: Atomic<Int32>
    /// Guarded by the lock. Each holds the next.
    @exclusivity(unchecked) private final var first: FenceCallback?
    @exclusivity(unchecked) private final unowned(unsafe) var last: FenceCallback?

    @usableFromInline enum State {
        @usableFromInline static var signaled: UInt32 { @inlinable get { 1 } }
        /// ``enableSignaling()`` was called.
        static let enabled: UInt32 = 2
        /// There are callbacks, or there were: signalling takes the lock.
        static let hasCallbacks: UInt32 = 4
    }

    /// An unsignalled fence.
    /// - Parameter keeper: what keeps the gate, for a fence that needs it anyway.
    public init(gate: Gate, keptBy keeper: AnyObject? = nil, context: UInt64, seqno: UInt64) {
        lock = SpinLock(gate)
        gateReference = .passUnretained(gate)
        self.context = context
        self.seqno = seqno
        failure = Atomic(0)
        state = Atomic(0)
        self.keeper = keeper ?? gate
    }

    /// The same for who has the gate at hand without a reference.
    package init(_ gate: Unmanaged<Gate>, keptBy keeper: AnyObject, context: UInt64, seqno: UInt64) {
        lock = SpinLock(gate)
        gateReference = gate
        self.context = context
        self.seqno = seqno
        failure = Atomic(0)
        state = Atomic(0)
        self.keeper = keeper
    }

    /// One that is signalled from the start, at a moment of the gate's clock.
    package convenience init(
        gate: Gate, context: UInt64, seqno: UInt64, signaledAt time: UInt64, error: KernelErrno? = nil
    ) {
        self.init(gate: gate, context: context, seqno: seqno)
        failure.store(error?.rawValue ?? 0, ordering: .relaxed)
        signalTime.store(max(time, 1), ordering: .relaxed)
        state.store(State.signaled, ordering: .releasing)
    }

    /// Whoever let the last reference go while others waited has made a mistake; they are told `EDEADLK` by a fence
    /// in this one's place.
    deinit {
        guard first != nil else { return }
        let instead = Fence(
            gate: gate, context: context, seqno: seqno, signaledAt: gate.now, error: .EDEADLK)
        while let callback = first {
            pop(callback)
            callback.signaled(instead)
        }
    }

    /// By the gate's clock.
    package final var now: UInt64 { gateReference._withUnsafeGuaranteedRef { $0.now } }

    // MARK: Order

    /// Whether it is later than another fence of its context. 32-bit numbers wrap around; see ``hasWideSeqno``.
    public final func isLater(than other: Fence) -> Bool {
        hasWideSeqno ? seqno > other.seqno : Int32(truncatingIfNeeded: seqno &- other.seqno) > 0
    }

    // MARK: State

    /// Whether it has signalled; asks the subclass where nobody has said so yet.
    public final var isSignaled: Bool {
        if isFlaggedSignaled { return true }
        guard isDone else { return false }
        signal()
        return true
    }

    /// Whether it has signalled, without asking the subclass.
    @inlinable public final var isFlaggedSignaled: Bool {
        state.load(ordering: .acquiring) & State.signaled != 0
    }

    public enum Status: Equatable, Sendable {
        case pending
        case done
        case failed(KernelErrno)
    }

    /// An error shows only once it has signalled.
    public final var status: Status {
        guard isSignaled else { return .pending }
        return pendingError.map(Status.failed) ?? .done
    }

    /// Who made it, and on which timeline it is; of one that has signalled nobody knows any more.
    public final var names: (driver: String, timeline: String) {
        isFlaggedSignaled ? ("detached-driver", "signaled-timeline") : (driverName, timelineName)
    }

    /// Says that it will end with an error. Before signalling, by whoever signals.
    public final func setError(_ error: KernelErrno) {
        assert(!isFlaggedSignaled, "an error for a fence that has signalled")
        failure.store(error.rawValue, ordering: .relaxed)
    }

    /// The error set, signalled or not.
    package final var pendingError: KernelErrno? {
        let error = failure.load(ordering: .relaxed)
        return error == 0 ? nil : KernelErrno(rawValue: error)
    }

    /// When it signalled; now, if it has not.
    public final var timestamp: UInt64 {
        guard isFlaggedSignaled else { return now }
        while true {
            // The signaller stores it right after the flag.
            let time = signalTime.load(ordering: .acquiring)
            if time != 0 { return time }
        }
    }

    /// What it stands for turned out to have begun or ended at another time. Once it has signalled.
    package final func moveTimestamp(to time: UInt64) {
        signalTime.store(max(time, 1), ordering: .releasing)
    }

    // MARK: Signalling

    /// Once; later calls are ignored.
    public final func signal() {
        _ = checkAndSignal()
    }

    /// Signals, at a moment that may lie in the past.
    /// - Returns: whether it already was signalled.
    @discardableResult
    public final func checkAndSignal(at time: UInt64? = nil) -> Bool {
        var old = state.load(ordering: .relaxed)
        while old & (State.signaled | State.hasCallbacks) == 0 {
            let (done, seen) = state.weakCompareExchange(
                expected: old, desired: old | State.signaled, ordering: .acquiringAndReleasing)
            if done {
                noteTime(time)
                return false
            }
            old = seen
        }
        if old & State.signaled != 0 { return true }
        return checkAndSignalCallbacks(at: time)
    }

    private final func checkAndSignalCallbacks(at time: UInt64?) -> Bool {
        lock.lock()
        guard state.bitwiseOr(State.signaled, ordering: .acquiringAndReleasing).oldValue & State.signaled == 0 else {
            lock.unlock()
            return true
        }
        noteTime(time)
        while let callback = first {
            pop(callback)
            lock.unlock()
            callback.signaled(self)
            lock.lock()
        }
        lock.unlock()
        return false
    }

    private final func noteTime(_ time: UInt64?) {
        signalTime.store(max(time ?? now, 1), ordering: .releasing)
    }

    /// Makes sure that it will signal by itself. At most once per fence does it reach ``enableSignaling()``.
    public final func enableSoftwareSignaling() {
        guard state.bitwiseOr(State.enabled, ordering: .acquiringAndReleasing).oldValue & State.enabled == 0,
            !isFlaggedSignaled
        else { return }
        if !enableSignaling() { signal() }
    }

    /// Whether somebody wanted to know already.
    package final var isEnabled: Bool {
        state.load(ordering: .acquiring) & State.enabled != 0
    }

    /// Passes a deadline hint on while it can help.
    public final func setDeadlineIfPending(_ deadline: UInt64) {
        if !isSignaled { setDeadline(deadline) }
    }

    // MARK: Callbacks

    /// Has a callback run when it signals. It is kept until then.
    /// - Parameter atHead: before those that are there (waiters), not after them.
    /// - Throws: `ENOENT`: it has signalled, and the callback will not run.
    public final func add(_ callback: FenceCallback, atHead: Bool = false) throws(KernelErrno) {
        precondition(!callback.isQueued, "a callback waits for one fence at a time")
        enableSoftwareSignaling()
        lock.lock()
        let isLate = state.bitwiseOr(State.hasCallbacks, ordering: .acquiringAndReleasing).oldValue & State.signaled != 0
        if !isLate { push(callback, atHead: atHead) }
        lock.unlock()
        if isLate { throw .ENOENT }
    }

    /// Takes a callback back.
    /// - Returns: whether it was still there. If not, it has run, or runs now on another thread.
    @discardableResult
    public final func remove(_ callback: FenceCallback) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        guard callback.fence === self else { return false }
        pop(callback)
        return true
    }

    private final func push(_ callback: FenceCallback, atHead: Bool) {
        callback.fence = self
        if first == nil {
            first = callback
            last = callback
        } else if atHead {
            callback.next = first
            first!.previous = callback
            first = callback
        } else {
            callback.previous = last
            last!.next = callback
            last = callback
        }
    }

    private final func pop(_ callback: FenceCallback) {
        let next = callback.next, previous = callback.previous
        callback.fence = nil
        callback.next = nil
        callback.previous = nil
        if let next { next.previous = previous } else { last = previous }
        if let previous { previous.next = next } else { first = next }
    }

    // MARK: What kind of fence it is (`dma_fence_ops`)

    /// Whether sequence numbers have 64 bits and do not wrap around (`DMA_FENCE_FLAG_SEQNO64_BIT`).
    open var hasWideSeqno: Bool { false }
    /// Whether what it promises is done, though nobody has signalled it (`signaled`).
    open var isDone: Bool { false }
    /// Sees to it that it will be signalled. Called once, when somebody first wants to know.
    /// - Returns: false: there is nothing left to wait for.
    open func enableSignaling() -> Bool { true }
    /// A hint that somebody would like it done by a moment of the gate's clock.
    open func setDeadline(_ deadline: UInt64) {}
    /// Of a pending fence; see ``names``.
    open var driverName: String { "gpuvm" }
    open var timelineName: String { "unnamed" }
}

/// What is to be done when a fence signals; waits for one fence at a time.
open class FenceCallback: @unchecked Sendable {
    // Guarded by the fence's lock.
    @exclusivity(unchecked) fileprivate final var next: FenceCallback?
    @exclusivity(unchecked) fileprivate final unowned(unsafe) var previous: FenceCallback?
    @exclusivity(unchecked) fileprivate final unowned(unsafe) var fence: Fence?

    public init() {}

    /// Whether a fence holds it. Only sure where nobody signals meanwhile.
    public final var isQueued: Bool { fence != nil }

    /// Runs on the signaller's stack; may not park. Deadlocked (`EDEADLK`) fences come as a fence in their place.
    open func signaled(_ fence: Fence) {}
}
