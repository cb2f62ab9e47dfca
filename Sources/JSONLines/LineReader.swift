internal import CZlib
internal import Glibc

/// Reads the lines of a file, gzipped or plain; `-` is standard input.
final class LineReader {
    let file: String
    /// Number of the line last handed out, 1-based.
    private(set) var line = 0
    private let gz: gzFile
    private var buffer: [UInt8] = []
    /// Bytes of `buffer` not handed out yet.
    private var unread = 0..<0
    private static let chunk = 1 << 16

    init(path: String) throws(InputError) {
        let standardInput = path == "-"
        file = standardInput ? "<stdin>" : path
        errno = 0
        var info = stat()
        if !standardInput, stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR {
            throw InputError(file: file, line: nil, message: "is a directory")
        }
        guard let gz = standardInput ? gzdopen(dup(0), "rb") : gzopen(path, "rb") else {
            throw InputError(file: file, line: nil, message: errno == 0 ? "out of memory" : String(cString: strerror(errno)))
        }
        self.gz = gz
    }

    deinit {
        gzclose(gz)
    }

    /// The next line without its end, or `nil` after the last.
    func next() throws(InputError) -> ArraySlice<UInt8>? {
        var searched = unread.lowerBound
        while true {
            if let end = buffer[searched..<unread.upperBound].firstIndex(of: UInt8(ascii: "\n")) {
                defer { unread = (end + 1)..<unread.upperBound }
                line += 1
                return buffer[unread.lowerBound..<end]
            }
            let pending = unread.count
            guard try fill() else {
                guard pending > 0 else { return nil }
                defer { unread = unread.upperBound..<unread.upperBound }
                line += 1
                return buffer[unread]
            }
            searched = unread.lowerBound + pending
        }
    }

    /// Reads more bytes behind the unread ones. False at the end of the file.
    private func fill() throws(InputError) -> Bool {
        buffer.removeSubrange(0..<unread.lowerBound)
        let kept = unread.count
        buffer.removeSubrange(kept...)
        buffer.append(contentsOf: repeatElement(0, count: Self.chunk))
        let got = buffer.withUnsafeMutableBytes { gzread(gz, $0.baseAddress! + kept, UInt32(Self.chunk)) }
        var code: Int32 = 0
        let text = gzerror(gz, &code).map { String(cString: $0) } ?? ""
        guard got >= 0, code == Z_OK || code == Z_STREAM_END else {
            let message = code == Z_BUF_ERROR ? "truncated gzip data" : "bad gzip data (\(text))"
            throw InputError(file: file, line: line + 1, message: message)
        }
        unread = 0..<(kept + Int(got))
        return got > 0
    }
}
