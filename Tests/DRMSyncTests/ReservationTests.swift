import DRMLock
import DRMSync
import GateSupport
import KernelErrno
import Testing

@Suite("dma_resv") struct ReservationTests {
    let gate = SteppedGate()

    /// A reservation with the lock held.
    func locked() throws -> Reservation {
        let resv = Reservation(gate: gate)
        try resv.lock.lock(nil)
        return resv
    }

    func entries(_ resv: Reservation, _ usage: ReservationUsage = .bookkeep) -> [(UInt64, UInt64, ReservationUsage)] {
        var all: [(UInt64, UInt64, ReservationUsage)] = []
        resv.forEach(usage) { all.append(($0.fence.context, $0.fence.seqno, $0.usage)) }
        return all
    }

    @Test("dma-buf-resv: sanitycheck: slots are reserved with the lock held; 0 of them is EINVAL")
    func sanity() throws {
        let resv = try locked()
        #expect(failure { () throws(KernelErrno) in try resv.reserve(0) } == .EINVAL)
        try resv.reserve(1)
        resv.unlock()
        #expect(!resv.isLocked)
    }

    @Test("dma-buf-resv: signaling: idle when the fence has signalled", arguments: ReservationUsage.allCases)
    func signaling(usage: ReservationUsage) throws {
        let resv = try locked(), fence = gate.fence()
        try resv.reserve(1)
        resv.add(fence, usage)
        for question in ReservationUsage.allCases {
            #expect(resv.isSignaled(question) == (question < usage))
        }
        fence.signal()
        #expect(resv.isSignaled(.bookkeep))
        resv.unlock()
    }

    @Test("dma-buf-resv: for_each, for_each_unlocked, get_fences: exactly the one, with its usage",
        arguments: ReservationUsage.allCases)
    func iteration(usage: ReservationUsage) throws {
        let resv = try locked(), fence = gate.fence()
        try resv.reserve(1)
        resv.add(fence, usage)
        #expect(entries(resv, usage).map(\.2) == [usage])
        #expect(resv.fences(usage).count == 1 && resv.fences(usage)[0] === fence)
        #expect(resv.singleton(usage) === fence)
        fence.signal()
        #expect(entries(resv, usage).count == 1, "with the lock, signalled ones are seen too")
        #expect(resv.fences(usage).isEmpty && resv.singleton(usage) == nil)
        resv.unlock()
    }

    @Test("usages include those before them; a writer waits for readers, a reader for writers")
    func inclusion() throws {
        let resv = try locked()
        try resv.reserve(4)
        for usage in ReservationUsage.allCases { resv.add(gate.fence(), usage) }
        #expect(ReservationUsage.allCases.map { resv.fences($0).count } == [1, 2, 3, 4])
        #expect(ReservationUsage.implicit(isWrite: true) == .read && ReservationUsage.implicit(isWrite: false) == .write)
        resv.unlock()
    }

    @Test("fences of one context replace each other; one may be promoted, never demoted")
    func replacing() throws {
        let resv = try locked(), context = gate.allocateContexts()
        try resv.reserve(4)
        let fences = (1...3).map { Fence(gate: gate, context: context, seqno: $0) }
        resv.add(fences[0], .bookkeep)
        resv.add(fences[1], .write)
        #expect(entries(resv).map(\.1) == [2] && entries(resv).map(\.2) == [.write])
        resv.add(fences[2], .bookkeep)
        #expect(entries(resv).map(\.1) == [2, 3], "its usage does not include what is there")
        resv.add(fences[1], .write)
        #expect(entries(resv).map(\.1) == [2, 3])
        resv.replace(context: context, with: fences[2], .read)
        #expect(entries(resv).map(\.1) == [3, 3] && entries(resv).map(\.2) == [.read, .read])
        resv.unlock()
    }

    @Test("one that has signalled gives its slot to the next")
    func reuse() throws {
        let resv = try locked(), fence = gate.fence(), next = gate.fence()
        try resv.reserve(1)
        resv.add(fence, .kernel)
        fence.signal()
        resv.add(next, .bookkeep)
        #expect(entries(resv).map(\.0) == [next.context])
        resv.unlock()
    }

    @Test("reserved slots are not added up, and hold so many more fences from then on")
    func slots() throws {
        let resv = try locked()
        try resv.reserve(1)
        try resv.reserve(3)
        for _ in 0..<3 { resv.add(gate.fence(), .read) }
        try resv.reserve(9)
        for _ in 0..<9 { resv.add(gate.fence(), .read) }
        #expect(resv.fences(.read).count == 12)
        resv.unlock()
    }

    @Test("several pending fences are one array")
    func singleton() throws {
        let resv = try locked(), fences = [gate.fence(), gate.fence()]
        try resv.reserve(2)
        for fence in fences { resv.add(fence, .write) }
        let one = try #require(resv.singleton(.write) as? FenceArray)
        #expect(one.fences.elementsEqual(fences) { $0 === $1 })
        resv.unlock()
    }

    @Test("copying takes the pending fences over, with their usages")
    func copying() throws {
        let from = try locked(), fence = gate.fence(), done = gate.fence()
        try from.reserve(2)
        from.add(fence, .read)
        from.add(done, .write)
        from.unlock()
        done.signal()
        let to = try locked()
        try to.reserve(1)
        to.add(gate.fence(), .kernel)
        to.copy(from: from)
        #expect(entries(to).map(\.0) == [fence.context] && entries(to).map(\.2) == [.read])
        to.unlock()
    }

    @Test("a wait is over with the last fence of the usage; 1 is left where nothing is to be waited for",
        arguments: Driver.allCases)
    func waiting(driver: Driver) throws {
        try driver.run { gate, seed throws in
            let resv = Reservation(gate: gate)
            #expect(try resv.wait(.bookkeep, timeout: 0) == 1)
            let fences = (0..<3).map { _ in gate.fence() }
            try resv.lock.lock(nil)
            try resv.reserve(3)
            for (fence, usage) in zip(fences, [.write, .read, .bookkeep] as [ReservationUsage]) { resv.add(fence, usage) }
            resv.unlock()
            #expect(try resv.wait(.read, timeout: 0) == 0)
            #expect(try resv.wait(.kernel, timeout: 0) == 1)
            let signaller = gate.spawn("signaller") {
                for fence in fences[0..<2] {
                    gate.point()
                    fence.signal()
                }
            }
            #expect(try resv.wait(.read) > 0, "seed \(seed)")
            #expect(resv.isSignaled(.read) && !resv.isSignaled(.bookkeep))
            gate.join(signaller)
            #expect(try resv.wait(.bookkeep, timeout: 1000) == 0)
        }
    }

    @Test("who looks without the lock sees whole lists", arguments: Driver.allCases)
    func unlocked(driver: Driver) {
        driver.run(seeds: 1000, times: 20) { gate, seed in
            let resv = Reservation(gate: gate)
            let seen = Shared(0)
            let reader = gate.spawn("reader") {
                for _ in 0..<30 {
                    gate.point()
                    seen.change { [count = resv.fences(.bookkeep).count] in $0 = max($0, count) }
                }
            }
            for _ in 0..<10 {
                try! resv.lock.lock(nil)
                try! resv.reserve(1)
                let fence = gate.fence()
                resv.add(fence, .write)
                gate.point()
                resv.unlock()
                fence.signal()
            }
            gate.join(reader)
            #expect(seen.value <= 1 && resv.isSignaled(.bookkeep), "seed \(seed)")
        }
    }
}
