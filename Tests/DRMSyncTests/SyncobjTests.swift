import DRMLock
import DRMSync
import GateSupport
import KernelErrno
import Model
import Testing

@Suite("syncobj") struct SyncobjTests {
    let gate = SteppedGate()

    func timeline(_ points: [UInt64]) -> (Syncobj, [Fence]) {
        let syncobj = Syncobj(gate: gate), fences = points.map { _ in gate.fence() }
        for (point, fence) in zip(points, fences) { syncobj.add(point, fence) }
        return (syncobj, fences)
    }

    func wait(
        _ syncobjs: [Syncobj], _ points: [UInt64], _ options: Syncobj.WaitOptions = [], for time: UInt64 = 0
    ) throws(KernelErrno) -> Int? {
        try Syncobj.wait(for: syncobjs, points: points, options, until: time == 0 ? 0 : gate.now + time, gate: gate)
    }

    func error(
        _ syncobjs: [Syncobj], _ points: [UInt64], _ options: Syncobj.WaitOptions = [], for time: UInt64 = 0
    ) -> KernelErrno? {
        failure { () throws(KernelErrno) in _ = try wait(syncobjs, points, options, for: time) }
    }

    @Test("it is made empty, or with a fence that has signalled")
    func creation() throws {
        #expect(Syncobj(gate: gate).fence == nil)
        #expect(Syncobj(gate: gate, isSignaled: true).fence?.isSignaled == true)
        #expect(failure { () throws(KernelErrno) in _ = try Syncobj(gate: gate).find() } == .EINVAL)
    }

    @Test("a point that is waited for is the oldest one that covers it; above the newest there is none")
    func covering() throws {
        let (syncobj, fences) = timeline([2, 4])
        let two = try syncobj.find(1), four = try syncobj.find(3)
        let again = (try syncobj.find(2), try syncobj.find(4))
        #expect(two === again.0 && four === again.1 && two !== four)
        #expect(try syncobj.find(0) === four)
        #expect(failure { () throws(KernelErrno) in _ = try syncobj.find(5) } == .EINVAL)
        fences[0].signal()
        #expect(try syncobj.find(2).isSignaled && !four.isSignaled)
    }

    @Test("a point that signals before older ones waits for them")
    func outOfOrder() throws {
        let (syncobj, fences) = timeline([1, 2])
        fences[1].signal()
        #expect(error([syncobj], [2], for: 10) == .ETIME)
        fences[0].signal()
        #expect(try wait([syncobj], [2]) == 0)
    }

    @Test("a point that goes backwards is let in and counts as the newest; QUERY breaks there")
    func backwards() throws {
        let (syncobj, fences) = timeline([4, 9])
        for fence in fences { fence.signal() }
        #expect(syncobj.query() == 9)
        let again = gate.fence()
        syncobj.add(2, again)
        #expect(syncobj.query() == 0 && syncobj.query(lastSubmitted: true) == 9)
        again.signal()
        #expect(syncobj.query() == 9)
        syncobj.add(10, gate.fence())
        #expect(syncobj.query() == 9 && syncobj.query(lastSubmitted: true) == 10)
    }

    @Test("QUERY tells how far all has signalled; nothing of a binary payload")
    func query() {
        let (syncobj, fences) = timeline([3, 5, 8])
        #expect(syncobj.query() == 0 && syncobj.query(lastSubmitted: true) == 8)
        fences[1].signal()
        #expect(syncobj.query() == 0)
        fences[0].signal()
        #expect(syncobj.query() == 5)
        fences[2].signal()
        #expect(syncobj.query() == 8)
        syncobj.signal()
        #expect(syncobj.query() == 0 && Syncobj(gate: gate).query() == 0)
    }

    @Test("a binary payload takes the timeline's history away")
    func replacing() throws {
        let (syncobj, _) = timeline([1, 2])
        syncobj.replace(with: gate.fence())
        #expect(error([syncobj], [1]) == .EINVAL)
        #expect(error([syncobj], [1], .forSubmit, for: 5) == .ETIME)
        syncobj.replace(with: nil)
        #expect(error([syncobj], [0]) == .EINVAL)
    }

    @Test("a signal is a stub of now, in place of what there is or as a point")
    func signaling() throws {
        let syncobj = Syncobj(gate: gate)
        gate.advance(by: 100)
        syncobj.signal()
        #expect(syncobj.fence?.timestamp == gate.now)
        syncobj.signal(7)
        #expect(syncobj.query() == 7)
        #expect(try wait([syncobj], [7]) == 0)
    }

    @Test("a wait: what is missing is EINVAL at once, unless it is waited for; then it is ETIME")
    func missing() {
        let empty = Syncobj(gate: gate), done = Syncobj(gate: gate, isSignaled: true)
        let now = gate.now
        #expect(error([done, empty], [0, 0], for: 100) == .EINVAL)
        #expect(gate.now == now)
        #expect(error([empty], [0], .forSubmit, for: 100) == .ETIME)
        #expect(gate.now == now + 100)
        #expect(error([empty], [0], .available, for: 100) == .ETIME)
        #expect(error([done, empty], [0, 0], [.all, .forSubmit]) == .ETIME)
    }

    @Test("a wait for any tells the first that is satisfied at entry; one for all the same, or none")
    func first() throws {
        let pending = Syncobj(gate: gate), done = Syncobj(gate: gate, isSignaled: true)
        pending.replace(with: gate.fence())
        #expect(try wait([pending, done, done], [0, 0, 0]) == 1)
        #expect(try wait([done, done], [0, 0], .all) == 0)
        #expect(try wait([pending, done], [0, 0], .available) == 0)
        #expect(error([pending, done], [0, 0], .all) == .ETIME)
        let fence = pending.fence!
        let signaller = gate.spawn("signaller") { fence.signal() }
        #expect(try wait([pending], [0], .all, for: 1000) == nil, "it was none at entry")
        gate.join(signaller)
    }

    @Test("an available point is there, signalled or not")
    func available() throws {
        let (syncobj, _) = timeline([3])
        #expect(try wait([syncobj], [2], .available) == 0)
        #expect(error([syncobj], [2], for: 10) == .ETIME)
    }

    @Test("a fence that ended with an error has signalled")
    func errors() throws {
        let syncobj = Syncobj(gate: gate), fence = gate.fence()
        syncobj.replace(with: fence)
        fence.setError(.ENODEV)
        fence.signal()
        #expect(try wait([syncobj], [0]) == 0)
    }

    @Test("a signal for the waiter is ERESTARTSYS, also where it waits for submission")
    func interrupted() {
        let syncobj = Syncobj(gate: gate)
        gate.current.interrupt()
        #expect(error([syncobj], [0], .forSubmit, for: 100) == .ERESTARTSYS)
        gate.current.interrupt()
        #expect(failure { () throws(KernelErrno) in
            _ = try syncobj.find(1, submittedBefore: gate.now + 100)
        } == .ERESTARTSYS)
    }

    @Test("a time that is over, or far off, ends the wait all the same; the clock stays for the latter")
    func timeouts() {
        let syncobj = Syncobj(gate: gate), now = gate.now
        for deadline in [0, 1, now, UInt64(Int64.max)] {
            #expect(failure { () throws(KernelErrno) in
                _ = try Syncobj.wait(for: [syncobj], points: [0], .forSubmit, until: deadline, gate: gate)
            } == .ETIME)
        }
        #expect(gate.now == now)
    }

    @Test("deadline hints reach the pending fences that are there")
    func hints() {
        final class Hinted: Fence, @unchecked Sendable {
            var hint: UInt64?
            override func setDeadline(_ deadline: UInt64) { hint = deadline }
        }
        let syncobj = Syncobj(gate: gate), fence = Hinted(gate: gate, context: 1, seqno: 1)
        syncobj.replace(with: fence)
        #expect(failure { () throws(KernelErrno) in
            _ = try Syncobj.wait(
                for: [syncobj, Syncobj(gate: gate)], points: [0, 0], [.all, .forSubmit], until: 0, hint: 42, gate: gate)
        } == .ETIME)
        #expect(fence.hint == 42)
    }

    @Test("TRANSFER takes the fence as it is, or flattened as a point; it waits for one that is not there")
    func transfer() throws {
        let (source, fences) = timeline([1, 2]), target = Syncobj(gate: gate)
        try target.transfer(from: source, 0, to: 0, waitingUntil: nil)
        #expect(target.fence === source.fence)
        try target.transfer(from: source, 2, to: 5, waitingUntil: nil)
        let link = try #require(target.fence as? FenceChain)
        #expect(link.seqno == 5 && (link.contained as? FenceArray)?.fences.count == 2)
        #expect(failure { () throws(KernelErrno) in
            try target.transfer(from: source, 3, to: 0, waitingUntil: nil)
        } == .EINVAL)
        #expect(failure { () throws(KernelErrno) in
            try target.transfer(from: source, 3, to: 0, waitingUntil: gate.now + 50)
        } == .ETIME)
        for fence in fences { fence.signal() }
        let submitter = gate.spawn("submitter") { source.signal(3) }
        try target.transfer(from: source, 3, to: 0, waitingUntil: gate.now + 50)
        gate.join(submitter)
        #expect(target.fence?.isSignaled == true)
    }

    @Test("an event comes once, when its point has signalled or is there, and not at all if the syncobj goes first")
    func events() {
        var (syncobj, fences): (Syncobj?, [Fence]) = timeline([1])
        let log = Shared<[String]>([])
        syncobj!.whenReady(1, isAvailable: true) { log.value.append("1 there") }
        syncobj!.whenReady(1, isAvailable: false) { log.value.append("1 done") }
        syncobj!.whenReady(2, isAvailable: false) { log.value.append("2 done") }
        syncobj!.whenReady(3, isAvailable: true) { log.value.append("3 there") }
        #expect(log.value == ["1 there"])
        let fence = gate.fence()
        syncobj!.add(2, fence)
        fences[0].signal()
        #expect(log.value == ["1 there", "1 done"])
        syncobj = nil
        fence.signal()
        #expect(log.value == ["1 there", "1 done", "2 done"])
    }

    @Test("who waits for a submission is looked at again at every change, and woken when the point is there",
        arguments: Driver.allCases)
    func submission(driver: Driver) throws {
        try driver.run(seeds: 1000, times: 30) { gate, seed throws in
            let syncobj = Syncobj(gate: gate)
            let results = Shared<[Int?]>([])
            let waiters = (0..<3).map { i in
                gate.spawn("waiter \(i)") {
                    let first = try? Syncobj.wait(
                        for: [syncobj, syncobj], points: [100, UInt64(i + 1)], .forSubmit, until: .never, gate: gate)
                    results.change { $0.append(first ?? nil) }
                }
            }
            let fences = (1...3).map { _ in gate.fence() }
            syncobj.signal()
            for (i, fence) in fences.enumerated() {
                gate.point()
                syncobj.add(UInt64(i + 1), fence)
            }
            for fence in fences.reversed() {
                gate.point()
                fence.signal()
            }
            for waiter in waiters { gate.join(waiter) }
            #expect(results.value == [1, 1, 1], "seed \(seed)")
        }
    }

    @Test("signals, resets, replacements and waits race: each wait ends with success or its time, never another way",
        arguments: Driver.allCases)
    func race(driver: Driver) {
        driver.run(seeds: 1000, times: 30) { gate, seed in
            let syncobjs = (0..<3).map { _ in Syncobj(gate: gate) }
            let bad = Shared<[KernelErrno]>([])
            let waiters = (0..<2).map { me in
                gate.spawn("waiter \(me)") {
                    var random = SeededRandom(seed: seed &* 31 &+ UInt64(me))
                    for _ in 0..<6 {
                        let options = Syncobj.WaitOptions(rawValue: UInt32.random(in: 0..<4, using: &random) << 1)
                            .union(Bool.random(using: &random) ? .all : [])
                        let points = (0..<3).map { _ in UInt64.random(in: 0..<4, using: &random) }
                        do throws(KernelErrno) {
                            let first = try Syncobj.wait(
                                for: syncobjs, points: points, options, until: gate.now + 2000, gate: gate)
                            if let first, !(0..<3).contains(first) { bad.value.append(.EUCLEAN) }
                        } catch {
                            let isMissing = error == .EINVAL && options.isDisjoint(with: [.forSubmit, .available])
                            if error != .ETIME && !isMissing { bad.value.append(error) }
                        }
                    }
                }
            }
            let actors = (0..<2).map { me in
                gate.spawn("changer \(me)") {
                    var random = SeededRandom(seed: seed &* 37 &+ UInt64(me))
                    var pending: [Fence] = []
                    for _ in 0..<20 {
                        gate.point()
                        let syncobj = syncobjs[Int.random(in: 0..<3, using: &random)]
                        switch Int.random(in: 0..<6, using: &random) {
                        case 0: syncobj.replace(with: nil)
                        case 1: syncobj.signal()
                        case 2: syncobj.signal(UInt64.random(in: 1..<5, using: &random))
                        case 3:
                            pending.append(gate.fence())
                            syncobj.add(UInt64.random(in: 1..<5, using: &random), pending.last!)
                        case 4:
                            pending.append(gate.fence())
                            syncobj.replace(with: pending.last!)
                        default: pending.popLast()?.signal()
                        }
                    }
                    for fence in pending { fence.signal() }
                }
            }
            for actor in waiters + actors { gate.join(actor) }
            #expect(bad.value == [], "seed \(seed)")
        }
    }
}
