import DRMLock
import DRMScheduler
import DRMSync
import KernelErrno

// The scenarios of the kernel's KUnit suites for the scheduler (jobs.md §7), for any gate. Numbers of jobs and times
// are parameters, so that one scenario runs in full once and in short with many seeds.

/// A scheduler on mock hardware.
final class Rig: @unchecked Sendable {
    let gate: Gate
    let gpu: MockGPU
    let scheduler: Scheduler
    var entities: [SchedulerEntity] = []

    init(
        _ gate: Gate, creditLimit: UInt32 = .max, timeout: UInt64 = .never, hangLimit: Int = 1, runQueues: Int = 4,
        policy: SchedulingPolicy = .fifo
    ) throws {
        self.gate = gate
        gpu = MockGPU(gate)
        scheduler = try Scheduler(
            name: "mock", driver: gpu, gate: gate, runQueues: runQueues, creditLimit: creditLimit,
            hangLimit: hangLimit, timeout: timeout, policy: policy)
    }

    func entity(_ priority: SchedulerPriority = .normal, guilt: Guilt? = nil) throws -> SchedulerEntity {
        let entity = try SchedulerEntity([scheduler], priority: priority, guilt: guilt)
        entities.append(entity)
        return entity
    }

    func job(_ entity: SchedulerEntity, _ name: String = "", duration: UInt64 = 0, credits: UInt32 = 1) throws -> MockJob {
        try MockJob(gpu, entity, name, duration: duration, credits: credits)
    }

    /// Ends everything; nothing may be left.
    func end() throws {
        for entity in entities { entity.destroy() }
        entities = []
        scheduler.fini()
        try require(scheduler.creditsUsed == 0 || !gpu.canCancel, "credits left: \(scheduler.creditsUsed)")
    }

    func checkNothingLeft() throws {
        try require(gpu.liveJobs == 0, "jobs left: \(gpu.liveJobs)")
        try require(scheduler.score == 0, "score left: \(scheduler.score)")
    }
}

func basicSubmit(_ gate: Gate, unit: UInt64 = second) throws {
    let rig = try Rig(gate)
    let job = try rig.job(rig.entity())
    job.submit()
    try require(job.scheduled.signals(within: unit))
    let finished = job.finished
    try require(!finished.signals(within: unit / 2))
    try require(rig.gpu.advance(1) == 1)
    try require(finished.signals(within: unit))
    try rig.end()
}

func basic(_ gate: Gate, entities: Int, chained: Bool, jobs: Int, duration: UInt64 = millisecond) throws {
    let rig = try Rig(gate)
    for _ in 0..<entities { _ = try rig.entity() }
    var last: SchedulerFence?
    for i in 0..<jobs {
        for entity in rig.entities {
            let job = try rig.job(entity, "\(i)", duration: duration)
            if chained { job.addDependency(last) }
            job.submit()
            last = job.finished
        }
    }
    try require(last!.signals(within: UInt64(jobs * entities) * duration + second))
    try rig.end()
    try require(rig.gpu.ran.count == jobs * entities)
}

func entityCleanup(_ gate: Gate, jobs: Int, duration: UInt64 = millisecond) throws {
    let rig = try Rig(gate)
    for _ in 0..<4 { _ = try rig.entity() }
    var fences: [SchedulerFence] = []
    for i in 0..<jobs {
        let job = try rig.job(rig.entities[i % 4], duration: duration)
        job.addDependency(fences.last)
        job.submit()
        fences.append(job.finished)
    }
    try require(fences[jobs / 2].signals(within: second))
    for entity in rig.entities { entity.fini() }
    try require(fences.last!.signals(within: second))
    gate.sleep(for: 10 * millisecond)
    try rig.end()
    try rig.checkNothingLeft()
}

func timeout(_ gate: Gate, limit: UInt64 = 200 * millisecond) throws {
    let rig = try Rig(gate, timeout: limit)
    let job = try rig.job(rig.entity())
    job.submit()
    let finished = job.finished
    try require(job.scheduled.signals(within: second))
    try require(!finished.signals(within: limit / 2))
    try require(!rig.gpu.lock.withLock { job.timedOut })
    try require(finished.signals(within: limit))
    try require(rig.gpu.lock.withLock { job.timedOut })
    try require(finished.error == .ETIMEDOUT)
    gate.sleep(for: millisecond)
    try rig.end()
}

func skipReset(_ gate: Gate, limit: UInt64 = 200 * millisecond) throws {
    let rig = try Rig(gate, timeout: limit)
    let job = try rig.job(rig.entity())
    job.dontReset = true
    job.submit()
    let finished = job.finished
    try require(!finished.signals(within: 2 * limit))
    try require(rig.gpu.lock.withLock { job.resetSkipped && !job.timedOut })
    try require(rig.gpu.advance(1) == 1)
    try require(finished.signals(within: second))
    try rig.end()
}

func cancel(_ gate: Gate) throws {
    let rig = try Rig(gate)
    let job = try rig.job(rig.entity())
    job.submit()
    try require(job.scheduled.signals(within: second))
    try rig.end()
    try require(job.hardwareFence.error == .ECANCELED)
}

func priorities(_ gate: Gate, jobs: Int, duration: UInt64 = millisecond) throws {
    let rig = try Rig(gate)
    for priority in SchedulerPriority.allCases { _ = try rig.entity(priority) }
    var last: SchedulerFence?
    for i in 0..<jobs {
        let job = try rig.job(rig.entities[i % 4], duration: duration)
        job.submit()
        last = job.finished
    }
    try require(last!.signals(within: second))
    try rig.end()
}

func changePriority(_ gate: Gate, jobs: Int) throws {
    let rig = try Rig(gate)
    for priority in SchedulerPriority.allCases { _ = try rig.entity(priority) }
    var all: [SchedulerFence] = []
    for i in 0..<jobs {
        let job = try rig.job(rig.entities[i % 4], duration: millisecond)
        job.submit()
        all.append(job.finished)
    }
    let fences = all
    let changer = gate.spawn("priorities") {
        var turn: UInt8 = 0
        while !fences.allSatisfy(\.isSignaled) {
            turn &+= 1
            for (i, entity) in rig.entities.enumerated() {
                entity.priority = SchedulerPriority(rawValue: (turn &+ UInt8(i)) % 4)!
            }
            gate.sleep(for: 200_000 + UInt64(turn) * 1000)
        }
    }
    for fence in fences { try require(fence.signals(within: UInt64(jobs) * millisecond + second)) }
    gate.join(changer)
    try rig.end()
}

func modifySched(_ gate: Gate, entities: Int = 13, jobs: Int = 1000, duration: UInt64 = millisecond) throws {
    let rigs = try (0..<3).map { _ in try Rig(gate) }
    let schedulers = rigs.map(\.scheduler)
    let line = try (0..<entities).map { try SchedulerEntity([schedulers[$0 % 3]]) }
    var fences: [SchedulerFence] = []
    for i in 0..<jobs {
        let entity = line[i % entities]
        let rig = rigs[i % 3]
        // Which GPU a job runs on shows only when it is armed: the mock is asked by its scheduler.
        let job = try MockJob(rig.gpu, entity, duration: 0)
        job.submit()
        fences.append(job.finished)
        try entity.setSchedulers([schedulers[(i + 1) % 3], schedulers[(i + 2) % 3]])
        if i % 7 == 0 { gate.sleep(for: duration) }
        for rig in rigs { rig.gpu.advance(1) }
    }
    while !fences.allSatisfy(\.isSignaled) {
        for rig in rigs { rig.gpu.advance(1) }
        gate.sleep(for: 100_000)
    }
    for entity in line { entity.destroy() }
    gate.sleep(for: millisecond)
    for rig in rigs {
        try rig.end()
        try rig.checkNothingLeft()
    }
    try require(Set(fences.map { ObjectIdentifier($0.scheduler) }).count == 3, "a scheduler was never chosen")
}

func credits(_ gate: Gate, unit: UInt64 = second) throws {
    let rig = try Rig(gate, creditLimit: 1)
    let entity = try rig.entity()
    let a = try rig.job(entity), b = try rig.job(entity)
    a.submit()
    b.submit()
    let finished = b.finished, scheduled = b.scheduled
    try require(a.scheduled.signals(within: unit))
    try require(!scheduled.signals(within: unit))
    try require(rig.gpu.advance(1) == 1)
    try require(scheduled.signals(within: unit))
    try require(rig.gpu.advance(1) == 1)
    try require(finished.signals(within: unit))
    try rig.end()
}

/// Many jobs behind one that blocks; over two entities, each job depends on the one before.
func overhead(_ gate: Gate, entities: Int, jobs: Int, duration: UInt64 = millisecond, slack: UInt64 = 5) throws {
    let rig = try Rig(gate, creditLimit: 1)
    for _ in 0..<entities { _ = try rig.entity() }
    let blocker = try rig.job(rig.entities[0])
    blocker.submit()
    try require(blocker.scheduled.signals(within: second))
    var last = blocker.finished
    for i in 0..<jobs {
        let job = try rig.job(rig.entities[i % entities], duration: duration)
        if entities > 1 { job.addDependency(last) }
        job.submit()
        last = job.finished
    }
    try require(rig.gpu.advance(1) == 1)
    try require(last.signals(within: slack * UInt64(jobs) * duration))
    try rig.end()
}

/// What one client does: so many jobs of a duration, a pause after each; waits for each, or not.
struct Client {
    var priority = SchedulerPriority.normal
    var jobs: Int
    var duration: UInt64
    var pause: UInt64 = 0
    var waits = false
}

func clients(_ gate: Gate, creditLimit: UInt32, _ clients: [Client]) throws {
    let rig = try Rig(gate, creditLimit: creditLimit)
    let entities = try clients.map { try rig.entity($0.priority) }
    let done = Counter()
    let actors = clients.indices.map { i in
        gate.spawn("client \(i)") {
            let client = clients[i]
            var last: SchedulerFence?
            for _ in 0..<client.jobs {
                guard let job = try? rig.job(entities[i], duration: client.duration) else { return }
                job.submit()
                last = job.finished
                if client.waits { _ = last!.signals(within: 1000 * second) }
                if client.pause > 0 { gate.sleep(for: client.pause) }
            }
            if last!.signals(within: 1000 * second) { done.add() }
        }
    }
    for actor in actors { gate.join(actor) }
    try require(done.value == clients.count, "only \(done.value) clients came to their end")
    try rig.end()
}

final class Counter: @unchecked Sendable {
    private let lock = SpinLock()
    private var count = 0
    func add() { lock.withLock { count += 1 } }
    var value: Int { lock.withLock { count } }
}

/// The ten pairs of clients, with so many jobs each at most.
func clientPairs(_ jobs: Int) -> [(name: String, clients: [Client])] {
    let ms = millisecond
    func pair(_ a: SchedulerPriority, _ b: SchedulerPriority) -> [Client] {
        [Client(priority: a, jobs: jobs, duration: 8 * ms), Client(priority: b, jobs: jobs, duration: 8 * ms)]
    }
    func half(_ a: SchedulerPriority, _ b: SchedulerPriority) -> [Client] {
        [a, b].map { Client(priority: $0, jobs: jobs, duration: 3 * ms / 2, pause: 3 * ms / 2, waits: true) }
    }
    func heavy(_ duration: UInt64, _ a: SchedulerPriority) -> [Client] {
        [
            Client(priority: a, jobs: jobs, duration: duration),
            Client(jobs: jobs, duration: ms / 2, pause: 10 * ms, waits: true),
        ]
    }
    return [
        ("normal and normal", pair(.normal, .normal)), ("normal and low", pair(.normal, .low)),
        ("high and normal", pair(.high, .normal)), ("high and low", pair(.high, .low)),
        ("50 and 50", half(.normal, .normal)), ("50 and 50 low", half(.normal, .low)),
        ("hog and interactive", heavy(3 * ms, .normal)), ("low hog and interactive", heavy(3 * ms, .low)),
        ("heavy and interactive", heavy(7 * ms, .normal)), ("very heavy and interactive", heavy(40 * ms, .normal)),
    ]
}
