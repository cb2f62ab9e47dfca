public import DRMSync
public import KernelErrno

/// What a driver does for its scheduler (`drm_sched_backend_ops`): one object for each scheduler, which keeps it.
///
/// Calls come from the scheduler's work items, with none of its locks held. ``run(_:)``, ``prepare(_:)`` and
/// ``cancel(_:)`` stand in the path of fences that others wait for: they may not allocate, nor take a lock that is held
/// over such waits; they may park only where the queue given for submissions may. ``free(_:)`` and ``timedOut(_:)`` may
/// park where the queues given for them may.
///
/// Source: jobs.md §6.
public protocol SchedulerDriver: AnyObject, Sendable {
    /// Gives the job to the hardware (`run_job`).
    /// - Returns: the hardware's fence; `nil`: the job is done already.
    /// - Throws: what the job's finished fence is to say.
    func run(_ job: SchedulerJob) throws(KernelErrno) -> Fence?

    /// The job is finished; what it holds can go (`free_job`). The scheduler has let go of it: the driver may use it for
    /// another (``SchedulerJob/reset()``).
    func free(_ job: SchedulerJob)

    /// The oldest job has not finished in time (`timedout_job`). It is not in the pending list during the call:
    /// ``Scheduler/stop(_:)`` and an answer of ``SchedulerStatus/noHang`` put it back. A driver that does neither
    /// finishes the job itself and ends with ``SchedulerJob/cleanup()``.
    func timedOut(_ job: SchedulerJob) -> SchedulerStatus

    /// Asked for a job whose dependencies are met, until it returns `nil` (`prepare_job`).
    /// - Returns: another fence to wait for.
    func prepare(_ job: SchedulerJob) -> Fence?

    /// Whether there is ``cancel(_:)``.
    var canCancel: Bool { get }

    /// Takes a job back from the hardware and signals its fence (`cancel_job`); the scheduler comes to its end.
    func cancel(_ job: SchedulerJob)

    /// What the kernel would write to its log.
    func warn(_ warning: SchedulerWarning)
}

extension SchedulerDriver {
    public func prepare(_ job: SchedulerJob) -> Fence? { nil }
    public var canCancel: Bool { false }
    public func cancel(_ job: SchedulerJob) {}
    public func warn(_ warning: SchedulerWarning) {}
}

/// What a driver did about a job that timed out (`drm_gpu_sched_stat`).
public enum SchedulerStatus: Sendable {
    /// The hardware was reset.
    case reset
    /// The hardware is gone: no more timeouts.
    case noDevice
    /// The job is fine and goes on.
    case noHang
}

/// What the kernel would write to its log.
public enum SchedulerWarning: Equatable, Sendable {
    /// A job asks for more credits than there are; it gets all there are.
    /// Said when the job is handed out; the kernel says it when it first looks for credits (deviation CREDIT-CLAMP).
    case creditsClamped
    /// An entity asks for a priority that its first scheduler has no queue for; it gets the lowest.
    case priorityClamped
    /// A job was pushed to a stopped entity; it stays there.
    case entityStopped
    /// The scheduler ended with jobs pending, which nobody frees.
    case jobsLeft
}
