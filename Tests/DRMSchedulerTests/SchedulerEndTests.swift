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
        var resets = 0

        init(_ gate: Gate) { self.gate = gate }

        func run(_ job: SchedulerJob) throws(KernelErrno) -> Fence? { Fence(gate: gate, context: 1, seqno: 1) }
        func free(_ job: SchedulerJob) {}

        func timedOut(_ job: SchedulerJob) -> SchedulerStatus {
            let scheduler = job.finished.scheduler
            scheduler.stop(job)
            resets += 1
            gate.sleep(for: 1000)
            scheduler.start()
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
}
