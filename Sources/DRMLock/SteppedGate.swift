internal import Glibc

/// The gate that does one thing at a time, in an order that can be had again.
///
/// There is one baton; only who has it runs, touches the gate or anything that stands on it. It is handed on where
/// the holder parks or passes a contended point (``Gate/point()``). What may go on then: actors that are ready, and
/// work items, each of which is one step. Time stands still while anybody may go on, then jumps to the next timer or
/// deadline. When nothing may go on and nothing is to come, that is a deadlock: ``onDeadlock``.
///
/// Each actor has a thread of its own, and so has the run of a work item that may park; other items run on the stack
/// of whoever parks or steps. ``WorkQueue/parksOnlyForLocks`` is the exception.
public final class SteppedGate: Gate, @unchecked Sendable {
    /// Who goes on, of those who may.
    public enum Order {
        /// The first who could; contended points are passed over.
        case first
        /// By a generator with this seed.
        case seeded(UInt64)
        /// By the caller: the index of one out of `count` (≥ 1).
        case chosen((_ count: Int) -> Int)

        var isFirst: Bool {
            if case .first = self { true } else { false }
        }
    }

    /// Called with the baton when nobody can go on; may wake somebody. If nobody is ready after it, the process ends
    /// with the list of who waits for what.
    @exclusivity(unchecked) public var onDeadlock: () -> Void = {}

    private let order: Order
    @exclusivity(unchecked) private var random = SplitMix(state: 0)
    @exclusivity(unchecked) private var time: UInt64
    /// Has the baton. Kept by `actors`, or by whose stack it borrows.
    @exclusivity(unchecked) private var holder: Unmanaged<SteppedActor>!
    private var me: SteppedActor { holder.takeUnretainedValue() }
    /// Steps another actor and gets the baton back when that parks.
    @exclusivity(unchecked) private var stepper: Unmanaged<SteppedActor>?
    @exclusivity(unchecked) private var ready = ReadyLine()
    @exclusivity(unchecked) private var moments = Moments()
    /// All who have not ended and the items' threads; the caller of init first.
    @exclusivity(unchecked) private var actors: [SteppedActor] = []
    /// Those of items that may park, to be used again.
    @exclusivity(unchecked) private var spareThreads: [SteppedActor] = []

    /// The caller is the first actor and has the baton.
    public init(_ order: Order = .first, now: UInt64 = 1_000_000_000) {
        self.order = order
        time = now
        if case .seeded(let seed) = order { random = SplitMix(state: seed) }
        super.init(hasPoints: !order.isFirst, countsLocks: true)
        let main = SteppedActor("main", gate: self)
        actors.append(main)
        holder = .passUnretained(main)
    }

    deinit {
        for actor in spareThreads {
            actor.state = .ended
            actor.post()
        }
        for actor in allActors { actor.waiter = nil }
    }

    public override var now: UInt64 { time }
    package override var caller: Unmanaged<GateActor> { holder._withUnsafeGuaranteedRef { .passUnretained($0) } }

    // MARK: Actors

    @discardableResult
    public override func spawn(_ name: String, _ body: @escaping @Sendable () -> Void) -> GateActor {
        let actor = SteppedActor(name, gate: self)
        startThread({
            actor.waitForBaton()
            body()
        }, end: { [self] in end(actor) })
        actors.append(actor)
        actor.state = .ready
        ready.append(actor)
        return actor
    }

    /// The last of a thread: hands the baton on for good.
    private func end(_ actor: SteppedActor) {
        #if GPUVM_VALIDATE
        validator.end(of: actor)
        #endif
        actor.state = .ended
        for joiner in actor.joiners { unpark(joiner) }
        actor.joiners = []
        for actor in sequence(first: actor, next: \.runnerAbove) { actor.waiter = nil }
        actors.removeAll { $0 === actor }
        handOver(to: nextActor())
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
        holder._withUnsafeGuaranteedRef { actor in
            precondition(actor.mayPark, "a work item of a queue that may not park waits for \(why)")
            if let wake = actor.takeEarlyWake(interruptible: interruptible) { return wake }
            actor.state = .parked(interruptible: interruptible)
            actor.why = why
            if deadline != .never { moments.add(actor, at: deadline) }
            resume(actor, after: nextActor())
            return actor.wake
        }
    }

    /// Hands the baton to `next`, unless that is the actor itself, and waits until it comes back.
    private func resume(_ actor: SteppedActor, after next: Unmanaged<SteppedActor>) {
        if next.toOpaque() != Unmanaged.passUnretained(actor).toOpaque() {
            handOver(to: next)
            actor.waitForBaton()
        }
        actor.state = .running
    }

    /// It may end before this does.
    private func handOver(to next: Unmanaged<SteppedActor>) {
        let next = next.takeUnretainedValue()
        become(next)
        next.state = .running
        next.post()
    }

    private func become(_ actor: SteppedActor) {
        holder._withUnsafeGuaranteedRef { $0.heldLocks = held }
        holder = .passUnretained(actor)
        held = actor.heldLocks
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

    override func timeOut(_ actor: GateActor) { makeReady(actor, .timedOut) }

    private func makeReady(_ actor: GateActor, _ wake: Wake) {
        let actor = unsafeDowncast(actor, to: SteppedActor.self)
        moments.remove(actor)
        actor.wake = wake
        actor.state = .ready
        if !actor.isBuried { ready.append(actor) }
    }

    override func passPoint() {
        let actor = me
        guard !ready.isEmpty, actor.mayPark else { return }
        let i = pick(ready.count + 1)
        guard i < ready.count else { return }
        let next = ready.remove(at: i)
        actor.state = .ready
        ready.append(actor)
        resume(actor, after: run(next) ?? nextActor())
    }

    // MARK: Steps

    /// Does one thing of what is ready: a work item, or another actor up to where it parks.
    /// - Returns: false: nothing is ready.
    @discardableResult
    public func step() -> Bool {
        guard !ready.isEmpty else { return false }
        guard let next = run(ready.remove(at: pick(ready.count))) else { return true }
        let actor = me, outer = stepper
        // The baton comes back here first of all, whatever the order says.
        stepper = .passUnretained(actor)
        actor.state = .ready
        resume(actor, after: next)
        stepper = outer
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
        while let moment = moments.first, moment.time <= end {
            fireNext()
            runUntilIdle()
        }
        time = max(time, end)
    }

    /// Nothing is ready and nothing will come by itself.
    public var isIdle: Bool { ready.isEmpty && moments.first == nil }

    /// Runs work items until it is an actor's turn.
    private func nextActor() -> Unmanaged<SteppedActor> {
        while true {
            if let actor = stepper {
                stepper = nil
                return actor
            }
            while ready.isEmpty {
                if moments.first != nil {
                    fireNext()
                } else {
                    onDeadlock()
                    precondition(!ready.isEmpty, "deadlock: \(waiting)")
                }
            }
            if let actor = run(ready.remove(at: pick(ready.count))) { return actor }
        }
    }

    private func pick(_ count: Int) -> Int {
        switch order {
        case .first: 0
        case .seeded: Int(random.next() % UInt64(count))
        case .chosen(let choose): choose(count)
        }
    }

    /// 2^62 ns, 146 years: who set a moment so far off meant "for ever". When nothing else is left it comes, and the
    /// clock stays where it is.
    private static let farAway: UInt64 = 1 << 62

    private func fireNext() {
        let moment = moments.first!
        moments.remove(moment)
        if moment.time < Self.farAway { time = max(time, moment.time) }
        moment.come()
    }

    /// With those that run items on others' stacks.
    private var allActors: [SteppedActor] { actors.flatMap { sequence(first: $0, next: \.runnerAbove) } }

    /// Who waits for what: `name: what`, a comma between.
    public var waiting: String {
        allActors.compactMap { actor in
            switch actor.state {
            case .parked: "\(actor.label): \(actor.why)"
            case .ready where actor.isBuried: "\(actor.label): a work item on its stack"
            default: nil
            }
        }.joined(separator: ", ")
    }

    // MARK: Work

    public override func enqueue(_ work: Work) {
        guard !work.isQueued else { return }
        work.isQueued = true
        if work.runner == nil { ready.append(work) }
    }

    /// Runs a work item.
    /// - Returns: whose turn it is instead: an actor, or the item's run on a thread of its own.
    private func run(_ next: ReadyLine.Entry) -> Unmanaged<SteppedActor>? {
        switch next {
        case .actor(let actor): return actor
        case .work(let work, let isKept):
            defer { if !isKept { work.release() } }
            guard work._withUnsafeGuaranteedRef({ !$0.queue.mayPark || canBorrow(for: $0.queue) }) else {
                return thread(for: work.takeUnretainedValue())
            }
            work._withUnsafeGuaranteedRef { runHere($0) }
            return nil
        }
    }

    /// Whoever lies below a parked run has no lock that it could wait for, and is not a run that may be waited for.
    private func canBorrow(for queue: WorkQueue) -> Bool {
        queue.parksOnlyForLocks && order.isFirst && held == 0 && me.work == nil
    }

    private func runHere(_ work: Work) {
        holder._withUnsafeGuaranteedRef { below in
            below.isBuried = true
            if case .ready = below.state { ready.remove(below) }
            below.runner()._withUnsafeGuaranteedRef { runner in
                become(runner)
                execute(work, as: runner)
            }
            become(below)
            below.isBuried = false
            // It was, or became so meanwhile.
            if case .ready = below.state { ready.append(below) }
        }
    }

    private func execute(_ work: Work, as runner: SteppedActor) {
        runner.state = .running
        runner.begin(work)
        work.run()
        #if GPUVM_VALIDATE
        validator.end(of: runner)
        #endif
        runner.work = nil
        work.runner = nil
        if !work.waiters.isEmpty { for waiter in work.takeWaiters() { unpark(waiter) } }
        if work.isQueued { ready.append(work) }
    }

    /// Whose thread, as soon as it gets the baton, runs the work item.
    private func thread(for work: Work) -> Unmanaged<SteppedActor> {
        let runner = spareThreads.popLast() ?? startRunner()
        runner.assigned = work
        // `actors` keeps it.
        return .passUnretained(runner)
    }

    private func startRunner() -> SteppedActor {
        let runner = SteppedActor("", gate: self)
        actors.append(runner)
        // An idle thread does not keep the gate; one that runs something does.
        let unowned = Unmanaged.passUnretained(self)
        startThread {
            while true {
                runner.waitForBaton()
                guard runner.assigned != nil else { return }
                unowned.takeUnretainedValue().runOnThread(runner)
            }
        }
        return runner
    }

    private func runOnThread(_ runner: SteppedActor) {
        runAssigned(runner)
        runner.state = .ended
        let next = nextActor()
        spareThreads.append(runner)
        handOver(to: next)
    }

    /// A function of its own, so that the item is let go before somebody else goes on.
    @inline(never) private func runAssigned(_ runner: SteppedActor) {
        execute(runner.assigned.take()!, as: runner)
    }

    public override func cancel(_ work: Work) {
        unqueue(work)
        while let runner = work.runner, runner !== me {
            work.waiters.append(me)
            _ = park("the end of a work item's run")
            // It may have been asked for meanwhile.
            unqueue(work)
        }
    }

    private func unqueue(_ work: Work) {
        guard work.isQueued else { return }
        work.isQueued = false
        ready.remove(work)
    }

    public override func flush(_ work: Work) {
        while work.isQueued || work.runner != nil, work.runner !== me {
            work.waiters.append(me)
            _ = park("a work item")
        }
    }

    // MARK: Timers

    public override func arm(_ timer: Timer, at deadline: UInt64) { moments.add(timer, at: deadline) }

    public override func disarm(_ timer: Timer) -> Bool {
        defer { moments.remove(timer) }
        return timer.isWaiting
    }

    override func deadline(of timer: Timer) -> UInt64? { timer.isWaiting ? timer.time : nil }
}

/// One of the stepped gate's.
final class SteppedActor: GateActor, @unchecked Sendable {
    /// What it is parked for.
    @exclusivity(unchecked) var why: StaticString = ""
    /// How many sleeping locks it holds, while another has the baton.
    @exclusivity(unchecked) var heldLocks = 0
    /// A work item runs on its stack: it cannot go on before that ends.
    @exclusivity(unchecked) var isBuried = false
    /// The run of the item on its stack; made once.
    @exclusivity(unchecked) private(set) var runnerAbove: SteppedActor?
    /// What its thread is to run, if it is a spare one.
    @exclusivity(unchecked) var assigned: Work?
    private let baton: UnsafeMutablePointer<sem_t>

    override init(_ name: String, gate: Gate) {
        baton = .allocate(capacity: 1)
        sem_init(baton, 0, 0)
        super.init(name, gate: gate)
    }

    deinit {
        sem_destroy(baton)
        baton.deallocate()
    }

    /// ``runnerAbove``, which it keeps.
    func runner() -> Unmanaged<SteppedActor> {
        if runnerAbove == nil { runnerAbove = SteppedActor("", gate: gate) }
        return .passUnretained(runnerAbove.unsafelyUnwrapped)
    }

    func post() { sem_post(baton) }

    func waitForBaton() {
        while sem_wait(baton) != 0 {}
    }

    /// Its name, or that of the queue whose item it runs.
    var label: String { work?.queue.name ?? name }
}
