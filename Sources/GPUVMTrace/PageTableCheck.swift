internal import NVMMU
internal import NouveauDevice

/// What page tables must show for a stretch of addresses.
struct Expectation {
    enum State: Equatable {
        case unmapped
        case sparse
        case mapped(pa: UInt64, aperture: Aperture, kind: Int, vol: Bool)
    }

    var va, end: UInt64
    var state: State

    /// The state `bytes` further on.
    func state(after bytes: UInt64) -> State {
        guard case .mapped(let pa, let aperture, let kind, let vol) = state else { return state }
        return .mapped(pa: pa + bytes, aperture: aperture, kind: kind, vol: vol)
    }
}

/// Compares the page tables with what the address space says: every extent has its object's memory and kind, sparse
/// regions read sparse where nothing is mapped, and nothing else is mapped.
struct PageTableCheck {
    private let format: Format
    private var expected: [Expectation] = []
    private var regions: ArraySlice<Range<UInt64>>
    /// First address not described yet.
    private var cursor: UInt64 = 0
    /// Where each object's pieces start within it.
    private var starts: [UInt64: [UInt64]] = [:]

    init(_ snapshot: SpaceSnapshot, format: Format) {
        self.format = format
        regions = snapshot.regions[...]
        for extent in snapshot.extents {
            fillGap(to: extent.addr)
            addPages(of: extent)
            cursor = extent.end
        }
        fillGap(to: .max)
    }

    /// Describes `[cursor, end)`, where no object is: sparse inside a region.
    private mutating func fillGap(to end: UInt64) {
        while let region = regions.first, region.lowerBound < end {
            let from = max(cursor, region.lowerBound)
            let to = min(end, region.upperBound)
            if from < to { expected.append(Expectation(va: from, end: to, state: .sparse)) }
            guard region.upperBound <= end else { break }
            regions.removeFirst()
        }
        cursor = end
    }

    private mutating func addPages(of extent: SpaceSnapshot.Extent) {
        // nouveau drops the error when it refuses a kind: nothing is mapped then. Nor where the object is away.
        guard let kind = format.uncompressedKind(extent.kind), extent.object.isResident else {
            return fillGap(to: extent.end)
        }
        let placement = extent.object.placement
        let pieces = placement.pieces
        let starts = starts(of: extent.object)
        var (va, offset) = (extent.addr, extent.offset)
        var index = max(0, starts.partitioningIndex { $0 > offset } - 1)
        while va < extent.end, index < pieces.count {
            let inside = offset - starts[index]
            let size = min(extent.end - va, pieces[index].size - inside)
            expected.append(
                Expectation(
                    va: va, end: va + size,
                    state: .mapped(
                        pa: pieces[index].addr + inside, aperture: entryAperture(of: placement.target), kind: kind,
                        vol: placement.target != .vram)))
            va += size
            offset += size
            index += 1
        }
    }

    /// What an entry's aperture field says of memory of a kind: the later systems on chip call all of theirs VRAM
    /// (nouveau's `gk20a_vmm_aper`).
    private func entryAperture(of target: Aperture) -> Aperture {
        ["gm20b", "gm20b-64k", "gp10b"].contains(format.name) ? .vram : target
    }

    private mutating func starts(of object: BufferObject) -> [UInt64] {
        if let known = starts[object.id] { return known }
        var at: UInt64 = 0
        let list = object.placement.pieces.map { piece in
            defer { at += piece.size }
            return at
        }
        starts[object.id] = list
        return list
    }
}

extension PageTableCheck {
    struct Difference {
        var va, end: UInt64
        var expected, found: Expectation.State
    }

    /// The differences in `[start, end)`, ascending.
    func differences(_ uvmm: UVMM, _ start: UInt64, _ end: UInt64) -> [Difference] {
        var differences: [Difference] = []
        var index = expected.partitioningIndex { $0.end > start }
        uvmm.tables.forEachExtent(start, end - start) { (extent: Extent) in
            let found = Expectation(extent)
            var va = found.va
            while va < found.end {
                while index < expected.count, expected[index].end <= va { index += 1 }
                let want: Expectation.State
                var to = found.end
                if index < expected.count, expected[index].va <= va {
                    want = expected[index].state(after: va - expected[index].va)
                    to = min(to, expected[index].end)
                } else {
                    want = .unmapped
                    if index < expected.count { to = min(to, expected[index].va) }
                }
                let got = found.state(after: va - found.va)
                if got != want {
                    differences.append(Difference(va: va, end: to, expected: want, found: got))
                }
                va = to
            }
        }
        return differences
    }
}

extension Expectation {
    init(_ extent: Extent) {
        va = extent.va
        end = extent.va + extent.size
        state =
            switch extent.state {
            case .unmapped: .unmapped
            case .sparse: .sparse
            case .mapped(let pa, let pte, _): .mapped(pa: pa, aperture: pte.aperture, kind: pte.kind, vol: pte.vol)
            }
    }
}

extension Expectation.State: CustomStringConvertible {
    var description: String {
        switch self {
        case .unmapped: "nothing"
        case .sparse: "sparse"
        case .mapped(let pa, let aperture, let kind, let vol):
            "\(aperture) \(hexText(pa)) kind \(hexText(kind))\(vol ? " vol" : "")"
        }
    }
}

extension Array {
    /// Index of the first element for which `belongs` holds; the elements are ordered so that all after it do too.
    func partitioningIndex(_ belongs: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if belongs(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
