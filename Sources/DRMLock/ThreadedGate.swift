internal import Synchronization

/// The gate of real threads and the monotonic clock.
///
/// Any thread may call: it is an actor from the first time it is seen, until it ends. Work items that may not park
/// run on a few threads of their own, so that what signals fences never waits behind what waits for them; for those
/// that may park there is always one more thread than are parked. No thread runs before there is a ``WorkQueue``.
///
/// ``shutdown()`` ends the threads; a gate that is let go without it ends them by itself, later.
public final class ThreadedGate: Gate, @unchecked Sendable {
    /// Which gate it is, of all the process has had.
    let number: UInt64
    private static let numbers = Atomic<UInt64>(1)

    private let signalling = WorkerPool("signalling worker")
    private let parking = WorkerPool("worker")
    private let timers = TimerThread()

    public init() {
        number = Self.numbers.wrappingAdd(1, ordering: .relaxed).oldValue
        super.init(hasPoints: false, countsLocks: false)
    }

    deinit {
        timers.stop()
        signalling.stop()
        parking.stop()
    }

    /// Forgets armed timers, lets the work items that are there run to their end, and ends the threads that ran them.
    /// From the call on no item may be queued and no queue be made: whoever queues by itself is to be cancelled
    /// first. No item may call it.
    public func shutdown() {
        timers.stop()
        timers.join()
        signalling.stop()
        parking.stop()
        signalling.join()
        parking.join()
    }

    public override var now: UInt64 { monotonicTime() }

    package override var caller: Unmanaged<GateActor> { .passUnretained(me) }

    private var me: ThreadActor {
        let actors = ThreadActors.current
        if let known = actors.actor(number: number) { return known }
        let new = ThreadActor("thread", gate: self)
        actors.add(new, gate: self, number: number)
        return new
    }

    // MARK: Actors

    @discardableResult
    public override func spawn(_ name: String, _ body: @escaping @Sendable () -> Void) -> GateActor {
        let actor = ThreadActor(name, gate: self)
        startThread({ [self] in
            ThreadActors.current.add(actor, gate: self, number: number)
            body()
        }, end: { [self] in end(actor) })
        return actor
    }

    /// The last of a thread.
    private func end(_ actor: ThreadActor) {
        #if GPUVM_VALIDATE
        validator.end(of: actor)
        #endif
        let joiners = actor.withLock {
            actor.state = .ended
            defer { actor.joiners = [] }
            return actor.joiners
        }
        for joiner in joiners { joiner.unpark() }
    }

    public override func join(_ actor: GateActor) {
        let joiner = me
        let actor = unsafeDowncast(actor, to: ThreadActor.self)
        while true {
            let hasEnded = actor.withLock {
                if case .ended = actor.state { return true }
                actor.joiners.append(joiner)
                return false
            }
            if hasEnded { return }
            _ = park("the end of another actor")
        }
    }

    public override func park(
        until deadline: UInt64 = .never, interruptible: Bool = false, _ why: StaticString
    ) -> Wake {
        let actor = me
        precondition(actor.mayPark, "a work item of a queue that may not park waits for \(why)")
        if actor.work == nil { return actor.park(until: deadline, interruptible: interruptible) }
        parking.parks(for: self)
        defer { parking.goesOn() }
        return actor.park(until: deadline, interruptible: interruptible)
    }

    public override func unpark(_ actor: GateActor) {
        unsafeDowncast(actor, to: ThreadActor.self).end(with: .woken)
    }

    public override func interrupt(_ actor: GateActor) {
        unsafeDowncast(actor, to: ThreadActor.self).end(with: .interrupted)
    }

    // MARK: Work and timers

    override func prepare(_ queue: WorkQueue) {
        timers.start(for: self)
        if queue.mayPark {
            parking.start(1, for: self)
        } else {
            signalling.start(2, for: self)
        }
    }

    private func pool(of work: Work) -> WorkerPool { work.queue.mayPark ? parking : signalling }

    public override func enqueue(_ work: Work) { pool(of: work).enqueue(work) }
    public override func cancel(_ work: Work) { pool(of: work).cancel(work, as: me) }
    public override func flush(_ work: Work) { pool(of: work).flush(work, as: me) }

    public override func arm(_ timer: Timer, at deadline: UInt64) { timers.arm(timer, at: deadline) }
    public override func disarm(_ timer: Timer) -> Bool { timers.disarm(timer) }
    override func deadline(of timer: Timer) -> UInt64? { timers.deadline(of: timer) }
}
