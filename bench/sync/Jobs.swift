import DRMLock
import DRMScheduler
import DRMSync
import KernelErrno

/// Hardware that is done at once.
private final class Idle: SchedulerDriver {
    func run(_ job: SchedulerJob) throws(KernelErrno) -> Fence? { nil }
    func free(_ job: SchedulerJob) {}
    func timedOut(_ job: SchedulerJob) -> SchedulerStatus { .reset }
}

private struct Rig {
    let gate: Gate
    let scheduler: Scheduler
    let entity: SchedulerEntity

    init(_ gate: Gate, timeout: UInt64 = .never) {
        self.gate = gate
        scheduler = try! Scheduler(name: "bench", driver: Idle(), gate: gate, creditLimit: 64, timeout: timeout)
        entity = try! SchedulerEntity([scheduler])
    }

    func submit() -> SchedulerJob {
        let job = try! SchedulerJob(entity: entity)
        job.arm()
        job.push()
        return job
    }

    func end() {
        entity.destroy()
        scheduler.fini()
    }
}

func benchJobs(_ rounds: Int) {
    let stepped = SteppedGate(), threaded = ThreadedGate()
    let plain = Rig(stepped), timed = Rig(stepped, timeout: 10_000_000_000), threads = Rig(threaded)

    func one(_ rig: Rig) -> (Int) -> UInt64 {
        { count in
            measure {
                for _ in 0..<count {
                    _ = rig.submit()
                    stepped.runUntilIdle()
                }
            }
        }
    }

    report("scheduler: an empty job submitted, run, finished and freed", rounds: rounds, [
        Row(name: "limit: a fence made, signalled, let go", count: 50_000) { count in
            measure { for _ in 0..<count { Fence(gate: stepped, context: 1, seqno: 1).signal() } }
        },
        Row(name: "stepped, one by one", count: 50_000, most: 300, run: one(plain)),
        Row(name: "stepped, one by one, with a timeout", count: 50_000, run: one(timed)),
        Row(name: "stepped, 64 at a time", count: 64 * 500) { count in
            measure {
                for _ in 0..<count / 64 {
                    for _ in 0..<64 { _ = plain.submit() }
                    stepped.runUntilIdle()
                }
            }
        },
        Row(name: "threads, one by one, waited for", count: 2_000) { count in
            measure { for _ in 0..<count { _ = try! threads.submit().finished.wait() } }
        },
        Row(name: "threads, 64 at a time, the last waited for", count: 64 * 100) { count in
            measure {
                for _ in 0..<count / 64 {
                    for _ in 0..<63 { _ = threads.submit() }
                    _ = try! threads.submit().finished.wait()
                }
            }
        },
    ])
    for rig in [plain, timed, threads] { rig.end() }
    threaded.shutdown()
}
