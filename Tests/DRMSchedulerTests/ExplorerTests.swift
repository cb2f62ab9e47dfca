import DRMLock
import Testing

@Suite struct ExplorerTests {
    /// SCHEDULES says how many, instead of 100,000; LONG=1: ten times as many. In parts that run side by side.
    @Test(
        "random graphs of jobs, with kills, timeouts and resets: all fences once, no job lost, in order, no leak",
        arguments: 0..<4 as Range<UInt64>)
    func explore(_ part: UInt64) {
        if let seed = replayedSeed {
            if part == 0 { explore(seed: seed) }
            return
        }
        let schedules = environment("SCHEDULES").flatMap { UInt64($0) } ?? (isLong ? 1_000_000 : 100_000)
        for seed in stride(from: part, to: schedules, by: 4) {
            guard explore(seed: seed) else { return }
        }
    }

    @Test("the same on threads, where the order is the machine's")
    func exploreThreaded() throws {
        for seed in 1...(isLong ? 2000 : 30) as ClosedRange<UInt64> {
            try onThreads { try Explorer($0, seed: seed).run() }
        }
    }

    @discardableResult
    private func explore(seed: UInt64) -> Bool {
        do {
            try Explorer(SteppedGate(.seeded(seed)), seed: seed).run()
            return true
        } catch {
            Issue.record("GPUVM_SEED=\(seed): \(error)")
            return false
        }
    }
}
