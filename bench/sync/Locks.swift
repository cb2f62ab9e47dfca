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
                measure {
                    for _ in 0..<count / 64 {
                        ticket.begin()
                        for object in objects { try! object.ww.lock(ticket) }
                        for object in objects { object.ww.unlock() }
                        ticket.end()
                    }
                }
            },
        ])
    }
}
