internal import JSONLines
internal import KernelErrno
internal import NVMMU

/// Runs a recorded sequence of calls on page tables, comparing results, flushes, every table and the answers of walks.
/// Generations that the library does not have are skipped by name.
final class MMUSequenceRunner {
    let generation: String
    let format: Format
    let hooks: TableWindow
    var tables: PageTables
    private let memories: [Int: RecordedMemory]
    /// What the space gave out, by the case's ids.
    var allocations: [Int: Allocation] = [:]
    let replay: Bool
    /// Whether the instance block is joined.
    var isJoined = false
    /// Tesla flushes what engines use the space; none does before the recording says so.
    private var isInUse = false
    /// Where the recording's root was; `nil`: it has no image.
    private let recordedRoot: UInt64?
    /// Kept where the case is flagged to hold references of two sizes on one address.
    private var overlap: SizeOverlap?
    /// Kept where the case is flagged to have nouveau's mistakes with its largest pages.
    private var quirk: LargePageQuirk?
    var tags = TagPool()
    var result: CaseResult
    private(set) var step = 0

    private init(
        generation: String, format: Format, hooks: TableWindow, tables: consuming PageTables,
        memories: [Int: RecordedMemory], replay: Bool, recordedRoot: UInt64?, overlap: SizeOverlap?,
        quirk: LargePageQuirk?, result: CaseResult
    ) {
        self.generation = generation
        self.format = format
        self.hooks = hooks
        self.tables = tables
        self.memories = memories
        self.replay = replay
        self.recordedRoot = recordedRoot
        self.overlap = overlap
        self.quirk = quirk
        self.result = result
    }

    static func run(_ line: JSONObject) throws(InputError) -> CaseResult {
        try line.allowOnly(["id", "source", "cfg", "note", "flags", "mems", "steps"])
        var skipped = CaseResult(id: try line.string("id"))
        let steps = try line.objects("steps")
        for step in steps { try checkFields(step) }
        let cfg = try line.object("cfg")
        try cfg.allowOnly(["gen", "mode", "kernel_managed", "bigpage", "ptt", "ptbase", "rm", "replay", "stolen"])
        let (generation, format) = try Generation.read(cfg)
        let mode = try cfg.string("mode")
        guard mode == "raw" || mode == "alloc" else { throw cfg.error("mode", "is neither raw nor alloc") }
        guard let format else {
            skipped.skips.insert("generation \(generation)")
            return skipped
        }

        let runner = try make(line, cfg, generation, format, mode, steps)
        if format.layout == .tesla, try runner.showsDirectory(steps) { runner.joinInstance() }
        for (i, step) in steps.enumerated() {
            runner.step = i
            try runner.run(step)
        }
        return runner.result
    }

    private static func make(
        _ line: JSONObject, _ cfg: JSONObject, _ generation: String, _ format: Format, _ mode: String,
        _ steps: [JSONObject]
    ) throws(InputError) -> MMUSequenceRunner {
        let aperture = cfg.has("ptt") ? try Aperture.read(cfg, "ptt") : .vram
        let base = cfg.has("ptbase") ? try cfg.hex("ptbase") : 0x1_0000_0000
        guard base < 1 << 48, base & 0xfff == 0 else { throw cfg.error("ptbase", "is no address of a table") }
        var memories: [Int: RecordedMemory] = [:]
        for mem in try line.objects("mems") {
            memories[try mem.int("id")] = try RecordedMemory(mem)
        }
        let root = try steps.first { $0.has("image") }?.object("image").hex("pdb")
        let result = CaseResult(id: try line.string("id"))
        var flags: [String] = []
        if line.has("flags") {
            flags = try line.array("flags").map { array, i throws(InputError) in try array.string(i) }
        }
        let hooks = TableWindow(format: format, aperture: aperture, base: base)
        let tables = try makeTables(cfg, format, mode, hooks)
        hooks.follow(root: tables.root)
        _ = hooks.takeEvents()
        return MMUSequenceRunner(
            generation: generation, format: format, hooks: hooks, tables: tables, memories: memories,
            replay: try cfg.int("replay", default: 0) != 0, recordedRoot: root,
            overlap: flags.contains("quirk-overlap") ? SizeOverlap() : nil, quirk: LargePageQuirk(flags: flags),
            result: result)
    }

    private static func makeTables(
        _ cfg: JSONObject, _ format: Format, _ mode: String, _ hooks: TableWindow
    ) throws(InputError) -> PageTables {
        let kernel = try cfg.array("kernel_managed")
        try kernel.expectCount(2)
        let (kernelAddr, kernelSize) = (try kernel.hex(0), try kernel.hex(1))
        let gspRM = try cfg.int("rm", default: 0) != 0
        var limits = SpaceLimits()
        limits.stolen = cfg.has("stolen") ? try cfg.hex("stolen") : 0
        limits.dummy = 0x7ff0_0000 // where nv44's recordings have it
        do throws(KernelErrno) {
            guard mode == "alloc" else {
                return try PageTables(
                    format: format, windows: [hooks.window], kernelAddr: kernelAddr, kernelSize: kernelSize,
                    gspRM: gspRM, limits: limits, hooks: hooks)
            }
            if kernelSize != 0 { (limits.start, limits.limit) = (kernelAddr, kernelAddr &+ kernelSize) }
            var tables = try PageTables(
                format: format, windows: [hooks.window], gspRM: gspRM, limits: limits, hooks: hooks)
            try tables.giveOutAddresses(start: kernelAddr, size: kernelSize)
            return tables
        } catch {
            throw cfg.error("kernel_managed", "gives no page tables: \(error)")
        }
    }
}

// MARK: - Steps

extension MMUSequenceRunner {
    /// Fields of each step but `op`.
    private static let fields: [String: Set<String>] = [
        "get": ["va", "size", "shift", "ret", "regs", "w"], "put": ["va", "size", "shift", "ret", "regs", "w"],
        "map": ["va", "size", "shift", "mem", "off", "args", "no_comp", "ret", "regs", "w"],
        "unmap": ["va", "size", "shift", "sparse", "ret", "regs", "w"],
        "sparse": ["va", "size", "ref", "ret", "regs", "w"],
        "vget": ["id", "getref", "mapref", "sparse", "shift", "align", "size", "va", "ret", "regs", "w"],
        "vmap": ["id", "mem", "off", "args", "no_comp", "shift", "ret", "regs", "w"],
        "vunmap": ["id", "ret", "regs", "w"], "vput": ["id", "ret", "regs", "w"],
        "pfnmap": ["shift", "va", "size", "pfn", "pfn_out", "ret", "regs", "w"],
        "pfnclr": ["va", "size", "ret", "regs", "w"],
        "join": ["inst", "w"], "part": ["words_0x200"],
        "flush": ["depth", "ret", "regs"], "fault_replay": ["ret", "regs"],
        "fault_cancel": ["hub", "gpc", "client", "inst", "ret", "regs"],
        "engref": ["bar"], "fail_table_alloc": ["after"], "check": ["image", "sw", "probes"],
    ]

    private static func checkFields(_ step: JSONObject) throws(InputError) {
        let op = try step.string("op")
        guard let fields = fields[op] else { throw step.error("op", "is an unknown step \"\(op)\"") }
        try step.allowOnly(fields.union(["op"]))
    }

    private func run(_ step: JSONObject) throws(InputError) {
        let op = try step.string("op")
        switch op {
        case "get", "put", "map", "unmap", "sparse": try call(step, op)
        case "vget", "vmap", "vunmap", "vput": try allocate(step, op)
        case "pfnmap", "pfnclr": try pfn(step, op)
        case "join": try join(step)
        case "part": try part(step)
        case "engref":
            tables.setBAR(try step.flag("bar"))
            isInUse = true
        case "flush": try flush(step)
        case "fault_replay", "fault_cancel": try faultRegisters(step, op)
        case "fail_table_alloc":
            let after = try step.int("after")
            guard after >= 0 else { throw step.error("after", "is negative") }
            hooks.failAfter = after
        default: try check(step)
        }
    }

    private func call(_ step: JSONObject, _ op: String) throws(InputError) {
        let (va, size) = (try step.hex("va"), try step.hex("size"))
        let shift = op == "sparse" ? 0 : try step.int("shift")
        let found: Int
        switch op {
        case "get":
            found = Self.result { () throws(KernelErrno) in try tables.get(va, size, shift: shift) }
            if found == 0 { overlap?.got(va, size, shift: shift) }
        case "put":
            found = Self.result { () throws(KernelErrno) in try tables.put(va, size, shift: shift) }
        case "map":
            found = try map(step, va, size, shift)
        case "unmap":
            let sparse = try step.flag("sparse")
            found = Self.result { () throws(KernelErrno) in
                try tables.unmap(va, size, shift: shift, sparse: sparse)
            }
            if found == 0 {
                overlap?.unmapped(va, size, shift: shift)
                quirk?.unmapped(va, size)
            }
        default:
            let ref = try step.flag("ref")
            found = Self.result { () throws(KernelErrno) in
                if ref { try tables.getSparse(va, size) } else { try tables.putSparse(va, size) }
            }
            if found == 0 { quirk?.sparse(va, size, ref: ref) }
        }
        result.compare(step: self.step, "ret of \(op)", expected: try step.int("ret"), found: found)
        try compareEvents(step)
    }

    private func map(
        _ step: JSONObject, _ va: UInt64, _ size: UInt64, _ shift: Int
    ) throws(InputError) -> Int {
        let memory = try memory(step)
        let offset = try step.hex("off")
        var attributes = try attributes(step, memory)
        if format.layout == .ver1, try step.int("no_comp", default: 1) == 0 {
            attributes.comptag = tags.line(of: try step.int("mem"), memory, shift: shift, generation: generation)
        }
        let found = Self.result { () throws(KernelErrno) in
            if shift == 12, let pages = memory.pages {
                try tables.map(va, size, shift: shift, pages: pages, offset: offset, attributes)
            } else {
                try tables.map(va, size, shift: shift, pieces: memory.pieces, offset: offset, attributes)
            }
        }
        if found == 0 {
            overlap?.mapped(va, size, shift: shift, memory, offset: offset)
            quirk?.mapped(va, size, pa: memory.address(offset))
        }
        return found
    }

    func memory(_ step: JSONObject) throws(InputError) -> RecordedMemory {
        guard let memory = memories[try step.int("mem")] else { throw step.error("mem", "is no object of the case") }
        return memory
    }

    func attributes(_ step: JSONObject, _ memory: RecordedMemory) throws(InputError) -> MapAttributes {
        var attributes = MapAttributes(target: memory.target, objectShift: memory.pageShift)
        if let none = try? step.string("args") {
            guard none == "none" else { throw step.error("args", "is neither an object nor \"none\"") }
            attributes.defaults = true
            return attributes
        }
        let args = try step.object("args")
        try args.allowOnly(["vol", "ro", "priv", "kind", "comp"])
        attributes.compression = try args.int("comp", default: 0)
        attributes.vol = try args.flag("vol")
        attributes.ro = try args.flag("ro")
        attributes.priv = try args.flag("priv")
        attributes.kind = try args.int("kind")
        guard (0...0xff).contains(attributes.kind) else { throw args.error("kind", "has more than 8 bits") }
        guard (0...3).contains(attributes.compression) else { throw args.error("comp", "is no compression mode") }
        return attributes
    }

    /// Whether an image of the case has the directory of an instance block.
    private func showsDirectory(_ steps: [JSONObject]) throws(InputError) -> Bool {
        for step in steps where step.has("image") {
            if try TableImage(try step.object("image")).tables.contains(where: { $0.key.level == .pd0 }) { return true }
        }
        return false
    }

    static func result(_ call: () throws(KernelErrno) -> Void) -> Int {
        do throws(KernelErrno) {
            try call()
            return 0
        } catch {
            return -Int(error.rawValue)
        }
    }
}

// MARK: - Comparing

extension MMUSequenceRunner {
    /// The flushes of the step that just ran, and the order of its writes.
    func compareEvents(_ step: JSONObject) throws(InputError) {
        let recorded = try FlushRegisters(step)
        var (flushes, incomplete) = hooks.takeEvents()
        if format.layout == .tesla, !isInUse { flushes = [] }
        flushes.removeAll { format.registers(of: $0).isEmpty } // nv04 has nothing to flush
        for text in incomplete {
            result.differ(step: self.step, "order of writes", expected: "tables complete when linked", found: text)
        }
        if recorded.count == 0, !flushes.isEmpty, let quirk {
            result.deviations.insert(quirk.deviation)
        } else if flushes.count > recorded.count || (flushes.isEmpty && recorded.count > 0) {
            result.differ(
                step: self.step, "flushes", expected: "\(recorded.count)", found: "\(flushes.count)")
        } else if flushes.count < recorded.count {
            result.deviations.insert(.flushMerge)
        }
        if var last = flushes.last, recorded.count > 0 {
            if last.root == tables.root { last.root = recordedRoot ?? last.root }
            result.compare(
                step: self.step, "registers of the last flush", expected: recorded.last,
                found: format.registers(of: last))
        }
        if let broken = tables.check() {
            result.differ(step: self.step, "invariants", expected: "all hold", found: broken)
        }
    }

    private func check(_ step: JSONObject) throws(InputError) {
        let image = try TableImage(try step.object("image"))
        let comparison = TableComparison(image, format: format, tables: recordedTables())
        for d in comparison.differences {
            if let range = d.range, let overlap, overlap.covers(range) {
                result.deviations.insert(.sizeOverlap)
            } else if let range = d.range, let quirk, quirk.covers(range) {
                result.deviations.insert(quirk.deviation)
            } else {
                result.differ(step: self.step, d.what, expected: d.expected, found: d.found)
            }
        }
        for va in quirk?.wrongAddresses(in: tables) ?? [] {
            result.differ(
                step: self.step, "walk of \(va.hex)", expected: "what was asked for",
                found: Probe.Answer(tables.walk(va)).description)
        }
        result.compare(
            step: self.step, "address of the root", expected: (recordedRoot ?? 0).hex, found: image.root.hex)
        if step.has("probes") {
            for probe in try step.objects("probes") { compareWalk(try Probe(probe)) }
        }
        if step.has("sw") { try compareCounters(try step.objects("sw")) }
    }

    private func compareWalk(_ probe: Probe) {
        let found = Probe.Answer(tables.walk(probe.va))
        if found != probe.answer, let overlap, overlap.explains(found, at: probe.va) {
            result.deviations.insert(.sizeOverlap)
        } else {
            result.compare(step: step, "walk of \(probe.va.hex)", expected: probe.answer, found: found)
        }
    }

    /// nvkm's counters: all software tables, `r0`, `r1` and `sp` of each.
    private func compareCounters(_ recorded: [JSONObject]) throws(InputError) {
        var found: [CounterKey: CounterValues] = [:]
        for c in tables.counters() {
            found[CounterKey(level: c.depthFromLeaf, va: c.va)] = CounterValues(
                r0: Int(c.refs.big), r1: Int(c.refs.small), sparse: c.sparse)
        }
        for object in recorded {
            try object.allowOnly(["l", "va", "r0", "r1", "sp", "sparse_pde", "lpte"])
            let key = CounterKey(level: try object.int("l"), va: try object.hex("va"))
            let expected = CounterValues(
                r0: try object.int("r0"), r1: try object.int("r1"), sparse: try object.flag("sp"))
            result.compare(
                step: step, "counters of \(key)", expected: expected.description,
                found: found.removeValue(forKey: key)?.description ?? "none")
        }
        for (key, values) in found {
            result.differ(step: step, "counters of \(key)", expected: "none", found: values.description)
        }
    }
}

private struct CounterKey: Hashable, CustomStringConvertible {
    /// 0 is the leaf.
    var level: Int
    var va: UInt64
    var description: String { "level \(level) of \(va.hex)" }
}

private struct CounterValues: Hashable, CustomStringConvertible {
    var r0, r1: Int
    var sparse: Bool
    var description: String { "r0 \(r0), r1 \(r1), sp \(sparse ? 1 : 0)" }
}
