import DRMLock
import DRMSync
import GateSupport
import Glibc
import KernelErrno
import Testing

@Suite("dma_fence") struct FenceTests {
    let gate = SteppedGate()

    @Test("dma-buf-fence: sanitycheck: contexts are unique, from 1")
    func sanity() {
        #expect(gate.allocateContexts(4) == 1)
        #expect(gate.allocateContexts() == 5)
        let fence = gate.fence(seqno: 7)
        #expect(fence.context == 6 && fence.seqno == 7)
        fence.enableSoftwareSignaling()
        #expect(!fence.isSignaled)
    }

    @Test("dma-buf-fence: signaling: pending when made, signals once, check-and-signal says whether it already was")
    func signaling() {
        let fence = gate.fence()
        #expect(!fence.isSignaled)
        #expect(!fence.checkAndSignal())
        #expect(fence.isSignaled && fence.isFlaggedSignaled)
        #expect(fence.checkAndSignal())
        #expect(fence.names == ("detached-driver", "signaled-timeline"))
    }

    @Test("dma-buf-fence: add_callback: it runs, once")
    func addCallback() throws {
        let fence = gate.fence(), callback = Count()
        try fence.add(callback)
        #expect(callback.runs == 0 && callback.isQueued)
        fence.signal()
        fence.signal()
        #expect(callback.runs == 1 && !callback.isQueued)
    }

    @Test("dma-buf-fence: late_add_callback: refused, and never runs")
    func lateAddCallback() {
        let fence = gate.fence(), callback = Count()
        fence.signal()
        #expect(throws: KernelErrno.ENOENT) { try fence.add(callback) }
        fence.signal()
        #expect(callback.runs == 0)
    }

    @Test("dma-buf-fence: rm_callback: taken back, it does not run")
    func removeCallback() throws {
        let fence = gate.fence(), callback = Count()
        try fence.add(callback)
        #expect(fence.remove(callback))
        fence.signal()
        #expect(callback.runs == 0)
    }

    @Test("dma-buf-fence: late_rm_callback: it cannot be taken back once it has run")
    func lateRemoveCallback() throws {
        let fence = gate.fence(), callback = Count()
        try fence.add(callback)
        fence.signal()
        #expect(callback.runs == 1)
        #expect(!fence.remove(callback))
    }

    @Test("dma-buf-fence: status: pending, then done")
    func status() {
        let fence = gate.fence()
        #expect(fence.status == .pending)
        fence.signal()
        #expect(fence.status == .done)
    }

    @Test("dma-buf-fence: error: hidden before it signals, EIO after")
    func error() {
        let fence = gate.fence()
        fence.setError(.EIO)
        #expect(fence.status == .pending)
        fence.signal()
        #expect(fence.status == .failed(.EIO))
    }

    @Test("dma-buf-fence: wait: with timeout 0, 0 before it signals and 1 after")
    func wait() throws {
        let fence = gate.fence()
        #expect(try fence.wait(timeout: 0) == 0)
        fence.signal()
        #expect(try fence.wait(timeout: 0) == 1)
        #expect(try fence.wait() == .never)
    }

    @Test("dma-buf-fence: wait_timeout: over after its time, or what is left of it")
    func waitTimeout() throws {
        let fence = gate.fence()
        let start = gate.now
        #expect(try fence.wait(timeout: 1000) == 0)
        #expect(gate.now == start + 1000)
        let signaller = gate.spawn("signaller") { [gate] in
            gate.sleep(for: 300)
            fence.signal()
        }
        #expect(try fence.wait(timeout: 1000) == 700)
        gate.join(signaller)
    }

    @Test("dma-buf-fence: stub: 64 of them have all signalled")
    func stub() {
        let stubs = (0..<64).map { _ in Fence.stub(gate: gate) }
        #expect(stubs.allSatisfy { $0.isSignaled && $0.context == 0 && $0.status == .done })
        #expect(Fence.stub(gate: gate, signaledAt: 77).timestamp == 77)
    }

    @Test("dma-buf-fence: race_signal_callback: no callback is missed, by two who signal each other's fences",
        arguments: Driver.allCases)
    func raceSignalCallback(driver: Driver) {
        driver.run(seeds: 1000, times: 50) { gate, seed in
            let fences = (0..<16).map { _ in gate.fence() }
            let turns = Shared([Int](repeating: 0, count: 2))
            let actors = (0..<2).map { me in
                gate.spawn("racer \(me)") {
                    for (i, fence) in fences.enumerated() {
                        gate.point()
                        if i % 2 == me {
                            fence.signal()
                        } else {
                            let callback = Count()
                            let refused = failure { () throws(KernelErrno) in try fence.add(callback) } != nil
                            gate.point()
                            fence.signal()
                            while !refused && callback.runs == 0 { gate.sleep(for: 1000) }
                            if refused && callback.runs > 0 { turns.change { $0[me] = -1000 } }
                        }
                        turns.change { $0[me] += 1 }
                    }
                }
            }
            for actor in actors { gate.join(actor) }
            #expect(turns.value == [16, 16], "seed \(seed)")
        }
    }

    @Test("callbacks run in the order they were added; a waiter's comes first")
    func order() throws {
        final class Note: FenceCallback, @unchecked Sendable {
            let log: Shared<[Int]>, number: Int
            init(_ log: Shared<[Int]>, _ number: Int) { self.log = log; self.number = number }
            override func signaled(_ fence: Fence) { log.value.append(number) }
        }
        let fence = gate.fence(), log = Shared<[Int]>([])
        let notes = (0..<4).map { Note(log, $0) }
        for note in notes[0..<3] { try fence.add(note) }
        try fence.add(notes[3], atHead: true)
        #expect(fence.remove(notes[1]))
        fence.signal()
        #expect(log.value == [3, 0, 2])
    }

    @Test("signalling is enabled at most once, by who first wants to know; what is done then signals at once")
    func enabling() {
        final class Lazy: Fence, @unchecked Sendable {
            var calls = 0
            var willSignal = true
            override func enableSignaling() -> Bool { calls += 1; return willSignal }
        }
        let fence = Lazy(gate: gate, context: 1, seqno: 1)
        #expect(!fence.isSignaled && fence.calls == 0)
        try? fence.add(Count())
        try? fence.add(Count())
        fence.enableSoftwareSignaling()
        #expect(fence.calls == 1)
        fence.signal()
        let done = Lazy(gate: gate, context: 1, seqno: 2), callback = Count()
        done.willSignal = false
        #expect(throws: KernelErrno.ENOENT) { try done.add(callback) }
        #expect(done.isFlaggedSignaled && callback.runs == 0)
    }

    @Test("who asks finds out what nobody has said yet, and then it has signalled")
    func asking() {
        final class Polled: Fence, @unchecked Sendable {
            var done = false
            override var isDone: Bool { done }
        }
        let fence = Polled(gate: gate, context: 1, seqno: 1), callback = Count()
        try? fence.add(callback)
        #expect(!fence.isSignaled)
        fence.done = true
        #expect(!fence.isFlaggedSignaled && fence.isSignaled && fence.isFlaggedSignaled)
        #expect(callback.runs == 1)
    }

    @Test("its time is when it signalled, on the gate's clock")
    func timestamp() {
        let fence = gate.fence()
        gate.advance(by: 500)
        fence.signal()
        let then = gate.now
        gate.advance(by: 500)
        #expect(fence.timestamp == then)
        let earlier = gate.fence()
        earlier.checkAndSignal(at: 123)
        #expect(earlier.timestamp == 123)
    }

    @Test("sequence numbers wrap around at 32 bits, but on timelines")
    func sequence() {
        let old = Fence(gate: gate, context: 9, seqno: 0xffff_fffe), new = Fence(gate: gate, context: 9, seqno: 3)
        #expect(new.isLater(than: old) && !old.isLater(than: new) && !new.isLater(than: new))
        let timeline = Timeline(gate, points: [3, 0xffff_fffe])
        #expect(timeline.links[1].isLater(than: timeline.links[0]))
        #expect(!timeline.links[0].isLater(than: timeline.links[1]))
    }

    @Test("a signal for the waiter ends an interruptible wait, with ERESTARTSYS, and no other")
    func interrupted() throws {
        let fence = gate.fence()
        gate.current.interrupt()
        #expect(failure { () throws(KernelErrno) in _ = try fence.wait(timeout: 100, interruptible: true) } == .ERESTARTSYS)
        gate.current.interrupt()
        #expect(try fence.wait(timeout: 100) == 0)
        #expect(failure { () throws(KernelErrno) in
            _ = try Fence.waitAny([fence], timeout: 100, interruptible: true)
        } == .ERESTARTSYS)
    }

    @Test("a wait for any gives the index of one that has signalled; timeout 0 only looks", arguments: Driver.allCases)
    func waitAny(driver: Driver) throws {
        try driver.run { gate, seed throws in
            let fences = (0..<3).map { _ in gate.fence() }
            #expect(try Fence.waitAny(fences, timeout: 0) == nil)
            let signaller = gate.spawn("signaller") { fences[1].signal() }
            #expect(try Fence.waitAny(fences) == 1, "seed \(seed)")
            gate.join(signaller)
            #expect(try Fence.waitAny(fences, timeout: 0) == 1)
            #expect(try Fence.waitAny([fences[0]], timeout: 1000) == nil)
        }
        #expect(throws: KernelErrno.EINVAL) { try Fence.waitAny([]) }
    }

    /// Says when somebody has come to wait for it.
    private final class Watched: Fence, @unchecked Sendable {
        let isWaitedFor = Shared(false)

        override func enableSignaling() -> Bool {
            isWaitedFor.value = true
            return true
        }
    }

    @Test("an actor that waited for a fence goes when it has ended", arguments: [Driver.first, .threaded])
    func waiterGoes(driver: Driver) throws {
        try driver.run { gate, _ throws in
            weak var actor: GateActor?
            func waitAndEnd() {
                let fence = Watched(gate: gate, context: gate.allocateContexts(), seqno: 1)
                let spawned = gate.spawn("waiter") { _ = try? fence.wait() }
                while !fence.isWaitedFor.value { gate.sleep(for: 10_000) }
                fence.signal()
                actor = spawned
                gate.join(spawned)
            }
            waitAndEnd()
            // Its thread may not be quite over.
            for _ in 0..<10_000 where actor != nil { usleep(1000) }
            try #require(actor == nil)
        }
    }

    @Test("a wake-up that comes when the time is over does not end the next wait")
    func lateWakeUp() {
        struct Round {
            let begins, late, next: Fence
            let isNextDue = Shared(false)
        }
        let gate = ThreadedGate()
        let rounds = (0..<500).map { _ in Round(begins: gate.fence(), late: gate.fence(), next: gate.fence()) }
        let early = Shared(0), timedOut = Shared(0)
        let waiter = gate.spawn("waiter") {
            for (i, round) in rounds.enumerated() {
                round.begins.signal()
                // Of both kinds, and as close as can be: times that two primes mix.
                let left = try! round.late.wait(timeout: 1 + UInt64(i * 7919 % 100_000))
                if left == 0 { timedOut.change { $0 += 1 } }
                _ = try! round.next.wait()
                if !round.isNextDue.value { early.change { $0 += 1 } }
            }
        }
        let signaller = gate.spawn("signaller") {
            for (i, round) in rounds.enumerated() {
                _ = try! round.begins.wait()
                gate.sleep(for: UInt64(i * 104_729 % 100_000))
                round.late.signal()
                gate.sleep(for: 50_000)
                round.isNextDue.value = true
                round.next.signal()
            }
        }
        gate.join(waiter)
        gate.join(signaller)
        gate.shutdown()
        #expect(early.value == 0 && timedOut.value > 0)
    }

    @Test("who is let go with waiters tells them EDEADLK")
    func abandoned() throws {
        final class Keep: FenceCallback, @unchecked Sendable {
            var status: Fence.Status?
            override func signaled(_ fence: Fence) { status = fence.status }
        }
        let callback = Keep()
        try gate.fence().add(callback)
        #expect(callback.status == .failed(.EDEADLK))
    }

    @Test("a deadline hint goes on while it is pending")
    func deadline() {
        final class Hinted: Fence, @unchecked Sendable {
            var hints: [UInt64] = []
            override func setDeadline(_ deadline: UInt64) { hints.append(deadline) }
        }
        let fences = (1...3).map { Hinted(gate: gate, context: UInt64($0), seqno: 1) }
        let array = FenceArray(gate: gate, fences: [fences[0], fences[1]])
        let chain = FenceChain(previous: array, fence: fences[2], point: 1)
        chain.setDeadlineIfPending(5)
        fences[0].signal()
        chain.setDeadlineIfPending(4)
        #expect(fences.map(\.hints) == [[5], [5, 4], [5, 4]])
        #expect(fences[0].names.driver == "detached-driver" && array.names == ("dma_fence_array", "unbound"))
    }
}
