import KernelErrno
import NVMMU
import Testing

/// Table memory from one window, page by page, and a log of what the page tables asked for.
final class TablePool: PageTableHooks {
    let memory: UnsafeMutableRawBufferPointer
    let window: MemoryWindow
    private var free: [Int]
    private(set) var flushes = 0
    private let total: Int

    static let base: UInt64 = 0x4000_0000

    init(pages: Int) {
        memory = .allocate(byteCount: pages << 12, alignment: 4096)
        window = MemoryWindow(aperture: .vram, base: Self.base, memory: memory)
        free = Array((0..<pages).reversed())
        total = pages
    }

    deinit {
        memory.deallocate()
    }

    var used: Int { total - free.count }

    func allocTable(size: Int, align: Int) -> TableMemory? {
        precondition(size <= 4096 && align <= 4096)
        guard let page = free.popLast() else { return nil }
        return TableMemory(
            addr: Self.base + UInt64(page) << 12, aperture: .vram, cpu: memory.baseAddress! + page << 12)
    }

    func freeTable(_ memory: TableMemory, size: Int) {
        free.append(Int(memory.addr - Self.base) >> 12)
    }

    func flush(_ flush: Flush) {
        flushes += 1
    }
}

@Suite("PageTables") struct PageTablesTests {
    let turing = Format(named: "tu102")!

    @Test("a mapped page is found by the walk with its address and kind, and is gone after unmap and put")
    func life() throws {
        let pool = TablePool(pages: 64)
        var tables = try PageTables(format: turing, windows: [pool.window], hooks: pool)
        let empty = pool.used
        try tables.get(0x12345000, 0x2000, shift: 12)
        var attributes = MapAttributes(target: .vram, objectShift: 12)
        attributes.kind = 6
        let pieces = [PhysicalPiece(addr: 0x1000, size: 0x1000), PhysicalPiece(addr: 0x8000, size: 0x1000)]
        try tables.map(0x12345000, 0x2000, shift: 12, pieces: pieces, offset: 0, attributes)
        var expected = PTE()
        expected.addr = 0x8000
        expected.kind = 6
        var (seen, broken) = (tables.walk(0x12346abc).result, tables.check())
        #expect(seen == .page(pa: 0x8abc, expected))
        #expect(broken == nil)
        try tables.unmap(0x12345000, 0x2000, shift: 12, sparse: false)
        seen = tables.walk(0x12346abc).result
        #expect(seen == .fault(.pte))
        try tables.put(0x12345000, 0x2000, shift: 12)
        (seen, broken) = (tables.walk(0x12346abc).result, tables.check())
        #expect(seen == .fault(.pde))
        #expect(broken == nil)
        let left = tables.tables()
        #expect(left.count == 1, "only the root is left")
        #expect(pool.used <= empty + 8, "table pages go back, but for a small cache")
    }

    @Test("extents cover a range exactly and join what is contiguous")
    func extents() throws {
        let pool = TablePool(pages: 64)
        var tables = try PageTables(format: turing, windows: [pool.window], hooks: pool)
        try tables.getSparse(0x20_0000, 0x40_0000)
        try tables.get(0x20_0000, 0x10_0000, shift: 12)
        try tables.map(
            0x20_0000, 0x10_0000, shift: 12, pieces: [PhysicalPiece(addr: 0x100_0000, size: 0x10_0000)], offset: 0,
            MapAttributes(target: .vram, objectShift: 12))
        var seen: [(UInt64, UInt64, String)] = []
        tables.forEachExtent(0x10_0000, 0x80_0000) { extent in
            let state =
                switch extent.state {
                case .unmapped: "-"
                case .sparse: "sparse"
                case .mapped(let pa, _, let shift): "0x\(String(pa, radix: 16)) \(shift)"
                }
            seen.append((extent.va, extent.size, state))
        }
        #expect(seen.map { $0.0 } == [0x10_0000, 0x20_0000, 0x30_0000, 0x60_0000])
        #expect(seen.map { $0.1 } == [0x10_0000, 0x10_0000, 0x30_0000, 0x30_0000])
        #expect(seen.map { $0.2 } == ["-", "0x1000000 12", "sparse", "-"])
    }

    @Test("a sparse range that was dropped is sparse nowhere, also where small pages were mapped in it")
    func sparseIsGone() throws {
        let pool = TablePool(pages: 64)
        var tables = try PageTables(format: turing, windows: [pool.window], hooks: pool)
        let vram = MapAttributes(target: .vram, objectShift: 12)
        let page = [PhysicalPiece(addr: 0x1000, size: 0x1000)]
        // The range ends inside a 2 MiB block, so big entries make it sparse; a page outside keeps the small table.
        try tables.getSparse(0, 0x1c_0000)
        for va in [0x1_0000, 0x1f_0000] as [UInt64] {
            try tables.get(va, 0x1000, shift: 12)
            try tables.map(va, 0x1000, shift: 12, pieces: page, offset: 0, vram)
        }
        try tables.unmap(0x1_0000, 0x1000, shift: 12, sparse: true)
        try tables.put(0x1_0000, 0x1000, shift: 12)
        try tables.putSparse(0, 0x1c_0000)
        var states: [Extent.State] = []
        tables.forEachExtent(0, 0x20_0000) { states.append($0.state) }
        #expect(states.filter { $0 == .unmapped }.count == 2)
        #expect(!states.contains(.sparse))
        let broken = tables.check()
        #expect(broken == nil)
    }

    @Test("a batch flushes once, however many tables it frees")
    func batch() throws {
        let pool = TablePool(pages: 256)
        var tables = try PageTables(format: turing, windows: [pool.window], hooks: pool)
        try tables.get(0, 64 << 20, shift: 12)
        let before = pool.flushes
        tables.beginBatch()
        try tables.put(0, 32 << 20, shift: 12)
        try tables.put(32 << 20, 32 << 20, shift: 12)
        #expect(pool.flushes == before)
        tables.endBatch()
        #expect(pool.flushes == before + 1)
    }

    @Test("misuse is EINVAL and changes nothing; running out of tables is ENOMEM and leaves none behind")
    func errors() throws {
        let pool = TablePool(pages: 8)
        var tables = try PageTables(
            format: turing, windows: [pool.window], kernelAddr: 1 << 39, kernelSize: 1 << 39, hooks: pool)
        let vram = MapAttributes(target: .vram, objectShift: 12)
        let piece = [PhysicalPiece(addr: 0x1000, size: 0x1000)]
        #expect(throws: KernelErrno.EINVAL) {
            try tables.map(0, 0x1000, shift: 12, pieces: piece, offset: 0, vram)
        }
        #expect(throws: KernelErrno.EINVAL) { try tables.put(0, 0x1000, shift: 12) }
        #expect(throws: KernelErrno.EINVAL) { try tables.get(1 << 39, 0x1000, shift: 12) }
        #expect(throws: KernelErrno.EINVAL) { try tables.get(0, 0x1000, shift: 13) }
        #expect(throws: KernelErrno.ENOMEM) { try tables.get(0, 64 << 20, shift: 12) }
        let left = tables.tables()
        #expect(left.count == 1)
        try tables.get(0, 0x1000, shift: 12)
        #expect(throws: KernelErrno.EINVAL) {
            try tables.map(0, 0x1000, shift: 12, pieces: [PhysicalPiece(addr: 1 << 40, size: 0x1000)], offset: 0, vram)
        }
        let (seen, broken) = (tables.walk(0).result, tables.check())
        #expect(seen == .fault(.pte))
        #expect(broken == nil)
    }
}

@Suite("Format") struct FormatTests {
    @Test("what is encoded decodes to the same, for every class and leaf level")
    func roundTrip() throws {
        for name in ["gp100", "gp10b", "gv100", "tu102", "ga102"] {
            let format = try #require(Format(named: name))
            var pte = PTE()
            pte.addr = 0x1_2340_0000
            pte.aperture = .host
            pte.vol = true
            pte.ro = true
            pte.kind = 6
            for level in [Level.spt, .lpt, .pd0] {
                let words = try format.encode(pte, at: level)
                #expect(format.decode(words, at: level) == .page(pte), "\(name) \(level)")
                #expect(format.fields(words, at: level).contains { $0.isAddress && $0.value == pte.addr })
            }
        }
    }

    @Test("NVIDIA's worked examples of the Pascal format")
    func literals() throws {
        let format = try #require(Format(named: "gp100"))
        var pte = PTE()
        pte.addr = 0x399_9999_9999_9000
        pte.aperture = .host
        pte.vol = true
        #expect(try format.encode(pte, at: .spt).low == 0x39_9999_9999_990d)
        var vram = PTE()
        vram.addr = 0x1b_bbbb_b000
        vram.ro = true
        vram.atomicDisable = true
        #expect(try format.encode(vram, at: .spt).low == 0x1_bbbb_bbc1)
        vram.aperture = .peer
        #expect(try format.encode(vram, at: .spt).low == 0x1_bbbb_bbc3)
    }

    @Test("an unknown class, chip or level is nil")
    func unknown() throws {
        #expect(Format(named: "nv99") == nil)
        #expect(Chip(chipset: 0x999) == nil)
        #expect(Chip(chipset: -1) == nil)
        #expect(Chip(chipset: 0x162)?.format.name == "tu102")
        #expect(Chip(chipset: 0x172)?.format.name == "ga100")
        #expect(Format(named: "tu102")?.level(named: "pd9") == nil)
        #expect(Format(named: "tu102")?.level(named: "PTE") == .spt)
    }
}
