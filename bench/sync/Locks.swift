import DRMLock
import Synchronization

private final class Locked {
    let ww: WWMutex
    let mutex: SleepingMutex
    let word = Atomic<Int>(0)

    init(_ gate: Gate) {
        ww = WWMutex(LockClass("ww"), gate: gate)
        mutex = SleepingMutex(LockClass("mutex"), gate: gate)
    }
}

func benchLocks(_ rounds: Int) {
    for (name, gate) in [("stepped", SteppedGate()), ("threaded", ThreadedGate())] as [(String, Gate)] {
        let objects = (0..<64).map { _ in Locked(gate) }, one = objects[0]
        let locks = objects.map(Unmanaged.passUnretained)
        let ticket = AcquireContext(gate: gate)
        report("locks, \(name) gate, uncontended: lock + unlock", rounds: rounds, [
            Row(name: "limit: a locked add", count: 1_000_000) { count in
                measure { for _ in 0..<count { one.word.add(1, ordering: .acquiringAndReleasing) } }
            },
            Row(name: "mutex", count: 200_000) { count in
                measure {
                    for _ in 0..<count {
                        one.mutex.lock()
                        one.mutex.unlock()
                    }
                }
            },
            Row(name: "ww mutex with a ticket, 64 objects, each", count: 64 * 4_000) { count in
                let time = measure {
                    for _ in 0..<count / 64 {
                        ticket.begin()
                        for lock in locks { lock._withUnsafeGuaranteedRef { try! $0.ww.lock(ticket) } }
                        for lock in locks { lock._withUnsafeGuaranteedRef { $0.ww.unlock() } }
                        ticket.end()
                    }
                }
                withExtendedLifetime(objects) {}
                return time
            },
        ])
    }
}
