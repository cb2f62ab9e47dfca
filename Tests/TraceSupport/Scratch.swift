import Glibc

/// A scratch file that goes with its owner.
public final class Scratch: Sendable {
    public let path: String

    public init(_ bytes: [UInt8], suffix: String = ".jsonl") {
        path = "/tmp/gpuvm-test-\(getpid())-\(UInt64.random(in: 0...UInt64.max))\(suffix)"
        let file = fopen(path, "wb")!
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }

    public convenience init(lines: [String]) {
        self.init(Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    deinit {
        unlink(path)
    }
}

/// The whole content of a file.
public func contents(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "rb") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while case let n = fread(&chunk, 1, chunk.count, file), n > 0 {
        bytes += chunk[..<n]
    }
    return bytes
}
