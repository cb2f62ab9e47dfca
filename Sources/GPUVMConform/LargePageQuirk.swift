internal import KernelErrno
internal import NVMMU

/// Judges the cases in which nouveau does something wrong with its largest pages and we do what the calls mean: entries
/// in the ranges at hand may differ from the recorded ones, but walks of those ranges must find what was asked for.
struct LargePageQuirk {
    let deviation: Deviation
    private var ranges: [Wanted] = []

    private struct Wanted {
        var range: Range<UInt64>
        /// Physical address of the first byte; `nil`: sparse.
        var pa: UInt64?
    }

    /// `nil`: the case is not flagged for one.
    init?(flags: [String]) {
        if flags.contains("quirk-sparse27-on-64k") {
            deviation = .sparse27On64K
        } else if flags.contains("quirk-gh100-512m") {
            deviation = .gh100Page512M
        } else {
            return nil
        }
    }

    mutating func sparse(_ va: UInt64, _ size: UInt64, ref: Bool) {
        ranges.removeAll { $0.range == va..<(va + size) }
        if ref { ranges.append(Wanted(range: va..<(va + size), pa: nil)) }
    }

    mutating func mapped(_ va: UInt64, _ size: UInt64, pa: UInt64?) {
        ranges.append(Wanted(range: va..<(va + size), pa: pa))
    }

    mutating func unmapped(_ va: UInt64, _ size: UInt64) {
        ranges.removeAll { $0.range == va..<(va + size) }
    }

    /// An entry that covers `range` may differ: it is asked for, or the one nouveau takes instead (its index counts
    /// 128 MiB where an entry has 64).
    func covers(_ range: Range<UInt64>) -> Bool {
        ranges.contains { wanted in
            let mistaken = ((wanted.range.lowerBound >> 27) << 26)..<((wanted.range.upperBound >> 27) << 26)
            return wanted.range.overlaps(range) || (deviation == .sparse27On64K && mistaken.overlaps(range))
        }
    }

    /// Addresses of the ranges at which a walk does not find what was asked for.
    func wrongAddresses(in tables: borrowing PageTables) -> [UInt64] {
        var wrong: [UInt64] = []
        for wanted in ranges {
            for va in stride(from: wanted.range.lowerBound, to: wanted.range.upperBound, by: 16 << 20) {
                let isRight =
                    switch tables.walk(va).result {
                    case .page(let pa, _): wanted.pa.map { $0 + (va - wanted.range.lowerBound) } == pa
                    case .sparse: wanted.pa == nil
                    case .fault: false
                    }
                if !isRight { wrong.append(va) }
            }
        }
        return wrong
    }
}
