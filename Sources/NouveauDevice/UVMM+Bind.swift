internal import KernelErrno
internal import NouveauUAPI

extension DeviceFile {
    /// VM_BIND.
    func vmBind(_ a: Argument) throws(KernelErrno) {
        mutex.lock()
        let uvmm = uvmm
        mutex.unlock()
        guard let uvmm else { throw .ENOSYS }
        let call = try VMBind(a, userMemory)
        let job = try BindJob(uvmm, binds, self, call.ops)
        try submit(job, to: binds, isSync: !call.isAsync, waits: call.waits, signals: call.signals)
        device.count(call.ops)
    }
}

extension Device {
    fileprivate func count(_ ops: [BindOp]) {
        count {
            $0.binds += 1
            for op in ops {
                switch op.kind {
                case .map: $0.maps += 1
                case .unmap: $0.unmaps += 1
                case .mapSparse: $0.sparseMaps += 1
                case .unmapSparse: $0.sparseUnmaps += 1
                case nil: break
                }
            }
        }
    }
}
