package import DRMLock
internal import DRMSync
package import KernelErrno

/// What became of each job, and when: for who wants to draw it. Any thread may call.
package final class JobLog: @unchecked Sendable {
    /// A client's binds, or a channel's pushes.
    package struct Queue: Sendable {
        package let name: String
        /// See ``DeviceFile/serial``.
        package let file: Int
    }

    package struct Entry: Sendable {
        package let queue: Int
        package let title: String
        /// Jobs whose fences it waits for, as far as they are known.
        package let waits: [Int]
        package let submitted: UInt64
        /// When its dependencies were met and it was its turn; `nil`: never.
        package internal(set) var ran: UInt64?
        /// When its fence signalled.
        package internal(set) var done: UInt64?
        package internal(set) var error: KernelErrno?
    }

    /// A fault, or a channel's end.
    package struct Incident: Sendable {
        package let queue: Int
        package let time: UInt64
        package let text: String
    }

    private struct FenceKey: Hashable {
        let context, seqno: UInt64

        init(_ fence: Fence) {
            let fence = (fence as? FenceChain)?.contained ?? fence
            context = fence.context
            seqno = fence.seqno
        }
    }

    /// `nil`: there is no time, so moments are counted.
    private let gate: Gate?
    private let spin = SpinLock()
    // Guarded by the spin lock.
    private var count: UInt64 = 0
    private var allQueues: [Queue] = []
    private var entries: [Entry] = []
    private var happened: [Incident] = []
    private var jobs: [FenceKey: Int] = [:]

    /// - Parameter gate: whose clock counts, in ns; `nil`: each moment is one later than the one before.
    package init(clock gate: Gate?) { self.gate = gate }

    package var queues: [Queue] { spin.withLock { allQueues } }
    package var all: [Entry] { spin.withLock { entries } }
    package var incidents: [Incident] { spin.withLock { happened } }

    /// A moment of the log's clock.
    package func moment() -> UInt64 { spin.withLock { now() } }

    private func now() -> UInt64 {
        count += 1
        return gate?.now ?? count
    }

    /// A queue's part of the log.
    struct Track: Sendable {
        fileprivate let log: JobLog
        fileprivate let queue: Int
    }

    func track(_ name: String, file: Int) -> Track {
        spin.withLock {
            allQueues.append(Queue(name: name, file: file))
            return Track(log: self, queue: allQueues.count - 1)
        }
    }

    fileprivate func add(_ job: Job, _ queue: Int) -> Int {
        let dependencies = job.waitsFor.map(FenceKey.init)
        let key = FenceKey(job.finished), title = job.title
        return spin.withLock {
            entries.append(
                Entry(queue: queue, title: title, waits: dependencies.compactMap { jobs[$0] }, submitted: now()))
            jobs[key] = entries.count - 1
            return entries.count - 1
        }
    }

    fileprivate func change(_ job: Int, _ body: (inout Entry, UInt64) -> Void) {
        spin.withLock { body(&entries[job], now()) }
    }

    fileprivate func add(_ incident: String, _ queue: Int) {
        spin.withLock { happened.append(Incident(queue: queue, time: now(), text: incident)) }
    }
}

extension JobLog.Track {
    /// The job is armed, and will be pushed.
    func submitted(_ job: Job) {
        let number = log.add(job, queue)
        job.logged = number
        // Nobody can have signalled it yet.
        try! job.finished.add(Done(log, number))
    }

    func runs(_ job: Job) { log.change(job.logged) { $0.ran = $1 } }

    func note(_ incident: String) { log.add(incident, queue) }

    private final class Done: FenceCallback, @unchecked Sendable {
        private let log: JobLog
        private let number: Int

        init(_ log: JobLog, _ number: Int) {
            self.log = log
            self.number = number
            super.init()
        }

        override func signaled(_ fence: Fence) {
            log.change(number) { job, now in
                job.done = now
                job.error = fence.pendingError
            }
        }
    }
}
