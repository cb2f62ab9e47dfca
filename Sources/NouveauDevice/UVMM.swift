internal import CGPUVM
internal import CGPUVMBase
internal import CNVMMU
internal import DRMExec
internal import DRMLock
package import GPUVM
internal import Glibc
internal import KernelErrno
package import NVMMU
internal import NouveauUAPI
internal import Synchronization

/// What the device knows of a mapping; lives in the mapping's own bytes in the C library, pieces start with a copy.
///
/// Two words, since many are copied: what entries need of it and the handle; who made and who writes it.
package struct MappingState: BitwiseCopyable, Sendable {
    private var shown: UInt64 = 0
    private var binds: UInt64 = 0

    private static let regionBit: UInt64 = 1 << 16
    private static let goneBit: UInt64 = 1 << 17

    init() {}

    init(kind: Int, pageShift: Int, handle: UInt32, bind: UInt32) {
        shown = UInt64(UInt8(truncatingIfNeeded: kind)) << 8 | UInt64(UInt8(truncatingIfNeeded: pageShift)) | UInt64(handle) << 32
        binds = UInt64(bind) << 32 | UInt64(bind)
    }

    package var kind: Int { Int(UInt8(truncatingIfNeeded: shown >> 8)) }
    /// log2 of the pages its entries have: the whole mapping has one size, and one reference on each page.
    package internal(set) var pageShift: Int {
        get { Int(UInt8(truncatingIfNeeded: shown)) }
        set { shown = shown & ~0xff | UInt64(UInt8(truncatingIfNeeded: newValue)) }
    }
    /// Lies in a sparse region: unmapped addresses become sparse again.
    package var inRegion: Bool {
        get { shown & Self.regionBit != 0 }
        set { shown = newValue ? shown | Self.regionBit : shown & ~Self.regionBit }
    }
    /// Unmapped by the same VM_BIND that mapped it, so its entries are never written.
    var isGone: Bool {
        get { shown & Self.goneBit != 0 }
        set { shown = newValue ? shown | Self.goneBit : shown & ~Self.goneBit }
    }
    /// The handle by which it named its object.
    package var handle: UInt32 { UInt32(truncatingIfNeeded: shown >> 32) }
    /// Which VM_BIND of the space made it, from 1.
    package var bind: UInt32 { UInt32(truncatingIfNeeded: binds >> 32) }
    /// Which one writes, or wrote, its entries.
    var writer: UInt32 {
        get { UInt32(truncatingIfNeeded: binds) }
        set { binds = binds & ~UInt64(UInt32.max) | UInt64(newValue) }
    }
}

/// A client's address space (the kernel's nouveau_uvmm): the VA space, the page tables and the sparse regions.
///
/// Invariants, while no job is under way: each mapping holds one page-table reference on each of its pages of its
/// `pageShift` and nothing else does but sparse regions; entries show the object's memory, and are not there while the
/// object is away; no mapping crosses a region's border; a pair is there exactly while its object is mapped.
///
/// Locks: ``mutex`` guards the space and the regions; within it, and within reservations, ``changeTables(_:)`` has a
/// mutex for the page tables, the only one that jobs and engines take where fences depend on them. What changes
/// mappings has both (but ``tearDown()``, when there are no engines any more), so either is enough to go through them; to
/// look one up by its address, which the space remembers, ``mutex`` is needed. Walks take none.
package final class UVMM: @unchecked Sendable {
    package let vm: VM
    @exclusivity(unchecked) package var tables: PageTables
    @exclusivity(unchecked) var sparse = SparseRegions()
    package var regions: [SparseRegion] { sparse.all }
    /// Of engines.
    let walks: TableWalks
    let mutex: SleepingMutex
    private let tablesMutex: SleepingMutex
    let evictor: Evictor
    /// Of the buffers that are the space's own.
    let lastUse: LastUse

    let name: String
    /// Of what the space knows.
    let allocator: gpuvm_alloc
    let kernelAddr, kernelSize: UInt64
    /// VM_BIND calls so far.
    private let binds = Atomic<UInt32>(0)

    /// Exclusive end of every VA space.
    static let end: UInt64 = 1 << 47
    static let lockClass = LockClass("uvmm.mutex")
    static let tablesLockClass = LockClass("vmm.mutex")

    /// - Throws: `EINVAL`: a kernel area beyond the addresses of the hardware; `ENOMEM`.
    init(name: String, kernelAddr: UInt64, kernelSize: UInt64, device: Device) throws(KernelErrno) {
        self.name = name
        self.kernelAddr = kernelAddr
        self.kernelSize = kernelSize
        evictor = device.evictor
        lastUse = LastUse(0)
        mutex = SleepingMutex(Self.lockClass, gate: device.gate)
        tablesMutex = SleepingMutex(Self.tablesLockClass, gate: device.gate)
        let host = device.options.host
        allocator = host.allocator
        let walks = TableWalks(gate: device.gate)
        self.walks = walks
        tables = try PageTables(
            format: device.chip.format, windows: [device.memory.tables.window], kernelAddr: kernelAddr,
            kernelSize: kernelSize, keepLarge: true, hooks: TableHooks(device, walks), allocator: host.allocator)
        let driver = Driver()
        vm = try VM(
            name: name, gate: device.gate, driver: driver, resvObject: VM.makeResvObject(gate: device.gate), start: 0,
            range: Self.end, kernelStart: kernelAddr, kernelRange: kernelSize,
            userSize: MemoryLayout<MappingState>.size, allocator: host.allocator)
        vm.allocate = { host.maySpare() ? malloc($0) : nil }
        driver.uvmm = self
    }

    /// Looks at the space while jobs may be under way.
    package func withLock<R>(_ body: () -> R) -> R {
        mutex.lock()
        defer { mutex.unlock() }
        return body()
    }

    /// The number of the last VM_BIND that got as far as to have one; 0: none.
    package var lastBind: UInt32 { binds.load(ordering: .relaxed) }

    /// - Returns: the number of the next VM_BIND, from 1.
    func nextBind() -> UInt32 { binds.wrappingAdd(1, ordering: .relaxed).newValue }

    /// Takes everything apart: mappings with their entries, references and objects, then the sparse regions. No job is
    /// under way.
    func tearDown() {
        mutex.lock()
        defer { mutex.unlock() }
        var mappings: [Mapping] = []
        vm.space.forEach { (mapping: Mapping) in
            if mapping.id != .kernel { mappings.append(mapping) }
        }
        let entries = mappings.map { self.entries($0) }
        changeTables {
            for entries in entries {
                clear(entries)
                put(entries)
            }
            for region in sparse.all { putSparse(region) }
        }
        for (mapping, entries) in zip(mappings, entries) {
            withLocked(entries.object.takeUnretainedValue()) { _ = try? vm.remove(mapping.id) }
        }
        vm.put()
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

    func statePointer(_ mapping: MappingID) -> UnsafeMutablePointer<MappingState> {
        gpuvm_user(vm.core, mapping.rawValue)!.assumingMemoryBound(to: MappingState.self)
    }
}

// MARK: - The space's own calls

// Here, where nothing need be counted to reach the space.
extension UVMM {
    /// Carries out requests as one, and appends what they did to the list. Throws as ``VM/execute(_:into:)``.
    func execute(_ requests: UnsafeBufferPointer<gpuvm_req>, into list: inout OperationList) throws(KernelErrno) {
        try vm.execute(requests, into: &list)
    }

    func settleLinks() { vm.settleLinks() }
    func commit(_ list: inout OperationList) { vm.commit(&list) }
}

// MARK: - Pairs

extension UVMM {
    /// The object that a mapping shows. Mappings without one there are not.
    package func object(behind mapping: Mapping) -> BufferObject { object(of: mapping.pair!).takeUnretainedValue() }

    /// The object of a pair that is alive; not retained.
    func object(of pair: PairID) -> Unmanaged<BufferObject> {
        vm.object(of: pair)._withUnsafeGuaranteedRef {
            .passUnretained(unsafeDowncast($0, to: BufferObject.self))
        }
    }

    /// The pair of the space and an object, made where there is none; it keeps the object alive, and has EXEC see to the
    /// object if it is not the space's own. To be given back by ``put(_:)-(VMBO)``.
    func pair(for object: BufferObject) throws(KernelErrno) -> VMBO {
        try withLocked(object) { () throws(KernelErrno) in
            let pair = try VMBO.obtain(vm, object)
            pair.addExternal()
            return pair
        }
    }

    /// With the space's mutex: EXEC may be going through the external objects, and the last reference ends the pair.
    func put(_ pair: VMBO) { withLocked(pair.object) { _ = pair.put() } }

    private func withLocked<R>(
        _ object: MappableObject, _ body: () throws(KernelErrno) -> R
    ) throws(KernelErrno) -> R {
        // Without a ticket, and not interruptible, nothing can go wrong.
        try! object.reservation.lock.lock(nil)
        defer { object.reservation.unlock() }
        return try body()
    }

    private func withLocked(_ object: MappableObject, _ body: () -> Void) {
        try! withLocked(object) { () throws(KernelErrno) in body() }
    }

    /// The pairs that there are. For tests.
    package var pairCount: Int { vm.referenceCount - 1 - vm.space.count }
}

// MARK: - Page table entries

extension UVMM {
    /// Changes the tables, with one flush of TLBs.
    @inline(__always)
    func changeTables<E: Error>(_ body: () throws(E) -> Void) throws(E) {
        tablesMutex.lock()
        tables.beginBatch()
        defer {
            tables.endBatch()
            tablesMutex.unlock()
        }
        try body()
    }

    /// Looks at the space where fences may depend on it.
    func withTables<R>(_ body: () -> R) -> R {
        tablesMutex.lock()
        defer { tablesMutex.unlock() }
        return body()
    }

    /// The entries of a mapping, or of a part of it.
    func entries(_ mapping: Mapping) -> BindPlan.Entries { entries(mapping, mapping.addr, mapping.range) }

    func entries(_ mapping: Mapping, _ addr: UInt64, _ range: UInt64) -> BindPlan.Entries {
        BindPlan.Entries(
            addr: addr, range: range, offset: mapping.offset + (addr - mapping.addr), object: object(of: mapping.pair!),
            mapping: mapping.id, state: state(of: mapping.id))
    }

    // The rest with the tables' mutex.

    /// Writes entries; those of one object best in a row.
    func write(_ entries: UnsafeBufferPointer<BindPlan.Entries>) {
        var first = 0
        while first < entries.count {
            let object = entries[first].object
            var end = first + 1
            while end < entries.count, entries[end].object.toOpaque() == object.toOpaque() { end += 1 }
            write(UnsafeBufferPointer(rebasing: entries[first..<end]), of: object)
            first = end
        }
    }

    /// Where the MMU refuses (a kind it does not have), the kernel drops the error and leaves nothing mapped.
    private func write(_ entries: UnsafeBufferPointer<BindPlan.Entries>, of object: Unmanaged<BufferObject>) {
        let (place, objectShift, isResident) = object._withUnsafeGuaranteedRef {
            ($0.placement, $0.pageShift, $0.isResident)
        }
        guard isResident else { return }
        var attributes = MapAttributes(target: place.target, objectShift: objectShift)
        attributes.vol = attributes.target != .vram
        attributes.withC(place.pieces) { map in
            withUnsafeTemporaryAllocation(of: nvmmu_part.self, capacity: min(entries.count, Self.mostParts)) { parts in
                var done = 0
                while done < entries.count {
                    let count = min(parts.count, entries.count - done)
                    for i in 0..<count { parts.initializeElement(at: i, to: entries[done + i].part) }
                    let mapped = tables.map(map, UnsafeBufferPointer(rebasing: parts[..<count]))
                    done += mapped
                    if mapped < count {
                        clear(entries[done])
                        done += 1
                    }
                }
            }
        }
    }

    /// That are handed to the tables at once: 1024 bytes of them, the most that a temporary allocation takes from the
    /// stack, for `run` allocates nothing.
    private static let mostParts = 32

    /// The three below cannot fail on what holds references, which is all they are called for.
    func clear(_ entries: BindPlan.Entries) {
        try? tables.unmap(entries.addr, entries.range, shift: entries.state.pageShift, sparse: entries.state.inRegion)
    }

    func put(_ entries: BindPlan.Entries) {
        try? tables.put(entries.addr, entries.range, shift: entries.state.pageShift)
    }

    func putSparse(_ region: SparseRegion) {
        sparse.remove(region.addr)
        try? tables.putSparse(region.addr, region.range)
    }
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
        let space = try UVMM(name: name, kernelAddr: call.kernelAddr, kernelSize: call.kernelSize, device: device)
        uvmm = space
        device.note(space, of: self)
    }
}

// MARK: - Table memory

/// Gives a space's tables memory of the device and counts what they do.
private final class TableHooks: PageTableHooks {
    /// Not counted where it is used, which is often; but a job that was killed may let its space go as the last of all.
    private let keeper: Device
    private var device: Unmanaged<Device> { .passUnretained(keeper) }
    private let walks: TableWalks

    init(_ device: Device, _ walks: TableWalks) {
        keeper = device
        self.walks = walks
    }

    func allocTable(size: Int, align: Int) -> TableMemory? {
        device._withUnsafeGuaranteedRef { device in
            guard let memory = device.memory.tables.allocate(size: size, align: align) else { return nil }
            device.count { $0.tablesMade += 1 }
            return memory
        }
    }

    func freeTable(_ memory: TableMemory, size: Int) {
        device._withUnsafeGuaranteedRef { device in
            device.count { $0.tablesFreed += 1 }
            device.memory.tables.free(memory, size: size)
        }
    }

    func flush(_ flush: Flush) {
        device._withUnsafeGuaranteedRef { $0.count { $0.flushes += 1 } }
        walks.synchronize()
    }
}
