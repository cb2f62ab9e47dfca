internal import DRMLock
internal import NVMMU

/// The memory of one buffer: its extent of the store, which it has for life, and its place in VRAM or GART, which may
/// change. Gives both back when it goes.
package final class BufferMemory: @unchecked Sendable {
    package let needs: PlacementNeeds
    /// The offset that mmap knows it by: where its extent of the store begins.
    package let mapHandle: UInt64
    /// Its bytes in the device's own mapping, the same wherever the buffer lies.
    package let bytes: UnsafeMutableRawBufferPointer
    private let memory: DeviceMemory
    private let lock = SpinLock()
    private var place: Placement

    init(_ needs: PlacementNeeds, mapHandle: UInt64, place: Placement, in memory: DeviceMemory) {
        self.needs = needs
        self.mapHandle = mapHandle
        self.place = place
        self.memory = memory
        bytes = memory.store.bytes(mapHandle, needs.size)!
        memory.frames(place.location)?.set(place.pieces, to: mapHandle)
    }

    deinit {
        vacate(place)
        memory.store.release(mapHandle, needs.size)
    }

    package var placement: Placement { lock.withLock { place } }

    /// See ``DeviceMemory/move(_:to:)``.
    func move(to location: Placement.Location) -> Bool {
        guard let new = memory.place(needs, in: location) else { return false }
        memory.frames(location)?.set(new.pieces, to: mapHandle)
        let old = lock.withLock {
            defer { place = new }
            return place
        }
        vacate(old)
        return true
    }

    private func vacate(_ place: Placement) {
        memory.frames(place.location)?.clear(place.pieces)
        memory.release(place)
    }
}
