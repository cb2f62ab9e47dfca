internal import ArgumentParser

/// The program `gpuvm`. One file a subcommand; exit codes: 0 ok, 1 a check failed, 2 bad input file, 64 wrong usage.
@main
struct GPUVMTool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gpuvm",
        abstract: "Linux's GPU virtual memory in user space: replays, walks, decodes and runs what NVK and nouveau do.",
        discussion: """
            Files may be gzipped; - is standard input. A LINE is the 1-based line of the file, the state after it.
            Exit status: 0 ok, 1 a check failed, 2 bad input file, 64 wrong usage.
            """,
        version: "gpuvm 0.1.0",
        subcommands: [Replay.self, Walk.self, Dump.self, Decode.self, Conform.self, Run.self, Chips.self])
}
