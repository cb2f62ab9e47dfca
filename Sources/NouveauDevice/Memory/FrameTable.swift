internal import Glibc
internal import NVMMU
internal import Synchronization

/// Where in the store the frames of an address range are: 8 bytes for each 4 KiB, the mmap handle of the frame's first
/// byte, or 0 where no buffer lies.
///
/// Frames are read by engines while others are set, without a lock: each is one relaxed 64-bit load. A frame that a
/// page table entry leads to has been set before the entry was written, and stays until the entry is gone and engines
/// have let go of it; so whoever clears or overwrites frames unmaps the buffer and flushes first.
final class FrameTable: @unchecked Sendable {
    private let base: UInt64
    private let count: UInt64
    private let frames: UnsafeMutablePointer<Atomic<UInt64>>?

    private static let shift: UInt64 = 12
    private static let frame: UInt64 = 1 << shift

    /// All frames unset. `base` and `size` are multiples of 4 KiB.
    /// - Returns: `nil`: the host has no memory.
    init?(base: UInt64, size: UInt64, host: HostMemory) {
        self.base = base
        count = size >> Self.shift
        guard count > 0 else {
            frames = nil
            return
        }
        guard let memory = host.reserve(count * 8) else { return nil }
        frames = memory.baseAddress!.bindMemory(to: Atomic<UInt64>.self, capacity: Int(count))
    }

    deinit {
        if let frames { munmap(frames, Int(count) * 8) }
    }

    /// The frames of `pieces`, in this order, are the store's from `handle` on.
    func set(_ pieces: [PhysicalPiece], to handle: UInt64) {
        var handle = handle
        for piece in pieces {
            fill(piece, from: handle, step: Self.frame)
            handle += piece.size
        }
        // Before any page table entry that is written from here on.
        atomicMemoryFence(ordering: .releasing)
    }

    func clear(_ pieces: [PhysicalPiece]) {
        for piece in pieces { fill(piece, from: 0, step: 0) }
    }

    private func fill(_ piece: PhysicalPiece, from handle: UInt64, step: UInt64) {
        let first = (piece.addr - base) >> Self.shift
        var handle = handle
        for i in first..<first + piece.size >> Self.shift {
            frames![Int(i)].store(handle, ordering: .relaxed)
            handle += step
        }
    }

    /// The handle of the byte at `address`, and how many of `limit` bytes lie in a row from there.
    /// - Returns: `nil`: no frame is there, or `limit` is 0.
    func extent(at address: UInt64, limit: UInt64) -> (handle: UInt64, length: UInt64)? {
        guard limit > 0, address >= base, (address - base) >> Self.shift < count, let frames else { return nil }
        var i = (address - base) >> Self.shift
        let start = frames[Int(i)].load(ordering: .relaxed)
        guard start != 0 else { return nil }
        let inside = address & (Self.frame - 1)
        var length = Self.frame - inside
        i += 1
        while length < limit, i < count, frames[Int(i)].load(ordering: .relaxed) == start + inside + length {
            length += Self.frame
            i += 1
        }
        return (start + inside, min(length, limit))
    }
}
