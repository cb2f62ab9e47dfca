import CNouveauUAPI
import DRMLock
import DRMSync
import GateSupport
import KernelErrno
import Model
import NVMMU
import Testing

@testable import NouveauDevice

/// Streams of calls whose jobs wait for fences that come late and in any order.
@Suite("Jobs, at random") struct RandomJobTests {
    private static let window: UInt64 = 1 << 20

    /// One client's calls: VM_BINDs against the model, EXECs that only must not hurt.
    private struct Stream: @unchecked Sendable {
        let client: Client
        let channels: [Int32]
        var model = BindModel(pages: 256)
        var random: SeededRandom
        var bases: [UInt32: UInt64] = [:]
        let pending = Shared<[Fence]>([])
        var syncobjs: [UInt32] = []

        init(_ client: Client, seed: UInt64) throws {
            self.client = client.leavingWork
            random = SeededRandom(seed: seed)
            try #require(client.vmInit() == 0)
            channels = [client.channelAlloc().alloc.channel, client.channelAlloc(fb: ~0, tt: 0x30).alloc.channel]
            for (domain, size) in [(gart, 64 << 10), (gart | noShare, 256 << 10), (vram | gart, 128 << 10)] as [(UInt32, UInt64)] {
                let handle = try client.buffer(domain, size)
                let object = client.file.object(handle: handle)!
                model.sizes[handle] = size
                bases[handle] = object.placement.pieces[0].addr
            }
            for _ in 0..<4 { syncobjs.append(client.syncobj()) }
        }

        mutating func below(_ n: UInt64) -> UInt64 { UInt64.random(in: 0..<n, using: &random) }

        /// A fence that nobody has signalled yet, in a syncobj of its own for the call.
        mutating func newFence() -> UInt32 {
            let (handle, fence) = client.pendingSyncobj()
            pending.change { $0.append(fence) }
            return handle
        }

        mutating func op() -> nvu_vm_bind_op {
            let handle = model.sizes.keys.sorted()[Int(below(3))]
            let count = 1 + below(16)
            let addr = below(256 - count) << 12
            switch below(10) {
            case 0..<5:
                let range = min(count << 12, model.sizes[handle]!)
                return map(handle, addr, range, offset: below((model.sizes[handle]! - range) >> 12 + 1) << 12)
            case 5..<7: return unmap(addr, count << 12)
            case 7..<9: return mapSparse(addr, count << 12)
            default:
                guard let region = model.regions.randomElement(using: &random) else { return unmap(addr, count << 12) }
                return unmapSparse(region.addr, region.end - region.addr)
            }
        }

        mutating func syncs() -> (waits: [nvu_sync], signals: [nvu_sync], temporary: UInt32?) {
            var waits: [nvu_sync] = []
            var temporary: UInt32?
            if below(2) == 0 {
                temporary = newFence()
                waits.append(binary(temporary!))
            }
            let other = syncobjs[Int(below(4))]
            if client.status(other) != nil, below(2) == 0 { waits.append(binary(other)) }
            let target = syncobjs[Int(below(4))]
            return (waits, [below(2) == 0 ? binary(target) : timeline(target, below(100))], temporary)
        }

        mutating func step() throws {
            let (waits, signals, temporary) = syncs()
            if below(3) == 0 {
                let channel = channels[Int(below(2))]
                // Without words there is nothing to fault on.
                let result = client.exec(
                    channel, (0..<below(4)).map { _ in nvu_exec_push(va: 0, va_len: 0, flags: 0) }, waits: waits,
                    signals: signals)
                try #require(result == 0)
            } else {
                let ops = (0...below(3)).map { _ in op() }
                let expected = model.bind(ops)
                let isAsync = below(4) > 0
                let result =
                    isAsync ? client.bind(ops, async: true, waits: waits, signals: signals) : client.bind(ops)
                try #require(result == -(expected?.rawValue ?? 0), "\(ops)")
            }
            if let temporary {
                try #require(client.call(NVU_SYNCOBJ_DESTROY, nvu_syncobj_destroy(handle: temporary, pad: 0)) == 0)
            }
        }

        /// Signals one of the fences that are still to come; false: there is none.
        func signalOne(_ i: Int) -> Bool {
            let fence: Fence? = pending.change { $0.isEmpty ? nil : $0.remove(at: i % $0.count) }
            fence?.signal()
            return fence != nil
        }

        func wrong() -> String? {
            let uvmm = client.file.uvmm!
            if let broken = uvmm.broken() { return broken }
            for (i, page) in model.pages.enumerated() {
                let found = uvmm.at(UInt64(i) << 12)
                switch found {
                case .page(let pa, _):
                    if page.handle == 0 || pa != bases[page.handle]! + page.offset << 12 { return "page \(i): \(found), \(page)" }
                case .sparse: if page.handle != 0 || !page.sparse { return "page \(i): sparse, \(page)" }
                case .fault: if page.handle != 0 || page.sparse { return "page \(i): \(found), \(page)" }
                }
            }
            return nil
        }
    }

    private func expectNothing(in device: Device) {
        let memory = device.memory
        #expect((memory.objectCount, memory.tables.used, memory.vram.used, memory.gart.used) == (0, 0, 0, 0))
        #expect(device.statistics.tablesMade == device.statistics.tablesFreed)
    }

    @Test("whatever the fences' order and the scheduler's, the end is the ioctls' order; closing leaves nothing")
    func stepped() throws {
        let start = RandomTest.seed("jobs, stepped")
        for seed in start..<start + UInt64(RandomTest.rounds(40)) {
            let gate = SteppedGate(.seeded(seed))
            let client = try Client(gate: gate)
            var stream = try Stream(client, seed: seed)
            // A call blocks, on a region that goes for example: then fences come.
            let (pending, order) = (stream.pending, Shared(SeededRandom(seed: ~seed)))
            gate.onDeadlock = { [unowned gate] in
                while gate.isIdle, !pending.value.isEmpty {
                    pending.change { fences in
                        fences.remove(at: order.change { Int.random(in: 0..<fences.count, using: &$0) })
                    }.signal()
                }
            }
            for _ in 0..<40 {
                do { try stream.step() } catch {
                    Issue.record("seed \(seed)")
                    throw error
                }
                for _ in 0..<stream.below(6) { gate.step() }
                if stream.below(4) == 0 { _ = stream.signalOne(Int(stream.below(8))) }
            }
            let isDrained = stream.below(2) == 0
            if isDrained {
                while stream.signalOne(Int(stream.below(8))) { gate.step() }
                client.device.runUntilIdle()
                try #require(stream.wrong() == nil, "seed \(seed)")
            }
            client.file.close()
            expectNothing(in: client.device)
        }
    }

    @Test("two files on threads, fences from a third")
    func threaded() throws {
        let seed = RandomTest.seed("jobs, threaded")
        for round in 0..<UInt64(RandomTest.rounds(4)) {
            let gate = ThreadedGate()
            do {
                let first = try Client(gate: gate)
                let clients = [first, Client(first.device)]
                let streams = try clients.enumerated().map { i, client in
                    try Stream(client, seed: seed + 2 * round + UInt64(i))
                }
                let failures = Shared<[String]>([])
                let left = Shared(clients.count)
                let actors = streams.enumerated().map { i, stream in
                    gate.spawn("client \(i)") {
                        var stream = stream
                        do { for _ in 0..<100 { try stream.step() } } catch { failures.change { $0.append("\(error)") } }
                        while stream.client.file.binds.pending.count > 0 { gate.sleep(for: 100_000) }
                        if let wrong = stream.wrong() { failures.change { $0.append(wrong) } }
                        left.change { $0 -= 1 }
                        stream.client.file.close()
                    }
                }
                let signaller = gate.spawn("signaller") {
                    var random = SeededRandom(seed: seed)
                    while left.value > 0 || streams.contains(where: { !$0.pending.value.isEmpty }) {
                        for stream in streams { _ = stream.signalOne(Int(random.next() % 8)) }
                        gate.sleep(for: 50_000)
                    }
                }
                for actor in actors { gate.join(actor) }
                gate.join(signaller)
                #expect(failures.value == [], "GPUVM_SEED=\(seed), round \(round)")
                expectNothing(in: first.device)
            }
            gate.shutdown()
        }
    }
}
