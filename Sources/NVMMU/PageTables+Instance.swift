internal import CNVMMU
public import KernelErrno

/// Instance blocks: how a channel finds its page tables.
extension PageTables {
    /// Bytes of an instance block.
    public static let instanceBytes = Int(NVMMU_INSTANCE_BYTES)

    /// Writes into the instance block where the root directory is and where addresses end. `replay`: faults wait for
    /// ``Format/faultReplayRegisters``. - Throws: `EINVAL`: the chip has no replay, or the block is too short.
    public func join(_ block: UnsafeMutableRawBufferPointer, replay: Bool = false) throws(KernelErrno) {
        guard block.count >= Self.instanceBytes else { throw .EINVAL }
        try KernelErrno.check(nvmmu_instance_join(vmm, block.baseAddress, replay))
    }

    /// Undoes ``join(_:replay:)`` as far as nouveau does. - Throws: `EINVAL`: the block is too short.
    public func part(_ block: UnsafeMutableRawBufferPointer) throws(KernelErrno) {
        guard block.count >= Self.instanceBytes else { throw .EINVAL }
        nvmmu_instance_part(vmm, block.baseAddress)
    }
}
