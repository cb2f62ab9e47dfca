/// A line of work items, as the kernel's workqueues: run by nobody's call, each at most once at a time.
///
/// Items may run side by side, as on the kernel's multi-threaded queues.
public final class WorkQueue: @unchecked Sendable {
    public let name: String
    public let gate: Gate
    /// Whether its items may park (take sleeping locks, wait). Those of a queue that signals fences may not.
    public let mayPark: Bool
    /// Its items park only for locks, whose holders need nothing of who waits for a fence or sleeps. Then the
    /// stepped gate runs them, in ``SteppedGate/Order/first`` order, on the stack of whoever parks or steps, which
    /// is much quicker than a thread of their own; who lies below cannot go on before they end.
    public let parksOnlyForLocks: Bool

    public init(_ name: String, gate: Gate, mayPark: Bool, onlyForLocks: Bool = false) {
        self.name = name
        self.gate = gate
        self.mayPark = mayPark
        parksOnlyForLocks = onlyForLocks
        gate.prepare(self)
    }
}

/// A work item: something to be done soon, on its queue. Subclasses say what.
open class Work: @unchecked Sendable {
    public final let queue: WorkQueue
    /// The queue's, which keeps it.
    fileprivate final let gate: Unmanaged<Gate>
    // These belong to the gate.
    /// Somebody keeps it while it is queued or runs. Otherwise the gate does. Only the stepped gate looks: the other
    /// keeps all that are queued.
    @exclusivity(unchecked) final private(set) var isKept: Bool
    /// Waits for its turn.
    @exclusivity(unchecked) final var isQueued = false
    /// Who runs it now.
    @exclusivity(unchecked) final unowned(unsafe) var runner: GateActor?
    /// Who waits for it to end.
    @exclusivity(unchecked) final var waiters: [GateActor] = []
    /// The next of the threaded gate's line, where it stands itself.
    @exclusivity(unchecked) final var next: Work?
    @exclusivity(unchecked) final var isInLine = false

    /// - Parameter isKept: whoever makes it keeps it until ``end()``.
    public init(queue: WorkQueue, isKept: Bool = false) {
        self.queue = queue
        self.isKept = isKept
        gate = .passUnretained(queue.gate)
    }

    open func run() {}

    /// Asks for a run after this moment: while it runs, for another one; while it waits already, for nothing.
    public final func enqueue() { gate._withUnsafeGuaranteedRef { $0.enqueue(self) } }

    /// Takes it out of its queue and waits until it does not run; a call from its own run does not wait.
    public final func cancel() { queue.gate.cancel(self) }

    /// Cancels it, for who lets it go then. It may still be enqueued.
    public final func end() {
        cancel()
        isKept = false
    }

    /// Waits until it neither waits for its turn nor runs; a call from its own run does not wait.
    public final func flush() { queue.gate.flush(self) }

    /// - Returns: who waits for the end of its run.
    final func takeWaiters() -> [GateActor] {
        defer { waiters = [] }
        return waiters
    }
}

/// Queues a work item when its time has come. The gate keeps it while it is armed.
public final class Timer: Moment, @unchecked Sendable {
    public let work: Work

    public init(_ work: Work) {
        self.work = work
    }

    /// When; `nil`: not armed.
    public var deadline: UInt64? { work.queue.gate.deadline(of: self) }

    /// Arms it for a moment of the gate's clock, or moves it there.
    public func arm(at deadline: UInt64) { work.gate._withUnsafeGuaranteedRef { $0.arm(self, at: deadline) } }

    override func come() { work.enqueue() }

    /// - Returns: whether it was armed.
    @discardableResult
    public func disarm() -> Bool { work.gate._withUnsafeGuaranteedRef { $0.disarm(self) } }
}
