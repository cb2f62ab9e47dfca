internal import DRMLock
public import DRMSync
public import KernelErrno

/// Something to be done by the hardware (`drm_sched_job`). Drivers subclass it with what they need to do it.
///
/// Its life: made, given its dependencies, armed, pushed; then it belongs to the scheduler, which runs it once its
/// dependencies are met and frees it (``SchedulerDriver/free(_:)``) once it is finished. One that is not pushed simply
/// goes away. When it is freed it is the driver's, which may have it begin again (``reset()``). It is the callback by
/// which the hardware's fence tells that it is done, hence the superclass.
///
/// Locking: until it is pushed it belongs to who made it. Jobs of one entity are armed and pushed under one lock of the
/// caller's, both for one job before either for the next.
///
/// Source: jobs.md §6.2.
open class SchedulerJob: FenceCallback, @unchecked Sendable {
    /// How much of the scheduler's credit it takes while the hardware has it: all there is, if that is less.
    public final let credits: UInt32
    final let entity: SchedulerEntity
    @exclusivity(unchecked) private final var fence: SchedulerFence?
    @exclusivity(unchecked) private final var dependencies: [Fence] = []
    /// How many of the dependencies were seen to.
    @exclusivity(unchecked) private final var dependenciesMet = 0
    /// When it was pushed.
    @exclusivity(unchecked) final var submitTime: UInt64 = 0
    /// How often it was found guilty of a hang.
    @exclusivity(unchecked) public final private(set) var karma = 0
    @exclusivity(unchecked) final var isKilled = false

    // Guarded by the lock of the list that it is in.
    @exclusivity(unchecked) final var next: JobList.Link?
    @exclusivity(unchecked) final var previous: JobList.Link?
    /// The scheduler's reference: itself, from push to cleanup.
    @exclusivity(unchecked) private final var own: SchedulerJob?

    /// - Throws: `ENOENT`: the entity has no run queue; `EINVAL`: no credits.
    public init(entity: SchedulerEntity, credits: UInt32 = 1) throws(KernelErrno) {
        guard entity.hasRunQueue else { throw .ENOENT }
        guard credits > 0 else { throw .EINVAL }
        self.entity = entity
        self.credits = credits
        super.init()
    }

    /// The same where neither can be.
    package init(ready entity: SchedulerEntity, credits: UInt32) {
        assert(entity.hasRunQueue && credits > 0)
        self.entity = entity
        self.credits = credits
        super.init()
    }

    // MARK: Dependencies

    /// Has the job wait for a fence, such as one found at a syncobj's point. Of two fences of one context the later
    /// one stays. `nil`: nothing to wait for.
    public final func addDependency(_ fence: Fence?) {
        guard let fence else { return }
        for i in dependencies.indices where dependencies[i].context == fence.context {
            if fence.isLater(than: dependencies[i]) { dependencies[i] = fence }
            return
        }
        dependencies.append(fence)
    }

    /// Has the job wait for all fences of a usage, and of those that imply it; the reservation is locked
    /// (`drm_sched_job_add_resv_dependencies`).
    public final func addDependencies(_ reservation: Reservation, _ usage: ReservationUsage) {
        reservation.forEach(usage) { addDependency($0.fence) }
    }

    /// Has the job wait for what a reader or a writer of the object must wait for; the reservation is locked
    /// (`drm_sched_job_add_implicit_dependencies`).
    public final func addImplicitDependencies(_ reservation: Reservation, isWrite: Bool) {
        addDependencies(reservation, .implicit(isWrite: isWrite))
    }

    /// What it was given to wait for.
    package final var waitsFor: [Fence] { dependencies }

    /// - Returns: the next dependency that nobody has looked at.
    final func takeDependency() -> Fence? {
        guard dependenciesMet < dependencies.count else { return nil }
        defer { dependenciesMet += 1 }
        return dependencies[dependenciesMet]
    }

    /// All dependencies are to be looked at once more.
    final func resetDependencies() { dependenciesMet = 0 }

    // MARK: Submission

    /// Signals when it is finished. It must be armed.
    public final var finished: SchedulerFence { fence! }
    /// The same, not retained.
    final var finishedReference: Unmanaged<SchedulerFence> { .passUnretained(fence.unsafelyUnwrapped) }
    /// Signals when it is handed to the hardware.
    public final var scheduled: Fence { fence!.scheduled }
    public final var isArmed: Bool { fence != nil }

    /// Chooses the scheduler and makes the fences valid. The job must be pushed next.
    public final func arm() {
        assert(fence == nil, "a job is armed twice")
        fence = entity.makeFence()
        if !dependencies.isEmpty { makeScheduledFences() }
    }

    /// Of the dependencies on jobs of the same scheduler.
    private final func makeScheduledFences() {
        let scheduler = finished.scheduler
        // What the run path will wait for instead of these must be there by then.
        for case let dependency as SchedulerFence in dependencies
        where dependency.scheduler === scheduler && !dependency.isScheduled {
            _ = dependency.scheduled
        }
    }

    /// Queues it. It may be run, finished and freed before this returns.
    public final func push() {
        assert(fence != nil, "a job is pushed that was not armed")
        own = self
        entity.push(self)
    }

    /// It no longer keeps itself: the scheduler does, which frees it now.
    final func takeItself() -> SchedulerJob { own.take()! }

    /// Lets go what the scheduler needed of it. Only for a job that the driver ends itself: one that is not to be pushed
    /// after all, or that timed out (see ``SchedulerDriver/timedOut(_:)``).
    public final func cleanup() {
        if !dependencies.isEmpty { dependencies = [] }
        own = nil
    }

    /// Makes it as new, to be armed and pushed once more. It is over, or was never pushed.
    public final func reset() {
        cleanup()
        fence = nil
        dependenciesMet = 0
        karma = 0
        isKilled = false
    }

    // MARK: Hangs

    /// The job hung the hardware. More often than the scheduler's `hangLimit`: its entity is guilty
    /// (`drm_sched_increase_karma`). Jobs of kernel priority never are.
    public final func increaseKarma() {
        guard entity.priority != .kernel else { return }
        karma += 1
        if karma > finished.scheduler.hangLimit { entity.guilt?.isSet = true }
    }

    // MARK: Callback

    /// The fence that it waited for signalled: the hardware's, or, for a killed job, one that it must wait for.
    public final override func signaled(_ fence: Fence) {
        if isKilled {
            entity.continueKill()
        } else {
            finished.scheduler.finish(self, fence.pendingError)
        }
    }
}
