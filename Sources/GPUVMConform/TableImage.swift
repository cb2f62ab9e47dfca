internal import JSONLines
internal import NVMMU

/// All hardware tables of a space at one moment, as recorded.
struct TableImage {
    /// Address of the root.
    var root: UInt64
    var tables: [Table]

    struct Table {
        var key: Key
        var entries: Int
        var entryBytes: Int
        /// Bits of address below one entry.
        var shift: Int
        /// Entries one after the other, two words each where they have 16 bytes, one of 32 bits where they have 4.
        var words: [UInt64]
    }

    /// Which table: its level and the first address it covers.
    struct Key: Hashable, CustomStringConvertible {
        var level: Level
        var va: UInt64
        var description: String { "\(level.name) of \(va.hex)" }
    }

    init(_ image: JSONObject) throws(InputError) {
        try image.allowOnly(["pdb", "tables"])
        root = try image.hex("pdb")
        tables = try image.objects("tables").map { table throws(InputError) in try Table(table) }
    }
}

extension TableImage.Table {
    init(_ table: JSONObject) throws(InputError) {
        try table.allowOnly(["t", "va", "addr", "n", "es", "shift", "e"])
        entries = try table.int("n")
        entryBytes = try table.int("es")
        shift = try table.int("shift")
        guard let level = Level(recorded: try table.string("t"), shift: shift) else {
            throw table.error("t", "is an unknown level")
        }
        key = TableImage.Key(level: level, va: try table.hex("va"))
        guard [4, 8, 16].contains(entryBytes) else { throw table.error("es", "is neither 4 nor 8 nor 16") }
        guard (1...1 << 20).contains(entries) else { throw table.error("n", "is no number of entries") }
        _ = try table.hex("addr")
        words = [UInt64](repeating: 0, count: entries * max(1, entryBytes / 8))
        let runs = try table.array("e")
        for i in 0..<runs.count {
            try expand(try runs.array(i))
        }
    }

    /// Words of an entry.
    var perEntry: Int { words.count / entries }

    /// `[index, count, value, step]`, value and step twice for entries of two words.
    private mutating func expand(_ run: JSONArray) throws(InputError) {
        try run.expectCount(2 + 2 * perEntry)
        let (index, count) = (try run.int(0), try run.int(1))
        guard index >= 0, count > 0, index <= entries, count <= entries - index else {
            throw run.error(0, "is a run outside the table")
        }
        for half in 0..<perEntry {
            var value = try run.hex(2 + 2 * half)
            let step = try run.hex(3 + 2 * half)
            for entry in index..<(index + count) {
                words[entry * perEntry + half] = entryBytes == 4 ? value & 0xffff_ffff : value
                value &+= step
            }
        }
    }
}

extension Level {
    /// As the vectors name levels; "PT" is the table of a chip that has one leaf table for an address.
    init?(recorded name: String, shift: Int) {
        guard let level = name == "PT" ? (shift == 12 ? .spt : .lpt) : Self.allCases.first(where: { $0.name == name })
        else { return nil }
        self = level
    }
}
