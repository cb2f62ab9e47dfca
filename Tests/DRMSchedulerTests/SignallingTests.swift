#if GPUVM_VALIDATE
import DRMLock
import DRMScheduler
import DRMSync
import KernelErrno
import Testing

/// Mistakes of a driver's in the path between handing a job out and signalling, planted one by one.
@Suite struct SignallingTests {
    /// What the validator says first about a driver that does this where it runs, prepares or frees a job.
    private func violation(
        run: @escaping (Gate) -> Void = { _ in }, prepare: @escaping (Gate) -> Void = { _ in },
        free: @escaping (Gate) -> Void = { _ in }
    ) throws -> Violation.Kind? {
        let bench = try Bench(), gate = bench.gate
        var found: Violation.Kind?
        gate.onViolation = { if found == nil { found = $0.kind } }
        let driver = Driver(gate: gate, run: run, prepare: prepare, free: free)
        let scheduler = try Scheduler(name: "", driver: driver, gate: gate, creditLimit: 1)
        let entity = try SchedulerEntity([scheduler])
        let job = try SchedulerJob(entity: entity)
        job.arm()
        job.push()
        gate.runUntilIdle()
        entity.fini()
        scheduler.fini()
        try bench.rig.end()
        return found
    }

    private final class Driver: SchedulerDriver, @unchecked Sendable {
        let gate: Gate
        let run, prepare, free: (Gate) -> Void

        init(gate: Gate, run: @escaping (Gate) -> Void, prepare: @escaping (Gate) -> Void, free: @escaping (Gate) -> Void) {
            self.gate = gate
            self.run = run
            self.prepare = prepare
            self.free = free
        }

        func run(_ job: SchedulerJob) throws(KernelErrno) -> Fence? {
            run(gate)
            return nil
        }
        func prepare(_ job: SchedulerJob) -> Fence? {
            prepare(gate)
            return nil
        }
        func free(_ job: SchedulerJob) { free(gate) }
        func timedOut(_ job: SchedulerJob) -> SchedulerStatus { .reset }
    }

    @Test("a driver that does nothing wrong breaks no rule; freeing may allocate and wait")
    func nothing() throws {
        #expect(try violation() == nil)
        #expect(try violation(free: { $0.mightAllocate(); $0.mightWait() }) == nil)
    }

    @Test("running a job may not allocate")
    func allocation() throws {
        #expect(try violation(run: { $0.mightAllocate() }) == .allocationInSignalling)
        #expect(try violation(prepare: { $0.mightAllocate() }) == .allocationInSignalling)
    }

    @Test("running a job may not wait for a fence")
    func wait() throws {
        #expect(try violation(run: { $0.mightWait() }) == .waitInSignalling)
        #expect(try violation(prepare: { $0.mightWait() }) == .waitInSignalling)
    }
}
#endif
