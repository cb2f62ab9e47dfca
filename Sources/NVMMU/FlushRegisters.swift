internal import CNVMMU

/// A write to a register of the chip.
public struct RegisterWrite: Hashable, Sendable {
    public var address, value: UInt32

    public init(address: UInt32, value: UInt32) {
        self.address = address
        self.value = value
    }
}

extension RegisterWrite: CustomStringConvertible {
    public var description: String { "0x\(String(address, radix: 16))=0x\(String(value, radix: 16))" }
}

/// What nouveau writes, in order; `<nvmmu/control.h>` names the waits between.
extension Format {
    public func registers(of flush: Flush) -> [RegisterWrite] {
        var c = nvmmu_flush(
            root: flush.root, root_aperture: flush.rootAperture.rawValue, depth: UInt8(clamping: flush.depth),
            bar: flush.bar, va: flush.va, size: flush.size)
        return writes { nvmmu_flush_registers(f, &c, $0) }
    }

    /// Lets every access that waits with a fault try again; empty: the chip has no replayable faults.
    public var faultReplayRegisters: [RegisterWrite] {
        writes { nvmmu_replay_registers(f, $0) }
    }

    /// Ends the waiting accesses of one client; empty: no replayable faults, or no such client.
    public func faultCancelRegisters(hub: Bool, gpc: Int, client: Int) -> [RegisterWrite] {
        guard let gpc = UInt8(exactly: gpc), let client = UInt8(exactly: client) else { return [] }
        var c = nvmmu_fault_client(hub: hub, gpc: gpc, client: client)
        return writes { nvmmu_cancel_registers(f, &c, $0) }
    }

    private func writes(_ fill: (UnsafeMutablePointer<nvmmu_register>?) -> Int) -> [RegisterWrite] {
        withUnsafeTemporaryAllocation(of: nvmmu_register.self, capacity: Int(NVMMU_REGISTERS_MAX)) { out in
            out[..<fill(out.baseAddress)].map { RegisterWrite(address: $0.address, value: $0.value) }
        }
    }
}

extension PageTables {
    /// The space is (no longer) that of the BARs: its flushes say so.
    public mutating func setBAR(_ bar: Bool) {
        nvmmu_vmm_set_bar(vmm, bar)
    }

    /// Flushes the whole space, as for a change `depth` levels below the root.
    public mutating func flush(depth: Int) {
        nvmmu_vmm_flush(vmm, UInt32(clamping: depth))
    }
}
