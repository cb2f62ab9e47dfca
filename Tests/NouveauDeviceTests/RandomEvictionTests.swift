import CNouveauUAPI
import DRMLock
import GateSupport
import KernelErrno
import Model
import NVMMU
import Testing

@testable import NouveauDevice

private let mib: UInt64 = 1 << 20

/// Clients whose buffers do not fit into VRAM together, and often not into GART, copy from one to another.
@Suite("Eviction, at random") struct RandomEvictionTests {
    /// One client. Its buffers have a word of a model on each page; copies go through the GPU, page by page.
    private struct Stream: @unchecked Sendable {
        let client: Client
        let submitter: Submitter
        var random: SeededRandom
        /// Bound at `base + i * stride`, whole; the words by page.
        var buffers: [(handle: UInt32, words: [UInt64])] = []
        var nextWord: UInt64 = 1
        /// Calls that had no room.
        var refusals = 0

        let base: UInt64
        static let stride: UInt64 = 16 * mib

        /// - Parameter number: of those that share a file.
        init(_ client: Client, _ number: UInt64 = 0, seed: UInt64) throws {
            base = 0x1_0000_0000 * (1 + number)
            submitter = try Submitter(client)
            self.client = client.leavingWork
            random = SeededRandom(seed: seed)
            // Words are lost when a region is not there.
            try #require(client.bind([mapSparse(base, 8 * Self.stride)]) == 0)
        }

        mutating func below(_ n: UInt64) -> UInt64 { UInt64.random(in: 0..<n, using: &random) }
        func va(_ i: Int, _ page: Int) -> UInt64 { base + UInt64(i) * Self.stride + UInt64(page) << 12 }

        /// Carries out one call. Throws what no client should see.
        mutating func step() throws {
            switch below(10) {
            case 0..<2: try makeBuffer()
            case 2: try dropBuffer()
            case 3: try cutAndRestore()
            case 4: writeFromCPU()
            default: try copy()
            }
        }

        private mutating func makeBuffer() throws {
            guard buffers.count < 6 else { return }
            let domain = [vram, vram | noShare, vram | gart, gart, gart | noShare][Int(below(5))]
            let (result, info) = client.gemNew(
                domain, [8192, 300 << 10, 2 * mib, 7 * mib, 7 * mib][Int(below(5))], tileFlags: 8)
            guard result != -.ENOMEM else { return refusals += 1 }
            try #require(result == 0)
            let bind = client.bind([map(info.handle, va(buffers.count, 0), info.size)])
            if bind == -.ENOMEM {
                refusals += 1
                try #require(client.gemClose(info.handle) == 0)
            } else {
                try #require(bind == 0)
                buffers.append((info.handle, Array(repeating: 0, count: Int(info.size >> 12))))
            }
        }

        /// The last: others keep their addresses.
        private mutating func dropBuffer() throws {
            guard let last = buffers.last else { return }
            try #require(client.bind([unmap(va(buffers.count - 1, 0), UInt64(last.words.count) << 12)]) == 0)
            try #require(client.gemClose(last.handle) == 0)
            buffers.removeLast()
        }

        /// Takes some pages out of a mapping and maps them again: pages get small.
        private mutating func cutAndRestore() throws {
            guard !buffers.isEmpty else { return }
            let i = Int(below(UInt64(buffers.count)))
            let page = Int(below(UInt64(buffers[i].words.count)))
            try #require(client.bind([unmap(va(i, page), 4096)]) == 0)
            let result = client.bind([map(buffers[i].handle, va(i, page), 4096, offset: UInt64(page) << 12)])
            guard result == -.ENOMEM else { return try #require(result == 0) }
            // It could not be had back: the buffer goes, and all after it.
            refusals += 1
            while buffers.count > i { try dropBuffer() }
        }

        private mutating func writeFromCPU() {
            guard !buffers.isEmpty else { return }
            let i = Int(below(UInt64(buffers.count)))
            let page = Int(below(UInt64(buffers[i].words.count)))
            nextWord += 1
            buffers[i].words[page] = nextWord
            client.bytes(buffers[i].handle).storeBytes(of: nextWord, toByteOffset: page << 12, as: UInt64.self)
        }

        private mutating func copy() throws {
            guard !buffers.isEmpty else { return }
            var commands = Commands()
            var after = buffers
            for _ in 0...below(4) {
                let (from, to) = (Int(below(UInt64(buffers.count))), Int(below(UInt64(buffers.count))))
                let source = Int(below(UInt64(buffers[from].words.count)))
                let target = Int(below(UInt64(buffers[to].words.count)))
                commands.copy(va(from, source), va(to, target), 8)
                after[to].words[target] = after[from].words[source]
            }
            let result = submitter.client.leavingWork.exec(submitter.channel, [submitter.push(commands)])
            guard result != -.ENOMEM else { return refusals += 1 }
            try #require(result == 0)
            buffers = after
            // The CPU's turn comes after; and the words of a push are to stay until it is done.
            for buffer in buffers { try #require(client.cpuPrep(buffer.handle, forWriting) == 0) }
        }

        func wrong() -> String? {
            for (i, buffer) in buffers.enumerated() {
                let bytes = client.bytes(buffer.handle)
                for (page, word) in buffer.words.enumerated() {
                    let found = bytes.load(fromByteOffset: page << 12, as: UInt64.self)
                    if found != word { return "buffer \(i), page \(page): \(found), not \(word)" }
                }
            }
            return nil
        }
    }

    private func expectNothing(in device: Device, _ message: String) {
        let memory = device.memory
        // A worker that has run an item may have to let go of it still.
        for _ in 0..<10_000 where memory.tables.used > 0 { device.gate.sleep(for: 1_000_000) }
        #expect((memory.objectCount, memory.tables.used, memory.storeUsed) == (0, 0, 0), "\(message)")
        #expect((memory.vram.used, memory.gart.used) == (0, 0), "\(message)")
        #expect((memory.availableVRAM, memory.availableGART) == (memory.vram.size, memory.gart.size), "\(message)")
    }

    private func expectSound(_ streams: [Stream], _ message: String) {
        for stream in streams {
            let (bytes, pages) = (stream.wrong(), stream.client.wrongPage(step: 16384))
            #expect(bytes == nil && pages == nil, "\(message)")
        }
        #expect(streams[0].client.device.faults.isEmpty, "\(message)")
        let memory = streams[0].client.device.memory
        let placed = streams.flatMap { stream in stream.buffers.map { stream.client.object($0.handle) } }
        let inVRAM = placed.filter { $0.location == .vram }.reduce(0) { $0 + $1.size }
        #expect(memory.vram.used == inVRAM, "\(message)")
    }

    @Test("three clients on a stepped gate: bytes, page tables and memory are right after each stretch; closing leaves nothing", arguments: [0x124, 0x172])
    func stepped(chipset: Int) throws {
        let start = RandomTest.seed("eviction on 0x\(String(chipset, radix: 16))")
        var (moved, refused) = (0, 0)
        for seed in start..<start + UInt64(RandomTest.rounds(8)) {
            let gate = SteppedGate(.seeded(seed))
            let first = try Client(chipset, vram: 32 * mib, gart: 12 * mib, gate: gate)
            var streams = try (0..<3).map { i in
                try Stream(i == 0 ? first : Client(first.device), seed: seed << 2 | UInt64(i))
            }
            for n in 0..<150 {
                do { try streams[n % 3].step() } catch {
                    Issue.record("seed \(seed), step \(n)")
                    throw error
                }
                if n % 30 == 29 {
                    gate.runUntilIdle()
                    expectSound(streams, "seed \(seed), step \(n)")
                    moved += streams.map { s in s.buffers.count { !s.client.object($0.handle).isResident } }.reduce(0, +)
                }
            }
            refused += streams.map(\.refusals).reduce(0, +)
            for stream in streams { stream.client.file.close() }
            expectNothing(in: first.device, "seed \(seed)")
        }
        #expect(moved > 0 && refused > 0, "memory was plenty")
    }

    @Test("two at once, of two files or of one: in the seed's order, and with threads", arguments: [1, 2], [Driver.seeded, .threaded])
    func atOnce(files: Int, driver: Driver) throws {
        let seed = RandomTest.seed("eviction, \(driver)")
        for round in 0..<UInt64(RandomTest.rounds(4)) {
            let gate: Gate = driver == .threaded ? ThreadedGate() : SteppedGate(.seeded(seed + round))
            do {
                let first = try Client(vram: 32 * mib, gart: 12 * mib, gate: gate)
                let clients = [first] + (1..<files).map { _ in Client(first.device) }
                let streams = try (0..<2).map { i in
                    try Stream(clients[i % files], UInt64(i / files), seed: seed + 2 * round + UInt64(i))
                }
                let ended = Shared<[Stream]>([]), failures = Shared<[String]>([])
                let actors = streams.enumerated().map { i, stream in
                    gate.spawn("client \(i)") {
                        var stream = stream
                        do { for _ in 0..<150 { try stream.step() } } catch { failures.change { $0.append("\(error)") } }
                        // Others may have to do with what goes meanwhile.
                        if files == 2, round % 2 == 1 { return stream.client.file.close() }
                        ended.change { $0.append(stream) }
                    }
                }
                for actor in actors { gate.join(actor) }
                for stream in ended.value { stream.client.file.binds.waitUntilEmpty() }
                #expect(failures.value == [], "GPUVM_SEED=\(seed), round \(round)")
                if !ended.value.isEmpty { expectSound(ended.value, "GPUVM_SEED=\(seed), round \(round)") }
                ended.value = []
                for client in clients { client.file.close() }
                expectNothing(in: first.device, "GPUVM_SEED=\(seed), round \(round)")
            }
            (gate as? ThreadedGate)?.shutdown()
        }
    }
}
