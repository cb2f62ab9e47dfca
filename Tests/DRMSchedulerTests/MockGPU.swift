import DRMLock
import DRMScheduler
import DRMSync
import KernelErrno

let millisecond: UInt64 = 1_000_000
let second: UInt64 = 1000 * millisecond

/// A job of ``MockGPU``.
final class MockJob: SchedulerJob, @unchecked Sendable {
    let gpu: MockGPU
    let name: String
    /// On the GPU, in ns; 0: until ``MockGPU/advance(_:)``.
    let duration: UInt64
    /// A timeout leaves it where it is.
    var dontReset = false
    let hardwareFence: Fence
    var finishTime: UInt64 = 0

    // What happened to it; guarded by the GPU's lock.
    var timedOut = false
    var resetSkipped = false

    init(
        _ gpu: MockGPU, _ entity: SchedulerEntity, _ name: String = "", duration: UInt64 = 0, credits: UInt32 = 1
    ) throws(KernelErrno) {
        self.gpu = gpu
        self.name = name
        self.duration = duration
        hardwareFence = Fence(gate: gpu.gate, context: gpu.context, seqno: 0)
        try super.init(entity: entity, credits: credits)
        gpu.lock.withLock { gpu.live += 1 }
    }

    deinit { gpu.lock.withLock { gpu.live -= 1 } }

    func submit() {
        arm()
        push()
    }
}

/// Hardware that does jobs strictly one after another: each takes its time, or waits to be told.
final class MockGPU: SchedulerDriver, @unchecked Sendable {
    /// What `run` does with a job.
    enum Answer {
        case takes
        case isDone
        case fails(KernelErrno)
        case fence(Fence)
    }

    let gate: Gate
    let context: UInt64
    let lock = SpinLock()
    // Guarded by the lock.
    private var jobs: [MockJob] = []
    private var seqno: UInt64 = 0
    private var busyUntil: UInt64 = 0
    var live = 0
    var ran: [String] = []
    var freed: [String] = []
    var canceled: [String] = []
    var warnings: [SchedulerWarning] = []

    // Set by tests, before there are jobs.
    var answer: (MockJob) -> Answer = { _ in .takes }
    var prepares: (MockJob) -> Fence? = { _ in nil }
    /// In place of the mock's own.
    var timeoutHandler: ((MockJob) -> SchedulerStatus)?
    var canCancel = true

    private var timer: Timer!

    init(_ gate: Gate) {
        self.gate = gate
        context = gate.allocateContexts()
        timer = Timer(Clock(self, WorkQueue("mock GPU", gate: gate, mayPark: false)))
    }

    /// Finishes what is due.
    private final class Clock: Work, @unchecked Sendable {
        /// May be gone: a run asked for while one finished all jobs finds nothing to do.
        private weak var gpu: MockGPU?
        init(_ gpu: MockGPU, _ queue: WorkQueue) {
            self.gpu = gpu
            super.init(queue: queue)
        }
        override func run() { gpu?.finishDue() }
    }

    func run(_ job: SchedulerJob) throws(KernelErrno) -> Fence? {
        let job = job as! MockJob
        lock.withLock { ran.append(job.name) }
        switch answer(job) {
        case .isDone: return nil
        case .fails(let error): throw error
        case .fence(let fence): return fence
        case .takes: break
        }
        lock.lock()
        seqno += 1
        job.hardwareFence.seqno = seqno
        if job.duration > 0 {
            busyUntil = max(gate.now, busyUntil) + job.duration
            job.finishTime = busyUntil
        }
        jobs.append(job)
        armTimer()
        lock.unlock()
        return job.hardwareFence
    }

    private func armTimer() {
        if let first = jobs.first, first.duration > 0 { timer.arm(at: first.finishTime) }
    }

    private func finishDue() {
        while true {
            lock.lock()
            guard let first = jobs.first, first.duration > 0, first.finishTime <= gate.now else { break }
            jobs.removeFirst()
            lock.unlock()
            first.hardwareFence.signal()
        }
        armTimer()
        lock.unlock()
    }

    /// Finishes so many of the oldest jobs.
    /// - Returns: how many there were.
    @discardableResult
    func advance(_ count: Int) -> Int {
        lock.lock()
        let done = Array(jobs.prefix(count))
        jobs.removeFirst(done.count)
        armTimer()
        lock.unlock()
        for job in done { job.hardwareFence.signal() }
        return done.count
    }

    /// Takes a job off the hardware.
    /// - Returns: whether it was there.
    func takeOff(_ job: MockJob) -> Bool {
        lock.withLock {
            guard let i = jobs.firstIndex(where: { $0 === job }) else { return false }
            jobs.remove(at: i)
            armTimer()
            return true
        }
    }

    func free(_ job: SchedulerJob) {
        lock.withLock { freed.append((job as! MockJob).name) }
    }

    func prepare(_ job: SchedulerJob) -> Fence? { prepares(job as! MockJob) }

    func timedOut(_ job: SchedulerJob) -> SchedulerStatus {
        let job = job as! MockJob
        if let timeoutHandler { return timeoutHandler(job) }
        if job.dontReset {
            lock.withLock { job.resetSkipped = true }
            return .noHang
        }
        lock.withLock { job.timedOut = true }
        if takeOff(job) {
            job.hardwareFence.setError(.ETIMEDOUT)
            job.hardwareFence.signal()
        }
        job.cleanup()
        return .reset
    }

    func cancel(_ job: SchedulerJob) {
        let job = job as! MockJob
        lock.withLock { canceled.append(job.name) }
        guard takeOff(job) else { return }
        job.hardwareFence.setError(.ECANCELED)
        job.hardwareFence.signal()
    }

    func warn(_ warning: SchedulerWarning) {
        lock.withLock { warnings.append(warning) }
    }

    var waiting: Int { lock.withLock { jobs.count } }
    var liveJobs: Int { lock.withLock { live } }
}
