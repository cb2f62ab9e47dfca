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

    func run() throws {
        try failingOnBadInput {
            let trace = try Trace(path: trace)
            try moment.validate(for: trace)
            let line = try moment.at ?? busiest(trace)
            let replayer = Replayer(trace, on: try target.makeDevice(for: trace))
            try replayer.run(through: line)
            // Newest first, as the kernel lists its clients.
            let files = replayer.openFiles(nil).sorted { $0.openedAt > $1.openedAt }
            let texts = replayer.device.gpuvas().components(separatedBy: Self.title).dropFirst()
            var found = false
            for (file, text) in zip(files, texts) where moment.fd ?? file.fd == file.fd {
                print(Self.title + text, terminator: "")
                if tables { print("\n" + replayer.tablesText(of: file.fd)) }
                found = true
            }
            guard found else { throw moment.noSpace(at: line) }
        }
    }

    /// What each client's text begins with.
    private static let title = "DRM GPU VA space ("

    private func busiest(_ trace: Trace) throws(InputError) -> Int {
        let line = try Survey(trace, target).busiest(moment.fd).line
        complain("\(trace.file): after line \(line), with most mappings")
        return line
    }
}
