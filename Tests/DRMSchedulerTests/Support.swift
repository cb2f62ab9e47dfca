import DRMLock
import DRMScheduler
import DRMSync
import Glibc
import KernelErrno
import Testing

/// What a scenario found wrong.
struct Failure: Error, CustomStringConvertible {
    let description: String
}

/// For scenarios that run thousands of times.
func require(_ condition: Bool, _ what: @autoclosure () -> String = "", line: Int = #line) throws {
    guard !condition else { return }
    throw Failure(description: "line \(line): \(what())")
}

func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

let isLong = environment("LONG") == "1"
let replayedSeed = environment("GPUVM_SEED").flatMap { UInt64($0) }

/// Runs a scenario on a stepped gate with many seeds, or with the one of GPUVM_SEED; LONG=1 has twenty times as many.
func forSeeds(_ count: Int, _ scenario: (SteppedGate) throws -> Void) {
    let seeds = replayedSeed.map { $0...$0 } ?? 1...UInt64(isLong ? 20 * count : count)
    for seed in seeds {
        do {
            try scenario(SteppedGate(.seeded(seed)))
        } catch {
            Issue.record("GPUVM_SEED=\(seed): \(error)")
            return
        }
    }
}

/// Runs a scenario once on a gate of threads.
func onThreads(_ scenario: (ThreadedGate) throws -> Void) throws {
    let gate = ThreadedGate()
    defer { gate.shutdown() }
    try scenario(gate)
}

/// Wakes an actor when a fence signals.
private final class Waker: FenceCallback, @unchecked Sendable {
    let actor: GateActor
    init(_ actor: GateActor) { self.actor = actor }
    override func signaled(_ fence: Fence) { actor.unpark() }
}

extension Fence {
    /// - Returns: whether it signals within this time.
    func signals(within time: UInt64) -> Bool {
        let waker = Waker(gate.current), deadline = gate.now + time
        do { try add(waker) } catch { return true }
        while !isSignaled, gate.park(until: deadline, "a fence") != .timedOut {}
        remove(waker)
        return isSignaled
    }

    var error: KernelErrno? {
        if case .failed(let error) = status { error } else { nil }
    }
}
