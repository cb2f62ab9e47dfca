internal import JSONLines
internal import KernelErrno
internal import NVMMU

/// Runs a single recorded word: encodes what it says and decodes the result back, or compares a format's tables of
/// kinds and pages.
struct MMUWordRunner {
    private let format: Format
    private var result: CaseResult

    static func run(_ line: JSONObject) throws(InputError) -> CaseResult {
        try line.allowOnly(["id", "source", "gen", "what", "in", "out", "pages", "table", "count", "invalid"])
        var result = CaseResult(id: try line.string("id"))
        let what = try line.string("what")
        let (generation, format) = try Generation.read(line)
        guard let format else {
            result.skips.insert("generation \(generation)")
            return result
        }
        var runner = MMUWordRunner(format: format, result: result)
        switch what {
        case "pte": try runner.page(line)
        case "pde": try runner.directory(line)
        case "dual": try runner.dual(line)
        case "kinds": try runner.kinds(line)
        case "pages": try runner.pages(line)
        case "geometry": runner.result.skips.insert("geometry")
        case _ where what.hasPrefix("unmapped_") || what.hasPrefix("sparse_"): try runner.special(line, what)
        default: throw line.error("what", "is an unknown kind of word \"\(what)\"")
        }
        return runner.result
    }

    private mutating func compare<T: Equatable>(_ what: String, expected: T, found: T) {
        result.compare(step: nil, what, expected: expected, found: found)
    }

    /// The words of `out`, one or two.
    private func words(_ line: JSONObject) throws(InputError) -> EntryWords {
        let out = try line.array("out")
        guard out.count == 1 || out.count == 2 else { throw line.error("out", "is neither one word nor two") }
        return EntryWords(try out.hex(0), out.count == 2 ? try out.hex(1) : 0)
    }

    private static func text(_ words: EntryWords) -> String {
        words.high == 0 ? words.low.hex : "\(words.low.hex) \(words.high.hex)"
    }

    private mutating func compare(
        _ expected: EntryWords, _ encode: () throws(KernelErrno) -> EntryWords
    ) {
        do throws(KernelErrno) {
            compare("word", expected: Self.text(expected), found: Self.text(try encode()))
        } catch {
            compare("word", expected: Self.text(expected), found: "\(error)")
        }
    }
}

// MARK: - Pages

extension MMUWordRunner {
    private mutating func page(_ line: JSONObject) throws(InputError) {
        let expected = try words(line)
        let object = try line.object("in")
        try object.allowOnly([
            "aperture", "peer", "addr", "ctl", "vol", "ro", "priv", "kind", "atomic_disable", "write_disable",
            "read_disable", "lock", "acd",
        ])
        var pte = PTE()
        pte.aperture = try Aperture.read(object, "aperture")
        pte.peer = try object.int("peer", default: 0)
        pte.addr = try object.hex("addr")
        pte.comptag = object.has("ctl") ? try object.uint32("ctl") : 0
        pte.kind = try object.int("kind", default: 0)
        pte.vol = try object.int("vol", default: 0) != 0
        pte.ro = try object.int("ro", default: 0) != 0
        pte.priv = try object.int("priv", default: 0) != 0
        pte.atomicDisable = try object.int("atomic_disable", default: 0) != 0
        pte.lock = try object.int("lock", default: 0) != 0
        pte.readDisable = try object.int("read_disable", default: 0) != 0
        pte.writeDisable = try object.int("write_disable", default: 0) != 0
        pte.accessCounterDisable = try object.int("acd", default: 0) != 0
        let (asked, format) = (pte, format)
        for level in [Level.spt, .lpt] {
            compare(expected) { () throws(KernelErrno) in try format.encode(asked, at: level) }
            compare(
                "decoded \(level.name)", expected: .page(splitPeerAddress(asked)),
                found: format.decode(expected, at: level))
        }
    }

    /// Pascal to Ada: a peer address of more than 37 bits goes on in the comptag field, and is decoded as that.
    private func splitPeerAddress(_ pte: PTE) -> PTE {
        var pte = pte
        if format.layout == .ver2, pte.aperture == .peer, pte.addr >> 37 != 0 {
            pte.comptag = UInt32(truncatingIfNeeded: pte.addr >> 37)
            pte.addr &= 1 << 37 - 1
        }
        return pte
    }
}

// MARK: - Directories

extension MMUWordRunner {
    private mutating func directory(_ line: JSONObject) throws(InputError) {
        let expected = try words(line)
        let object = try line.object("in")
        try object.allowOnly(["table"])
        let pointer = try tablePointer(object, "table")
        let format = format
        for level in format.levels.map(\.level) where level.rawValue > Level.pd0.rawValue {
            compare(expected) { () throws(KernelErrno) in try format.encode(big: nil, next: pointer, at: level) }
            compare(
                "decoded \(level.name)", expected: pointer.map { .table(big: nil, next: $0) } ?? .invalid,
                found: format.decode(expected, at: level))
        }
    }

    private mutating func dual(_ line: JSONObject) throws(InputError) {
        let expected = try words(line)
        let object = try line.object("in")
        try object.allowOnly(["big", "small"])
        let (big, small) = (try tablePointer(object, "big"), try tablePointer(object, "small"))
        let format = format
        compare(expected) { () throws(KernelErrno) in try format.encode(big: big, next: small, at: .pd0) }
        compare(
            "decoded PD0", expected: big == nil && small == nil ? .invalid : .table(big: big, next: small),
            found: format.decode(expected, at: .pd0))
    }

    /// A table pointer; `nil` where there is none: the field is null or its aperture 0 or "none".
    private func tablePointer(_ object: JSONObject, _ key: String) throws(InputError) -> PDE? {
        guard object.has(key), !object.isNull(key) else { return nil }
        let table = try object.object(key)
        try table.allowOnly(["ap", "addr", "vol", "no_ats", "pcf"])
        guard let aperture = try tableAperture(table) else { return nil }
        var pde = PDE()
        pde.aperture = aperture
        pde.addr = try table.hex("addr")
        let pcf = try table.int("pcf", default: 0) // Hopper and later: both in one field
        pde.vol = try table.int("vol", default: pcf & 1) != 0
        pde.noATS = try table.int("no_ats", default: pcf & 2) != 0
        return pde
    }

    /// Numbers (0 none, 1 vram, 2 host, 3 ncoh) or names.
    private func tableAperture(_ table: JSONObject) throws(InputError) -> Aperture? {
        if table.isNull("ap") { return nil }
        if let name = try? table.string("ap") {
            return name == "none" ? nil : try Aperture.read(table, "ap")
        }
        switch try table.int("ap") {
        case 0: return nil
        case 1: return .vram
        case 2: return .host
        case 3: return .ncoh
        default: throw table.error("ap", "is no aperture of a table")
        }
    }
}

// MARK: - Tables of a format

extension MMUWordRunner {
    private mutating func kinds(_ line: JSONObject) throws(InputError) {
        let (count, invalid) = (try line.int("count"), try line.int("invalid"))
        let table = try line.array("table").map { array, i throws(InputError) in try array.int(i) }
        guard table.count == count else { throw line.error("table", "does not have \(count) kinds") }
        for (kind, value) in table.enumerated() {
            // Tesla's table has storage types; its kinds do not say compression.
            let found = format.layout == .tesla ? format.storage(ofKind: kind) : format.uncompressedKind(kind)
            compare("kind \(kind)", expected: value == invalid ? nil : value, found: found)
        }
        compare("kind \(count)", expected: nil, found: format.uncompressedKind(count))
    }

    private mutating func pages(_ line: JSONObject) throws(InputError) {
        let pages = try line.objects("pages").map { page throws(InputError) in
            try page.allowOnly(["shift", "sparse", "vram", "host", "comp"])
            return [
                try page.int("shift"), try page.int("sparse"), try page.int("vram"), try page.int("host"),
                try page.int("comp"),
            ]
        }
        let found = format.pageSizes.map { page in
            [page.shift] + [page.sparse, page.vram, page.host, page.compression].map { $0 ? 1 : 0 }
        }
        compare("pages (shift, sparse, vram, host, comp)", expected: pages, found: found)
    }
}

// MARK: - Special words

extension MMUWordRunner {
    /// The words of entries that map nothing: found where page tables write them, and decoded back.
    private mutating func special(_ line: JSONObject, _ what: String) throws(InputError) {
        let expected = try words(line)
        let sparse = what.hasPrefix("sparse_")
        let levels: [Level] = what.hasSuffix("pde") ? [.pd0, .pd1] : [.lpt, .spt]
        let written = Self.writtenWords(format, sparse: sparse)
        let found = levels.compactMap { written[$0] }
        if !found.contains(expected) {
            compare("word", expected: Self.text(expected), found: "\(found.map(Self.text))")
        }
        for level in levels where written[level] == expected {
            let entry = format.decode(expected, at: level)
            let isRight = sparse ? entry == .sparse : entry == .invalid || entry == .hidden
            compare("decoded \(level.name)", expected: true, found: isRight)
        }
    }

    /// What the library writes into entries that are sparse, or next to ones in use.
    private static func writtenWords(_ format: Format, sparse: Bool) -> [Level: EntryWords] {
        let hooks = TableWindow(format: format, aperture: .vram, base: 0)
        var words: [Level: EntryWords] = [:]
        do throws(KernelErrno) {
            var tables = try PageTables(format: format, windows: [hooks.window], hooks: hooks)
            // Uses entries of the tables of address 0, and leaves or makes sparse the second one of each.
            let shifts = format.levels.filter { $0.level.rawValue <= Level.pd1.rawValue }.map(\.shift)
            if sparse {
                for shift in shifts { try tables.getSparse(1 << UInt64(shift), 1 << UInt64(shift)) }
            } else {
                let big = shifts.dropLast().last ?? shifts[0] // before Tesla there is one size
                try tables.get(0, 1 << UInt64(big), shift: big)
                try tables.get(1 << 20, 1 << 12, shift: 12)
            }
            for table in tables.tables() where table.va == 0 {
                let bytes = table.memory.count / table.entries
                words[table.level] = table.words(1, entryBytes: bytes)
            }
        } catch {
            return [:]
        }
        return words
    }
}
