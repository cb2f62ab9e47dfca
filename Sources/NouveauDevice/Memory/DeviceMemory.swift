internal import DRMLock
package import NVMMU
internal import NouveauUAPI

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

    private let lock = SpinLock()
    private var vramExtents, gartExtents: ExtentAllocator
    private var objects: [UInt64: Entry] = [:]
    private var nextID: UInt64 = 1
    /// Uses so far, to tell who was used last.
    private var uses: UInt64 = 0

    /// A live buffer, by its mmap handle; each takes itself out when it goes.
    private struct Entry {
        weak var object: BufferObject?
        let size: UInt64
        var lastUse: UInt64
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
        vramExtents = ExtentAllocator(base: 0, size: vramSize)
        gartExtents = ExtentAllocator(base: Self.gartBase, size: gart)
    }

    /// How VRAM and GART are at the moment.
    package var vram: ExtentAllocator { lock.withLock { vramExtents } }
    package var gart: ExtentAllocator { lock.withLock { gartExtents } }
    package var storeUsed: UInt64 { store.used }
}

// MARK: - Placing

extension DeviceMemory {
    /// Memory for a buffer: in VRAM while there is room, else in GART, as far as its domain allows.
    /// - Parameter makeRoom: called, without locks, while there is no room where the domain wants it; moves some buffer
    ///   away (see ``evictionCandidates(for:)``), or answers false to give up.
    /// - Returns: `nil`: no room.
    func allocate(_ needs: PlacementNeeds, makeRoom: () -> Bool = { false }) -> BufferMemory? {
        guard let mapHandle = store.allocate(needs.size) else { return nil }
        var place = place(needs)
        while place == nil, makeRoom() { place = self.place(needs) }
        guard let place else {
            store.release(mapHandle, needs.size)
            return nil
        }
        return BufferMemory(needs, mapHandle: mapHandle, place: place, in: self)
    }

    private func place(_ needs: PlacementNeeds) -> Placement? {
        for location in needs.locations {
            if let place = place(needs, in: location) { return place }
        }
        return nil
    }

    /// Takes room for a buffer. `nil`: none.
    func place(_ needs: PlacementNeeds, in location: Placement.Location) -> Placement? {
        guard location != .system else { return Placement(location: .system, pieces: []) }
        guard host.maySpare() else { return nil }
        let pieces = lock.withLock {
            location == .vram
                ? vramExtents.pieces(needs) : gartExtents.allocatePieces(needs.size, granule: ExtentAllocator.grain)
        }
        return pieces.map { Placement(location: location, pieces: $0) }
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

    /// Gives a buffer a new place in VRAM or GART, or takes its place away (`system`). Its bytes, its mmap handle and
    /// what clients have mapped stay; its frames are new ones.
    ///
    /// The caller holds the buffer's reservation and has waited for all fences in it, and nothing may reach the buffer
    /// any more through page tables: unmap it and flush before, write its entries after.
    /// - Returns: whether there was room; without, nothing changed.
    package func move(_ object: BufferObject, to location: Placement.Location) -> Bool {
        object.memory.move(to: location)
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

    /// The bytes at an address of VRAM or of system memory: a pointer, and how many of `limit` lie in a row there.
    /// Takes no lock; any thread. Page tables have no frames.
    /// - Returns: `nil`: no buffer is there.
    package func resolve(
        _ aperture: Aperture, _ address: UInt64, limit: UInt64
    ) -> (pointer: UnsafeMutableRawPointer, length: UInt64)? {
        let frames: FrameTable
        switch aperture {
        case .vram: frames = vramFrames
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

    func register(_ object: BufferObject) {
        lock.withLock {
            uses += 1
            objects[object.mapHandle] = Entry(object: object, size: object.size, lastUse: uses)
        }
    }

    func unregister(_ object: BufferObject) {
        lock.withLock { objects[object.mapHandle] = nil }
    }

    /// The size of the object whose mmap handle this is.
    func objectSize(mapHandle: UInt64) -> UInt64? {
        lock.withLock { objects[mapHandle]?.size }
    }

    /// The object is used: it will be the last to be evicted.
    package func markUsed(_ object: BufferObject) {
        lock.withLock {
            uses += 1
            objects[object.mapHandle]?.lastUse = uses
        }
    }

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
        let live = lock.withLock {
            objects.values.compactMap { entry in entry.object.map { (object: $0, lastUse: entry.lastUse) } }
        }
        return live.filter { !$0.object.isPinned && $0.object.location == location }
            .sorted { $0.lastUse < $1.lastUse }.map { $0.object }
    }
}
