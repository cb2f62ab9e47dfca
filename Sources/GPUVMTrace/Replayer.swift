public import JSONLines
internal import KernelErrno
public import NouveauDevice
internal import NVMMU
internal import NouveauUAPI

/// Replays a trace line by line on a fresh device and compares.
///
/// Each call becomes the ioctl it was, with the request word of the trace and with our device's handles in place of
/// the recorded ones. No call sleeps: one that looks at what the device has done is made again, while the device gets
/// on, until it gives the recorded answer or the device is idle.
public final class Replayer {
    /// When the device gets on.
    public enum Pace: Sendable {
        /// After each line, until idle.
        case drained
        /// Only where a line waits, or looks at what was done; with threads, whenever it likes.
        case lazy
    }

    package let trace: Trace
    package let device: Device
    public internal(set) var report: ReplayReport
    /// Open files by their recorded numbers.
    package private(set) var files: [Int: ReplayFile] = [:]
    /// Exported objects: recorded descriptors and ours.
    var descriptors = HandleMap<Int, Int32>("descriptor", none: -1)
    let memory = ClientMemory()
    /// The trace has the memory that pushes are in.
    let recordsMemory: Bool
    private let pace: Pace
    private var position = 0
    private var tablesOf: [Int: [Level: Int]] = [:]

    /// - Parameter device: a fresh one, of the trace's chip or of another; only for this replay from now on.
    public init(_ trace: Trace, on device: Device, pace: Pace = .drained) {
        self.trace = trace
        self.device = device
        self.pace = pace
        recordsMemory = trace.lines.contains { if case .pages = $0 { true } else { false } }
        device.userMemory = memory
        report = ReplayReport(trace: trace, chip: device.chip)
    }

    /// Replays the next line; `nil` after the last.
    /// - Throws: when the line contradicts the lines above it.
    public func next() throws(InputError) -> TraceLine? {
        guard position < trace.lines.count else {
            finish()
            return nil
        }
        let line = trace.lines[position]
        position += 1
        switch line {
        case .call(let call): try replay(call)
        case .state(let state): check(state)
        case .pages(let pages): try pages.after ? check(pages) : write(pages)
        }
        return line
    }

    /// Replays up to a line of the file, that line included.
    public func run(through line: Int = .max) throws(InputError) {
        while position < trace.lines.count, trace.lines[position].place.line <= line {
            _ = try next()
        }
        finish()
    }

    private func finish() {
        settle()
        report.device = device.statistics
        report.faults = device.faults
    }

    /// Runs the device until idle: where checks are made.
    func settle() {
        while device.proceed() {}
    }

    /// Makes a call that looks at what the device has done, until its answer is the recorded one or cannot become it.
    func look(for isRecorded: (Int32) -> Bool, _ call: () -> Int32) -> Int32 {
        var isIdle = false
        while true {
            let result = call()
            if isIdle || isRecorded(result) { return result }
            // Threads may have come to the end since the call.
            isIdle = !device.proceed()
        }
    }

    private func replay(_ call: TraceCall) throws(InputError) {
        report.calls[call.op, default: 0] += 1
        let file = file(of: call)
        let result = try perform(call, on: file)
        if pace == .drained { settle() }
        if result != call.result, !(dependsOnPace(call) && result == 0) {
            report.addAnswer(call, "\(call.op.rawValue) gave \(text(result)), recorded \(text(call.result))")
        }
        switch call.op {
        case .vmInit, .vmBind: note(file, call)
        case .close:
            files[call.fd] = nil
            tablesOf[call.fd] = nil
        default: break
        }
    }

    /// The recorded device worked in its own time, as ours does, and what it answered was how far it had come: ours may
    /// be further.
    func dependsOnPace(_ call: TraceCall) -> Bool {
        guard trace.header.device == "gpuvm" else { return false }
        return switch call.op {
        case .syncobjWait, .syncobjTimelineWait: call.result == 0 || call.result == -KernelErrno.ETIME.rawValue
        case .syncobjQuery: call.result == 0
        default: false
        }
    }

    /// The file of a call, opened if this is its first.
    private func file(of call: TraceCall) -> ReplayFile {
        if let file = files[call.fd] { return file }
        let file = ReplayFile(fd: call.fd, file: device.open(name: clientName), openedAt: call.place.line)
        files[call.fd] = file
        return file
    }

    /// "<comm>[<pid>]" of the recorded program.
    private var clientName: String {
        let program = trace.header.program.split(separator: " ").first ?? "client"
        return "\(program.split(separator: "/").last ?? "client")[1]"
    }

    /// Keeps the high-water marks after a call that changed an address space.
    private func note(_ file: ReplayFile, _ call: TraceCall) {
        guard let uvmm = file.uvmm else { return }
        var levels: [Level: Int] = [:]
        uvmm.withLock {
            report.noteMappings(uvmm.vm.space.count, fd: file.fd, line: call.place.line)
            for table in uvmm.tables.tables() {
                levels[table.level, default: 0] += 1
            }
        }
        tablesOf[file.fd] = levels
        var sum: [Level: Int] = [:]
        for levels in tablesOf.values {
            sum.merge(levels, uniquingKeysWith: +)
        }
        report.pageTables.merge(sum, uniquingKeysWith: max)
    }
}

/// "0", "-EINVAL"
private func text(_ result: Int32) -> String {
    result < 0 ? "-\(KernelErrno(rawValue: -result))" : "\(result)"
}

// MARK: - Checks

extension Replayer {
    /// Compares the address space and the page tables with a recorded state.
    private func check(_ recorded: RecordedState) {
        settle()
        report.statesChecked += 1
        let findings = differences(recorded)
        if !findings.isEmpty { report.addState(recorded.place, findings) }
    }

    private func differences(_ recorded: RecordedState) -> [String] {
        guard let file = files[recorded.fd], let uvmm = file.uvmm else {
            return ["file \(recorded.fd) has no address space"]
        }
        let snapshot = SpaceSnapshot(uvmm)
        let state = CanonicalState(snapshot, handle: file.handle)
        return recorded.differences(state) + tableDifferences(file, uvmm, snapshot)
    }

    private func tableDifferences(_ file: ReplayFile, _ uvmm: UVMM, _ snapshot: SpaceSnapshot) -> [String] {
        let check = PageTableCheck(snapshot, format: device.chip.format)
        let end = UInt64(1) << UInt64(device.chip.format.vaBits)
        let areas = [0..<file.kernelArea.lowerBound, file.kernelArea.upperBound..<end]
        return areas.flatMap { check.differences(uvmm, $0.lowerBound, $0.upperBound) }.map { difference in
            let owner = snapshot.extent(at: difference.va).map { extent in
                " (handle \(file.handle(of: extent)), mapped in line \(file.line(of: extent) ?? 0))"
            }
            return "\(hexText(difference.va))..\(hexText(difference.end)): expected \(difference.expected)\(owner ?? ""), "
                + "page tables have \(difference.found)"
        }
    }
}

extension RecordedState {
    /// How a state differs from this one, in words.
    fileprivate func differences(_ state: CanonicalState) -> [String] {
        var found: [String] = []
        if state.maps.count != maps { found.append("\(state.maps.count) mappings, recorded \(maps)") }
        if state.sparse.count != sparse { found.append("\(state.sparse.count) sparse regions, recorded \(sparse)") }
        if state.hash != hash {
            found.append("the address space has hash \(hexText(state.hash)), recorded \(hexText(hash))")
        }
        guard let lists else { return found }
        for (ours, theirs) in zip(state.maps, lists.maps) where ours != theirs {
            found.append("\(hexText(theirs.start)): mapping \(ours), recorded \(theirs)")
        }
        for (ours, theirs) in zip(state.sparse, lists.sparse) where ours != theirs {
            found.append("\(hexText(theirs.lowerBound)): sparse to \(hexText(ours.upperBound)), recorded \(hexText(theirs.upperBound))")
        }
        return found
    }
}
