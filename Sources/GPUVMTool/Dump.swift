internal import ArgumentParser
internal import Foundation
internal import GPUVMTrace
internal import JSONLines
internal import NouveauDevice

struct Dump: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the address spaces as the kernel's debugfs file gpuvas does, and the page tables.",
        discussion: "Without --at, at the line with most mappings. The form suits diff: runs of entries, one a line.")

    @Argument(help: "A trace.")
    var trace: String

    @OptionGroup var moment: MomentOptions
    @OptionGroup var target: TargetOptions

    @Flag(help: "Print the page tables too.")
    var tables = false

    @Flag(help: "Print the address spaces as JSON: one object a client, one a line.")
    var json = false

    func validate() throws {
        guard !json || !tables else { throw ValidationError("--tables is text, --json is not") }
    }

    func run() throws {
        try failingOnBadInput {
            let trace = try Trace(path: trace)
            try moment.validate(for: trace)
            let line = try moment.at ?? busiest(trace)
            let replayer = Replayer(trace, on: try target.makeDevice(for: trace))
            try replayer.run(through: line)
            // Newest first, as the kernel lists its clients.
            let files = replayer.openFiles(nil).sorted { $0.openedAt > $1.openedAt }
            var found = false
            for (file, text) in zip(files, texts(replayer.device)) where moment.fd ?? file.fd == file.fd {
                print(text, terminator: "")
                if tables { print("\n" + replayer.tablesText(of: file.fd)) }
                found = true
            }
            guard found else { throw moment.noSpace(at: line) }
        }
    }

    /// One of each client, newest first.
    private func texts(_ device: Device) -> [String] {
        if json { return device.gpuvasJSON().split(separator: "\n").map { "\($0)\n" } }
        // What each client's text begins with.
        let title = "DRM GPU VA space ("
        return device.gpuvas().components(separatedBy: title).dropFirst().map { title + $0 }
    }

    private func busiest(_ trace: Trace) throws(InputError) -> Int {
        let line = try Survey(trace, target).busiest(moment.fd).line
        complain("\(trace.file): after line \(line), with most mappings")
        return line
    }
}
