internal import ArgumentParser
internal import DRMLock
internal import Foundation
internal import GPUVMTrace
internal import JSONLines

struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs recorded sessions of the NVK driver on a simulated GPU and compares.",
        discussion: """
            One trace gives a full report, several a table, with the report of each one that differs. Every answer is
            compared, at every vm_state line the address space and the page tables behind it, and at every mem_after
            line the memory that the device wrote. Without --seed and --threads each line's jobs run to their end
            before the next line.
            """)

    enum Form: String, ExpressibleByArgument, CaseIterable { case text, json }

    @Argument(help: "Traces.")
    var trace: [String]

    @OptionGroup var target: TargetOptions

    @Option(help: "The report's form: text, or json: one object a trace, one a line.")
    var report = Form.text

    @Option(help: "Jobs run only where a line waits, in an order that the seed picks.")
    var seed: UInt64?

    @Flag(help: "Jobs run on threads of their own.")
    var threads = false

    @Option(help: ArgumentHelp("Write each trace's page tables, at the line with most mappings, into DIR.", valueName: "dir"))
    var tables: String?

    @Option(help: ArgumentHelp("Draw the address spaces over time into FILE; for one trace.", valueName: "file"))
    var svg: String?

    @Option(help: ArgumentHelp("Write calls and jobs as a timeline for ui.perfetto.dev into FILE; for one trace.", valueName: "file"))
    var perfetto: String?

    func validate() throws {
        guard !trace.isEmpty else { throw ValidationError("no trace is named") }
        guard trace.count == 1 || svg == nil && perfetto == nil else {
            throw ValidationError("--svg and --perfetto take one trace")
        }
        guard seed == nil || !threads else { throw ValidationError("--seed picks an order, which --threads has none of") }
    }

    func run() throws {
        var status: Int32 = 0
        var table = ReplayTable()
        for path in trace {
            do throws(InputError) {
                let (report, seconds) = try replay(Trace(path: path))
                switch self.report {
                case .json: print(report.json)
                case .text where trace.count == 1: print(report.text(seconds: seconds))
                case .text: table.show(report)
                }
                if !report.isEqual { status = max(status, 1) }
                fflush(nil)
            } catch {
                complain("\(error)")
                status = 2
            }
        }
        if report == .text, trace.count > 1 { table.showTotals() }
        if status != 0 { throw ExitCode(status) }
    }

    private func replay(_ trace: Trace) throws(InputError) -> (ReplayReport, Double) {
        let gate: Gate? = threads ? ThreadedGate() : seed.map { SteppedGate(.seeded($0)) }
        let device = try target.makeDevice(for: trace, gate: gate)
        var jobs = perfetto == nil ? nil : JobTimeline(device)
        let replayer = Replayer(trace, on: device, pace: gate == nil ? .drained : .lazy)
        var timeline = svg == nil ? nil : SpaceTimeline()
        var progress = ProgressBar(baseName(trace.file), total: trace.lineCount)
        defer { progress.finish() }
        let start = Date()
        while let line = try replayer.next() {
            timeline?.observe(line, replayer)
            jobs?.observe(line, replayer)
            progress.update(line.place.line)
        }
        let seconds = Date().timeIntervalSince(start)
        try writeExtras(trace, replayer.report, timeline, jobs)
        return (replayer.report, seconds)
    }

    private func writeExtras(
        _ trace: Trace, _ report: ReplayReport, _ timeline: SpaceTimeline?, _ jobs: JobTimeline?
    ) throws(InputError) {
        if let tables {
            let replayer = Replayer(trace, on: try target.makeDevice(for: trace))
            try replayer.run(through: report.mostMappings.line)
            let name = baseName(trace.file).replacing(".gz", with: "").replacing(".jsonl", with: "")
            try write(replayer.tablesText, to: "\(tables)/\(name).tables.txt")
        }
        if let svg, let timeline {
            try write(SpacePicture(trace: trace, chip: report.chip, timeline: timeline).svg, to: svg)
        }
        if let perfetto, let jobs { try write(encodeJSON(jobs.chromeTrace) + "\n", to: perfetto) }
    }
}

/// The file's name without its folder.
func baseName(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
}
