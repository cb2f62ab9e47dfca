public import KernelErrno

/// Counts over the cases of one file, or of all.
public struct Report: Sendable {
    public private(set) var passed = 0
    public private(set) var failed = 0
    public private(set) var skipped = 0
    /// Cases that passed by following a named deviation.
    public private(set) var deviating = 0
    /// Cases by reason why a part of them was not compared.
    public private(set) var skips: [String: Int] = [:]
    /// Passed cases by deviation.
    public private(set) var deviations: [Deviation: Int] = [:]

    public init() {}

    public mutating func add(_ result: CaseResult) {
        switch result.verdict {
        case .passed:
            passed += 1
            deviating += result.deviations.isEmpty ? 0 : 1
            for deviation in result.deviations { deviations[deviation, default: 0] += 1 }
        case .failed: failed += 1
        case .skipped: skipped += 1
        }
        for reason in result.skips { skips[reason, default: 0] += 1 }
    }

    public static func += (sum: inout Report, part: Report) {
        sum.passed += part.passed
        sum.failed += part.failed
        sum.skipped += part.skipped
        sum.deviating += part.deviating
        sum.skips.merge(part.skips, uniquingKeysWith: +)
        sum.deviations.merge(part.deviations, uniquingKeysWith: +)
    }

    /// "12 passed, 0 failed, 3 skipped, 1 deviate"
    public var summary: String {
        "\(passed) passed, \(failed) failed, \(skipped) skipped, \(deviating) deviate"
    }

    /// One line a skip reason and a deviation, most frequent first.
    public var notes: [String] {
        let reasons = skips.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "skipped \($1): \($0)" }
        let ids = deviations.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }
        return reasons + ids.map { "deviates \($1): \($0.rawValue)" }
    }
}

extension CaseResult {
    /// The first differences in words, at most `limit`; none at 0.
    public func text(limit: Int) -> [String] {
        guard limit > 0 else { return [] }
        var lines = differences.prefix(limit).flatMap { difference in
            [
                "\(id)\(difference.step.map { ", step \($0)" } ?? ""): \(difference.what)",
                "  expected \(difference.expected)",
                "  found    \(difference.found)",
            ]
        }
        if differences.count > limit {
            lines.append("\(id): \(differences.count - limit) more differences")
        }
        return lines
    }
}
