import DRMLock
@testable import DRMScheduler
import DRMSync
import KernelErrno
import Testing

/// Hardware whose jobs are over when a test says so, and are used again.
private final class Recycler: SchedulerDriver, @unchecked Sendable {
    private let gate: Gate
    private let lock = SpinLock()
    // Guarded by the lock.
    private var running: [Fence] = []
    private var spares: [SchedulerJob] = []
    private var begun: [ObjectIdentifier] = []
    private var warned: [SchedulerWarning] = []
    private let waiters = WaitList()

    init(_ gate: Gate) { self.gate = gate }

    /// The jobs that it was given so far.
    var all: [ObjectIdentifier] { lock.withLock { begun } }
    var warnings: [SchedulerWarning] { lock.withLock { warned } }

    func run(_ job: SchedulerJob) throws(KernelErrno) -> Fence? {
        let fence = Fence(gate: gate, context: gate.allocateContexts(), seqno: 1)
        lock.withLock {
            running.append(fence)
            begun.append(ObjectIdentifier(job))
        }
        waiters.wakeAll()
        return fence
    }

    func free(_ job: SchedulerJob) {
        job.reset()
        lock.withLock { spares.append(job) }
        waiters.wakeAll()
    }

    func timedOut(_ job: SchedulerJob) -> SchedulerStatus {
        // On a busy machine its time is over once more before it is freed.
        guard !job.finished.isSignaled else { return .noHang }
        let scheduler = job.finished.scheduler
        scheduler.stop(job)
        job.increaseKarma()
        scheduler.start()
        return .reset
    }

    func warn(_ warning: SchedulerWarning) { lock.withLock { warned.append(warning) } }

    /// Waits until it has so many jobs.
    func waitForJobs(_ count: Int) {
        waiters.wait(on: gate, "jobs") { lock.withLock { running.count >= count } }
    }

    /// Waits for a job and finishes it.
    func finish() {
        waitForJobs(1)
        lock.withLock { running.removeFirst() }.signal()
    }

    /// Waits for a job to be freed.
    func takeSpare() -> SchedulerJob {
        waiters.wait(on: gate, "a job to be freed") { lock.withLock { !spares.isEmpty } }
        return lock.withLock { spares.removeFirst() }
    }
}

/// Reset in `free`, a job is as new: what was of the use before does nothing to the next.
@Suite("a job used again") struct ReuseTests {
    private struct Bench {
        let gate: Gate
        let driver: Recycler
        let scheduler: Scheduler
        let entity: SchedulerEntity

        init(threads: Bool, creditLimit: UInt32 = 8, timeout: UInt64 = .never, guilt: Guilt? = nil) throws {
            gate = threads ? ThreadedGate() : SteppedGate()
            driver = Recycler(gate)
            scheduler = try Scheduler(
                name: "reuse", driver: driver, gate: gate, creditLimit: creditLimit, hangLimit: 1, timeout: timeout)
            entity = try SchedulerEntity([scheduler], guilt: guilt)
        }

        func fence() -> Fence { Fence(gate: gate, context: gate.allocateContexts(), seqno: 1) }

        func submit(_ job: SchedulerJob) -> SchedulerFence {
            job.arm()
            let finished = job.finished
            job.push()
            return finished
        }

        /// Long enough for what is about to happen, were it to.
        func pause() { gate.sleep(for: 1_000_000) }

        func end() {
            entity.fini()
            scheduler.fini()
            (gate as? ThreadedGate)?.shutdown()
        }
    }

    @Test("it waits for all its dependencies, though it has fewer than before", arguments: [false, true])
    func dependencies(threads: Bool) throws {
        let bench = try Bench(threads: threads)
        var job = try SchedulerJob(entity: bench.entity)
        for (use, count) in [2, 1, 2].enumerated() {
            let fences = (0..<count).map { _ in bench.fence() }
            for fence in fences { job.addDependency(fence) }
            let finished = bench.submit(job)
            for fence in fences {
                bench.pause()
                #expect(bench.driver.all.count == use)
                fence.signal()
            }
            bench.driver.finish()
            _ = try finished.wait()
            job = bench.driver.takeSpare()
        }
        #expect(bench.driver.all == Array(repeating: ObjectIdentifier(job), count: 3))
        bench.end()
    }

    @Test("its new fence waits for the hardware anew, the old one stays as it is", arguments: [false, true])
    func hardwareFence(threads: Bool) throws {
        let bench = try Bench(threads: threads)
        var job = try SchedulerJob(entity: bench.entity)
        var old: [SchedulerFence] = []
        for use in 1...3 {
            let finished = bench.submit(job)
            bench.driver.waitForJobs(1)
            bench.pause()
            #expect(finished.seqno == UInt64(use) && !finished.isSignaled)
            #expect(old.allSatisfy { $0.isSignaled })
            bench.driver.finish()
            _ = try finished.wait()
            #expect(finished.status == .done)
            old.append(finished)
            job = bench.driver.takeSpare()
            #expect(!job.isArmed)
        }
        bench.end()
    }

    @Test("it was killed: killed once more, it waits once more", arguments: [false, true])
    func kill(threads: Bool) throws {
        let bench = try Bench(threads: threads)
        var job = try SchedulerJob(entity: bench.entity)
        for count in [2, 1] {
            let fences = (0..<count).map { _ in bench.fence() }
            for fence in fences { job.addDependency(fence) }
            let finished = bench.submit(job)
            bench.entity.kill()
            for fence in fences {
                bench.pause()
                #expect(!finished.isSignaled)
                fence.signal()
            }
            _ = try finished.wait()
            #expect(finished.status == .failed(.ESRCH))
            job = bench.driver.takeSpare()
            #expect(!job.isKilled)
        }
        #expect(bench.driver.all.isEmpty)
        bench.end()
    }

    @Test("its hangs are counted from none", arguments: [false, true])
    func karma(threads: Bool) throws {
        let guilt = Guilt()
        let bench = try Bench(threads: threads, timeout: 1_000_000, guilt: guilt)
        var job = try SchedulerJob(entity: bench.entity)
        for _ in 0..<3 {
            let finished = bench.submit(job)
            _ = try finished.wait()
            #expect(finished.status == .failed(.ECANCELED))
            job = bench.driver.takeSpare()
            #expect(job.karma == 0)
        }
        #expect(bench.driver.all.count == 3 && !guilt.isSet)
        bench.end()
    }

    @Test("it asks for the credits that it was made with, of which it got fewer", arguments: [false, true])
    func credits(threads: Bool) throws {
        let bench = try Bench(threads: threads, creditLimit: 2)
        var job = try SchedulerJob(entity: bench.entity, credits: 5)
        for use in 1...3 {
            let finished = bench.submit(job)
            bench.driver.waitForJobs(1)
            #expect(bench.scheduler.creditsUsed == 2)
            #expect(bench.driver.warnings == Array(repeating: .creditsClamped, count: use))
            bench.driver.finish()
            _ = try finished.wait()
            #expect(bench.scheduler.creditsUsed == 0)
            job = bench.driver.takeSpare()
            #expect(job.credits == 5)
        }
        bench.end()
    }
}
