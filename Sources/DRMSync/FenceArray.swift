public import DRMLock
internal import KernelErrno
internal import Synchronization

/// Several fences as one: signals when all of them have, or any (`dma_fence_array`).
///
/// Its error is the first that one of them had, of those that it waited for.
public final class FenceArray: Fence, @unchecked Sendable {
    public let fences: [Fence]
    /// How many are still to signal; below 1: enough have.
    private let pending: Atomic<Int>
    private let hasError = Atomic<Bool>(false)

    /// - Parameter fences: at least one, no arrays or links of timelines among them.
    public init(gate: Gate, fences: [Fence], signalsOnAny: Bool = false) {
        precondition(!fences.isEmpty && !fences.contains { $0.isContainer }, "an array of plain fences")
        self.fences = fences
        pending = Atomic(signalsOnAny ? 1 : fences.count)
        super.init(gate: gate, context: gate.allocateContexts(), seqno: 1)
    }

    public override var isDone: Bool {
        var left = pending.load(ordering: .acquiring)
        guard left > 0, !isEnabled else { return left <= 0 }
        for fence in fences where fence.isSignaled {
            left -= 1
            if left == 0 { return true }
        }
        return false
    }

    public override func enableSignaling() -> Bool {
        for fence in fences {
            do throws(KernelErrno) {
                try fence.add(Member(self))
            } catch {
                if note(fence) { return false }
            }
        }
        return true
    }

    /// One more has signalled.
    /// - Returns: whether that was the last one needed.
    private func note(_ fence: Fence) -> Bool {
        if case .failed(let error) = fence.status, pending.load(ordering: .relaxed) > 0, !isFlaggedSignaled,
            hasError.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged
        {
            setError(error)
        }
        return pending.subtract(1, ordering: .acquiringAndReleasing).newValue == 0
    }

    private final class Member: FenceCallback, @unchecked Sendable {
        let array: FenceArray
        init(_ array: FenceArray) { self.array = array }

        override func signaled(_ fence: Fence) {
            if array.note(fence) { array.signal() }
        }
    }

    public override func setDeadline(_ deadline: UInt64) {
        for fence in fences { fence.setDeadlineIfPending(deadline) }
    }

    public override var driverName: String { "dma_fence_array" }
    public override var timelineName: String { "unbound" }
}

extension Fence {
    /// Made of other fences: a link of a timeline or an array.
    package final var isContainer: Bool { self is FenceChain || self is FenceArray }
}
