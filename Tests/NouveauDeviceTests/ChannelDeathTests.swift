import CNouveauUAPI
import DRMLock
import DRMSync
import GPUVM
import GateSupport
import KernelErrno
import NVMMU
import Testing

@testable import NouveauDevice

/// Faults, hangs, semaphores, and what each kind of death leaves in the fences (jobs.md 3.1, 11).
@Suite("How channels end") struct ChannelDeathTests {
    static let data: UInt64 = 0x1_0000
    static let flag: UInt64 = 0x4_0000

    /// A channel, buffer `data` of 64 KiB at ``data`` with bytes 0, 1, 2 …, and one of a page at ``flag``.
    struct Rig {
        let submitter: Submitter
        let client: Client
        let data, flag: UInt32

        init(_ chipset: Int = 0x172, vram isVRAM: Bool = false) throws {
            submitter = try Submitter(Client(chipset))
            client = submitter.client
            data = try client.buffer(isVRAM ? vram : gart, 64 << 10)
            flag = try client.buffer(gart, 4096)
            try #require(
                client.bind([map(data, ChannelDeathTests.data, 64 << 10), map(flag, ChannelDeathTests.flag, 4096)]) == 0)
            for i in client.bytes(data).indices { client.bytes(data)[i] = UInt8(truncatingIfNeeded: i) }
        }

        var channel: Channel { client.file.channel(submitter.channel)! }

        func raiseFlag(_ value: UInt32 = 1) { client.bytes(flag).storeBytes(of: value, as: UInt32.self) }
        func pass(_ nanoseconds: UInt64) { client.device.gate.sleep(for: nanoseconds) }
    }

    private static let second: UInt64 = 1_000_000_000

    // MARK: - Accesses

    @Test("reads and writes of what is not mapped fault, with the address to the byte", arguments: [0xe4, 0x124, 0x132, 0x140, 0x162, 0x172])
    func unmapped(chipset: Int) throws {
        for isWrite in [false, true] {
            let rig = try Rig(chipset)
            let (hole, good) = (Self.data + (64 << 10) + 0x234, Self.data + 0x8000)
            #expect(rig.submitter.exec { $0.copy(isWrite ? good : hole, isWrite ? hole : good, 64) } == 0)
            let fault = try #require(rig.client.device.faults.first)
            let access = try #require(fault.access)
            #expect((fault.channel, fault.error) == (rig.submitter.channel, "MMU"))
            #expect(rig.client.device.classes.copy.contains(fault.engine))
            #expect((fault.method, fault.data) == (0x300, 0x386))
            #expect(fault.push >= Submitter.pushes && fault.push < Submitter.pushes + (1 << 20))
            #expect((access.va, access.kind) == (hole, isWrite ? "WRITE" : "READ"))
            #expect(access.role == (isWrite ? "destination" : "source"))
            #expect(access.type == "PTE" || access.type == "PDE")
            #expect(access.walk.result == .fault(access.type == "PTE" ? .pte : .pde))
            #expect(fault.description.contains("0x20234"))
            #expect(rig.client.bytes(rig.data)[0x8000] == 0)
        }
    }

    @Test("a fault report names the mappings next to the address, and the binds that made them")
    func neighbours() throws {
        let rig = try Rig()
        // Bind 1 is that of the pushes, 2 that of data and flag.
        #expect(rig.client.bind([map(rig.flag, 0x40_0000, 0x1000)]) == 0)
        #expect(rig.client.bind([unmap(0x80_0000, 0x1000)]) == 0)
        #expect(rig.client.bind([map(rig.data, 0x60_0000, 0x4000)]) == 0)
        #expect(rig.submitter.exec { $0.fill(0x50_0000, 1, 0) } == 0)
        let access = try #require(rig.client.device.faults.first?.access)
        #expect(access.va == 0x50_0000)
        #expect(access.below.map { [$0.addr, $0.range, UInt64($0.bind)] } == [0x40_0000, 0x1000, 3])
        #expect(access.above.map { [$0.addr, $0.range, UInt64($0.bind)] } == [0x60_0000, 0x4000, 5])
    }

    @Test("the level a fault reached: no table at all, or a table with nothing in the entry")
    func levels() throws {
        let (far, near) = (try Rig(), try Rig())
        #expect(far.submitter.exec { $0.fill(0x30_0000_0000, 1, 0) } == 0)
        #expect(near.submitter.exec { $0.fill(Self.flag + 0x1000, 1, 0) } == 0)
        let (top, low) = (try #require(far.client.device.faults.first?.access), try #require(near.client.device.faults.first?.access))
        #expect((top.type, low.type) == ("PDE", "PTE"))
        #expect(top.walk.steps.count < low.walk.steps.count)
        #expect(top.below?.addr == Submitter.pushes && top.above == nil)
    }

    @Test("a copy that runs out of its mapping faults at the border; what came before is written")
    func border() throws {
        let rig = try Rig()
        let end = Self.data + (64 << 10)
        #expect(rig.submitter.exec { $0.fill(end - 0x2000, 0x1000, 0x5555_5555) } == 0)
        #expect(rig.client.device.faults.first?.access?.va == end)
        #expect(rig.client.bytes(rig.data)[0xdfff] == 0xff)
    }

    @Test("a push that is not mapped faults as a fetch, by the host", arguments: [0xe4, 0x172])
    func fetch(chipset: Int) throws {
        let rig = try Rig(chipset)
        let push = nvu_exec_push(va: 0x70_0000, va_len: 16, flags: 0)
        #expect(rig.client.exec(rig.submitter.channel, [push]) == 0)
        let fault = try #require(rig.client.device.faults.first)
        #expect((fault.access?.va, fault.access?.role, fault.access?.kind) == (0x70_0000, "fetch", "READ"))
        #expect(fault.push == 0x70_0000 && fault.engine == rig.client.device.classes.host)
    }

    @Test("the low two bits of a push's length are dropped, and address bits from 40 on")
    func pushBits() throws {
        let rig = try Rig()
        var commands = Commands()
        commands.fill(Self.data, 1, 0x1234_5678)
        var push = rig.submitter.push(commands)
        push.va |= 1 << 40
        push.va_len |= 3
        #expect(rig.client.exec(rig.submitter.channel, [push]) == 0)
        #expect(rig.client.device.faults.isEmpty)
        #expect(rig.client.bytes(rig.data).load(as: UInt32.self) == 0x1234_5678)
    }

    @Test("words that are no pushbuffer kill the channel", arguments: [0xc000_0000, 0xdead_beef] as [UInt32])
    func garbage(word: UInt32) throws {
        let rig = try Rig()
        rig.client.bytes(rig.data).storeBytes(of: word, as: UInt32.self)
        #expect(rig.client.exec(rig.submitter.channel, [nvu_exec_push(va: Self.data, va_len: 4, flags: 0)]) == 0)
        let fault = try #require(rig.client.device.faults.first)
        #expect(fault.error == "PBENTRY" && fault.access == nil && rig.channel.isKilled)
    }

    @Test("a read-only page is read, a write to it faults")
    func readOnly() throws {
        let rig = try Rig()
        let uvmm = rig.client.file.uvmm!
        let object = rig.client.file.object(handle: rig.data)!
        var attributes = MapAttributes(target: object.placement.target, objectShift: object.pageShift)
        attributes.ro = true
        uvmm.changeTables {
            try? uvmm.tables.map(
                Self.data, 0x1000, shift: 12, pieces: object.placement.pieces, offset: 0, attributes)
        }
        #expect(rig.submitter.exec { $0.copy(Self.data + 0x10, Self.data + 0x2000, 16) } == 0)
        #expect(rig.client.device.faults.isEmpty && rig.client.bytes(rig.data)[0x2000] == 0x10)
        #expect(rig.submitter.exec { $0.copy(Self.data + 0x2000, Self.data + 0x20, 16) } == 0)
        let access = try #require(rig.client.device.faults.first?.access)
        #expect((access.va, access.kind, access.type) == (Self.data + 0x20, "WRITE", "RO_VIOLATION"))
        #expect(rig.client.bytes(rig.data)[0x20] == 0x20)
    }

    @Test("sparse: reads give zero, writes vanish; a mapping inside is real, and where it goes it is sparse again", arguments: [0x124, 0x132, 0x140, 0x162, 0x172])
    func sparse(chipset: Int) throws {
        let rig = try Rig(chipset)
        let region: UInt64 = 0x40_0000
        #expect(rig.client.bind([mapSparse(region, 0x40_0000), map(rig.flag, region + 0x1_0000, 0x1000)]) == 0)
        #expect(
            rig.submitter.exec {
                $0.fill(region + 0x8000, 0x4000, 0x7777_7777)
                $0.copy(region + 0xfff8, Self.data, 16)
                $0.copy(region + 0x20_0000, Self.data + 0x100, 256)
                $0.release(region + 0x30_0000, 9)
            } == 0)
        let bytes = rig.client.bytes(rig.data)
        #expect(bytes[0..<16].elementsEqual([UInt8](repeating: 0, count: 8) + [UInt8](repeating: 0x77, count: 8)))
        #expect(bytes[0x100..<0x200].allSatisfy { $0 == 0 } && bytes[0x10] == 0x10)
        #expect(rig.client.bytes(rig.flag).allSatisfy { $0 == 0x77 })
        #expect(rig.client.bind([unmap(region + 0x1_0000, 0x1000)]) == 0)
        #expect(rig.submitter.exec { $0.copy(region + 0x1_0000, Self.data + 0x1000, 16) } == 0)
        #expect(bytes[0x1000..<0x1010].allSatisfy { $0 == 0 })
        #expect(rig.client.bytes(rig.flag).allSatisfy { $0 == 0x77 } && rig.client.device.faults.isEmpty)
    }

    @Test("a new buffer reads as zero, whoever had the memory before", arguments: [vram, gart])
    func zero(domain: UInt32) throws {
        let submitter = try Submitter(Client(vram: 32 << 20, gart: 24 << 20))
        let client = submitter.client
        let target = try client.buffer(gart, 0x1000)
        try #require(client.bind([map(target, Self.flag, 0x1000)]) == 0)
        for _ in 0..<3 {
            let handle = try client.buffer(domain, 15 << 20)
            try #require(client.bind([map(handle, 0x400_0000, 15 << 20)]) == 0)
            #expect(
                submitter.exec {
                    $0.copy(0x400_0000 + (14 << 20), Self.flag, 16)
                    $0.fill(0x400_0000, 15 << 18, ~0)
                    $0.copy(0x400_0000 + (14 << 20), Self.flag + 16, 16)
                } == 0)
            let bytes = client.bytes(target)
            #expect(bytes[0..<16].allSatisfy { $0 == 0 } && bytes[16..<32].allSatisfy { $0 == 0xff })
            try #require(client.gemClose(handle) == 0 && client.bind([unmap(0x400_0000, 15 << 20)]) == 0)
        }
        #expect(client.device.faults.isEmpty)
    }

    // MARK: - Deaths

    @Test("a fault kills its channel alone: others, VM_BIND and new channels go on; nothing after the fault is done")
    func othersLive() throws {
        let rig = try Rig()
        let other = try Submitter(rig.client)
        let done = (0..<2).map { _ in rig.client.syncobj() }
        #expect(
            rig.submitter.exec(signals: [binary(done[0])]) {
                $0.fill(0x70_0000, 1, 1)
                $0.fill(Self.data, 1, 1)
            } == 0)
        #expect(rig.client.status(done[0]) == .failed(.ENODEV) && rig.channel.isKilled)
        #expect(rig.submitter.exec { _ in } == -.ENODEV)
        #expect(rig.client.bytes(rig.data)[1] == 1 && rig.client.bytes(rig.data)[0] == 0)
        #expect(rig.client.bind([map(rig.data, 0x70_0000, 0x1000)]) == 0)
        #expect(other.exec(signals: [binary(done[1])]) { $0.fill(0x70_0000, 1, 3) } == 0)
        #expect(rig.client.status(done[1]) == .done && rig.client.bytes(rig.data)[0] == 3)
        #expect(rig.client.call(NVU_CHANNEL_FREE, nvu_channel_free(channel: rig.submitter.channel)) == 0)
        let new = try Submitter(rig.client)
        #expect(new.exec { $0.fill(0x70_0000, 1, 4) } == 0)
        #expect(rig.client.bytes(rig.data)[0] == 4 && rig.client.device.faults.count == 1)
    }

    /// An EXEC that is done, one that waits for the flag, one behind it, one that waits for a fence.
    private func crowd(_ rig: Rig, last: (inout Commands) -> Void = { _ in }) -> (done: [UInt32], fence: Fence) {
        let done = (0..<4).map { _ in rig.client.syncobj() }
        let (wait, fence) = rig.client.pendingSyncobj()
        #expect(rig.submitter.exec(signals: [binary(done[0])]) { _ in } == 0)
        #expect(
            rig.submitter.exec(signals: [binary(done[1])]) {
                $0.acquire(Self.flag, 1)
                last(&$0)
            } == 0)
        #expect(rig.submitter.exec(signals: [binary(done[2])]) { _ in } == 0)
        #expect(rig.submitter.exec(waits: [binary(wait)], signals: [binary(done[3])]) { _ in } == 0)
        #expect(done.map { rig.client.status($0) } == [.done, .pending, .pending, .pending])
        return (done, fence)
    }

    @Test("killed by the hardware: what is on it fails with ENODEV at once, what is queued when its turn comes")
    func hardwareKill() throws {
        let rig = try Rig()
        let (done, fence) = crowd(rig) { $0.fill(0x70_0000, 1, 1) }
        rig.raiseFlag()
        rig.pass(10_000_000)
        #expect(done.map { rig.client.status($0) } == [.done, .failed(.ENODEV), .failed(.ENODEV), .pending])
        #expect(rig.submitter.exec { _ in } == -.ENODEV)
        fence.signal()
        rig.client.device.runUntilIdle()
        #expect(rig.client.status(done[3]) == .failed(.ENODEV))
        #expect(rig.client.device.faults.count == 1)
    }

    @Test("a hang of 10 s: what is on it fails with ECANCELED, what is queued with ENODEV; no fault is reported")
    func timeout() throws {
        let rig = try Rig()
        let (done, fence) = crowd(rig)
        rig.pass(10 * Self.second - 1_000_000)
        #expect(rig.client.status(done[1]) == .pending && !rig.channel.isKilled)
        rig.pass(2_000_000)
        #expect(done.map { rig.client.status($0) } == [.done, .failed(.ECANCELED), .failed(.ECANCELED), .pending])
        #expect(rig.channel.isKilled && rig.submitter.exec { _ in } == -.ENODEV)
        fence.signal()
        rig.client.device.runUntilIdle()
        #expect(rig.client.status(done[3]) == .failed(.ENODEV) && rig.client.device.faults.isEmpty)
        // The flag comes too late for anybody.
        rig.raiseFlag()
        rig.pass(Self.second)
        #expect(rig.client.call(NVU_CHANNEL_FREE, nvu_channel_free(channel: rig.submitter.channel)) == 0)
    }

    @Test("CHANNEL_FREE: what is queued fails with ESRCH, what is on it comes to its end")
    func freed() throws {
        let rig = try Rig()
        let (done, fence) = crowd(rig) { $0.fill(Self.data, 1, 6) }
        fence.signal()
        // Out of credits, so that it stays queued.
        var nop = Commands()
        nop.copyEngine(0x100, 0)
        let many = Array(repeating: rig.submitter.push(nop), count: 510)
        let queued = (0..<3).map { _ in rig.client.syncobj() }
        for handle in queued { #expect(rig.client.exec(rig.submitter.channel, many, signals: [binary(handle)]) == 0) }
        let result = Shared<Int32?>(nil)
        let actor = rig.client.device.gate.spawn("client") { [client = rig.client.leavingWork] in
            result.value = client.call(NVU_CHANNEL_FREE, nvu_channel_free(channel: rig.submitter.channel))
        }
        rig.client.device.runUntilIdle()
        #expect(result.value == nil && rig.client.status(done[1]) == .pending)
        rig.raiseFlag()
        rig.client.device.gate.join(actor)
        #expect(result.value == 0 && done.map { rig.client.status($0) } == [.done, .done, .done, .done])
        #expect(queued.map { rig.client.status($0) }.last == .failed(.ESRCH))
        #expect(rig.client.bytes(rig.data)[0] == 6 && rig.client.device.faults.isEmpty)
    }

    @Test("CHANNEL_FREE of a channel that hangs waits for its timeout")
    func freedHanging() throws {
        let rig = try Rig()
        let done = rig.client.syncobj()
        #expect(rig.submitter.exec(signals: [binary(done)]) { $0.acquire(Self.flag, 1) } == 0)
        let start = rig.client.device.gate.now
        #expect(rig.client.call(NVU_CHANNEL_FREE, nvu_channel_free(channel: rig.submitter.channel)) == 0)
        #expect(rig.client.status(done) == .failed(.ECANCELED))
        #expect(rig.client.device.gate.now - start < 16 * Self.second)
    }

    @Test("the error check of a driver: an empty EXEC tells a dead channel from a live one")
    func errorCheck() throws {
        let rig = try Rig()
        #expect(rig.client.exec(rig.submitter.channel) == 0)
        rig.submitter.exec { $0.fill(0x70_0000, 1, 1) }
        #expect(rig.client.exec(rig.submitter.channel) == -.ENODEV)
        #expect(rig.client.exec(99) == -.ENOENT)
        // Before its counts and arrays are looked at.
        var exec = nvu_exec()
        exec.channel = UInt32(rig.submitter.channel)
        exec.push_count = 600
        #expect(rig.client.call(NVU_EXEC, exec) == -.ENODEV)
    }

    // MARK: - Semaphores

    @Test("an acquire blocks its channel alone, until another channel releases")
    func acquireChannel() throws {
        let rig = try Rig()
        let other = try Submitter(rig.client)
        let done = (0..<2).map { _ in rig.client.syncobj() }
        #expect(
            rig.submitter.exec(signals: [binary(done[0])]) {
                $0.acquire(Self.flag, 4)
                $0.copy(Self.data, Self.data + 0x1000, 4)
            } == 0)
        #expect(other.exec(signals: [binary(done[1])]) { $0.fill(Self.data, 1, 0xabcd_abcd) } == 0)
        #expect(done.map { rig.client.status($0) } == [.pending, .done])
        let now = rig.client.device.gate.now
        #expect(other.exec { $0.release(Self.flag, 4) } == 0)
        #expect(rig.client.status(done[0]) == .done && rig.client.device.gate.now == now)
        #expect(rig.client.bytes(rig.data).load(fromByteOffset: 0x1000, as: UInt32.self) == 0xabcd_abcd)
    }

    @Test("an acquire goes on after the CPU has written, with some delay")
    func acquireCPU() throws {
        let rig = try Rig()
        let done = rig.client.syncobj()
        #expect(rig.submitter.exec(signals: [binary(done)]) { $0.acquire(Self.flag, 4) } == 0)
        rig.raiseFlag(3)
        rig.pass(Self.second)
        #expect(rig.client.status(done) == .pending)
        rig.raiseFlag(4)
        rig.pass(10_000_000)
        #expect(rig.client.status(done) == .done)
    }

    @Test("two channels that wait for each other in turn")
    func pingPong() throws {
        let rig = try Rig()
        let other = try Submitter(rig.client)
        let words = rig.client.bytes(rig.data).bindMemory(to: UInt32.self)
        words[0] = 0
        for i in UInt32(0)..<20 {
            let (mine, theirs) = i % 2 == 0 ? (rig.submitter, other) : (other, rig.submitter)
            #expect(
                theirs.exec {
                    $0.acquire(Self.flag, 2 * i + 1)
                    $0.copy(Self.data + UInt64(i) * 4, Self.data + UInt64(i) * 4 + 4, 4)
                    $0.release(Self.flag, 2 * i + 2)
                } == 0)
            #expect(
                mine.exec {
                    if i > 0 { $0.acquire(Self.flag, 2 * i) } else { $0.fill(Self.data, 1, 0x5a5a_0001) }
                    $0.release(Self.flag, 2 * i + 1)
                } == 0)
        }
        #expect(words[20] == 0x5a5a_0001 && rig.client.bytes(rig.flag).load(as: UInt32.self) == 40)
        #expect(rig.client.device.faults.isEmpty)
    }

    @Test("an acquire of an address that is unmapped meanwhile faults")
    func acquireUnmapped() throws {
        let rig = try Rig()
        let done = rig.client.syncobj()
        #expect(rig.submitter.exec(signals: [binary(done)]) { $0.acquire(Self.flag, 4) } == 0)
        #expect(rig.client.bind([unmap(Self.flag, 0x1000)]) == 0)
        rig.pass(10_000_000)
        #expect(rig.client.status(done) == .failed(.ENODEV))
        let access = try #require(rig.client.device.faults.first?.access)
        #expect((access.va, access.role) == (Self.flag, "semaphore"))
    }
}
