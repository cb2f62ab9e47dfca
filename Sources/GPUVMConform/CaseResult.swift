public import KernelErrno

/// What came out of one recorded case.
public struct CaseResult: Sendable {
    /// The case's own name.
    public let id: String
    /// Where we and the recording differ.
    public internal(set) var differences: [Difference] = []
    /// Why something in the case was not compared.
    public internal(set) var skips: Set<String> = []
    /// Rows of docs/deviations.md that the case runs into.
    public internal(set) var deviations: Set<Deviation> = []

    /// A case passes only when all of it was compared.
    public var verdict: Verdict {
        if !differences.isEmpty { return .failed }
        return skips.isEmpty ? .passed : .skipped
    }

    public enum Verdict: Hashable, Sendable {
        case passed, failed, skipped
    }

    /// One value that is not as recorded.
    public struct Difference: Hashable, Sendable {
        /// Position in the case's steps, from 0; `nil`: of the case as a whole.
        public let step: Int?
        public let what: String
        public let expected: String
        public let found: String
    }

    init(id: String) {
        self.id = id
    }

    mutating func differ(step: Int?, _ what: String, expected: String, found: String) {
        differences.append(Difference(step: step, what: what, expected: expected, found: found))
    }

    /// Notes a difference unless the two are equal.
    mutating func compare<T: Equatable>(step: Int?, _ what: @autoclosure () -> String, expected: T, found: T) {
        if expected != found {
            differ(step: step, what(), expected: "\(expected)", found: "\(found)")
        }
    }
}
