internal import KernelErrno
internal import NouveauUAPI

extension DeviceFile {
    /// EXEC (uapi.md 7).
    func exec(_ a: Argument) throws(KernelErrno) {
        let call = Exec(a)
        guard let uvmm else { throw .ENOSYS }
        guard let channel = channel(call.channel) else { throw .ENOENT }
        guard !channel.isKilled else { throw .ENODEV }
        let arrays = try call.arrays(userMemory)
        // With an address space all channels have one.
        let jobs = channel.jobs!
        let job = ExecJob(channel, jobs, uvmm, arrays.pushes)
        try submit(job, to: jobs, waits: arrays.waits, signals: arrays.signals)
        device.count {
            $0.execs += 1
            $0.pushes += arrays.pushes.count
            $0.pushBytes += arrays.pushes.reduce(0) { $0 + Int($1.length) }
        }
    }
}
