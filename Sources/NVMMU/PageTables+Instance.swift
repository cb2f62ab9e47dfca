internal import CNVMMU
public import KernelErrno

extension Format {
    /// Bytes of an instance block; 0: chips have none.
    public var instanceBytes: Int { nvmmu_instance_bytes(f) }
}

/// Instance blocks: how a channel finds its page tables.
extension PageTables {
    /// Writes into the instance block, of ``Format/instanceBytes`` bytes and 8-byte aligned, where the root directory is
    /// and where addresses end. `replay`: faults wait for ``Format/faultReplayRegisters``. Tesla's block holds the
    /// directory: it must live, and is kept up to date, until it is parted or the page tables are gone.
    /// - Throws: `EINVAL`: the chip has no replay or no instance blocks, or the block is too short; `ENOMEM`: Tesla.
    public mutating func join(_ block: UnsafeMutableRawBufferPointer, replay: Bool = false) throws(KernelErrno) {
        guard block.count >= format.instanceBytes else { throw .EINVAL }
        try KernelErrno.check(nvmmu_instance_join(vmm, block.baseAddress, replay))
    }

    /// Undoes ``join(_:replay:)`` as far as nouveau does. - Throws: `EINVAL`: the block is too short.
    public mutating func part(_ block: UnsafeMutableRawBufferPointer) throws(KernelErrno) {
        guard block.count >= format.instanceBytes else { throw .EINVAL }
        nvmmu_instance_part(vmm, block.baseAddress)
    }
}
