internal import DRMLock
internal import DRMSync
internal import KernelErrno
internal import Synchronization

/// A work item of a scheduler.
class SchedulerWork: Work, @unchecked Sendable {
    /// Until its end.
    private let owner = Atomic<Unmanaged<Scheduler>?>(nil)

    /// The scheduler keeps it.
    init(queue: WorkQueue) { super.init(queue: queue, isKept: true) }

    final func attach(_ scheduler: Scheduler) { owner.store(.passUnretained(scheduler), ordering: .relaxed) }
    final var isAttached: Bool { owner.load(ordering: .relaxed) != nil }

    /// The scheduler's end, which waits for the run under way. Whoever was about to ask for another one may still do so;
    /// it reaches nobody.
    final func detach() {
        owner.store(nil, ordering: .relaxed)
        end()
    }

    final override func run() {
        owner.load(ordering: .relaxed)?._withUnsafeGuaranteedRef { run(for: $0) }
    }

    func run(for scheduler: Scheduler) {}
}

/// Hands one job out.
final class RunWork: SchedulerWork, @unchecked Sendable {
    override func run(for scheduler: Scheduler) { scheduler.runOne() }
}

/// Frees what is finished.
final class FreeWork: SchedulerWork, @unchecked Sendable {
    override func run(for scheduler: Scheduler) { scheduler.freeFinished() }
}

// The way of a job (jobs.md §6.3).
extension Scheduler {
    /// Hands out the job whose turn it is, if there is one and the credits suffice for it.
    fileprivate func runOne() {
        guard !isPaused, let entity = select() else { return }
        gate.beginSignalling()
        entity._withUnsafeGuaranteedRef { entity in
            if let job = entity.takeJob(for: self) {
                // It keeps itself until it is freed.
                job._withUnsafeGuaranteedRef { run($0, of: entity) }
            } else {
                setUnused(entity)
            }
        }
        gate.endSignalling()
        enqueueRunIfAnyWaits()
    }

    /// The entity whose turn it is. It is in use, and does not go away, from here until ``setUnused(_:)``.
    ///
    /// When the credits do not suffice for its job, everybody waits: otherwise big jobs would never get their turn.
    private func select() -> RunQueue.Link? {
        queueLock.lock()
        defer { queueLock.unlock() }
        for i in runQueues.indices {
            var next = runQueues[i].first
            while let link = next {
                let (isBlocked, following) = link._withUnsafeGuaranteedRef { ($0.isBlocked, $0.nextWaiting) }
                if !isBlocked {
                    return link._withUnsafeGuaranteedRef { entity in
                        guard entity.firstJob._withUnsafeGuaranteedRef({ hasCredits(for: $0) }) else { return nil }
                        entity.inUse.store(true, ordering: .relaxed)
                        return link
                    }
                }
                next = following
            }
        }
        return nil
    }

    /// Who waits for the entity, or for its queue to be empty, may look now.
    private func setUnused(_ entity: SchedulerEntity) {
        entity.inUse.store(false, ordering: .sequentiallyConsistent)
        waiters.wakeAll()
    }

    private func run(_ job: SchedulerJob, of entity: SchedulerEntity) {
        let fence = job.finished
        if job.credits > creditLimit { driver.warn(.creditsClamped) }
        takeCredits(of: job)
        begin(job)
        do throws(KernelErrno) {
            let parent = try driver.run(job)
            setUnused(entity)
            fence.signalScheduled(parent: parent)
            if let parent { watch(parent, for: job) } else { finish(job, fence, nil) }
        } catch {
            setUnused(entity)
            fence.signalScheduled(parent: nil)
            finish(job, fence, error)
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

    /// The hardware is done with a job (`drm_sched_job_done`).
    func finish(_ job: SchedulerJob, _ error: KernelErrno?) { finish(job, job.finished, error) }

    /// The job may be gone when its fence, the one given, has signalled.
    private func finish(_ job: SchedulerJob, _ fence: SchedulerFence, _ error: KernelErrno?) {
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
        let anyWaits = waiting.pointee > 0
        queueLock.unlock()
        if anyWaits { enqueueRun() }
    }

    private func takeFinished() -> SchedulerJob? {
        pendingLock.lock()
        defer { pendingLock.unlock() }
        guard let first = pending.first else { return nil }
        return first._withUnsafeGuaranteedRef { job in
            let fence = job.finishedReference
            guard fence._withUnsafeGuaranteedRef({ $0.isFlaggedSignaled }) else { return nil }
            pending.remove(job)
            let (time, begun) = fence._withUnsafeGuaranteedRef { ($0.timestamp, $0.scheduledTimestamp) }
            if timeout != .never { timer.disarm() }
            if let next = pending.first {
                next._withUnsafeGuaranteedRef { job in
                    job.finishedReference._withUnsafeGuaranteedRef { $0.moveScheduled(to: time) }
                }
                startTimer()
            }
            account(job, time > begun ? time - begun : 0)
            return job.takeItself()
        }
    }

    /// The job took this long, in ns. The pending-list lock is held.
    private func account(_ job: SchedulerJob, _ time: UInt64) {
        average.add(time / 1000)
        averageCopy.store(average.value, ordering: .relaxed)
        job.entity.account(time)
    }
}
