internal import CNVMMU
public import KernelErrno

/// An allocation of addresses, as it is asked for.
public struct VMARequest: Hashable, Sendable {
    public var size: UInt64
    /// log2 of its page size; 0: each map takes the largest that suits.
    public var shift = 0
    /// log2 of the least alignment.
    public var align = 0
    /// Tables are referenced at get until put.
    public var getref = false
    /// Tables are referenced at map until unmap. Neither of the two: from the first map until put.
    public var mapref = false
    public var sparse = false

    public init(size: UInt64) {
        self.size = size
    }
}

/// Addresses given out and mapped as in nvkm's spaces that are not raw. Keep the raw operations away from them.
/// `<nvmmu/vma.h>` has the contract of each call.
extension PageTables {
    /// From now on addresses of `[start, start + size)` are given out; size 0: all from `start` on. Once per space.
    /// - Throws: `EINVAL`: the window leaves the space; `EBUSY`: addresses are given out already; `ENOMEM`.
    public mutating func giveOutAddresses(start: UInt64 = 0, size: UInt64 = 0) throws(KernelErrno) {
        guard vmas == nil else { throw .EBUSY }
        var made: OpaquePointer?
        try KernelErrno.check(nvmmu_vmas_create(vmm, start, size, &made))
        vmas = made
    }

    /// An address. - Throws: `EINVAL`; `ENOSPC`; `ENOMEM`.
    public mutating func vget(_ request: VMARequest) throws(KernelErrno) -> UInt64 {
        guard let vmas, let shift = UInt8(exactly: request.shift), let align = UInt8(exactly: request.align) else {
            throw .EINVAL
        }
        var r = nvmmu_vma_request()
        r.size = request.size
        r.shift = shift
        r.align = align
        r.getref = request.getref
        r.mapref = request.mapref
        r.sparse = request.sparse
        var va: UInt64 = 0
        try KernelErrno.check(nvmmu_vma_get(vmas, &r, &va))
        return va
    }

    /// Maps an allocation or a piece of one; answers the page size used.
    /// - Throws: `ENOENT`: no allocation there; `EINVAL`; `ENOMEM`.
    @discardableResult
    public mutating func vmap(
        _ va: UInt64, _ size: UInt64, _ memory: ObjectMemory, offset: UInt64, _ attributes: MapAttributes
    ) throws(KernelErrno) -> Int {
        guard let vmas else { throw .ENOENT }
        var shift: UInt32 = 0
        let result = attributes.withC(va, size, memory, offset: offset) { nvmmu_vma_map(vmas, $0, &shift) }
        try KernelErrno.check(result)
        return Int(shift)
    }

    /// - Throws: `ENOENT`: no allocation or piece begins there; `EINVAL`: it is not mapped.
    public mutating func vunmap(_ va: UInt64) throws(KernelErrno) {
        guard let vmas else { throw .ENOENT }
        try KernelErrno.check(nvmmu_vma_unmap(vmas, va))
    }

    /// Gives an allocation back, mapped or not. - Throws: `ENOENT`: none begins there.
    public mutating func vput(_ va: UInt64) throws(KernelErrno) {
        guard let vmas else { throw .ENOENT }
        try KernelErrno.check(nvmmu_vma_put(vmas, va))
    }
}
