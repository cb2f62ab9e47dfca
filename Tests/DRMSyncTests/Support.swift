import DRMLock
import DRMSync
import GateSupport
import KernelErrno

/// Counts its runs.
final class Count: FenceCallback, @unchecked Sendable {
    private let count = Shared(0)
    var runs: Int { count.value }
    override func signaled(_ fence: Fence) { count.value += 1 }
}

extension Gate {
    /// A fence of a context of its own.
    func fence(seqno: UInt64 = 1) -> Fence {
        Fence(gate: self, context: allocateContexts(), seqno: seqno)
    }
}

/// A timeline of points 1 ... count, each with a pending fence of its own.
struct Timeline {
    let gate: Gate
    let fences: [Fence]
    private(set) var links: [FenceChain] = []

    init(_ gate: Gate, points: [UInt64]) {
        self.gate = gate
        fences = points.map { _ in gate.fence() }
        for (fence, point) in zip(fences, points) {
            links.append(FenceChain(previous: links.last, fence: fence, point: point))
        }
    }

    init(_ gate: Gate, count: Int) {
        self.init(gate, points: (1...count).map(UInt64.init))
    }

    var newest: FenceChain { links.last! }
}

/// The error of a call.
func failure(_ call: () throws(KernelErrno) -> Void) -> KernelErrno? {
    do throws(KernelErrno) {
        try call()
        return nil
    } catch {
        return error
    }
}
