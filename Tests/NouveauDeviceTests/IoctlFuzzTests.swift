import IoctlFuzz
import Model
import Testing

/// `make fuzz-ioctl SECONDS=600` does the same for longer, and with sanitizers.
@Suite("Ioctls, mutated") struct IoctlFuzzTests {
    @Test("the invariants hold after each stream, and closing all files leaves nothing")
    func streams() throws {
        let start = RandomTest.seed("ioctls, mutated")
        var counts = IoctlFuzz.Counts()
        var faults = 0
        for seed in start..<start + UInt64(RandomTest.rounds(12)) {
            let outcome = try IoctlFuzz.run(seed: seed, steps: 400)
            #expect(outcome.wrong == nil, "seed \(seed)")
            counts.add(outcome.counts)
            faults += outcome.faults
        }
        // Streams that nothing comes through would find nothing.
        #expect(counts.total.good * 10 > counts.total.all)
        #expect(faults > 0, "the pushes did nothing")
        for (number, count) in counts.calls where [0x42, 0x51, 0x52, 0x80, 0xc3].contains(number) {
            #expect(count.good > 0, "0x\(String(number, radix: 16))")
        }
    }
}
