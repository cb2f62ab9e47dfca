import CNouveauUAPI
import DRMSync
import IoctlFuzz
import KernelErrno
import Testing

@testable import NouveauDevice

/// What a failed call must leave as it was, handles, fences and channels included.
private struct State: Equatable {
    let space: Snapshot
    let objects: [UInt64?]
    let fences, reserved: [[ObjectIdentifier]]
    let channels: [Int32]
    let nextChannel: Int32
    let pendingJobs: Int

    init(_ client: Client) {
        let (file, handles) = (client.file, 1..<UInt32(32))
        space = Snapshot(client)
        objects = handles.map { file.objects[$0]?.id }
        fences = handles.map { [file.syncobjs[$0]?.fence].compactMap { $0.map(ObjectIdentifier.init) } }
        reserved = handles.map {
            (file.objects[$0]?.reservation.fences(.bookkeep) ?? []).filter { !$0.isSignaled }.map(ObjectIdentifier.init)
        }
        channels = file.channels.map(\.id)
        nextChannel = client.device.channelNumbers.take()!
        client.device.channelNumbers.give(nextChannel)
        pendingJobs = file.jobQueues.reduce(0) { $0 + $1.pending.count }
    }
}

/// One call on a client made for it, which succeeds where nothing fails.
enum InjectedCall: String, CaseIterable, CustomTestStringConvertible {
    case bind, exec, gemNew, gemNewPrivate, channelAlloc, copyChannelAlloc, vmInit

    var testDescription: String { rawValue }

    /// A space with pages of all sizes, a region, a channel, and a fence to wait for.
    fileprivate func scene(_ memory: HostMemory) throws -> Scene {
        var options = DeviceOptions()
        options.vram = 64 << 20
        options.gart = 64 << 20
        options.host = memory
        let client = try Client(Device(chipset: 0x172, options: options)).leavingWork
        guard self != .vmInit else { return Scene(client: client, channel: 0, pending: nil) }
        try #require(client.vmInit() == 0)
        let channel = client.channelAlloc().alloc.channel
        let (big, small) = (try client.buffer(vram, 4 << 20), try client.buffer(gart, 256 << 10))
        _ = try client.buffer(gart, 64 << 10)
        try #require(
            client.bind([
                map(big, 0x80_0000, 0x40_0000), map(big, 0x1_0000, 0x4_0000), map(small, 0x10_0000, 0x2_0000),
                mapSparse(0x100_0000, 0x21_1000), map(small, 0x100_3000, 0x4000),
            ]) == 0)
        let pending = client.pendingSyncobj()
        _ = client.syncobj()
        client.device.runUntilIdle()
        return Scene(client: client, channel: channel, pending: pending.fence)
    }
}

private struct Scene {
    /// Handles: the channel's notifier is the first.
    private static let big: UInt32 = 2, small: UInt32 = 3, other: UInt32 = 4
    let client: Client
    let channel: Int32
    /// Of syncobj 1; syncobj 2 has none.
    let pending: Fence?

    func perform(_ call: InjectedCall) -> Int32 {
        switch call {
        case .bind:
            client.bind(
                [
                    unmap(0x80_1000, 0x1000), map(Self.small, 0xa0_0000, 0x8000), map(Self.big, 0x10_0000, 0x2_0000),
                    map(Self.other, 0x1_5000, 0x3000), mapSparse(0x200_0000, 0x1_1000), map(Self.small, 0x200_0000, 0x1000),
                    unmapSparse(0x100_0000, 0x21_1000), map(Self.other, 0x70_0000_0000, 0x1000), mapSparse(0x60_0000_1000, 0x1000),
                ], async: true, waits: [binary(1)], signals: [binary(2), timeline(2, 5)])
        case .exec:
            client.exec(
                channel, [nvu_exec_push(va: 0x10_0000, va_len: 0, flags: 0), nvu_exec_push(va: 0, va_len: 0, flags: 1)],
                waits: [binary(1)], signals: [timeline(2, 7)])
        case .gemNew: client.gemNew(vram, 3 << 20).result
        case .gemNewPrivate: client.gemNew(gart | noShare, 5000).result
        case .channelAlloc: client.channelAlloc().result
        case .copyChannelAlloc: client.channelAlloc(fb: ~0, tt: 0x30).result
        case .vmInit: client.vmInit()
        }
    }

    /// Lets what was submitted come to its end and closes the file.
    func close() {
        pending?.signal()
        client.device.runUntilIdle()
        client.file.close()
    }
}

@Suite("Failures at every point") struct InjectionTests {
    private func expectNothing(_ scene: Scene, _ n: Int) {
        let memory = scene.client.device.memory
        #expect((memory.objectCount, memory.tables.used, memory.vram.used, memory.gart.used) == (0, 0, 0, 0), "n = \(n)")
        #expect(memory.storeUsed == 0, "n = \(n)")
    }

    private func broken(_ scene: Scene) -> String? { scene.client.file.uvmm?.broken() }

    /// Makes the call once for each request for memory, on a scene of its own, and has that one fail.
    @Test("no memory: ENOMEM, nothing changed, and the same call goes through afterwards", arguments: InjectedCall.allCases)
    func memory(call: InjectedCall) throws {
        var (n, failures) = (0, 0)
        while true {
            let host = FailingHost()
            let scene = try call.scene(host.memory)
            let before = State(scene.client)
            host.fail(at: n)
            let result = scene.perform(call)
            let hasFailed = host.hasFailed
            host.fail(at: nil)
            if result != 0 {
                failures += 1
                try #require(result == -.ENOMEM, "n = \(n)")
                try #require(State(scene.client) == before, "n = \(n)")
                try #require(broken(scene) == nil, "n = \(n)")
                try #require(scene.perform(call) == 0, "n = \(n)")
            }
            try #require(broken(scene) == nil, "n = \(n)")
            scene.close()
            expectNothing(scene, n)
            try #require(host.outstanding == 0, "n = \(n)")
            guard hasFailed else { break }
            n += 1
        }
        // What EXEC takes cannot be refused.
        #expect(call == .exec || failures > 0)
    }

    /// Where copy number `n` fails. The last one is that of the argument back to the client, who is not told then of what
    /// was done, as in the kernel.
    @Test("a copy: EFAULT, and nothing changed unless it was the last", arguments: InjectedCall.allCases)
    func copies(call: InjectedCall) throws {
        let counted = FailingMemory()
        let good = try call.scene(HostMemory())
        good.client.device.userMemory = counted
        try #require(good.perform(call) == 0)
        let after = State(good.client).space
        good.close()
        for n in 0..<counted.copies {
            let scene = try call.scene(HostMemory())
            let before = State(scene.client)
            let memory = FailingMemory()
            memory.failsAt = n
            scene.client.device.userMemory = memory
            try #require(scene.perform(call) == -.EFAULT, "n = \(n)")
            let state = State(scene.client)
            if n == counted.copies - 1 {
                #expect(state.space == after)
            } else {
                #expect(state == before, "n = \(n)")
            }
            try #require(broken(scene) == nil, "n = \(n)")
            scene.close()
            expectNothing(scene, n)
        }
        #expect(counted.copies >= 2)
    }
}
