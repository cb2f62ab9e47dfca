import DRMLock
import DRMScheduler
import DRMSync
import KernelErrno
import Synchronization

/// A small generator; one seed, one run.
struct Random {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

    /// - Returns: 0..<count.
    mutating func below(_ count: Int) -> Int {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return Int((state &* 0x2545_f491_4f6c_dd1d) >> 33) % count
    }

    /// True once in so many.
    mutating func once(in count: Int) -> Bool { below(count) == 0 }
}

/// A random graph of jobs over several entities, schedulers and timelines, with kills, timeouts, resets and pauses; all rules are
/// checked while it runs and at its end (`run()`).
///
/// Locking: what it notes down has one lock.
final class Explorer: @unchecked Sendable {
    let gate: Gate
    var random: Random
    let lock = SpinLock()
    /// The first rule broken.
    private var broken: String?

    var gpus: [ExplorerGPU] = []
    var entities: [ExplorerEntity] = []
    var jobs: [JobRecord] = []
    /// Fences of somebody else's, signalled at some time.
    private var others: [Fence] = []
    private var timelines: [Timeline] = []
    let live = Counters()
    /// Whether what may park is given the chance.
    let mayPark: Bool

    init(_ gate: Gate, seed: UInt64) throws {
        self.gate = gate
        var random = Random(seed)
        mayPark = !(gate is SteppedGate) || random.once(in: 32)
        self.random = random
        let policy = [SchedulingPolicy.fifo, .fifo, .roundRobin, .fair][random.below(4)]
        for i in 0...random.below(3) {
            gpus.append(try ExplorerGPU(self, number: i, policy: policy))
        }
        let guilt = Guilt()
        for _ in 0...random.below(5) {
            let priority = SchedulerPriority(rawValue: UInt8(random.below(4)))!
            let entity = try SchedulerEntity(someSchedulers(), priority: priority, guilt: random.once(in: 2) ? guilt : nil)
            entities.append(ExplorerEntity(entity))
        }
        timelines = (0..<random.below(3)).map { _ in Timeline() }
        for _ in 0..<random.below(4) {
            others.append(Fence(gate: gate, context: gate.allocateContexts(), seqno: 1))
        }
    }

    private func someSchedulers() -> [Scheduler] {
        let first = random.below(gpus.count)
        return (0...random.below(gpus.count)).map { gpus[(first + $0) % gpus.count].scheduler }
    }

    func rule(_ holds: Bool, _ what: @autoclosure () -> String) {
        guard !holds else { return }
        let what = what()
        lock.withLock { if broken == nil { broken = what } }
    }

    // MARK: A run

    func run() throws {
        let count = 5 + random.below(16)
        while jobs.count < count {
            try act()
            if !random.once(in: 3) { pass() }
        }
        for _ in 0..<random.below(10) {
            try act()
            pass()
        }
        settle()
        try end()
    }

    /// Others go on for a while.
    private func pass() {
        guard let gate = gate as? SteppedGate else {
            gate.sleep(for: UInt64(random.below(50_000)))
            return
        }
        if random.once(in: 4) {
            gate.advance(by: UInt64(random.below(8)) * millisecond)
        } else {
            for _ in 0..<random.below(6) { gate.step() }
        }
    }

    private func act() throws {
        let entity = entities[random.below(entities.count)]
        let gpu = gpus[random.below(gpus.count)]
        switch random.below(40) {
        case 0:
            entity.isKilled = true
            entity.entity.kill()
        case 1: try entity.entity.setSchedulers(someSchedulers())
        case 2: entity.entity.priority = SchedulerPriority(rawValue: UInt8(random.below(4)))!
        case 3: gpu.scheduler.fault()
        case 4: gpu.unlessResetting { $0.pauseWork() }
        case 5, 6: gpu.unlessResetting { $0.resumeWork() }
        case 7, 8: if !others.isEmpty { others[random.below(others.count)].signal() }
        default: if jobs.count < 20 { try submit(entity) }
        }
    }

    private func submit(_ entity: ExplorerEntity) throws {
        if entity.isKilled && !random.once(in: 4) { return }
        let record = JobRecord(jobs.count, entity, what: randomBehaviour(), duration: UInt64(1 + random.below(5)) * millisecond)
        let job = try ExplorerJob(self, record, credits: UInt32(1 + random.below(3)))
        for _ in 0..<random.below(3) where !jobs.isEmpty {
            let other = jobs[random.below(jobs.count)]
            let onlyScheduled = random.once(in: 4)
            job.addDependency(onlyScheduled ? other.fence!.scheduled : other.fence)
            record.need(other, onlyScheduled)
        }
        if !others.isEmpty, random.once(in: 5) {
            let fence = others[random.below(others.count)]
            job.addDependency(fence)
            record.others.append(fence)
        }
        if !timelines.isEmpty, random.once(in: 4) {
            let timeline = timelines[random.below(timelines.count)]
            if !timeline.links.isEmpty {
                let point = 1 + random.below(timeline.links.count)
                job.addDependency(try FenceChain.find(timeline.newest!, point: UInt64(point)))
                record.links += timeline.links[..<point]
            }
        }
        job.arm()
        record.fence = job.finished
        if !timelines.isEmpty, random.once(in: 4) { timelines[random.below(timelines.count)].add(record) }
        if random.once(in: 8) { job.finished.dontPipeline = true }
        if random.once(in: 4) { _ = job.scheduled }
        try job.finished.add(SignalCount(record))
        record.last = entity.last
        entity.last = record
        jobs.append(record)
        job.push()
    }

    private func randomBehaviour() -> JobRecord.Behaviour {
        switch random.below(12) {
        case 0: .isDone
        case 1: .fails
        case 2: .isDoneWithFence
        case 3: .hangs
        case 4: .failsLater
        default: .takesTime
        }
    }

    /// Everything that can end does.
    private func settle() {
        for fence in others { fence.signal() }
        for gpu in gpus { gpu.unlessResetting { $0.resumeWork() } }
        // What was pushed to a killed entity stays there until it is killed again.
        for entity in entities where entity.isKilled { entity.entity.kill() }
        wait { self.jobs.allSatisfy(\.isFinished) }
        rule(jobs.allSatisfy(\.isFinished), "a job was lost: \(jobs.filter { !$0.isFinished })")
    }

    private func wait(until done: () -> Bool) {
        if let gate = gate as? SteppedGate {
            gate.advance(by: second)
        } else {
            for _ in 0..<1000 where !done() { gate.sleep(for: millisecond) }
        }
    }

    private func end() throws {
        for entity in entities { entity.entity.fini() }
        wait { self.jobs.allSatisfy { $0.isFinished && $0.freed == 1 } && self.gpus.allSatisfy(\.isIdle) }
        for gpu in gpus {
            rule(gpu.scheduler.creditsUsed == 0, "credits left: \(gpu.scheduler.creditsUsed)")
            gpu.scheduler.fini()
        }
        for record in jobs { check(record) }
        if broken == nil { checkLeaks() }
        if let broken { throw Failure(description: broken) }
    }

    // MARK: Rules

    private func check(_ job: JobRecord) {
        rule(job.signals == 1, "job \(job.number): its finished fence signalled \(job.signals) times")
        rule(job.fence!.isScheduled, "job \(job.number): never scheduled")
        rule(job.freed == 1, "job \(job.number): freed \(job.freed) times")
        let error = job.fence!.error
        rule((job.runs == 0) == (error == .ESRCH), "job \(job.number): ran \(job.runs) times and ended with \(String(describing: error))")
        rule(job.runs <= 1, "job \(job.number): ran \(job.runs) times")
        if job.runs == 1 { rule(job.mayEnd(with: error), "job \(job.number) (\(job.what)): ended with \(String(describing: error))") }
    }

    /// Called when a job is given to a GPU.
    func isRun(_ job: JobRecord, on gpu: ExplorerGPU) {
        let scheduler = gpu.scheduler!
        rule(job.fence!.scheduler === scheduler, "job \(job.number): on another scheduler than it was armed for")
        rule(scheduler.creditsUsed <= scheduler.creditLimit, "more credits in use than there are")
        if let last = job.last {
            rule(last.runs == 1, "job \(job.number) overtook \(last.number) of its entity")
            // An entity changes schedulers when the last that it handed out is finished; older ones need not be.
            rule(
                last.fence!.scheduler === scheduler || last.isFinished,
                "job \(job.number) overtook \(last.number) on another scheduler")
        }
        for (other, onlyScheduled) in job.needs {
            let isEnough = other.entity === job.entity || other.isFinished
                || (other.fence!.isScheduled
                    && (onlyScheduled || (other.fence!.scheduler === scheduler && !other.fence!.dontPipeline)))
            rule(isEnough, "job \(job.number) ran before \(other.number), which it depends on")
        }
        for other in job.links { rule(other.isFinished, "job \(job.number) ran before \(other.number), a timeline's") }
        for fence in job.others { rule(fence.isSignaled, "job \(job.number) ran before a fence that it depends on") }
    }

    /// Called when a killed job is freed.
    func isKilled(_ job: JobRecord) {
        for (other, onlyScheduled) in job.needs {
            rule(onlyScheduled || other.isFinished, "job \(job.number) ended before \(other.number), which it depends on")
        }
        for other in job.links { rule(other.isFinished, "job \(job.number) ended before \(other.number), a timeline's") }
        for fence in job.others { rule(fence.isSignaled, "job \(job.number) ended before a fence that it depends on") }
        guard let last = job.last else { return }
        rule(last.isFinished, "killed job \(job.number) ended before \(last.number) of its entity")
    }

    private func checkLeaks() {
        let some = Weak(fence: jobs.last?.fence, scheduler: gpus.last?.scheduler, entity: entities.last?.entity)
        for entity in entities { entity.last = nil }
        jobs = []
        others = []
        timelines = []
        entities = []
        for gpu in gpus { gpu.scheduler = nil }
        gpus = []
        rule(live.jobs == 0, "\(live.jobs) jobs leaked")
        rule(live.gpus == 0, "\(live.gpus) GPUs, and so schedulers, leaked")
        rule(some.fence == nil, "a fence leaked")
        rule(some.scheduler == nil, "a scheduler leaked")
        rule(some.entity == nil, "an entity leaked")
        if let gate = gate as? SteppedGate { rule(gate.isIdle, "something is still to come") }
    }
}

private struct Weak {
    weak var fence: SchedulerFence?
    weak var scheduler: Scheduler?
    weak var entity: SchedulerEntity?
}

/// How many there are.
final class Counters: @unchecked Sendable {
    private let lock = SpinLock()
    private var jobCount = 0, gpuCount = 0
    func addJob(_ change: Int) { lock.withLock { jobCount += change } }
    func addGPU(_ change: Int) { lock.withLock { gpuCount += change } }
    var jobs: Int { lock.withLock { jobCount } }
    var gpus: Int { lock.withLock { gpuCount } }
}

final class ExplorerEntity: @unchecked Sendable {
    let entity: SchedulerEntity
    var isKilled = false
    /// The last job pushed.
    var last: JobRecord?

    init(_ entity: SchedulerEntity) { self.entity = entity }
}

/// A timeline, as a syncobj has one: point n is the n-th link.
final class Timeline {
    private(set) var links: [JobRecord] = []
    private(set) var newest: Fence?

    func add(_ job: JobRecord) {
        links.append(job)
        newest = FenceChain(previous: newest, fence: job.fence!, point: UInt64(links.count))
    }
}

/// What is known of a job; outlives it.
final class JobRecord: @unchecked Sendable, CustomStringConvertible {
    enum Behaviour {
        case isDone, fails, isDoneWithFence, takesTime, failsLater, hangs
    }

    let number: Int
    let entity: ExplorerEntity
    let what: Behaviour
    let duration: UInt64
    var needs: [(JobRecord, onlyScheduled: Bool)] = []
    var others: [Fence] = []
    /// Those of a timeline up to a point that it depends on.
    var links: [JobRecord] = []
    var fence: SchedulerFence?
    /// The one before it, of its entity.
    var last: JobRecord?

    // What happened.
    private let runCount = Atomic<Int>(0), freeCount = Atomic<Int>(0), signalCount = Atomic<Int>(0)
    var runs: Int { runCount.load(ordering: .acquiring) }
    var freed: Int { freeCount.load(ordering: .acquiring) }
    var signals: Int { signalCount.load(ordering: .acquiring) }
    func wasRun() { runCount.add(1, ordering: .acquiringAndReleasing) }
    func wasFreed() { freeCount.add(1, ordering: .acquiringAndReleasing) }
    func wasSignaled() { signalCount.add(1, ordering: .acquiringAndReleasing) }

    init(_ number: Int, _ entity: ExplorerEntity, what: Behaviour, duration: UInt64) {
        self.number = number
        self.entity = entity
        self.what = what
        self.duration = duration
    }

    /// Of two fences of one context the later counts.
    func need(_ other: JobRecord, _ onlyScheduled: Bool) {
        let i = needs.firstIndex { $0.0.entity === other.entity && $0.onlyScheduled == onlyScheduled }
        if let i {
            if needs[i].0.number < other.number { needs[i].0 = other }
        } else {
            needs.append((other, onlyScheduled))
        }
    }

    var isFinished: Bool { fence!.isFlaggedSignaled }

    var description: String {
        "\(number) (\(what), \(fence!.scheduler.name) \(fence!.scheduler.creditsUsed)/\(fence!.scheduler.creditLimit) \(fence!.scheduler.isPaused), entity \(entity.entity.context) idle \(entity.entity.isIdle), runs \(runs), needs \(needs.map { ($0.0.number, $0.onlyScheduled) }))"
    }

    /// Whether a job that ran may end so. `ECANCELED`: its entity was guilty, or the GPU was reset; `EIO`: this too.
    func mayEnd(with error: KernelErrno?) -> Bool {
        switch what {
        case .isDone, .isDoneWithFence: error == nil || error == .ECANCELED
        case .fails: error == .EINVAL
        case .takesTime: error == nil || error == .ECANCELED || error == .EIO || error == .ETIMEDOUT
        case .failsLater: error == .ENODEV || error == .ECANCELED || error == .EIO || error == .ETIMEDOUT
        case .hangs: error == .ECANCELED || error == .EIO || error == .ETIMEDOUT
        }
    }
}

private final class SignalCount: FenceCallback, @unchecked Sendable {
    let record: JobRecord
    init(_ record: JobRecord) { self.record = record }
    override func signaled(_ fence: Fence) { record.wasSignaled() }
}

final class ExplorerJob: SchedulerJob, @unchecked Sendable {
    let record: JobRecord
    let live: Counters
    let hardwareFence: Fence
    var finishTime: UInt64 = 0

    init(_ explorer: Explorer, _ record: JobRecord, credits: UInt32) throws(KernelErrno) {
        self.record = record
        live = explorer.live
        hardwareFence = Fence(gate: explorer.gate, context: explorer.gate.allocateContexts(), seqno: 1)
        try super.init(entity: record.entity.entity, credits: credits)
        live.addJob(1)
    }

    deinit { live.addJob(-1) }
}

/// Hardware that does one job after another. One that hangs stops it until somebody takes that off.
final class ExplorerGPU: SchedulerDriver, @unchecked Sendable {
    unowned let explorer: Explorer
    let live: Counters
    private(set) var timer: Timer!
    /// Cleared at the end.
    var scheduler: Scheduler!
    private let isBusy = Atomic<Bool>(false)
    private let lock = SpinLock()
    // Guarded by the lock.
    private var queue: [ExplorerJob] = []
    private var choices: Random

    init(_ explorer: Explorer, number: Int, policy: SchedulingPolicy) throws {
        self.explorer = explorer
        live = explorer.live
        choices = Random(UInt64(explorer.random.below(1 << 20)))
        live.addGPU(1)
        // Where freeing does not park, nothing that deals with a timeout waits for does; that is quicker by far.
        let mayPark = explorer.mayPark
        let submit = WorkQueue("submit", gate: explorer.gate, mayPark: false)
        let free = WorkQueue("free", gate: explorer.gate, mayPark: mayPark)
        timer = Timer(Clock(self, submit))
        scheduler = try Scheduler(
            name: "gpu \(number)", driver: self, gate: explorer.gate,
            queues: .init(submit: submit, free: free, timeout: WorkQueue("timeout", gate: explorer.gate, mayPark: mayPark)),
            runQueues: 1 + explorer.random.below(4), creditLimit: UInt32(1 + explorer.random.below(4)),
            hangLimit: explorer.random.below(2), timeout: UInt64(8 + explorer.random.below(8)) * millisecond,
            policy: policy)
    }

    deinit { live.addGPU(-1) }

    private final class Clock: Work, @unchecked Sendable {
        unowned let gpu: ExplorerGPU
        init(_ gpu: ExplorerGPU, _ queue: WorkQueue) {
            self.gpu = gpu
            super.init(queue: queue)
        }
        override func run() { gpu.finishDue() }
    }

    private func choose(_ count: Int) -> Int { lock.withLock { choices.below(count) } }

    var isIdle: Bool { lock.withLock { queue.isEmpty } }

    func run(_ job: SchedulerJob) throws(KernelErrno) -> Fence? {
        let job = job as! ExplorerJob
        explorer.isRun(job.record, on: self)
        job.record.wasRun()
        switch job.record.what {
        case .isDone: return nil
        case .fails: throw .EINVAL
        case .isDoneWithFence: job.hardwareFence.signal()
        case .failsLater, .takesTime, .hangs:
            lock.lock()
            queue.append(job)
            if queue.count == 1 { startFirst() }
            lock.unlock()
        }
        return job.hardwareFence
    }

    private func startFirst() {
        guard let job = queue.first, job.record.what != .hangs else { return }
        job.finishTime = explorer.gate.now + job.record.duration
        timer.arm(at: job.finishTime)
    }

    private func finishDue() {
        lock.lock()
        guard let job = queue.first, job.record.what != .hangs, job.finishTime <= explorer.gate.now else {
            return lock.unlock()
        }
        queue.removeFirst()
        startFirst()
        lock.unlock()
        if job.record.what == .failsLater { job.hardwareFence.setError(.ENODEV) }
        job.hardwareFence.signal()
    }

    /// - Returns: whether it was there.
    private func takeOff(_ job: ExplorerJob) -> Bool {
        lock.withLock {
            guard let i = queue.firstIndex(where: { $0 === job }) else { return false }
            queue.remove(at: i)
            if i == 0 { startFirst() }
            return true
        }
    }

    func free(_ job: SchedulerJob) {
        let record = (job as! ExplorerJob).record
        explorer.rule(record.isFinished, "job \(record.number) was freed before it was finished")
        if record.runs == 0 { explorer.isKilled(record) }
        record.wasFreed()
    }

    func timedOut(_ job: SchedulerJob) -> SchedulerStatus {
        let job = job as! ExplorerJob
        switch choose(4) {
        case 0: return job.record.what == .hangs ? reset(job) : .noHang
        case 1: return end(job)
        default: return reset(job)
        }
    }

    /// Pausing and resuming belong to one at a time, as a driver's reset lock has it; a reset ends with resuming.
    func unlessResetting(_ body: (Scheduler) -> Void) {
        guard !isBusy.exchange(true, ordering: .acquiring) else { return }
        body(scheduler)
        isBusy.store(false, ordering: .releasing)
    }

    /// All that is on the GPU is lost.
    private func reset(_ job: ExplorerJob) -> SchedulerStatus {
        var isDone = false
        unlessResetting { scheduler in
            doReset(job, scheduler)
            isDone = true
        }
        return isDone ? .reset : .noHang
    }

    private func doReset(_ job: ExplorerJob, _ scheduler: Scheduler) {
        scheduler.stop(job)
        if choose(2) == 0 { job.increaseKarma() }
        lock.lock()
        let lost = queue
        queue = []
        timer.disarm()
        lock.unlock()
        scheduler.start(error: choose(2) == 0 ? nil : .EIO)
        for job in lost {
            job.hardwareFence.setError(.ENODEV)
            job.hardwareFence.signal()
        }
    }

    /// Only this job ends, by our hand.
    private func end(_ job: ExplorerJob) -> SchedulerStatus {
        let record = job.record
        guard takeOff(job) else { return .noHang }
        job.hardwareFence.setError(.ETIMEDOUT)
        job.hardwareFence.signal()
        record.wasFreed()
        job.cleanup()
        return .reset
    }
}
