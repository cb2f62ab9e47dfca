public import JSONLines

/// A recorded session, read whole, so that a damaged file is refused before anything of it runs.
///
/// Everything that one file can say wrong by itself is an ``InputError`` here: damaged gzip or JSON, unknown and
/// missing fields, wrong types, calls out of order, a file that no call opened, addresses no GPU has. Handles are
/// checked when they are replayed.
public struct Trace: Sendable {
    /// The name as messages show it.
    public let file: String
    public let header: TraceHeader
    /// All lines but the first and the last; the line in the file is `place.line`.
    public let lines: [TraceLine]
    /// Lines of the file.
    public var lineCount: Int { lines.count + 2 }

    /// - Parameter path: gzipped or plain; `-` is standard input.
    public init(path: String) throws(InputError) {
        let reader = try JSONLineReader(path: path)
        file = reader.file
        guard let first = try reader.next() else {
            throw InputError(file: reader.file, line: 1, message: "no header line")
        }
        header = try TraceHeader(first)
        var order = TraceOrder()
        var lines: [TraceLine] = []
        while let object = try reader.next() {
            if let line = try order.read(object) { lines.append(line) }
        }
        guard order.ended else {
            throw InputError(file: reader.file, line: lines.count + 2, message: "the \"end\" line is missing")
        }
        self.lines = lines
    }
}

/// The laws of the lines' order.
private struct TraceOrder {
    /// Calls seen.
    private var count = 0
    /// Files that a call opened and no close closed.
    private var open: Set<Int> = []
    private(set) var ended = false

    /// A line, or `nil` for the end line.
    mutating func read(_ object: JSONObject) throws(InputError) -> TraceLine? {
        guard !ended else { throw object.place.error("a line after the \"end\" line") }
        let name = try object.string("op")
        switch name {
        case "header": throw object.place.error("a second header line")
        case "end":
            try readEnd(object)
            return nil
        case "vm_state":
            let after = try object.int("after")
            guard after == count - 1 else {
                throw object.error("after", "is \(after), but the call above is \(count - 1)")
            }
            let state = try RecordedState(object)
            try requireOpen(state.fd, object)
            return .state(state)
        case "mem", "mem_after":
            try readNumber(object)
            let pages = try RecordedPages(object, after: name == "mem_after")
            try requireOpen(pages.fd, object)
            return .pages(pages)
        default:
            guard let op = TraceOp(rawValue: name) else { throw object.place.error("unknown op \"\(name)\"") }
            let n = try readNumber(object)
            let call = try TraceCall(object, op, n: n)
            switch op {
            case .close:
                try requireOpen(call.fd, object)
                open.remove(call.fd)
            case .mmap: try requireOpen(call.fd, object)
            default: open.insert(call.fd)
            }
            return .call(call)
        }
    }

    @discardableResult
    private mutating func readNumber(_ object: JSONObject) throws(InputError) -> Int {
        let n = try object.int("n")
        guard n == count else { throw object.error("n", "is \(n), expected \(count)") }
        count += 1
        return n
    }

    private mutating func readEnd(_ object: JSONObject) throws(InputError) {
        try object.allowOnly(["op", "lines"])
        let lines = try object.int("lines")
        guard lines == count else { throw object.error("lines", "is \(lines), but there are \(count) numbered lines") }
        ended = true
    }

    private func requireOpen(_ fd: Int, _ object: JSONObject) throws(InputError) {
        guard open.contains(fd) else { throw object.place.error("file \(fd) is not open here") }
    }
}
