internal import NVMMU

/// Judges cases that hold references of two page sizes on one address, where ours behaves better than nouveau
/// (SIZE-OVERLAP): an entry of such an address may differ, and a walk of it must find the page of the youngest map that
/// no unmap of its size has ended.
struct SizeOverlap {
    private var references: [(range: Range<UInt64>, shift: Int)] = []
    private var events: [Event] = []

    private enum Event {
        case mapped(Range<UInt64>, shift: Int, RecordedMemory, offset: UInt64)
        case unmapped(Range<UInt64>, shift: Int)
    }

    mutating func got(_ va: UInt64, _ size: UInt64, shift: Int) {
        references.append((va..<(va + size), shift))
    }

    mutating func mapped(_ va: UInt64, _ size: UInt64, shift: Int, _ memory: RecordedMemory, offset: UInt64) {
        events.append(.mapped(va..<(va + size), shift: shift, memory, offset: offset))
    }

    mutating func unmapped(_ va: UInt64, _ size: UInt64, shift: Int) {
        events.append(.unmapped(va..<(va + size), shift: shift))
    }

    /// Two page sizes were referenced in this range of an entry, which is no larger than their pages.
    func covers(_ range: Range<UInt64>) -> Bool {
        let shifts = Set(references.filter { $0.range.overlaps(range) }.map(\.shift))
        return shifts.count > 1 && range.count <= 1 << shifts.max()!
    }

    /// The walk's page, or the address alone, was referenced by two sizes, and the walk found what the calls mean.
    func explains(_ answer: Probe.Answer, at va: UInt64) -> Bool {
        var page = va..<(va + 1)
        if case .page(let found) = answer {
            let start = va & ~(1 << UInt64(found.shift) - 1)
            page = start..<(start + 1 << UInt64(found.shift))
        }
        return covers(page) && isRight(answer, at: va)
    }

    private func isRight(_ answer: Probe.Answer, at va: UInt64) -> Bool {
        var ended: Set<Int> = []
        for event in events.reversed() {
            switch event {
            case .unmapped(let range, let shift) where range.contains(va):
                ended.insert(shift)
            case .mapped(let range, let shift, let memory, let offset)
            where range.contains(va) && !ended.contains(shift):
                guard case .page(let page) = answer else { return false }
                return page.shift == shift && page.pa == memory.address(offset + (va - range.lowerBound))
            default: continue
            }
        }
        if case .page = answer { return false }
        return true
    }
}

extension RecordedMemory {
    /// Physical address of a byte of the object.
    func address(_ offset: UInt64) -> UInt64? {
        var left = offset
        for piece in pieces {
            if left < piece.size { return piece.addr + left }
            left -= piece.size
        }
        return nil
    }
}
