internal import Synchronization

/// The one seam that everything passes that blocks or is contended: sleeping locks, waits for fences, work items,
/// timers, the clock. What stands above is written once and runs on either driver:
///
/// - ``SteppedGate``: one at a time, in an order that a seed or the caller picks, on a clock of its own;
/// - ``ThreadedGate``: real threads, the monotonic clock.
///
/// Times are nanoseconds of ``now``; deadlines are absolute.
public class Gate: @unchecked Sendable {
    /// Numbers of fence contexts, from 1: 0 is that of stubs.
    private let contexts = Atomic<UInt64>(1)
    /// Ages of tickets.
    private let stamps = Atomic<UInt64>(1)

    /// Contended points are passed on to ``passPoint()``.
    @usableFromInline final let hasPoints: Bool
    /// One runs at a time, and ``held`` is kept.
    @usableFromInline final let countsLocks: Bool
    /// How many sleeping locks who has the baton holds.
    @exclusivity(unchecked) @usableFromInline final var held = 0

    /// Called with the first mistake that the lock validator finds; no more are looked for after it. The usual one
    /// ends the process with it. To be set before the gate is used; release builds have no validator.
    public final var onViolation: (Violation) -> Void = { fatalError("\($0)") }
    #if GPUVM_VALIDATE
    @usableFromInline final let validator = Validator()
    #endif

    package init(hasPoints: Bool, countsLocks: Bool) {
        self.hasPoints = hasPoints
        self.countsLocks = countsLocks
    }

    /// - Returns: the first of `count` consecutive fence context numbers that nobody else has
    ///   (`dma_fence_context_alloc`).
    public final func allocateContexts(_ count: UInt64 = 1) -> UInt64 {
        contexts.wrappingAdd(count, ordering: .relaxed).oldValue
    }

    final func nextStamp() -> UInt64 {
        stamps.wrappingAdd(1, ordering: .relaxed).oldValue
    }

    /// The clock.
    public var now: UInt64 { fatalError() }
    /// Who calls. It lives at least as long as the call that it is in.
    package var caller: Unmanaged<GateActor> { fatalError() }
    public final var current: GateActor { caller.takeUnretainedValue() }

    // MARK: Actors

    /// Starts somebody new. The caller keeps the gate alive until all have ended.
    @discardableResult
    public func spawn(_ name: String, _ body: @escaping @Sendable () -> Void) -> GateActor { fatalError() }
    /// Waits for the end of another; what only its body kept is gone then. Not interruptible.
    public func join(_ actor: GateActor) { fatalError() }
    /// Waits until woken; see ``GateActor`` for the pattern.
    /// - Parameter why: what is waited for, for the report of a deadlock.
    public func park(until deadline: UInt64 = .never, interruptible: Bool = false, _ why: StaticString) -> Wake {
        fatalError()
    }
    public func unpark(_ actor: GateActor) { fatalError() }
    public func interrupt(_ actor: GateActor) { fatalError() }

    /// A contended point: somebody else may go first. No spin lock may be held.
    @inlinable public final func point() { if hasPoints { passPoint() } }
    @usableFromInline func passPoint() {}

    /// The caller has taken, or gives back, a lock that others wait for parked.
    @inlinable public final func tookSleepingLock() { if countsLocks { held += 1 } }
    @inlinable public final func gaveSleepingLock() { if countsLocks { held -= 1 } }

    // MARK: Work and timers; callable with spin locks held

    /// A queue was made: whoever runs its items may get ready.
    func prepare(_ queue: WorkQueue) {}
    public func enqueue(_ work: Work) { fatalError() }
    public func arm(_ timer: Timer, at deadline: UInt64) { fatalError() }
    public func disarm(_ timer: Timer) -> Bool { fatalError() }
    func deadline(of timer: Timer) -> UInt64? { fatalError() }
    /// The deadline of its park has come.
    func timeOut(_ actor: GateActor) { fatalError() }

    // These may park.
    public func cancel(_ work: Work) { fatalError() }
    public func flush(_ work: Work) { fatalError() }
}

extension Gate {
    /// Parks until a moment of the clock, whatever wakes come.
    /// - Returns: false: a signal came first.
    @discardableResult
    public final func sleep(until deadline: UInt64, interruptible: Bool = false) -> Bool {
        while now < deadline {
            if park(until: deadline, interruptible: interruptible, "a moment of the clock") == .interrupted {
                return false
            }
        }
        return true
    }

    /// Parks for a while.
    @discardableResult
    public final func sleep(for nanoseconds: UInt64, interruptible: Bool = false) -> Bool {
        let (deadline, overflow) = now.addingReportingOverflow(nanoseconds)
        return sleep(until: overflow ? .never : deadline, interruptible: interruptible)
    }
}
