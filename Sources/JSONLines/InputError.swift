/// A bad input file: which, where, and what is wrong with it, in one line.
public struct InputError: Error, Hashable, CustomStringConvertible {
    public var file: String
    /// 1-based; `nil`: the file as a whole.
    public var line: Int?
    public var message: String

    public init(file: String, line: Int?, message: String) {
        self.file = file
        self.line = line
        self.message = message
    }

    public var description: String {
        line.map { "\(file):\($0): \(message)" } ?? "\(file): \(message)"
    }
}
