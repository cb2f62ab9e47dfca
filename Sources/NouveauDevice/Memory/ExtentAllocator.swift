internal import NVMMU

/// Hands out stretches of an address range: first fit, neighbours merge when they come back. Units are bytes, the
/// grain is 4 KiB.
///
/// Invariants: `free` is ascending, disjoint and never adjacent; `used` + the free bytes = the range's size.
package struct ExtentAllocator {
    private var free: [PhysicalPiece]
    package let size: UInt64
    package private(set) var used: UInt64 = 0

    static let grain: UInt64 = 4096

    init(base: UInt64, size: UInt64) {
        free = size > 0 ? [PhysicalPiece(addr: base, size: size)] : []
        self.size = size
    }

    /// One stretch; `size` is a multiple of the grain, `align` a power of two.
    mutating func allocate(_ size: UInt64, align: UInt64) -> UInt64? {
        for (i, extent) in free.enumerated() {
            let addr = (extent.addr + align - 1) & ~(align - 1)
            let (end, wraps) = addr.addingReportingOverflow(size)
            guard !wraps, end <= extent.addr + extent.size else { continue }
            take(addr, size, from: i)
            return addr
        }
        return nil
    }

    /// Several stretches that add up to `size`, each a multiple of `granule` and aligned to it; `nil`: not so much
    /// is left.
    mutating func allocatePieces(_ size: UInt64, granule: UInt64) -> [PhysicalPiece]? {
        var pieces: [PhysicalPiece] = []
        var missing = size
        while missing > 0 {
            guard let piece = allocateUpTo(missing, granule: granule) else {
                for piece in pieces { release(piece) }
                return nil
            }
            pieces.append(piece)
            missing -= piece.size
        }
        return pieces
    }

    mutating func release(_ piece: PhysicalPiece) {
        used -= piece.size
        let i = free.partitioningIndex { $0.addr > piece.addr }
        let joinsNext = i < free.count && piece.addr + piece.size == free[i].addr
        if i > 0, free[i - 1].addr + free[i - 1].size == piece.addr {
            free[i - 1].size += piece.size + (joinsNext ? free[i].size : 0)
            if joinsNext { free.remove(at: i) }
        } else if joinsNext {
            free[i] = PhysicalPiece(addr: piece.addr, size: piece.size + free[i].size)
        } else {
            free.insert(piece, at: i)
        }
    }

    /// The first free stretch with room for a granule, as much of it as is wanted.
    private mutating func allocateUpTo(_ size: UInt64, granule: UInt64) -> PhysicalPiece? {
        for (i, extent) in free.enumerated() {
            let addr = (extent.addr + granule - 1) & ~(granule - 1)
            let end = extent.addr + extent.size
            guard addr < end, end - addr >= granule else { continue }
            let piece = PhysicalPiece(addr: addr, size: min(size, (end - addr) & ~(granule - 1)))
            take(piece.addr, piece.size, from: i)
            return piece
        }
        return nil
    }

    private mutating func take(_ addr: UInt64, _ size: UInt64, from i: Int) {
        let extent = free[i]
        let before = PhysicalPiece(addr: extent.addr, size: addr - extent.addr)
        let after = PhysicalPiece(addr: addr + size, size: extent.addr + extent.size - addr - size)
        free.replaceSubrange(i...i, with: [before, after].filter { $0.size > 0 })
        used += size
    }
}

extension RandomAccessCollection where Index == Int {
    /// The first index whose element satisfies `belongsAfter`, in a collection where all that do come last.
    func partitioningIndex(_ belongsAfter: (Element) -> Bool) -> Int {
        var low = startIndex
        var high = endIndex
        while low < high {
            let middle = (low + high) / 2
            if belongsAfter(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
