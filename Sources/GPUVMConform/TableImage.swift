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
        /// Entries one after the other, two words each where they have 16 bytes.
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
    private static let levels = Dictionary(uniqueKeysWithValues: Level.allCases.map { ($0.name, $0) })

    init(_ table: JSONObject) throws(InputError) {
        try table.allowOnly(["t", "va", "addr", "n", "es", "shift", "e"])
        guard let level = Self.levels[try table.string("t")] else { throw table.error("t", "is an unknown level") }
        key = TableImage.Key(level: level, va: try table.hex("va"))
        entries = try table.int("n")
        entryBytes = try table.int("es")
        shift = try table.int("shift")
        guard entryBytes == 8 || entryBytes == 16 else { throw table.error("es", "is neither 8 nor 16") }
        guard (1...1 << 20).contains(entries) else { throw table.error("n", "is no number of entries") }
        _ = try table.hex("addr")
        words = [UInt64](repeating: 0, count: entries * entryBytes / 8)
        let runs = try table.array("e")
        for i in 0..<runs.count {
            try expand(try runs.array(i))
        }
    }

    /// `[index, count, value, step]`, value and step twice for entries of two words.
    private mutating func expand(_ run: JSONArray) throws(InputError) {
        let perEntry = entryBytes / 8
        try run.expectCount(2 + 2 * perEntry)
        let (index, count) = (try run.int(0), try run.int(1))
        guard index >= 0, count > 0, index <= entries, count <= entries - index else {
            throw run.error(0, "is a run outside the table")
        }
        for half in 0..<perEntry {
            var value = try run.hex(2 + 2 * half)
            let step = try run.hex(3 + 2 * half)
            for entry in index..<(index + count) {
                words[entry * perEntry + half] = value
                value &+= step
            }
        }
    }
}
