internal import NVMMU

/// The memory that the page tables of a case live in, and what they ask of their owner. Hands out tables from a window
/// of addresses, fails on demand, keeps the flushes, and watches that no entry ever points at a table that is not
/// complete: new tables hold poison, which must be gone when an entry points at them.
final class TableWindow: PageTableHooks {
    let aperture: Aperture
    let window: MemoryWindow
    /// The instance block that the page tables are joined to; it lives as long as they.
    let instance: UnsafeMutableRawBufferPointer
    private let format: Format
    /// Bytes of a table, by level.
    private let tableBytes: [Level: Int]
    private var used = 0
    /// Offsets of freed tables, by size.
    private var freed: [Int: [Int]] = [:]
    /// Sizes of live tables, by offset.
    private var live: [Int: Int] = [:]
    /// Levels of the tables that entries point or pointed at, by address.
    private var levels: [UInt64: Level] = [:]

    /// The allocation that fails, counted from now; `nil`: none.
    var failAfter: Int?
    /// Flushes since they were last taken.
    private(set) var flushes: [Flush] = []
    /// Tables that were linked before they were complete, since they were last taken.
    private(set) var incomplete: [String] = []

    private static let size = 32 << 20
    private static let poison: UInt8 = 0xa5
    private static let poisonWord: UInt64 = 0xa5a5_a5a5_a5a5_a5a5

    init(format: Format, aperture: Aperture, base: UInt64) {
        self.format = format
        self.aperture = aperture
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.size, alignment: 4096)
        window = MemoryWindow(aperture: aperture, base: base, memory: memory)
        instance = .allocate(byteCount: format.instanceBytes, alignment: 8)
        tableBytes = Dictionary(uniqueKeysWithValues: format.levels.map { ($0.level, $0.entryBytes << $0.indexBits) })
    }

    deinit {
        window.memory.deallocate()
        instance.deallocate()
    }

    /// Says where the root is, so that writes to it can be followed.
    func follow(root: UInt64) {
        levels[root] = format.levels.first?.level
    }

    /// The flushes and broken orders of one step.
    func takeEvents() -> (flushes: [Flush], incomplete: [String]) {
        defer { (flushes, incomplete) = ([], []) }
        return (flushes, incomplete)
    }

    // MARK: - Tables

    func allocTable(size: Int, align: Int) -> TableMemory? {
        if let after = failAfter {
            failAfter = after == 0 ? nil : after - 1
            if after == 0 { return nil }
        }
        guard let offset = takeOffset(size: size, align: align) else { return nil }
        live[offset] = size
        fillWithPoison(offset, size)
        return TableMemory(
            addr: window.base + UInt64(offset), aperture: aperture, cpu: window.memory.baseAddress! + offset)
    }

    private func takeOffset(size: Int, align: Int) -> Int? {
        if let offset = freed[size]?.popLast() { return offset }
        let mask = UInt64(align - 1)
        let offset = Int((window.base + UInt64(used) + mask) & ~mask &- window.base)
        guard offset + size <= window.memory.count else { return nil }
        used = offset + size
        return offset
    }

    func freeTable(_ memory: TableMemory, size: Int) {
        let offset = Int(memory.addr - window.base)
        guard live.removeValue(forKey: offset) == size else {
            incomplete.append("table at \(memory.addr.hex) freed that was not allocated with \(size) bytes")
            return
        }
        fillWithPoison(offset, size)
        freed[size, default: []].append(offset)
        levels[memory.addr] = nil
    }

    private func fillWithPoison(_ offset: Int, _ size: Int) {
        UnsafeMutableRawBufferPointer(rebasing: window.memory[offset..<(offset + size)])
            .initializeMemory(as: UInt8.self, repeating: Self.poison)
    }

    // MARK: - Events

    func flush(_ flush: Flush) {
        flushes.append(flush)
    }

    var observesWrites: Bool { true }

    func wrote(table: UInt64, index: Int, count: Int) {
        guard let level = levels[table], level.rawValue >= Level.pd0.rawValue, let below = level.below,
            let geometry = format.levels.first(where: { $0.level == level })
        else { return }
        for i in index..<(index + count) {
            let at = Int(table - window.base) + i * geometry.entryBytes
            let words = EntryWords(
                word(at), geometry.entryBytes == 16 ? word(at + 8) : 0)
            guard case .table(let big, let next) = format.decode(words, at: level) else { continue }
            let entry = "\(level.name) at \(table.hex), entry \(i)"
            if let big { linked(big, at: .lpt, from: entry) }
            if let next { linked(next, at: below, from: entry) }
        }
    }

    private func linked(_ pointer: PDE, at level: Level, from entry: String) {
        let bytes = tableBytes[level]!
        guard pointer.aperture == aperture, pointer.addr >= window.base,
            pointer.addr - window.base <= UInt64(window.memory.count - bytes)
        else {
            incomplete.append("\(entry) points outside the tables, at \(pointer.addr.hex)")
            return
        }
        let start = Int(pointer.addr - window.base)
        if stride(from: start, to: start + bytes, by: 8).contains(where: { word($0) == Self.poisonWord }) {
            incomplete.append("\(entry) points at a \(level.name) that is not complete, at \(pointer.addr.hex)")
        }
        levels[pointer.addr] = level
    }

    private func word(_ offset: Int) -> UInt64 {
        window.memory.load(fromByteOffset: offset, as: UInt64.self)
    }
}

extension Level {
    /// The level that a directory's (small) table pointer leads to.
    var below: Level? {
        switch self {
        case .spt, .lpt: nil
        case .pd0: .spt
        default: Level(rawValue: rawValue - 1)
        }
    }
}
