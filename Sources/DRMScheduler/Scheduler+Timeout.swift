internal import DRMLock
internal import DRMSync
public import KernelErrno

/// Deals with the oldest job, which has had its time.
final class TimeoutWork: SchedulerWork, @unchecked Sendable {
    override func run(for scheduler: Scheduler) { scheduler.handleTimeout() }
}

// Timeouts and resets (jobs.md §6.6, §3.1).
extension Scheduler {
    /// Gives the oldest job, if there is one, the full time from now. The pending-list lock is held.
    func startTimer() {
        guard timeout != .never, !pending.isEmpty else { return }
        timer.arm(at: gate.now + timeout)
    }

    /// The hardware said that something went wrong: the timeout comes now (`drm_sched_fault`).
    public func fault() {
        timer.disarm()
        timeoutWork.enqueue()
    }

    fileprivate func handleTimeout() {
        var status = SchedulerStatus.reset
        if let job = takeOldest() {
            status = driver.timedOut(job)
            if freeGuilty {
                freeGuilty = false
                free(job)
            } else if status == .noHang {
                pendingLock.lock()
                pending.prepend(job)
                pendingLock.unlock()
                enqueueFree()
            }
        }
        guard status != .noDevice else { return }
        pendingLock.lock()
        startTimer()
        pendingLock.unlock()
    }

    private func takeOldest() -> SchedulerJob? {
        pendingLock.lock()
        defer { pendingLock.unlock() }
        guard let job = pending.first?.takeUnretainedValue() else { return nil }
        pending.remove(job)
        return job
    }

    /// Takes the hardware's jobs back before it is reset: handing out and freeing pause; jobs whose hardware fence has
    /// not signalled let go of it and stay pending; finished ones are freed (`drm_sched_stop`). May park. Until
    /// ``start(error:)`` nobody else may resume the work.
    /// - Parameter bad: the job that ``SchedulerDriver/timedOut(_:)`` was called with, if it was for this scheduler.
    public func stop(_ bad: SchedulerJob?) {
        pauseWork()
        pendingLock.lock()
        if let bad, bad.finished.scheduler === self { pending.prepend(bad) }
        var next = pending.last
        pendingLock.unlock()
        // Nobody else takes jobs out of the list while work pauses.
        while let job = next?.takeUnretainedValue() {
            next = job.previous
            if let parent = job.finished.parent, parent.remove(job) {
                job.finished.parent = nil
                returnCredits(of: job)
            } else {
                retire(job, isBad: job === bad)
            }
        }
        timer.disarm()
    }

    /// A job whose hardware fence has signalled.
    private func retire(_ job: SchedulerJob, isBad: Bool) {
        pendingLock.lock()
        pending.remove(job)
        pendingLock.unlock()
        // Its callback may still be on its way.
        _ = try? job.finished.wait(timeout: .never, interruptible: false)
        if isBad { freeGuilty = true } else { free(job) }
    }

    /// Goes on after a reset: jobs that the driver gave to the hardware anew are watched again, the others are finished
    /// (`drm_sched_start`).
    /// - Parameter error: theirs; `nil`: `ECANCELED`. Also that of those whose new fence has signalled without one.
    public func start(error: KernelErrno? = nil) {
        pendingLock.lock()
        var next = pending.first
        pendingLock.unlock()
        while let job = next?.takeUnretainedValue() {
            next = job.next
            takeCredits(of: job)
            guard let parent = job.finished.parent else {
                finish(job, error ?? .ECANCELED)
                continue
            }
            do throws(KernelErrno) { try parent.add(job) } catch { finish(job, parent.pendingError ?? error) }
        }
        pendingLock.lock()
        startTimer()
        pendingLock.unlock()
        resumeWork()
    }
}
