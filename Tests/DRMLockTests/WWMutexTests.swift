import DRMLock
import GateSupport
import Glibc
import KernelErrno
import Model
import Synchronization
import Testing

private let wwClass = LockClass("ww class")

/// A ww mutex that closures can hold, and who has it, as the test sees it.
private final class Locked: Sendable {
    let mutex: WWMutex
    let owners = Shared(0)

    init(_ gate: Gate) { mutex = WWMutex(wwClass, gate: gate) }

    func lock(_ ticket: AcquireContext?, interruptible: Bool = false) -> KernelErrno? {
        do { try mutex.lock(ticket, interruptible: interruptible) } catch { return error }
        #expect(owners.change { $0 += 1; return $0 } == 1)
        return nil
    }

    func lockSlowly(_ ticket: AcquireContext?, interruptible: Bool = false) -> KernelErrno? {
        do { try mutex.lockSlowly(ticket, interruptible: interruptible) } catch { return error }
        #expect(owners.change { $0 += 1; return $0 } == 1)
        return nil
    }

    func tryLock(_ ticket: AcquireContext?) -> Bool {
        let isMine = mutex.tryLock(ticket)
        if isMine { #expect(owners.change { $0 += 1; return $0 } == 1) }
        return isMine
    }

    var isLocked: Bool { mutex.isLocked }

    func unlock() {
        #expect(owners.change { $0 -= 1; return $0 } == 0)
        mutex.unlock()
    }
}

/// The wait-die laws of spec/gpuvm.md 6.6.
@Suite struct WWMutexTests {
    private let gate = SteppedGate()
    private let log = Log()

    /// Somebody who takes a lock with a ticket while it holds another, tells how it went, and lets go.
    private func spawn(
        _ name: String, _ ticket: AcquireContext?, takes lock: Locked, holding other: Locked? = nil
    ) -> GateActor {
        let actor = gate.spawn(name) { [log] in
            if let other { #expect(other.lock(ticket) == nil) }
            if let error = lock.lock(ticket) {
                log.add("\(name) \(error)")
            } else {
                log.add("\(name) has it")
                lock.unlock()
            }
            other?.unlock()
        }
        gate.step()
        return actor
    }

    @Test("a free lock is taken and let go, and the ticket counts")
    func free() {
        let a = Locked(gate), b = Locked(gate)
        let ticket = AcquireContext(gate: gate)
        #expect(a.lock(ticket) == nil)
        #expect(b.lock(ticket) == nil)
        #expect(a.isLocked)
        #expect(ticket.acquiredCount == 2)
        a.unlock()
        b.unlock()
        #expect(!a.isLocked)
        #expect(ticket.acquiredCount == 0)
        ticket.end()
    }

    @Test("stamps grow; a ticket begun anew is the youngest")
    func stamps() {
        let first = AcquireContext(gate: gate), second = AcquireContext(gate: gate)
        #expect(first.stamp < second.stamp)
        first.end()
        first.begin()
        #expect(first.stamp > second.stamp)
    }

    @Test("a ticket's own lock again is EALREADY")
    func already() {
        let a = Locked(gate)
        let ticket = AcquireContext(gate: gate)
        #expect(a.lock(ticket) == nil)
        #expect(a.lock(ticket) == .EALREADY)
        #expect(!a.tryLock(ticket))
        #expect(ticket.acquiredCount == 1)
        let waiter = spawn("waiter", nil, takes: a)
        #expect(a.lock(ticket) == .EALREADY)
        a.unlock()
        gate.join(waiter)
    }

    @Test("a younger ticket that holds something gets EDEADLK from an older holder; an older one waits")
    func holders() {
        let a = Locked(gate), b = Locked(gate)
        let old = AcquireContext(gate: gate), middle = AcquireContext(gate: gate), young = AcquireContext(gate: gate)
        #expect(a.lock(middle) == nil)
        let dies = spawn("young", young, takes: a, holding: b)
        #expect(log.lines == ["young EDEADLK"])
        let waits = spawn("old", old, takes: a, holding: b)
        #expect(log.lines == ["young EDEADLK"])
        a.unlock()
        gate.join(waits)
        gate.join(dies)
        #expect(log.lines == ["young EDEADLK", "old has it"])
    }

    @Test("a ticket that holds nothing waits for whomever, and is not made to give way")
    func holdsNothing() {
        let a = Locked(gate)
        let tickets = (0..<4).map { _ in AcquireContext(gate: gate) }
        #expect(a.lock(tickets[1]) == nil)
        let actors = [3, 2, 0].map { spawn("\($0)", tickets[$0], takes: a) }
        #expect(log.lines == [])
        a.unlock()
        for actor in actors { gate.join(actor) }
        #expect(log.lines == ["0 has it", "2 has it", "3 has it"])
    }

    @Test("an older ticket in the line makes a ticket that holds something give way, though the holder is younger")
    func olderInLine() {
        let a = Locked(gate), b = Locked(gate)
        let old = AcquireContext(gate: gate), middle = AcquireContext(gate: gate), young = AcquireContext(gate: gate)
        #expect(a.lock(young) == nil)
        let first = spawn("old", old, takes: a)
        let second = spawn("middle", middle, takes: a, holding: b)
        #expect(log.lines == ["middle EDEADLK"])
        a.unlock()
        gate.join(first)
        gate.join(second)
        #expect(log.lines == ["middle EDEADLK", "old has it"])
    }

    @Test("a waiting ticket that holds something gives way when an older one joins the line")
    func olderJoins() {
        let a = Locked(gate), b = Locked(gate)
        let old = AcquireContext(gate: gate), middle = AcquireContext(gate: gate), young = AcquireContext(gate: gate)
        #expect(a.lock(young) == nil)
        let second = spawn("middle", middle, takes: a, holding: b)
        #expect(log.lines == [])
        let first = spawn("old", old, takes: a)
        gate.runUntilIdle()
        #expect(log.lines == ["middle EDEADLK"])
        a.unlock()
        gate.join(first)
        gate.join(second)
        #expect(log.lines == ["middle EDEADLK", "old has it"])
        #expect(!a.isLocked && !b.isLocked)
    }

    @Test("without a ticket it is a plain wait in the order of coming, and nobody gives way to it")
    func plain() {
        let a = Locked(gate), b = Locked(gate)
        let old = AcquireContext(gate: gate), young = AcquireContext(gate: gate)
        #expect(a.lock(nil) == nil)
        let actors = [
            spawn("plain", nil, takes: a), spawn("young", young, takes: a, holding: b), spawn("last", nil, takes: a),
            spawn("old", old, takes: a),
        ]
        gate.runUntilIdle()
        #expect(log.lines == ["young EDEADLK"])
        a.unlock()
        for actor in actors { gate.join(actor) }
        // The old one took the younger one's place.
        #expect(log.lines == ["young EDEADLK", "plain has it", "old has it", "last has it"])
    }

    @Test("the slow way waits for an older holder")
    func slowly() {
        let a = Locked(gate)
        let old = AcquireContext(gate: gate), young = AcquireContext(gate: gate)
        #expect(a.lock(old) == nil)
        let other = gate.spawn("young") { [log] in
            #expect(a.lockSlowly(young) == nil)
            log.add("young has it")
            #expect(young.acquiredCount == 1)
            a.unlock()
        }
        gate.step()
        #expect(log.lines == [])
        a.unlock()
        gate.join(other)
        #expect(log.lines == ["young has it"])
    }

    @Test("a signal ends an interruptible wait with EINTR and leaves nothing behind; others wait on")
    func interrupted() {
        let a = Locked(gate)
        let ticket = AcquireContext(gate: gate)
        #expect(a.lock(nil) == nil)
        let other = gate.spawn("other") { [log] in
            log.add("\(a.lock(ticket, interruptible: true)!)")
            log.add("\(a.lockSlowly(ticket, interruptible: true)!)")
            #expect(ticket.acquiredCount == 0)
            #expect(a.lock(ticket) == nil)
            log.add("other has it")
            a.unlock()
        }
        gate.step()
        other.interrupt()
        gate.step()
        #expect(log.lines == ["EINTR"])
        other.interrupt()
        gate.step()
        other.interrupt()
        gate.step()
        #expect(log.lines == ["EINTR", "EINTR"])
        a.unlock()
        gate.join(other)
        #expect(log.lines == ["EINTR", "EINTR", "other has it"])
        #expect(!a.isLocked)
    }

    @Test("a free lock is taken whatever signal is there, and the signal stays")
    func signalStays() {
        let a = Locked(gate)
        gate.current.interrupt()
        #expect(a.lock(nil, interruptible: true) == nil)
        a.unlock()
        #expect(gate.park(interruptible: true, "a test") == .interrupted)
    }

    @Test("a signal that comes after the hand-over is kept for the next wait", arguments: Driver.allCases)
    func lateSignal(driver: Driver) {
        driver.run { gate, seed in
            let a = Locked(gate)
            #expect(a.lock(nil) == nil)
            let other = gate.spawn("other") {
                if a.lock(nil, interruptible: true) == nil {
                    a.unlock()
                    while gate.park(interruptible: true, "the signal") != .interrupted {}
                }
            }
            gate.sleep(for: 1000)
            a.unlock()
            other.interrupt()
            gate.join(other)
            #expect(!a.isLocked, "seed \(seed)")
        }
    }

    @Test("trying never waits")
    func trying() {
        let a = Locked(gate)
        let ticket = AcquireContext(gate: gate)
        #expect(a.tryLock(ticket))
        #expect(ticket.acquiredCount == 1)
        let other = gate.spawn("other") { #expect(!a.tryLock(nil)) }
        gate.join(other)
        a.unlock()
        #expect(a.tryLock(nil))
        a.unlock()
        ticket.end()
    }

    // MARK: Many

    /// Takes some locks with a ticket, as drm_exec does.
    /// - Returns: whether it has them all; else a signal came, and it has none.
    private static func takeAll(
        _ locks: [Locked], _ ticket: AcquireContext, interruptible: Bool, isOldest: () -> Bool
    ) -> Bool {
        var contended: Int?
        while true {
            var held: [Int] = []
            var error: KernelErrno?
            if let i = contended {
                contended = nil
                error = locks[i].lockSlowly(ticket, interruptible: interruptible)
                if error == nil { held.append(i) }
            }
            for i in locks.indices where error == nil && !held.contains(i) {
                let mustGetOn = isOldest()
                error = locks[i].lock(ticket, interruptible: interruptible)
                #expect(!(mustGetOn && error == .EDEADLK))
                if error == nil { held.append(i) } else if error == .EDEADLK { contended = i }
            }
            #expect(ticket.acquiredCount == held.count)
            if error == nil { return true }
            for i in held { locks[i].unlock() }
            if error == .EINTR { return false }
        }
    }

    @Test(
        "whoever takes which locks in what order, with signals: all get on, and the oldest never gives way",
        arguments: Driver.allCases)
    func many(driver: Driver) {
        driver.run(seeds: 1000, times: 30) { gate, seed in
            var random = SeededRandom(seed: seed)
            let count = Int.random(in: 2...4, using: &random)
            let locks = (0..<Int.random(in: 1...4, using: &random)).map { _ in Locked(gate) }
            let active = Shared<Set<UInt64>>([])
            let actors = Shared<[GateActor]>([])
            let done = Shared(0)
            let rounds = driver == .threaded ? 200 : 2
            for i in 0..<count {
                let actorSeed = random.next()
                let actor = gate.spawn("\(i)") {
                    var random = SeededRandom(seed: actorSeed)
                    let ticket = AcquireContext(gate: gate)
                    for _ in 0..<rounds {
                        let wanted = locks.shuffled(using: &random).prefix(Int.random(in: 1...4, using: &random))
                        if Int.random(in: 0..<5, using: &random) == 0 {
                            #expect(wanted[0].lock(nil) == nil)
                            gate.point()
                            wanted[0].unlock()
                            continue
                        }
                        if Int.random(in: 0..<4, using: &random) == 0 {
                            actors.value.randomElement(using: &random)?.interrupt()
                        }
                        active.change {
                            ticket.begin()
                            $0.insert(ticket.stamp)
                        }
                        let interruptible = Bool.random(using: &random)
                        let hasAll = Self.takeAll(Array(wanted), ticket, interruptible: interruptible) {
                            active.value.min()! == ticket.stamp
                        }
                        if hasAll {
                            gate.point()
                            for lock in wanted { lock.unlock() }
                        }
                        active.change { _ = $0.remove(ticket.stamp) }
                        ticket.end()
                    }
                    done.change { $0 += 1 }
                }
                actors.change { $0.append(actor) }
            }
            for actor in actors.value { gate.join(actor) }
            #expect(done.value == count, "seed \(seed)")
            for lock in locks { #expect(!lock.isLocked, "seed \(seed)") }
        }
    }

    @Test("who gets a lock may end its memory: who let it go touches it no more, though others came and gave way")
    func endedByTheNext() {
        let gate = ThreadedGate(), lock = Ending(gate), other = Locked(gate), touched = Shared(0)
        let ticket = AcquireContext(gate: gate), younger = AcquireContext(gate: gate)
        let next = gate.spawn("next") {
            #expect(other.lock(younger) == nil)
            for round in 0..<Ending.rounds {
                lock.take(younger, round)
                if !lock.end(round) { touched.change { $0 += 1 } }
            }
            other.unlock()
        }
        for round in 0..<Ending.rounds { lock.handOn(ticket, round) }
        gate.join(next)
        gate.shutdown()
        #expect(touched.value == 0)
    }
}

/// A ww mutex whose memory ends with each hand-over.
private final class Ending: @unchecked Sendable {
    static let rounds = 5_000

    private let gate: Gate
    private let mutex = UnsafeMutablePointer<WWMutex>.allocate(capacity: 1)
    /// How often it was made, contended, let go and ended, together.
    private let stage = Atomic<Int>(0)

    init(_ gate: Gate) { self.gate = gate }
    deinit { mutex.deallocate() }

    private func wait(for stage: Int, of round: Int) {
        while self.stage.load(ordering: .acquiring) < 4 * round + stage { _ = sched_yield() }
    }

    /// Makes it, and lets it go in the midst of the other's attempts.
    func handOn(_ ticket: AcquireContext, _ round: Int) {
        wait(for: 0, of: round)
        mutex.initialize(to: WWMutex(wwClass, gate: gate))
        let isMine = mutex.pointee.tryLock(ticket)
        #expect(isMine)
        stage.add(1, ordering: .releasing)
        wait(for: 2, of: round)
        mutex.pointee.unlock()
        stage.add(1, ordering: .relaxed)
    }

    /// Gives way to the older ticket, again and again, until that has let it go.
    func take(_ ticket: AcquireContext, _ round: Int) {
        wait(for: 1, of: round)
        var isContended = false
        while true {
            do throws(KernelErrno) { return try mutex.pointee.lock(ticket) } catch { #expect(error == .EDEADLK) }
            if !isContended { stage.add(1, ordering: .relaxed) }
            isContended = true
            for _ in 0..<5 where mutex.pointee.tryLock(ticket) { return }
        }
    }

    /// Writes to the memory, in a way that ThreadSanitizer sees: to it even a touch that came early enough is one too
    /// many.
    /// - Returns: whether nobody else wrote there afterwards.
    func end(_ round: Int) -> Bool {
        mutex.pointee.unlock()
        mutex.deinitialize(count: 1)
        let words = UnsafeMutableRawPointer(mutex).assumingMemoryBound(to: UInt32.self)
        let indices = 0..<MemoryLayout<WWMutex>.size / 4
        for i in indices { words[i] = .max }
        while stage.load(ordering: .relaxed) < 4 * round + 3 { _ = sched_yield() }
        defer { stage.add(1, ordering: .releasing) }
        return indices.allSatisfy { words[$0] == .max }
    }
}

@Suite struct SleepingMutexTests {
    private static let lockClass = LockClass("mutex")

    @Test("one at a time", arguments: Driver.allCases)
    func exclusion(driver: Driver) {
        final class Counter: @unchecked Sendable { var count = 0 }
        driver.run { gate, seed in
            let mutex = SharedMutex(Self.lockClass, gate: gate)
            let counter = Counter()
            let actors = (0..<4).map { i in
                gate.spawn("\(i)") {
                    for _ in 0..<20 {
                        mutex.withLock {
                            let old = counter.count
                            gate.point()
                            counter.count = old + 1
                        }
                    }
                }
            }
            for actor in actors { gate.join(actor) }
            #expect(counter.count == 80, "seed \(seed)")
        }
    }

    @Test("first come, first served")
    func order() {
        let gate = SteppedGate()
        let log = Log()
        let mutex = SharedMutex(Self.lockClass, gate: gate)
        mutex.lock()
        let actors = (0..<3).map { i in
            defer { gate.step() }
            return gate.spawn("\(i)") { mutex.withLock { log.add("\(i)") } }
        }
        mutex.unlock()
        #expect(!mutex.tryLock())
        for actor in actors { gate.join(actor) }
        #expect(log.lines == ["0", "1", "2"])
        #expect(mutex.tryLock())
        mutex.unlock()
    }

    @Test("a signal ends an interruptible wait with EINTR", arguments: Driver.allCases)
    func interrupted(driver: Driver) {
        driver.run { gate, _ in
            let mutex = SharedMutex(Self.lockClass, gate: gate)
            mutex.lock()
            let other = gate.spawn("other") {
                #expect(throws: KernelErrno.EINTR) { try mutex.lockInterruptible() }
            }
            other.interrupt()
            gate.join(other)
            mutex.unlock()
            #expect(throws: Never.self) { try mutex.lockInterruptible() }
            mutex.unlock()
        }
    }

    @Test("withLock lets go when its body throws")
    func throwing() {
        let gate = SteppedGate()
        let mutex = SharedMutex(Self.lockClass, gate: gate)
        #expect(throws: KernelErrno.ENOMEM) {
            try mutex.withLock { () throws(KernelErrno) in throw .ENOMEM }
        }
        #expect(mutex.tryLock())
        mutex.unlock()
    }
}
