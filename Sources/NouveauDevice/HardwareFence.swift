internal import DRMLock
internal import DRMSync
internal import KernelErrno

/// The hardware's word that a channel has come so far (`nouveau_fence`). Its number is that of its emission.
final class HardwareFence: Fence, @unchecked Sendable {
    override var driverName: String { "nouveau" }
    override var timelineName: String { "channel" }

    func emitted(as number: UInt64) { seqno = number }
}
