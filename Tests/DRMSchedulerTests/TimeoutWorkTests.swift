import DRMLock
@testable import DRMScheduler
import DRMSync
import KernelErrno
import Testing

@Suite struct TimeoutWorkTests {
    private final class Idle: SchedulerDriver {
        func run(_ job: SchedulerJob) throws(KernelErrno) -> Fence? { nil }
        func free(_ job: SchedulerJob) {}
        func timedOut(_ job: SchedulerJob) -> SchedulerStatus { .reset }
    }

    /// The work item that deals with the timeouts of a scheduler that is no more.
    private func orphan(_ gate: Gate) throws -> TimeoutWork {
        let scheduler = try Scheduler(name: "s", driver: Idle(), gate: gate, creditLimit: 1, timeout: 10)
        scheduler.fini()
        return scheduler.timeoutWork
    }

    @Test("a timeout that comes after the scheduler's end reaches nobody")
    func late() throws {
        let gate = SteppedGate()
        let work = try orphan(gate)
        work.enqueue()
        gate.runUntilIdle()
        #expect(work.scheduler == nil)
    }
}
