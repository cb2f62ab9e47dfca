internal import Foundation

/// Reads a file of JSON objects, one a line; gzipped or plain, `-` is standard input. Empty lines are not allowed.
public final class JSONLineReader {
    private let lines: LineReader

    /// - Throws: an error without a line when the file cannot be opened.
    public init(path: String) throws(InputError) {
        lines = try LineReader(path: path)
    }

    /// The file's name as messages show it.
    public var file: String { lines.file }

    /// The next line, or `nil` after the last.
    /// - Throws: an error with the line for a corrupt or truncated file and for a line that is not a JSON object.
    public func next() throws(InputError) -> JSONObject? {
        guard let bytes = try lines.next() else { return nil }
        let place = Place(file: lines.file, line: lines.line)
        guard let value = try? JSONSerialization.jsonObject(with: Data(bytes)) else {
            throw place.error("not valid JSON")
        }
        guard let members = value as? [String: Any] else {
            throw place.error("not a JSON object")
        }
        return JSONObject(place: place, path: "", members: members)
    }
}

/// A line of a file.
public struct Place: Hashable, Sendable {
    public let file: String
    /// 1-based.
    public let line: Int

    public init(file: String, line: Int) {
        self.file = file
        self.line = line
    }

    public func error(_ message: String) -> InputError {
        InputError(file: file, line: line, message: message)
    }
}
