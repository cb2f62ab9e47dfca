internal import DRMSync
public import GPUVM
internal import KernelErrno
internal import NVMMU
internal import NouveauUAPI

/// A buffer object. Lives as long as a handle, a mapping, a channel or an exported descriptor refers to it.
public final class BufferObject: MappableObject, @unchecked Sendable {
    /// Unique over the device's life; also the cookie of its (space, object) pairs.
    public let id: UInt64
    /// Bytes, rounded up to whole pages.
    public let size: UInt64
    /// log2 of the largest page it may be mapped with.
    public let pageShift: Int
    /// The page sizes that its mappings may have.
    let mappingPages: MappingPages
    public let kind: Int
    /// The offset that mmap knows it by.
    public var mapHandle: UInt64 { memory.mapHandle }
    /// Where its memory is; guarded by the reservation, under which `DeviceMemory.move` changes it.
    package var placement: Placement { memory.placement }
    /// The same in short, at any time.
    package var location: Placement.Location { memory.location }
    /// Its memory, at the same address for life.
    package var bytes: UnsafeMutableRawBufferPointer { memory.bytes }

    /// Where it may live: of VRAM and GART, or the CPU's memory alone.
    let validDomains: Domain
    /// It may live where the GPU sees it.
    let isVisible: Bool
    /// NO_SHARE: belongs to one address space, cannot be exported.
    let isPrivate: Bool
    let isContiguous: Bool
    let tileMode: UInt32
    let memory: BufferMemory
    private let deviceMemory: DeviceMemory
    private let ownUse: LastUse
    /// Of the address space that it belongs to, which is used as a whole.
    private let spaceUse: LastUse?

    /// Makes a buffer as GEM_NEW does, from its step 4 on.
    /// - Parameters:
    ///   - uvmm: belongs to this address space, and is locked with it.
    ///   - isPinned: stays where it is; see ``DeviceMemory/unpin(_:)``.
    /// - Throws: `EINVAL`: size 0, a kind the MMU does not have, no page size for the domain; `ENOMEM`.
    init(
        _ call: GEMNew, device: Device, of uvmm: UVMM? = nil, isPinned: Bool = false
    ) throws(KernelErrno) {
        guard call.size > 0, device.chip.format.uncompressedKind(call.kind) != nil else { throw .EINVAL }
        let placeable = call.domain.intersection([.vram, .gart])
        guard let shift = device.pageSizes.objectShift(size: call.size, domain: placeable) else { throw .EINVAL }
        let mask = UInt64(1) << shift - 1 | (ExtentAllocator.grain - 1)
        let (rounded, wraps) = call.size.addingReportingOverflow(mask)
        guard !wraps else { throw .ENOMEM }
        let needs = PlacementNeeds(
            size: rounded & ~mask, domain: placeable, pageShift: shift, align: call.alignment,
            isContiguous: call.isContiguous)
        guard let memory = device.memory.allocate(needs, makeRoom: device.evictor.makeRoom) else { throw .ENOMEM }
        self.memory = memory
        deviceMemory = device.memory
        size = needs.size
        pageShift = shift
        mappingPages = device.pageSizes.mappingPages(objectShift: shift)
        kind = call.kind
        validDomains = placeable.isEmpty ? .cpu : placeable
        isVisible = validDomains != .cpu
        isPrivate = call.domain.contains(.noShare)
        isContiguous = call.isContiguous
        tileMode = call.tileMode
        ownUse = LastUse(deviceMemory.nextUse())
        spaceUse = uvmm?.lastUse
        id = deviceMemory.makeID()
        super.init(gate: device.gate, sharing: uvmm?.vm.reservation)
        deviceMemory.register(self, isPinned: isPinned)
    }

    deinit {
        deviceMemory.unregister(self)
    }

    /// The object of a pair: all of a device's are buffers.
    static func of(_ pair: VMBO) -> BufferObject { unsafeDowncast(pair.object, to: BufferObject.self) }
    /// The same, not retained: the pair keeps it.
    static func of(_ pair: Unmanaged<VMBO>) -> Unmanaged<BufferObject> {
        pair._withUnsafeGuaranteedRef { .passUnretained(of($0)) }
    }

    /// Lies where its domain allows it; not to be written, it is *away*: none of its mappings has entries. Guarded as
    /// the placement.
    package var isResident: Bool { memory.needs.allow(location) }

    /// See ``DeviceMemory/nextUse()``.
    func markUsed(_ use: UInt64) { ownUse.set(use) }
    var lastUse: UInt64 { max(ownUse.value, spaceUse?.value ?? 0) }

    /// GEM_INFO's answer; addresses are the client's own business since VM_BIND, so `offset` is 0.
    func description(handle: UInt32) -> GEMDescription {
        let domain: Domain =
            validDomains == .vram || validDomains == .gart
            ? validDomains : location == .gart ? .gart : .vram
        return GEMDescription(
            handle: handle, domain: domain, size: size, offset: 0, mapHandle: mapHandle, tileMode: tileMode,
            tileFlags: GEMNew.tileFlags(kind: kind, isContiguous: isContiguous))
    }
}

extension GEMNew {
    /// Alignments are powers of two; another one is rounded up to the next.
    fileprivate var alignment: UInt64 {
        align > 1 ? UInt64(1) << (32 - (align - 1).leadingZeroBitCount) : 1
    }
}

extension [PageSize] {
    /// The page size a buffer is made for: the largest that suits all its domains and is not larger than it, or
    /// the smallest that suits them. `nil`: none suits.
    func objectShift(size: UInt64, domain: Domain) -> Int? {
        var shift: Int?
        for page in self {
            if domain.contains(.vram) && !page.vram { continue }
            if domain.contains(.gart) && (!page.host || page.shift > 12) { continue }
            shift = page.shift
            if size >= 1 << page.shift { break }
        }
        return shift
    }

    /// The page sizes that mappings of an object may have. Wherever the object is: one made for pages above 4 KiB is
    /// mapped in VRAM alone.
    fileprivate func mappingPages(objectShift: Int) -> MappingPages {
        MappingPages(
            shifts: reduce(1 << 12 | 1 << objectShift) { shifts, page in
                page.shift < objectShift && page.vram ? shifts | 1 << page.shift : shifts
            })
    }
}

/// Page sizes, a bit each.
struct MappingPages {
    fileprivate var shifts: UInt64 = 1 << 12

    /// The page size of a mapping (the kernel's `select_page_shift`): the largest of which all three are multiples; 4 KiB
    /// at least.
    func shift(_ addr: UInt64, _ range: UInt64, _ offset: UInt64) -> Int {
        let bits = addr | range | offset
        // All that are not above the lowest bit.
        let fitting = shifts & (bits ^ (bits &- 1))
        return fitting == 0 ? 12 : 63 - fitting.leadingZeroBitCount
    }
}
