internal import DRMLock
internal import DRMSync
internal import KernelErrno
extension Fence {
    func waitUntilSignaled() {
        final class Waker: FenceCallback, @unchecked Sendable {
            let actor: GateActor
            init(_ a: GateActor) { actor = a }
            override func signaled(_ fence: Fence) { actor.unpark() }
        }
        do throws(KernelErrno) { try add(Waker(gate.current)) } catch { return }
        while !isFlaggedSignaled { _ = gate.park("a fence") }
    }
}
