internal import CGPUVM
package import CGPUVMBase
public import KernelErrno

/// A GPU's virtual address space: who is mapped where (the kernel's `drm_gpuvm`).
///
/// Units are the caller's choice, bytes or pages; ends are exclusive. The space never picks an address. The caller
/// serialises the calls on one space; a failed call leaves it as it was. The C header `<gpuvm/gpuvm.h>` has the
/// contract of each call.
public struct AddressSpace: ~Copyable {
    let vm: OpaquePointer

    /// Makes a space of the window `[start, start + range)`. A `kernelRange` of 0 reserves nothing. Each mapping has
    /// room for `userSize` bytes of the caller's.
    /// - Throws: `EINVAL` for a `userSize` above 4096, `ENOMEM`.
    public init(
        start: UInt64, range: UInt64, kernelStart: UInt64 = 0, kernelRange: UInt64 = 0, userSize: Int = 0
    ) throws(KernelErrno) {
        try self.init(
            start: start, range: range, kernelStart: kernelStart, kernelRange: kernelRange, userSize: userSize,
            allocator: gpuvm_alloc())
    }

    /// The same with memory from `allocator`.
    package init(
        start: UInt64, range: UInt64, kernelStart: UInt64, kernelRange: UInt64, userSize: Int, allocator: gpuvm_alloc
    ) throws(KernelErrno) {
        var config = gpuvm_config()
        config.size = MemoryLayout<gpuvm_config>.size
        config.start = start
        config.range = range
        config.kernel_start = kernelStart
        config.kernel_range = kernelRange
        config.user_size = UInt32(clamping: userSize)
        config.alloc = allocator
        var vm: OpaquePointer?
        try KernelErrno.check(gpuvm_create(&config, &vm))
        self.vm = vm!
    }

    deinit {
        gpuvm_destroy(vm)
    }

    /// Warnings the kernel would have given for the window: at most two (window wraps, reserved range wraps).
    public var warningCount: Int { gpuvm_warnings(vm).nonzeroBitCount }

    /// Mappings in the space, the reserved one not counted.
    public var count: Int { gpuvm_count(vm) }

    /// Bytes of memory the space holds.
    public var memory: Int { gpuvm_memory(vm) }

    /// Inside the window, no overflow, not touching the reserved range (`drm_gpuvm_range_valid`).
    public func isValid(_ addr: UInt64, _ range: UInt64) -> Bool {
        gpuvm_range_valid(vm, addr, range)
    }

    /// No mapping intersects `[addr, addr + range)`.
    public func isEmpty(_ addr: UInt64, _ range: UInt64) -> Bool {
        gpuvm_interval_empty(vm, addr, range)
    }

    /// The first invariant found broken, or `nil`. For tests; slow.
    public func check() -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { why in
            gpuvm_check(vm, why.baseAddress, why.count) == 0 ? nil : String(cString: why.baseAddress!)
        }
    }
}

// MARK: - Mappings

extension AddressSpace {
    /// The mapping's data; also of a victim that an ``OperationList`` still holds.
    public func mapping(_ id: MappingID) -> Mapping? {
        var m = gpuvm_mapping()
        return gpuvm_get(vm, id.rawValue, &m) == 0 ? Mapping(m) : nil
    }

    /// The caller's own bytes of a mapping, 8-byte aligned; valid as long as the id.
    public func userData(_ id: MappingID) -> UnsafeMutableRawPointer? {
        gpuvm_user(vm, id.rawValue)
    }

    /// Inserts a mapping and links it to its pair (`drm_gpuva_insert`, `drm_gpuva_link`).
    /// - Throws: `EINVAL` for an invalid or zero range, `EEXIST`, `ENOENT` for an unknown pair, `ENOMEM`.
    @discardableResult
    public mutating func insert(
        _ addr: UInt64, _ range: UInt64, pair: PairID?, offset: UInt64
    ) throws(KernelErrno) -> MappingID {
        var va: gpuvm_va = 0
        try KernelErrno.check(gpuvm_insert(vm, addr, range, pair?.rawValue ?? 0, offset, &va))
        return MappingID(rawValue: va)
    }

    /// Removes and unlinks a mapping.
    /// - Throws: `ENOENT` when it is not in the space, `EPERM` for the reserved one.
    public mutating func remove(_ id: MappingID) throws(KernelErrno) {
        try KernelErrno.check(gpuvm_remove(vm, id.rawValue))
    }

    /// The mapping with exactly this address and range (`drm_gpuva_find`).
    public func find(_ addr: UInt64, _ range: UInt64) -> Mapping? {
        MappingID(gpuvm_find(vm, addr, range)).flatMap { mapping($0) }
    }

    /// The lowest mapping that intersects `[addr, addr + range - 1]`, both ends included (`drm_gpuva_find_first`).
    public func findFirst(_ addr: UInt64, _ range: UInt64) -> Mapping? {
        MappingID(gpuvm_find_first(vm, addr, range)).flatMap { mapping($0) }
    }

    /// The lowest mapping that intersects `[addr - 1, addr]`, both ends included (`drm_gpuva_find_prev`).
    public func findPrev(_ addr: UInt64) -> Mapping? {
        MappingID(gpuvm_find_prev(vm, addr)).flatMap { mapping($0) }
    }

    /// The lowest mapping that intersects `[addr, addr + 1]`, both ends included (`drm_gpuva_find_next`).
    public func findNext(_ addr: UInt64) -> Mapping? {
        MappingID(gpuvm_find_next(vm, addr)).flatMap { mapping($0) }
    }

    /// Calls `body` for every mapping that intersects `[addr, addr + range)`, ascending, the reserved one included;
    /// 0, 0 is the whole space. `body` gets no access to the space, so nothing changes meanwhile.
    public func forEach(_ addr: UInt64 = 0, _ range: UInt64 = 0, _ body: (Mapping) -> Void) {
        var it = gpuvm_iter()
        var m = gpuvm_mapping()
        gpuvm_iter_init(&it, vm, addr, range)
        while gpuvm_iter_next(&it, &m) {
            body(Mapping(m))
        }
    }
}

// MARK: - Pairs

extension AddressSpace {
    /// Makes a pair for an object, known to the caller by `cookie`.
    public mutating func makePair(cookie: UInt64) throws(KernelErrno) -> PairID {
        var bo: gpuvm_bo = 0
        try KernelErrno.check(gpuvm_bo_create(vm, cookie, &bo))
        return PairID(rawValue: bo)
    }

    /// Ends a pair.
    /// - Throws: `EBUSY` while a mapping, or a victim that a list holds, refers to it; `ENOENT`.
    public mutating func destroyPair(_ pair: PairID) throws(KernelErrno) {
        try KernelErrno.check(gpuvm_bo_destroy(vm, pair.rawValue))
    }

    /// The word given at creation.
    public func cookie(_ pair: PairID) -> UInt64 {
        gpuvm_bo_cookie(vm, pair.rawValue)
    }

    /// Number of mappings linked to the pair.
    public func linkCount(_ pair: PairID) -> Int {
        gpuvm_bo_count(vm, pair.rawValue)
    }

    /// Calls `body` for the pair's mappings in link order.
    public func forEachLinked(_ pair: PairID, _ body: (Mapping) -> Void) {
        var va = gpuvm_bo_first(vm, pair.rawValue)
        while let id = MappingID(va) {
            if let m = mapping(id) { body(m) }
            va = gpuvm_bo_next(vm, va)
        }
    }
}
