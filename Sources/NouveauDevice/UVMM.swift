package import GPUVM
internal import KernelErrno
package import NVMMU
internal import NouveauUAPI

/// What the device knows of a mapping; lives in the mapping's own bytes in the C library, pieces start with a copy.
package struct MappingState: BitwiseCopyable, Sendable {
    private var kindBits: UInt8 = 0
    private var shiftBits: UInt8 = 0
    /// Lies in a sparse region: unmapped addresses become sparse again.
    package var inRegion = false
    /// Unmapped by the same VM_BIND that mapped it, so its entries are never written.
    var isGone = false
    /// Which VM_BIND of the space made it, from 1.
    package var bind: UInt32 = 0

    init(kind: Int, pageShift: Int, inRegion: Bool, bind: UInt32) {
        kindBits = UInt8(truncatingIfNeeded: kind)
        self.inRegion = inRegion
        self.bind = bind
        self.pageShift = pageShift
    }

    package var kind: Int { Int(kindBits) }
    /// log2 of the pages its entries have: the whole mapping has one size, and one reference on each page.
    package internal(set) var pageShift: Int {
        get { Int(shiftBits) }
        set { shiftBits = UInt8(truncatingIfNeeded: newValue) }
    }
}

/// A client's address space (the kernel's nouveau_uvmm): the VA space, the page tables and the sparse regions.
///
/// Invariants, between calls: each mapping holds one page-table reference on each of its pages of its `pageShift`
/// and nothing else does but sparse regions; entries show the object's memory; no mapping crosses a region's border;
/// a pair is there exactly while its object is mapped.
package final class UVMM {
    package var space: AddressSpace
    package var tables: PageTables
    var sparse = SparseRegions()
    package var regions: [SparseRegion] { sparse.all }

    let name: String
    let kernelAddr, kernelSize: UInt64
    let pageSizes: [PageSize]
    /// VM_BIND calls so far.
    var bindCount: UInt32 = 0
    private var pairs: [UInt64: PairID] = [:]
    private var objects: [PairID: BufferObject] = [:]

    /// Exclusive end of every VA space.
    static let end: UInt64 = 1 << 47

    /// - Throws: `EINVAL`: a kernel area beyond the addresses of the hardware; `ENOMEM`.
    init(name: String, kernelAddr: UInt64, kernelSize: UInt64, device: Device) throws(KernelErrno) {
        self.name = name
        self.kernelAddr = kernelAddr
        self.kernelSize = kernelSize
        pageSizes = device.pageSizes
        space = try AddressSpace(
            start: 0, range: Self.end, kernelStart: kernelAddr, kernelRange: kernelSize,
            userSize: MemoryLayout<MappingState>.size)
        tables = try PageTables(
            format: device.chip.format, windows: [device.memory.tables.window], kernelAddr: kernelAddr,
            kernelSize: kernelSize, hooks: TableHooks(device))
    }

    /// Takes everything apart: mappings with their entries, references and objects, then the sparse regions.
    func tearDown() {
        var mappings: [Mapping] = []
        space.forEach { (mapping: Mapping) in
            if mapping.id != .kernel { mappings.append(mapping) }
        }
        tables.beginBatch()
        for mapping in mappings {
            let state = state(of: mapping.id)
            // What is in the space has its references and can be removed.
            try? tables.unmap(mapping.addr, mapping.range, shift: state.pageShift, sparse: state.inRegion)
            try? tables.put(mapping.addr, mapping.range, shift: state.pageShift)
            try? space.remove(mapping.id)
            releaseIfUnmapped(mapping.pair!)
        }
        for region in sparse.all { try? tables.putSparse(region.addr, region.range) }
        tables.endBatch()
        sparse.removeAll()
    }
}

// MARK: - What mappings carry

extension UVMM {
    /// Of a mapping, or of a victim that a job still holds.
    package func state(of mapping: MappingID) -> MappingState {
        statePointer(mapping).pointee
    }

    func setState(of mapping: MappingID, _ state: MappingState) {
        statePointer(mapping).pointee = state
    }

    private func statePointer(_ mapping: MappingID) -> UnsafeMutablePointer<MappingState> {
        space.userData(mapping)!.assumingMemoryBound(to: MappingState.self)
    }
}

// MARK: - Pairs

extension UVMM {
    package func object(of pair: PairID) -> BufferObject? {
        objects[pair]
    }

    /// The object that a mapping shows.
    func object(behind mapping: Mapping) -> BufferObject? {
        guard let pair = mapping.pair else { return nil }
        return object(of: pair)
    }

    /// The pair of the space and an object, made where there is none; it keeps the object alive.
    func pair(for object: BufferObject) throws(KernelErrno) -> PairID {
        if let pair = pairs[object.id] { return pair }
        let pair = try space.makePair(cookie: object.id)
        pairs[object.id] = pair
        objects[pair] = object
        return pair
    }

    /// Ends a pair that nothing is mapped through.
    func releaseIfUnmapped(_ pair: PairID) {
        guard let object = objects[pair], space.linkCount(pair) == 0 else { return }
        // Busy while a job holds a victim of the pair: that job comes back for it.
        guard (try? space.destroyPair(pair)) != nil else { return }
        pairs[object.id] = nil
        objects[pair] = nil
    }

    package var pairCount: Int { pairs.count }
}

// MARK: - VM_INIT

extension DeviceFile {
    func vmInit(_ a: Argument) throws(KernelErrno) {
        let call = VMInit(a)
        let (end, wraps) = call.kernelAddr.addingReportingOverflow(call.kernelSize)
        guard !wraps, end <= UVMM.end else { throw .EINVAL }
        guard !isUVMMDisabled else { throw .ENOSYS }
        // The kernel would leak the first one (deviation VM-INIT-TWICE).
        guard uvmm == nil else { throw .EBUSY }
        uvmm = try UVMM(name: name, kernelAddr: call.kernelAddr, kernelSize: call.kernelSize, device: device)
    }
}

// MARK: - Table memory

/// Gives a space's tables memory of the device and counts what they do.
private final class TableHooks: PageTableHooks {
    private unowned let device: Device

    init(_ device: Device) {
        self.device = device
    }

    func allocTable(size: Int, align: Int) -> TableMemory? {
        guard let memory = device.memory.tables.allocate(size: size, align: align) else { return nil }
        device.statistics.tablesMade += 1
        return memory
    }

    func freeTable(_ memory: TableMemory, size: Int) {
        device.statistics.tablesFreed += 1
        device.memory.tables.free(memory, size: size)
    }

    func flush(_ flush: Flush) {
        device.statistics.flushes += 1
    }
}
