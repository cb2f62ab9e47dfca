internal import ArgumentParser
internal import Foundation
internal import GPUVMConform
internal import JSONLines

/// `gpuvm conform`: recorded vectors against the libraries.
struct Conform: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run vector files of the VA manager or the page tables against the libraries.",
        discussion: """
            Files are JSON lines, plain or gzipped; - is standard input. A case passes when everything in it was \
            compared, is skipped when only a part was, and fails where the libraries and the recording differ. \
            Exits with 1 if a case failed and with 2 for bad input.
            """)

    @Argument(help: ArgumentHelp("Vector files.", valueName: "file"))
    var files: [String]

    @Option(help: "Differences to show for each file.")
    var differences = 8

    func validate() throws {
        guard differences >= 0 else { throw ValidationError("--differences is a number of differences, 0 or more") }
    }

    func run() throws {
        var total = Report()
        try failingOnBadInput {
            for file in files { total += try run(file) }
        }
        print(total.summary)
        if total.failed > 0 { throw ExitCode(1) }
    }

    /// Runs one file and prints its lines.
    private func run(_ path: String) throws(InputError) -> Report {
        let file = try VectorFile(path: path)
        let progress = ProgressLine()
        defer { progress.clear() }
        var report = Report()
        var shown: [String] = []
        var left = differences
        try file.run { result in
            report.add(result)
            shown += result.text(limit: left)
            left -= min(left, result.differences.count)
            progress.show("\(file.name): \(report.summary)")
        }
        progress.clear()
        print("\(file.name): \(report.summary)")
        for line in shown + report.notes { print("  \(line)") }
        return report
    }
}

/// One changing line on a terminal, nothing elsewhere.
private struct ProgressLine {
    private let isTerminal = isatty(STDERR_FILENO) == 1

    func show(_ text: String) {
        if isTerminal { FileHandle.standardError.write(Data("\r\u{1b}[K\(text)".utf8)) }
    }

    func clear() { show("") }
}
