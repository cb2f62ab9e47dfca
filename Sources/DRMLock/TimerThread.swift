internal import Glibc

/// The threaded gate's thread that fires timers.
final class TimerThread: @unchecked Sendable {
    private let spin = SpinLock()
    private var moments = Moments()
    private var actor: ThreadActor?
    private var thread: pthread_t?
    private var isStopping = false

    deinit {
        if let thread { pthread_detach(thread) }
    }

    func start(for gate: ThreadedGate) {
        let actor = ThreadActor("timers", gate: gate)
        spin.lock()
        let isFirst = self.actor == nil
        if isFirst { self.actor = actor }
        spin.unlock()
        guard isFirst else { return }
        let thread = startJoinableThread { [self] in run(as: actor) }
        spin.withLock { self.thread = thread }
    }

    /// Fires no more. What is armed is forgotten.
    func stop() {
        let forgotten = spin.withLock {
            isStopping = true
            actor?.end(with: .woken)
            return moments.removeAll()
        }
        _ = forgotten
    }

    func join() {
        let thread = spin.withLock { self.thread.take() }
        if let thread { pthread_join(thread, nil) }
    }

    private func run(as actor: ThreadActor) {
        while true {
            spin.lock()
            if isStopping { return spin.unlock() }
            let first = moments.first
            let deadline = first?.time ?? .never
            let isDue = deadline <= monotonicTime()
            if isDue { moments.remove(first!) }
            spin.unlock()
            if isDue {
                first!.come()
            } else {
                _ = actor.park(until: deadline, interruptible: false)
            }
        }
    }

    func arm(_ timer: Timer, at deadline: UInt64) {
        spin.withLock {
            moments.add(timer, at: deadline)
            if moments.first === timer { actor?.end(with: .woken) }
        }
    }

    func disarm(_ timer: Timer) -> Bool {
        spin.withLock {
            defer { moments.remove(timer) }
            return timer.isWaiting
        }
    }

    func deadline(of timer: Timer) -> UInt64? {
        spin.withLock { timer.isWaiting ? timer.time : nil }
    }
}

/// Nanoseconds of the monotonic clock.
func monotonicTime() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
