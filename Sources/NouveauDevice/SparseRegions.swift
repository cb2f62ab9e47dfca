/// A sparse reservation of addresses: where nothing is mapped, reads give zero and writes vanish.
package struct SparseRegion: Hashable, Sendable {
    package let addr, range: UInt64
    /// Its removal was submitted.
    var isDirty = false

    package init(addr: UInt64, range: UInt64) {
        self.addr = addr
        self.range = range
    }

    package var end: UInt64 { addr + range }

    func encloses(_ addr: UInt64, _ range: UInt64) -> Bool {
        self.addr <= addr && addr + range <= end
    }
}

/// The sparse reservations of an address space: disjoint, ascending.
struct SparseRegions {
    private(set) var all: [SparseRegion] = []
    var isEmpty: Bool { all.isEmpty }

    /// The lowest region that overlaps.
    func first(overlapping addr: UInt64, _ range: UInt64) -> SparseRegion? {
        let i = all.partitioningIndex { $0.end > addr }
        return i < all.count && all[i].addr < addr + range ? all[i] : nil
    }

    /// The region with exactly these bounds.
    func find(_ addr: UInt64, _ range: UInt64) -> SparseRegion? {
        first(overlapping: addr, range).flatMap { $0.addr == addr && $0.range == range ? $0 : nil }
    }

    /// The caller has seen that nothing overlaps.
    mutating func insert(_ region: SparseRegion) {
        all.insert(region, at: all.partitioningIndex { $0.addr > region.addr })
    }

    mutating func remove(_ addr: UInt64) {
        all.remove(at: index(of: addr))
    }

    mutating func setDirty(_ addr: UInt64, _ isDirty: Bool) {
        all[index(of: addr)].isDirty = isDirty
    }

    private func index(of addr: UInt64) -> Int {
        all.partitioningIndex { $0.end > addr }
    }
}
