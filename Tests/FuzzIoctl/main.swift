// Fuzzes the device's ioctls: streams, each from a seed, until the time is over or one is wrong.
//   FuzzIoctl SECONDS [SEED]     SEED: the first stream's; one that was wrong comes again from the seed it names
import Glibc
import IoctlFuzz

struct Run {
    let first: UInt64
    var seed: UInt64
    var counts = IoctlFuzz.Counts()
    var faults = 0

    /// - Returns: what was wrong.
    mutating func goOn() throws -> String? {
        let outcome = try IoctlFuzz.run(seed: seed, steps: 400)
        counts.add(outcome.counts)
        faults += outcome.faults
        if outcome.wrong == nil { seed += 1 }
        return outcome.wrong
    }

    func report(_ word: String) {
        let (all, good) = counts.total
        print("ioctl: \(seed - first) streams from seed \(first), \(all) calls, \(good) successful, \(faults) faults: \(word)")
        fflush(nil)
    }
}

let arguments = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
guard let seconds = arguments.first else {
    print("usage: FuzzIoctl SECONDS [SEED]")
    exit(64)
}
let seed = arguments.dropFirst().first ?? UInt64.random(in: 0..<1 << 48)
let begin = time(nil)
var run = Run(first: seed, seed: seed), told = begin
while time(nil) - begin < Int(seconds) {
    if let wrong = try run.goOn() {
        print("seed \(run.seed): \(wrong)")
        run.report("FAILED")
        exit(1)
    }
    if time(nil) - told >= 60 {
        told = time(nil)
        run.report("going on")
    }
}
for (number, count) in run.counts.calls.sorted(by: { $0.key < $1.key }) where count.good > 0 {
    print("  0x\(String(number, radix: 16)): \(count.good) of \(count.all)")
}
run.report("passed")
