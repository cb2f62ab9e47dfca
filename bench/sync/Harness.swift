import Glibc

/// One workload: `run` does it `count` times and says how long it took.
struct Row {
    let name: String
    let count: Int
    /// ns it may take.
    var most: Double = 0
    /// How many times faster than the kernel it is to be.
    var target: Double = 0
    /// The same by the kernel's code.
    var kernel: ((Int) -> UInt64)? = nil
    let run: (Int) -> UInt64
}

/// Nanoseconds of the process's processor time, as bench/harness.h takes it.
func processorTime() -> UInt64 {
    var t = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t)
    return UInt64(t.tv_sec) * 1_000_000_000 + UInt64(t.tv_nsec)
}

@inline(__always)
func measure(_ body: () -> Void) -> UInt64 {
    let start = processorTime()
    body()
    return processorTime() - start
}

/// Runs the rows, and the kernel's beside them, in turns, `rounds` times, and prints the medians as bench/report.h does.
/// The first row is the limit: what the others are made of at least.
func report(_ title: String, rounds: Int, _ all: [Row]) {
    let rows = all.prefix(1) + all.dropFirst().filter { row in part.map { row.name.contains($0) } ?? true }
    var ours = [[Double]](repeating: [], count: rows.count), kernel = ours
    for _ in 0..<rounds {
        for (i, row) in rows.enumerated() {
            ours[i].append(Double(row.run(row.count)) / Double(row.count))
            if let run = row.kernel { kernel[i].append(Double(run(row.count)) / Double(row.count)) }
        }
    }
    let limit = median(ours[0])
    print("\n\(padded(title, 58)) ours ns  kernel ns    times   target  spread   limit ns")
    for (i, row) in rows.enumerated() {
        let result = Result(row, ours[i], kernel[i], limit: i == 0 ? 0 : limit)
        result.print()
        result.write(title)
    }
}

/// Of one row; see `struct bench_row_result` in bench/report.h.
private struct Result {
    let row: Row
    let ours, kernel, ratio, spread, limit: Double

    init(_ row: Row, _ ours: [Double], _ kernel: [Double], limit: Double) {
        let ratios = zip(kernel, ours).map { $0 / $1 }
        self.row = row
        self.ours = median(ours)
        self.kernel = median(kernel)
        self.ratio = median(ratios)
        self.spread = halfSpread(ratios.isEmpty ? ours : ratios)
        self.limit = limit
    }

    private var isMissed: Bool { row.most > 0 && ours > row.most || ratio > 0 && ratio < row.target }

    func print() {
        let target = row.most > 0 ? "≤\(Int(row.most)) ns" : row.target > 0 ? number(row.target, 1) : "-"
        Swift.print(
            "  \(padded(row.name, 54)) \(number(ours, 9)) \(number(kernel, 10)) \(number(ratio, 8)) "
                + "\(aligned(target, 8)) \(aligned("\(Int((100 * spread).rounded()))%", 7)) \(number(limit, 10))"
                + (isMissed ? "  < target" : ""))
    }

    /// A line of build/bench.json, to the file that BENCH_ROWS names.
    func write(_ title: String) {
        guard let path = getenv("BENCH_ROWS"), let file = fopen(path, "a") else { return }
        let peer = kernel > 0 ? kernel : limit
        fputs(
            "{\"name\": \"\(title), \(row.name)\", \"ours\": \(ours), \"peer\": \(peer), "
                + "\"ratio\": \(kernel > 0 ? ratio : peer / ours), \"spread\": \(spread), "
                + "\"peer_name\": \"\(kernel > 0 ? "kernel" : limit > 0 ? "limit" : "")\", \"target\": \(row.target), "
                + "\"target_ns\": \(row.most), \"best_other\": \(limit), "
                + "\"best_other_name\": \"\(limit > 0 ? "limit" : "")\"}\n", file)
        fclose(file)
    }
}

/// 0: of nothing.
private func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted(), n = sorted.count
    return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2
}

/// Half of the range that the middle half takes, as a part of the median.
private func halfSpread(_ values: [Double]) -> Double {
    let sorted = values.sorted(), n = sorted.count
    return (sorted[3 * n / 4] - sorted[n / 4]) / 2 / median(values)
}

private func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
}

private func aligned(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
}

/// With one digit behind the point; `-`: 0, there is none.
private func number(_ value: Double, _ width: Int) -> String {
    let tenths = Int((value * 10).rounded())
    return aligned(value > 0 ? "\(tenths / 10).\(tenths % 10)" : "-", width)
}
