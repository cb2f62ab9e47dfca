internal import DRMExec
internal import DRMLock
internal import DRMScheduler
internal import DRMSync
internal import KernelErrno

/// Whose jobs come one after another: a client's binds, or a channel's pushes (`nouveau_sched`).
///
/// Locks: its mutex, within a file's and outside that of a space, serialises submissions.
///
/// Source: jobs.md 5.
final class JobQueue: @unchecked Sendable {
    private let mutex: SleepingMutex
    @exclusivity(unchecked) private(set) var scheduler: Scheduler!
    @exclusivity(unchecked) private(set) var entity: SchedulerEntity!
    /// Locks what a job is about, from its `submit` to its `armedSubmit`.
    let exec: Exec
    /// `nil`: nobody keeps a log.
    let track: JobLog.Track?

    private let spin: SpinLock
    // Guarded by the spin lock.
    /// Submitted and not freed, oldest first: linked through the jobs, each kept as long by who submits or frees it,
    /// and in between by the scheduler.
    @exclusivity(unchecked) private var first: Unmanaged<Job>?
    @exclusivity(unchecked) private var last: Unmanaged<Job>?
    /// Jobs that are over, to be used again: each keeps the next.
    @exclusivity(unchecked) private var spare: Job?
    @exclusivity(unchecked) private var spareCount = 0
    private static let mostSpares = 4
    /// For the list to lose a job.
    let waiters = WaitList()

    static let lockClass = LockClass("sched.mutex")
    /// How long the hardware may take for a job, in ns.
    private static let timeout: UInt64 = 10_000_000_000

    /// - Parameter queue: runs and frees its jobs; both may take locks.
    init(_ name: String, gate: Gate, creditLimit: UInt32, queue: WorkQueue, track: JobLog.Track?) {
        self.track = track
        spin = SpinLock(gate)
        mutex = SleepingMutex(Self.lockClass, gate: gate)
        exec = Exec(gate: gate)
        let timeouts = WorkQueue("\(name) timeout", gate: gate, mayPark: true)
        // Neither argument can be refused.
        scheduler = try! Scheduler(
            name: name, driver: Driver(), gate: gate,
            queues: Scheduler.Queues(submit: queue, free: queue, timeout: timeouts), creditLimit: creditLimit,
            timeout: Self.timeout)
        entity = try! SchedulerEntity([scheduler], priority: .kernel)
    }

    /// Waits until all its jobs are freed, then ends it. May park.
    func fini() {
        waitUntilEmpty()
        entity.fini()
        scheduler.fini()
        while let spare = takeSpare() { _ = consume spare }
    }

    /// May park.
    func waitUntilEmpty() {
        waiters.wait(on: scheduler.gate, "jobs that are not freed") { spin.withLock { first == nil } }
    }

    /// What is queued ends with `ESRCH`. May park.
    func kill() { entity.kill() }

    // MARK: Submission

    /// Takes a job all its way to the scheduler (`nouveau_job_submit`). If it throws, the job is freed and nothing has
    /// changed.
    /// - Parameter isSync: waits for its end, or for a signal for the caller; whatever comes of it.
    func submit(
        _ job: Job, isSync: Bool = false, signals: Signals = Signals()
    ) throws(KernelErrno) {
        mutex.lock()
        do throws(KernelErrno) { try job.submit(exec) } catch {
            mutex.unlock()
            job.cleanup()
            job.free()
            throw error
        }
        list(job)
        job.arm()
        track?.submitted(job)
        let fence = job.finished
        job.armedSubmit(exec, fence)
        signals.attach(fence)
        job.push()
        mutex.unlock()
        if isSync { _ = try? fence.wait(timeout: .never, interruptible: true) }
    }

    private func list(_ job: Job) {
        let link = Unmanaged.passUnretained(job)
        spin.lock()
        job.previousListed = last
        if let last { last._withUnsafeGuaranteedRef { $0.nextListed = link } } else { first = link }
        last = link
        spin.unlock()
    }

    /// With the spin lock.
    private func unlist(_ job: Job) {
        let next = job.nextListed, previous = job.previousListed
        if let previous { previous._withUnsafeGuaranteedRef { $0.nextListed = next } } else { first = next }
        if let next { next._withUnsafeGuaranteedRef { $0.previousListed = previous } } else { last = previous }
        job.nextListed = nil
        job.previousListed = nil
    }

    /// The jobs that are not freed, oldest first.
    var pending: [Job] {
        var all: [Job] = []
        spin.lock()
        var next = first
        while let job = next?.takeUnretainedValue() {
            all.append(job)
            next = job.nextListed
        }
        spin.unlock()
        return all
    }

    /// The last of a job. From now on it may be another call's.
    fileprivate func forget(_ job: Job) {
        let isSpare = job.renew()
        spin.lock()
        unlist(job)
        if isSpare, spareCount < Self.mostSpares {
            job.nextSpare = spare.take()
            spare = job
            spareCount += 1
        }
        spin.unlock()
        waiters.wakeAll()
    }

    /// A job that is over, to be used once more.
    func takeSpare() -> Job? {
        spin.lock()
        defer { spin.unlock() }
        guard let job = spare.take() else { return nil }
        spare = job.nextSpare.take()
        spareCount -= 1
        return job
    }

    // MARK: What the scheduler asks for

    private final class Driver: SchedulerDriver {
        func run(_ job: SchedulerJob) throws(KernelErrno) -> Fence? {
            let job = of(job)
            job.jobs.track?.runs(job)
            return try job.run()
        }

        func free(_ job: SchedulerJob) {
            let job = of(job)
            job.free()
            job.jobs.forget(job)
        }

        /// jobs.md 3.1
        func timedOut(_ job: SchedulerJob) -> SchedulerStatus {
            let job = of(job)
            let scheduler = job.jobs.scheduler!
            scheduler.stop(job)
            job.timeout()
            scheduler.start()
            return .reset
        }

        private func of(_ job: SchedulerJob) -> Job { unsafeDowncast(job, to: Job.self) }
    }
}
