public import DRMLock

extension Fence {
    /// A fence that has signalled, for where a fence is needed and nothing is to be waited for
    /// (`dma_fence_allocate_private_stub`). Its context is 0.
    /// - Parameter time: when it signalled, on the gate's clock; `nil`: now.
    public static func stub(gate: Gate, signaledAt time: UInt64? = nil) -> Fence {
        Fence(gate: gate, context: 0, seqno: 0, signaledAt: time ?? gate.now)
    }
}
