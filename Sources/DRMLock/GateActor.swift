internal import Glibc

/// Somebody who does things and may have to wait: a thread that calls us, or a work item while it runs.
///
/// Waiting follows one pattern everywhere: make yourself known to whoever will wake you, look at the condition, park,
/// look again. A wake-up that comes before the parking is kept (one, however many came), so none is lost; a park may
/// also end for an older wake-up, so the condition decides, never the return.
///
/// Each gate has its own kind. Fields belong to the gate: with the stepped one to who has the baton, with the
/// threaded one to the actor's lock.
public class GateActor: Moment, @unchecked Sendable {
    public let name: String
    /// Outlives every call of it.
    final unowned(unsafe) let gate: Gate

    enum State {
        /// Has the baton (stepped), runs (threaded).
        case running
        /// Parked; nothing has woken it yet.
        case parked(interruptible: Bool)
        /// To go on as soon as it is picked (stepped).
        case ready
        case ended
    }
    @exclusivity(unchecked) final var state = State.running
    /// How the last park ended.
    @exclusivity(unchecked) final var wake = Wake.woken
    /// A wake-up came while it did not park.
    @exclusivity(unchecked) final var hasPermit = false
    @exclusivity(unchecked) final var hasSignal = false
    /// Who waits for its end.
    @exclusivity(unchecked) final var joiners: [GateActor] = []

    /// What it waits for fences with: made once, and refers to it. Whoever ends the actor drops it.
    @exclusivity(unchecked) package final var waiter: AnyObject?
    /// What it runs, if it is a work item's.
    @exclusivity(unchecked) final unowned(unsafe) var work: Work?
    #if GPUVM_VALIDATE
    final let validation = HeldLocks()
    #endif

    init(_ name: String, gate: Gate) {
        self.name = name
        self.gate = gate
    }

    /// Whether it may park; a work item of some queues may not.
    final var mayPark: Bool { work?.queue.mayPark ?? true }

    /// Ends its park, or the next one. From anywhere, holding spin locks or not, while there is the gate.
    public final func unpark() { Unmanaged.passUnretained(gate)._withUnsafeGuaranteedRef { $0.unpark(self) } }

    /// A signal for it, as from `kill(2)`: ends its interruptible park, or its next one, which reports and takes it.
    /// While there is the gate.
    public final func interrupt() { gate.interrupt(self) }

    /// What a park ends with that need not begin.
    final func takeEarlyWake(interruptible: Bool) -> Wake? {
        if hasPermit {
            hasPermit = false
            return .woken
        }
        if interruptible && hasSignal {
            hasSignal = false
            return .interrupted
        }
        return nil
    }

    final override func come() { gate.timeOut(self) }

    /// Becomes the run of a work item. Signals are for who they were meant for.
    final func begin(_ work: Work) {
        self.work = work
        work.runner = self
        work.isQueued = false
        hasSignal = false
    }
}

/// How a park ended.
public enum Wake: Sendable {
    /// Somebody woke it, or had before.
    case woken
    /// The deadline passed.
    case timedOut
    /// A signal came.
    case interrupted
}

extension UInt64 {
    /// A deadline that never comes.
    public static var never: UInt64 { .max }
}

@usableFromInline func yieldProcessor() { sched_yield() }
