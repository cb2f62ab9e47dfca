internal import CNVMMU
public import KernelErrno

extension FixedWidthInteger {
    /// What does not fit becomes the largest number, which the C library refuses wherever this is used.
    init(orMax value: Int) {
        self = Self(exactly: value) ?? .max
    }
}

/// A page table entry that maps a page.
public struct PTE: Hashable, Sendable {
    /// Physical address in bytes.
    public var addr: UInt64 = 0
    public var aperture = Aperture.vram
    public var peer = 0
    public var kind = 0
    public var comptag: UInt32 = 0
    public var vol = false
    public var priv = false
    public var ro = false
    public var atomicDisable = false
    public var encrypted = false
    /// Fermi to Maxwell; the disables, of the L1 and GCC, not on Fermi.
    public var lock = false
    public var readDisable = false
    public var writeDisable = false
    /// Hopper and later: no access counters.
    public var accessCounterDisable = false
    /// Tesla: one of an aligned run of `1 << block` equal entries; `addr` is that of the run's first page.
    public var block = 0
    /// Tesla: compression mode, 0 to 3.
    public var compression = 0

    public init() {}

    init(_ p: nvmmu_pte) {
        addr = p.addr
        aperture = Aperture(rawValue: p.aperture)!
        peer = Int(p.peer)
        kind = Int(p.kind)
        comptag = p.comptag
        vol = p.vol
        priv = p.priv
        ro = p.ro
        atomicDisable = p.atomic_disable
        encrypted = p.encrypted
        lock = p.lock
        readDisable = p.read_disable
        writeDisable = p.write_disable
        accessCounterDisable = p.acd
        block = Int(p.block)
        compression = Int(p.comp)
    }

    var c: nvmmu_pte {
        var p = nvmmu_pte()
        p.addr = addr
        p.comptag = comptag
        p.kind = UInt16(orMax: kind)
        p.aperture = aperture.rawValue
        p.peer = UInt8(orMax: peer)
        p.vol = vol
        p.priv = priv
        p.ro = ro
        p.atomic_disable = atomicDisable
        p.encrypted = encrypted
        p.lock = lock
        p.read_disable = readDisable
        p.write_disable = writeDisable
        p.acd = accessCounterDisable
        p.block = UInt8(orMax: block)
        p.comp = UInt8(orMax: compression)
        return p
    }
}

/// A pointer to a table.
public struct PDE: Hashable, Sendable {
    public var addr: UInt64 = 0
    public var aperture = Aperture.vram
    public var vol = false
    public var noATS = false
    /// Fermi to Maxwell: the table has only its first entries `>> shortening` (0 to 3, one for both tables);
    /// Tesla: an SPT (0, 2 to 4).
    public var shortening = 0

    public init() {}

    init?(_ p: nvmmu_pde) {
        guard p.present else { return nil }
        addr = p.addr
        aperture = Aperture(rawValue: p.aperture)!
        vol = p.vol
        noATS = p.no_ats
        shortening = Int(p.size)
    }

    var c: nvmmu_pde {
        var p = nvmmu_pde()
        p.addr = addr
        p.aperture = aperture.rawValue
        p.present = true
        p.vol = vol
        p.no_ats = noATS
        p.size = UInt8(orMax: shortening)
        return p
    }
}

/// A raw entry: two words at PD0 of Pascal and later, elsewhere the high one is 0.
public struct EntryWords: Hashable, Sendable {
    public var low, high: UInt64

    public init(_ low: UInt64, _ high: UInt64 = 0) {
        self.low = low
        self.high = high
    }

    func withC<R>(_ body: (UnsafePointer<UInt64>) -> R) -> R {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2) { words in
            words[0] = low
            words[1] = high
            return body(UnsafePointer(words.baseAddress!))
        }
    }
}

/// What an entry says.
public enum Entry: Hashable, Sendable {
    case invalid
    case page(PTE)
    /// A directory: the LPT at PD0, the SPT or the next directory.
    case table(big: PDE?, next: PDE?)
    case sparse
    /// No small entry below is valid (the LPT's "invalid" pattern).
    case hidden

    init(_ e: nvmmu_entry) {
        switch e.state {
        case NVMMU_ENTRY_PAGE: self = .page(PTE(e.page))
        case NVMMU_ENTRY_TABLE: self = .table(big: PDE(e.big), next: PDE(e.next))
        case NVMMU_ENTRY_SPARSE: self = .sparse
        case NVMMU_ENTRY_HIDDEN: self = .hidden
        default: self = .invalid
        }
    }
}

/// One named field of a raw entry.
public struct EntryField: Hashable, Sendable {
    public var name: String
    /// The value's meaning, where it has one in words.
    public var text: String?
    /// Addresses in bytes, everything else as it stands in the field.
    public var value: UInt64
    /// 0 low word, 1 high word.
    public var word: Int
    /// Bits within the word, both inclusive.
    public var bits: ClosedRange<Int>
    public var isAddress: Bool
}

extension Format {
    /// Encodes a page. - Throws: `EINVAL`: the level holds no page, or a value does not fit its field.
    public func encode(_ pte: PTE, at level: Level) throws(KernelErrno) -> EntryWords {
        var c = pte.c
        var words: (UInt64, UInt64) = (0, 0)
        let result = withUnsafeMutableBytes(of: &words) {
            nvmmu_pte_encode(f, level.c, &c, $0.assumingMemoryBound(to: UInt64.self).baseAddress)
        }
        try KernelErrno.check(result)
        return EntryWords(words.0, words.1)
    }

    /// Encodes a directory entry. - Throws: `EINVAL`: not a directory level, or a value does not fit its field.
    public func encode(big: PDE?, next: PDE?, at level: Level) throws(KernelErrno) -> EntryWords {
        var words: (UInt64, UInt64) = (0, 0)
        let result = withUnsafeMutableBytes(of: &words) { words in
            Self.withPointer(big) { big in
                Self.withPointer(next) { next in
                    nvmmu_pde_encode(f, level.c, big, next, words.assumingMemoryBound(to: UInt64.self).baseAddress)
                }
            }
        }
        try KernelErrno.check(result)
        return EntryWords(words.0, words.1)
    }

    /// C has NULL for no table.
    private static func withPointer<R>(_ pde: PDE?, _ body: (UnsafePointer<nvmmu_pde>?) -> R) -> R {
        guard let pde else { return body(nil) }
        return withUnsafePointer(to: pde.c) { body($0) }
    }

    /// Decodes any words.
    public func decode(_ words: EntryWords, at level: Level) -> Entry {
        var entry = nvmmu_entry()
        words.withC { nvmmu_entry_decode(f, level.c, $0, &entry) }
        return Entry(entry)
    }

    /// Every field of an entry by its name, unknown bits that are set included.
    public func fields(_ words: EntryWords, at level: Level) -> [EntryField] {
        withUnsafeTemporaryAllocation(of: nvmmu_field.self, capacity: Int(NVMMU_FIELDS_MAX)) { out in
            let n = words.withC { nvmmu_entry_fields(f, level.c, $0, out.baseAddress) }
            return out[..<n].map { field in
                EntryField(
                    name: String(cString: field.name), text: field.text.map { String(cString: $0) },
                    value: field.value, word: Int(field.word), bits: Int(field.low)...Int(field.high),
                    isAddress: field.is_address)
            }
        }
    }
}
