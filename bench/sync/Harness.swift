import Glibc

/// One workload: `run` does it `count` times and says how long it took.
struct Row {
    let name: String
    let count: Int
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

/// Runs the rows in turns, `rounds` times, and prints the median of each, its spread, and its ratio to the first.
func report(_ title: String, rounds: Int, _ all: [Row]) {
    let rows = all.prefix(1) + all.dropFirst().filter { row in part.map { row.name.contains($0) } ?? true }
    var times = [[Double]](repeating: [], count: rows.count)
    for _ in 0..<rounds {
        for (i, row) in rows.enumerated() { times[i].append(Double(row.run(row.count)) / Double(row.count)) }
    }
    print("\n\(title), \(rounds) rounds; ns, and the spread between the rounds' quartiles")
    var limit = 1.0
    for (i, row) in rows.enumerated() {
        let sorted = times[i].sorted()
        let median = sorted[rounds / 2], spread = sorted[rounds * 3 / 4] - sorted[rounds / 4]
        if i == 0 { limit = median }
        print("  \(padded(row.name, 52))\(number(median)) ± \(number(spread))   \(number(median / limit)) x limit")
        add(Comparison(name: "\(title), \(row.name)", ours: median, limit: limit, spread: spread / 2 / median))
    }
}

struct Comparison {
    let name: String
    let ours, limit, spread: Double
}

/// A line of build/bench.json, as bench/report.h writes them, to the file that BENCH_ROWS names.
private func add(_ c: Comparison) {
    guard let path = getenv("BENCH_ROWS"), let file = fopen(path, "a") else { return }
    fputs(
        "{\"name\": \"\(c.name)\", \"ours\": \(c.ours), \"peer\": \(c.limit), \"ratio\": \(c.limit / c.ours), "
            + "\"spread\": \(c.spread), \"peer_name\": \"limit\"}\n", file)
    fclose(file)
}

private func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
}

private func number(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    let text = "\(tenths / 10).\(tenths % 10)"
    return String(repeating: " ", count: max(0, 9 - text.count)) + text
}
