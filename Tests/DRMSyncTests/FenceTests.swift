import DRMLock
import DRMSync
import KernelErrno
import Testing

final class Count: FenceCallback, @unchecked Sendable {
    var runs = 0
    override func signaled(_ fence: Fence) { runs += 1 }
}

@Suite struct FenceTests {
    let gate = SteppedGate()

    func fence() -> Fence { Fence(gate: gate, context: gate.allocateContexts(), seqno: 1) }

    @Test("a fence signals once; check-and-signal says whether it already was")
    func signaling() {
        let fence = fence()
        #expect(!fence.isSignaled)
        #expect(!fence.checkAndSignal())
        #expect(fence.isSignaled)
        #expect(fence.checkAndSignal())
    }

    @Test("a callback runs once; one added late is refused and never runs")
    func callbacks() throws {
        let fence = fence()
        let early = Count(), removed = Count(), late = Count()
        try fence.add(early)
        try fence.add(removed)
        #expect(fence.remove(removed))
        fence.signal()
        #expect(early.runs == 1 && removed.runs == 0)
        #expect(!fence.remove(early))
        #expect(throws: KernelErrno.ENOENT) { try fence.add(late) }
        #expect(late.runs == 0)
    }
}
