import Glibc

/// The generator of random tests: small, fast, the same numbers for the same seed everywhere (SplitMix64).
public struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) {
        state = seed
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// How a random test runs: from `GPUVM_SEED` when it is set, longer with `LONG=1`.
public enum RandomTest {
    /// The seed, printed so that a failure can be replayed.
    public static func seed(_ test: String) -> UInt64 {
        let given = getenv("GPUVM_SEED").flatMap { UInt64(String(cString: $0)) }
        let seed = given ?? UInt64.random(in: 0..<1 << 32)
        print("\(test): GPUVM_SEED=\(seed)")
        return seed
    }

    /// `count`, or `times` as many with `LONG=1`.
    public static func rounds(_ count: Int, long times: Int = 20) -> Int {
        getenv("LONG").map { String(cString: $0) } == "1" ? count * times : count
    }
}
