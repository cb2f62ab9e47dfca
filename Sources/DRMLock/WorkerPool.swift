internal import Glibc

/// The threaded gate's threads for work items of one kind. While one parks inside an item there is always another
/// for the next item.
///
/// Its own lock guards everything, and the gate's part of its items too. It does not keep the gate: items do.
final class WorkerPool: @unchecked Sendable {
    private let name: String
    private let spin = SpinLock()
    /// The line. An item that was cancelled stays in it and is passed over.
    private var first, last: Work?
    private var idle: [ThreadActor] = []
    /// Workers that do not park inside an item.
    private var available = 0
    private var threads: [pthread_t] = []
    private var isStopping = false

    init(_ name: String) {
        self.name = name
    }

    deinit {
        for thread in threads { pthread_detach(thread) }
    }

    // MARK: Workers

    /// Sees to it that there are so many that do not park inside an item.
    func start(_ count: Int, for gate: ThreadedGate) {
        while true {
            spin.lock()
            let enough = available >= count
            if !enough { available += 1 }
            spin.unlock()
            if enough { return }
            let actor = ThreadActor(name, gate: gate)
            let number = gate.number
            // The gate may be gone before the thread has started.
            let thread = startJoinableThread { [self, weak gate] in
                if let gate { ThreadActors.current.add(actor, gate: gate, number: number) }
                runItems(as: actor)
            }
            spin.withLock { threads.append(thread) }
        }
    }

    /// Has the workers end when there is nothing more to do.
    func stop() {
        spin.lock()
        isStopping = true
        for worker in idle { worker.end(with: .woken) }
        spin.unlock()
    }

    /// After ``stop()``, waits until they have.
    func join() {
        while let thread = spin.withLock({ threads.popLast() }) {
            let result = pthread_join(thread, nil)
            precondition(result == 0, "a worker shuts down its own gate")
        }
    }

    private func runItems(as worker: ThreadActor) {
        while true {
            spin.lock()
            if let work = takeFirst(for: worker) {
                spin.unlock()
                run(work, as: worker)
                continue
            }
            let isOver = isStopping
            if !isOver { idle.append(worker) }
            spin.unlock()
            if isOver { return }
            _ = worker.park(until: .never, interruptible: false)
            spin.withLock { idle.removeAll { $0 === worker } }
        }
    }

    private func run(_ work: Work, as worker: ThreadActor) {
        work.run()
        #if GPUVM_VALIDATE
        work.queue.gate.validator.end(of: worker)
        #endif
        worker.work = nil
        spin.lock()
        work.runner = nil
        for waiter in work.takeWaiters() { waiter.unpark() }
        if work.isQueued { addLast(work) }
        spin.unlock()
    }

    /// A worker parks inside an item.
    func parks(for gate: ThreadedGate) {
        spin.withLock { available -= 1 }
        start(1, for: gate)
    }

    func goesOn() {
        spin.withLock { available += 1 }
    }

    // MARK: Items

    func enqueue(_ work: Work) {
        spin.lock()
        defer { spin.unlock() }
        guard !work.isQueued else { return }
        work.isQueued = true
        if work.runner == nil { addLast(work) }
    }

    /// With the lock.
    private func addLast(_ work: Work) {
        precondition(!isStopping, "a work item for a gate that is shut down")
        guard !work.isInLine else { return }
        work.isInLine = true
        if let last { last.next = work } else { first = work }
        last = work
        idle.popLast()?.end(with: .woken)
    }

    /// With the lock. Its run has begun.
    private func takeFirst(for worker: ThreadActor) -> Work? {
        while let work = first {
            first = work.next
            work.next = nil
            if first == nil { last = nil }
            work.isInLine = false
            if work.isQueued {
                worker.withLock { worker.begin(work) }
                return work
            }
        }
        return nil
    }

    func cancel(_ work: Work, as actor: GateActor) {
        spin.withLock { work.isQueued = false }
        wait(for: work, as: actor) { work.runner == nil }
    }

    func flush(_ work: Work, as actor: GateActor) {
        wait(for: work, as: actor) { !work.isQueued && work.runner == nil }
    }

    private func wait(for work: Work, as actor: GateActor, until isOver: () -> Bool) {
        while true {
            spin.lock()
            let mayGo = work.runner === actor || isOver()
            if !mayGo { work.waiters.append(actor) }
            spin.unlock()
            if mayGo { return }
            _ = actor.gate.park("a work item")
        }
    }
}
