public import DRMLock
import Glibc

/// The gates that a law holds on.
public enum Driver: String, CaseIterable, Sendable {
    case first, seeded, threaded

    /// Runs a scenario: once on the stepped gate that takes the first, with many seeds on the stepped gate, a few
    /// times with threads. The scenario gets the seed, for its own choices and for messages.
    public func run(seeds count: UInt64 = 200, times: UInt64 = 20, _ scenario: (Gate, UInt64) throws -> Void) rethrows {
        switch self {
        case .first: try scenario(SteppedGate(), 0)
        case .seeded: for seed in seeds(count) { try scenario(SteppedGate(.seeded(seed)), seed) }
        case .threaded:
            for seed in seeds(times) {
                let gate = ThreadedGate()
                try scenario(gate, seed)
                gate.shutdown()
            }
        }
    }
}

/// 1 ... count, or the one of GPUVM_SEED; ten times as many with LONG=1.
public func seeds(_ count: UInt64) -> ClosedRange<UInt64> {
    if let text = getenv("GPUVM_SEED"), let seed = UInt64(String(cString: text)) { return seed...seed }
    return 1...(getenv("LONG") != nil ? count * 10 : count)
}
