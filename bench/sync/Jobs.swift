import DRMLock
import DRMScheduler
import DRMSync
import KernelErrno

/// Hardware that is done at once. Where no row says otherwise its jobs are used again.
private final class Idle: SchedulerDriver, @unchecked Sendable {
    private let lock: SpinLock
    /// Whether a job that is over is kept for the next.
    private let keepsJobs: Bool
    private var spare: SchedulerJob?

    init(_ gate: Gate, keepsJobs: Bool) {
        lock = SpinLock(gate)
        self.keepsJobs = keepsJobs
    }

    func run(_ job: SchedulerJob) throws(KernelErrno) -> Fence? { nil }

    func free(_ job: SchedulerJob) {
        guard keepsJobs else { return }
        job.reset()
        let old = exchange(with: job)
        _ = consume old
    }

    func timedOut(_ job: SchedulerJob) -> SchedulerStatus { .reset }

    func makeJob(_ entity: SchedulerEntity) -> SchedulerJob { exchange(with: nil) ?? (try! SchedulerJob(entity: entity)) }

    private func exchange(with job: SchedulerJob?) -> SchedulerJob? {
        lock.lock()
        defer { lock.unlock() }
        let old = spare.take()
        spare = job
        return old
    }
}

private struct Rig {
    let gate: Gate
    private let driver: Idle
    let scheduler: Scheduler
    let entity: SchedulerEntity

    init(_ gate: Gate, timeout: UInt64 = .never, keepsJobs: Bool = true) {
        self.gate = gate
        driver = Idle(gate, keepsJobs: keepsJobs)
        scheduler = try! Scheduler(name: "bench", driver: driver, gate: gate, creditLimit: 64, timeout: timeout)
        entity = try! SchedulerEntity([scheduler])
    }

    func submit() {
        let job = driver.makeJob(entity)
        job.arm()
        job.push()
    }

    func submitAndWait() {
        let job = driver.makeJob(entity)
        job.arm()
        // Soon the job may be another's.
        let fence = job.finished
        job.push()
        _ = try! fence.wait()
    }

    func end() {
        entity.destroy()
        scheduler.fini()
    }
}

func benchJobs(_ rounds: Int) {
    let stepped = SteppedGate(), threaded = ThreadedGate()
    let plain = Rig(stepped), timed = Rig(stepped, timeout: 10_000_000_000), threads = Rig(threaded)
    let fresh = Rig(stepped, keepsJobs: false)

    func one(_ rig: Rig) -> (Int) -> UInt64 {
        { count in
            measure {
                for _ in 0..<count {
                    rig.submit()
                    stepped.runUntilIdle()
                }
            }
        }
    }

    report("scheduler: an empty job submitted, run, finished and freed", rounds: rounds, [
        Row(name: "limit: a fence made, signalled, let go", count: 50_000) { count in
            measure { for _ in 0..<count { Fence(gate: stepped, context: 1, seqno: 1).signal() } }
        },
        Row(name: "stepped, one by one, a job used again", count: 50_000, most: 300, run: one(plain)),
        Row(name: "stepped, one by one, a new job each time", count: 50_000, run: one(fresh)),
        Row(name: "stepped, one by one, with a timeout", count: 50_000, run: one(timed)),
        Row(name: "stepped, 64 at a time", count: 64 * 500) { count in
            measure {
                for _ in 0..<count / 64 {
                    for _ in 0..<64 { plain.submit() }
                    stepped.runUntilIdle()
                }
            }
        },
        Row(name: "threads, one by one, waited for", count: 2_000) { count in
            measure { for _ in 0..<count { threads.submitAndWait() } }
        },
        Row(name: "threads, 64 at a time, the last waited for", count: 64 * 100) { count in
            measure {
                for _ in 0..<count / 64 {
                    for _ in 0..<63 { threads.submit() }
                    threads.submitAndWait()
                }
            }
        },
    ])
    for rig in [plain, fresh, timed, threads] { rig.end() }
    threaded.shutdown()
}
