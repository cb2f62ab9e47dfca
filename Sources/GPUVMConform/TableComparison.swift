internal import Glibc
internal import NVMMU

/// Compares our tables with a recorded image: the same tables must exist, and every entry be equal but for the
/// addresses of tables, which must be those of our own tables below it.
///
/// The masks are written down here, so that the library's own decoding is not its judge.
struct TableComparison {
    private let levels: [LevelGeometry]
    private let layout: EntryLayout
    private let ours: [TableImage.Key: TableInfo]
    private(set) var differences: [Difference] = []

    struct Difference {
        var what, expected, found: String
        /// The addresses below the entry that differs; `nil`: not about one entry.
        var range: Range<UInt64>?
    }

    init(_ image: TableImage, format: Format, tables: [TableInfo]) {
        levels = format.levels
        layout = format.layout
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
        let geometry = levels.first { $0.level == table.key.level }!
        guard info.entries == table.entries, geometry.entryBytes == table.entryBytes, geometry.shift == table.shift
        else {
            differ(
                "table \(table.key)", "\(table.entries) entries of \(table.entryBytes) bytes, shift \(table.shift)",
                "\(info.entries) entries of \(geometry.entryBytes) bytes, shift \(geometry.shift)")
            return
        }
        let fields = (0..<table.perEntry).map {
            PointerField.fields(layout, level: table.key.level, half: $0)
        }
        if fields.allSatisfy(\.isEmpty), Self.isEqual(table, info) { return }
        for index in 0..<table.entries {
            compareEntry(table, info, index, fields)
        }
    }

    /// All words at once: leaf tables of old chips are long.
    private static func isEqual(_ table: TableImage.Table, _ info: TableInfo) -> Bool {
        guard table.entryBytes == 8 else { return false }
        return table.words.withUnsafeBytes { memcmp($0.baseAddress!, info.memory.baseAddress!, $0.count) == 0 }
    }

    /// `fields`: where pointers are in each word, unless the entry is a page.
    private mutating func compareEntry(
        _ table: TableImage.Table, _ info: TableInfo, _ index: Int, _ fields: [[PointerField]]
    ) {
        let va = table.key.va + UInt64(index) << UInt64(table.shift)
        let isPage = layout != .ver1 && layout != .tesla && table.words[index * fields.count] & 1 != 0
        for half in 0..<fields.count {
            let at = index * fields.count + half
            let words = info.words(index, entryBytes: table.entryBytes)
            let (recorded, found) = (table.words[at], half == 0 ? words.low : words.high)
            if recorded | found == 0 { continue } // most are
            let pointers = isPage ? [] : fields[half].filter { $0.pointsAtTable(recorded) }
            let mask = pointers.reduce(0) { $0 | $1.address }
            if recorded & ~mask != found & ~mask {
                differ(
                    "\(table.key), entry \(index)\(half == 1 ? ", high" : "")", recorded.hex, found.hex,
                    range: va..<(va + 1 << UInt64(table.shift)))
                continue
            }
            for pointer in pointers {
                comparePointer(pointer.address(in: found), to: TableImage.Key(level: pointer.child, va: va))
            }
        }
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
    /// Bits of the table's aperture: 0 is none, 1 VRAM. Tesla: of the size of its pages.
    var aperture: UInt64
    /// Tesla: the size there that means this child.
    var pages: UInt64?
    /// Bits of its address, and those of them that count in VRAM.
    var address, inVRAM: UInt64
    /// How far up the address stands in the end.
    var shift: Int

    /// None where words at this level are no table pointers.
    static func fields(_ layout: EntryLayout, level: Level, half: Int) -> [PointerField] {
        guard let below = level.below else { return [] }
        let isBig = level == .pd0 && half == 0
        let child = isBig ? .lpt : below
        switch layout {
        case .gart:
            return []
        case .tesla:
            let address: UInt64 = 0xff_ffff_f000
            return [
                PointerField(child: .lpt, aperture: 3, pages: 1, address: address, inVRAM: address, shift: 0),
                PointerField(child: .spt, aperture: 3, pages: 3, address: address, inVRAM: address, shift: 0),
            ]
        case .ver1:
            let (address, inVRAM): (UInt64, UInt64) = (0xffff_fff0, 0x1fff_fff0)
            return [
                PointerField(child: .lpt, aperture: 3, address: address, inVRAM: inVRAM, shift: 8),
                PointerField(child: .spt, aperture: 3 << 32, address: address << 32, inVRAM: inVRAM << 32, shift: -24),
            ]
        case .ver2:
            let address: UInt64 = isBig ? 0x003f_ffff_ffff_fff0 : 0x003f_ffff_ffff_ff00
            let inVRAM = address & 0x1_ffff_ffff
            return [PointerField(child: child, aperture: 6, address: address, inVRAM: inVRAM, shift: 4)]
        case .ver3:
            let address: UInt64 = isBig ? 0x000f_ffff_ffff_ff00 : 0x000f_ffff_ffff_f000
            return [PointerField(child: child, aperture: 6, address: address, inVRAM: address, shift: 0)]
        }
    }

    func pointsAtTable(_ word: UInt64) -> Bool {
        pages.map { word & aperture == $0 } ?? (word & aperture != 0)
    }

    func address(in word: UInt64) -> UInt64 {
        let isVRAM = word & aperture == aperture & (~aperture + 1)
        return (word & (isVRAM ? inVRAM : address)) << shift
    }
}
