public import JSONLines
public import NouveauDevice
public import NVMMU

/// What a replay did and found.
public struct ReplayReport: Sendable {
    /// A difference from the recording.
    public struct Finding: Sendable {
        public var place: Place
        /// One a line.
        public var text: [String]
    }

    /// VM_BIND calls and operations.
    public struct Binds: Sendable {
        public var maps = 0, unmaps = 0, sparseMaps = 0, sparseUnmaps = 0
        public var synchronous = 0, asynchronous = 0
        /// Operations of the largest call, and its line.
        public var largest = (ops: 0, line: 0)
        /// The lowest and highest address of the client's that was mapped.
        public var range: ClosedRange<UInt64>?

        public var ops: Int { maps + unmaps + sparseMaps + sparseUnmaps }
    }

    /// The name of the file, as messages show it.
    public var trace: String
    public var header: TraceHeader
    /// Where it was replayed.
    public var chip: Chip
    /// Lines of the file.
    public var lines: Int
    /// Calls, mmap and close included.
    public var calls: [TraceOp: Int] = [:]
    public var binds = Binds()
    /// Calls whose answer differed: result, errno, points, first_signaled.
    public private(set) var answerMismatches = 0
    public var statesChecked = 0
    public private(set) var stateMismatches = 0
    /// Pages of `mem_after` lines.
    public internal(set) var pagesChecked = 0
    public private(set) var pageMismatches = 0
    /// Pages of objects that our device did not make.
    public internal(set) var pagesSkipped = 0
    /// Pushes of which the trace has only a part, and not their memory either: they were not run.
    public internal(set) var pushesSkipped = 0
    /// The address space with most mappings at once.
    public private(set) var mostMappings = (count: 0, fd: 0, line: 0)
    /// Tables at once, by level, over all files.
    public var pageTables: [Level: Int] = [:]
    /// The device's own counts, pushes and flushes among them; at the end.
    public internal(set) var device = DeviceStatistics()
    /// What stopped channels; at the end.
    public internal(set) var faults: [FaultReport] = []
    /// The first differences.
    public private(set) var findings: [Finding] = []

    /// Differences beyond this many are only counted.
    public static let findingLimit = 20

    init(trace: Trace, chip: Chip) {
        self.trace = trace.file
        header = trace.header
        self.chip = chip
        lines = trace.lineCount
    }

    /// Nothing differed.
    public var isEqual: Bool { mismatches == 0 }
    public var mismatches: Int { answerMismatches + stateMismatches + pageMismatches }

    mutating func addAnswer(_ call: TraceCall, _ text: String) {
        answerMismatches += 1
        add(Finding(place: call.place, text: [text]))
    }

    mutating func addState(_ place: Place, _ text: [String]) {
        stateMismatches += 1
        add(Finding(place: place, text: text))
    }

    /// - Parameter text: a line for each page.
    mutating func addPages(_ place: Place, _ text: [String]) {
        pageMismatches += text.count
        add(Finding(place: place, text: text))
    }

    private mutating func add(_ finding: Finding) {
        guard findings.count < Self.findingLimit else { return }
        findings.append(finding)
    }

    mutating func noteMappings(_ count: Int, fd: Int, line: Int) {
        if count > mostMappings.count { mostMappings = (count, fd, line) }
    }

    mutating func note(_ bind: TraceCall.VMBind, _ call: TraceCall) {
        if bind.flags & 1 == 0 { binds.synchronous += 1 } else { binds.asynchronous += 1 }
        if bind.ops.count > binds.largest.ops { binds.largest = (bind.ops.count, call.place.line) }
        for op in bind.ops {
            switch (op.isMap, op.isSparse) {
            case (true, false): binds.maps += 1
            case (true, true): binds.sparseMaps += 1
            case (false, false): binds.unmaps += 1
            case (false, true): binds.sparseUnmaps += 1
            }
            guard call.result == 0, op.isMap, op.range > 0 else { continue }
            let last = op.addr + (op.range - 1)
            binds.range = binds.range.map { min($0.lowerBound, op.addr)...max($0.upperBound, last) } ?? op.addr...last
        }
    }
}
