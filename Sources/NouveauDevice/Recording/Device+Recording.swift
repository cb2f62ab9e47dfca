internal import Glibc

/// How a trace is recorded.
public struct RecordingOptions: Sendable {
    /// Write `mem` and `mem_after` lines too: at each EXEC, which pages of the client's buffers it changed before and the
    /// device by it. The call then returns when the device is done, or after a second.
    public var memory = false
    /// What the header says of the client: its driver, and its program with arguments.
    public var driver = "unknown"
    public var program = CommandLine.arguments.joined(separator: " ")
    /// Told, in a line, when a recording cannot go on.
    package var complain: @Sendable (String) -> Void = { warn("gpuvm: \($0)\n") }

    public init() {}
}

extension Device {
    /// Records what clients do from now on as a trace, which `gpuvm replay` runs. To be called before a file is opened.
    ///
    /// Calls on one device are then made one at a time, but for those that wait. If the trace cannot be written any more,
    /// that is said once on standard error, and the device goes on without.
    /// - Parameter path: gzipped if it ends in ".gz"; such a file is whole only when the recording is finished.
    /// - Throws: the file cannot be made.
    public func record(
        to path: String, options: RecordingOptions = RecordingOptions()
    ) throws(RecordingError) {
        precondition(files.isEmpty, "a recording begins before files are opened")
        recorder = try TraceWriter(path, chipset: chip.chipset, gate: gate, options: options)
    }

    /// Records where the environment asks for it: `GPUVM_RECORD` is the path, in which `%p` stands for the process's
    /// number; `GPUVM_RECORD_MEMORY=1` has pages of buffers recorded too. If that cannot be, it is said on standard error.
    public func recordAsEnvironmentAsks() {
        recordAsEnvironmentAsks { name in getenv(name).map { String(cString: $0) } }
    }

    package func recordAsEnvironmentAsks(_ environment: (String) -> String?) {
        guard let path = environment("GPUVM_RECORD"), !path.isEmpty else { return }
        var options = RecordingOptions()
        options.memory = environment("GPUVM_RECORD_MEMORY") == "1"
        do throws(RecordingError) {
            try record(to: processPath(path), options: options)
        } catch {
            options.complain("\(error)")
        }
    }

    /// Writes the end of the recording. The end of the device, or of the process, does so too.
    public func finishRecording() { recorder?.file.finish() }
}

/// On standard error.
private func warn(_ text: String) {
    let bytes = Array(text.utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
}
