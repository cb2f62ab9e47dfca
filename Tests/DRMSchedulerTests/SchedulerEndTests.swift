import DRMLock
@testable import DRMScheduler
import DRMSync
import KernelErrno
import Testing

/// A scheduler's end, and what comes too late for it.
@Suite struct SchedulerEndTests {
    /// Hardware that never gets done.
    private final class Hanging: SchedulerDriver, @unchecked Sendable {
        let gate: Gate
        /// Starts the scheduler again before the long part of a reset, not after it.
        let startsEarly: Bool
        var resets = 0

        init(_ gate: Gate, startsEarly: Bool = false) {
            self.gate = gate
            self.startsEarly = startsEarly
        }

        func run(_ job: SchedulerJob) throws(KernelErrno) -> Fence? { Fence(gate: gate, context: 1, seqno: 1) }
        func free(_ job: SchedulerJob) {}

        func timedOut(_ job: SchedulerJob) -> SchedulerStatus {
            let scheduler = job.finished.scheduler
            scheduler.stop(job)
            resets += 1
            if startsEarly { scheduler.start() }
            gate.sleep(for: 1000)
            if !startsEarly { scheduler.start() }
            return .reset
        }
    }

    private let gate = SteppedGate()

    private func orphans() throws -> [SchedulerWork] {
        let scheduler = try Scheduler(name: "s", driver: Hanging(gate), gate: gate, creditLimit: 1, timeout: 10)
        scheduler.fini()
        return [scheduler.runWork, scheduler.freeWork, scheduler.timeoutWork]
    }

    @Test("work that is asked for after the scheduler's end reaches nobody")
    func late() throws {
        for work in try orphans() {
            #expect(!work.isAttached)
            work.enqueue()
        }
        gate.runUntilIdle()
    }

    @Test("a reset that is under way at the scheduler's end does not have it go on")
    func reset() throws {
        let driver = Hanging(gate)
        let scheduler = try Scheduler(name: "s", driver: driver, gate: gate, creditLimit: 1, timeout: 10)
        let entity = try SchedulerEntity([scheduler])
        let job = try SchedulerJob(entity: entity)
        job.arm()
        job.push()
        gate.sleep(for: 20)
        #expect(driver.resets == 1)
        entity.fini()
        scheduler.fini()
        #expect(scheduler.isPaused)
        #expect(job.finished.isSignaled)
        gate.runUntilIdle()
        job.cleanup()
    }

    @Test("a timeout that comes while the scheduler's end waits for the one before reaches nobody")
    func secondTimeout() throws {
        weak var work: TimeoutWork?
        weak var scheduler: Scheduler?
        try {
            let ended = try endDuringReset()
            work = ended.timeoutWork
            scheduler = ended
            gate.runUntilIdle()
        }()
        #expect(scheduler == nil && work == nil)
    }

    /// The timer of the second job asks for the work that deals with the first one's timeout, while that runs and is
    /// waited for.
    private func endDuringReset() throws -> Scheduler {
        let driver = Hanging(gate, startsEarly: true)
        let scheduler = try Scheduler(name: "s", driver: driver, gate: gate, creditLimit: 1, timeout: 10)
        let entity = try SchedulerEntity([scheduler])
        let jobs = try (0..<2).map { _ in try SchedulerJob(entity: entity) }
        for job in jobs {
            job.arm()
            job.push()
        }
        gate.sleep(for: 15)
        #expect(driver.resets == 1 && jobs[1].finished.isScheduled)
        entity.fini()
        scheduler.fini()
        #expect(driver.resets == 1 && gate.now >= 1_000_001_010)
        // Its hardware's fence keeps it otherwise.
        #expect(jobs[1].finished.parent!.remove(jobs[1]))
        jobs[1].cleanup()
        return scheduler
    }
}
