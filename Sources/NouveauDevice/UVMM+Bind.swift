internal import KernelErrno
internal import NouveauUAPI

extension DeviceFile {
    /// VM_BIND.
    func vmBind(_ a: Argument) throws(KernelErrno) {
        mutex.lock()
        let uvmm = uvmm
        mutex.unlock()
        guard let uvmm else { throw .ENOSYS }
        let call = VMBind(a), memory = userMemory, job = BindJob.make(uvmm, self)
        try call.copyOps(memory) { UnsafeMutableRawBufferPointer(job.plan.ops.makeRoom(for: $0)) }
        let syncs = try call.syncs(memory)
        job.begin()
        try submit(job, to: binds, isSync: !call.isAsync, waits: syncs.waits, signals: syncs.signals)
    }
}

/// Operations by kind.
struct BindCounts {
    var maps = 0, unmaps = 0, sparseMaps = 0, sparseUnmaps = 0

    mutating func add(_ kind: BindOp.Kind?) {
        switch kind {
        case .map: maps += 1
        case .unmap: unmaps += 1
        case .mapSparse: sparseMaps += 1
        case .unmapSparse: sparseUnmaps += 1
        case nil: break
        }
    }
}

extension DeviceStatistics {
    mutating func add(_ counts: BindCounts) {
        binds += 1
        maps += counts.maps
        unmaps += counts.unmaps
        sparseMaps += counts.sparseMaps
        sparseUnmaps += counts.sparseUnmaps
    }
}
