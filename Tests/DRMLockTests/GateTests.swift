import DRMLock
import GateSupport
import Glibc
import Testing

/// What holds with either driver.
@Suite struct GateTests {
    @Test("a wake-up that comes before the park is kept", arguments: Driver.allCases)
    func keptWake(driver: Driver) {
        driver.run { gate, _ in
            gate.current.unpark()
            #expect(gate.park("a test") == .woken)
        }
    }

    @Test("who parks goes on when woken, and the condition decides", arguments: Driver.allCases)
    func wake(driver: Driver) {
        driver.run { gate, seed in
            let turn = Shared(0)
            let main = gate.current
            let other = gate.spawn("other") {
                for i in 0..<10 {
                    while turn.value != 2 * i + 1 { _ = gate.park("its turn") }
                    turn.value += 1
                    main.unpark()
                }
            }
            for i in 0..<10 {
                turn.value += 1
                other.unpark()
                while turn.value != 2 * i + 2 { _ = gate.park("its turn") }
            }
            gate.join(other)
            #expect(turn.value == 20, "seed \(seed)")
        }
    }

    @Test("a deadline ends a park, not before its time", arguments: Driver.allCases)
    func deadline(driver: Driver) {
        driver.run { gate, _ in
            let deadline = gate.now + 200_000
            #expect(gate.park(until: deadline, "a test") == .timedOut)
            #expect(gate.now >= deadline)
            #expect(gate.park(until: deadline, "a test") == .timedOut)
        }
    }

    @Test("a signal ends an interruptible park, now or the next, once", arguments: Driver.allCases)
    func signal(driver: Driver) {
        driver.run { gate, _ in
            let main = gate.current
            main.interrupt()
            #expect(gate.park(until: gate.now + 10_000, "a test") == .timedOut)
            #expect(gate.park(interruptible: true, "a test") == .interrupted)
            let other = gate.spawn("other") { main.interrupt() }
            #expect(gate.park(interruptible: true, "a test") == .interrupted)
            gate.join(other)
        }
    }

    @Test("what only an actor's body kept is gone when its join returns", arguments: Driver.allCases)
    func bodyIsGone(driver: Driver) {
        final class Slow: Sendable {
            let isGone: Shared<Bool>
            init(_ isGone: Shared<Bool>) { self.isGone = isGone }
            deinit {
                usleep(1000)
                isGone.value = true
            }
        }
        driver.run(seeds: 10, times: 10) { gate, seed in
            let isGone = Shared(false)
            gate.join(gate.spawn("keeper") { [slow = Slow(isGone)] in _ = slow.isGone })
            #expect(isGone.value, "seed \(seed)")
        }
    }

    @Test("who waits for an actor goes on after its end", arguments: Driver.allCases)
    func joining(driver: Driver) {
        driver.run { gate, seed in
            let log = Log()
            let inner = gate.spawn("inner") {
                gate.sleep(for: 1000)
                log.add("inner")
            }
            let outer = gate.spawn("outer") {
                gate.join(inner)
                log.add("outer")
            }
            gate.join(outer)
            gate.join(inner)
            #expect(log.lines == ["inner", "outer"], "seed \(seed)")
        }
    }

    @Test("a work item never runs beside itself, and runs once more when queued meanwhile", arguments: Driver.allCases)
    func oneRun(driver: Driver) {
        driver.run { gate, seed in
            for mayPark in [false, true] {
                let queue = WorkQueue("queue", gate: gate, mayPark: mayPark)
                let inside = Shared(0)
                let seen = Shared(0), asked = Shared(0)
                let work = ClosureWork(queue) {
                    #expect(inside.change { $0 += 1; return $0 } == 1, "seed \(seed)")
                    if mayPark { gate.sleep(for: 1000) }
                    seen.value = asked.value
                    inside.change { $0 -= 1 }
                }
                let actors = (0..<3).map { i in
                    gate.spawn("actor \(i)") {
                        for _ in 0..<10 {
                            asked.change { $0 += 1 }
                            work.enqueue()
                            gate.point()
                        }
                    }
                }
                for actor in actors { gate.join(actor) }
                work.flush()
                #expect(seen.value == 30, "seed \(seed): the last asking was followed by a run")
            }
        }
    }

    @Test("an item may queue itself again", arguments: Driver.allCases)
    func requeue(driver: Driver) {
        final class Again: Work, @unchecked Sendable {
            let runs = Shared(0)
            override func run() { if runs.change({ $0 += 1; return $0 }) < 50 { enqueue() } }
        }
        driver.run { gate, _ in
            let work = Again(queue: WorkQueue("queue", gate: gate, mayPark: false))
            work.enqueue()
            work.flush()
            #expect(work.runs.value == 50)
        }
    }

    @Test("after cancel an item neither waits nor runs; what waits for a run waits for its end", arguments: Driver.allCases)
    func cancel(driver: Driver) {
        driver.run { gate, seed in
            let queue = WorkQueue("queue", gate: gate, mayPark: true)
            let started = Shared(0), ended = Shared(0)
            let work = ClosureWork(queue) {
                started.change { $0 += 1 }
                gate.sleep(for: 50_000)
                ended.change { $0 += 1 }
            }
            for i in 0..<5 {
                work.enqueue()
                if i & 1 != 0 { gate.sleep(for: 20_000) }
                work.cancel()
                let runs = started.value
                #expect(ended.value == runs, "seed \(seed)")
                gate.sleep(for: 1000)
                #expect(started.value == runs, "seed \(seed)")
            }
            work.cancel()
            work.flush()
        }
    }

    @Test("an item may cancel and flush itself without waiting", arguments: Driver.allCases)
    func selfCancel(driver: Driver) {
        final class Own: Work, @unchecked Sendable {
            let runs = Shared(0)
            override func run() {
                runs.change { $0 += 1 }
                enqueue()
                cancel()
                flush()
            }
        }
        driver.run { gate, _ in
            let work = Own(queue: WorkQueue("queue", gate: gate, mayPark: false))
            work.enqueue()
            work.flush()
            #expect(work.runs.value == 1)
        }
    }

    @Test("parked items hold up neither others of their kind nor what signals", arguments: Driver.allCases)
    func parkedItems(driver: Driver) {
        driver.run { gate, seed in
            let slow = WorkQueue("slow", gate: gate, mayPark: true)
            let quick = WorkQueue("quick", gate: gate, mayPark: false)
            let go = Shared(false), parked = Shared(0), done = Shared(0)
            let runners = Shared<[GateActor]>([])
            let items = (0..<8).map { _ in
                ClosureWork(slow) {
                    runners.change { $0.append(gate.current) }
                    parked.change { $0 += 1 }
                    while !go.value { _ = gate.park("the signal") }
                    done.change { $0 += 1 }
                }
            }
            for item in items { item.enqueue() }
            gate.wait { parked.value == items.count }
            let signaller = ClosureWork(quick) {
                go.value = true
                for runner in runners.value { runner.unpark() }
            }
            signaller.enqueue()
            for item in items { item.flush() }
            #expect(done.value == items.count, "seed \(seed)")
        }
    }

    @Test("a timer queues its item when its time has come, in order, unless disarmed", arguments: Driver.allCases)
    func timers(driver: Driver) {
        driver.run { gate, seed in
            let queue = WorkQueue("queue", gate: gate, mayPark: true)
            let log = Log()
            let start = gate.now
            let timers = (0..<4).map { i in
                Timer(ClosureWork(queue) {
                    #expect(gate.now >= start + UInt64(i) * 1_000_000, "seed \(seed)")
                    log.add("\(i)")
                })
            }
            timers[3].arm(at: start + 9_000_000)
            timers[1].arm(at: start + 60_000_000_000)
            for i in [2, 3, 1] { timers[i].arm(at: start + UInt64(i) * 1_000_000) }
            timers[0].arm(at: start + 60_000_000_000)
            #expect(timers[0].deadline == start + 60_000_000_000)
            #expect(timers[0].disarm())
            #expect(!timers[0].disarm())
            #expect(timers[0].deadline == nil)
            gate.wait { log.count == 3 }
            // Threads may be late with arming.
            let lines = driver == .threaded ? log.lines.sorted() : log.lines
            #expect(lines == ["1", "2", "3"], "seed \(seed)")
            #expect(timers[1].deadline == nil)
        }
    }

    @Test("context numbers are unique and start at 1", arguments: Driver.allCases)
    func contexts(driver: Driver) {
        driver.run { gate, _ in
            #expect(gate.allocateContexts() == 1)
            #expect(gate.allocateContexts(3) == 2)
            #expect(gate.allocateContexts() == 5)
        }
    }
}

@Suite struct ThreadedGateTests {
    @Test("any thread is an actor, the same one each time, another for another gate")
    func adoption() {
        let gate = ThreadedGate(), other = ThreadedGate()
        #expect(gate.current === gate.current)
        #expect(gate.current !== other.current)
        let seen = Shared<ObjectIdentifier?>(nil)
        gate.join(gate.spawn("actor") { seen.value = ObjectIdentifier(gate.current) })
        #expect(seen.value != ObjectIdentifier(gate.current))
    }

    @Test("shutdown lets queued items run to their end")
    func shutdown() {
        for _ in 0..<50 {
            let gate = ThreadedGate()
            let queue = WorkQueue("queue", gate: gate, mayPark: true)
            let runs = Shared(0)
            let items = (0..<10).map { _ in
                ClosureWork(queue) {
                    gate.sleep(for: 1000)
                    runs.change { $0 += 1 }
                }
            }
            for item in items { item.enqueue() }
            gate.shutdown()
            #expect(runs.value == 10)
        }
    }

    @Test("a gate may be let go without shutdown, by whom ever")
    func letGo() {
        for _ in 0..<50 {
            weak var weakGate: ThreadedGate?
            do {
                let gate = ThreadedGate()
                weakGate = gate
                let work = ClosureWork(WorkQueue("queue", gate: gate, mayPark: false)) {}
                work.enqueue()
            }
            while weakGate != nil {}
        }
    }

    @Test("shutdown forgets armed timers")
    func forgottenTimers() {
        weak var weakGate: ThreadedGate?
        do {
            let gate = ThreadedGate()
            weakGate = gate
            let timer = Timer(ClosureWork(WorkQueue("queue", gate: gate, mayPark: false)) {})
            timer.arm(at: .never - 1)
            gate.shutdown()
            #expect(timer.deadline == nil)
        }
        #expect(weakGate == nil)
    }
}
