internal import GPUVM
internal import KernelErrno
internal import NouveauUAPI

extension DeviceFile {
    /// VM_BIND: the job's three phases follow each other at once, for asynchronous calls too.
    func vmBind(_ a: Argument) throws(KernelErrno) {
        guard let uvmm else { throw .ENOSYS }
        let call = try VMBind(a, userMemory)
        let signals = try resolve(waits: call.waits, signals: call.signals)
        uvmm.bindCount += 1
        let job = BindJob(uvmm, sequence: uvmm.bindCount)
        try job.submit(call.ops, objects)
        job.run()
        job.cleanUp()
        device.count(call.ops)
        signals.signal()
    }
}

extension Device {
    fileprivate func count(_ ops: [BindOp]) {
        statistics.binds += 1
        for op in ops {
            switch op.kind {
            case .map: statistics.maps += 1
            case .unmap: statistics.unmaps += 1
            case .mapSparse: statistics.sparseMaps += 1
            case .unmapSparse: statistics.sparseUnmaps += 1
            case nil: break
            }
        }
    }
}

extension UVMM {
    /// The checks made of each operation before anything is changed (uapi.md 6.2, 7a); gives a map its object.
    func validate(_ op: BindOp, _ objects: HandleTable<BufferObject>) throws(KernelErrno) -> BufferObject? {
        var object: BufferObject?
        if op.kind == .map {
            guard let found = objects[op.handle] else { throw .ENOENT }
            guard op.boOffset & 4095 == 0, op.boOffset < found.size, op.range <= found.size - op.boOffset else {
                throw .EINVAL
            }
            object = found
        }
        // A range of 0 splits mappings in the kernel (deviation ZERO-RANGE).
        guard op.addr & 4095 == 0, op.range & 4095 == 0, op.range > 0, space.isValid(op.addr, op.range) else {
            throw .EINVAL
        }
        return object
    }

    /// The checks against the sparse regions there are before the call (7b). Removals are never pending between
    /// calls, so nothing has to be waited for.
    func validateRegion(_ op: BindOp) throws(KernelErrno) {
        guard op.kind == .map || op.kind == .mapSparse, let region = sparse.first(overlapping: op.addr, op.range) else {
            return
        }
        guard op.kind == .map, region.encloses(op.addr, op.range) else { throw .ENOSPC }
    }
}
