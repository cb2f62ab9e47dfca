internal import Glibc

/// A path of the environment, with the process's number for each `%p`.
package func processPath(_ path: String) -> String {
    var (text, rest) = ("", path[...])
    while let percent = rest.firstIndex(of: "%") {
        text += rest[..<percent]
        let isNumber = rest[percent...].hasPrefix("%p")
        text += isNumber ? "\(getpid())" : "%"
        rest = rest[percent...].dropFirst(isNumber ? 2 : 1)
    }
    return text + rest
}
