import DRMLock
import DRMSync
import GateSupport
import KernelErrno
import Model
import Testing

@Suite("dma_fence_chain") struct FenceChainTests {
    let gate = SteppedGate()

    func find(_ fence: Fence, _ point: UInt64) throws -> Fence? { try FenceChain.find(fence, point: point) }

    func isRefused(_ fence: Fence, _ point: UInt64) -> Bool {
        failure { () throws(KernelErrno) in _ = try FenceChain.find(fence, point: point) } == .EINVAL
    }

    @Test("dma-fence-chain: sanitycheck: one link, pending until its fence signals")
    func sanity() {
        let fence = gate.fence()
        let link = FenceChain(previous: nil, fence: fence, point: 1)
        #expect(!link.isSignaled)
        fence.signal()
        #expect(link.isSignaled && link.seqno == 1 && link.previousSeqno == 0)
    }

    @Test("dma-fence-chain: find_seqno: 0 is the fence itself, each point is found, none above the link")
    func findSeqno() throws {
        let timeline = Timeline(gate, count: 64)
        #expect(try find(timeline.newest, 0) === timeline.newest)
        for (i, link) in timeline.links.enumerated() {
            let point = UInt64(i + 1)
            #expect(try find(timeline.newest, point) === link)
            #expect(try find(link, point) === link)
            #expect(isRefused(link, point + 1))
            #expect(try find(link, max(point, 2) - 1) === timeline.links[max(i - 1, 0)])
        }
        #expect(isRefused(gate.fence(), 1))
    }

    @Test("dma-fence-chain: find_signaled: what has signalled up to the point is collected")
    func findSignaled() throws {
        let timeline = Timeline(gate, count: 2)
        timeline.fences[0].signal()
        #expect(try find(timeline.links[1], 1) == nil)
        #expect(timeline.links[0].isSignaled && !timeline.links[1].isSignaled)
    }

    @Test("dma-fence-chain: find_out_of_order: a signalled link in the middle is covered by the one before it")
    func findOutOfOrder() throws {
        let timeline = Timeline(gate, count: 3)
        timeline.fences[1].signal()
        #expect(try find(timeline.links[2], 2) === timeline.links[0])
        #expect(try find(timeline.links[2], 1) === timeline.links[0])
        #expect(!timeline.links[1].isSignaled)
    }

    @Test("dma-fence-chain: find_gap: a point between two is the later one")
    func findGap() throws {
        let timeline = Timeline(gate, points: (1...32).map { $0 * 2 })
        for (i, link) in timeline.links.enumerated() {
            #expect(try find(timeline.newest, UInt64(2 * i + 1)) === link)
            #expect(try find(timeline.newest, UInt64(2 * i + 2)) === link)
        }
    }

    @Test("dma-fence-chain: find_race: searches while points signal find the point, or that it is done",
        arguments: Driver.allCases)
    func findRace(driver: Driver) {
        driver.run(seeds: 1000, times: 10) { gate, seed in
            let timeline = Timeline(gate, count: 16)
            let wrong = Shared(0)
            let actors = (0..<3).map { me in
                gate.spawn("searcher \(me)") {
                    var random = SeededRandom(seed: seed &+ UInt64(me) << 32)
                    for _ in 0..<32 {
                        let i = Int.random(in: 0..<16, using: &random)
                        let found = try? FenceChain.find(timeline.newest, point: UInt64(i + 1))
                        gate.point()
                        if let found = found as? FenceChain, found.seqno > i + 1 { wrong.change { $0 += 1 } }
                        if found == nil, !timeline.links[i].isSignaled { wrong.change { $0 += 1 } }
                        timeline.fences[Int.random(in: 0..<16, using: &random)].signal()
                    }
                }
            }
            for actor in actors { gate.join(actor) }
            #expect(wrong.value == 0, "seed \(seed)")
        }
    }

    @Test("dma-fence-chain: signal_forward: each link signals with its fence, the next one not")
    func signalForward() {
        let timeline = Timeline(gate, count: 64)
        for i in 0..<64 {
            timeline.fences[i].signal()
            #expect(timeline.links[i].isSignaled)
            #expect(i == 63 || !timeline.links[i + 1].isSignaled)
        }
    }

    @Test("dma-fence-chain: signal_backward: no link signals before the first fence")
    func signalBackward() {
        let timeline = Timeline(gate, count: 64)
        for i in (1..<64).reversed() {
            timeline.fences[i].signal()
            #expect(!timeline.links[i].isSignaled)
        }
        timeline.fences[0].signal()
        #expect(timeline.links.allSatisfy { $0.isSignaled })
    }

    @Test("dma-fence-chain: wait_forward, wait_backward, wait_random: the newest is there when all are",
        arguments: Driver.allCases)
    func waits(driver: Driver) {
        driver.run(seeds: 1000, times: 20) { gate, seed in
            let timeline = Timeline(gate, count: 24)
            var order = Array(0..<24)
            switch seed % 3 {
            case 0: break
            case 1: order.reverse()
            default:
                var random = SeededRandom(seed: seed)
                order.shuffle(using: &random)
            }
            let waiter = gate.spawn("waiter") { _ = try? timeline.newest.wait() }
            for i in order {
                gate.point()
                #expect(!timeline.newest.isFlaggedSignaled)
                timeline.fences[i].signal()
            }
            gate.join(waiter)
            #expect(timeline.newest.isFlaggedSignaled, "seed \(seed)")
        }
    }

    @Test("errors of contained fences are not the link's")
    func errors() {
        let timeline = Timeline(gate, count: 2)
        timeline.fences[0].setError(.EIO)
        for fence in timeline.fences { fence.signal() }
        #expect(timeline.newest.status == .done)
    }

    @Test("a point that is not above the newest begins a context of its own, with the newest's number")
    func backwards() throws {
        let timeline = Timeline(gate, count: 3)
        let again = FenceChain(previous: timeline.newest, fence: gate.fence(), point: 2)
        #expect(again.seqno == 3 && again.previousSeqno == 0 && again.context != timeline.newest.context)
        #expect(try find(again, 2) === again)
        #expect(!again.isSignaled)
    }

    @Test("what a timeline began with belongs to its first point")
    func beginning() throws {
        let before = gate.fence(), fence = gate.fence()
        let link = FenceChain(previous: before, fence: fence, point: 5)
        fence.signal()
        #expect(!link.isSignaled)
        #expect(try find(link, 5) === link)
        before.signal()
        #expect(link.isSignaled)
    }

    @Test("a walk takes signalled links out, wherever they are")
    func collection() {
        let timeline = Timeline(gate, count: 5)
        for i in [1, 3] { timeline.fences[i].signal() }
        var pending: [UInt64] = []
        var next: FenceChain? = timeline.newest
        while let link = next {
            pending.append(link.seqno)
            next = link.pendingPrevious as? FenceChain
        }
        #expect(pending == [5, 3, 1])
    }

    @Test("a million points go without a deep stack")
    func deep() {
        var newest: FenceChain?
        let fence = gate.fence()
        for point in 1...UInt64(1_000_000) { newest = FenceChain(previous: newest, fence: fence, point: point) }
        #expect(newest?.seqno == 1_000_000)
        newest = nil
    }
}

@Suite("dma_fence_unwrap") struct FenceMergeTests {
    let gate = SteppedGate()

    func parts(_ fence: Fence) -> [Fence] { SyncFile(fence: fence).fences }

    func isSame(_ a: [Fence], _ b: [Fence]) -> Bool { a.elementsEqual(b) { $0 === $1 } }

    @Test("dma-fence-unwrap: sanitycheck, array, chain, chain_array: the plain fences come out")
    func unwrapping() {
        let (a, b, c) = (gate.fence(), gate.fence(), gate.fence())
        #expect(isSame(parts(a), [a]))
        let array = FenceArray(gate: gate, fences: [a, b])
        #expect(isSame(parts(array), [a, b]))
        let chain = FenceChain(previous: FenceChain(previous: nil, fence: a, point: 1), fence: b, point: 2)
        #expect(isSame(parts(chain), [b, a]))
        let both = FenceChain(previous: nil, fence: FenceArray(gate: gate, fences: [a, c]), point: 1)
        #expect(isSame(parts(both), [a, c]))
    }

    @Test("dma-fence-unwrap: merge: two are an array, one is itself, none is a stub of the latest time")
    func merging() {
        let (a, b) = (gate.fence(), gate.fence())
        #expect(isSame(parts(Fence.merge([a, b], gate: gate)), [a, b]))
        gate.advance(by: 10)
        b.signal()
        #expect(Fence.merge([a, b], gate: gate) === a)
        gate.advance(by: 10)
        a.signal()
        let stub = Fence.merge([b, a], gate: gate)
        #expect(stub.isSignaled && stub.timestamp == a.timestamp)
    }

    @Test("dma-fence-unwrap: merge_duplicate: one twice is one")
    func duplicates() {
        let a = gate.fence()
        #expect(Fence.merge([a, a], gate: gate) === a)
    }

    @Test("dma-fence-unwrap: merge_seqno: of one context the latest")
    func seqno() {
        let context = gate.allocateContexts()
        let one = Fence(gate: gate, context: context, seqno: 1), two = Fence(gate: gate, context: context, seqno: 2)
        let other = gate.fence()
        #expect(isSame(parts(Fence.merge([one, other, two], gate: gate)), [two, other]))
    }

    @Test("dma-fence-unwrap: merge_order, merge_complex, merge_complex_seqno: ascending contexts, the latest of each")
    func order() {
        let (a, b, c) = (gate.fence(), gate.fence(), gate.fence())
        let newerB = Fence(gate: gate, context: b.context, seqno: 2)
        let array = FenceArray(gate: gate, fences: [c, a])
        let chain = FenceChain(previous: FenceChain(previous: nil, fence: b, point: 1), fence: newerB, point: 2)
        #expect(isSame(parts(Fence.merge([array, chain, b], gate: gate)), [a, newerB, c]))
        #expect(isSame(parts(Fence.merge([c, b, a], gate: gate)), [a, b, c]))
    }
}

@Suite("dma_fence_array") struct FenceArrayTests {
    let gate = SteppedGate()

    @Test("it signals with the last of all, or with the first of any", arguments: [false, true], [false, true])
    func signaling(any: Bool, watched: Bool) throws {
        let fences = (0..<3).map { _ in gate.fence() }
        let array = FenceArray(gate: gate, fences: fences, signalsOnAny: any)
        let callback = Count()
        if watched { try array.add(callback) }
        #expect(!array.isSignaled)
        fences[1].signal()
        #expect(array.isSignaled == any)
        fences[0].signal()
        fences[2].signal()
        #expect(array.isSignaled && callback.runs == (watched ? 1 : 0))
    }

    @Test("its error is the first that it saw before it signalled")
    func errors() throws {
        let fences = (0..<3).map { _ in gate.fence() }
        let array = FenceArray(gate: gate, fences: fences)
        try array.add(Count())
        fences[2].setError(.EIO)
        fences[1].setError(.ENODEV)
        for i in [0, 2, 1] { fences[i].signal() }
        #expect(array.status == .failed(.EIO))
        let late = FenceArray(gate: gate, fences: [gate.fence(), fences[1]], signalsOnAny: true)
        try? late.add(Count())
        #expect(late.status == .failed(.ENODEV))
    }

    @Test("one made of signalled fences has signalled")
    func done() {
        let fence = gate.fence()
        fence.signal()
        let array = FenceArray(gate: gate, fences: [fence])
        #expect(throws: KernelErrno.ENOENT) { try array.add(Count()) }
        #expect(array.isFlaggedSignaled)
    }

    @Test("it signals once, whoever comes last", arguments: Driver.allCases)
    func race(driver: Driver) throws {
        try driver.run(seeds: 1000, times: 50) { gate, seed in
            let fences = (0..<6).map { _ in gate.fence() }
            let array = FenceArray(gate: gate, fences: fences, signalsOnAny: seed % 2 == 0)
            let callback = Count()
            try array.add(callback)
            let actors = (0..<3).map { me in
                gate.spawn("signaller \(me)") {
                    for fence in fences[2 * me..<2 * me + 2] {
                        gate.point()
                        fence.signal()
                    }
                }
            }
            _ = try array.wait()
            for actor in actors { gate.join(actor) }
            #expect(callback.runs == 1, "seed \(seed)")
        }
    }
}
