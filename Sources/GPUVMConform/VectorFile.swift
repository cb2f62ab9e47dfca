public import JSONLines

/// A file of recorded cases, one a line: of the VA manager, of the page tables (sequences of calls) or single words
/// of page tables. Each line shows by its fields which it is.
public struct VectorFile {
    /// The file's name without folder and ending; "stdin" for `-`.
    public let name: String
    private let reader: JSONLineReader

    /// - Throws: the file cannot be opened.
    public init(path: String) throws(InputError) {
        reader = try JSONLineReader(path: path)
        name = Self.name(of: path)
    }

    /// Runs every case. - Throws: a corrupt line, an unknown field or operation.
    public func run(_ body: (CaseResult) -> Void) throws(InputError) {
        while let line = try reader.next() {
            body(try Self.run(line))
        }
    }

    static func run(_ line: JSONObject) throws(InputError) -> CaseResult {
        if line.has("case") { return try VASpaceRunner.run(line) }
        if line.has("cfg") { return try MMUSequenceRunner.run(line) }
        if line.has("what") { return try MMUWordRunner.run(line) }
        throw line.place.error("not a recorded case: none of the fields \"case\", \"cfg\", \"what\"")
    }

    private static func name(of path: String) -> String {
        guard path != "-" else { return "stdin" }
        var name = path.split(separator: "/").last ?? ""
        for ending in [".gz", ".jsonl"] where name.hasSuffix(ending) {
            name = name.dropLast(ending.count)
        }
        return String(name)
    }
}
