import DRMLock
import GPUVM
import NVMMU
import NouveauDevice

/// Streams of ioctls, each from a seed, and what must hold after each.
package enum IoctlFuzz {
    /// Calls and successes by ioctl number.
    package struct Counts {
        package private(set) var calls: [UInt32: (all: Int, good: Int)] = [:]

        package init() {}

        mutating func add(_ request: UInt32, _ result: Int32) {
            calls[request & 0xff, default: (0, 0)].all += 1
            if result == 0 { calls[request & 0xff]!.good += 1 }
        }

        package mutating func add(_ other: Counts) {
            for (number, count) in other.calls {
                calls[number, default: (0, 0)].all += count.all
                calls[number]!.good += count.good
            }
        }

        package var total: (all: Int, good: Int) { calls.values.reduce((0, 0)) { ($0.0 + $1.all, $0.1 + $1.good) } }
    }

    package struct Outcome {
        /// What is wrong; `nil`: nothing.
        package var wrong: String?
        package var counts = Counts()
        package var faults = 0
    }

    /// A stream of so many steps. Then whatever hangs comes to its end, all invariants are looked at, and all is closed.
    package static func run(seed: UInt64, steps: Int) throws -> Outcome {
        var stream = try Stream(seed: seed)
        for _ in 0..<steps { try stream.step() }
        stream.gate.sleep(for: 1_000_000_000_000)
        stream.gate.runUntilIdle()
        var outcome = Outcome(wrong: stream.wrongAnswer, counts: stream.counts, faults: stream.device.faults.count)
        for file in stream.files {
            if let uvmm = file.uvmm { outcome.wrong = outcome.wrong ?? uvmm.wrong(stream.device) }
            file.close()
        }
        for fd in 3..<1000 as Range<Int32> { stream.device.closeDescriptor(fd) }
        outcome.wrong = outcome.wrong ?? leftovers(of: stream)
        return outcome
    }

    private static func leftovers(of stream: Stream) -> String? {
        let (memory, statistics) = (stream.device.memory, stream.device.statistics)
        let left: [(String, Int)] = [
            ("buffers", memory.objectCount), ("bytes of tables", Int(memory.tables.used)),
            ("bytes of VRAM", Int(memory.vram.used)), ("bytes of GART memory", Int(memory.gart.used)),
            ("bytes of the store", Int(memory.storeUsed)), ("tables", statistics.tablesMade - statistics.tablesFreed),
            ("allocations", stream.host.outstanding),
        ]
        let text = left.filter { $0.1 != 0 }.map { "\($0.1) \($0.0)" }.joined(separator: ", ")
        return text.isEmpty ? nil : "left after all files were closed: \(text)"
    }
}

extension UVMM {
    /// The first broken invariant of an idle space: its own, its tables', and that each page shows what is mapped there.
    fileprivate func wrong(_ device: Device) -> String? {
        if let broken = vm.space.check() ?? tables.check() { return broken }
        for va in stride(from: 0, to: 2 * Stream.window, by: 4096) {
            // A compressible kind is refused for small pages, which only shows when the entries are written.
            guard hasPlainKind(va, device) else { continue }
            let (expected, found) = (expected(va), tables.walk(va).result)
            let isRight =
                switch (expected, found) {
                case (.page(let pa)?, .page(let found, _)): pa == found
                case (.sparse?, .sparse), (nil, .fault): true
                default: false
                }
            if !isRight {
                let mapping = vm.space.findFirst(va, 1).map { "\($0), \(state(of: $0.id))" } ?? "nobody"
                return "\(device.chip.name), 0x\(String(va, radix: 16)) of \(mapping): \(found) instead of \(expected.map { "\($0)" } ?? "nothing")"
            }
        }
        return nil
    }

    private enum Expected {
        case page(pa: UInt64)
        case sparse
    }

    private func mapping(_ va: UInt64) -> Mapping? {
        vm.space.findFirst(va, 1).flatMap { $0.addr <= va && $0.pair != nil ? $0 : nil }
    }

    private func hasPlainKind(_ va: UInt64, _ device: Device) -> Bool {
        guard let kind = mapping(va).map({ state(of: $0.id).kind }) else { return true }
        return device.chip.format.uncompressedKind(kind) == kind
    }

    private func expected(_ va: UInt64) -> Expected? {
        // One that is away has no entries, wherever it lies.
        if let mapping = mapping(va), object(behind: mapping).isResident {
            var offset = mapping.offset + (va - mapping.addr)
            for piece in object(behind: mapping).placement.pieces {
                if offset < piece.size { return .page(pa: piece.addr + offset) }
                offset -= piece.size
            }
        }
        return regions.contains { $0.addr <= va && va < $0.addr + $0.range } ? .sparse : nil
    }
}
