internal import CGPUVM
public import DRMExec
public import DRMSync
public import KernelErrno

// In the body of a run: each locks, and with `fences` above 0 also reserves that many slots.
extension VM {
    /// Locks the VM's reservation (`drm_gpuvm_prepare_vm`).
    public func prepareVM(_ exec: Exec, fences: Int) throws(KernelErrno) {
        try prepare(resvObject, exec, fences)
    }

    /// Locks all external objects, in the order of their list, up to the first error (`drm_gpuvm_prepare_objects`).
    /// Where the VM's reservation guards the lists it is held, and evicted objects get onto their list here. Otherwise
    /// nobody else may iterate at the same time, and nobody may drop the last reference of a pair meanwhile but with
    /// the object's list lock held until this is over: holding a lock of the driver's own around either sees to both.
    public func prepareObjects(_ exec: Exec, fences: Int) throws(KernelErrno) {
        // A pair keeps its object, and does not end while it is locked; but in immediate mode.
        let isKept = flags.contains(.immediateMode)
        guard flags.contains(.resvProtected) else {
            return try external.forEach(overlapped: { onWarning("external objects are iterated twice at once") }) {
                vmBO throws(KernelErrno) in
                try prepare(vmBO.object, exec, fences, isKept: isKept)
            }
        }
        try external.forEachInPlace { vmBO throws(KernelErrno) in
            try prepare(vmBO.object, exec, fences, isKept: isKept)
            if vmBO.isEvicted { evicted.add(vmBO.evictedNode) }
        }
    }

    /// Locks the objects of all mappings that intersect the range; not the VM's reservation
    /// (`drm_gpuvm_prepare_range`). With the space serialised; to be run with `ignoreDuplicates`.
    public func prepareRange(
        _ exec: Exec, _ addr: UInt64, _ range: UInt64, fences: Int
    ) throws(KernelErrno) {
        // For the iterator that is the whole space.
        if addr == 0, range == 0 { return }
        var it = gpuvm_iter()
        var mapping = gpuvm_mapping()
        gpuvm_iter_init(&it, core, addr, range)
        while gpuvm_iter_next(&it, &mapping) {
            if let vmBO = vmBO(of: PairID(mapping.bo)) { try prepare(vmBO.object, exec, fences) }
        }
    }

    /// Locks what mapping would change: the new object, with slots, then those of the mappings it cuts or replaces
    /// (`drm_gpuvm_sm_map_exec_lock`). With the space serialised; to be run with `ignoreDuplicates`, for all requests
    /// of a call before the first is carried out.
    /// - Throws: `EINVAL` for an invalid range, and what locking throws.
    public func smMapExecLock(
        _ exec: Exec, fences: Int, _ addr: UInt64, _ range: UInt64, object: MappableObject?
    ) throws(KernelErrno) {
        if let object { try prepare(object, exec, fences) }
        try lockVictims(exec, .map(addr: addr, range: range, pair: nil, offset: 0))
    }

    /// The same for unmapping (`drm_gpuvm_sm_unmap_exec_lock`).
    public func smUnmapExecLock(_ exec: Exec, _ addr: UInt64, _ range: UInt64) throws(KernelErrno) {
        try lockVictims(exec, .unmap(addr: addr, range: range))
    }

    private func lockVictims(_ exec: Exec, _ request: Request) throws(KernelErrno) {
        try space.ask(request, into: &locking)
        for i in 0..<locking.count {
            let op = locking.ops.op[i]
            guard op.kind != UInt8(GPUVM_OP_MAP.rawValue), let vmBO = vmBO(of: PairID(op.bo)) else { continue }
            try exec.lock(vmBO.object)
        }
    }

    private func prepare(
        _ object: GEMObject, _ exec: Exec, _ fences: Int, isKept: Bool = true
    ) throws(KernelErrno) {
        if fences > 0 {
            try exec.prepare(object, fences: fences, isKept: isKept)
        } else {
            try exec.lock(object, isKept: isKept)
        }
    }
}

// Whole runs: they return with the locks held, to be let go with `exec.finish()`, or throw with none.
extension VM {
    /// Locks the VM, its external objects, and what else `extra` asks for (`drm_gpuvm_exec_lock`).
    public func execLock(
        _ exec: Exec, _ flags: Exec.Flags = [], fences: Int,
        extra: ((Exec) throws(KernelErrno) -> Void)? = nil
    ) throws(KernelErrno) {
        try exec.run(flags) { exec throws(KernelErrno) in
            try prepareVM(exec, fences: fences)
            try prepareObjects(exec, fences: fences)
            if let extra { try extra(exec) }
        }
    }

    /// Locks the VM, its external objects, and others (`drm_gpuvm_exec_lock_array`).
    public func execLock(
        _ exec: Exec, _ flags: Exec.Flags = [], fences: Int, objects: [GEMObject]
    ) throws(KernelErrno) {
        try execLock(exec, flags, fences: fences) { exec throws(KernelErrno) in
            for object in objects { try self.prepare(object, exec, fences) }
        }
    }

    /// Locks the objects mapped in a range (`drm_gpuvm_exec_lock_range`). With the space serialised.
    public func execLockRange(
        _ exec: Exec, _ addr: UInt64, _ range: UInt64, _ flags: Exec.Flags = [], fences: Int
    ) throws(KernelErrno) {
        try exec.run(flags) { exec throws(KernelErrno) in
            try prepareRange(exec, addr, range, fences: fences)
        }
    }

    /// Has the driver bring all evicted objects back, in the order of their list, up to the first error
    /// (`drm_gpuvm_validate`). With everything locked. Where the VM's reservation guards the lists an object leaves its
    /// list when it is no longer marked; otherwise only ``VMBO/evict(_:)`` takes it off.
    /// - Throws: `EOPNOTSUPP`: the driver cannot; and what it throws.
    public func validate(_ exec: Exec) throws(KernelErrno) {
        guard let validator else { throw .EOPNOTSUPP }
        let isProtected = flags.contains(.resvProtected)
        try evicted.forEach(overlapped: { onWarning("evicted objects are iterated twice at once") }) {
            vmBO throws(KernelErrno) in
            try validator.validate(vmBO, exec)
            if isProtected, !vmBO.isEvicted { evicted.remove(vmBO.evictedNode) }
        }
    }

    /// Adds a fence to everything locked (`drm_gpuvm_resv_add_fence`). Slots are reserved.
    public func addFence(
        _ exec: Exec, _ fence: Fence, private: ReservationUsage, external: ReservationUsage
    ) {
        exec.forEachObject { $0.reservation.add(fence, isExternal($0) ? external : `private`) }
    }
}
