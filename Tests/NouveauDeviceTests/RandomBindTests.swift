import CNouveauUAPI
import GPUVM
import KernelErrno
import Model
import NVMMU
import Testing

@testable import NouveauDevice

@Suite("VM_BIND, at random") struct RandomBindTests {
    /// A client with objects of all page sizes, and the model beside it.
    struct Pair {
        let client: Client
        var model: BindModel
        var random: SeededRandom
        var objects: [UInt32: BufferObject] = [:]
        /// Handles by object; physical addresses and targets by handle: every object is one stretch here.
        var handles: [UInt64: UInt32] = [:]
        var bases: [UInt64] = [0]
        var targets: [Aperture] = [.peer]

        static let window: UInt64 = 8 << 20

        init(seed: UInt64, chipset: Int) throws {
            random = SeededRandom(seed: seed)
            client = try Client(chipset)
            try #require(client.vmInit() == 0)
            model = BindModel(pages: Int(Self.window >> 12))
            let domains: [(UInt32, UInt64)] = [
                (vram, 6 << 20), (vram, 2 << 20), (vram, 512 << 10), (vram, 64 << 10), (vram, 12 << 10),
                (gart, 1 << 20), (vram | gart, 4 << 20), (vram, 1 << 20),
            ]
            for (domain, size) in domains {
                let handle = try client.buffer(domain | noShare, size)
                let object = client.file.object(handle: handle)!
                try #require(object.placement.pieces.count == 1 && Int(handle) == bases.count)
                objects[handle] = object
                handles[object.id] = handle
                bases.append(object.placement.pieces[0].addr)
                targets.append(object.placement.target)
                model.sizes[handle] = object.size
            }
        }
    }

    @Test("VA space, page tables and errno are the model's after each call", arguments: [0x172, 0x140, 0x132])
    func streams(chipset: Int) throws {
        let seed = RandomTest.seed("VM_BIND on 0x\(String(chipset, radix: 16))")
        var pair = try Pair(seed: seed, chipset: chipset)
        let uvmm = pair.client.file.uvmm!
        let start = pair.client.device.memory.tables.used
        var done = 0
        var failed = 0
        var round = 0
        while done < RandomTest.rounds(40_000) {
            round += 1
            let ops = pair.ops()
            done += ops.count
            let expected = pair.model.bind(ops)
            let result = pair.client.bind(ops, async: round % 2 == 0)
            try #require(result == -(expected?.rawValue ?? 0), "round \(round): \(ops)")
            if expected != nil { failed += 1 }
            try pair.compare(uvmm, round)
            if round % 8 == 0 {
                let broken = uvmm.broken()
                try #require(broken == nil, "round \(round): \(ops)")
            }
        }
        // The generator makes calls of both kinds.
        #expect(failed > round / 20 && failed < round / 2)
        let clear = [unmap(0, Pair.window)] + pair.model.regions.map { unmapSparse($0.addr, $0.end - $0.addr) }
        #expect(pair.client.bind(clear) == 0)
        #expect(pair.client.device.memory.tables.used == start, "tables are left over")
        #expect(uvmm.pairCount == 0)
    }

    @Test("a call that runs out of table memory changes nothing, at random")
    func tablesRunOut() throws {
        let seed = RandomTest.seed("VM_BIND without table memory")
        var pair = try Pair(seed: seed, chipset: 0x172)
        let uvmm = pair.client.file.uvmm!
        let tables = pair.client.device.memory.tables
        var failures = 0
        for round in 0..<RandomTest.rounds(1500) {
            let ops = pair.ops()
            let before = Snapshot(pair.client)
            let modelBefore = pair.model
            let expected = pair.model.bind(ops)
            tables.limit = tables.used + 4096 * UInt64.random(in: 0...4, using: &pair.random)
            let result = pair.client.bind(ops)
            tables.limit = .max
            if result == -KernelErrno.ENOMEM {
                failures += 1
                pair.model = modelBefore
                let after = Snapshot(pair.client)
                try #require(after == before, "round \(round): \(ops)")
            } else {
                try #require(result == -(expected?.rawValue ?? 0), "round \(round): \(ops)")
            }
            try pair.compare(uvmm, round)
            let broken = uvmm.broken()
            try #require(broken == nil, "round \(round): \(ops)")
        }
        #expect(failures > 20, "the test did not test")
    }
}

// MARK: - Random calls

extension RandomBindTests.Pair {
    mutating func ops() -> [nvu_vm_bind_op] {
        (0..<Int.random(in: 1...6, using: &random)).map { _ in op() }
    }

    private mutating func op() -> nvu_vm_bind_op {
        switch Int.random(in: 0..<200, using: &random) {
        case 0: return nvu_vm_bind_op(op: 4, flags: 0, handle: 1, pad: 0, addr: 0, bo_offset: 0, range: 4096)
        case 1: return map(99, 0, 4096)
        case 2: return unmap(0x800, 4096)
        case 3: return unmap(4096, 0)
        case 4..<120: return mapSome()
        case 120..<170:
            let (addr, range) = piece(of: Self.window)
            return unmap(addr, range)
        case 170..<185:
            let (addr, range) = piece(of: Self.window)
            return mapSparse(addr, range)
        default:
            guard let region = model.regions.randomElement(using: &random) else { return unmap(0, 1 << 20) }
            return unmapSparse(region.addr, region.end - region.addr)
        }
    }

    /// Part of an object, often where its pages fit, often inside a region.
    private mutating func mapSome() -> nvu_vm_bind_op {
        let handle = model.sizes.keys.sorted().randomElement(using: &random)!
        let (offset, range) = piece(of: model.sizes[handle]!)
        var addr = UInt64.random(in: 0...(Self.window - range) >> 12, using: &random) << 12
        if Bool.random(using: &random) {
            let page = UInt64(1) << UInt64(objects[handle]!.pageShift)
            addr = addr & ~(page - 1) | offset & (page - 1)
        }
        if let region = model.regions.randomElement(using: &random), region.end - region.addr >= range,
            Bool.random(using: &random)
        {
            addr = region.addr + UInt64.random(in: 0...(region.end - region.addr - range) >> 12, using: &random) << 12
        }
        if addr + range > Self.window { addr = Self.window - range }
        let kinds: [UInt32] = [0, 0, 0, goodKind, badKind]
        return map(handle, addr, range, offset: offset, kind: kinds.randomElement(using: &random)!)
    }

    /// A stretch of `[0, size)`, small or large, aligned to one of the page sizes.
    private mutating func piece(of size: UInt64) -> (UInt64, UInt64) {
        let grains: [UInt64] = [4096, 4096, 64 << 10, 2 << 20].filter { $0 <= size }
        let grain = grains.randomElement(using: &random)!
        let count = size / grain
        let first = UInt64.random(in: 0..<count, using: &random)
        let most = min(count - first, Bool.random(using: &random) ? 4 : count)
        return (first * grain, UInt64.random(in: 1...most, using: &random) * grain)
    }

    private var goodKind: UInt32 { client.device.chip.format.uncompressedKind(6) == 6 ? 6 : 0xfe }
    private var badKind: UInt32 { 0xff }
}

// MARK: - Comparison

// Written for speed without optimisation: it looks at every page after every call.
extension RandomBindTests.Pair {
    func compare(_ uvmm: UVMM, _ round: Int) throws {
        let wrong = model.pages.withUnsafeBufferPointer { pages in
            wrongMapping(uvmm, pages) ?? wrongExtent(uvmm, pages)
        }
        try #require(wrong == nil, "round \(round)")
        let regions = uvmm.regions.map { BindModel.Region(addr: $0.addr, end: $0.end) }
        try #require(regions == model.regions.sorted { $0.addr < $1.addr }, "round \(round)")
    }

    /// A page where the VA space is not as the model says.
    private func wrongMapping(_ uvmm: UVMM, _ pages: UnsafeBufferPointer<BindModel.Page>) -> String? {
        var wrong: String?
        var i = 0
        uvmm.vm.space.forEach { (m: Mapping) in
            guard m.pair != nil else { return }
            let handle = handles[uvmm.object(behind: m).id]!
            let kind = uvmm.state(of: m.id).kind
            let first = Int(m.addr >> 12)
            while i < first {
                if pages[i].handle != 0 { wrong = "page \(i): nothing mapped, model \(pages[i])" }
                i += 1
            }
            while i < Int(m.end >> 12) {
                if pages[i].handle != handle || pages[i].kind != kind
                    || pages[i].offset != m.offset >> 12 + UInt64(i - first)
                {
                    wrong = "page \(i): \(m), model \(pages[i])"
                }
                i += 1
            }
        }
        while i < pages.count {
            if pages[i].handle != 0 { wrong = "page \(i): nothing mapped, model \(pages[i])" }
            i += 1
        }
        return wrong
    }

    /// A page where the page tables are not.
    private func wrongExtent(_ uvmm: UVMM, _ pages: UnsafeBufferPointer<BindModel.Page>) -> String? {
        var wrong: String?
        let (bad, bases, targets) = (Int(badKind), bases, targets)
        uvmm.tables.forEachExtent(0, Self.window) { (extent: Extent) in
            var i = Int(extent.va >> 12)
            let end = i + Int(extent.size >> 12)
            var pa: UInt64 = 0
            if case .mapped(let start, _, _) = extent.state { pa = start }
            while i < end {
                let page = pages[i]
                let isMapped = page.handle != 0 && page.kind != bad
                var matches = false
                switch extent.state {
                case .unmapped: matches = !isMapped && !page.sparse
                case .sparse: matches = !isMapped && page.sparse
                case .mapped(_, let pte, _):
                    matches =
                        isMapped && pa == bases[Int(page.handle)] + page.offset << 12 && pte.kind == page.kind
                        && pte.aperture == targets[Int(page.handle)] && pte.vol == (pte.aperture != .vram)
                }
                if !matches, wrong == nil { wrong = "page \(i): \(extent), model \(page)" }
                pa += 4096
                i += 1
            }
        }
        return wrong
    }
}
