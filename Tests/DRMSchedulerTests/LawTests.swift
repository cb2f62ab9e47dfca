import DRMLock
import DRMScheduler
import DRMSync
import KernelErrno
import Testing

/// A scheduler on a stepped gate that does the first thing first.
struct Bench {
    let gate = SteppedGate()
    let rig: Rig
    var gpu: MockGPU { rig.gpu }
    var scheduler: Scheduler { rig.scheduler }

    init(
        creditLimit: UInt32 = .max, timeout: UInt64 = .never, hangLimit: Int = 1, runQueues: Int = 4,
        policy: SchedulingPolicy = .fifo
    ) throws {
        rig = try Rig(
            gate, creditLimit: creditLimit, timeout: timeout, hangLimit: hangLimit, runQueues: runQueues,
            policy: policy)
    }

    func submit(
        _ entity: SchedulerEntity, _ name: String, credits: UInt32 = 1, after fence: Fence? = nil
    ) throws -> MockJob {
        let job = try rig.job(entity, name, credits: credits)
        job.addDependency(fence)
        job.submit()
        gate.advance(by: 1)
        return job
    }

    func fence() -> Fence { Fence(gate: gate, context: gate.allocateContexts(), seqno: 1) }

    func run() { gate.runUntilIdle() }
}

@Suite struct SubmissionTests {
    @Test("a scheduler has one to four run queues: EINVAL otherwise")
    func queues() throws {
        let gate = SteppedGate()
        for count in [0, 5] {
            #expect(throws: KernelErrno.EINVAL) {
                try Scheduler(name: "", driver: MockGPU(gate), gate: gate, runQueues: count, creditLimit: 1)
            }
        }
    }

    @Test("an entity needs a scheduler: EINVAL")
    func noScheduler() throws {
        let bench = try Bench()
        #expect(throws: KernelErrno.EINVAL) { try SchedulerEntity([]) }
        let entity = try bench.rig.entity()
        #expect(throws: KernelErrno.EINVAL) { try entity.setSchedulers([]) }
        try bench.rig.end()
    }

    @Test("a priority beyond the run queues is clamped to the lowest, with a warning")
    func clampedPriority() throws {
        let bench = try Bench(runQueues: 2)
        let entity = try bench.rig.entity(.low)
        #expect(entity.priority == .high)
        #expect(bench.gpu.warnings == [.priorityClamped])
        _ = try bench.submit(entity, "a")
        #expect(bench.gpu.ran == ["a"])
        try bench.rig.end()
    }

    @Test("the queue follows the priority that was asked for, not the clamped one")
    func clampedQueue() throws {
        let few = try Bench(runQueues: 2)
        let many = try Rig(few.gate)
        let entity = try SchedulerEntity([few.scheduler], priority: .low)
        try entity.setSchedulers([many.scheduler])
        let high = try SchedulerEntity([many.scheduler], priority: .normal)
        many.scheduler.pauseWork()
        for (e, name) in [(entity, "low"), (high, "normal")] { try MockJob(many.gpu, e, name).submit() }
        many.scheduler.resumeWork()
        few.run()
        #expect(many.gpu.ran == ["normal", "low"])
        many.gpu.advance(2)
        entity.destroy()
        high.destroy()
        few.run()
        try many.end()
        try few.rig.end()
    }

    @Test("a job of an entity without a run queue is ENOENT; then, one without credits EINVAL")
    func jobErrors() throws {
        let bench = try Bench()
        let entity = try bench.rig.entity()
        #expect(throws: KernelErrno.EINVAL) { try SchedulerJob(entity: entity, credits: 0) }
        try bench.rig.end()
        let late = try SchedulerEntity([bench.scheduler])
        #expect(throws: KernelErrno.ENOENT) { try SchedulerJob(entity: late, credits: 0) }
    }

    @Test("of two dependencies of one context the later one stays, whichever comes first", arguments: [true, false])
    func laterStays(_ laterFirst: Bool) throws {
        let bench = try Bench()
        let job = try bench.rig.job(bench.rig.entity(), "a")
        let context = bench.gate.allocateContexts()
        let early = Fence(gate: bench.gate, context: context, seqno: 1)
        let late = Fence(gate: bench.gate, context: context, seqno: 2)
        job.addDependency(nil)
        for fence in laterFirst ? [late, early] : [early, late] { job.addDependency(fence) }
        job.submit()
        early.signal()
        bench.run()
        #expect(bench.gpu.ran == [])
        late.signal()
        bench.run()
        #expect(bench.gpu.ran == ["a"])
        bench.gpu.advance(1)
        try bench.rig.end()
    }

    @Test("fences count from 1 in two contexts side by side, scheduled and finished")
    func numbers() throws {
        let bench = try Bench()
        let entity = try bench.rig.entity()
        for number in 1...3 as ClosedRange<UInt64> {
            let job = try bench.rig.job(entity)
            #expect(!job.isArmed)
            job.arm()
            #expect(job.finished.context == entity.context + 1 && job.finished.seqno == number)
            #expect(job.scheduled.context == entity.context && job.scheduled.seqno == number)
            job.push()
        }
        bench.run()
        bench.gpu.advance(3)
        try bench.rig.end()
    }

    @Test("a job that is not pushed lets its dependencies go; armed, its fence stays unsignalled")
    func unpushed() throws {
        let bench = try Bench()
        let entity = try bench.rig.entity()
        weak var dependency: Fence?
        for arms in [false, true] {
            let job = try bench.rig.job(entity)
            do {
                let fence = bench.fence()
                dependency = fence
                job.addDependency(fence)
            }
            #expect(dependency != nil)
            var finished: Fence?
            if arms {
                job.arm()
                finished = job.finished
            }
            job.cleanup()
            #expect(dependency == nil)
            #expect(finished?.isSignaled ?? false == false)
        }
        #expect(bench.gpu.liveJobs == 0)
        try bench.rig.end()
    }

    @Test("a job pushed to a stopped entity stays there, with a warning, and dies with the entity")
    func stopped() throws {
        let bench = try Bench()
        let entity = try bench.rig.entity()
        entity.kill()
        let fence = try bench.submit(entity, "a").finished
        #expect(bench.gpu.warnings == [.entityStopped])
        #expect(!fence.isSignaled)
        entity.fini()
        bench.run()
        #expect(fence.error == .ESRCH)
        #expect(bench.gpu.ran == [] && bench.gpu.freed == ["a"])
        try bench.rig.end()
    }

    @Test("the least busy scheduler that is ready is chosen when a job is armed; of equals the first")
    func choice() throws {
        let bench = try Bench()
        let other = try Rig(bench.gate)
        let both = [bench.scheduler, other.scheduler]
        let busy = try bench.rig.entity()
        _ = try bench.submit(busy, "x")
        let entity = try SchedulerEntity(both)
        let a = try bench.submit(entity, "a")
        #expect(a.finished.scheduler === other.scheduler)
        // Nothing changes before its last job is finished.
        for _ in 0..<3 { _ = try other.job(other.entity(), "y").submit() }
        let b = try bench.submit(entity, "b")
        #expect(b.finished.scheduler === other.scheduler)
        bench.run()
        other.gpu.advance(5)
        bench.run()
        bench.scheduler.isReady = false
        _ = try other.job(other.entity(), "z").submit()
        let c = try bench.submit(entity, "c")
        #expect(c.finished.scheduler === other.scheduler)
        bench.run()
        other.gpu.advance(5)
        bench.run()
        bench.scheduler.isReady = true
        bench.gpu.advance(1)
        bench.run()
        #expect(bench.scheduler.score == 1 && other.scheduler.score == 5)
        let d = try bench.submit(entity, "d")
        #expect(d.finished.scheduler === bench.scheduler)
        bench.gpu.advance(1)
        entity.destroy()
        bench.run()
        try other.end()
        try bench.rig.end()
    }

    @Test("an entity's error is that of the last job handed out")
    func entityError() throws {
        let bench = try Bench()
        bench.gpu.answer = { $0.name == "bad" ? .fails(.ENODEV) : .isDone }
        let entity = try bench.rig.entity()
        #expect(entity.error == nil)
        _ = try bench.submit(entity, "bad")
        #expect(entity.error == .ENODEV)
        _ = try bench.submit(entity, "good")
        #expect(entity.error == nil)
        try bench.rig.end()
    }
}

@Suite struct LoopTests {
    /// Queues jobs while the scheduler pauses, then lets it run them.
    private func order(_ bench: Bench, _ jobs: [(SchedulerEntity, String)]) throws -> [String] {
        bench.scheduler.pauseWork()
        for (entity, name) in jobs { _ = try bench.submit(entity, name) }
        bench.scheduler.resumeWork()
        bench.run()
        bench.gpu.advance(jobs.count)
        bench.run()
        return bench.gpu.ran
    }

    @Test("queues of higher priority come first")
    func priorityOrder() throws {
        let bench = try Bench()
        let jobs = try [SchedulerPriority.low, .kernel, .normal, .high].map { (try bench.rig.entity($0), "\($0)") }
        #expect(try order(bench, jobs) == ["kernel", "high", "normal", "low"])
        try bench.rig.end()
    }

    @Test("setting an entity's priority moves it to no other queue, under FIFO and round robin (pitfall 9)",
        arguments: [SchedulingPolicy.fifo, .roundRobin])
    func setPriority(_ policy: SchedulingPolicy) throws {
        let bench = try Bench(policy: policy)
        let a = try bench.rig.entity(.low), b = try bench.rig.entity(.normal)
        a.priority = .kernel
        #expect(try order(bench, [(a, "a"), (b, "b")]) == ["b", "a"])
        try bench.rig.end()
    }

    @Test("FIFO: whose job has waited longest")
    func fifo() throws {
        let bench = try Bench()
        let a = try bench.rig.entity(), b = try bench.rig.entity()
        #expect(try order(bench, [(a, "a1"), (a, "a2"), (b, "b1"), (a, "a3"), (b, "b2")]) == ["a1", "a2", "b1", "a3", "b2"])
        try bench.rig.end()
    }

    @Test("round robin: each in turn")
    func roundRobin() throws {
        let bench = try Bench(policy: .roundRobin)
        let a = try bench.rig.entity(), b = try bench.rig.entity()
        #expect(try order(bench, [(a, "a1"), (a, "a2"), (a, "a3"), (b, "b1"), (b, "b2")]) == ["a1", "b1", "a2", "b2", "a3"])
        try bench.rig.end()
    }

    @Test("FAIR: one queue for all; a new entity goes before a head of lower priority, behind one of higher")
    func fairJoin() throws {
        let bench = try Bench(policy: .fair)
        let low = try bench.rig.entity(.low), high = try bench.rig.entity(.high), kernel = try bench.rig.entity(.kernel)
        #expect(try order(bench, [(low, "low"), (high, "high"), (kernel, "kernel")]) == ["kernel", "high", "low"])
        try bench.rig.end()
        let other = try Bench(policy: .fair)
        let first = try other.rig.entity(.high), second = try other.rig.entity(.low)
        #expect(try order(other, [(first, "high"), (second, "low")]) == ["high", "low"])
        try other.rig.end()
    }

    @Test("FAIR: time runs quicker for lower priorities: after equal jobs the higher is served more often")
    func fairWeights() throws {
        let bench = try Bench(creditLimit: 1, policy: .fair)
        let high = try bench.rig.entity(.high), low = try bench.rig.entity(.low)
        for i in 0..<40 {
            for (entity, name) in [(high, "h\(i)"), (low, "l\(i)")] {
                try bench.rig.job(entity, name, duration: millisecond).submit()
            }
        }
        bench.gate.advance(by: 40 * millisecond)
        let served = bench.gpu.ran.count { $0.hasPrefix("h") }
        // Shifts 2 and 7: 32 to 1.
        #expect(served >= 36 && served < bench.gpu.ran.count, "\(bench.gpu.ran)")
        bench.gate.advance(by: second)
        try bench.rig.end()
    }

    @Test("no credit: the whole scheduler waits (pitfall 8)")
    func headOfLine() throws {
        let bench = try Bench(creditLimit: 3)
        let a = try bench.rig.entity(.high), b = try bench.rig.entity(.low)
        _ = try bench.submit(a, "first", credits: 2)
        _ = try bench.submit(a, "big", credits: 2)
        _ = try bench.submit(b, "small")
        #expect(bench.gpu.ran == ["first"])
        #expect(bench.scheduler.creditsUsed == 2)
        bench.gpu.advance(1)
        bench.run()
        #expect(bench.gpu.ran == ["first", "big", "small"])
        bench.gpu.advance(2)
        try bench.rig.end()
    }

    @Test("a dependency: only its entity waits (pitfall 8)")
    func onlyEntityWaits() throws {
        let bench = try Bench()
        let a = try bench.rig.entity(.high), b = try bench.rig.entity(.low)
        let fence = bench.fence()
        _ = try bench.submit(a, "a1", after: fence)
        _ = try bench.submit(a, "a2")
        _ = try bench.submit(b, "b")
        #expect(bench.gpu.ran == ["b"])
        fence.signal()
        bench.run()
        #expect(bench.gpu.ran == ["b", "a1", "a2"])
        bench.gpu.advance(3)
        try bench.rig.end()
    }

    @Test("a job with more credits than there are gets all of them, with a warning")
    func clampedCredits() throws {
        let bench = try Bench(creditLimit: 2)
        let job = try bench.submit(bench.rig.entity(), "a", credits: 5)
        #expect(bench.gpu.ran == ["a"] && bench.gpu.warnings == [.creditsClamped])
        #expect(job.credits == 5 && bench.scheduler.creditsUsed == 2)
        bench.gpu.advance(1)
        try bench.rig.end()
    }

    @Test("a guilty entity's job ends with ECANCELED and is run all the same (pitfall 12)")
    func guilty() throws {
        let bench = try Bench()
        let guilt = Guilt()
        let entity = try bench.rig.entity(guilt: guilt)
        guilt.isSet = true
        let fence = try bench.submit(entity, "a").finished
        bench.gpu.advance(1)
        bench.run()
        #expect(bench.gpu.ran == ["a"] && fence.error == .ECANCELED)
        try bench.rig.end()
    }

    @Test("prepare is asked until it returns nothing, each time after its fence has signalled")
    func prepare() throws {
        let bench = try Bench()
        var fences = [bench.fence(), bench.fence()]
        let all = fences
        bench.gpu.prepares = { _ in fences.popLast() }
        _ = try bench.submit(bench.rig.entity(), "a")
        #expect(bench.gpu.ran == [])
        all[1].signal()
        bench.run()
        #expect(bench.gpu.ran == [])
        all[0].signal()
        bench.run()
        #expect(bench.gpu.ran == ["a"])
        bench.gpu.advance(1)
        try bench.rig.end()
    }

    @Test("what run answers decides the finished fence: nothing, an error, a fence's error, a signalled fence's")
    func answers() throws {
        let bench = try Bench()
        let bad = bench.fence(), good = bench.fence(), late = bench.fence()
        bad.setError(.EIO)
        bad.signal()
        good.signal()
        let answers: [(MockGPU.Answer, KernelErrno?)] = [
            (.isDone, nil), (.fails(.ENODEV), .ENODEV), (.fence(bad), .EIO), (.fence(good), nil), (.fence(late), .EIO),
        ]
        let entity = try bench.rig.entity()
        for (i, answer) in answers.enumerated() {
            bench.gpu.answer = { _ in answer.0 }
            let fence = try bench.submit(entity, "\(i)").finished
            #expect(fence.isScheduled)
            if i == 4 {
                #expect(!fence.isSignaled)
                late.setError(.EIO)
                late.signal()
            }
            #expect(fence.isSignaled && fence.error == answer.1, "\(i)")
        }
        bench.run()
        #expect(bench.gpu.freed.count == 5)
        try bench.rig.end()
    }

    @Test("a job finished out of order waits for the older ones before it is freed")
    func freedInOrder() throws {
        let bench = try Bench()
        let fences = [bench.fence(), bench.fence()]
        bench.gpu.answer = { .fence(fences[$0.name == "a" ? 0 : 1]) }
        let entity = try bench.rig.entity()
        _ = try bench.submit(entity, "a")
        let second = try bench.submit(entity, "b").finished
        fences[1].signal()
        bench.run()
        #expect(second.isSignaled && bench.gpu.freed == [])
        fences[0].signal()
        bench.run()
        #expect(bench.gpu.freed == ["a", "b"])
        try bench.rig.end()
    }

    @Test("a job's start moves to the end of the one before; the entity's runtime and average count from there")
    func runtime() throws {
        let bench = try Bench()
        let entity = try bench.rig.entity()
        for _ in 0..<2 { try bench.rig.job(entity, duration: 3 * millisecond).submit() }
        let third = try bench.rig.job(entity, duration: millisecond)
        third.submit()
        let scheduled = third.scheduled
        bench.gate.advance(by: 7 * millisecond)
        #expect(entity.runtime == 7 * millisecond)
        #expect(scheduled.timestamp == third.hardwareFence.timestamp - millisecond)
        // 3000 µs twice, then a quarter of 1000.
        #expect(entity.averageRuntime == 2500)
        try bench.rig.end()
    }
}

@Suite struct DependencyTests {
    @Test("a fence of the same entity is ignored")
    func sameEntity() throws {
        let bench = try Bench()
        let entity = try bench.rig.entity()
        let first = try bench.submit(entity, "a")
        _ = try bench.submit(entity, "b", after: first.finished)
        #expect(bench.gpu.ran == ["a", "b"])
        bench.gpu.advance(2)
        try bench.rig.end()
    }

    @Test("a job of the same scheduler is waited for only until it is scheduled")
    func pipelined() throws {
        let bench = try Bench()
        let a = try bench.rig.entity(), b = try bench.rig.entity()
        let gate = bench.fence()
        let first = try bench.submit(a, "a", after: gate)
        _ = try bench.submit(b, "b", after: first.finished)
        #expect(bench.gpu.ran == [])
        gate.signal()
        bench.run()
        #expect(bench.gpu.ran == ["a", "b"])
        #expect(!first.finished.isSignaled)
        bench.gpu.advance(2)
        try bench.rig.end()
    }

    @Test("one marked so is waited for fully (DONT_PIPELINE)")
    func dontPipeline() throws {
        let bench = try Bench()
        let a = try bench.rig.entity(), b = try bench.rig.entity()
        let first = try bench.submit(a, "a")
        first.finished.dontPipeline = true
        _ = try bench.submit(b, "b", after: first.finished)
        #expect(bench.gpu.ran == ["a"])
        bench.gpu.advance(1)
        bench.run()
        #expect(bench.gpu.ran == ["a", "b"])
        bench.gpu.advance(1)
        try bench.rig.end()
    }

    @Test("one that has an error already is waited for fully, and its error goes no further")
    func errored() throws {
        let bench = try Bench()
        let guilt = Guilt()
        guilt.isSet = true
        let a = try bench.rig.entity(guilt: guilt), b = try bench.rig.entity()
        let first = try bench.submit(a, "a")
        let second = try bench.submit(b, "b", after: first.finished).finished
        #expect(bench.gpu.ran == ["a"])
        bench.gpu.advance(1)
        bench.run()
        #expect(bench.gpu.ran == ["a", "b"])
        bench.gpu.advance(1)
        bench.run()
        #expect(second.isSignaled && second.error == nil)
        try bench.rig.end()
    }

    @Test("a job of another scheduler is waited for fully")
    func otherScheduler() throws {
        let bench = try Bench()
        let other = try Rig(bench.gate)
        let first = try other.job(other.entity(), "a")
        first.submit()
        _ = try bench.submit(bench.rig.entity(), "b", after: first.finished)
        #expect(other.gpu.ran == ["a"] && bench.gpu.ran == [])
        other.gpu.advance(1)
        bench.run()
        #expect(bench.gpu.ran == ["b"])
        bench.gpu.advance(1)
        try other.end()
        try bench.rig.end()
    }

    @Test("a signalled fence is passed over; a scheduled fence may be a dependency itself")
    func signaledAndScheduled() throws {
        let bench = try Bench()
        let other = try Rig(bench.gate)
        let done = bench.fence()
        done.signal()
        let first = try other.job(other.entity(), "a")
        first.submit()
        let second = try bench.rig.job(bench.rig.entity(), "b")
        second.addDependency(done)
        second.addDependency(first.scheduled)
        second.submit()
        bench.run()
        #expect(bench.gpu.ran == ["b"])
        other.gpu.advance(1)
        bench.gpu.advance(1)
        try other.end()
        try bench.rig.end()
    }

    @Test("a timeline's point is waited for fully, even where it holds the entity's own job")
    func timeline() throws {
        let bench = try Bench()
        let entity = try bench.rig.entity()
        let first = try bench.submit(entity, "a")
        let chain = FenceChain(previous: nil, fence: first.finished, point: 1)
        _ = try bench.submit(entity, "b", after: try FenceChain.find(chain, point: 1))
        #expect(bench.gpu.ran == ["a"])
        bench.gpu.advance(1)
        bench.run()
        #expect(bench.gpu.ran == ["a", "b"])
        bench.gpu.advance(1)
        try bench.rig.end()
    }

    @Test("implicit dependencies: a writer waits for readers and writers, a reader for writers; nobody for BOOKKEEP",
        arguments: [true, false])
    func implicit(_ isWrite: Bool) throws {
        let bench = try Bench()
        let object = Reservation(gate: bench.gate)
        let fences = ReservationUsage.allCases.map { _ in bench.fence() }
        try object.lock.lock(nil)
        try object.reserve(4)
        for (fence, usage) in zip(fences, ReservationUsage.allCases) { object.add(fence, usage) }
        let job = try bench.rig.job(bench.rig.entity(), "a")
        job.addImplicitDependencies(object, isWrite: isWrite)
        object.unlock()
        job.submit()
        for fence in fences[..<(isWrite ? 3 : 2)] {
            bench.run()
            #expect(bench.gpu.ran == [])
            fence.signal()
        }
        bench.run()
        #expect(bench.gpu.ran == ["a"])
        bench.gpu.advance(1)
        try bench.rig.end()
    }

    @Test("a deadline is remembered until the hardware's fence exists, and kept if it is earlier")
    func deadline() throws {
        final class Wish: Fence, @unchecked Sendable {
            var wishes: [UInt64] = []
            override func setDeadline(_ deadline: UInt64) { wishes.append(deadline) }
        }
        let bench = try Bench()
        let hardware = Wish(gate: bench.gate, context: bench.gate.allocateContexts(), seqno: 1)
        bench.gpu.answer = { _ in .fence(hardware) }
        let gate = bench.fence()
        let finished = try bench.submit(bench.rig.entity(), "a", after: gate).finished
        finished.setDeadline(50)
        finished.setDeadline(70)
        #expect(hardware.wishes == [])
        gate.signal()
        bench.run()
        #expect(hardware.wishes == [50])
        finished.setDeadline(60)
        finished.setDeadline(40)
        #expect(hardware.wishes == [50, 40])
        hardware.signal()
        try bench.rig.end()
    }
}

@Suite struct TimeoutTests {
    let limit = 10 * millisecond

    @Test("each start of a job gives the oldest the full time again (pitfall 7)")
    func rearmed() throws {
        let bench = try Bench(timeout: limit)
        let entity = try bench.rig.entity()
        let first = try bench.submit(entity, "a")
        for i in 0..<5 {
            bench.gate.advance(by: limit - 2)
            _ = try bench.submit(entity, "\(i)")
        }
        #expect(!first.timedOut)
        bench.gate.advance(by: limit)
        #expect(first.timedOut)
        bench.gpu.advance(5)
        try bench.rig.end()
    }

    @Test("NO_HANG: the job goes back to the head, and is asked about again")
    func noHang() throws {
        let bench = try Bench(timeout: limit)
        let entity = try bench.rig.entity()
        var asked: [String] = []
        bench.gpu.timeoutHandler = { job in
            asked.append(job.name)
            return .noHang
        }
        _ = try bench.submit(entity, "a")
        _ = try bench.submit(entity, "b")
        bench.gate.advance(by: 2 * limit)
        #expect(asked == ["a", "a"])
        bench.gpu.advance(2)
        bench.run()
        #expect(bench.gpu.freed == ["a", "b"])
        try bench.rig.end()
    }

    @Test("ENODEV: no more timeouts")
    func noDevice() throws {
        let bench = try Bench(timeout: limit)
        var asked = 0
        bench.gpu.timeoutHandler = { [unowned gpu = bench.gpu] job in
            asked += 1
            _ = gpu.takeOff(job)
            job.hardwareFence.signal()
            job.cleanup()
            return .noDevice
        }
        let entity = try bench.rig.entity()
        _ = try bench.submit(entity, "a")
        _ = try bench.submit(entity, "b")
        bench.gate.advance(by: 10 * limit)
        #expect(asked == 1)
        try bench.rig.end()
    }

    @Test("a fault brings the timeout at once")
    func fault() throws {
        let bench = try Bench(timeout: limit)
        let job = try bench.submit(bench.rig.entity(), "a")
        bench.scheduler.fault()
        bench.run()
        #expect(job.timedOut)
        try bench.rig.end()
    }

    @Test("stop and start: what the hardware had ends with ECANCELED, or what start says; the next job runs",
        arguments: [nil, KernelErrno.EIO])
    func reset(_ error: KernelErrno?) throws {
        let bench = try Bench(creditLimit: 2, timeout: limit)
        let scheduler = bench.scheduler, gpu = bench.gpu
        gpu.timeoutHandler = { [unowned scheduler, unowned gpu] job in
            scheduler.stop(job)
            let credits = scheduler.creditsUsed
            #expect(credits == 0)
            _ = gpu.takeOff(job)
            scheduler.start(error: error)
            return .reset
        }
        let entity = try bench.rig.entity()
        let jobs = try ["a", "b", "c"].map { try bench.submit(entity, $0).finished }
        #expect(gpu.ran == ["a", "b"])
        bench.gate.advance(by: limit)
        #expect(jobs[0].error == error ?? .ECANCELED && jobs[1].error == error ?? .ECANCELED)
        #expect(gpu.freed == ["a", "b"] && gpu.ran == ["a", "b", "c"])
        #expect(!jobs[2].isSignaled)
        gpu.advance(2)
        bench.run()
        #expect(jobs[2].error == nil)
        try bench.rig.end()
    }

    @Test("stop: jobs finished meanwhile are freed, the bad one after its handler; start watches what runs anew")
    func stopFinished() throws {
        let bench = try Bench(timeout: limit)
        let scheduler = bench.scheduler, gpu = bench.gpu, anew = bench.fence()
        gpu.timeoutHandler = { [unowned scheduler, unowned gpu] job in
            gpu.advance(1)
            scheduler.stop(job)
            #expect(gpu.freed == [])
            return .reset
        }
        let entity = try bench.rig.entity()
        let a = try bench.submit(entity, "a").finished
        let second = try bench.submit(entity, "b")
        let b = second.finished
        bench.gate.advance(by: limit)
        #expect(gpu.freed == ["a"] && a.error == nil && !b.isSignaled)
        b.parent = anew
        scheduler.start()
        bench.run()
        #expect(!b.isSignaled)
        anew.setError(.EIO)
        anew.signal()
        bench.run()
        #expect(b.error == .EIO && gpu.freed == ["a", "b"])
        gpu.advance(1)
        try bench.rig.end()
    }

    @Test("more hangs than the limit make the entity guilty; never one of kernel priority")
    func karma() throws {
        let bench = try Bench(hangLimit: 1)
        for priority in [SchedulerPriority.normal, .kernel] {
            let guilt = Guilt()
            let job = try bench.submit(bench.rig.entity(priority, guilt: guilt), "a")
            job.increaseKarma()
            #expect(!guilt.isSet)
            job.increaseKarma()
            #expect(guilt.isSet == (priority == .normal))
        }
        bench.gpu.advance(2)
        try bench.rig.end()
    }
}

@Suite struct EndTests {
    @Test("killed: queued jobs end with ESRCH, in order, after the last one handed out and all they depend on (pitfall 10)")
    func kill() throws {
        let bench = try Bench(creditLimit: 1)
        let entity = try bench.rig.entity()
        let gates = [bench.fence(), bench.fence()]
        let a = try bench.submit(entity, "a").finished
        let b = try bench.submit(entity, "b", after: gates[0]).finished
        let c = try bench.submit(entity, "c", after: gates[1]).finished
        gates[1].signal()
        entity.kill()
        bench.run()
        #expect(!b.isSignaled && !c.isSignaled)
        gates[0].signal()
        bench.run()
        #expect(!b.isSignaled)
        bench.gpu.advance(1)
        bench.run()
        #expect(a.error == nil && b.error == .ESRCH && c.error == .ESRCH)
        #expect(b.isScheduled && c.isScheduled && b.timestamp <= c.timestamp)
        #expect(bench.gpu.ran == ["a"])
        #expect(bench.gpu.freed.filter { $0 != "a" } == ["b", "c"])
        try bench.rig.end()
        try bench.rig.checkNothingLeft()
    }

    @Test("killed while its first job waits: prepare and run are not called, and the wait ends with nothing")
    func killBlocked() throws {
        let bench = try Bench()
        let entity = try bench.rig.entity()
        let gate = bench.fence()
        var prepared = 0
        bench.gpu.prepares = { _ in
            prepared += 1
            return nil
        }
        let fence = try bench.submit(entity, "a", after: gate).finished
        entity.fini()
        bench.run()
        #expect(!fence.isSignaled)
        gate.signal()
        bench.run()
        #expect(fence.error == .ESRCH && prepared == 0 && bench.gpu.ran == [])
        try bench.rig.end()
        try bench.rig.checkNothingLeft()
    }

    @Test("flush waits until all is handed out; one who is exiting, up to a time; a killed one kills")
    func flush() throws {
        let bench = try Bench(creditLimit: 1)
        let entity = try bench.rig.entity()
        _ = try bench.submit(entity, "a")
        #expect(entity.isIdle && entity.flush() == .never)
        let second = try bench.submit(entity, "b").finished
        #expect(!entity.isIdle)
        #expect(entity.flush(timeout: 1000, exiting: true) == 0)
        #expect(!second.isSignaled)
        #expect(entity.flush(timeout: 1000, exiting: true, killed: true) == 0)
        bench.gpu.advance(1)
        bench.run()
        #expect(second.error == .ESRCH)
        try bench.rig.end()
    }

    @Test("a signal ends the flush of who is not exiting")
    func interruptedFlush() throws {
        let bench = try Bench(creditLimit: 1)
        let entity = try bench.rig.entity()
        _ = try bench.submit(entity, "a")
        _ = try bench.submit(entity, "b")
        bench.gate.current.interrupt()
        entity.flush()
        #expect(!entity.isIdle)
        entity.fini()
        bench.gpu.advance(1)
        bench.run()
        try bench.rig.end()
    }

    @Test("the end of a scheduler cancels and frees from the newest to the oldest")
    func fini() throws {
        let bench = try Bench()
        let entity = try bench.rig.entity()
        let fences = try ["a", "b", "c"].map { try bench.submit(entity, $0).finished }
        try bench.rig.end()
        #expect(bench.gpu.canceled == ["c", "b", "a"] && bench.gpu.freed == ["c", "b", "a"])
        #expect(fences.allSatisfy { $0.error == .ECANCELED })
        #expect(!bench.scheduler.isReady)
        try bench.rig.checkNothingLeft()
    }

    @Test("without cancelling, jobs left at the end are warned of")
    func finiLeft() throws {
        let bench = try Bench()
        bench.gpu.canCancel = false
        let job = try bench.submit(bench.rig.entity(), "a")
        try bench.rig.end()
        #expect(bench.gpu.warnings == [.jobsLeft])
        job.cleanup()
    }

    @Test("paused, nothing is handed out or freed; then it goes on")
    func pause() throws {
        let bench = try Bench()
        let entity = try bench.rig.entity()
        _ = try bench.submit(entity, "a")
        bench.scheduler.pauseWork()
        _ = try bench.submit(entity, "b")
        bench.gpu.advance(1)
        bench.run()
        #expect(bench.gpu.ran == ["a"] && bench.gpu.freed == [])
        bench.scheduler.resumeWork()
        bench.run()
        #expect(bench.gpu.ran == ["a", "b"] && bench.gpu.freed == ["a"])
        bench.gpu.advance(1)
        try bench.rig.end()
    }
}
