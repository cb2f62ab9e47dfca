import DRMLock
import GateSupport
import Model
import Testing

@Suite struct SteppedGateTests {
    @Test("a step lasts until the actor parks; the baton comes back")
    func step() {
        let gate = SteppedGate()
        let log = Log()
        let main = gate.current
        let other = gate.spawn("other") {
            log.add("other parks")
            _ = gate.park("a test")
            log.add("other goes on")
            main.unpark()
        }
        #expect(gate.step())
        #expect(log.lines == ["other parks"])
        #expect(!gate.step())
        other.unpark()
        #expect(gate.park("a test") == .woken)
        #expect(log.lines == ["other parks", "other goes on"])
        gate.join(other)
    }

    @Test("who is stepped may step others")
    func nestedSteps() {
        let gate = SteppedGate()
        let log = Log()
        gate.spawn("outer") {
            gate.spawn("inner") {
                log.add("inner")
                gate.sleep(for: 1)
                log.add("inner ends")
            }
            while gate.step() {}
            log.add("outer")
            gate.sleep(for: 2)
            log.add("outer ends")
        }
        gate.step()
        #expect(log.lines == ["inner", "outer"])
        gate.advance(by: 1)
        #expect(log.lines == ["inner", "outer", "inner ends"])
        gate.advance(by: 1)
        #expect(log.lines == ["inner", "outer", "inner ends", "outer ends"])
        #expect(gate.isIdle)
    }

    @Test("time stands still while anybody may go on, then jumps to the next deadline")
    func time() {
        let gate = SteppedGate(now: 100)
        let queue = WorkQueue("queue", gate: gate, mayPark: false)
        let log = Log()
        let work = ClosureWork(queue) { log.add("work at \(gate.now)") }
        let timer = Timer(ClosureWork(queue) { log.add("timer at \(gate.now)") })
        timer.arm(at: 150)
        work.enqueue()
        work.enqueue()
        #expect(gate.park(until: 200, "a test") == .timedOut)
        #expect(gate.now == 200)
        #expect(log.lines == ["work at 100", "timer at 150"])
    }

    @Test("advance fires what comes due, in order, and ends at its moment")
    func advance() {
        let gate = SteppedGate(now: 100)
        let queue = WorkQueue("queue", gate: gate, mayPark: false)
        let log = Log()
        let timers = (0..<3).map { i in Timer(ClosureWork(queue) { log.add("\(i) at \(gate.now)") }) }
        timers[2].arm(at: 120)
        timers[0].arm(at: 120)
        timers[1].arm(at: 110)
        gate.advance(by: 15)
        #expect(log.lines == ["1 at 110"])
        #expect(gate.now == 115)
        #expect(!gate.isIdle)
        gate.advance(by: 100)
        #expect(log.lines == ["1 at 110", "2 at 120", "0 at 120"])
        #expect(gate.now == 215)
        #expect(gate.isIdle)
    }

    @Test("many timers, moved and disarmed at random, fire at their moments and in order")
    func manyTimers() {
        for seed in seeds(100) {
            var random = SeededRandom(seed: seed)
            let gate = SteppedGate(now: 0)
            let queue = WorkQueue("queue", gate: gate, mayPark: false)
            let fired = Shared<[UInt64]>([])
            let timers = (0..<20).map { _ in Timer(ClosureWork(queue) { fired.change { $0.append(gate.now) } }) }
            var expected: [Int: UInt64] = [:]
            for _ in 0..<200 {
                let i = Int.random(in: 0..<20, using: &random)
                if Bool.random(using: &random) {
                    expected[i] = UInt64.random(in: 1...50, using: &random)
                    timers[i].arm(at: expected[i]!)
                } else {
                    #expect(timers[i].disarm() == (expected.removeValue(forKey: i) != nil), "seed \(seed)")
                }
            }
            gate.advance(by: 100)
            #expect(fired.value == expected.values.sorted(), "seed \(seed)")
        }
    }

    /// Actors that pass contended points, sleep, queue work; who was where, in order.
    private func trace(_ order: SteppedGate.Order) -> [String] {
        let gate = SteppedGate(order)
        let log = Log()
        let queue = WorkQueue("queue", gate: gate, mayPark: true)
        let work = ClosureWork(queue) {
            log.add("work")
            gate.sleep(for: 3)
            log.add("work ends")
        }
        let actors = (0..<3).map { i in
            gate.spawn("\(i)") {
                for j in 0..<4 {
                    log.add("\(i).\(j)")
                    gate.point()
                    if j == i { work.enqueue() }
                    if j & 1 != 0 { gate.sleep(for: UInt64(i)) }
                }
            }
        }
        for actor in actors { gate.join(actor) }
        work.flush()
        return log.lines
    }

    @Test("a seed gives the same order each time, and different seeds different orders")
    func seededOrders() {
        var orders: Set<[String]> = []
        for seed in seeds(100) {
            let lines = trace(.seeded(seed))
            #expect(lines == trace(.seeded(seed)), "seed \(seed)")
            orders.insert(lines)
        }
        #expect(orders.count > 50 || seeds(100).count == 1)
    }

    @Test("the caller may choose who goes on")
    func chosenOrder() {
        func order(last: Bool) -> [String] {
            let gate = SteppedGate(.chosen { last ? $0 - 1 : 0 })
            let log = Log()
            let queue = WorkQueue("queue", gate: gate, mayPark: false)
            for i in 0..<3 { ClosureWork(queue) { log.add("\(i)") }.enqueue() }
            gate.runUntilIdle()
            return log.lines
        }
        #expect(order(last: false) == ["0", "1", "2"])
        #expect(order(last: true) == ["2", "1", "0"])
    }

    @Test("the deadlock handler is told when nobody can go on, and may wake somebody")
    func deadlock() {
        let gate = SteppedGate()
        let main = gate.current
        let seen = Shared<[String]>([])
        let other = gate.spawn("other") { _ = gate.park("a thing") }
        gate.onDeadlock = {
            seen.change { $0.append(gate.waiting) }
            main.unpark()
            other.unpark()
        }
        #expect(gate.park("another thing") == .woken)
        #expect(seen.value == ["main: another thing, other: a thing"])
        gate.join(other)
    }

    @Test("an item that may park holds up nobody whose stack it might have been on")
    func parkedItem() {
        let gate = SteppedGate()
        let queue = WorkQueue("queue", gate: gate, mayPark: true)
        let log = Log()
        let runner = Shared<GateActor?>(nil)
        let work = ClosureWork(queue) {
            runner.value = gate.current
            log.add("work parks")
            _ = gate.park("main")
            log.add("work ends")
        }
        work.enqueue()
        #expect(gate.park(until: gate.now + 10, "a test") == .timedOut)
        #expect(log.lines == ["work parks"])
        runner.value!.unpark()
        work.flush()
        #expect(log.lines == ["work parks", "work ends"])
    }

    @Test("an item that parks only for locks gets a thread where a lock is held below it")
    func borrowedStack() {
        let gate = SteppedGate()
        let queue = WorkQueue("queue", gate: gate, mayPark: true, onlyForLocks: true)
        let mutex = SharedMutex(LockClass("mutex"), gate: gate)
        let log = Log()
        let work = ClosureWork(queue) {
            mutex.lock()
            log.add("work has it")
            mutex.unlock()
        }
        mutex.lock()
        work.enqueue()
        #expect(gate.park(until: gate.now + 10, "a test") == .timedOut)
        #expect(log.lines == [])
        mutex.unlock()
        gate.runUntilIdle()
        #expect(log.lines == ["work has it"])
        // Nobody has it: the item runs on the stack below, and may wait there for who is not there.
        let other = gate.spawn("other") { mutex.withLock { _ = gate.sleep(for: 5) } }
        gate.step()
        work.enqueue()
        #expect(gate.park(until: gate.now + 2, "a test") == .timedOut)
        #expect(log.lines == ["work has it", "work has it"])
        gate.join(other)
    }

    @Test("idle threads end with their gate")
    func endOfThreads() {
        weak var weakGate: SteppedGate?
        do {
            let gate = SteppedGate()
            weakGate = gate
            let work = ClosureWork(WorkQueue("queue", gate: gate, mayPark: true)) {}
            work.enqueue()
            work.flush()
        }
        while weakGate != nil {}
    }
}
