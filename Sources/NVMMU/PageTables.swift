package import CGPUVMBase
package import CNVMMU
public import KernelErrno

/// Memory that GPU addresses `[base, base + size)` of an aperture stand for.
public struct MemoryWindow: @unchecked Sendable {
    public var aperture: Aperture
    public var base: UInt64
    /// 8-byte aligned; outlives every user of the window.
    public var memory: UnsafeMutableRawBufferPointer

    public init(aperture: Aperture, base: UInt64, memory: UnsafeMutableRawBufferPointer) {
        self.aperture = aperture
        self.base = base
        self.memory = memory
    }

    var c: nvmmu_window {
        nvmmu_window(
            base: base, size: UInt64(memory.count), cpu: memory.baseAddress, aperture: aperture.rawValue)
    }
}

/// Memory of one table.
public struct TableMemory: @unchecked Sendable {
    public var addr: UInt64
    public var aperture: Aperture
    public var cpu: UnsafeMutableRawPointer
    /// Every byte that was asked for is known to be 0: memory given out need not be cleared; memory that comes back may go
    /// out like that.
    public var zeroed: Bool

    public init(addr: UInt64, aperture: Aperture, cpu: UnsafeMutableRawPointer, zeroed: Bool = false) {
        self.addr = addr
        self.aperture = aperture
        self.cpu = cpu
        self.zeroed = zeroed
    }
}

/// A TLB flush.
public struct Flush: Hashable, Sendable {
    public var root: UInt64
    public var rootAperture: Aperture
    public var depth: Int
    /// The space belongs to the BARs.
    public var bar: Bool
    public var va, size: UInt64
}

/// What page tables ask of their owner.
public protocol PageTableHooks: AnyObject {
    /// Memory for a table, inside a window, content undefined unless it is `zeroed`; `nil`: out of memory.
    func allocTable(size: Int, align: Int) -> TableMemory?
    func freeTable(_ memory: TableMemory, size: Int)
    /// TLBs must forget now; tables unlinked before are freed when it returns.
    func flush(_ flush: Flush)
    /// Whether ``wrote(table:index:count:)`` is to be called; asked once.
    var observesWrites: Bool { get }
    /// Entries of a table were written, in this order. For tests.
    func wrote(table: UInt64, index: Int, count: Int)
}

extension PageTableHooks {
    public func flush(_ flush: Flush) {}
    public var observesWrites: Bool { false }
    public func wrote(table: UInt64, index: Int, count: Int) {}
}

/// What old chips want to know of a space. Addresses are bytes.
public struct SpaceLimits: Hashable, Sendable {
    /// The space has the addresses from `start` up to `limit`, which is not in it; both 0: all of the format.
    public var start: UInt64 = 0
    public var limit: UInt64 = 0
    /// mcp77: where VRAM begins in system memory; 0: there is VRAM.
    public var stolen: UInt64 = 0
    /// nv44: 16 KiB of memory that unmapped addresses may show.
    public var dummy: UInt64 = 0

    public init() {}
}

/// The page tables of one address space, with nouveau's policy: references per page size, dual tables, sparse
/// ranges, merged flushes. Addresses and sizes are bytes, ends exclusive. The caller serialises the calls on one
/// value; walks may run meanwhile. A failed call changes nothing. `<nvmmu/vmm.h>` has the contract of each call.
public struct PageTables: ~Copyable {
    let vmm: OpaquePointer
    /// Addresses given out; `nil`: none are.
    var vmas: OpaquePointer?
    private let owner: HookOwner

    /// Makes an empty space. `kernelAddr`/`kernelSize` is the area that the raw operations may not touch. `keepLarge`:
    /// a mapped page stays, and hides smaller ones that are referenced below it, until it is unmapped; otherwise it
    /// gives way to the first such reference, as in nouveau.
    /// - Throws: `EINVAL`: the kernel area or `limits` exceed the address bits; `ENOMEM`.
    public init(
        format: Format, windows: [MemoryWindow], kernelAddr: UInt64 = 0, kernelSize: UInt64 = 0, gspRM: Bool = false,
        keepLarge: Bool = false, limits: SpaceLimits = SpaceLimits(), hooks: any PageTableHooks
    ) throws(KernelErrno) {
        try self.init(
            format: format, windows: windows, kernelAddr: kernelAddr, kernelSize: kernelSize, gspRM: gspRM,
            keepLarge: keepLarge, limits: limits, hooks: hooks, allocator: gpuvm_alloc())
    }

    /// The same with the memory of all but tables from `allocator`.
    package init(
        format: Format, windows: [MemoryWindow], kernelAddr: UInt64, kernelSize: UInt64, gspRM: Bool = false,
        keepLarge: Bool, limits: SpaceLimits = SpaceLimits(), hooks: any PageTableHooks, allocator: gpuvm_alloc
    ) throws(KernelErrno) {
        let owner = HookOwner(hooks)
        var config = nvmmu_vmm_config()
        config.size = MemoryLayout<nvmmu_vmm_config>.size
        config.format = format.f
        config.kernel_addr = kernelAddr
        config.kernel_size = kernelSize
        config.gsp_rm = gspRM
        config.keep_large = keepLarge
        config.start = limits.start
        config.limit = limits.limit
        config.stolen = limits.stolen
        config.dummy = limits.dummy
        config.hooks = owner.c
        config.alloc = allocator
        var vmm: OpaquePointer?
        let result = windows.map(\.c).withUnsafeBufferPointer { windows in
            config.windows = windows.baseAddress
            config.window_count = windows.count
            return nvmmu_vmm_create(&config, &vmm)
        }
        try KernelErrno.check(result)
        self.vmm = vmm!
        self.owner = owner
    }

    deinit {
        nvmmu_vmas_destroy(vmas)
        nvmmu_vmm_destroy(vmm)
    }

    /// The first invariant found broken, or `nil`. For tests; slow.
    public func check() -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { why in
            let sound =
                nvmmu_vmm_check(vmm, why.baseAddress, why.count) == 0
                && (vmas.map { nvmmu_vmas_check($0, why.baseAddress, why.count) } ?? 0) == 0
            return sound ? nil : String(cString: why.baseAddress!)
        }
    }
}

// MARK: - Operations

/// Memory of an object and how it is to be seen.
public struct MapAttributes: Hashable, Sendable {
    /// VRAM, host or ncoh.
    public var target: Aperture
    /// log2 of the smallest page the object's memory is contiguous and aligned for.
    public var objectShift: Int
    public var kind = 0
    public var vol = false
    public var ro = false
    public var priv = false
    /// Fermi to Maxwell: keep a compressible kind, the object's tag lines beginning with this one.
    public var comptag: UInt32?
    /// Tesla: the order over the banks that an object in VRAM was allocated for, 1 or 2.
    public var storage = 1
    /// Tesla: compression mode, 1 to 3, with tags from `comptag` on; 0: none.
    public var compression = 0
    /// nouveau's empty arguments: volatile where the target is coherent host memory, the rest off.
    public var defaults = false

    public init(target: Aperture, objectShift: Int) {
        self.target = target
        self.objectShift = objectShift
    }

    /// The C library's view of one object's parts while `body` maps them.
    package func withC(_ pieces: [PhysicalPiece], _ body: (UnsafePointer<nvmmu_map>) -> Void) {
        withC(0, 0, .pieces(pieces), offset: 0, body)
    }

    /// The C library's view of a map while `body` runs; `memory` is the object's.
    func withC<R>(
        _ va: UInt64, _ size: UInt64, shift: Int = 0, _ memory: ObjectMemory, offset: UInt64,
        _ body: (UnsafePointer<nvmmu_map>) -> R
    ) -> R {
        var m = c
        m.va = va
        m.size = size
        m.shift = UInt32(orMax: shift)
        m.offset = offset
        switch memory {
        case .pieces(let pieces):
            return pieces.withUnsafeBytes { raw in
                // PhysicalPiece has the layout of nvmmu_piece: two 64-bit numbers.
                m.pieces = raw.assumingMemoryBound(to: nvmmu_piece.self).baseAddress
                m.piece_count = pieces.count
                return body(&m)
            }
        case .pages(let pages):
            return pages.withUnsafeBufferPointer { pages in
                m.pages = pages.baseAddress
                m.page_count = pages.count
                return body(&m)
            }
        }
    }

    private var c: nvmmu_map {
        var m = nvmmu_map()
        m.target = target.rawValue
        m.object_shift = UInt8(clamping: objectShift)
        m.kind = UInt8(orMax: kind) // no format has a kind 0xff
        m.vol = vol
        m.ro = ro
        m.priv = priv
        m.defaults = defaults
        m.comptags = comptag != nil
        m.comptag = comptag ?? 0
        m.storage = UInt8(orMax: storage)
        m.comp = UInt8(orMax: compression)
        return m
    }
}

/// A stretch of physical memory, in bytes.
public struct PhysicalPiece: Hashable, Sendable {
    public var addr, size: UInt64

    public init(addr: UInt64, size: UInt64) {
        self.addr = addr
        self.size = size
    }
}

/// Where an object's memory is, in object order.
public enum ObjectMemory: Hashable, Sendable {
    case pieces([PhysicalPiece])
    /// Addresses of 4 KiB pages; only for pages of that size.
    case pages([UInt64])
}

extension PageTables {
    /// One flush for everything up to ``endBatch()``; nestable.
    public mutating func beginBatch() {
        nvmmu_vmm_begin(vmm)
    }

    public mutating func endBatch() {
        nvmmu_vmm_end(vmm)
    }

    /// Takes references, building tables. - Throws: `EINVAL`, `ENOMEM`.
    public mutating func get(_ va: UInt64, _ size: UInt64, shift: Int) throws(KernelErrno) {
        try KernelErrno.check(nvmmu_vmm_get(vmm, va, size, UInt32(orMax: shift)))
    }

    /// Drops references, freeing tables. - Throws: `EINVAL`: an entry without a reference.
    public mutating func put(_ va: UInt64, _ size: UInt64, shift: Int) throws(KernelErrno) {
        try KernelErrno.check(nvmmu_vmm_put(vmm, va, size, UInt32(orMax: shift)))
    }

    /// Writes the entries of referenced pages from the object's `pieces`, `offset` bytes in.
    /// - Throws: `EINVAL`: see `<nvmmu/vmm.h>`.
    public mutating func map(
        _ va: UInt64, _ size: UInt64, shift: Int, pieces: [PhysicalPiece], offset: UInt64, _ attributes: MapAttributes
    ) throws(KernelErrno) {
        let result = attributes.withC(va, size, shift: shift, .pieces(pieces), offset: offset) {
            nvmmu_vmm_map(vmm, $0)
        }
        try KernelErrno.check(result)
    }

    /// Maps parts of one object, as the C library takes them.
    /// - Returns: how many were mapped; if not all, the next one is refused.
    package mutating func map(
        _ object: UnsafePointer<nvmmu_map>, _ parts: UnsafeBufferPointer<nvmmu_part>
    ) -> Int {
        nvmmu_vmm_map_parts(vmm, object, parts.baseAddress, parts.count)
    }

    /// The same from addresses of 4 KiB pages; `shift` must be 12.
    public mutating func map(
        _ va: UInt64, _ size: UInt64, shift: Int, pages: [UInt64], offset: UInt64, _ attributes: MapAttributes
    ) throws(KernelErrno) {
        let result = attributes.withC(va, size, shift: shift, .pages(pages), offset: offset) {
            nvmmu_vmm_map(vmm, $0)
        }
        try KernelErrno.check(result)
    }

    /// Clears entries of referenced pages, to sparse or to not valid. - Throws: `EINVAL`.
    public mutating func unmap(_ va: UInt64, _ size: UInt64, shift: Int, sparse: Bool) throws(KernelErrno) {
        try KernelErrno.check(nvmmu_vmm_unmap(vmm, va, size, UInt32(orMax: shift), sparse))
    }

    /// Makes a range sparse with the largest pages that fit.
    /// - Throws: `EINVAL`: no sparse pages in the format, or it overlaps a sparse range; `ENOMEM`.
    public mutating func getSparse(_ va: UInt64, _ size: UInt64) throws(KernelErrno) {
        try KernelErrno.check(nvmmu_vmm_sparse(vmm, va, size, true))
    }

    /// Undoes exactly one ``getSparse(_:_:)``. - Throws: `EINVAL`: no sparse range has these bounds.
    public mutating func putSparse(_ va: UInt64, _ size: UInt64) throws(KernelErrno) {
        try KernelErrno.check(nvmmu_vmm_sparse(vmm, va, size, false))
    }
}

// MARK: - Looking inside

/// A hardware table.
public struct TableInfo: @unchecked Sendable {
    public var level: Level
    /// First address it covers.
    public var va: UInt64
    public var addr: UInt64
    public var aperture: Aperture
    public var entries: Int
    /// Its memory; valid until the tables change.
    public var memory: UnsafeRawBufferPointer

    public init(
        level: Level, va: UInt64, addr: UInt64, aperture: Aperture, entries: Int, memory: UnsafeRawBufferPointer
    ) {
        self.level = level
        self.va = va
        self.addr = addr
        self.aperture = aperture
        self.entries = entries
        self.memory = memory
    }

    /// Entry `index` of a table whose entries have `entryBytes` bytes.
    public func words(_ index: Int, entryBytes: Int) -> EntryWords {
        let at = index * entryBytes
        if entryBytes == 4 { return EntryWords(UInt64(memory.load(fromByteOffset: at, as: UInt32.self))) }
        return EntryWords(
            memory.load(fromByteOffset: at, as: UInt64.self),
            entryBytes == 16 ? memory.load(fromByteOffset: at + 8, as: UInt64.self) : 0)
    }
}

/// nvkm's counters of one software table.
public struct TableCounters: Hashable, Sendable {
    /// 0 is the leaf.
    public var depthFromLeaf: Int
    public var va: UInt64
    /// References of the directory or big table, and of the small table.
    public var refs: (big: UInt32, small: UInt32) { (big, small) }
    var big, small: UInt32
    public var sparse: Bool
}

extension PageTables {
    /// Walks one address and keeps every step.
    public func walk(_ va: UInt64) -> Walk {
        var space = nvmmu_vmm_space(vmm)
        var walk = nvmmu_walk()
        nvmmu_walk(&space, va, &walk)
        return Walk(walk)
    }

    /// Calls `body` with extents that cover `[va, va + size)` exactly, ascending.
    public func forEachExtent(_ va: UInt64, _ size: UInt64, _ body: (Extent) -> Void) {
        var space = nvmmu_vmm_space(vmm)
        var it = nvmmu_extents()
        var extent = nvmmu_extent()
        nvmmu_extents_init(&it, &space, va, size)
        while nvmmu_extents_next(&it, &extent) {
            body(Extent(extent))
        }
    }

    /// All hardware tables, root first, in address order, a directory before what is below it.
    public func tables() -> [TableInfo] {
        let geometry = Dictionary(uniqueKeysWithValues: format.levels.map { ($0.level, $0.entryBytes) })
        var tables: [nvmmu_table_info] = []
        withUnsafeMutablePointer(to: &tables) { list in
            _ = nvmmu_vmm_tables(
                vmm,
                { list, info in
                    list!.assumingMemoryBound(to: [nvmmu_table_info].self).pointee.append(info!.pointee)
                    return 0
                }, list)
        }
        return tables.map { t in
            let level = Level(t.level)
            return TableInfo(
                level: level, va: t.va, addr: t.addr, aperture: Aperture(rawValue: t.aperture)!,
                entries: Int(t.entries),
                memory: UnsafeRawBufferPointer(start: t.cpu, count: Int(t.entries) * geometry[level]!))
        }
    }

    /// nvkm's counters of all software tables.
    public func counters() -> [TableCounters] {
        var counters: [TableCounters] = []
        withUnsafeMutablePointer(to: &counters) { list in
            _ = nvmmu_vmm_counters(
                vmm,
                { list, c in
                    let c = c!.pointee
                    list!.assumingMemoryBound(to: [TableCounters].self).pointee.append(
                        TableCounters(
                            depthFromLeaf: Int(c.depth_from_leaf), va: c.va, big: c.refs.0, small: c.refs.1,
                            sparse: c.sparse))
                    return 0
                }, list)
        }
        return counters
    }

    /// The address of the root directory, or of the only table.
    public var root: UInt64 { nvmmu_vmm_space(vmm).root }

    public var format: Format { Format(nvmmu_vmm_space(vmm).format) }

    /// As the C library's walkers and engines want it; valid as long as the tables are.
    package var space: nvmmu_space { nvmmu_vmm_space(vmm) }
}

// MARK: - Hooks across the border

/// Keeps the hooks alive and lends them to C.
private final class HookOwner {
    let hooks: any PageTableHooks

    init(_ hooks: any PageTableHooks) {
        self.hooks = hooks
    }

    var c: nvmmu_vmm_hooks {
        nvmmu_vmm_hooks(
            ctx: Unmanaged.passUnretained(self).toOpaque(),
            alloc_table: { ctx, size, align, out in
                let memory = HookOwner.of(ctx)._withUnsafeGuaranteedRef {
                    $0.hooks.allocTable(size: size, align: align)
                }
                guard let memory else { return -KernelErrno.ENOMEM.rawValue }
                out!.pointee = nvmmu_table_mem(
                    addr: memory.addr, cpu: memory.cpu, aperture: memory.aperture.rawValue, zeroed: memory.zeroed)
                return 0
            },
            free_table: { ctx, mem, size in
                let mem = mem!.pointee
                let memory = TableMemory(
                    addr: mem.addr, aperture: Aperture(rawValue: mem.aperture)!, cpu: mem.cpu, zeroed: mem.zeroed)
                HookOwner.of(ctx)._withUnsafeGuaranteedRef { $0.hooks.freeTable(memory, size: size) }
            },
            flush: { ctx, flush in
                let f = flush!.pointee
                let flush = Flush(
                    root: f.root, rootAperture: Aperture(rawValue: f.root_aperture)!, depth: Int(f.depth), bar: f.bar,
                    va: f.va, size: f.size)
                HookOwner.of(ctx)._withUnsafeGuaranteedRef { $0.hooks.flush(flush) }
            },
            wrote: hooks.observesWrites
                ? { ctx, table, index, count in
                    HookOwner.of(ctx)._withUnsafeGuaranteedRef {
                        $0.hooks.wrote(table: table, index: Int(index), count: Int(count))
                    }
                } : nil)
    }

    static func of(_ ctx: UnsafeMutableRawPointer?) -> Unmanaged<HookOwner> { .fromOpaque(ctx!) }
}
