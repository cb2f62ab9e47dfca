internal import Glibc

/// One of the threaded gate's: a thread. Its lock, a pthread mutex, guards what the gate keeps in it; it is held over
/// nothing that waits but its own park.
final class ThreadActor: GateActor, @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    override init(_ name: String, gate: Gate) {
        super.init(name, gate: gate)
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func withLock<R>(_ body: () -> R) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    /// By its own thread.
    func park(until deadline: UInt64, interruptible: Bool) -> Wake {
        withLock {
            if let wake = takeEarlyWake(interruptible: interruptible) { return wake }
            state = .parked(interruptible: interruptible)
            var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
            while case .parked = state {
                if deadline == .never {
                    pthread_cond_wait(condition, mutex)
                } else if pthread_cond_timedwait(condition, mutex, &time) == ETIMEDOUT, case .parked = state {
                    state = .running
                    return .timedOut
                }
            }
            return wake
        }
    }

    func end(with wake: Wake) {
        withLock {
            switch (state, wake) {
            case (.parked(let interruptible), _) where interruptible || wake == .woken:
                self.wake = wake
                state = .running
                pthread_cond_signal(condition)
            case (_, .interrupted): hasSignal = true
            default: hasPermit = true
            }
        }
    }
}

/// What actors a thread is: one for each gate it has been seen by.
final class ThreadActors {
    private struct Entry {
        let number: UInt64
        let actor: ThreadActor
        weak var gate: Gate?
    }

    private var entries: [Entry] = []
    private var lastNumber: UInt64 = 0
    private unowned(unsafe) var last: ThreadActor?

    deinit {
        for entry in entries { entry.actor.waiter = nil }
    }

    /// The slot of each thread for its own; let go when the thread ends.
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        let result = pthread_key_create(&key) { Unmanaged<ThreadActors>.fromOpaque($0!).release() }
        precondition(result == 0, "no room for thread data: error \(result)")
        return key
    }()

    /// The calling thread's.
    static var current: ThreadActors {
        if let known = pthread_getspecific(key) { return Unmanaged.fromOpaque(known).takeUnretainedValue() }
        let new = ThreadActors()
        pthread_setspecific(key, Unmanaged.passRetained(new).toOpaque())
        return new
    }

    /// - Parameter number: the gate's; no other gate ever has it.
    func actor(number: UInt64) -> ThreadActor? {
        if number == lastNumber { return last }
        guard let entry = entries.first(where: { $0.number == number }) else { return nil }
        lastNumber = number
        last = entry.actor
        return entry.actor
    }

    func add(_ actor: ThreadActor, gate: Gate, number: UInt64) {
        entries.removeAll { entry in
            guard entry.gate == nil else { return false }
            entry.actor.waiter = nil
            return true
        }
        entries.append(Entry(number: number, actor: actor, gate: gate))
        lastNumber = number
        last = actor
    }
}
