internal import DRMLock
internal import DRMSync
internal import KernelErrno

/// Hands one job out.
final class RunWork: Work, @unchecked Sendable {
    private unowned(unsafe) let scheduler: Scheduler

    init(_ scheduler: Scheduler, queue: WorkQueue) {
        self.scheduler = scheduler
        super.init(queue: queue)
    }

    override func run() { scheduler.runOne() }
}

/// Frees what is finished.
final class FreeWork: Work, @unchecked Sendable {
    private unowned(unsafe) let scheduler: Scheduler

    init(_ scheduler: Scheduler, queue: WorkQueue) {
        self.scheduler = scheduler
        super.init(queue: queue)
    }

    override func run() { scheduler.freeFinished() }
}

// The way of a job (jobs.md §6.3).
extension Scheduler {
    /// Hands out the job whose turn it is, if there is one and the credits suffice for it.
    fileprivate func runOne() {
        guard !isPaused, let entity = select() else { return }
        gate.beginSignalling()
        if let job = entity.takeJob() {
            run(job, of: entity)
        } else {
            setUnused(entity)
        }
        gate.endSignalling()
        enqueueRunIfAnyWaits()
    }

    /// The entity whose turn it is. It is in use from here until ``setUnused(_:)``.
    ///
    /// When the credits do not suffice for its job, everybody waits: otherwise big jobs would never get their turn.
    private func select() -> SchedulerEntity? {
        queueLock.lock()
        let (entity, isTooBig) = firstReady()
        queueLock.unlock()
        if isTooBig { driver.warn(.creditsClamped) }
        return entity
    }

    private func firstReady() -> (SchedulerEntity?, isTooBig: Bool) {
        for queue in runQueues {
            unowned(unsafe) var next = queue.first
            while let entity = next {
                guard entity.isBlocked else {
                    let job = entity.firstJob
                    let isTooBig = job.credits > creditLimit
                    if isTooBig { job.credits = creditLimit }
                    guard creditLimit - creditsUsed >= job.credits else { return (nil, isTooBig) }
                    entity.inUse.store(true, ordering: .relaxed)
                    return (entity, isTooBig)
                }
                next = entity.nextWaiting
            }
        }
        return (nil, false)
    }

    /// Who waits for the entity, or for its queue to be empty, may look now.
    private func setUnused(_ entity: SchedulerEntity) {
        entity.inUse.store(false, ordering: .sequentiallyConsistent)
        waiters.wakeAll()
    }

    private func run(_ job: SchedulerJob, of entity: SchedulerEntity) {
        let fence = job.finished
        takeCredits(of: job)
        begin(job)
        do throws(KernelErrno) {
            let parent = try driver.run(job)
            setUnused(entity)
            fence.signalScheduled(parent: parent)
            if let parent { watch(parent, for: job) } else { finish(job, nil) }
        } catch {
            setUnused(entity)
            fence.signalScheduled(parent: nil)
            finish(job, error)
        }
    }

    /// The job is the hardware's from now on. Each start gives the oldest the full time again.
    private func begin(_ job: SchedulerJob) {
        pendingLock.lock()
        pending.append(job)
        startTimer()
        pendingLock.unlock()
    }

    private func watch(_ parent: Fence, for job: SchedulerJob) {
        do throws(KernelErrno) { try parent.add(job) } catch { finish(job, parent.pendingError) }
    }

    /// The hardware is done with a job (`drm_sched_job_done`). The job may be gone when its fence has signalled.
    func finish(_ job: SchedulerJob, _ error: KernelErrno?) {
        let fence = job.finished
        gate.beginSignalling()
        returnCredits(of: job)
        addScore(-1)
        if let error { fence.setError(error) }
        fence.signal()
        gate.endSignalling()
        enqueueFree()
    }

    // MARK: Freeing

    /// Frees the oldest jobs as far as they are finished: one finished out of order waits for the older ones.
    fileprivate func freeFinished() {
        guard !isPaused else { return }
        while let job = takeFinished() { free(job) }
        enqueueRunIfAnyWaits()
    }

    /// Another run would find nothing where no entity waits; who comes to wait asks for one.
    private func enqueueRunIfAnyWaits() {
        queueLock.lock()
        let anyWaits = runQueues.contains { $0.first != nil }
        queueLock.unlock()
        if anyWaits { enqueueRun() }
    }

    private func takeFinished() -> SchedulerJob? {
        pendingLock.lock()
        defer { pendingLock.unlock() }
        guard let job = pending.first, job.finished.isFlaggedSignaled else { return nil }
        pending.remove(job)
        let fence = job.finished
        let time = fence.timestamp, begun = fence.scheduledTimestamp
        if timeout != .never { timer.disarm() }
        if let next = pending.first {
            next.finished.moveScheduled(to: time)
            startTimer()
        }
        account(job, time > begun ? time - begun : 0)
        return job
    }

    /// The job took this long, in ns. The pending-list lock is held.
    private func account(_ job: SchedulerJob, _ time: UInt64) {
        average.add(time / 1000)
        averageCopy.store(average.value, ordering: .relaxed)
        job.entity.account(time)
    }
}
