internal import DRMExec
internal import DRMScheduler
internal import DRMSync
internal import KernelErrno

/// What a client submitted, in nouveau's phases (`nouveau_job`). Subclasses say what it is.
///
/// Source: jobs.md 1.
class Job: SchedulerJob, @unchecked Sendable {
    /// Outlives its jobs.
    unowned(unsafe) let jobs: JobQueue
    // The queue's.
    @exclusivity(unchecked) final var nextListed: Unmanaged<Job>?
    @exclusivity(unchecked) final var previousListed: Unmanaged<Job>?
    @exclusivity(unchecked) final var nextSpare: Job?
    /// Its number in the log, where there is one.
    @exclusivity(unchecked) final var logged = 0

    init(_ jobs: JobQueue, credits: UInt32) {
        self.jobs = jobs
        super.init(ready: jobs.entity, credits: credits)
    }

    /// What it is, in few words.
    var title: String { fatalError() }

    /// All that can fail: looks up, checks, locks what it is about, takes what the run will need. With the queue's
    /// mutex. If it throws, nothing has changed.
    /// - Parameter exec: the queue's.
    func submit(_ exec: Exec) throws(KernelErrno) { fatalError() }

    /// Nothing can fail any more: the fence goes to what is locked, which is let go.
    func armedSubmit(_ exec: Exec, _ fence: Fence) { fatalError() }

    /// Does it, or has the hardware begin with it. Allocates nothing, takes no reservation.
    /// - Returns: the hardware's fence; `nil`: done.
    func run() throws(KernelErrno) -> Fence? { fatalError() }

    /// It is over, or was never submitted: lets everything go. May take all locks that ``submit()`` takes.
    func free() {}

    /// It is over and freed: makes it as new, for a queue's next job of its kind.
    /// - Returns: whether it is to be kept for that.
    func renew() -> Bool { false }

    /// It did not finish in time.
    func timeout() {}
}
