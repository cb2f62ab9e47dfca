import DRMLock
import Testing

@Suite struct ExplorerTests {
    @Test("random graphs of jobs, with kills, timeouts and resets: all fences once, no job lost, in order, no leak")
    func explore() {
        let clock = ContinuousClock(), end = clock.now + .seconds(8)
        var seed: UInt64 = replayedSeed ?? 1
        var runs = 0
        while isLong || clock.now < end {
            do {
                try Explorer(SteppedGate(.seeded(seed)), seed: seed).run()
            } catch {
                Issue.record("GPUVM_SEED=\(seed): \(error)")
                return
            }
            runs += 1
            if replayedSeed != nil || runs == 100_000 { break }
            seed += 1
        }
        print("explored \(runs) schedules")
        #expect(runs >= 1)
    }
}
