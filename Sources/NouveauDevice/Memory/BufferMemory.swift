internal import NVMMU
internal import Synchronization

/// The memory of one buffer: its extent of the store, which it has for life, and its place in VRAM or GART, which may
/// change. Gives both back when it goes.
///
/// The buffer's reservation guards the placement: who reads it holds the reservation, or has a fence in it that movers
/// wait for, as bind jobs do. Only the location can be read at any time.
package final class BufferMemory: @unchecked Sendable {
    package let needs: PlacementNeeds
    /// The offset that mmap knows it by: where its extent of the store begins.
    package let mapHandle: UInt64
    /// Its bytes in the device's own mapping, the same wherever the buffer lies.
    package let bytes: UnsafeMutableRawBufferPointer
    private let memory: DeviceMemory
    @exclusivity(unchecked) package private(set) var placement: Placement
    private let currentLocation: Atomic<Placement.Location>

    init(_ needs: PlacementNeeds, mapHandle: UInt64, place: Placement, in memory: DeviceMemory) {
        self.needs = needs
        self.mapHandle = mapHandle
        placement = place
        currentLocation = Atomic(place.location)
        self.memory = memory
        bytes = memory.store.bytes(mapHandle, needs.size)!
        memory.frames(place.location)?.set(place.pieces, to: mapHandle)
    }

    deinit {
        vacate(placement)
        memory.store.release(mapHandle, needs.size)
    }

    package var location: Placement.Location { currentLocation.load(ordering: .relaxed) }

    /// See ``DeviceMemory/move(_:to:)``.
    func move(to location: Placement.Location) -> Bool {
        guard let new = memory.place(needs, in: location) else { return false }
        memory.frames(location)?.set(new.pieces, to: mapHandle)
        vacate(placement)
        placement = new
        currentLocation.store(location, ordering: .relaxed)
        return true
    }

    private func vacate(_ place: Placement) {
        memory.frames(place.location)?.clear(place.pieces)
        memory.release(place)
    }
}
