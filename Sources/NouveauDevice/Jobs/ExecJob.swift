internal import DRMExec
internal import DRMScheduler
internal import DRMSync
internal import GPUVM
internal import KernelErrno
internal import NouveauUAPI

/// One EXEC call: pushes for a channel. Done when the channel's engines have carried them out.
///
/// Source: jobs.md 3.
final class ExecJob: Job, @unchecked Sendable {
    private let channel: Channel
    private let uvmm: UVMM
    private let pushes: [Push]
    private var fence: HardwareFence?

    init(_ channel: Channel, _ jobs: JobQueue, _ uvmm: UVMM, _ pushes: [Push]) {
        self.channel = channel
        self.uvmm = uvmm
        self.pushes = pushes
        super.init(jobs, credits: UInt32(pushes.count) + 1)
    }

    override var title: String { "EXEC, \(pushes.count) pushes" }

    override func submit(_ exec: DRMExec.Exec) throws(KernelErrno) {
        fence = channel.makeFence()
        try uvmm.lockResident(exec)
    }

    override func armedSubmit(_ exec: DRMExec.Exec, _ fence: Fence) {
        uvmm.vm.addFence(exec, fence, private: .write, external: .write)
        exec.finish()
    }

    override func run() throws(KernelErrno) -> Fence? {
        let fence = fence!
        try channel.emit(pushes, fence)
        return fence
    }

    override func timeout() { channel.kill() }
}
