internal import DRMLock
internal import DRMSync
public import KernelErrno
internal import Synchronization

/// A line of jobs that run one after another, such as a client's or a channel's (`drm_sched_entity`).
///
/// Jobs of different entities run in any order, except where they depend on each other. Whoever makes an entity ends it
/// with ``fini()`` or ``destroy(exiting:killed:)``.
///
/// Locking: its lock, outside the scheduler's run-queue lock, which guards its place there; its statistics have a lock of
/// their own, the innermost.
///
/// Source: jobs.md §6.1, §6.2.
public final class SchedulerEntity: @unchecked Sendable {
    /// Of the fences of its jobs: the first is of `scheduled` ones, the next of `finished` ones.
    public let context: UInt64
    /// Set when a job of it hung too often; may be one for several entities.
    public let guilt: Guilt?
    /// The priority that was asked for. It alone decides on the run queue, under FIFO and round robin.
    private let queuePriority: SchedulerPriority
    private let currentPriority: Atomic<UInt8>

    let lock: SpinLock
    // Guarded by the lock.
    @exclusivity(unchecked) private(set) var scheduler: Scheduler
    @exclusivity(unchecked) private(set) var runQueue: UnsafeMutablePointer<RunQueue>?
    /// Those it may use; empty: it stays where it is.
    @exclusivity(unchecked) private var choices: [Scheduler]
    @exclusivity(unchecked) private var queue = JobList()
    @exclusivity(unchecked) private var seqno: UInt64 = 0
    @exclusivity(unchecked) private var lastScheduled: SchedulerFence?
    @exclusivity(unchecked) private var dependency: Fence?
    /// Killed jobs that are not finished.
    @exclusivity(unchecked) var killed = JobList()
    @exclusivity(unchecked) var killWork: KillWork?

    /// The first job waits for ``dependency``.
    private let blocked = Atomic<Bool>(false)
    /// The scheduler has taken it to run a job of it.
    let inUse = Atomic<Bool>(false)
    let stopped = Atomic<Bool>(false)
    private let callback = DependencyCallback()

    // Guarded by the run-queue lock of its scheduler.
    /// It counts among the entities of the run queue.
    @exclusivity(unchecked) var isMember = false
    @exclusivity(unchecked) var nextMember: RunQueue.Link?
    @exclusivity(unchecked) var previousMember: RunQueue.Link?
    /// It has a job, and so a place in the run queue's order.
    @exclusivity(unchecked) var isWaiting = false
    /// The first of its jobs.
    @exclusivity(unchecked) private var head: JobList.Link?
    @exclusivity(unchecked) var nextWaiting: RunQueue.Link?
    @exclusivity(unchecked) var previousWaiting: RunQueue.Link?
    @exclusivity(unchecked) var key: Int64 = 0
    @exclusivity(unchecked) var turn: Int64 = 0
    @exclusivity(unchecked) var virtualRuntime: Int64 = 0

    private let statisticsLock: SpinLock
    @exclusivity(unchecked) private var statistics = EntityStatistics()

    /// - Parameters:
    ///   - schedulers: those that its jobs may run on; the least busy is chosen. All have one policy.
    ///   - priority: beyond what the first scheduler has queues for: the lowest of these.
    /// - Throws: `EINVAL`: no scheduler.
    public init(_ schedulers: [Scheduler], priority: SchedulerPriority = .normal, guilt: Guilt? = nil)
        throws(KernelErrno)
    {
        guard let first = schedulers.first else { throw .EINVAL }
        let lowest = UInt8(first.userRunQueues - 1)
        context = first.gate.allocateContexts(2)
        lock = SpinLock(first.gate)
        statisticsLock = SpinLock(first.gate)
        self.guilt = guilt
        queuePriority = priority
        currentPriority = Atomic(min(priority.rawValue, lowest))
        scheduler = first
        runQueue = first.hasEnded.load(ordering: .relaxed) ? nil : first.runQueue(priority)
        choices = schedulers.count > 1 ? schedulers : []
        if priority.rawValue > lowest { first.driver.warn(.priorityClamped) }
    }

    deinit {
        leaveRunQueue()
    }

    // MARK: Settings

    /// Under ``SchedulingPolicy/fair`` it weighs the time that jobs take. Under the other policies setting it has no
    /// effect: the priority given at first chooses the run queue.
    public var priority: SchedulerPriority {
        get { SchedulerPriority(rawValue: currentPriority.load(ordering: .relaxed))! }
        set { currentPriority.store(newValue.rawValue, ordering: .relaxed) }
    }

    /// Other schedulers to choose from, when next a job is armed while none is queued or runs
    /// (`drm_sched_entity_modify_sched`).
    /// - Throws: `EINVAL`: none.
    public func setSchedulers(_ schedulers: [Scheduler]) throws(KernelErrno) {
        guard !schedulers.isEmpty else { throw .EINVAL }
        lock.withLock { choices = schedulers }
    }

    // MARK: State

    var hasRunQueue: Bool { lock.withLock { runQueue != nil } }

    /// The error that the job last handed to the hardware ends with, if it does with one.
    public var error: KernelErrno? { lock.withLock { lastScheduled?.pendingError } }

    /// Whether nothing is to be handed out: it is in no run queue, or has no job, or is stopped.
    public var isIdle: Bool {
        if stopped.load(ordering: .relaxed) { return true }
        lock.lock()
        defer { lock.unlock() }
        return queue.isEmpty || !scheduler.queueLock.withLock { isMember }
    }

    /// The time, in ns, that its jobs took on the hardware; of those freed.
    public var runtime: UInt64 { statisticsLock.withLock { statistics.runtime } }

    /// A running average over its jobs, in µs.
    public var averageRuntime: UInt64 { statisticsLock.withLock { statistics.average.value } }

    func takeRuntime() -> UInt64 { statisticsLock.withLock { statistics.takeRuntime() } }
    func account(_ time: UInt64) { statisticsLock.withLock { statistics.add(time) } }

    // MARK: Submission

    /// For a job that is armed.
    func makeFence() -> SchedulerFence {
        lock.lock()
        defer { lock.unlock() }
        if !choices.isEmpty { chooseScheduler() }
        seqno += 1
        return SchedulerFence(scheduler: .passUnretained(scheduler), context: context + 1, seqno: seqno)
    }

    /// The least busy scheduler; of several, the first; if none is ready, the old one. Nothing changes while a job is
    /// queued or on the hardware: its jobs would not come one after another.
    private func chooseScheduler() {
        guard queue.isEmpty, lastScheduled?.isFlaggedSignaled ?? true,
            let best = choices.lazy.filter(\.isReady).min(by: { $0.score < $1.score })
        else { return }
        if best !== scheduler || runQueue == nil {
            leaveRunQueue()
            scheduler = best
            runQueue = best.runQueue(queuePriority)
        }
        if choices.count == 1 { choices = [] }
    }

    func push(_ job: SchedulerJob) {
        lock.lock()
        let isFirst = queue.isEmpty
        let isRefused = isFirst && stopped.load(ordering: .relaxed)
        // Another takes its place only when a job is armed, which nobody does meanwhile.
        Unmanaged.passUnretained(scheduler)._withUnsafeGuaranteedRef { scheduler in
            job.submitTime = scheduler.gate.now
            queue.append(job)
            scheduler.addScore(1)
            if isFirst && !isRefused { joinRunQueue(of: scheduler, job) }
            lock.unlock()
            if isRefused {
                scheduler.driver.warn(.entityStopped)
            } else if isFirst {
                scheduler.enqueueRun()
            }
        }
    }

    private func joinRunQueue(of scheduler: Scheduler, _ job: SchedulerJob) {
        let runQueue = runQueue.unsafelyUnwrapped
        scheduler.queueLock.lock()
        if !isMember {
            runQueue.pointee.addMember(self)
            scheduler.addScore(1)
        }
        head = .passUnretained(job)
        runQueue.pointee.join(self, job, average: scheduler.averageCopy.load(ordering: .relaxed))
        scheduler.queueLock.unlock()
    }

    /// Its lock is held, or nobody else knows it.
    func leaveRunQueue() {
        guard let runQueue else { return }
        scheduler.queueLock.lock()
        defer { scheduler.queueLock.unlock() }
        guard isMember else { return }
        runQueue.pointee.remove(self)
        runQueue.pointee.removeMember(self)
        scheduler.addScore(-1)
    }

    // MARK: The scheduler's side

    /// Whether the first job waits for a dependency.
    var isBlocked: Bool { blocked.load(ordering: .acquiring) }

    /// For who has the run-queue lock while it waits in the run queue, or has it in use: nobody takes the job.
    var firstJob: JobList.Link { head.unsafelyUnwrapped }

    /// Takes the first job, unless it has to wait for something; then the scheduler will be woken.
    /// - Parameter scheduler: its own.
    /// - Returns: the job, which keeps itself.
    func takeJob(for scheduler: Scheduler) -> JobList.Link? {
        let link = firstJob
        return link._withUnsafeGuaranteedRef { job in
            while let dependency = job.takeDependency() ?? scheduler.driver.prepare(job) {
                if wait(for: dependency) { return nil }
            }
            var fence = Optional(job.finished)
            if let guilt, guilt.isSet { fence!.setError(.ECANCELED) }
            lock.lock()
            swap(&lastScheduled, &fence)
            queue.remove(job)
            scheduler.queueLock.lock()
            head = queue.first
            runQueue.unsafelyUnwrapped.pointee.took(from: self, next: head)
            scheduler.queueLock.unlock()
            lock.unlock()
            return link
        }
    }

    /// - Returns: false: there is nothing to wait for.
    private func wait(for fence: Fence) -> Bool {
        guard let fence = whatToWaitFor(fence) else { return false }
        lock.lock()
        dependency = fence
        lock.unlock()
        callback.entity = self
        blocked.store(true, ordering: .relaxed)
        do throws(KernelErrno) { try fence.add(callback) } catch {
            callback.entity = nil
            unblock()
            return false
        }
        return true
    }

    /// Jobs of one entity come one after another anyway; and those of one scheduler reach the hardware in the order in
    /// which they are handed out, unless what we depend on failed or is marked (jobs.md §6.4).
    private func whatToWaitFor(_ fence: Fence) -> Fence? {
        if fence.context == context || fence.context == context + 1 { return nil }
        guard let other = fence as? SchedulerFence, other.scheduler === scheduler, !other.dontPipeline,
            other.pendingError == nil
        else { return fence }
        return other.isScheduled ? nil : other.scheduled
    }

    fileprivate func unblock() {
        lock.lock()
        let old = dependency
        dependency = nil
        let scheduler = self.scheduler
        lock.unlock()
        blocked.store(false, ordering: .releasing)
        scheduler.enqueueRun()
        _ = old
    }

    // MARK: Jobs of a killed entity

    /// Takes all queued jobs over to ``killed``; nobody else takes any.
    /// - Returns: whether there are any to see to.
    func killQueuedJobs() -> Bool {
        lock.lock()
        defer { lock.unlock() }
        var next = queue.first
        while let job = next?.takeUnretainedValue() {
            job.isKilled = true
            job.finished.setError(.ESRCH)
            job.resetDependencies()
            next = job.next
        }
        killed.append(takenFrom: &queue)
        guard killWork == nil, !killed.isEmpty else { return false }
        killWork = KillWork(self, after: lastScheduled, queue: scheduler.freeWork.queue)
        return true
    }

    /// Lets go what it still refers to.
    func forget() {
        lock.lock()
        let old = (lastScheduled, dependency)
        lastScheduled = nil
        dependency = nil
        lock.unlock()
        if let fence = old.1, fence.remove(callback) { callback.entity = nil }
    }
}

/// Wakes an entity whose first job waited. Keeps it meanwhile.
private final class DependencyCallback: FenceCallback, @unchecked Sendable {
    @exclusivity(unchecked) var entity: SchedulerEntity?

    override func signaled(_ fence: Fence) {
        // The entity may use this again as soon as it is unblocked.
        let entity = self.entity!
        self.entity = nil
        entity.unblock()
    }
}

/// Whether a client's jobs hung the hardware too often.
public final class Guilt: Sendable {
    private let flag = Atomic<Bool>(false)

    public init() {}

    public var isSet: Bool {
        get { flag.load(ordering: .relaxed) }
        set { flag.store(newValue, ordering: .relaxed) }
    }
}
