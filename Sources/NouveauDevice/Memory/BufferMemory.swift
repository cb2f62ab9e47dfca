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
    let memory: DeviceMemory
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

    /// Takes a new place. Its bytes, its mmap handle and what clients have mapped stay; its frames are new ones.
    ///
    /// The caller holds the buffer's reservation and has waited for all fences in it, and nothing may reach the buffer
    /// any more through page tables: unmap it and flush before, write its entries after.
    func move(to place: Placement) {
        memory.frames(place.location)?.set(place.pieces, to: mapHandle)
        vacate(placement)
        placement = place
        currentLocation.store(place.location, ordering: .relaxed)
    }

    private func vacate(_ place: Placement) {
        memory.frames(place.location)?.clear(place.pieces)
        memory.release(place)
    }
}
