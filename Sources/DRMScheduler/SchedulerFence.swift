internal import DRMLock
public import DRMSync
internal import Synchronization

/// The promise that a job will be finished (`drm_sched_fence`), and with ``scheduled`` the one that it will be handed
/// to the hardware.
///
/// `scheduled` becomes an object only when somebody asks for it; until then its state is kept here.
///
/// Source: jobs.md §6.1, §8 (deadline).
public final class SchedulerFence: Fence, @unchecked Sendable {
    /// Where the job runs.
    public var scheduler: Scheduler { unsafeDowncast(keeper, to: Scheduler.self) }
    private let lock: SpinLock
    /// 0: not handed to the hardware yet. Set with the lock.
    private let scheduledTime = Atomic<UInt64>(0)
    // Guarded by the lock.
    /// One field: a class that has two strong ones retains itself while it is destroyed.
    @exclusivity(unchecked) private var fences: (scheduled: ScheduledFence?, hardware: Fence?)
    @exclusivity(unchecked) private var deadline: UInt64 = .never
    private let isApart = Atomic<Bool>(false)

    /// - Parameter context: that of finished fences; the one before it is that of scheduled ones.
    init(scheduler: Unmanaged<Scheduler>, context: UInt64, seqno: UInt64) {
        let gate = scheduler._withUnsafeGuaranteedRef { Unmanaged.passUnretained($0.gate) }
        lock = SpinLock(gate)
        super.init(gate, keptBy: scheduler.takeUnretainedValue(), context: context, seqno: seqno)
    }

    public override var driverName: String { "drm_sched" }
    public override var timelineName: String { scheduler.name }

    /// Whether those who wait for this fence on the same scheduler wait for all of it, not only for ``scheduled``
    /// (`DRM_SCHED_FENCE_DONT_PIPELINE`).
    public var dontPipeline: Bool {
        get { isApart.load(ordering: .relaxed) }
        set { isApart.store(newValue, ordering: .relaxed) }
    }

    // MARK: Scheduled

    /// Signals when the job is handed to the hardware, before which it may have to wait for others.
    public var scheduled: Fence {
        lock.lock()
        defer { lock.unlock() }
        if let fence = fences.scheduled { return fence }
        let fence = ScheduledFence(scheduler: scheduler, context: context - 1, seqno: seqno)
        if isScheduled { fence.checkAndSignal(at: scheduledTimestamp) }
        fences.scheduled = fence
        return fence
    }

    /// Whether ``scheduled`` has signalled.
    public var isScheduled: Bool { scheduledTimestamp != 0 }

    /// When ``scheduled`` signalled; 0: not yet.
    var scheduledTimestamp: UInt64 { scheduledTime.load(ordering: .acquiring) }

    /// The hardware began with it when it was done with the one before.
    func moveScheduled(to time: UInt64) {
        lock.lock()
        defer { lock.unlock() }
        guard isScheduled else { return }
        scheduledTime.store(time, ordering: .releasing)
        fences.scheduled?.moveTimestamp(to: time)
    }

    /// Signals ``scheduled``; the hardware's fence is known from now on.
    func signalScheduled(parent: Fence?) {
        let time = max(now, 1)
        lock.lock()
        fences.hardware = parent
        scheduledTime.store(time, ordering: .releasing)
        let fence = fences.scheduled, wish = deadline
        lock.unlock()
        if let parent, wish != .never { parent.setDeadlineIfPending(wish) }
        fence?.checkAndSignal(at: time)
    }

    // MARK: Parent

    /// The hardware's fence. A driver that gives a job to the hardware anew, between ``Scheduler/stop(_:)`` and
    /// ``Scheduler/start(error:)``, sets it.
    public var parent: Fence? {
        get {
            lock.lock()
            defer { lock.unlock() }
            return fences.hardware
        }
        set {
            lock.lock()
            let old = fences.hardware, wish = deadline
            fences.hardware = newValue
            lock.unlock()
            if let newValue, wish != .never { newValue.setDeadlineIfPending(wish) }
            _ = old
        }
    }

    /// Kept if it is earlier than what was wished for before, and told to the hardware's fence as soon as there is one.
    public override func setDeadline(_ deadline: UInt64) {
        lock.lock()
        let isEarlier = deadline < self.deadline
        if isEarlier { self.deadline = deadline }
        let parent = fences.hardware
        lock.unlock()
        if isEarlier { parent?.setDeadlineIfPending(deadline) }
    }
}

/// See ``SchedulerFence/scheduled``.
final class ScheduledFence: Fence, @unchecked Sendable {
    private var scheduler = ""

    convenience init(scheduler: Scheduler, context: UInt64, seqno: UInt64) {
        self.init(gate: scheduler.gate, context: context, seqno: seqno)
        self.scheduler = scheduler.name
    }

    override var driverName: String { "drm_sched" }
    override var timelineName: String { scheduler }
}
