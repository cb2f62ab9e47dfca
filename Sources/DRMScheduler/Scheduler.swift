public import DRMLock
internal import DRMSync
public import KernelErrno
internal import Synchronization

/// Hands the jobs of entities to one piece of hardware, in an order that a policy decides, as many at a time as its
/// credits allow, and sees them finished (`drm_gpu_scheduler`).
///
/// All it does, it does in three work items: one hands a job out, one frees those that are finished, and one, behind a
/// timer, deals with the oldest that did not finish in time.
///
/// Locking: the pending-list lock, and the run-queue lock, which is taken inside an entity's lock. Neither is held over
/// calls into the driver or over signalling. A scheduler must be told to end (``fini()``) before it is let go.
///
/// Source: jobs.md §6.
public final class Scheduler: @unchecked Sendable {
    public let gate: Gate
    public let name: String
    public let policy: SchedulingPolicy
    let driver: any SchedulerDriver
    /// The most credits that the hardware has at a time.
    public let creditLimit: UInt32
    /// How often a job may hang before its entity is guilty.
    public let hangLimit: Int
    /// How long the oldest job may take, from the last start of any, in ns.
    public let timeout: UInt64
    /// Run queues as asked for; under ``SchedulingPolicy/fair`` there is one, whatever was.
    public let userRunQueues: Int

    /// Guards the run queues and the entities' places in them.
    let queueLock: SpinLock
    let runQueues: UnsafeMutableBufferPointer<RunQueue>
    /// How many entities wait in them with a job.
    let waiting: UnsafeMutablePointer<Int>

    let pendingLock: SpinLock
    /// What the hardware has, oldest first. Guarded by its lock.
    @exclusivity(unchecked) var pending = JobList()
    /// Of the jobs freed, in µs. Guarded by the pending-list lock; a copy is at hand for the run queues.
    @exclusivity(unchecked) var average = RunningAverage()
    let averageCopy = Atomic<UInt64>(0)
    /// ``stop(_:)`` found the guilty job finished: who handles the timeout frees it. Belongs to that.
    @exclusivity(unchecked) var freeGuilty = false

    private let creditCount = Atomic<UInt32>(0)
    private let scoreCount = Atomic<Int>(0)
    private let isPausedFlag = Atomic<Bool>(false)
    private let isReadyFlag = Atomic<Bool>(true)
    let hasEnded = Atomic<Bool>(false)
    /// For an entity that is no longer in use, or has nothing queued.
    let waiters = WaitList()

    let runWork: RunWork
    let freeWork: FreeWork
    let timeoutWork: TimeoutWork
    /// Enqueues ``timeoutWork``.
    let timer: Timer

    /// The queues of its work items. Several schedulers may share one.
    public struct Queues: Sendable {
        /// For handing jobs out; what runs here signals fences.
        public var submit: WorkQueue
        /// For freeing jobs.
        public var free: WorkQueue
        /// For dealing with timeouts, and what stops the scheduler must be able to park.
        public var timeout: WorkQueue

        public init(submit: WorkQueue, free: WorkQueue, timeout: WorkQueue) {
            self.submit = submit
            self.free = free
            self.timeout = timeout
        }
    }

    /// - Parameters:
    ///   - queues: `nil`: its own, where only dealing with timeouts may park.
    ///   - runQueues: how many priorities there are, 1...4.
    ///   - timeout: in ns; `.never`: none.
    ///   - policy: the same for all schedulers that an entity may use.
    /// - Throws: `EINVAL`: more run queues than priorities, or none.
    public init(
        name: String, driver: any SchedulerDriver, gate: Gate, queues: Queues? = nil, runQueues: Int = 4,
        creditLimit: UInt32, hangLimit: Int = 0, timeout: UInt64 = .never, policy: SchedulingPolicy = .fifo
    ) throws(KernelErrno) {
        guard 1...SchedulerPriority.allCases.count ~= runQueues else { throw .EINVAL }
        self.name = name
        self.driver = driver
        self.gate = gate
        queueLock = SpinLock(gate)
        pendingLock = SpinLock(gate)
        self.creditLimit = creditLimit
        self.hangLimit = hangLimit
        self.timeout = timeout
        self.policy = policy
        userRunQueues = runQueues
        self.runQueues = .allocate(capacity: policy == .fair ? 1 : runQueues)
        waiting = .allocate(capacity: 1)
        waiting.initialize(to: 0)
        self.runQueues.initialize(repeating: RunQueue(policy: policy, waiting: waiting))
        let submit = queues?.submit ?? WorkQueue(name, gate: gate, mayPark: false)
        runWork = RunWork(queue: submit)
        freeWork = FreeWork(queue: queues?.free ?? submit)
        timeoutWork = TimeoutWork(
            queue: queues?.timeout ?? WorkQueue("\(name) timeout", gate: gate, mayPark: true))
        timer = Timer(timeoutWork)
        for work in [runWork, freeWork, timeoutWork] { work.attach(self) }
    }

    deinit {
        runQueues.deallocate()
        waiting.deallocate()
        precondition(hasEnded.load(ordering: .relaxed), "a scheduler is let go that was not told to end")
    }

    // MARK: State

    /// Whether entities with several schedulers may choose it (`ready`).
    public var isReady: Bool {
        get { isReadyFlag.load(ordering: .relaxed) }
        set { isReadyFlag.store(newValue, ordering: .relaxed) }
    }

    /// How busy it is: entities that use it and jobs pushed that are not finished. The least busy is chosen.
    public var score: Int { scoreCount.load(ordering: .relaxed) }

    func addScore(_ change: Int) { scoreCount.wrappingAdd(change, ordering: .relaxed) }

    /// The credits of the jobs that the hardware has.
    public var creditsUsed: UInt32 { creditCount.load(ordering: .relaxed) }

    /// A job that asks for more than there ever are gets all.
    private func credits(for job: SchedulerJob) -> UInt32 { min(job.credits, creditLimit) }

    func hasCredits(for job: SchedulerJob) -> Bool { creditLimit - creditsUsed >= credits(for: job) }
    func takeCredits(of job: SchedulerJob) { creditCount.wrappingAdd(credits(for: job), ordering: .relaxed) }
    func returnCredits(of job: SchedulerJob) { creditCount.wrappingSubtract(credits(for: job), ordering: .relaxed) }

    /// The run queue of a priority; there may be fewer than that.
    func runQueue(_ priority: SchedulerPriority) -> UnsafeMutablePointer<RunQueue> {
        runQueues.baseAddress! + min(Int(priority.rawValue), runQueues.count - 1)
    }

    // MARK: Work

    /// Whether handing out and freeing pause.
    public var isPaused: Bool { isPausedFlag.load(ordering: .relaxed) }

    func enqueueRun() { if !isPaused { runWork.enqueue() } }
    func enqueueFree() { if !isPaused { freeWork.enqueue() } }

    /// Handing out and freeing pause; waits until neither is under way (`drm_sched_wqueue_stop`). May park.
    public func pauseWork() {
        isPausedFlag.store(true, ordering: .relaxed)
        runWork.cancel()
        freeWork.cancel()
    }

    /// They go on (`drm_sched_wqueue_start`).
    public func resumeWork() {
        isPausedFlag.store(false, ordering: .relaxed)
        enqueueRun()
        enqueueFree()
    }

    /// No more jobs. Its entities must be gone. Jobs that the hardware still has are cancelled from the newest to the
    /// oldest and freed, if the driver can do that (`drm_sched_fini`). May park.
    public func fini() {
        guard !hasEnded.exchange(true, ordering: .relaxed) else { return }
        isReady = false
        // First of all, for it may have the others go on.
        timeoutWork.detach()
        pauseWork()
        runWork.detach()
        freeWork.detach()
        timer.disarm()
        stopEntities()
        waiters.wakeAll()
        guard driver.canCancel else {
            if !pending.isEmpty { driver.warn(.jobsLeft) }
            return
        }
        while let job = takeNewest() {
            driver.cancel(job)
            free(job)
        }
    }

    private func takeNewest() -> SchedulerJob? {
        pendingLock.lock()
        defer { pendingLock.unlock() }
        guard let job = pending.last?.takeUnretainedValue() else { return nil }
        pending.remove(job)
        return job
    }

    private func stopEntities() {
        queueLock.lock()
        defer { queueLock.unlock() }
        for i in runQueues.indices {
            while let entity = runQueues[i].firstMember?.takeUnretainedValue() {
                entity.stopped.store(true, ordering: .sequentiallyConsistent)
                runQueues[i].remove(entity)
                runQueues[i].removeMember(entity)
                addScore(-1)
            }
        }
    }

    /// We let the job go, then the driver does: from then on it is the driver's.
    func free(_ job: SchedulerJob) {
        job.cleanup()
        driver.free(job)
    }
}
