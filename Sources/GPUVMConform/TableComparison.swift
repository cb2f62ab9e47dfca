internal import NVMMU

/// Compares our tables with a recorded image: the same tables must exist, and every entry be equal but for the
/// addresses of tables, which must be those of our own tables below it.
///
/// The masks are written down here for Pascal's format (VER2), so that the library's own decoding is not its judge.
struct TableComparison {
    private let format: Format
    private let ours: [TableImage.Key: TableInfo]
    private(set) var differences: [Difference] = []

    struct Difference {
        var what, expected, found: String
        /// The addresses below the entry that differs; `nil`: not about one entry.
        var range: Range<UInt64>?
    }

    init(_ image: TableImage, format: Format, tables: [TableInfo]) {
        self.format = format
        ours = Dictionary(
            tables.map { (TableImage.Key(level: $0.level, va: $0.va), $0) }, uniquingKeysWith: { first, _ in first })
        if ours.count != tables.count {
            differ("tables", "one for each level and address", "\(tables.count - ours.count) too many")
        }
        let recorded = Set(image.tables.map(\.key))
        for key in ours.keys where !recorded.contains(key) {
            differ("table \(key)", "none", "a table")
        }
        for table in image.tables {
            if let info = ours[table.key] {
                compare(table, info)
            } else {
                differ("table \(table.key)", "a table", "none")
            }
        }
    }

    private mutating func differ(
        _ what: String, _ expected: String, _ found: String, range: Range<UInt64>? = nil
    ) {
        differences.append(Difference(what: what, expected: expected, found: found, range: range))
    }

    private mutating func compare(_ table: TableImage.Table, _ info: TableInfo) {
        let geometry = format.levels.first { $0.level == table.key.level }!
        guard info.entries == table.entries, geometry.entryBytes == table.entryBytes, geometry.shift == table.shift
        else {
            differ(
                "table \(table.key)", "\(table.entries) entries of \(table.entryBytes) bytes, shift \(table.shift)",
                "\(info.entries) entries of \(geometry.entryBytes) bytes, shift \(geometry.shift)")
            return
        }
        for index in 0..<table.entries {
            compareEntry(table, info, index)
        }
    }

    private mutating func compareEntry(_ table: TableImage.Table, _ info: TableInfo, _ index: Int) {
        let perEntry = table.entryBytes / 8
        let va = table.key.va + UInt64(index) << UInt64(table.shift)
        let isPage = table.words[index * perEntry] & 1 != 0
        for half in 0..<perEntry {
            let at = index * perEntry + half
            let (recorded, found) = (table.words[at], info.memory.load(fromByteOffset: at * 8, as: UInt64.self))
            let field = isPage ? nil : PointerField(level: table.key.level, half: half)
            if !Self.equal(recorded, found, field) {
                differ(
                    "\(table.key), entry \(index)\(half == 1 ? ", high" : "")", recorded.hex, found.hex,
                    range: va..<(va + 1 << UInt64(table.shift)))
            } else if let field, field.pointsAtTable(recorded) {
                comparePointer(field.address(found), to: TableImage.Key(level: field.child, va: va))
            }
        }
    }

    private static func equal(_ recorded: UInt64, _ found: UInt64, _ field: PointerField?) -> Bool {
        guard let field, field.pointsAtTable(recorded) else { return recorded == found }
        return recorded & ~field.mask == found & ~field.mask
    }

    private mutating func comparePointer(_ addr: UInt64, to child: TableImage.Key) {
        let table = ours[child]
        if table?.addr != addr {
            differ("pointer to table \(child)", table?.addr.hex ?? "a table, which is missing", addr.hex)
        }
    }
}

/// Where a directory entry's word holds the address of a table.
private struct PointerField {
    var child: Level
    var mask: UInt64

    /// `nil`: words at this level are no table pointers.
    init?(level: Level, half: Int) {
        guard let below = level.below else { return nil }
        let isBig = level == .pd0 && half == 0
        child = isBig ? .lpt : below
        mask = isBig ? 0x003f_ffff_ffff_fff0 : 0x003f_ffff_ffff_ff00
    }

    /// Bits 2:1 are the aperture of the table, 0 is none.
    func pointsAtTable(_ word: UInt64) -> Bool { word & 6 != 0 }

    func address(_ word: UInt64) -> UInt64 {
        let isVRAM = word & 6 == 2
        return (word & mask & (isVRAM ? 0x1_ffff_ffff : .max)) << 4
    }
}
