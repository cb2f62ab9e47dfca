package import NVMMU
internal import NouveauUAPI

/// Where a buffer's memory is.
package struct Placement: Sendable {
    package enum Location: Sendable {
        case vram, gart
        /// System memory that the GPU does not see: a buffer for the CPU alone.
        case system
    }

    package var location: Location
    /// In object order.
    package var pieces: [PhysicalPiece]

    /// How a page table entry names it.
    package var target: Aperture { location == .vram ? .vram : .host }
}

/// The device's memory: addresses of VRAM and of GART memory, the window for page tables, and the backing store
/// whose offsets name buffers in mmap. No bytes stand behind buffers yet, only behind page tables.
package final class DeviceMemory {
    package private(set) var vram, gart: ExtentAllocator
    private var store = ExtentAllocator(base: mapHandleBase, size: 1 << 40)
    package let tables: TableWindow
    /// Live buffers by their mmap offset; each takes itself out when it goes.
    private var objects: [UInt64: Unmanaged<BufferObject>] = [:]
    private var nextID: UInt64 = 1

    /// GART addresses start here, so that address 0 is nobody's.
    static let gartBase: UInt64 = 1 << 32

    /// Divides `vram` bytes in the part for buffers and, at the top, the one for tables: a 16th, at least 16 MiB.
    /// A chip without VRAM of its own has its tables in host memory, and buffers only in GART.
    init?(vram: UInt64, gart: UInt64, hasVRAM: Bool) {
        let tableSize = max(vram / 16, 16 << 20) & ~(ExtentAllocator.grain - 1)
        let tableBase = hasVRAM ? vram - tableSize : Self.gartBase + gart
        guard let tables = TableWindow(aperture: hasVRAM ? .vram : .host, base: tableBase, size: tableSize) else {
            return nil
        }
        self.tables = tables
        self.vram = ExtentAllocator(base: 0, size: hasVRAM ? vram - tableSize : 0)
        self.gart = ExtentAllocator(base: Self.gartBase, size: gart)
    }

    /// Finds room for a buffer: in VRAM while there is some, else in GART. `nil`: none.
    func place(size: UInt64, domain: Domain, pageShift: Int, align: UInt64, isContiguous: Bool) -> Placement? {
        if domain.contains(.vram),
            let pieces = vram.pieces(size, pageShift: pageShift, align: align, isContiguous: isContiguous)
        {
            return Placement(location: .vram, pieces: pieces)
        }
        if domain.contains(.gart), let pieces = gart.allocatePieces(size, granule: ExtentAllocator.grain) {
            return Placement(location: .gart, pieces: pieces)
        }
        return domain.isDisjoint(with: [.vram, .gart]) ? Placement(location: .system, pieces: []) : nil
    }

    func release(_ placement: Placement) {
        for piece in placement.pieces {
            switch placement.location {
            case .vram: vram.release(piece)
            case .gart: gart.release(piece)
            case .system: break
            }
        }
    }
}

// MARK: - Objects

extension DeviceMemory {
    package var objectCount: Int { objects.count }
    package var storeUsed: UInt64 { store.used }

    func makeID() -> UInt64 {
        defer { nextID += 1 }
        return nextID
    }

    func allocateStore(_ size: UInt64) -> UInt64? {
        store.allocate(size, align: ExtentAllocator.grain)
    }

    func releaseStore(_ mapHandle: UInt64, _ size: UInt64) {
        store.release(PhysicalPiece(addr: mapHandle, size: size))
    }

    func register(_ object: BufferObject) {
        objects[object.mapHandle] = Unmanaged.passUnretained(object)
    }

    func unregister(_ object: BufferObject) {
        objects[object.mapHandle] = nil
    }

    /// The object whose mmap offset this is.
    func object(mapHandle: UInt64) -> BufferObject? {
        objects[mapHandle]?.takeUnretainedValue()
    }
}

extension ExtentAllocator {
    /// Room for a buffer: one stretch, or where it need not be contiguous several of whole pages.
    fileprivate mutating func pieces(
        _ size: UInt64, pageShift: Int, align: UInt64, isContiguous: Bool
    ) -> [PhysicalPiece]? {
        if let addr = allocate(size, align: max(align, 1 << pageShift)) { return [PhysicalPiece(addr: addr, size: size)] }
        return isContiguous ? nil : allocatePieces(size, granule: 1 << pageShift)
    }
}
