import CNouveauUAPI
import DRMLock
import DRMSync
import GPUVM
import GateSupport
import KernelErrno
import NVMMU
import Testing

@testable import NouveauDevice

/// Jobs by jobs.md 1 to 5.
@Suite("VM_BIND and EXEC are jobs") struct JobTests {
    /// A client after VM_INIT with two buffers of 64 KiB: 1 is its own, 2 can be shared.
    private func client(_ chipset: Int = 0x172) throws -> Client {
        let client = try Client(chipset)
        try #require(client.vmInit() == 0)
        _ = try client.buffer(gart | noShare, 64 << 10)
        _ = try client.buffer(gart, 64 << 10)
        return client
    }

    private func isPage(_ client: Client, _ va: UInt64) -> Bool {
        if case .page = client.file.uvmm!.at(va) { true } else { false }
    }

    private func isMapped(_ client: Client, _ va: UInt64) -> Bool {
        !client.file.uvmm!.vm.space.isEmpty(va, 0x1000)
    }

    // MARK: - Asynchronous VM_BIND

    @Test("the VA space changes when the ioctl returns, entries when the job runs", arguments: [true, false])
    func phases(isTimeline: Bool) throws {
        let client = try client()
        let (wait, fence) = client.pendingSyncobj()
        if isTimeline { client.file.syncobjs[wait]!.add(5, fence) }
        let done = client.syncobj()
        #expect(client.bind([map(1, 0x1000, 0x1000)]) == 0)
        #expect(
            client.bind(
                [map(1, 0x1_0000, 0x2000), unmap(0x1000, 0x1000)], async: true,
                waits: [isTimeline ? timeline(wait, 5) : binary(wait)],
                signals: [isTimeline ? timeline(done, 7) : binary(done)]) == 0)
        #expect(isMapped(client, 0x1_0000) && !isMapped(client, 0x1000))
        #expect(!isPage(client, 0x1_0000) && isPage(client, 0x1000))
        #expect(client.status(done) == .pending)
        fence.signal()
        client.device.runUntilIdle()
        #expect(isPage(client, 0x1_0000) && !isPage(client, 0x1000))
        #expect(client.status(done) == .done)
        #expect(client.file.syncobjs[done]!.query() == (isTimeline ? 7 : 0))
    }

    @Test("a job waits for all its fences")
    func severalWaits() throws {
        let client = try client()
        let waits = (0..<3).map { _ in client.pendingSyncobj() }
        #expect(client.bind([map(1, 0x1000, 0x1000)], async: true, waits: waits.map { binary($0.handle) }) == 0)
        for i in [2, 0, 1] {
            #expect(!isPage(client, 0x1000))
            waits[i].fence.signal()
            client.device.runUntilIdle()
        }
        #expect(isPage(client, 0x1000))
    }

    @Test("jobs of a file run in order: a blocked one blocks those after it")
    func order() throws {
        let client = try client()
        let (wait, fence) = client.pendingSyncobj()
        let done = (0..<3).map { _ in client.syncobj() }
        #expect(client.bind([map(1, 0x1000, 0x1000)], async: true, waits: [binary(wait)], signals: [binary(done[0])]) == 0)
        #expect(client.bind([map(1, 0x2000, 0x1000)], async: true, signals: [binary(done[1])]) == 0)
        #expect(client.bind([], async: true, signals: [binary(done[2])]) == 0)
        #expect(done.map { client.status($0) } == [.pending, .pending, .pending] && !isPage(client, 0x2000))
        fence.signal()
        client.device.runUntilIdle()
        #expect(done.map { client.status($0) } == [.done, .done, .done] && isPage(client, 0x2000))
    }

    @Test("files do not wait for each other")
    func files() throws {
        let client = try client()
        let other = Client(client.device)
        try #require(other.vmInit() == 0)
        let buffer = try other.buffer(gart, 4096)
        let (wait, fence) = client.pendingSyncobj()
        #expect(client.bind([map(1, 0x1000, 0x1000)], async: true, waits: [binary(wait)]) == 0)
        #expect(other.bind([map(buffer, 0x1000, 0x1000)]) == 0)
        #expect(isPage(other, 0x1000) && !isPage(client, 0x1000))
        fence.signal()
    }

    @Test("what later jobs took out again is not there in the end, whatever order they were blocked in")
    func overlapping() throws {
        let client = try client()
        let (wait, fence) = client.pendingSyncobj()
        #expect(client.bind([map(1, 0, 0x1_0000)], async: true, waits: [binary(wait)]) == 0)
        #expect(client.bind([unmap(0x4000, 0x4000)], async: true) == 0)
        #expect(client.bind([map(2, 0x5000, 0x1000, offset: 0x3000)], async: true) == 0)
        #expect(client.bind([unmap(0, 0x1000), map(1, 0xf000, 0x1000, offset: 0)], async: true) == 0)
        fence.signal()
        client.device.runUntilIdle()
        let present = (0..<16).filter { isPage(client, $0 << 12) }
        #expect(present == [1, 2, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15])
        #expect(client.file.uvmm!.broken() == nil)
        #expect(client.bind([unmap(0, 0x1_0000)]) == 0)
        #expect(client.file.uvmm!.pairCount == 0)
    }

    @Test("an asynchronous call cannot wait for what it signals itself, and what it signals others wait for")
    func chained() throws {
        let client = try client()
        let (wait, fence) = client.pendingSyncobj()
        // The same syncobj: waited for first, then replaced.
        #expect(client.bind([map(1, 0x1000, 0x1000)], async: true, waits: [binary(wait)], signals: [binary(wait)]) == 0)
        #expect(client.file.syncobjs[wait]!.fence !== fence && client.status(wait) == .pending)
        #expect(client.bind([], async: true, waits: [binary(wait)], signals: [timeline(wait, 3)]) == 0)
        fence.signal()
        client.device.runUntilIdle()
        #expect(client.status(wait) == .done)
    }

    @Test("a fence that failed is waited for like any other: its error stays with it")
    func failedDependency() throws {
        let client = try client()
        let (wait, fence) = client.pendingSyncobj()
        let done = client.syncobj()
        #expect(client.bind([map(1, 0x1000, 0x1000)], async: true, waits: [binary(wait)], signals: [binary(done)]) == 0)
        fence.setError(.ENODEV)
        fence.signal()
        client.device.runUntilIdle()
        #expect(isPage(client, 0x1000) && client.status(done) == .done)
    }

    @Test("a job whose time is over is waited for on: VM_BIND has nothing to reset")
    func bindTimeout() throws {
        let client = try client()
        let (wait, fence) = client.pendingSyncobj()
        let done = client.syncobj()
        #expect(client.bind([map(1, 0x1000, 0x1000)], async: true, waits: [binary(wait)], signals: [binary(done)]) == 0)
        client.device.gate.sleep(for: 60_000_000_000)
        #expect(client.status(done) == .pending)
        fence.signal()
        client.device.runUntilIdle()
        #expect(client.status(done) == .done && isPage(client, 0x1000))
    }

    // MARK: - A VM_BIND's job used again

    /// The jobs that a file keeps for its next calls. Takes them.
    private func spares(_ client: Client) -> Int {
        var count = 0
        while let job = client.file.binds.takeSpare() {
            count += 1
            _ = consume job
        }
        return count
    }

    @Test("a job used again counts its own operations")
    func reusedCounts() throws {
        let client = try client()
        let before = client.device.statistics
        #expect(client.bind([map(1, 0x1000, 0x1000), map(2, 0x2000, 0x1000)]) == 0)
        #expect(client.bind([unmap(0x1000, 0x1000), map(1, 0x3000, 0x1000)]) == 0)
        let after = client.device.statistics
        #expect(after.binds - before.binds == 2)
        #expect((after.maps - before.maps, after.unmaps - before.unmaps) == (3, 1))
        #expect(spares(client) == 1)
    }

    @Test("a job used again waits for its own fences")
    func reusedWaits() throws {
        let client = try client()
        for va: UInt64 in [0x1000, 0x2000, 0x3000] {
            let (wait, fence) = client.pendingSyncobj()
            #expect(client.bind([map(1, va, 0x1000)], async: true, waits: [binary(wait)]) == 0)
            client.device.runUntilIdle()
            #expect(!isPage(client, va))
            fence.signal()
            client.device.runUntilIdle()
            #expect(isPage(client, va))
        }
        #expect(spares(client) == 1)
    }

    @Test("a job kept for the next call keeps no victim's object")
    func spareKeepsNothing() throws {
        let client = try client()
        try #require(client.bind([map(1, 0x1000, 0x1000)]) == 0)
        let count = client.device.memory.objectCount
        let (wait, fence) = client.pendingSyncobj()
        #expect(client.bind([map(2, 0x1000, 0x1000)], async: true, waits: [binary(wait)]) == 0)
        #expect(client.gemClose(1) == 0)
        #expect(client.device.memory.objectCount == count)
        fence.signal()
        client.device.runUntilIdle()
        #expect(client.device.memory.objectCount == count - 1)
        #expect(spares(client) == 1)
    }

    @Test("jobs kept for the next call go with their file, and their space with them")
    func sparesEnd() throws {
        let client = try client()
        #expect(client.bind([map(1, 0x1000, 0x1000)]) == 0)
        #expect(client.bind([map(2, 0x1000, 0x1000)]) == 0)
        weak var space: UVMM?
        space = client.file.uvmm
        client.file.close()
        #expect(space == nil)
    }

    @Test("of many jobs that are over a few are kept, and all do what they should")
    func manyInFlight() throws {
        let client = try client()
        for round in 0..<3 {
            let (wait, fence) = client.pendingSyncobj()
            let pages = (0..<10).map { UInt64(0x10_0000 * (round + 1) + 0x1000 * $0) }
            for (i, va) in pages.enumerated() {
                let offset = UInt64(i) << 12
                #expect(client.bind([map(1, va, 0x1000, offset: offset)], async: true, waits: [binary(wait)]) == 0)
            }
            #expect(client.file.binds.pending.count == 10 && !pages.contains { isPage(client, $0) })
            fence.signal()
            client.device.runUntilIdle()
            #expect(client.file.binds.pending.isEmpty && pages.allSatisfy { isPage(client, $0) })
        }
        #expect(client.bind([unmap(0x10_0000, 0x30_0000)]) == 0)
        #expect(client.file.uvmm!.pairCount == 0 && client.file.uvmm!.broken() == nil)
        #expect(spares(client) == 4)
    }

    // MARK: - Failed submits

    @Test("a VM_BIND that fails leaves syncobjs, reservations and the VA space alone")
    func failedBind() throws {
        let client = try client()
        let (wait, fence) = client.pendingSyncobj()
        let (a, b) = (client.pendingSyncobj(), client.syncobj())
        try #require(client.bind([map(1, 0x1000, 0x1000)]) == 0)
        let before = Snapshot(client)
        let attached = client.file.syncobjs[a.handle]!.fence
        for bad in [map(99, 0, 4096), unmapSparse(0, 4096), map(1, 1 << 39, 4096)] {
            let result = client.bind(
                [map(2, 0x1000, 0x2000), bad], async: true, waits: [binary(wait)],
                signals: [binary(a.handle), timeline(b, 4)])
            #expect(result < 0)
            #expect(client.file.syncobjs[a.handle]!.fence === attached && client.status(b) == nil)
            #expect(Snapshot(client) == before)
        }
        for handle: UInt32 in [1, 2] {
            let reservation = client.file.object(handle: handle)!.reservation
            #expect(reservation.isSignaled(.bookkeep) && !reservation.isLocked)
        }
        // Nothing waits for the wait.
        #expect(client.bind([unmap(0x1000, 0x1000)]) == 0)
        fence.signal()
        #expect(client.file.binds.pending.isEmpty)
    }

    @Test("a job that fails at its last syncobj has attached nothing to the ones before")
    func failedExec() throws {
        let submitter = try Submitter(client())
        let client = submitter.client
        let (a, b) = (client.syncobj(), client.syncobj())
        var odd = binary(b)
        odd.flags = 7
        for last in [odd, binary(99)] {
            #expect(submitter.exec(signals: [binary(a), timeline(b, 2), last]) { _ in } < 0)
            #expect(client.bind([], async: true, signals: [binary(a), timeline(b, 2), last]) < 0)
        }
        #expect(client.status(a) == nil && client.status(b) == nil)
    }

    // MARK: - Synchronous calls

    @Test("a synchronous call behind a blocked job returns when that is done")
    func synchronous() throws {
        let client = try client()
        let (wait, fence) = client.pendingSyncobj()
        #expect(client.bind([map(1, 0x1000, 0x1000)], async: true, waits: [binary(wait)]) == 0)
        let result = Shared<Int32?>(nil)
        let actor = client.device.gate.spawn("client") { [client = client.leavingWork] in
            result.value = client.bind([map(1, 0x2000, 0x1000)])
        }
        client.device.runUntilIdle()
        #expect(result.value == nil && isMapped(client, 0x2000))
        fence.signal()
        client.device.gate.join(actor)
        #expect(result.value == 0 && isPage(client, 0x2000))
    }

    @Test("a synchronous call that a signal interrupts returns 0, and its job goes on")
    func interrupted() throws {
        let client = try client()
        let (wait, fence) = client.pendingSyncobj()
        #expect(client.bind([], async: true, waits: [binary(wait)]) == 0)
        let result = Shared<Int32?>(nil)
        let actor = client.device.gate.spawn("client") { [client = client.leavingWork] in
            result.value = client.bind([map(1, 0x2000, 0x1000)])
        }
        client.device.runUntilIdle()
        actor.interrupt()
        client.device.gate.join(actor)
        #expect(result.value == 0 && isMapped(client, 0x2000) && !isPage(client, 0x2000))
        fence.signal()
        client.device.runUntilIdle()
        #expect(isPage(client, 0x2000))
    }

    // MARK: - EXEC

    @Test("EXECs of a channel are done in order, those of another are not held up")
    func execOrder() throws {
        let first = try Submitter(client())
        let client = first.client
        let second = try Submitter(client)
        try #require(client.bind([map(1, 0x1_0000, 0x1000)]) == 0)
        let (wait, fence) = client.pendingSyncobj()
        let done = (0..<3).map { _ in client.syncobj() }
        let words = client.bytes(1).bindMemory(to: UInt32.self)
        #expect(first.exec(waits: [binary(wait)], signals: [binary(done[0])]) { $0.fill(0x1_0000, 1, 1) } == 0)
        #expect(first.exec(signals: [binary(done[1])]) { $0.copy(0x1_0000, 0x1_0010, 4) } == 0)
        #expect(second.exec(signals: [binary(done[2])]) { $0.copy(0x1_0000, 0x1_0020, 4) } == 0)
        #expect(done.map { client.status($0) } == [.pending, .pending, .done] && words[4] == 0)
        fence.signal()
        client.device.runUntilIdle()
        #expect(done.map { client.status($0) } == [.done, .done, .done])
        #expect((words[0], words[4], words[8]) == (1, 1, 0))
    }

    @Test("EXEC and VM_BIND are ordered by syncobjs alone: the space is new, the entries perhaps not")
    func execAndBind() throws {
        let dies = try Submitter(client())
        let client = dies.client
        let lives = try Submitter(client)
        let (wait, fence) = client.pendingSyncobj()
        let bound = client.syncobj()
        #expect(client.bind([map(1, 0x1_0000, 0x1000)], async: true, waits: [binary(wait)], signals: [binary(bound)]) == 0)
        #expect(lives.exec(waits: [binary(bound)]) { $0.fill(0x1_0000, 1, 7) } == 0)
        #expect(dies.exec { $0.fill(0x1_0000, 1, 9) } == 0)
        #expect(client.device.faults.map(\.channel) == [dies.channel])
        fence.signal()
        client.device.runUntilIdle()
        #expect(client.device.faults.count == 1 && client.bytes(1).load(as: UInt32.self) == 7)
    }

    @Test("VM_BIND waits for EXEC where a syncobj says so")
    func bindAfterExec() throws {
        let submitter = try Submitter(client())
        let client = submitter.client
        try #require(client.bind([map(1, 0x1_0000, 0x1000), map(2, 0x2_0000, 0x1000)]) == 0)
        let done = client.syncobj()
        #expect(
            submitter.exec(signals: [timeline(done, 1)]) {
                $0.acquire(0x2_0000, 5)
                $0.fill(0x1_0000, 1, 7)
            } == 0)
        #expect(client.bind([unmap(0x1_0000, 0x1000)], async: true, waits: [timeline(done, 1)]) == 0)
        #expect(isPage(client, 0x1_0000))
        client.bytes(2).storeBytes(of: 5, as: UInt32.self)
        client.device.gate.sleep(for: 10_000_000)
        #expect(!isPage(client, 0x1_0000) && client.device.faults.isEmpty)
        #expect(client.bytes(1).load(as: UInt32.self) == 7 && client.status(done) == .done)
    }

    @Test("an EXEC without pushes still comes after those before it")
    func empty() throws {
        let submitter = try Submitter(client())
        let client = submitter.client
        try #require(client.bind([map(2, 0x2_0000, 0x1000)]) == 0)
        let done = client.syncobj()
        #expect(submitter.exec { $0.acquire(0x2_0000, 1) } == 0)
        #expect(client.exec(submitter.channel, signals: [binary(done)]) == 0)
        #expect(client.status(done) == .pending)
        client.bytes(2).storeBytes(of: 1, as: UInt32.self)
        client.device.gate.sleep(for: 10_000_000)
        #expect(client.status(done) == .done)
    }

    // MARK: - Reservations and CPU_PREP

    @Test("EXEC's fence is a WRITE of every object of the space, VM_BIND's a BOOKKEEP of those it is about")
    func usages() throws {
        let submitter = try Submitter(client())
        let client = submitter.client
        let unmapped = try client.buffer(gart, 4096)
        try #require(client.bind([map(1, 0x1_0000, 0x1000), map(2, 0x2_0000, 0x1000)]) == 0)
        let (wait, fence) = client.pendingSyncobj()
        let third = try client.buffer(gart, 4096)
        func pending(_ handle: UInt32) -> [ReservationUsage] {
            let reservation = client.file.object(handle: handle)!.reservation
            return ReservationUsage.allCases.filter { !reservation.isSignaled($0) }
        }
        #expect(client.bind([map(third, 0x3_0000, 0x1000), unmap(0x2_0000, 0x1000)], async: true, waits: [binary(wait)]) == 0)
        #expect(pending(third) == [.bookkeep] && pending(2) == [.bookkeep] && pending(1) == [] && pending(unmapped) == [])
        #expect(submitter.exec(waits: [binary(wait)]) { _ in } == 0)
        // 2 is not mapped any more. 1 and the pushes share the space's reservation.
        #expect(pending(third) == [.write, .read, .bookkeep] && pending(1) == [.write, .read, .bookkeep])
        #expect(pending(2) == [.bookkeep] && pending(unmapped) == [])
        fence.signal()
        client.device.runUntilIdle()
        for handle: UInt32 in [1, 2, third] { #expect(pending(handle) == []) }
    }

    @Test("CPU_PREP waits for EXEC, not for VM_BIND; NOWAIT only looks")
    func cpuPrep() throws {
        let submitter = try Submitter(client())
        let client = submitter.client
        try #require(client.bind([map(2, 0x2_0000, 0x1000)]) == 0)
        let (wait, fence) = client.pendingSyncobj()
        #expect(client.bind([map(1, 0x1_0000, 0x1000), map(2, 0x3_0000, 0x1000)], async: true, waits: [binary(wait)]) == 0)
        for handle: UInt32 in [1, 2] {
            for flags in [nowait, nowait | forWriting] { #expect(client.cpuPrep(handle, flags) == 0) }
        }
        #expect(submitter.exec(waits: [binary(wait)]) { _ in } == 0)
        for handle: UInt32 in [1, 2] {
            for flags in [nowait, nowait | forWriting] { #expect(client.cpuPrep(handle, flags) == -.EBUSY) }
        }
        let result = Shared<Int32?>(nil)
        let actor = client.device.gate.spawn("client") { [client = client.leavingWork] in
            result.value = client.cpuPrep(2, 0)
        }
        client.device.runUntilIdle()
        #expect(result.value == nil)
        fence.signal()
        client.device.gate.join(actor)
        #expect(result.value == 0 && client.cpuPrep(2, nowait) == 0)
    }

    @Test("CPU_PREP gives up after 30 s with EBUSY, at a signal with ERESTARTSYS; errors of fences are not its business")
    func cpuPrepEnds() throws {
        let submitter = try Submitter(client())
        let client = submitter.client
        try #require(client.bind([map(2, 0x2_0000, 0x1000)]) == 0)
        let (wait, fence) = client.pendingSyncobj()
        #expect(submitter.exec(waits: [binary(wait)]) { _ in } == 0)
        let start = client.device.gate.now
        #expect(client.cpuPrep(2, forWriting) == -.EBUSY)
        #expect(client.device.gate.now - start == 30_000_000_000)
        let result = Shared<Int32?>(nil)
        let actor = client.device.gate.spawn("client") { [client = client.leavingWork] in
            result.value = client.cpuPrep(2, 0)
        }
        client.device.runUntilIdle()
        actor.interrupt()
        client.device.gate.join(actor)
        #expect(result.value == -.ERESTARTSYS)
        client.file.channel(submitter.channel)!.kill()
        fence.signal()
        #expect(client.cpuPrep(2, 0) == 0)
    }

    @Test("an object that two files share carries the fences of both")
    func shared() throws {
        let submitter = try Submitter(client())
        let client = submitter.client
        let other = Client(client.device)
        try #require(client.bind([map(2, 0x2_0000, 0x1000)]) == 0)
        var prime = nvu_prime_handle(handle: 2, flags: 0, fd: -1)
        try #require(client.call(NVU_PRIME_HANDLE_TO_FD, &prime) == 0)
        try #require(other.call(NVU_PRIME_FD_TO_HANDLE, &prime) == 0)
        let (wait, fence) = client.pendingSyncobj()
        #expect(submitter.exec(waits: [binary(wait)]) { _ in } == 0)
        #expect(other.cpuPrep(prime.handle, nowait) == -.EBUSY)
        fence.signal()
        #expect(other.cpuPrep(prime.handle, 0) == 0)
    }

    // MARK: - Close

    @Test("closing a file waits for its jobs, and leaves nothing behind")
    func close() throws {
        let submitter = try Submitter(client())
        let client = submitter.client
        let other = Client(client.device)
        // Its fences outlive the file in a syncobj of another.
        let (wait, fence) = client.pendingSyncobj()
        let (bound, done) = (other.syncobj(), other.syncobj())
        func share(_ handle: UInt32, from: Client, to: Client) throws -> UInt32 {
            var call = nvu_syncobj_handle(handle: handle, flags: 0, fd: -1, pad: 0, point: 0)
            try #require(from.call(NVU_SYNCOBJ_HANDLE_TO_FD, &call) == 0)
            try #require(to.call(NVU_SYNCOBJ_FD_TO_HANDLE, &call) == 0)
            from.device.closeDescriptor(call.fd)
            return call.handle
        }
        let own = (try share(bound, from: other, to: client), try share(done, from: other, to: client))
        #expect(
            client.bind(
                [map(1, 0x1_0000, 0x1000), mapSparse(0x100_0000, 0x20_0000)], async: true, waits: [binary(wait)],
                signals: [binary(own.0)]) == 0)
        #expect(client.bind([unmap(0x1_0000, 0x1000)], async: true) == 0)
        #expect(submitter.exec { $0.fill(Submitter.pushes + 0x8000, 1, 1) } == 0)
        #expect(submitter.exec(waits: [binary(own.0)], signals: [binary(own.1)]) { _ in } == 0)
        let isClosed = Shared(false)
        let actor = client.device.gate.spawn("closer") {
            client.file.close()
            isClosed.value = true
        }
        client.device.runUntilIdle()
        #expect(!isClosed.value && other.status(bound) == .pending)
        fence.signal()
        client.device.gate.join(actor)
        // Queued EXECs are killed; VM_BINDs are carried out.
        #expect(other.status(bound) == .done && other.status(done) == .failed(.ESRCH))
        other.file.close()
        let memory = client.device.memory
        #expect((memory.objectCount, memory.tables.used, memory.vram.used, memory.gart.used) == (0, 0, 0, 0))
    }

    // MARK: - Regions (2.7)

    /// Runs a VM_BIND that blocks as an actor of its own.
    private func blocked(
        _ client: Client, _ ops: [nvu_vm_bind_op], async: Bool = true
    ) -> (actor: GateActor, result: Shared<Int32?>) {
        let result = Shared<Int32?>(nil)
        let actor = client.device.gate.spawn("client") { [client = client.leavingWork] in
            result.value = client.bind(ops, async: async)
        }
        client.device.runUntilIdle()
        return (actor, result)
    }

    @Test("MAP and MAP_SPARSE into a region that goes wait until it is gone; then there is no region", arguments: [
        map(1, 0x100_1000, 0x1000), map(1, 0x101_f000, 0x2000), mapSparse(0x100_0000, 0x2_0000),
        mapSparse(0x101_0000, 0x2_0000), mapSparse(0xff_0000, 0x2_0000),
    ])
    func dirty(op: nvu_vm_bind_op) throws {
        let client = try client()
        try #require(client.bind([mapSparse(0x100_0000, 0x2_0000)]) == 0)
        let (wait, fence) = client.pendingSyncobj()
        #expect(client.bind([unmapSparse(0x100_0000, 0x2_0000)], async: true, waits: [binary(wait)]) == 0)
        #expect(client.file.uvmm!.at(0x100_1000) == .sparse)
        let (actor, result) = blocked(client, [op])
        #expect(result.value == nil)
        fence.signal()
        client.device.gate.join(actor)
        client.device.runUntilIdle()
        #expect(result.value == 0)
        if op.flags == 0 {
            #expect(isPage(client, op.addr) && client.file.uvmm!.regions.isEmpty)
            #expect(client.file.uvmm!.at(0x100_0000) != .sparse)
        } else {
            #expect(client.file.uvmm!.at(op.addr) == .sparse && client.file.uvmm!.regions.count == 1)
        }
        #expect(client.file.uvmm!.broken() == nil)
    }

    @Test("a region that goes: again ENOENT, UNMAP and what lies elsewhere do not wait, other calls queue behind who waits")
    func dirtyElsewhere() throws {
        let client = try client()
        try #require(client.bind([mapSparse(0x100_0000, 0x2_0000), map(1, 0x100_0000, 0x1000)]) == 0)
        let (wait, fence) = client.pendingSyncobj()
        #expect(client.bind([unmapSparse(0x100_0000, 0x2_0000)], async: true, waits: [binary(wait)]) == 0)
        #expect(client.bind([unmapSparse(0x100_0000, 0x2_0000)], async: true) == -.ENOENT)
        #expect(client.bind([unmap(0x100_0000, 0x2_0000)], async: true) == 0)
        #expect(client.bind([map(1, 0x200_0000, 0x1000), mapSparse(0x300_0000, 0x1_0000)], async: true) == 0)
        let first = blocked(client, [map(1, 0x101_0000, 0x1000)])
        let second = blocked(client, [map(1, 0x400_0000, 0x1000)])
        #expect(first.result.value == nil && second.result.value == nil && !isMapped(client, 0x400_0000))
        fence.signal()
        client.device.gate.join(first.actor)
        client.device.gate.join(second.actor)
        #expect(first.result.value == 0 && second.result.value == 0)
        client.device.runUntilIdle()
        #expect(isPage(client, 0x101_0000) && isPage(client, 0x400_0000) && isPage(client, 0x200_0000))
        #expect(client.file.uvmm!.regions.map(\.addr) == [0x300_0000])
    }

    @Test("an UNMAP_SPARSE that failed leaves the region as it was")
    func cleanAgain() throws {
        let client = try client()
        try #require(client.bind([mapSparse(0x100_0000, 0x2_0000), map(1, 0x100_0000, 0x1000)]) == 0)
        let before = Snapshot(client)
        #expect(client.bind([unmapSparse(0x100_0000, 0x2_0000), unmapSparse(0, 0x1000)]) == -.ENOENT)
        #expect(Snapshot(client) == before)
        #expect(client.bind([map(1, 0x100_1000, 0x1000)], async: true) == 0)
        #expect(client.bind([map(1, 0x101_f000, 0x2000)], async: true) == -.ENOSPC)
        #expect(client.bind([unmapSparse(0x100_0000, 0x2_0000)]) == 0)
        #expect(client.file.uvmm!.regions.isEmpty)
    }

    @Test("MAP_SPARSE waits for jobs that UNMAP in its range, and for no others")
    func unmapThenSparse() throws {
        let client = try client()
        try #require(client.bind([map(1, 0x100_0000, 0x1000), map(1, 0x200_0000, 0x1000)]) == 0)
        let (wait, fence) = client.pendingSyncobj()
        #expect(client.bind([unmap(0x100_0000, 0x1000)], async: true, waits: [binary(wait)]) == 0)
        #expect(client.bind([mapSparse(0x100_1000, 0x1000)], async: true) == 0)
        #expect(client.bind([map(1, 0x100_0000, 0x1000), unmap(0x200_0000, 0x1000)], async: true) == 0)
        // 7b comes before 8: it waits, then finds the mapping.
        let taken = blocked(client, [mapSparse(0x100_0000, 0x1000)])
        #expect(taken.result.value == nil)
        fence.signal()
        client.device.gate.join(taken.actor)
        #expect(taken.result.value == -.ENOSPC)
        #expect(client.bind([mapSparse(0x200_0000, 0x1000)]) == 0)
        #expect(client.file.uvmm!.at(0x200_0000) == .sparse)
    }

    // MARK: - Pitfalls (13)

    @Test("pitfall 1: a bind's fence says 0 though no entry was written")
    func droppedError() throws {
        let client = try client()
        let done = client.syncobj()
        #expect(client.bind([map(1, 0x1000, 0x1000, kind: 0xff)], async: true, signals: [binary(done)]) == 0)
        #expect(client.status(done) == .done && isMapped(client, 0x1000) && !isPage(client, 0x1000))
    }

    @Test("pitfall 2: MAP_SPARSE acts when it is submitted, whatever its job waits for")
    func sparseAtSubmit() throws {
        let client = try client()
        let (wait, fence) = client.pendingSyncobj()
        #expect(
            client.bind(
                [mapSparse(0x100_0000, 0x2_0000), map(1, 0x100_0000, 0x1000)], async: true, waits: [binary(wait)]) == 0)
        #expect(client.file.uvmm!.at(0x100_0000) == .sparse && client.file.uvmm!.at(0x101_f000) == .sparse)
        #expect(client.bind([unmapSparse(0x100_0000, 0x2_0000)], async: true) == 0)
        #expect(client.file.uvmm!.at(0x101_f000) == .sparse)
        fence.signal()
        client.device.runUntilIdle()
        #expect(client.file.uvmm!.at(0x100_0000) != .sparse && client.file.uvmm!.at(0x101_f000) != .sparse)
    }

    @Test("pitfall 6: UNMAP and MAP_SPARSE in one call keep the sparse entries, while it is blocked and after")
    func unmapAndSparse() throws {
        let client = try client()
        try #require(client.bind([map(1, 0x100_0000, 0x2000)]) == 0)
        let (wait, fence) = client.pendingSyncobj()
        #expect(
            client.bind(
                [unmap(0x100_0000, 0x2000), mapSparse(0x100_0000, 0x1_0000)], async: true, waits: [binary(wait)]) == 0)
        #expect(client.file.uvmm!.at(0x100_8000) == .sparse)
        fence.signal()
        client.device.runUntilIdle()
        for va: UInt64 in [0x100_0000, 0x100_1000, 0x100_2000, 0x100_f000] {
            #expect(client.file.uvmm!.at(va) == .sparse, "\(va)")
        }
        #expect(client.bind([unmapSparse(0x100_0000, 0x1_0000)]) == 0)
        #expect(client.file.uvmm!.broken() == nil && client.file.uvmm!.at(0x100_0000) == .fault(.pde))
    }

    @Test("pitfall 7: each job that begins puts the timeout off for the one that hangs")
    func rearmed() throws {
        let submitter = try Submitter(client())
        let client = submitter.client
        try #require(client.bind([map(2, 0x2_0000, 0x1000)]) == 0)
        let done = client.syncobj()
        #expect(submitter.exec(signals: [binary(done)]) { $0.acquire(0x2_0000, 1) } == 0)
        client.device.gate.sleep(for: 9_000_000_000)
        #expect(submitter.exec { _ in } == 0)
        client.device.gate.sleep(for: 9_000_000_000)
        #expect(client.status(done) == .pending)
        client.device.gate.sleep(for: 2_000_000_000)
        #expect(client.status(done) == .failed(.ECANCELED))
    }

    @Test("pitfall 8: a job without credits waits, and so do smaller ones behind it; other channels do not")
    func credits() throws {
        let submitter = try Submitter(client())
        let client = submitter.client
        let other = try Submitter(client)
        try #require(client.bind([map(2, 0x2_0000, 0x1000)]) == 0)
        let done = (0..<4).map { _ in client.syncobj() }
        #expect(submitter.exec { $0.acquire(0x2_0000, 1) } == 0)
        // 2 + 511 of 1023 credits; 511 more do not fit, though 1 does.
        var nop = Commands()
        nop.copyEngine(0x100, 0)
        let many = Array(repeating: submitter.push(nop), count: 510)
        for i in 0..<2 { #expect(client.exec(submitter.channel, many, signals: [binary(done[i])]) == 0) }
        #expect(client.exec(submitter.channel, signals: [binary(done[2])]) == 0)
        #expect(other.exec(signals: [binary(done[3])]) { _ in } == 0)
        #expect(done.map { client.status($0) } == [.pending, .pending, .pending, .done])
        let pushed = client.device.statistics.pushes
        client.bytes(2).storeBytes(of: 1, as: UInt32.self)
        client.device.gate.sleep(for: 10_000_000)
        #expect(done.map { client.status($0) } == [.done, .done, .done, .done] && pushed == 1022)
    }

    @Test("pitfall 10: what CHANNEL_FREE kills ends with ESRCH only after its dependencies")
    func killedLate() throws {
        let submitter = try Submitter(client())
        let client = submitter.client
        let (wait, fence) = client.pendingSyncobj()
        let done = client.syncobj()
        #expect(submitter.exec(waits: [binary(wait)], signals: [binary(done)]) { _ in } == 0)
        let result = Shared<Int32?>(nil)
        let actor = client.device.gate.spawn("client") { [client = client.leavingWork] in
            result.value = client.call(NVU_CHANNEL_FREE, nvu_channel_free(channel: submitter.channel))
        }
        client.device.runUntilIdle()
        #expect(result.value == nil && client.status(done) == .pending)
        fence.signal()
        client.device.gate.join(actor)
        #expect(result.value == 0 && client.status(done) == .failed(.ESRCH))
    }

    @Test("pitfall 11: channels of all engines and files have numbers of their own")
    func numbers() throws {
        let client = try client()
        let other = Client(client.device)
        let numbers = [client.channelAlloc(), client.channelAlloc(fb: ~0, tt: 0x30), other.channelAlloc(fb: ~0, tt: 1)]
        #expect(Set(numbers.map(\.alloc.channel)).count == 3)
    }
}
