import CNouveauUAPI
import DRMLock
import DRMSync
import GPUVM
import GateSupport
import KernelErrno
import NVMMU
import NouveauUAPI
import Testing

@testable import NouveauDevice

private let mib: UInt64 = 1 << 20

/// What eviction must never break: frames, mappings, bytes.
extension Client {
    func object(_ handle: UInt32) -> BufferObject { file.object(handle: handle)! }

    func location(_ handle: UInt32) -> Placement.Location { object(handle).location }

    func parameter(_ name: nvu_param) -> UInt64 {
        var param = nvu_getparam(param: UInt64(name.rawValue), value: 0)
        precondition(call(NVU_GETPARAM, &param) == 0)
        return param.value
    }

    /// Writes a number that tells page and buffer into each page, from the CPU.
    func mark(_ handle: UInt32, _ tag: UInt64) {
        let bytes = bytes(handle)
        for i in stride(from: 0, to: bytes.count, by: 4096) {
            bytes.storeBytes(of: tag << 32 | UInt64(i), toByteOffset: i, as: UInt64.self)
        }
    }

    func isMarked(_ handle: UInt32, _ tag: UInt64) -> Bool {
        let bytes = bytes(handle)
        return stride(from: 0, to: bytes.count, by: 4096).allSatisfy {
            bytes.load(fromByteOffset: $0, as: UInt64.self) == tag << 32 | UInt64($0)
        }
    }

    /// The first page of a mapping that does not show the object's memory, or shows any while the object is away.
    func wrongPage(step: UInt64 = 4096) -> String? {
        let uvmm = file.uvmm!
        var wrong = uvmm.broken()
        uvmm.vm.space.forEach { (mapping: Mapping) in
            guard mapping.id != .kernel, wrong == nil else { return }
            let object = uvmm.object(behind: mapping), state = uvmm.state(of: mapping.id)
            for va in stride(from: mapping.addr, to: mapping.end, by: UInt64.Stride(step)) {
                let expected = object.isResident ? object.frame(at: mapping.offset + va - mapping.addr) : nil
                switch uvmm.at(va) {
                case .page(let pa, let pte):
                    let isRight =
                        pa == expected && pte.aperture == object.placement.target && pte.kind == state.kind
                        && pte.vol == (pte.aperture != .vram)
                    if !isRight { wrong = "\(va): \(pa) \(pte), not \(expected ?? 0)" }
                case .sparse: if expected != nil || !state.inRegion { wrong = "\(va): sparse" }
                case .fault: if expected != nil || state.inRegion { wrong = "\(va): not mapped" }
                }
            }
        }
        return wrong
    }
}

extension BufferObject {
    /// The address of its byte at `offset`.
    func frame(at offset: UInt64) -> UInt64? {
        var inside = offset
        for piece in placement.pieces {
            if inside < piece.size { return piece.addr + inside }
            inside -= piece.size
        }
        return nil
    }
}

/// Clients of a device with 16 MiB of VRAM for buffers.
private struct Rig {
    let owner: Submitter
    /// Has a space, and takes VRAM from others.
    let other: Client
    var client: Client { owner.client }

    init(gart: UInt64 = 64 * mib, gate: Gate? = nil) throws {
        owner = try Submitter(Client(vram: 32 * mib, gart: gart, gate: gate))
        other = Client(owner.client.device)
        try #require(other.vmInit() == 0)
    }

    /// Has everything else go from VRAM.
    func fillVRAM() throws -> UInt32 { try other.buffer(vram, 16 * mib) }
}

@Suite("Eviction") struct EvictionTests {
    private static let base: UInt64 = 0x4000_0000
    private static let inPieces: UInt32 = 8

    // MARK: - Away and back

    @Test(
        "pages of all sizes, private and shared, sparse below or not: away they have no entries; an EXEC brings them back as they were",
        arguments: [(0x124, UInt32(0xfe)), (0x132, 0xfe), (0x172, 6)], [vram, vram | noShare])
    func awayAndBack(chip: (chipset: Int, kind: UInt32), domain: UInt32) throws {
        let (chipset, kind) = chip
        let client = try Client(chipset, vram: 32 * mib)
        let owner = try Submitter(client)
        let other = Client(client.device)
        let sizes: [UInt64] = [2 * mib, 4 * mib, 192 << 10, 12 << 10]
        let handles = try sizes.map { try client.buffer(domain, $0) }
        if chipset != 0x124 { #expect(client.bind([mapSparse(Self.base, 64 * mib)]) == 0) }
        for (i, handle) in handles.enumerated() {
            client.mark(handle, UInt64(i))
            let va = Self.base + UInt64(i) * 8 * mib
            let size = client.object(handle).size
            // Whole, and a piece of it that only suits pages of 4 KiB.
            let ops = [map(handle, va, size, kind: kind), map(handle, va + 6 * mib + 4096, 8192, offset: 4096)]
            try #require(client.bind(ops) == 0)
        }
        let mapping = try client.file.mmap(offset: client.object(handles[1]).mapHandle, length: 4 * mib)
        let wrongBefore = client.wrongPage()
        #expect(wrongBefore == nil)
        let filler = try other.buffer(vram, client.device.memory.vram.size & ~(2 * mib - 1))
        #expect(handles.allSatisfy { client.location($0) == .gart })
        let wrongAway = client.wrongPage()
        #expect(wrongAway == nil)
        #expect(handles.enumerated().allSatisfy { client.isMarked($1, UInt64($0)) })
        mapping.bytes[5000] = 0x5a
        #expect(client.bytes(handles[1])[5000] == 0x5a)
        #expect(other.gemClose(filler) == 0)

        #expect(owner.exec { $0.copy(Self.base + 8 * mib + 4096, Self.base + 16 * mib, 4096) } == 0)
        #expect(handles.allSatisfy { client.location($0) == .vram })
        let wrongBack = client.wrongPage()
        #expect(wrongBack == nil && client.device.faults.isEmpty)
        #expect(client.bytes(handles[2]).prefix(4096).elementsEqual(client.bytes(handles[1])[4096..<8192]))
        #expect(mapping.bytes[5000] == 0x5a && client.bytes(handles[2])[904] == 0x5a)
        #expect(client.file.uvmm!.vm.hasEvicted == false)
    }

    @Test("what may lie in GART is mapped there at once, and copies land in both places")
    func bothDomains() throws {
        let rig = try Rig()
        let client = rig.client
        let handle = try client.buffer(vram | gart, mib)
        client.mark(handle, 7)
        #expect(client.bind([map(handle, Self.base, mib)]) == 0 && client.location(handle) == .vram)
        #expect(rig.owner.exec { $0.copy(Self.base, Self.base + 8192, 4096) } == 0)
        _ = try rig.fillVRAM()
        #expect(client.location(handle) == .gart)
        let wrong = client.wrongPage()
        #expect(wrong == nil)
        #expect(client.file.uvmm!.vm.evictedObjects.map(\.object.reservation.isLocked) == [false])
        #expect(rig.owner.exec { $0.copy(Self.base + 8192, Self.base + 16384, 4096) } == 0)
        #expect(client.location(handle) == .gart && client.file.uvmm!.vm.evictedObjects.isEmpty)
        let words = client.bytes(handle).bindMemory(to: UInt64.self)
        #expect(words[1024] == 7 << 32 && words[2048] == 7 << 32)
        #expect(client.device.faults.isEmpty)
    }

    @Test("GART too makes room: to system memory, and back with an EXEC")
    func systemMemory() throws {
        let rig = try Rig(gart: 8 * mib)
        let client = rig.client
        let (inGART, inVRAM) = (try client.buffer(gart, 2 * mib), try client.buffer(vram, 4 * mib))
        for (i, handle) in [inGART, inVRAM].enumerated() { client.mark(handle, UInt64(i)) }
        #expect(client.bind([map(inGART, Self.base, 2 * mib), map(inVRAM, Self.base + 4 * mib, 4 * mib)]) == 0)
        let fillers = [try rig.other.buffer(gart, 6 * mib), try rig.fillVRAM()]
        #expect(client.location(inGART) == .system && client.location(inVRAM) == .system)
        let wrong = client.wrongPage()
        #expect(wrong == nil)
        #expect(client.isMarked(inGART, 0) && client.isMarked(inVRAM, 1))
        // Others go now, also from where they had driven these away.
        #expect(rig.owner.exec { $0.copy(Self.base + 4096, Self.base + 4 * mib + 4096, 4096) } == 0)
        #expect(client.location(inGART) == .gart && client.location(inVRAM) == .vram)
        #expect(fillers.map { rig.other.location($0) } == [.system, .system])
        #expect(client.bytes(inVRAM).load(fromByteOffset: 4096, as: UInt64.self) == 4096)
        let wrongBack = client.wrongPage()
        #expect(wrongBack == nil && client.device.faults.isEmpty)
    }

    @Test("a buffer mapped in two spaces loses its entries in both, and the EXEC of one brings it back for both")
    func shared() throws {
        let rig = try Rig()
        let (client, second) = (rig.client, rig.other)
        let handle = try client.buffer(vram, 2 * mib)
        var prime = nvu_prime_handle(handle: handle, flags: 0, fd: -1)
        #expect(client.call(NVU_PRIME_HANDLE_TO_FD, &prime) == 0 && second.call(NVU_PRIME_FD_TO_HANDLE, &prime) == 0)
        #expect(client.bind([map(handle, Self.base, 2 * mib), map(handle, Self.base + 4 * mib, mib, offset: mib)]) == 0)
        #expect(second.bind([map(prime.handle, 0, 2 * mib)]) == 0)
        let third = Client(client.device)
        let filler = try third.buffer(vram, 16 * mib)
        #expect(client.location(handle) == .gart)
        #expect(client.file.uvmm!.vm.hasEvicted && second.file.uvmm!.vm.hasEvicted)
        for client in [client, second] {
            let wrong = client.wrongPage()
            #expect(wrong == nil)
        }
        #expect(third.gemClose(filler) == 0)
        #expect(client.exec(rig.owner.channel) == 0)
        #expect(!client.file.uvmm!.vm.hasEvicted && !second.file.uvmm!.vm.hasEvicted)
        for client in [client, second] {
            let wrong = client.wrongPage()
            #expect(wrong == nil)
        }
        client.device.closeDescriptor(prime.fd)
    }

    @Test("what is unmapped, cut or replaced while it is away stays so when it is back")
    func changedWhileAway() throws {
        let rig = try Rig()
        let client = rig.client
        let (large, small) = (try client.buffer(vram, 8 * mib), try client.buffer(gart, mib))
        #expect(client.bind([map(large, Self.base, 8 * mib), map(large, Self.base + 16 * mib, 8 * mib)]) == 0)
        let filler = try rig.fillVRAM()
        #expect(client.location(large) == .gart)
        // A hole in a large page; another object over two of them; the whole second mapping.
        let ops = [
            unmap(Self.base + 5 * 4096, 4096), map(small, Self.base + 3 * mib + 4096, mib - 4096),
            unmap(Self.base + 16 * mib, 8 * mib),
        ]
        #expect(client.bind(ops) == 0)
        let wrong = client.wrongPage()
        #expect(wrong == nil && client.location(large) == .gart)
        #expect(rig.other.gemClose(filler) == 0)
        #expect(client.exec(rig.owner.channel) == 0)
        let wrongBack = client.wrongPage()
        #expect(wrongBack == nil && client.location(large) == .vram)
        let offsets: [UInt64] = [0, 5 * 4096, 4 * mib, 16 * mib]
        let isMapped = offsets.map { client.file.uvmm!.tables.walk(Self.base + $0).isPage }
        #expect(isMapped == [true, false, true, false])
        #expect(client.bind([unmap(Self.base, 8 * mib)]) == 0)
    }

    @Test("a VM_BIND that maps it brings it back")
    func bind() throws {
        let rig = try Rig()
        let handle = try rig.client.buffer(vram, 2 * mib)
        let filler = try rig.fillVRAM()
        #expect(rig.client.location(handle) == .gart)
        #expect(rig.client.bind([map(handle, Self.base, 2 * mib)]) == 0)
        #expect(rig.client.location(handle) == .vram && rig.other.location(filler) == .gart)
        let (wrong, walk) = (rig.client.wrongPage(), rig.client.file.uvmm!.tables.walk(Self.base))
        #expect(wrong == nil && walk.shift == 21)
    }

    // MARK: - Who goes

    @Test("the least recently used goes first; EXEC and VM_BIND are uses, of private buffers together")
    func order() throws {
        let rig = try Rig()
        let client = rig.client
        let own = try (0..<2).map { _ in try client.buffer(vram | noShare, 2 * mib) }
        let handles = try (0..<6).map { _ in try client.buffer(vram, 2 * mib) }
        func victims(_ count: Int) -> [UInt64] {
            let needs = PlacementNeeds(size: 2 * mib, domain: [.vram])
            return client.device.memory.evictionCandidates(for: needs).prefix(count).map(\.id)
        }
        func ids(_ handles: [UInt32]) -> [UInt64] { handles.map { client.object($0).id } }
        #expect(victims(8) == ids(own + handles))
        #expect(client.bind([map(handles[1], Self.base, 4096)]) == 0)
        #expect(victims(8) == ids(own + [handles[0]] + handles[2...] + [handles[1]]))
        #expect(client.exec(rig.owner.channel) == 0)
        #expect(victims(8) == ids([handles[0]] + handles[2...] + own + [handles[1]]))
        _ = try rig.other.buffer(vram, 3 * mib, tileFlags: Self.inPieces)
        #expect(handles.map { client.location($0) } == [.gart, .vram, .gart, .vram, .vram, .vram])
    }

    @Test("new memory goes to GART rather than take VRAM from others, if it may")
    func fallsBack() throws {
        let rig = try Rig()
        let filler = try rig.fillVRAM()
        let handle = try rig.client.buffer(vram | gart, mib)
        #expect(rig.client.location(handle) == .gart && rig.other.location(filler) == .vram)
    }

    @Test("a channel's own memory stays, and is missing from what can be had, until the channel is freed")
    func pinned() throws {
        let client = try Client(vram: 32 * mib, gart: 8 * mib)
        #expect(client.parameter(NVU_PARAM_FB_SIZE) == 16 * mib && client.parameter(NVU_PARAM_AGP_SIZE) == 8 * mib)
        let alloc = client.channelAlloc().alloc
        #expect(client.parameter(NVU_PARAM_AGP_SIZE) == 8 * mib - 4096)
        #expect(client.gemNew(gart, 8 * mib).result == -.ENOMEM)
        #expect(client.location(alloc.notifier_handle) == .gart)
        #expect(client.call(NVU_CHANNEL_FREE, nvu_channel_free(channel: alloc.channel)) == 0)
        #expect(client.parameter(NVU_PARAM_AGP_SIZE) == 8 * mib)
        #expect(client.gemNew(gart, 8 * mib).result == 0)
        #expect(client.location(alloc.notifier_handle) == .system)
    }

    @Test("VRAM_USED follows")
    func used() throws {
        let rig = try Rig()
        let start = rig.client.parameter(NVU_PARAM_VRAM_USED)
        let handle = try rig.client.buffer(vram | gart, mib)
        #expect(rig.client.parameter(NVU_PARAM_VRAM_USED) == start + mib)
        let filler = try rig.fillVRAM()
        #expect(rig.client.parameter(NVU_PARAM_VRAM_USED) == start + 16 * mib)
        #expect(rig.other.gemClose(filler) == 0 && rig.client.location(handle) == .gart)
        #expect(rig.client.parameter(NVU_PARAM_VRAM_USED) == start)
    }

    // MARK: - None left

    @Test("more private memory than VRAM: GEM_NEW takes it, VM_BIND and EXEC say ENOMEM and change nothing")
    func tooMuch() throws {
        let rig = try Rig()
        let client = rig.client
        let handles = try (0..<3).map { _ in try client.buffer(vram | noShare, 8 * mib) }
        #expect(handles.map { client.location($0) } == [.gart, .vram, .vram])
        let before = Snapshot(client)
        #expect(client.bind([map(handles[1], Self.base, mib), map(handles[0], Self.base + mib, mib)]) == -.ENOMEM)
        let after = Snapshot(client)
        #expect(before == after)
        #expect(client.bind([map(handles[1], Self.base, mib), map(handles[2], Self.base + mib, mib)]) == 0)
        // What is mapped already goes too, and then not all can be there at once.
        let other = try rig.other.buffer(vram, 8 * mib)
        let mapped = Snapshot(client)
        #expect(rig.other.bind([map(other, 0, mib)]) == 0)
        #expect(client.location(handles[1]) == .gart)
        let blocker = try BufferObject(
            GEMNew(domain: .vram, size: 2 * mib), device: client.device, isPinned: true)
        #expect(client.exec(rig.owner.channel) == -.ENOMEM)
        let still = Snapshot(client)
        #expect(still.mappings == mapped.mappings && still.counters == mapped.counters)
        #expect(client.file.binds.exec.objects.isEmpty)
        let isLocked = client.file.uvmm!.vm.reservation.isLocked
        #expect(!isLocked)
        withExtendedLifetime(blocker) {}
    }

    @Test("ENOMEM where all that is in the way is pinned, or it would never fit")
    func neverFits() throws {
        let rig = try Rig()
        let handle = try rig.client.buffer(vram, 2 * mib)
        #expect(rig.client.gemNew(vram, 18 * mib).result == -.ENOMEM)
        #expect(rig.client.location(handle) == .vram, "nobody went for nothing")
        let blocker = try BufferObject(GEMNew(domain: .vram, size: 2 * mib), device: rig.client.device, isPinned: true)
        let inUse = rig.client.device.memory.storeUsed
        #expect(rig.client.gemNew(vram, 16 * mib).result == -.ENOMEM)
        #expect(rig.client.device.memory.storeUsed == inUse)
        #expect(rig.client.gemNew(vram, 14 * mib).result == -.ENOMEM, "not of one stretch")
        #expect(rig.client.gemNew(vram, 14 * mib, tileFlags: Self.inPieces).result == 0)
        withExtendedLifetime(blocker) {}
    }

    @Test("no part of VRAM or GART given at the n-th time, or from then on: an EXEC brings all back or says ENOMEM, and nothing is torn", arguments: [true, false])
    func failures(once: Bool) throws {
        var outcomes: Set<Int32> = []
        for n in 1..<30 {
            // Goes down to the one that fails.
            let left = Shared(Int.max)
            var options = DeviceOptions()
            (options.vram, options.gart) = (32 * mib, 64 * mib)
            options.host.maySpare = {
                let left = left.change { left in
                    left -= 1
                    return left
                }
                return once ? left != 0 : left > 0
            }
            let owner = try Submitter(Client(Device(chipset: 0x172, options: options)))
            let (client, other) = (owner.client, Client(owner.client.device))
            let handles = try (0..<4).map { _ in try client.buffer(vram, 2 * mib) }
            for (i, handle) in handles.enumerated() {
                client.mark(handle, UInt64(i))
                try #require(client.bind([map(handle, Self.base + UInt64(i) * 4 * mib, 2 * mib)]) == 0)
            }
            let fillers = try (0..<8).map { _ in try other.buffer(vram, 2 * mib) }
            try #require(handles.allSatisfy { client.location($0) == .gart })
            left.value = n
            let result = client.exec(owner.channel)
            outcomes.insert(result)
            #expect(result == 0 || result == -.ENOMEM)
            #expect(client.file.uvmm!.vm.reservation.isLocked == false)
            left.value = Int.max
            let wrong = client.wrongPage()
            #expect(wrong == nil && handles.enumerated().allSatisfy { client.isMarked($1, UInt64($0)) }, "\(n)")
            #expect(client.exec(owner.channel) == 0 && handles.allSatisfy { client.location($0) == .vram })
            let away = fillers.count { other.location($0) != .vram }
            #expect(away >= 4)
        }
        #expect(outcomes == (once ? [0] : [0, -.ENOMEM]))
    }

    @Test("a push from before the buffer was mapped does not keep it: it faults, and never sees what came after")
    func unprotected() throws {
        let rig = try Rig()
        let client = rig.client
        let (flag, late, target) = (try client.buffer(gart, 4096), try client.buffer(vram, 2 * mib), try client.buffer(gart, 4096))
        #expect(client.bind([map(flag, Self.base, 4096), map(target, Self.base + 4096, 4096)]) == 0)
        let fast = client.leavingWork
        var commands = Commands()
        commands.acquire(Self.base, 1)
        commands.copy(Self.base + 4 * mib, Self.base + 4096, 4096)
        #expect(fast.exec(rig.owner.channel, [rig.owner.push(commands)]) == 0)
        (client.device.gate as! SteppedGate).runUntilIdle()
        #expect(client.bind([map(late, Self.base + 4 * mib, 2 * mib)]) == 0)
        let filler = try rig.fillVRAM()
        rig.other.mark(filler, 99)
        #expect(client.location(late) == .gart)
        client.bytes(flag).storeBytes(of: 1, as: UInt32.self)
        client.device.gate.sleep(for: 100_000_000)
        #expect(client.device.faults.map(\.access?.va) == [Self.base + 4 * mib])
        #expect(client.bytes(target).allSatisfy { $0 == 0 })
    }

    // MARK: - Waiting

    @Test("what is in use goes when its jobs are done", arguments: Driver.allCases)
    func busy(driver: Driver) throws {
        try driver.run(seeds: 20, times: 5) { gate, seed in
            do {
                let rig = try Rig(gate: gate)
                let client = rig.client.leavingWork
                let handle = try client.buffer(vram, 2 * mib)
                try #require(client.bind([map(handle, Self.base, 2 * mib)]) == 0)
                let (syncobj, fence) = client.pendingSyncobj()
                try #require(rig.owner.exec(waits: [binary(syncobj)]) { $0.fill(Self.base, 1024, 0x77) } == 0)
                let done = Shared(false)
                let actor = gate.spawn("other") {
                    let result = rig.other.gemNew(vram, 16 * mib).result
                    done.value = result == 0
                }
                gate.sleep(for: 1_000_000)
                #expect(!done.value && client.location(handle) == .vram, "seed \(seed)")
                fence.signal()
                gate.join(actor)
                #expect(done.value && client.location(handle) == .gart, "seed \(seed)")
                #expect(client.bytes(handle).load(fromByteOffset: 4092, as: UInt32.self) == 0x77)
                for file in [client.file, rig.other.file] { file.close() }
            }
        }
    }

    @Test("an EXEC that a signal takes from its wait answers ERESTARTSYS, with nothing locked or changed")
    func interrupted() throws {
        let rig = try Rig()
        let gate = rig.client.device.gate as! SteppedGate
        let second = try Submitter(rig.other)
        let (mine, theirs) = (try rig.client.buffer(vram, 8 * mib), try rig.other.buffer(vram, 16 * mib))
        #expect(rig.client.location(mine) == .gart)
        #expect(rig.other.bind([map(theirs, Self.base, mib)]) == 0)
        // Mapped while it is back, away again, and what took its place is in use.
        #expect(rig.client.bind([map(mine, Self.base, mib)]) == 0 && rig.client.location(mine) == .vram)
        #expect(rig.other.exec(second.channel) == 0 && rig.client.location(mine) == .gart)
        let (syncobj, fence) = rig.other.pendingSyncobj()
        #expect(rig.other.exec(second.channel, waits: [binary(syncobj)]) == 0)
        let result = Shared<Int32>(1)
        let actor = gate.spawn("client") { result.value = rig.client.exec(rig.owner.channel) }
        gate.runUntilIdle()
        #expect(result.value == 1)
        actor.interrupt()
        gate.join(actor)
        #expect(result.value == -.ERESTARTSYS && rig.client.location(mine) == .gart)
        #expect(!rig.client.object(mine).reservation.isLocked && !rig.other.object(theirs).reservation.isLocked)
        fence.signal()
        gate.runUntilIdle()
        #expect(rig.client.exec(rig.owner.channel) == 0 && rig.client.location(mine) == .vram)
    }

    @Test("locks of others that are in the way are waited for, not given up on", arguments: [true, false])
    func contended(isSpace: Bool) throws {
        let rig = try Rig()
        let gate = rig.client.device.gate as! SteppedGate
        let handle = try rig.client.buffer(vram, 16 * mib)
        #expect(rig.client.bind([map(handle, Self.base, mib)]) == 0)
        let (object, uvmm) = (rig.client.object(handle), rig.client.file.uvmm!)
        if isSpace { uvmm.mutex.lock() } else { try object.reservation.lock.lock(nil) }
        let result = Shared<Int32>(1)
        let actor = gate.spawn("other") { result.value = rig.other.gemNew(vram, mib).result }
        gate.runUntilIdle()
        #expect(result.value == 1 && rig.client.location(handle) == .vram)
        if isSpace { uvmm.mutex.unlock() } else { object.reservation.unlock() }
        gate.join(actor)
        #expect(result.value == 0 && rig.client.location(handle) == .gart)
    }
}

extension Walk {
    fileprivate var isPage: Bool {
        if case .page = result { true } else { false }
    }
}
