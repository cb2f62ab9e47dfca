internal import DRMExec
internal import GPUVM
internal import KernelErrno

// Where the objects of a space are.
extension UVMM {
    /// Locks the space's own and all external objects, all of them where they may lie, for an EXEC that uses them now.
    /// - Throws: `ENOMEM`, `ERESTARTSYS`; nothing is locked then.
    func lockResident(_ exec: Exec) throws(KernelErrno) {
        let isComplete = try mutex.withLock { () throws(KernelErrno) in
            try lockAll(exec)
            return !vm.hasEvicted
        }
        if !isComplete {
            exec.finish()
            try evictor.run { () throws(KernelErrno) in
                try mutex.withLock { () throws(KernelErrno) in try lockAndValidate(exec) }
            }
        }
        markUsed(exec)
    }

    private func lockAll(_ exec: Exec) throws(KernelErrno) {
        try vm.execLock(exec, .ignoreDuplicates, fences: 1)
    }

    private func lockAndValidate(_ exec: Exec) throws(KernelErrno) {
        try lockAll(exec)
        do throws(KernelErrno) { try vm.validate(exec) } catch {
            exec.finish()
            throw error
        }
    }

    private func markUsed(_ exec: Exec) {
        let use = evictor.memory.nextUse()
        lastUse.set(use)
        exec.forEachObject {
            if $0 !== vm.resvObject { unsafeDowncast($0, to: BufferObject.self).markUsed(use) }
        }
    }

    /// Has objects of pairs that are about to be mapped lie where they may. Nothing is locked.
    /// - Returns: what is in the way: `ENOMEM`, `ERESTARTSYS`.
    func makeResident(_ pairs: UnsafeBufferPointer<Unmanaged<VMBO>>, _ exec: Exec) -> KernelErrno? {
        let use = evictor.memory.nextUse()
        var away: [BufferObject] = []
        for pair in pairs {
            BufferObject.of(pair)._withUnsafeGuaranteedRef { object in
                object.markUsed(use)
                if !object.isResident { away.append(object) }
            }
        }
        guard !away.isEmpty else { return nil }
        do throws(KernelErrno) {
            try evictor.run { () throws(KernelErrno) in
                defer { exec.finish() }
                try exec.run(.ignoreDuplicates) { exec throws(KernelErrno) in
                    for object in away { try exec.lock(object) }
                }
                for object in away { try evictor.makeResident(object, for: EvictionContext(exec: exec)) }
            }
            return nil
        } catch {
            return error
        }
    }

    /// Clears the entries of all mappings of a pair. With the mutex and the object's reservation.
    func clearMappings(of pair: VMBO) {
        changeTables { pair.forEachMapping { clear(entries($0)) } }
    }

    /// Writes them, where the object lies now.
    func writeMappings(of pair: VMBO) {
        changeTables { pair.forEachMapping { [entries($0)].withUnsafeBufferPointer(write) } }
    }
}

extension UVMM {
    final class Driver: ValidatingVMDriver, @unchecked Sendable {
        /// Set once; alive as long as there are pairs. (A weak reference would make all counting of it slow.)
        @exclusivity(unchecked) unowned(unsafe) var uvmm: UVMM!

        func free(_ vm: VM) {}

        func validate(_ vmBO: VMBO, _ exec: Exec) throws(KernelErrno) {
            let uvmm: UVMM = uvmm
            let object = unsafeDowncast(vmBO.object, to: BufferObject.self)
            try uvmm.evictor.makeResident(object, for: EvictionContext(exec: exec, space: uvmm))
        }
    }
}

extension VMBO {
    /// The space that it is a pair of.
    var uvmm: UVMM { unsafeDowncast(vm.driver, to: UVMM.Driver.self).uvmm }
}
