internal import Glibc

/// Somebody who does things and may have to wait: a thread that calls us, or a work item while it runs.
///
/// Waiting follows one pattern everywhere: make yourself known to whoever will wake you, look at the condition, park,
/// look again. A wake-up that comes before the parking is kept (one, however many came), so none is lost; a park may
/// also end for an older wake-up, so the condition decides, never the return.
///
/// Fields belong to the gate: with the stepped one to who has the baton, with the threaded one to its lock.
public final class GateActor: @unchecked Sendable {
    public let name: String
    unowned let gate: Gate

    enum State {
        /// Has the baton (stepped), runs (threaded).
        case running
        /// Parked; nothing has woken it yet.
        case parked(interruptible: Bool)
        /// To go on as soon as it is picked.
        case ready
        case ended
    }
    var state = State.running
    /// How the last park ended.
    var wake = Wake.woken
    /// A wake-up came while it did not park.
    var hasPermit = false
    var hasSignal = false
    /// Which park this is; a deadline of an earlier one is void.
    var parkNumber = 0
    /// Who waits for its end.
    var joiners: [GateActor] = []

    /// Sleeping locks held by it, and by those whose stack lies below it on the same thread.
    package var held = 0
    var heldBelow = 0
    /// A work item runs on its stack: it cannot go on before that ends.
    var isBuried = false
    /// For a work item's run: whether it may park.
    var mayPark = true
    /// What the lock validator knows of it.
    package var validation: AnyObject?

    let baton: UnsafeMutablePointer<sem_t>

    init(_ name: String, gate: Gate) {
        self.name = name
        self.gate = gate
        baton = .allocate(capacity: 1)
        sem_init(baton, 0, 0)
    }

    deinit {
        sem_destroy(baton)
        baton.deallocate()
    }

    /// Ends its park, or the next one. From anywhere, holding spin locks or not.
    public func unpark() { gate.unpark(self) }

    /// A signal for it, as from `kill(2)`: ends its interruptible park, or its next one, which reports and takes it.
    public func interrupt() { gate.interrupt(self) }
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
