package import NVMMU
package import NouveauUAPI
internal import Synchronization

/// Where a buffer's memory is.
package struct Placement: Sendable {
    package enum Location: UInt8, Sendable, AtomicRepresentable {
        case vram, gart
        /// System memory that the GPU does not see: a buffer for the CPU alone, or an evicted one.
        case system
    }

    package var location: Location
    /// In object order.
    package var pieces: [PhysicalPiece]
    /// What kind of memory page tables are told it is.
    package var target: Aperture
}

/// What a buffer asks of the memory it lies in.
package struct PlacementNeeds: Sendable {
    /// Bytes: whole pages.
    package var size: UInt64
    /// Of VRAM and GART, where it may be; neither: the CPU alone uses it.
    package var domain: Domain
    /// In VRAM: log2 of the pages that each piece consists of.
    package var pageShift = 12
    /// In VRAM, of one stretch: a power of two.
    package var align: UInt64 = 1
    /// In VRAM: has to be one stretch.
    package var isContiguous = false

    /// Whether it may lie there.
    func allow(_ location: Placement.Location) -> Bool {
        // Plain words: the operations of a set from another module are calls through its witnesses.
        let vram = Domain.vram.rawValue, gart = Domain.gart.rawValue
        return switch location {
        case .vram: domain.rawValue & vram != 0
        case .gart: domain.rawValue & gart != 0
        case .system: domain.rawValue & (vram | gart) == 0
        }
    }

    /// Where to look for room, the best first.
    var locations: [Placement.Location] {
        let placed = [(Domain.vram, Placement.Location.vram), (.gart, .gart)].filter { domain.contains($0.0) }
        return placed.isEmpty ? [.system] : placed.map { $0.1 }
    }
}
