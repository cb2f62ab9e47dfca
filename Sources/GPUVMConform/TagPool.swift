internal import NVMMU

/// The recording's compression tags: lines from 0x40 on, as many for an object as it has blocks of 128 KiB (64 KiB with
/// big pages of that size, before GM20x; Tesla times its compression mode), which it keeps.
struct TagPool {
    private var next: UInt32 = 0x40
    private var lines: [Int: UInt32] = [:]

    /// The first line of object `id`, which is mapped with pages of `1 << shift` bytes.
    mutating func line(of id: Int, _ memory: RecordedMemory, shift: Int, generation: String, mode: Int = 1) -> UInt32 {
        if let line = lines[id] { return line }
        let blocks = (memory.pieces.reduce(0) { $0 + $1.size } + 0x1ffff) >> 17
        let linesOfBlock = UInt64(shift == 16 && !generation.hasPrefix("gm2") ? 2 * mode : 1)
        defer { next &+= UInt32(truncatingIfNeeded: blocks * linesOfBlock) }
        lines[id] = next
        return next
    }
}
