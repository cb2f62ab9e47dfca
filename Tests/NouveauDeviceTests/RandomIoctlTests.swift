import CNouveauUAPI
import DRMLock
import GateSupport
import KernelErrno
import Model
import Testing

@testable import NouveauDevice

/// Two files that share buffers and syncobjs.
@Suite("Ioctls, at random") struct RandomIoctlTests {
    private func expectNothing(in device: Device, _ seed: UInt64) {
        for fd in 3..<100 as Range<Int32> { device.closeDescriptor(fd) }
        let memory = device.memory
        #expect((memory.objectCount, memory.tables.used, memory.vram.used, memory.gart.used) == (0, 0, 0, 0), "seed \(seed)")
        #expect(device.statistics.tablesMade == device.statistics.tablesFreed, "seed \(seed)")
    }

    @Test("the invariants hold after each stream, and closing the files leaves nothing", arguments: [0x120, 0x132, 0x172])
    func stepped(chipset: Int) throws {
        let start = RandomTest.seed("ioctls on 0x\(String(chipset, radix: 16))")
        var faults = 0
        for seed in start..<start + UInt64(RandomTest.rounds(25)) {
            let gate = SteppedGate(.seeded(seed))
            let first = try Client(chipset, gate: gate)
            let clients = [first, Client(first.device)]
            for client in clients { try #require(client.vmInit() == 0) }
            var streams = clients.enumerated().map { i, client in
                IoctlStream(client: client.leavingWork, random: SeededRandom(seed: seed << 1 | UInt64(i)), mayHang: true)
            }
            for n in 0..<200 {
                streams[n % 2].step()
                for _ in 0..<streams[0].below(4) { gate.step() }
            }
            // Hangs have come to their end by then.
            gate.sleep(for: 100_000_000_000)
            gate.runUntilIdle()
            for client in clients {
                #expect(client.file.uvmm!.broken() == nil, "seed \(seed)")
                #expect(client.file.binds.pending.isEmpty, "seed \(seed)")
                client.file.close()
            }
            faults += first.device.faults.count
            expectNothing(in: first.device, seed)
        }
        #expect(faults > 0, "the pushes did nothing")
    }

    @Test("the same on two threads, with a file for each or one for both", arguments: [1, 2])
    func threaded(files: Int) throws {
        let seed = RandomTest.seed("ioctls, threaded")
        for round in 0..<UInt64(RandomTest.rounds(3)) {
            let gate = ThreadedGate()
            do {
                let first = try Client(gate: gate)
                let clients = [first] + (1..<files).map { _ in Client(first.device) }
                for client in clients { try #require(client.vmInit() == 0) }
                let actors = (0..<2).map { i in
                    let client = clients[i % files]
                    let stream = IoctlStream(
                        client: client.leavingWork, random: SeededRandom(seed: seed + 2 * round + UInt64(i)), mayHang: false)
                    return gate.spawn("client \(i)") {
                        var stream = stream
                        for _ in 0..<400 { stream.step() }
                    }
                }
                for actor in actors { gate.join(actor) }
                for client in clients { client.file.close() }
                expectNothing(in: first.device, seed)
            }
            gate.shutdown()
        }
    }
}
