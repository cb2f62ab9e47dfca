internal import DRMLock
package import NVMMU
internal import NouveauUAPI
internal import Synchronization

/// The device's memory: addresses of VRAM and of GART memory, the store with the bytes behind both, the frame tables
/// that lead from the ones to the other, and the window for page tables.
///
/// Any thread may call. One spin lock guards the allocators and the list of objects; it is never held over calls out,
/// and nothing but allocation happens under it. Resolving addresses takes no lock.
package final class DeviceMemory: @unchecked Sendable {
    package let tables: TableWindow
    let store: BackingStore
    private let vramFrames, gartFrames: FrameTable
    private let host: HostMemory
    private let hasVRAM: Bool

    private let lock = SpinLock()
    private var vramExtents, gartExtents: ExtentAllocator
    private var objects: [UInt64: Entry] = [:]
    private var nextID: UInt64 = 1
    /// Bytes that are pinned.
    private var pinnedVRAM: UInt64 = 0
    private var pinnedGART: UInt64 = 0
    /// Uses so far, to tell who was used last.
    private let uses = Atomic<UInt64>(0)

    /// A live buffer, by its mmap handle; each takes itself out when it goes.
    private struct Entry {
        weak var object: BufferObject?
        let size: UInt64
        /// Where it is for good; `nil`: it may be moved.
        var pinned: Placement.Location?
    }

    /// GART addresses start here, so that address 0 is nobody's.
    static let gartBase: UInt64 = 1 << 32

    /// Divides `vram` bytes in the part for buffers and, at the top, the one for tables: a 16th, at least 16 MiB.
    /// A chip without VRAM of its own has its tables in host memory, and buffers only in GART.
    /// - Returns: `nil`: the host has no memory.
    init?(vram: UInt64, gart: UInt64, hasVRAM: Bool, host: HostMemory = HostMemory()) {
        let tableSize = max(vram / 16, 16 << 20) & ~(ExtentAllocator.grain - 1)
        let tableBase = hasVRAM ? vram - tableSize : Self.gartBase + gart
        let vramSize = hasVRAM ? vram - tableSize : 0
        // Buffers for the CPU alone may take as much as the GART; twice as much, since an extent is one stretch of
        // the store.
        let storeSize = 2 * (vramSize + 2 * gart)
        guard
            let tables = TableWindow(
                aperture: hasVRAM ? .vram : .host, base: tableBase, size: tableSize, host: host),
            let vramFrames = FrameTable(base: 0, size: vramSize, host: host),
            let gartFrames = FrameTable(base: Self.gartBase, size: gart, host: host),
            let store = BackingStore(size: storeSize, host: host)
        else { return nil }
        self.tables = tables
        self.vramFrames = vramFrames
        self.gartFrames = gartFrames
        self.store = store
        self.host = host
        self.hasVRAM = hasVRAM
        vramExtents = ExtentAllocator(base: 0, size: vramSize)
        gartExtents = ExtentAllocator(base: Self.gartBase, size: gart)
    }

    /// How VRAM and GART are at the moment.
    package var vram: ExtentAllocator { lock.withLock { vramExtents } }
    package var gart: ExtentAllocator { lock.withLock { gartExtents } }
    package var storeUsed: UInt64 { store.used }

    /// Bytes of VRAM and of GART that can be had, if all that may be moved is (`vram_available`, `gart_available`).
    var availableVRAM: UInt64 { lock.withLock { vramExtents.size - pinnedVRAM } }
    var availableGART: UInt64 { lock.withLock { gartExtents.size - pinnedGART } }
}

// MARK: - Placing

extension DeviceMemory {
    /// Memory for a buffer: in VRAM while there is room, else in GART, as far as its domain allows.
    /// - Parameter makeRoom: called, without locks, when there is no room where the domain wants it; moves others away.
    /// - Returns: `nil`: no room.
    func allocate(
        _ needs: PlacementNeeds, makeRoom: (PlacementNeeds) -> Placement? = { _ in nil }
    ) -> BufferMemory? {
        guard let mapHandle = store.allocate(needs.size) else { return nil }
        guard let place = place(needs) ?? makeRoom(needs) else {
            store.release(mapHandle, needs.size)
            return nil
        }
        return BufferMemory(needs, mapHandle: mapHandle, place: place, in: self)
    }

    /// Takes room for a buffer where its domain allows it. `nil`: none.
    func place(_ needs: PlacementNeeds) -> Placement? {
        for location in needs.locations {
            if let place = place(needs, in: location) { return place }
        }
        return nil
    }

    /// Takes room for a buffer, allowed or not. `nil`: none.
    func place(_ needs: PlacementNeeds, in location: Placement.Location) -> Placement? {
        guard location != .system else { return Placement(location: .system, pieces: [], target: target(.system)) }
        guard host.maySpare() else { return nil }
        let pieces = lock.withLock {
            location == .vram
                ? vramExtents.pieces(needs) : gartExtents.allocatePieces(needs.size, granule: ExtentAllocator.grain)
        }
        return pieces.map { Placement(location: location, pieces: $0, target: target(location)) }
    }

    func release(_ place: Placement) {
        lock.withLock {
            switch place.location {
            case .vram: for piece in place.pieces { vramExtents.release(piece) }
            case .gart: for piece in place.pieces { gartExtents.release(piece) }
            case .system: break
            }
        }
    }
}

extension ExtentAllocator {
    /// Room in VRAM: one stretch, or where it need not be contiguous several of whole pages.
    fileprivate mutating func pieces(_ needs: PlacementNeeds) -> [PhysicalPiece]? {
        let page: UInt64 = 1 << needs.pageShift
        if let addr = allocate(needs.size, align: max(needs.align, page)) {
            return [PhysicalPiece(addr: addr, size: needs.size)]
        }
        return needs.isContiguous ? nil : allocatePieces(needs.size, granule: page)
    }
}

// MARK: - Resolving

extension DeviceMemory {
    /// The frames of a location; the CPU's own memory has none.
    func frames(_ location: Placement.Location) -> FrameTable? {
        switch location {
        case .vram: vramFrames
        case .gart: gartFrames
        case .system: nil
        }
    }

    /// Systems on chip have no memory that is coherent.
    private func target(_ location: Placement.Location) -> Aperture {
        location == .vram ? .vram : hasVRAM ? .host : .ncoh
    }

    /// The bytes at an address of VRAM or of system memory: a pointer, and how many of `limit` lie in a row there.
    /// Takes no lock; any thread. Page tables have no frames. Some systems on chip call their memory VRAM in entries.
    /// - Returns: `nil`: no buffer is there.
    package func resolve(
        _ aperture: Aperture, _ address: UInt64, limit: UInt64
    ) -> (pointer: UnsafeMutableRawPointer, length: UInt64)? {
        let frames: FrameTable
        switch aperture {
        case .vram: frames = hasVRAM ? vramFrames : gartFrames
        case .host, .ncoh: frames = gartFrames
        case .peer: return nil
        }
        guard let (handle, length) = frames.extent(at: address, limit: limit),
            let bytes = store.bytes(handle, length)
        else { return nil }
        return (bytes.baseAddress!, length)
    }

    /// ``resolve(_:_:limit:)`` as C calls it. `context` is the memory object, unretained: it outlives the caller.
    /// `length` holds the limit on entry, and on return how many bytes lie in a row (0: nothing is there).
    package static let resolveHook:
        @convention(c) (UnsafeMutableRawPointer?, UInt8, UInt64, UnsafeMutablePointer<UInt64>?)
            -> UnsafeMutableRawPointer? = { context, aperture, address, length in
                guard let context, let length else { return nil }
                return Unmanaged<DeviceMemory>.fromOpaque(context)._withUnsafeGuaranteedRef { memory in
                    let found = Aperture(rawValue: aperture).flatMap {
                        memory.resolve($0, address, limit: length.pointee)
                    }
                    length.pointee = found?.length ?? 0
                    return found?.pointer
                }
            }
}

// MARK: - Objects

extension DeviceMemory {
    package var objectCount: Int { lock.withLock { objects.count } }

    func makeID() -> UInt64 {
        lock.withLock {
            defer { nextID += 1 }
            return nextID
        }
    }

    /// - Parameter isPinned: stays where it is, until ``unpin(_:)``.
    func register(_ object: BufferObject, isPinned: Bool) {
        let pinned = isPinned ? object.location : nil
        lock.withLock {
            objects[object.mapHandle] = Entry(object: object, size: object.size, pinned: pinned)
            countPinned(object.size, in: pinned, &+)
        }
    }

    func unregister(_ object: BufferObject) {
        lock.withLock {
            let entry = objects.removeValue(forKey: object.mapHandle)
            countPinned(object.size, in: entry?.pinned, &-)
        }
    }

    /// It may be moved like any other.
    func unpin(_ object: BufferObject) {
        lock.withLock {
            countPinned(object.size, in: objects[object.mapHandle]?.pinned, &-)
            objects[object.mapHandle]?.pinned = nil
        }
    }

    private func countPinned(_ size: UInt64, in location: Placement.Location?, _ count: (UInt64, UInt64) -> UInt64) {
        switch location {
        case .vram: pinnedVRAM = count(pinnedVRAM, size)
        case .gart: pinnedGART = count(pinnedGART, size)
        case .system, nil: break
        }
    }

    /// The size of the object whose mmap handle this is.
    func objectSize(mapHandle: UInt64) -> UInt64? {
        lock.withLock { objects[mapHandle]?.size }
    }

    /// What is used now is later than all before, and will be the last to be evicted.
    func nextUse() -> UInt64 { uses.wrappingAdd(1, ordering: .relaxed).newValue }

    /// Buffers that could be moved away to make room for another, the one whose last use is longest ago first: those
    /// of VRAM if it may lie there, then those of GART. None that is pinned, and none at all where it would not fit
    /// into empty memory.
    package func evictionCandidates(for needs: PlacementNeeds) -> [BufferObject] {
        needs.locations.flatMap { location in
            needs.size <= size(location) ? residents(of: location) : []
        }
    }

    private func size(_ location: Placement.Location) -> UInt64 {
        switch location {
        case .vram: vram.size
        case .gart: gart.size
        case .system: 0
        }
    }

    private func residents(of location: Placement.Location) -> [BufferObject] {
        let live = lock.withLock { objects.values.compactMap { $0.pinned == nil ? $0.object : nil } }
        return live.filter { $0.location == location }
            .map { (object: $0, lastUse: $0.lastUse) }
            .sorted { ($0.lastUse, $0.object.id) < ($1.lastUse, $1.object.id) }
            .map { $0.object }
    }
}
