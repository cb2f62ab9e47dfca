/// A line of work items, as the kernel's workqueues: run by nobody's call, each at most once at a time.
///
/// Items may run side by side, as on the kernel's multi-threaded queues.
public final class WorkQueue: @unchecked Sendable {
    public let name: String
    public let gate: Gate
    /// Whether its items may park (take sleeping locks, wait). Those of a queue that signals fences may not.
    public let mayPark: Bool

    public init(_ name: String, gate: Gate, mayPark: Bool) {
        self.name = name
        self.gate = gate
        self.mayPark = mayPark
    }
}

/// A work item: something to be done soon, on its queue. Subclasses say what.
open class Work: @unchecked Sendable {
    public final let queue: WorkQueue
    /// Waits for its turn. Belongs to the gate.
    final var isQueued = false
    /// Who runs it now. Belongs to the gate.
    final var runner: GateActor?
    /// Who waits for it to end. Belongs to the gate.
    final var waiters: [GateActor] = []

    public init(queue: WorkQueue) {
        self.queue = queue
    }

    open func run() {}

    /// Asks for a run after this moment: while it runs, for another one; while it waits already, for nothing.
    public final func enqueue() { queue.gate.enqueue(self) }

    /// Takes it out of its queue and waits until it does not run; a call from its own run does not wait.
    public final func cancel() { queue.gate.cancel(self) }

    /// Waits until it neither waits for its turn nor runs.
    public final func flush() { queue.gate.flush(self) }
}

/// Queues a work item when its time has come.
public final class Timer: @unchecked Sendable {
    public let work: Work
    /// When; `nil`: not armed. Belongs to the gate.
    public internal(set) var deadline: UInt64?
    /// Which arming this is; an older one in the gate's heap is void.
    var armNumber = 0

    public init(_ work: Work) {
        self.work = work
    }

    /// Arms it for a moment of the gate's clock, or moves it there.
    public func arm(at deadline: UInt64) { work.queue.gate.arm(self, at: deadline) }

    /// - Returns: whether it was armed.
    @discardableResult
    public func disarm() -> Bool { work.queue.gate.disarm(self) }
}
