import DRMLock
import Testing

@Suite struct ExplorerTests {
    /// In parts that run side by side. As many as there is time for; LONG=1: all 100,000.
    @Test(
        "random graphs of jobs, with kills, timeouts and resets: all fences once, no job lost, in order, no leak",
        arguments: 0..<4 as Range<UInt64>)
    func explore(_ part: UInt64) {
        if let seed = replayedSeed {
            if part == 0 { explore(seed: seed) }
            return
        }
        let clock = ContinuousClock(), end = clock.now + .seconds(8)
        for i in 0..<25_000 as Range<UInt64> where isLong || clock.now < end {
            guard explore(seed: 4 * i + part) else { return }
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
