internal import CZlib
internal import Glibc

/// The file that a trace is written to: gzipped if its name ends in ".gz". Any thread may call.
///
/// A line that cannot be written ends the recording, and is told once on standard error: whoever is recorded goes on. What
/// is not gzipped is in the file when ``write(_:)`` returns. A child process writes nothing.
final class TraceFile: @unchecked Sendable {
    private let path: String
    private let isGzipped: Bool
    private let process = getpid()
    /// Held over writes, hence no spin lock; nothing is waited for with it.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    // Guarded by the mutex.
    /// `nil`: it is finished, or failed.
    private var file: gzFile?
    private var numbered = 0
    private let complain: (String) -> Void

    /// Number of the next numbered line.
    var next: Int { withLock { numbered } }

    /// - Throws: why it cannot be written, in words.
    init(path: String, complain: @escaping (String) -> Void) throws(RecordingError) {
        self.path = path
        self.complain = complain
        isGzipped = path.hasSuffix(".gz")
        errno = 0
        // "T": as it is, without compression.
        guard let file = gzopen(path, isGzipped ? "wbe" : "wbeT") else {
            throw RecordingError(path: path, reason: reason())
        }
        self.file = file
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        FilesToFinish.add(self)
    }

    deinit {
        finish()
        FilesToFinish.remove(self)
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func write(_ line: JSONText) { withLock { put(line) } }

    /// Writes what is to be a numbered line.
    func writeNumbered(_ line: (Int) -> JSONText) {
        withLock {
            put(line(numbered))
            numbered += 1
        }
    }

    /// Writes the last line and closes the file. Nothing is written from then on.
    func finish() {
        // At a child's end nobody is there who would give the lock back.
        guard isOurs else { return }
        withLock {
            put(
                JSONText { line in
                    line.text("op", "end")
                    line.number("lines", numbered)
                })
            guard let file else { return }
            self.file = nil
            errno = 0
            if gzclose(file) != Z_OK { tell() }
        }
    }

    private func put(_ line: JSONText) {
        guard let file, isOurs else { return }
        errno = 0
        let bytes = line.bytes + [UInt8(ascii: "\n")]
        let done = bytes.withUnsafeBytes { gzwrite(file, $0.baseAddress, UInt32($0.count)) }
        guard done == bytes.count, isGzipped || gzflush(file, Z_SYNC_FLUSH) == Z_OK else {
            tell()
            self.file = nil
            gzclose(file)
            return
        }
    }

    private var isOurs: Bool { getpid() == process }

    private func tell() { complain("\(RecordingError(path: path, reason: reason())): the recording ends here") }

    private func withLock<R>(_ body: () -> R) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }
}

/// A trace cannot be written.
public struct RecordingError: Error, Hashable, Sendable, CustomStringConvertible {
    public let path: String
    public let reason: String

    public var description: String { "\(path): cannot record: \(reason)" }
}

private func reason() -> String { errno == 0 ? "out of memory" : String(cString: strerror(errno)) }

/// Recordings that a process's end finishes if nobody does before.
private enum FilesToFinish {
    private final class List: @unchecked Sendable {
        let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        var files: [Unmanaged<TraceFile>] = []

        init() {
            pthread_mutex_init(mutex, nil)
            atexit { FilesToFinish.change { for file in $0 { file._withUnsafeGuaranteedRef { $0.finish() } } } }
        }
    }
    private static let list = List()

    private static func change(_ body: (inout [Unmanaged<TraceFile>]) -> Void) {
        pthread_mutex_lock(list.mutex)
        body(&list.files)
        pthread_mutex_unlock(list.mutex)
    }

    static func add(_ file: TraceFile) { change { $0.append(.passUnretained(file)) } }

    static func remove(_ file: TraceFile) {
        let gone = Unmanaged.passUnretained(file).toOpaque()
        change { $0.removeAll { $0.toOpaque() == gone } }
    }
}
