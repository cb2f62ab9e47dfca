internal import KernelErrno
internal import NouveauUAPI

extension DeviceFile {
    /// EXEC: everything is checked, the pushes are counted and done at once.
    func exec(_ a: Argument) throws(KernelErrno) {
        let call = Exec(a)
        guard uvmm != nil else { throw .ENOSYS }
        guard channel(call.channel) != nil else { throw .ENOENT }
        let arrays = try call.arrays(userMemory)
        let signals = try resolve(waits: arrays.waits, signals: arrays.signals)
        device.statistics.execs += 1
        device.statistics.pushes += arrays.pushes.count
        device.statistics.pushBytes += arrays.pushes.reduce(0) { $0 + Int($1.length) }
        signals.signal()
    }
}
