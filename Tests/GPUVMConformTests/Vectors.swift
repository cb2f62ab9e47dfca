import Foundation
@testable import GPUVMConform
@testable import JSONLines
import Synchronization

/// The recorded vectors of Tests/Vectors, and scratch files made from them.
enum Vectors {
    private static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()

    /// The repository.
    static let root = tests.deletingLastPathComponent()

    static let names = ["gpuvm", "mmu"].flatMap { folder in
        let all = try! FileManager.default.contentsOfDirectory(atPath: tests.path + "/Vectors/\(folder)")
        return all.sorted().map { "\(folder)/\($0)" }
    }

    static func path(_ name: String) -> String { "\(tests.path)/Vectors/\(name)" }

    /// Every case of a file with its JSON.
    static func results(_ name: String) throws -> [(json: [String: Any], result: CaseResult)] {
        var results: [CaseResult] = []
        try VectorFile(path: path(name)).run { results.append($0) }
        return zip(try lines(name), results).map { (object($0), $1) }
    }

    /// One case of a file by its name.
    static func line(_ name: String, _ id: String) throws -> [String: Any] {
        object(try lines(name).first { $0.contains("\"\(id)\"") }!)
    }

    /// The lines of files once read.
    private static let read = Mutex<[String: [String]]>([:])

    private static func lines(_ name: String) throws -> [String] {
        if let lines = read.withLock({ $0[name] }) { return lines }
        let reader = try LineReader(path: path(name))
        var lines: [String] = []
        while let line = try reader.next() {
            lines.append(String(decoding: line, as: UTF8.self))
        }
        read.withLock { $0[name] = lines }
        return lines
    }

    private static func object(_ line: String) -> [String: Any] {
        try! JSONSerialization.jsonObject(with: Data(line.utf8)) as! [String: Any]
    }

    /// Runs one case, given as JSON.
    static func run(_ json: [String: Any]) throws -> CaseResult {
        let path = NSTemporaryDirectory() + "conform-\(UUID().uuidString).jsonl"
        try JSONSerialization.data(withJSONObject: json).write(to: URL(fileURLWithPath: path))
        defer { unlink(path) }
        var results: [CaseResult] = []
        do {
            try VectorFile(path: path).run { results.append($0) }
        } catch {
            throw InputError(file: "case", line: error.line, message: error.message)
        }
        return results[0]
    }
}

/// A place in JSON: field names and positions.
enum Step: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, Sendable {
    case field(String)
    case index(Int)

    init(stringLiteral name: String) { self = .field(name) }
    init(integerLiteral index: Int) { self = .index(index) }
}

/// `json` with `value` at `path`; `nil` takes away what is there. A position equal to the count appends.
func changed(_ json: Any, _ path: ArraySlice<Step>, to value: Any?) -> Any {
    guard let first = path.first else { return value ?? NSNull() }
    let rest = path.dropFirst()
    switch first {
    case .field(let name):
        var object = json as! [String: Any]
        object[name] = rest.isEmpty ? value : changed(object[name]!, rest, to: value)
        return object
    case .index(let i):
        var array = json as! [Any]
        if rest.isEmpty {
            array.replaceSubrange(i..<min(i + 1, array.count), with: value.map { [$0] } ?? [])
        } else {
            array[i] = changed(array[i], rest, to: value)
        }
        return array
    }
}

func changed(_ json: [String: Any], _ path: [Step], to value: Any?) -> [String: Any] {
    changed(json, path[...], to: value) as! [String: Any]
}
