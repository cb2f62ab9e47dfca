package import CNVMMU

/// Why an access faults; values of the fault buffer's type field.
public enum Fault: UInt8, Sendable {
    case pde = 0x00
    case pdeSize = 0x01
    case pte = 0x02
    case vaLimit = 0x03

    init(_ fault: nvmmu_fault) {
        self = Fault(rawValue: UInt8(fault.rawValue))!
    }

    /// "PDE", "PTE" …
    public var name: String { String(cString: nvmmu_fault_name(nvmmu_fault(UInt32(rawValue)))) }
}

/// A walk of one address, level by level.
public struct Walk: Sendable {
    public enum Result: Hashable, Sendable {
        case fault(Fault)
        /// `pa` is the physical address of the byte.
        case page(pa: UInt64, PTE)
        /// Reads give zero, writes vanish.
        case sparse
    }

    public struct Step: Sendable {
        public var level: Level
        /// Where the table is.
        public var table: UInt64
        public var aperture: Aperture
        public var index: Int
        public var words: EntryWords
        public var entry: Entry
    }

    public var result: Result
    /// Level of the entry that decided.
    public var level: Level
    /// log2 of the bytes that entry covers.
    public var shift: Int
    public var steps: [Step]

    package init(_ w: nvmmu_walk) {
        switch w.state {
        case NVMMU_MAPPED: result = .page(pa: w.pa, PTE(w.page))
        case NVMMU_SPARSE: result = .sparse
        default: result = .fault(Fault(w.fault))
        }
        level = Level(w.level)
        shift = Int(w.shift)
        let count = w.step_count
        steps = withUnsafeBytes(of: w.step) { raw in
            raw.assumingMemoryBound(to: nvmmu_step.self)[..<count].map { s in
                Step(
                    level: Level(s.level), table: s.table, aperture: Aperture(rawValue: s.aperture)!,
                    index: Int(s.index), words: EntryWords(s.word.0, s.word.1), entry: Entry(s.entry))
            }
        }
    }
}

/// A stretch of addresses in one state.
public struct Extent: Hashable, Sendable {
    public enum State: Hashable, Sendable {
        case unmapped
        case sparse
        /// `pa` is the physical address of the first byte; `shift` the page size there.
        case mapped(pa: UInt64, PTE, shift: Int)
    }

    public var va, size: UInt64
    public var state: State

    init(_ e: nvmmu_extent) {
        va = e.va
        size = e.size
        switch e.state {
        case NVMMU_MAPPED: state = .mapped(pa: e.pa, PTE(e.page), shift: Int(e.shift))
        case NVMMU_SPARSE: state = .sparse
        default: state = .unmapped
        }
    }
}
