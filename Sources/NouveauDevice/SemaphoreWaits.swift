internal import DRMLock

/// Engines that wait for a semaphore. They look again when another has got on, and every now and then: a client may
/// write without anybody knowing.
final class SemaphoreWaits: @unchecked Sendable {
    private let spin = SpinLock()
    /// Guarded by the spin lock.
    private var waiting: [ChannelEngines] = []
    private let gate: Gate
    private let timer: Timer

    private static let period: UInt64 = 1_000_000

    init(gate: Gate) {
        self.gate = gate
        let poll = Poll(queue: WorkQueue("semaphores", gate: gate, mayPark: false))
        timer = Timer(poll)
        poll.waits = self
    }

    private final class Poll: Work, @unchecked Sendable {
        weak var waits: SemaphoreWaits?
        override func run() { waits?.wakeAll() }
    }

    func add(_ engines: ChannelEngines) {
        spin.withLock { waiting.append(engines) }
        timer.arm(at: gate.now + Self.period)
    }

    func remove(_ engines: ChannelEngines) {
        spin.withLock { waiting.removeAll { $0 === engines } }
    }

    func wakeAll() {
        let woken = spin.withLock {
            defer { waiting = [] }
            return waiting
        }
        for engines in woken { engines.enqueue() }
    }
}
