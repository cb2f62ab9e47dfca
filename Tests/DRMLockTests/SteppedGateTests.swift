import DRMLock
import Testing

final class Log: @unchecked Sendable {
    var lines: [String] = []
}

final class ClosureWork: Work, @unchecked Sendable {
    let body: () -> Void
    init(_ queue: WorkQueue, _ body: @escaping () -> Void) {
        self.body = body
        super.init(queue: queue)
    }
    override func run() { body() }
}

@Suite struct SteppedGateTests {
    @Test("a parked actor goes on after it is woken; a wake-up before the park is kept")
    func parking() {
        let gate = SteppedGate()
        let log = Log()
        let main = gate.current
        let other = gate.spawn("other") {
            log.lines.append("other parks")
            _ = gate.park("a test")
            log.lines.append("other goes on")
            main.unpark()
        }
        gate.step()
        #expect(log.lines == ["other parks"])
        other.unpark()
        #expect(gate.park("a test") == .woken)
        #expect(log.lines == ["other parks", "other goes on"])
        gate.join(other)
    }

    @Test("time stands still while anybody may go on, then jumps to the next deadline")
    func time() {
        let gate = SteppedGate(now: 100)
        let queue = WorkQueue("queue", gate: gate, mayPark: false)
        let log = Log()
        let work = ClosureWork(queue) { log.lines.append("work at \(gate.now)") }
        let timer = Timer(ClosureWork(queue) { log.lines.append("timer at \(gate.now)") })
        timer.arm(at: 150)
        work.enqueue()
        work.enqueue()
        #expect(gate.park(until: 200, "a test") == .timedOut)
        #expect(gate.now == 200)
        #expect(log.lines == ["work at 100", "timer at 150"])
    }

    @Test("a work item that may park gets a thread where a lock is held below it")
    func nestedParking() {
        let gate = SteppedGate()
        let queue = WorkQueue("queue", gate: gate, mayPark: true)
        let log = Log()
        let main = gate.current
        let work = ClosureWork(queue) {
            _ = gate.park("the lock")
            log.lines.append("work done")
        }
        gate.tookSleepingLock()
        work.enqueue()
        #expect(gate.park(until: gate.now + 10, "a test") == .timedOut)
        gate.gaveSleepingLock()
        #expect(log.lines == [])
        let waker = gate.spawn("waker") { main.unpark() }
        gate.join(waker)
        gate.runUntilIdle()
        #expect(log.lines == [])
    }
}
