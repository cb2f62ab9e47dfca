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

/// Every class, by what `<nvmmu/format.h>` calls it.
private let classes = [
    "nv04", "nv41", "nv44", "nv50", "g84", "mcp77", "gf100", "gk104", "gk20a", "gm200", "gm20b", "gm200-64k", "gp100",
    "gp10b", "gv100", "tu102", "ga102", "gh100",
]

/// Numbers that are too wide for their fields, but would not be if they were cut: no call may take them for 0.
private let wide = [-1 << 32, 1 << 8, 1 << 16, 1 << 32]

@Suite("numbers wider than their fields") struct WideNumberTests {
    @Test("none is cut when an entry is encoded", arguments: classes)
    func entries(name: String) throws {
        let format = try #require(Format(named: name))
        var pte = PTE()
        pte.aperture = .host
        let leaf = try #require(format.level(named: "pte"))
        _ = try format.encode(pte, at: leaf)
        for number in wide {
            var changes: [(inout PTE) -> Void] = [{ $0.kind = number }, { $0.peer = number }]
            if tesla(name) { changes += [{ $0.block = number }, { $0.compression = number }] }
            for change in changes {
                var changed = pte
                change(&changed)
                #expect(throws: KernelErrno.EINVAL, "\(changed)") { try format.encode(changed, at: leaf) }
            }
            guard let directory = format.level(named: "pd0") else { continue }
            var pde = PDE()
            _ = try format.encode(big: nil, next: pde, at: directory)
            pde.shortening = number
            #expect(throws: KernelErrno.EINVAL, "\(pde)") { try format.encode(big: nil, next: pde, at: directory) }
        }
    }

    @Test("no such kind has a name or an uncompressed one", arguments: classes)
    func kinds(name: String) throws {
        let format = try #require(Format(named: name))
        for number in wide {
            #expect(format.uncompressedKind(number) == nil && format.storage(ofKind: number) == nil)
            #expect(format.kindName(number) == nil)
        }
    }

    @Test("none is cut when pages are referenced, mapped or unmapped", arguments: classes)
    func operations(name: String) throws {
        let format = try #require(Format(named: name))
        let integrated = ["gk20a", "gm20b", "gp10b"].contains(name) // memory that is not coherent, nothing else
        let page = try #require(format.pageSizes.first { integrated ? $0.host : $0.vram } ?? format.pageSizes.last)
        let (shift, size) = (page.shift, UInt64(1) << page.shift)
        let pool = TableHeap()
        var tables = try PageTables(format: format, windows: [pool.window], hooks: pool)
        let pieces = [PhysicalPiece(addr: 0, size: size)]
        let good = MapAttributes(target: integrated ? .ncoh : page.vram ? .vram : .host, objectShift: shift)
        try tables.get(0, size, shift: shift)
        try tables.map(0, size, shift: shift, pieces: pieces, offset: 0, good)
        var changes: [(inout MapAttributes, Int) -> Void] = [{ $0.kind = $1 }]
        if tesla(name) { changes += [{ $0.storage = $1 }, { $0.compression = $1 }] }
        for number in wide {
            #expect(throws: KernelErrno.EINVAL) { try tables.get(0, size, shift: number | shift) }
            #expect(throws: KernelErrno.EINVAL) { try tables.unmap(0, size, shift: number | shift, sparse: false) }
            #expect(throws: KernelErrno.EINVAL) { try tables.put(0, size, shift: number | shift) }
            #expect(throws: KernelErrno.EINVAL) {
                try tables.map(0, size, shift: number | shift, pieces: pieces, offset: 0, good)
            }
            for change in changes {
                var changed = good
                change(&changed, number)
                #expect(throws: KernelErrno.EINVAL, "\(changed)") {
                    try tables.map(0, size, shift: shift, pieces: pieces, offset: 0, changed)
                }
            }
        }
        // An object may be in one piece as large as it likes.
        var whole = good
        whole.objectShift = 1 << 8
        try tables.map(0, size, shift: shift, pieces: pieces, offset: 0, whole)
        whole.objectShift = -1
        #expect(throws: KernelErrno.EINVAL) { try tables.map(0, size, shift: shift, pieces: pieces, offset: 0, whole) }
    }

    private func tesla(_ name: String) -> Bool { ["nv50", "g84", "mcp77"].contains(name) }

    /// Tables of any size, one behind the other.
    private final class TableHeap: PageTableHooks {
        let window: MemoryWindow
        private var used = 0

        init() {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 << 20, alignment: 1 << 20)
            window = MemoryWindow(aperture: .vram, base: 1 << 30, memory: memory)
        }

        deinit {
            window.memory.deallocate()
        }

        func allocTable(size: Int, align: Int) -> TableMemory? {
            let at = (used + align - 1) / align * align
            guard at + size <= window.memory.count else { return nil }
            used = at + size
            return TableMemory(addr: window.base + UInt64(at), aperture: .vram, cpu: window.memory.baseAddress! + at)
        }

        func freeTable(_ memory: TableMemory, size: Int) {}
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
