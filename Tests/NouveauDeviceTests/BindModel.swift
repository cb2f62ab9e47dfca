import CNouveauUAPI
import KernelErrno
import NVMMU

/// The naive oracle of VM_BIND: an array of pages, a set of sparse pages, a list of regions. Predicts the errno of a
/// call and what every page shows after it.
struct BindModel {
    struct Page: Equatable {
        /// 0: nothing mapped.
        var handle: UInt32 = 0
        /// Of the page in the object, in pages.
        var offset: UInt64 = 0
        var kind = 0
        var sparse = false
    }

    struct Region: Equatable {
        var addr, end: UInt64
        var dirty = false
    }

    var pages: [Page]
    var regions: [Region] = []
    /// Sizes of the objects there are, by handle.
    var sizes: [UInt32: UInt64] = [:]

    init(pages count: Int) {
        pages = Array(repeating: Page(), count: count)
    }

    var end: UInt64 { UInt64(pages.count) << 12 }

    /// Carries out a call: `nil`, or the error, and then nothing has changed.
    mutating func bind(_ ops: [nvu_vm_bind_op]) -> KernelErrno? {
        for op in ops {
            if let error = validate(op) { return error }
        }
        for op in ops {
            if let error = validateRegion(op) { return error }
        }
        let before = (pages, regions)
        for op in ops {
            if let error = apply(op) {
                (pages, regions) = before
                return error
            }
        }
        for region in regions where region.dirty {
            for i in Self.pages(region.addr, region.end - region.addr) { pages[i].sparse = false }
        }
        regions.removeAll { $0.dirty }
        return nil
    }

    private enum Kind { case map, unmap, mapSparse, unmapSparse }

    private func kind(_ op: nvu_vm_bind_op) -> Kind? {
        switch (op.op, op.flags & NVU_VM_BIND_SPARSE != 0) {
        case (0, false): .map
        case (1, false): .unmap
        case (0, true), (2, _): .mapSparse
        case (1, true), (3, _): .unmapSparse
        default: nil
        }
    }

    private func validate(_ op: nvu_vm_bind_op) -> KernelErrno? {
        if kind(op) == .map {
            guard let size = sizes[op.handle] else { return .ENOENT }
            guard op.bo_offset % 4096 == 0, op.bo_offset < size, op.range <= size - op.bo_offset else { return .EINVAL }
        }
        guard op.addr % 4096 == 0, op.range % 4096 == 0, op.range > 0 else { return .EINVAL }
        return nil
    }

    private func overlapping(_ op: nvu_vm_bind_op) -> Region? {
        regions.filter { $0.addr < op.addr + op.range && op.addr < $0.end }.min { $0.addr < $1.addr }
    }

    private func encloses(_ region: Region, _ op: nvu_vm_bind_op) -> Bool {
        region.addr <= op.addr && op.addr + op.range <= region.end
    }

    private func validateRegion(_ op: nvu_vm_bind_op) -> KernelErrno? {
        guard let region = overlapping(op) else { return nil }
        switch kind(op) {
        case .mapSparse: return .ENOSPC
        case .map: return encloses(region, op) ? nil : .ENOSPC
        default: return nil
        }
    }

    private mutating func apply(_ op: nvu_vm_bind_op) -> KernelErrno? {
        let range = Self.pages(op.addr, op.range)
        switch kind(op) {
        case .map:
            if let region = overlapping(op) {
                if region.dirty { return .EINVAL }
                if !encloses(region, op) { return .ENOSPC }
            }
            for (n, i) in range.enumerated() {
                pages[i].handle = op.handle
                pages[i].offset = op.bo_offset / 4096 + UInt64(n)
                pages[i].kind = Int(op.flags & 0xff)
            }
        case .unmap:
            for i in range { pages[i].handle = 0 }
        case .mapSparse:
            guard range.allSatisfy({ pages[$0].handle == 0 }) else { return .ENOSPC }
            guard overlapping(op) == nil else { return .EEXIST }
            regions.append(Region(addr: op.addr, end: op.addr + op.range))
            for i in range { pages[i].sparse = true }
        case .unmapSparse:
            guard
                let i = regions.firstIndex(where: {
                    $0.addr == op.addr && $0.end == op.addr + op.range && !$0.dirty
                })
            else { return .ENOENT }
            regions[i].dirty = true
            for i in range { pages[i].handle = 0 }
        case nil:
            return .EINVAL
        }
        return nil
    }

    private static func pages(_ addr: UInt64, _ range: UInt64) -> Range<Int> {
        Int(addr >> 12)..<Int((addr + range) >> 12)
    }
}
