import DRMLock
import Glibc
import Testing

/// What happened, in order. Guarded, for the threaded gate.
final class Log: @unchecked Sendable {
    private let spin = SpinLock()
    private var guarded: [String] = []

    func add(_ line: String) { spin.withLock { guarded.append(line) } }
    var lines: [String] { spin.withLock { guarded } }
    var count: Int { spin.withLock { guarded.count } }
}

/// A value that several may touch.
final class Shared<T>: @unchecked Sendable {
    private let spin = SpinLock()
    private var guarded: T

    init(_ value: T) { guarded = value }

    var value: T {
        get { spin.withLock { guarded } }
        set { spin.withLock { guarded = newValue } }
    }

    func change<R>(_ body: (inout T) -> R) -> R { spin.withLock { body(&guarded) } }
}

final class ClosureWork: Work, @unchecked Sendable {
    let body: @Sendable () -> Void

    init(_ queue: WorkQueue, _ body: @escaping @Sendable () -> Void) {
        self.body = body
        super.init(queue: queue)
    }

    override func run() { body() }
}

/// The gates that a law holds on.
enum Driver: CaseIterable, CustomTestStringConvertible {
    case first, seeded, threaded

    var testDescription: String { "\(self)" }

    /// Runs a scenario: once, or with many seeds.
    func run(seeds count: UInt64 = 200, times: Int = 20, _ scenario: (Gate, UInt64) -> Void) {
        switch self {
        case .first: scenario(SteppedGate(), 0)
        case .seeded: for seed in seeds(count) { scenario(SteppedGate(.seeded(seed)), seed) }
        case .threaded:
            for seed in seeds(UInt64(times)) {
                let gate = ThreadedGate()
                scenario(gate, seed)
                gate.shutdown()
            }
        }
    }
}

/// 1 ... count, or the one of GPUVM_SEED; ten times as many with LONG=1.
func seeds(_ count: UInt64) -> ClosedRange<UInt64> {
    if let text = getenv("GPUVM_SEED"), let seed = UInt64(String(cString: text)) { return seed...seed }
    return 1...(getenv("LONG") != nil ? count * 10 : count)
}

struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

extension Gate {
    /// Parks until a condition holds that others bring about without waking us.
    func wait(until condition: () -> Bool) {
        while !condition() { sleep(for: 100_000) }
    }
}
