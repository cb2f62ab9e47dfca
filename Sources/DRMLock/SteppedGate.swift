internal import Glibc

/// The gate that does one thing at a time, in an order that can be had again.
///
/// There is one baton; only who has it runs, touches the gate or anything that stands on it. It is handed on where
/// the holder parks or passes a contended point (``Gate/point()``). What may go on then: actors that are ready, and
/// work items, each of which is one step. Time stands still while anybody may go on, then jumps to the next timer or
/// deadline. When nothing may go on and nothing is to come, that is a deadlock: ``onDeadlock``.
///
/// Each actor has a thread of its own. Work items run on the stack of whoever parked or stepped; one that may park
/// does so only if nobody below it on that stack holds a sleeping lock (it could wait for that for ever), and gets a
/// thread otherwise.
public final class SteppedGate: Gate, @unchecked Sendable {
    /// Who goes on, of those who may.
    public enum Order {
        /// The first who could; contended points are passed over.
        case first
        /// By a generator with this seed.
        case seeded(UInt64)
        /// By the caller: the index of one out of `count` (≥ 1).
        case chosen((_ count: Int) -> Int)
    }

    enum Runnable {
        case actor(GateActor)
        case work(Work)

        func isActor(_ actor: GateActor) -> Bool {
            if case .actor(let a) = self { a === actor } else { false }
        }

        func isWork(_ work: Work) -> Bool {
            if case .work(let w) = self { w === work } else { false }
        }
    }

    /// Called with the baton when nobody can go on; may wake somebody. If nobody is ready after it, the process ends
    /// with the list of who waits for what.
    public var onDeadlock: () -> Void = {}

    private var order: Order
    private var random = SplitMix(state: 0)
    private var time: UInt64
    private var me: GateActor!
    /// Who steps another actor and gets the baton back when that parks.
    private var stepper: GateActor?
    /// In the order they became so.
    private var ready: [Runnable] = []
    private var moments = Moments()
    /// Actors for work items' runs, to be used again.
    private var spareRunners: [GateActor] = []
    /// Who is parked, for the report of a deadlock.
    private var parked: [(actor: GateActor, why: StaticString)] = []

    /// The caller is the first actor and has the baton.
    public init(_ order: Order = .first, now: UInt64 = 1_000_000_000) {
        self.order = order
        time = now
        super.init()
        if case .seeded(let seed) = order { random = SplitMix(state: seed) }
        me = GateActor("main", gate: self)
    }

    public override var now: UInt64 { time }
    public override var current: GateActor { me }

    // MARK: Actors

    @discardableResult
    public override func spawn(_ name: String, _ body: @escaping @Sendable () -> Void) -> GateActor {
        let actor = GateActor(name, gate: self)
        startThread { [self] in
            sem_wait(actor.baton)
            body()
            end(actor)
        }
        actor.state = .ready
        ready.append(.actor(actor))
        return actor
    }

    /// The last of a thread: hands the baton on for good.
    private func end(_ actor: GateActor) {
        actor.state = .ended
        for joiner in actor.joiners { unpark(joiner) }
        actor.joiners = []
        while true {
            switch take() {
            case .work(let work): run(work)
            case .actor(let next): return handOver(to: next)
            }
        }
    }

    public override func join(_ actor: GateActor) {
        while true {
            if case .ended = actor.state { return }
            actor.joiners.append(me)
            _ = park("the end of another actor")
        }
    }

    public override func park(
        until deadline: UInt64 = .never, interruptible: Bool = false, _ why: StaticString
    ) -> Wake {
        let actor = me!
        precondition(actor.mayPark, "a work item of a queue that may not park waits for \(why)")
        if actor.hasPermit {
            actor.hasPermit = false
            return .woken
        }
        if interruptible && actor.hasSignal {
            actor.hasSignal = false
            return .interrupted
        }
        actor.state = .parked(interruptible: interruptible)
        actor.parkNumber += 1
        if deadline != .never { moments.add(at: deadline, .actor(actor, park: actor.parkNumber)) }
        parked.append((actor, why))
        goOn(with: take(), until: actor)
        return actor.wake
    }

    /// Others go on, beginning with `next`, until the actor, which is parked or ready, is picked.
    private func goOn(with next: Runnable, until actor: GateActor) {
        var next = next
        while case .work(let work) = next {
            run(work)
            next = take()
        }
        if case .actor(let other) = next, other !== actor {
            handOver(to: other)
            sem_wait(actor.baton)
        }
        actor.state = .running
        me = actor
    }

    private func handOver(to next: GateActor) {
        me = next
        sem_post(next.baton)
    }

    public override func unpark(_ actor: GateActor) {
        guard case .parked = actor.state else {
            actor.hasPermit = true
            return
        }
        makeReady(actor, .woken)
    }

    public override func interrupt(_ actor: GateActor) {
        guard case .parked(interruptible: true) = actor.state else {
            actor.hasSignal = true
            return
        }
        makeReady(actor, .interrupted)
    }

    private func makeReady(_ actor: GateActor, _ wake: Wake) {
        actor.wake = wake
        actor.state = .ready
        if let i = parked.lastIndex(where: { $0.actor === actor }) { parked.remove(at: i) }
        if !actor.isBuried { ready.append(.actor(actor)) }
    }

    public override func point() {
        if case .first = order { return }
        let actor = me!
        guard !ready.isEmpty, actor.mayPark else { return }
        let i = pick(ready.count + 1)
        guard i < ready.count else { return }
        let next = ready.remove(at: i)
        actor.state = .ready
        ready.append(.actor(actor))
        goOn(with: next, until: actor)
    }

    public override func tookSleepingLock() { me.held += 1 }
    public override func gaveSleepingLock() { me.held -= 1 }

    // MARK: Steps

    /// Does one thing of what is ready: a work item, or another actor up to where it parks.
    /// - Returns: false: nothing is ready.
    @discardableResult
    public func step() -> Bool {
        guard !ready.isEmpty else { return false }
        let actor = me!
        switch take() {
        case .work(let work):
            run(work)
        case .actor(let next):
            // The baton comes back here first of all, whatever the order says.
            actor.state = .ready
            stepper = actor
            handOver(to: next)
            sem_wait(actor.baton)
            actor.state = .running
            me = actor
        }
        return true
    }

    /// Steps until nothing is ready. Time does not move.
    public func runUntilIdle() {
        while step() {}
    }

    /// Lets time pass: steps, and fires what comes due up to then, in order.
    public func advance(by nanoseconds: UInt64) {
        let end = time + nanoseconds
        runUntilIdle()
        while let moment = moments.next, moment <= end {
            fireNext()
            runUntilIdle()
        }
        time = end
    }

    /// Nothing is ready and nothing will come by itself.
    public var isIdle: Bool { ready.isEmpty && moments.next == nil }

    private func take() -> Runnable {
        if let actor = stepper {
            stepper = nil
            return .actor(actor)
        }
        while ready.isEmpty {
            if moments.next != nil {
                fireNext()
            } else {
                onDeadlock()
                precondition(!ready.isEmpty, "deadlock: \(waiting)")
            }
        }
        return ready.remove(at: pick(ready.count))
    }

    private func pick(_ count: Int) -> Int {
        switch order {
        case .first: 0
        case .seeded: Int(random.next() % UInt64(count))
        case .chosen(let choose): choose(count)
        }
    }

    private func fireNext() {
        let (moment, what) = moments.removeFirst()
        switch what {
        case .actor(let actor, let park):
            guard case .parked = actor.state, actor.parkNumber == park else { return }
            time = max(time, moment)
            makeReady(actor, .timedOut)
        case .timer(let timer, let arming):
            guard timer.deadline != nil, timer.armNumber == arming else { return }
            time = max(time, moment)
            timer.deadline = nil
            enqueue(timer.work)
        }
    }

    /// Who waits for what: `name: what`, a comma between.
    public var waiting: String {
        parked.map { "\($0.actor.name): \($0.why)" }.joined(separator: ", ")
    }

    // MARK: Work and timers

    public override func enqueue(_ work: Work) {
        guard !work.isQueued else { return }
        work.isQueued = true
        if work.runner == nil { ready.append(.work(work)) }
    }

    private func run(_ work: Work) {
        let below = me!
        guard !work.queue.mayPark || below.held + below.heldBelow == 0 else {
            return runOnThread(work)
        }
        let runner = spareRunners.popLast() ?? GateActor("work", gate: self)
        runner.heldBelow = below.held + below.heldBelow
        runner.mayPark = work.queue.mayPark
        below.isBuried = true
        if case .ready = below.state { ready.removeAll { $0.isActor(below) } }
        execute(work, as: runner)
        below.isBuried = false
        me = below
        if case .ready = below.state { ready.append(.actor(below)) }
        spareRunners.append(runner)
    }

    private func runOnThread(_ work: Work) {
        // Not to be picked again: the new actor has it.
        work.runner = spawn(work.queue.name) { [self] in execute(work, as: me) }
    }

    private func execute(_ work: Work, as runner: GateActor) {
        runner.state = .running
        me = runner
        work.runner = runner
        work.isQueued = false
        work.run()
        work.runner = nil
        if work.isQueued { ready.append(.work(work)) }
        for waiter in work.waiters { unpark(waiter) }
        work.waiters = []
    }

    public override func cancel(_ work: Work) {
        if work.isQueued {
            work.isQueued = false
            ready.removeAll { $0.isWork(work) }
        }
        while let runner = work.runner, runner !== me {
            work.waiters.append(me)
            _ = park("the end of a work item's run")
        }
    }

    public override func flush(_ work: Work) {
        while work.isQueued || work.runner != nil, work.runner !== me {
            work.waiters.append(me)
            _ = park("a work item")
        }
    }

    public override func arm(_ timer: Timer, at deadline: UInt64) {
        timer.deadline = deadline
        timer.armNumber += 1
        moments.add(at: deadline, .timer(timer, arming: timer.armNumber))
    }

    public override func disarm(_ timer: Timer) -> Bool {
        defer { timer.deadline = nil }
        return timer.deadline != nil
    }
}
