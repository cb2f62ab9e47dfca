public import DRMLock
internal import DRMSync
internal import KernelErrno

// The end of an entity (jobs.md §6.7).
extension SchedulerEntity {
    /// Waits until nothing is to be handed out: from a running client until a signal comes, from an exiting one up to a
    /// time. May park.
    /// - Parameters:
    ///   - timeout: in ns; only for who is exiting.
    ///   - killed: who is exiting was the last user and was killed: what is queued then dies too.
    /// - Returns: what is left of the time.
    @discardableResult
    public func flush(timeout: UInt64 = .never, exiting: Bool = false, killed: Bool = false) -> UInt64 {
        guard hasRunQueue else { return 0 }
        let scheduler = lock.withLock { self.scheduler }
        let gate = scheduler.gate
        guard exiting else {
            scheduler.waiters.wait(on: gate, interruptible: true, "an entity's jobs", { isIdle })
            return timeout
        }
        let (end, overflow) = gate.now.addingReportingOverflow(timeout)
        let deadline = overflow ? .never : end
        scheduler.waiters.wait(on: gate, until: deadline, "an entity's jobs", { isIdle })
        if killed { kill() }
        return deadline == .never ? timeout : deadline - min(gate.now, deadline)
    }

    /// No job of it will be run any more. Those queued end with `ESRCH`, in order, each when what it depends on has
    /// signalled. Waits until the scheduler does not use it, not for the jobs to end. May park.
    public func kill() {
        guard hasRunQueue else { return }
        lock.lock()
        let scheduler = self.scheduler
        stopped.store(true, ordering: .sequentiallyConsistent)
        leaveRunQueue()
        lock.unlock()
        scheduler.waiters.wakeAll()
        scheduler.waiters.wait(on: scheduler.gate, "a job that is being handed out") {
            !inUse.load(ordering: .sequentiallyConsistent)
        }
        if killQueuedJobs() { continueKill() }
    }

    /// Ends it: kills it and lets go what it holds. May park.
    public func fini() {
        kill()
        forget()
    }

    /// Waits for its jobs to be handed out, as ``flush(timeout:exiting:killed:)`` does with a second's time, then ends it.
    public func destroy(exiting: Bool = false, killed: Bool = false) {
        flush(timeout: 1_000_000_000, exiting: exiting, killed: killed)
        fini()
    }

    func continueKill() {
        lock.withLock { killWork }?.enqueue()
    }

    /// Ends the first killed job, unless it has to wait; it will come back then.
    /// - Returns: whether it was the last.
    fileprivate func endKilledJob(_ work: KillWork) -> Bool {
        guard let job = lock.withLock({ killed.first?.takeUnretainedValue() }) else { return true }
        while let fence = work.takePrevious() ?? job.takeDependency() {
            do throws(KernelErrno) {
                try fence.add(job)
                return false
            } catch {}
        }
        lock.lock()
        killed.remove(job)
        let isLast = killed.isEmpty
        if isLast { killWork = nil }
        lock.unlock()
        let fence = job.finished, scheduler = fence.scheduler
        scheduler.gate.beginSignalling()
        fence.signalScheduled(parent: nil)
        fence.signal()
        scheduler.gate.endSignalling()
        scheduler.addScore(-1)
        scheduler.free(job)
        if !isLast { work.enqueue() }
        return isLast
    }
}

/// Ends killed jobs, one a run.
final class KillWork: Work, @unchecked Sendable {
    /// Let go at the end: the gate may keep this a little longer.
    private var entity: SchedulerEntity?
    /// What was before them.
    private var previous: Fence?

    init(_ entity: SchedulerEntity, after previous: Fence?, queue: WorkQueue) {
        self.entity = entity
        self.previous = previous
        super.init(queue: queue)
    }

    override func run() {
        if entity!.endKilledJob(self) { entity = nil }
    }

    func takePrevious() -> Fence? {
        defer { previous = nil }
        return previous
    }
}
