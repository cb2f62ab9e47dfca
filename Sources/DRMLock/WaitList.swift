internal import Synchronization

/// Who waits for a condition that others make true and then say so.
package final class WaitList: @unchecked Sendable {
    private let lock = SpinLock()
    private let count = Atomic<Int>(0)
    /// Guarded by the lock.
    @exclusivity(unchecked) private var actors: [GateActor] = []

    package init() {}

    /// To be called after the condition became true, with a sequentially consistent store.
    package func wakeAll() {
        guard count.load(ordering: .sequentiallyConsistent) > 0 else { return }
        lock.lock()
        for actor in actors { actor.unpark() }
        lock.unlock()
    }

    /// Parks until the condition holds.
    /// - Returns: false: the deadline or a signal came first.
    @discardableResult
    package func wait(
        on gate: Gate, until deadline: UInt64 = .never, interruptible: Bool = false, _ why: StaticString,
        _ condition: () -> Bool
    ) -> Bool {
        if condition() { return true }
        let actor = gate.current
        lock.lock()
        actors.append(actor)
        count.add(1, ordering: .sequentiallyConsistent)
        lock.unlock()
        defer {
            lock.lock()
            actors.remove(at: actors.lastIndex { $0 === actor }!)
            count.subtract(1, ordering: .sequentiallyConsistent)
            lock.unlock()
        }
        while !condition() {
            if gate.park(until: deadline, interruptible: interruptible, why) != .woken { return condition() }
        }
        return true
    }
}
