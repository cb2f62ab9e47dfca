internal import DRMLock
public import KernelErrno

/// A point of a timeline (`dma_fence_chain`): a link that has signalled when its own fence and those of all older
/// links have.
///
/// Invariants: a contained fence is no link itself. Links of one context have rising sequence numbers, the points.
/// ``previousSeqno`` is the point it follows on, and stays when the link there is gone.
///
/// Links whose fence has signalled are taken out by whoever walks past them, so a timeline stays as long as what is
/// pending. `links` guards ``previous``.
///
/// Source: dma-fence-chain.c.
public final class FenceChain: Fence, @unchecked Sendable {
    /// What is to be done for this point.
    public let contained: Fence
    /// The point it follows on; 0: it begins a timeline.
    public let previousSeqno: UInt64
    private let links: SpinLock
    private var previous: Fence?

    /// Puts a link on top of what a timeline has: a link, or anything else, or nothing. A point that is not above the
    /// newest one begins a context of its own, and counts as the newest one.
    public init(previous: Fence?, fence: Fence, point: UInt64) {
        precondition(!(fence is FenceChain), "a link holds no link")
        contained = fence
        links = SpinLock(fence.gate)
        self.previous = previous
        let newest = previous as? FenceChain
        if let newest, point > newest.seqno {
            previousSeqno = newest.seqno
            super.init(gate: fence.gate, context: newest.context, seqno: point)
        } else {
            previousSeqno = 0
            super.init(
                gate: fence.gate, context: fence.gate.allocateContexts(), seqno: max(point, newest?.seqno ?? 0))
        }
    }

    /// Lets a long timeline go link by link, not on the stack.
    deinit {
        var next = previous
        previous = nil
        while next != nil, isKnownUniquelyReferenced(&next), let link = next as? FenceChain {
            next = link.takePrevious()
        }
    }

    private func takePrevious() -> Fence? {
        links.lock()
        defer { links.unlock() }
        let taken = previous
        previous = nil
        return taken
    }

    private var rawPrevious: Fence? {
        links.lock()
        defer { links.unlock() }
        return previous
    }

    private func replacePrevious(_ old: Fence, with new: Fence?) {
        links.lock()
        // Let go outside the lock.
        let gone = previous === old ? old : nil
        if gone != nil { previous = new }
        links.unlock()
    }

    /// The next older fence that is pending, a link or what a timeline began with (`dma_fence_chain_walk`). Takes
    /// signalled ones out, wherever they are.
    public var pendingPrevious: Fence? { pendingPrevious(asking: true) }

    /// - Parameter asking: asks fences whether they are done; callbacks of those that are run then.
    private func pendingPrevious(asking: Bool) -> Fence? {
        while let fence = rawPrevious {
            let link = fence as? FenceChain
            let what = link?.contained ?? fence
            guard asking ? what.isSignaled : what.isFlaggedSignaled else { return fence }
            replacePrevious(fence, with: link?.rawPrevious)
        }
        return nil
    }

    /// What is to be waited for by who waits for a point: the oldest link that covers it. Point 0 is the fence itself.
    /// - Parameter asking: asks fences whether they are done; callbacks of those that are run then.
    /// - Returns: `nil`: everything up to the point has signalled.
    /// - Throws: `EINVAL`: the fence is no link, or its point is below.
    public static func find(_ fence: Fence, point: UInt64, asking: Bool = true) throws(KernelErrno) -> Fence? {
        guard point > 0 else { return fence }
        guard let newest = fence as? FenceChain, newest.seqno >= point else { throw .EINVAL }
        var link = newest
        while link.previousSeqno >= point {
            guard let older = link.pendingPrevious(asking: asking) else { return nil }
            guard older.context == newest.context, let next = older as? FenceChain else { return older }
            link = next
        }
        return link
    }

    /// The link, then the older pending fences, newest first; for each link its contained fence.
    package func forEachContained(_ body: (Fence) -> Bool) {
        var next: Fence? = self
        while let fence = next {
            guard body((fence as? FenceChain)?.contained ?? fence) else { return }
            next = (fence as? FenceChain)?.pendingPrevious
        }
    }

    // MARK: As a fence

    public override var hasWideSeqno: Bool { true }

    public override var isDone: Bool {
        var isDone = true
        forEachContained {
            isDone = $0.isSignaled
            return isDone
        }
        return isDone
    }

    /// Waits for the newest contained fence that is pending; then looks again.
    public override func enableSignaling() -> Bool {
        var waits = false
        forEachContained { fence in
            do throws(KernelErrno) { try fence.add(Link(self)); waits = true } catch {}
            return !waits
        }
        return waits
    }

    private final class Link: FenceCallback, @unchecked Sendable {
        let chain: FenceChain
        init(_ chain: FenceChain) { self.chain = chain }

        override func signaled(_ fence: Fence) {
            if !chain.enableSignaling() { chain.signal() }
        }
    }

    public override func setDeadline(_ deadline: UInt64) {
        forEachContained {
            $0.setDeadlineIfPending(deadline)
            return true
        }
    }

    public override var driverName: String { "dma_fence_chain" }
    public override var timelineName: String { "unbound" }
}
