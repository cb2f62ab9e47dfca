internal import ArgumentParser
internal import GPUVMTrace
internal import JSONLines

/// Which address space, and when.
struct MomentOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The line of the file after which to look.", valueName: "line"))
    var at: Int?

    @Option(help: ArgumentHelp("The recorded number of the device file.", valueName: "fd"))
    var fd: Int?

    /// - Throws: wrong usage, for a line or a file that the trace does not have.
    func validate(for trace: Trace) throws {
        if let at, !(1...trace.lineCount).contains(at) {
            throw ValidationError("the trace has lines 1 to \(trace.lineCount), not \(at)")
        }
        if let fd, !trace.lines.contains(where: { $0.fd == fd }) {
            let known = Set(trace.lines.map(\.fd)).sorted().map(String.init).joined(separator: ", ")
            throw ValidationError("the trace has no file \(fd), only \(known)")
        }
    }

    func noSpace(at line: Int) -> ValidationError {
        ValidationError(
            (fd.map { "file \($0) has no address space" } ?? "there is no address space") + " after line \(line)")
    }
}

/// What a first run through a trace finds, so that a second can stop at the right line.
struct Survey {
    /// A line of the trace and a file there.
    struct Moment {
        var line: Int
        var fd: Int?
    }

    private let trace: Trace
    private let target: TargetOptions

    init(_ trace: Trace, _ target: TargetOptions) {
        self.trace = trace
        self.target = target
    }

    /// The first line with most mappings, in one file or in any.
    func busiest(_ fd: Int?) throws(InputError) -> Moment {
        var best = (count: -1, moment: Moment(line: trace.lineCount, fd: fd))
        try run { (line, replayer: Replayer) in
            for file in replayer.openFiles(fd) {
                guard let count = file.uvmm?.vm.space.count, count > best.count else { continue }
                best = (count, Moment(line: line, fd: file.fd))
            }
        }
        return best.moment
    }

    /// The last line after which an address was mapped, or else was sparse; `nil`: never.
    func lastUse(of va: UInt64, _ fd: Int?) throws(InputError) -> Moment? {
        var mapped: Moment?
        var sparse: Moment?
        try run { (line, replayer: Replayer) in
            for file in replayer.openFiles(fd) {
                guard let uvmm = file.uvmm else { continue }
                if uvmm.vm.space.findFirst(va, 1).map({ $0.id != .kernel }) ?? false {
                    mapped = Moment(line: line, fd: file.fd)
                } else if uvmm.regions.contains(where: { $0.addr <= va && va - $0.addr < $0.range }) {
                    sparse = Moment(line: line, fd: file.fd)
                }
            }
        }
        return mapped ?? sparse
    }

    private func run(_ look: (Int, Replayer) -> Void) throws(InputError) {
        let replayer = Replayer(trace, on: try target.makeDevice(for: trace))
        var progress = ProgressBar(baseName(trace.file), total: trace.lineCount)
        defer { progress.finish() }
        while let line = try replayer.next() {
            look(line.place.line, replayer)
            progress.update(line.place.line)
        }
    }
}

extension Replayer {
    /// The files that have an address space, in order of their numbers, or only the named one.
    func openFiles(_ fd: Int?) -> [ReplayFile] {
        files.values.filter { $0.uvmm != nil && $0.fd == fd ?? $0.fd }.sorted { $0.fd < $1.fd }
    }
}
