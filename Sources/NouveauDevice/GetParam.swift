internal import DRMLock
internal import KernelErrno
internal import NouveauUAPI

extension DeviceFile {
    func getParam(_ a: Argument) throws(KernelErrno) {
        guard let name = GetParam(a).name else { throw .EINVAL }
        GetParam.store(device.parameter(name), in: a)
    }
}

extension Device {
    /// As GETPARAM says; 0 on a system on chip.
    package var pciVendor: UInt64 { isSoC ? 0 : 0x10de }
    /// No board in particular: the chip's id stands where boards have theirs.
    package var pciDevice: UInt64 { isSoC ? 0 : 0x2000 | UInt64(chip.chipset) }

    func parameter(_ name: GetParam.Name) -> UInt64 {
        switch name {
        case .chipsetID: UInt64(chip.chipset)
        case .pciVendor: pciVendor
        case .pciDevice: pciDevice
        case .busType: isSoC ? 3 : 2
        case .fbSize: memory.availableVRAM
        case .agpSize: memory.availableGART
        case .vmVRAMBase: 0
        // One GPC with one TPC, as small as it gets.
        case .graphUnits: 0x0100_0101
        case .ptimerTime: gate.now
        case .hasBOUsage, .hasPageflip, .hasVMATilemode: 1
        case .execPushMax: UInt64(Exec.pushMax)
        case .vramBARSize: options.vram
        case .vramUsed: memory.vram.used + (isSoC ? 0 : memory.tables.used)
        }
    }
}
