import CNouveauUAPI
import DRMLock
import Glibc
import KernelErrno
import Model
import Testing

@testable import NouveauDevice

@Suite("Copies, from VM_BIND to the bytes") struct CopyTests {
    @Test("random copies and binds, ordered by a timeline: buffers are the byte model's", arguments: [
        0xe4, 0x120, 0x134, 0x140, 0x162, 0x172,
    ])
    func streams(chipset: Int) throws {
        let seed = RandomTest.seed("copies on 0x\(String(chipset, radix: 16))")
        var stream = try CopyStream(seed: seed, chipset: chipset)
        for round in 0..<RandomTest.rounds(40) {
            for _ in 0..<8 { try stream.submit() }
            stream.client.device.runUntilIdle()
            try #require(stream.client.device.faults.isEmpty, "round \(round): \(stream.client.device.faults)")
            try #require(stream.wrong() == nil, "round \(round)")
        }
        // The generator makes all kinds.
        #expect(stream.made.values.allSatisfy { $0 > 10 } && stream.made.count == 4, "\(stream.made)")
        #expect(stream.client.file.uvmm!.broken() == nil)
        stream.client.file.close()
        let memory = stream.client.device.memory
        #expect((memory.objectCount, memory.tables.used, memory.vram.used, memory.gart.used) == (0, 0, 0, 0))
    }
}

/// A window of 256 pages, those in the middle sparse, where the chip has that. Each call waits for the one before by a point of a timeline.
private struct CopyStream {
    enum Page: Equatable {
        case none, sparse
        case mapped(buffer: Int, page: Int)
    }

    let client: Client
    let submitter: Submitter
    var random: SeededRandom
    var pages: [Page]
    var buffers: [(handle: UInt32, bytes: [UInt8])] = []
    var point: UInt64 = 0
    let timeline: UInt32
    var made: [String: Int] = [:]

    static let window: UInt64 = 0x10_0000
    static let pageCount = 256
    static let region = 64..<192
    private let hasSparse: Bool

    init(seed: UInt64, chipset: Int) throws {
        random = SeededRandom(seed: seed)
        let client = try Client(chipset, gate: SteppedGate(.seeded(seed)))
        submitter = try Submitter(client)
        self.client = client.leavingWork
        timeline = client.syncobj()
        hasSparse = chipset >= 0x120
        pages = Array(repeating: .none, count: Self.pageCount)
        if hasSparse {
            let (addr, range) = (Self.va(Self.region.lowerBound), UInt64(Self.region.count) << 12)
            try #require(client.bind([mapSparse(addr, range)]) == 0)
            for i in Self.region { pages[i] = .sparse }
        }
        for (domain, size) in [(gart, 512 << 10), (vram | gart, 512 << 10), (vram, 512 << 10)] as [(UInt32, UInt64)] {
            let handle = try client.buffer(domain, size)
            let words = client.bytes(handle).bindMemory(to: UInt64.self)
            for i in words.indices { words[i] = random.next() }
            buffers.append((handle, Array(client.bytes(handle))))
        }
    }

    static func va(_ page: Int) -> UInt64 { window + UInt64(page) << 12 }

    mutating func below(_ n: Int) -> Int { Int.random(in: 0..<n, using: &random) }

    /// A buffer whose bytes are not the model's.
    func wrong() -> String? {
        for buffer in buffers {
            let bytes = client.bytes(buffer.handle)
            if memcmp(bytes.baseAddress!, buffer.bytes, bytes.count) == 0 { continue }
            let i = bytes.indices.first { bytes[$0] != buffer.bytes[$0] }!
            return "buffer \(buffer.handle), byte \(i): \(bytes[i]), model \(buffer.bytes[i])"
        }
        return nil
    }

    // MARK: Calls

    mutating func submit() throws {
        let waits = point > 0 ? [NouveauDeviceTests.timeline(timeline, point)] : []
        let signals = [NouveauDeviceTests.timeline(timeline, point + 1)]
        if below(3) == 0 {
            let ops = (0...below(3)).map { _ in bindOp() }
            try #require(client.bind(ops, async: true, waits: waits, signals: signals) == 0)
        } else {
            var commands = Commands()
            for _ in 0...below(3) { addCopy(&commands) }
            let submitter = submitter
            let pushes = [submitter.push(commands)]
            try #require(client.exec(submitter.channel, pushes, waits: waits, signals: signals) == 0)
        }
        point += 1
    }

    private mutating func bindOp() -> nvu_vm_bind_op {
        made["bind", default: 0] += 1
        // Pages of all sizes replace and cut each other. No operation crosses a border of the region.
        let unit = [1, 1, 16, 32][below(4)]
        let zone = [0..<64, 64..<192, 192..<256][below(3)]
        let units = zone.count / unit
        let first = below(units)
        let count = min(1 + below(unit > 1 ? 4 : 24), units - first)
        let start = zone.lowerBound + first * unit
        let range = start..<start + count * unit
        if below(4) == 0 {
            for i in range { pages[i] = hasSparse && Self.region.contains(i) ? .sparse : .none }
            return unmap(Self.va(start), UInt64(range.count) << 12)
        }
        let buffer = below(3)
        let offset = below((buffers[buffer].bytes.count >> 12) / unit - count + 1) * unit
        for i in range { pages[i] = .mapped(buffer: buffer, page: offset + i - start) }
        return map(buffers[buffer].handle, Self.va(start), UInt64(range.count) << 12, offset: UInt64(offset) << 12)
    }

    /// Where `size` bytes can be accessed, aligned; `nil`: after many attempts none was found.
    private mutating func place(_ size: Int, align: Int) -> Int? {
        for _ in 0..<20 {
            let start = below((Self.pageCount << 12) - size) & ~(align - 1)
            if touched(start, size).allSatisfy({ pages[$0] != .none }) { return start }
        }
        return nil
    }

    private func touched(_ start: Int, _ size: Int) -> ClosedRange<Int> { start >> 12...(start + size - 1) >> 12 }

    /// Each byte is written at most once, and none is both read and written.
    private func isDefined(from: (start: Int, size: Int)?, to: (start: Int, size: Int)) -> Bool {
        func frames(_ stretch: (start: Int, size: Int)) -> [Int] {
            touched(stretch.start, stretch.size).compactMap {
                if case .mapped(let buffer, let page) = pages[$0] { buffer << 20 | page } else { nil }
            }
        }
        let written = frames(to)
        return Set(written).count == written.count && (from.map { Set(written).isDisjoint(with: frames($0)) } ?? true)
    }

    // MARK: Copies

    private struct Surface {
        var start = 0
        /// In bytes, rows, slices; `nil` for a linear one.
        var block: (width: Int, rows: Int, slices: Int, height: Int, depth: Int)?
        var pitch = 0
        /// In bytes, rows, slices.
        var origin = (x: 0, y: 0, z: 0)
        var size = 0

        func offset(_ x: Int, _ line: Int) -> Int {
            guard let block else { return start + line * pitch + x }
            let (x, y, z) = (x + origin.x, line + origin.y, origin.z)
            let columns = (block.width + 63) / 64
            let rows = (block.rows + (8 << block.height) - 1) / (8 << block.height)
            let number = ((z >> block.depth) * rows + (y >> (3 + block.height))) * columns + x >> 6
            let gob = (z & (1 << block.depth - 1)) << block.height + (y >> 3) & (1 << block.height - 1)
            let within = (x & 32) << 3 | (y & 4) << 5 | (x & 16) << 2 | (y & 3) << 4 | x & 15
            return start + number * (512 << (block.height + block.depth)) + gob * 512 + within
        }
    }

    private mutating func addCopy(_ commands: inout Commands) {
        switch below(4) {
        case 0: addFill(&commands)
        case 1: addLinear(&commands)
        default: addImage(&commands)
        }
    }

    private mutating func addFill(_ commands: inout Commands) {
        let count = 1 + below(2000)
        guard let start = place(count * 4, align: 4), isDefined(from: nil, to: (start, count * 4)) else { return }
        made["fill", default: 0] += 1
        let value = UInt32(truncatingIfNeeded: random.next())
        commands.fill(Self.window + UInt64(start), UInt32(count), value)
        for i in 0..<count * 4 { write(start + i, UInt8(truncatingIfNeeded: value >> UInt32(8 * (i & 3)))) }
    }

    private mutating func addLinear(_ commands: inout Commands) {
        let length = 1 + below(Bool.random(using: &random) ? 64 : 20_000)
        guard let from = place(length, align: 1), let to = place(length, align: 1),
            isDefined(from: (from, length), to: (to, length))
        else { return }
        made["linear", default: 0] += 1
        commands.copy(Self.window + UInt64(from), Self.window + UInt64(to), UInt32(length))
        for i in 0..<length { write(to + i, read(from + i)) }
    }

    private mutating func addImage(_ commands: inout Commands) {
        let element = [1, 2, 4, 8, 16][below(5)]
        let isRemapped = element > 1 || Bool.random(using: &random)
        let (columns, lines) = (1 + below(24), 1 + below(24))
        var sides: [Surface] = []
        for _ in 0..<2 {
            guard let side = surface(columns * element, lines, element) else { return }
            sides.append(side)
        }
        guard isDefined(from: (sides[0].start, sides[0].size), to: (sides[1].start, sides[1].size)) else { return }
        made["image", default: 0] += 1
        emit(sides, columns, lines, element, isRemapped, &commands)
        for line in 0..<lines {
            for x in 0..<columns * element { write(sides[1].offset(x, line), read(sides[0].offset(x, line))) }
        }
    }

    private mutating func surface(_ width: Int, _ lines: Int, _ element: Int) -> Surface? {
        var side = Surface()
        if below(3) == 0 {
            side.pitch = width + below(100)
            side.size = side.pitch * (lines - 1) + width
            guard let start = place(side.size, align: 1) else { return nil }
            side.start = start
            return side
        }
        side.origin = (below(8) * element, below(20), below(4))
        let block = (
            width: side.origin.x + width + below(10) * element, rows: side.origin.y + lines + below(10),
            slices: side.origin.z + 1, height: below(4), depth: below(3)
        )
        side.block = block
        let perBlock = 512 << (block.height + block.depth)
        let rows = (block.rows + (8 << block.height) - 1) / (8 << block.height)
        side.size = ((block.slices - 1) >> block.depth + 1) * rows * ((block.width + 63) / 64) * perBlock
        guard let start = place(side.size, align: 512) else { return nil }
        side.start = start
        return side
    }

    private func emit(
        _ sides: [Surface], _ columns: Int, _ lines: Int, _ element: Int, _ isRemapped: Bool,
        _ commands: inout Commands
    ) {
        func high(_ side: Surface) -> UInt32 { UInt32((Self.window + UInt64(side.start)) >> 32) }
        func low(_ side: Surface) -> UInt32 { UInt32(truncatingIfNeeded: Self.window + UInt64(side.start)) }
        commands.method(4, 0x400, high(sides[0]), low(sides[0]), high(sides[1]), low(sides[1]))
        commands.method(4, 0x410, UInt32(sides[0].pitch), UInt32(sides[1].pitch), UInt32(columns), UInt32(lines))
        var launch: UInt32 = 0x206
        if isRemapped {
            launch |= 0x400
            let size = min(element, 4)
            let components = UInt32(element / size)
            let identity = 0x3210 | UInt32(size - 1) << 16 | (components - 1) << 20 | (components - 1) << 24
            commands.copyEngine(0x708, identity)
        }
        let isWide = client.device.classes.copy[0] >= 0xc1b5
        for (i, side) in sides.enumerated() {
            guard let block = side.block else {
                launch |= i == 0 ? 0x80 : 0x100
                continue
            }
            let registers: UInt32 = i == 0 ? 0x728 : 0x70c
            commands.method(
                4, registers, UInt32(block.height << 4 | block.depth << 8 | 1 << 12), UInt32(block.width / element),
                UInt32(block.rows), UInt32(block.slices), UInt32(side.origin.z))
            let (x, y) = (UInt32(side.origin.x / element), UInt32(side.origin.y))
            if isWide {
                commands.method(4, i == 0 ? 0x744 : 0x74c, x, y)
            } else {
                commands.copyEngine(i == 0 ? 0x73c : 0x720, x | y << 16)
            }
        }
        commands.copyEngine(0x300, launch)
    }

    // MARK: The model's memory

    private func read(_ at: Int) -> UInt8 {
        guard case .mapped(let buffer, let page) = pages[at >> 12] else { return 0 }
        return buffers[buffer].bytes[page << 12 | at & 4095]
    }

    private mutating func write(_ at: Int, _ byte: UInt8) {
        guard case .mapped(let buffer, let page) = pages[at >> 12] else { return }
        buffers[buffer].bytes[page << 12 | at & 4095] = byte
    }
}
