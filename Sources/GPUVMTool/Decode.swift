internal import ArgumentParser
internal import NVMMU

struct Decode: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Names the bits of raw page table entries.",
        discussion: """
            From Pascal on a directory entry of level pd0 has two words, low first; a single word is taken as the low \
            one. NV44 packs four entries into 16 bytes: give one as bits 26:0 the frame, 31 the valid bit of all four.
            """)

    @Option(help: "The chip, in hex.")
    var chipset: ChipsetNumber

    @Option(help: "pte, spt, lpt, pd0, pd1 …")
    var level: String

    @Argument(help: "Entries as they stand in memory.")
    var word: [Number]

    func run() throws {
        let chip = try chipset.chip()
        let format = chip.format
        guard let level = format.level(named: level),
            let geometry = format.levels.first(where: { $0.level == level })
        else {
            let names = format.levels.map { $0.level.name.lowercased() } + ["pte"]
            throw ValidationError("level \"\(level)\" is not one of \(chip.name)'s: \(names.joined(separator: ", "))")
        }
        let perEntry = max(1, geometry.entryBytes / 8)
        guard word.count == 1 || word.count % perEntry == 0 else {
            throw ValidationError("an entry of level \(level.name) has \(perEntry) words, but \(word.count) are given")
        }
        guard geometry.entryBytes > 4 || word.allSatisfy({ $0.value <= UInt32.max }) else {
            throw ValidationError("an entry of level \(level.name) has 32 bits")
        }
        let style = Style.standardOutput
        for i in stride(from: 0, to: word.count, by: perEntry) {
            let words = EntryWords(
                word[i].value, perEntry == 2 && i + 1 < word.count ? word[i + 1].value : 0)
            print(style.bold("\(format.name) \(level.name) \(words.text(geometry.entryBytes))") + "  " + format.summary(words, at: level))
            for line in format.fieldLines(words, at: level) {
                print("  " + line)
            }
        }
    }
}

extension EntryWords {
    /// An entry of so many bytes; both words where it has two, low first.
    func text(_ bytes: Int) -> String {
        hex(low, width: min(2 * bytes, 16)) + (bytes == 16 ? " " + hex(high, width: 16) : "")
    }
}

extension Format {
    /// An entry in one line.
    func summary(_ words: EntryWords, at level: Level) -> String {
        switch decode(words, at: level) {
        case .invalid: "not valid"
        case .sparse: "sparse"
        case .hidden: "not valid, and no small page below is"
        case .page(let pte): "page at \(pageText(pte))"
        case .table(let big, let next):
            [big.map { "big pages: \(tableText($0))" }, next.map { "table: \(tableText($0))" }]
                .compactMap { $0 }.joined(separator: ", ")
        }
    }

    /// Where a page is and how it is seen.
    func pageText(_ pte: PTE) -> String {
        var text = "\(pte.aperture) \(hex(pte.addr))"
        if pte.aperture == .peer { text += " of peer \(pte.peer)" }
        text += ", kind \(hex(pte.kind))" + (kindName(pte.kind).map { " (\($0))" } ?? "")
        if pte.block != 0 { text += ", run of \(1 << pte.block) pages" }
        if pte.compression != 0 { text += ", compression mode \(pte.compression)" }
        if pte.comptag != 0 { text += ", comptag \(pte.comptag)" }
        for (name, set) in [
            ("volatile", pte.vol), ("privileged", pte.priv), ("read-only", pte.ro),
            ("no atomics", pte.atomicDisable), ("encrypted", pte.encrypted), ("locked", pte.lock),
            ("no reads", pte.readDisable), ("no writes", pte.writeDisable),
            ("no access counters", pte.accessCounterDisable),
        ] where set {
            text += ", \(name)"
        }
        return text
    }

    private func tableText(_ pde: PDE) -> String {
        "\(pde.aperture) \(hex(pde.addr))" + (pde.vol ? ", volatile" : "") + (pde.noATS ? ", no ATS" : "")
            + (pde.shortening != 0 ? ", 1/\(1 << pde.shortening) of a table" : "")
    }

    /// Every field of an entry, one a line.
    func fieldLines(_ words: EntryWords, at level: Level) -> [String] {
        let two = levels.first { $0.level == level }?.entryBytes == 16
        return fields(words, at: level).map { field in
            let bits = field.bits.count == 1 ? "\(field.bits.upperBound)" : "\(field.bits.upperBound):\(field.bits.lowerBound)"
            let value = field.isAddress || field.value > 9 ? hex(field.value) : "\(field.value)"
            return ((two ? "\(field.word == 0 ? "low" : "high") " : "").padded(two ? 5 : 0) + bits.aligned(5) + "  "
                + field.name.padded(18) + value + (field.text.map { " (\($0))" } ?? ""))
        }
    }
}
