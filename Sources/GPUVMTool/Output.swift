internal import ArgumentParser
internal import CBSD
internal import Foundation
internal import JSONLines

/// Bad input ends the program with one line and status 2.
func failingOnBadInput(_ body: () throws -> Void) throws {
    do {
        try body()
    } catch let error as InputError {
        complain("\(error)")
        throw ExitCode(2)
    }
}

/// One line on standard error.
func complain(_ line: String) {
    FileHandle.standardError.write(Data("\(line)\n".utf8))
}

/// Writes a file that the user named.
func write(_ text: String, to path: String) throws(InputError) {
    do {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    } catch {
        throw InputError(file: path, line: nil, message: "cannot be written: \(error.localizedDescription)")
    }
}

/// "0x…", padded with zeros to `width` digits.
func hex(_ value: some BinaryInteger, width: Int = 0) -> String {
    let digits = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: max(0, width - digits.count)) + digits
}

/// A size as people say it: "64K", "1.5M".
func size(_ bytes: UInt64) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 8) { buffer in
        _ = humanize_number(
            buffer.baseAddress, 5, Int64(clamping: bytes), "", Int32(HN_AUTOSCALE),
            Int32(HN_B | HN_NOSPACE | HN_DECIMAL))
        return String(cString: buffer.baseAddress!).replacing(".0", with: "")
    }
}

/// "1 page", "2 pages"
func count(_ n: Int, _ noun: String, _ plural: String? = nil) -> String {
    "\(n) \(n == 1 ? noun : plural ?? noun + "s")"
}

extension String {
    /// Filled with blanks on the right.
    func padded(_ width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - self.count))
    }

    /// Filled with blanks on the left.
    func aligned(_ width: Int) -> String {
        String(repeating: " ", count: max(0, width - self.count)) + self
    }
}

/// Colours, where standard output is a terminal that wants them.
struct Style {
    let enabled: Bool

    static let standardOutput = Style(
        enabled: isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["NO_COLOR"] == nil)

    func bold(_ text: String) -> String { wrap(text, "1") }
    func faint(_ text: String) -> String { wrap(text, "2") }
    func green(_ text: String) -> String { wrap(text, "32") }
    func red(_ text: String) -> String { wrap(text, "1;31") }
    func blue(_ text: String) -> String { wrap(text, "36") }

    private func wrap(_ text: String, _ code: String) -> String {
        enabled ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text
    }
}

/// A bar on standard error while something takes long; nothing unless that is a terminal.
struct ProgressBar {
    private let label: String
    private let total: Int
    private let enabled: Bool
    private let start = Date()
    private var shown = -1

    init(_ label: String, total: Int) {
        self.label = label
        self.total = total
        enabled = isatty(STDERR_FILENO) == 1
    }

    mutating func update(_ done: Int) {
        // Short work needs no bar.
        guard enabled, total > 0, done * 40 / total != shown, Date().timeIntervalSince(start) > 0.2 else { return }
        shown = done * 40 / total
        let bar = String(repeating: "█", count: shown) + String(repeating: "░", count: 40 - shown)
        FileHandle.standardError.write(Data("\r\(label) \(bar) \(done)/\(total)".utf8))
    }

    func finish() {
        guard shown >= 0 else { return }
        FileHandle.standardError.write(Data("\r\u{1b}[K".utf8))
    }
}
