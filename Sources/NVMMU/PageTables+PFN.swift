internal import CNVMMU
public import KernelErrno

/// A page of a pfn map: the page's address and what stands in the low bits.
public struct PFN: RawRepresentable, Hashable, Sendable {
    public var rawValue: UInt64

    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// Not mapped; and, after a call, could not be mapped.
    public static let none = PFN(rawValue: 0)
    public static let valid: UInt64 = 1 << 0
    public static let write: UInt64 = 1 << 1
    public static let atomic: UInt64 = 1 << 2
    public static let vram: UInt64 = 1 << 4
}

/// pfn maps, for shared virtual memory: Pascal and later, pages of 4 KiB and 2 MiB.
extension PageTables {
    /// Makes the pages from `va` on what `pfns` says, one after the other. A page that could not be mapped becomes
    /// ``PFN/none`` in `pfns`. - Throws: `EINVAL`: see `<nvmmu/vmm.h>`.
    public mutating func mapPFNs(_ va: UInt64, shift: Int, _ pfns: inout [PFN]) throws(KernelErrno) {
        let (size, overflow) = UInt64(pfns.count).multipliedReportingOverflow(by: 1 << UInt64(clamping: shift))
        guard !overflow, let shift = UInt32(exactly: shift) else { throw .EINVAL }
        let result = pfns.withUnsafeMutableBytes { raw in
            // PFN has the layout of its one 64-bit number.
            nvmmu_vmm_pfn_map(vmm, shift, va, size, raw.assumingMemoryBound(to: UInt64.self).baseAddress)
        }
        try KernelErrno.check(result)
    }

    /// Unmaps every pfn page that touches the range. - Throws: `EINVAL`: empty, or not in the client's area.
    public mutating func clearPFNs(_ va: UInt64, _ size: UInt64) throws(KernelErrno) {
        try KernelErrno.check(nvmmu_vmm_pfn_clear(vmm, va, size))
    }
}
