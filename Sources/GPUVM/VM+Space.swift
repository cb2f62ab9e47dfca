package import CGPUVM
public import KernelErrno

// The space's calls, with the references that mappings hold. All with the space serialised. Where mappings with an
// object are linked or unlinked the object's reservation is held, but in immediate mode.
extension VMBO {
    /// Its number in the space, given at the first call and kept until it dies.
    /// - Throws: `ENOMEM`.
    public func pair() throws(KernelErrno) -> PairID {
        if memory.pointee.pair == GPUVM_BO_NONE {
            vm.buryDead()
            memory.pointee.pair = try vm.space.makePair(cookie: UInt64(UInt(bitPattern: memory))).rawValue
        }
        return PairID(rawValue: memory.pointee.pair)
    }

    /// Calls `body` for the mappings linked to it, in link order. With the object's list lock held.
    public func forEachMapping(_ body: (Mapping) -> Void) {
        assertObjectListHeld()
        guard memory.pointee.pair != GPUVM_BO_NONE else { return }
        vm.space.forEachLinked(PairID(rawValue: memory.pointee.pair), body)
    }
}

extension VM {
    /// Whose number it is. `nil`: nobody's, or the pair is dead.
    public func vmBO(of pair: PairID?) -> VMBO? {
        pair.flatMap { unmanagedVMBO($0.rawValue) }?.takeUnretainedValue()
    }

    /// The object of a pair that is alive; not retained.
    public func object(of pair: PairID) -> Unmanaged<MappableObject> {
        unmanagedVMBO(pair.rawValue)!._withUnsafeGuaranteedRef { .passUnretained($0.object) }
    }

    private func unmanagedVMBO(_ pair: gpuvm_bo) -> Unmanaged<VMBO>? {
        UnsafePointer<PairMemory>(bitPattern: UInt(gpuvm_bo_cookie(core, pair)))?.pointee.owner
    }

    func linkCount(_ vmBO: VMBO) -> Int { gpuvm_bo_count(core, vmBO.memory.pointee.pair) }

    // MARK: Single mappings

    /// As ``AddressSpace/insert(_:_:pair:offset:)`` (`drm_gpuva_insert`, `drm_gpuva_link`).
    @discardableResult
    public func insert(
        _ addr: UInt64, _ range: UInt64, vmBO: VMBO?, offset: UInt64
    ) throws(KernelErrno) -> MappingID {
        let id = try space.insert(addr, range, pair: try vmBO?.pair(), offset: offset)
        touch(vmBO?.memory.pointee.pair ?? GPUVM_BO_NONE)
        settleLinks()
        return id
    }

    /// As ``AddressSpace/remove(_:)`` (`drm_gpuva_remove`, `drm_gpuva_unlink` or `drm_gpuva_unlink_defer`).
    public func remove(_ id: MappingID) throws(KernelErrno) {
        let pair = space.mapping(id)?.pair
        try space.remove(id)
        touch(pair?.rawValue ?? GPUVM_BO_NONE)
        settleLinks()
    }

    // MARK: Lists of operations

    /// As ``AddressSpace/ask(_:into:)``.
    public func ask(_ request: Request, into list: inout OperationList) throws(KernelErrno) {
        try space.ask(request, into: &list)
    }

    /// As ``AddressSpace/askPrefetch(_:_:into:)``.
    public func askPrefetch(_ addr: UInt64, _ range: UInt64, into list: inout OperationList) throws(KernelErrno) {
        try space.askPrefetch(addr, range, into: &list)
    }

    /// One unmap for each mapping of the pair, in link order (`drm_gpuvm_bo_unmap_ops_create`). With the object's list
    /// lock held.
    /// - Throws: `ENOMEM`.
    public func askUnmap(of vmBO: VMBO, into list: inout OperationList) throws(KernelErrno) {
        vmBO.assertObjectListHeld()
        try space.askUnmap(of: try vmBO.pair(), into: &list)
    }

    /// As ``AddressSpace/apply(_:)``. What is unlinked keeps its references until ``settleLinks()`` or
    /// ``commit(_:)``.
    public func apply(_ list: inout OperationList) throws(KernelErrno) {
        try space.apply(&list)
        touchAll(list, from: 0)
    }

    /// As ``AddressSpace/execute(_:into:)``. What is unlinked keeps its references until ``settleLinks()`` or
    /// ``commit(_:)``.
    public func execute(_ request: Request, into list: inout OperationList) throws(KernelErrno) {
        let before = list.isApplied ? list.count : 0
        try space.execute(request, into: &list)
        touchAll(list, from: before)
    }

    /// The same for many requests, as one.
    package func execute(
        _ requests: UnsafeBufferPointer<gpuvm_req>, into list: inout OperationList
    ) throws(KernelErrno) {
        let before = list.isApplied ? list.count : 0
        try space.execute(requests, into: &list)
        touchAll(list, from: before)
    }

    /// As ``AddressSpace/revert(_:from:)``, before the links are settled. Links are then as they were: no reservation
    /// need be held where the caller has references on the pairs that it mapped.
    public func revert(_ list: inout OperationList, from index: Int = 0) {
        space.revert(&list, from: index)
        settle(isReverted: true)
    }

    /// As ``AddressSpace/commit(_:)``; settles the links.
    public func commit(_ list: inout OperationList) {
        space.commit(&list)
        settleLinks()
        buryDead()
    }

    /// As ``AddressSpace/execute(_:step:)``; settles the links.
    public func execute(
        _ request: Request, step: (Operation) throws(KernelErrno) -> Void
    ) throws(KernelErrno) {
        defer { settleLinks() }
        touch(request.c.bo)
        try space.execute(request) { operation throws(KernelErrno) in
            switch operation {
            case .unmap(let victim, _), .remap(let victim, _, _, _):
                touch(victim.pair?.rawValue ?? GPUVM_BO_NONE)
            default: break
            }
            try step(operation)
        }
    }

    // MARK: Links and references

    /// The pairs of a list's operations, applied now.
    private func touchAll(_ list: borrowing OperationList, from first: Int) {
        var last = GPUVM_BO_NONE
        for op in list.operations.dropFirst(first) where op.bo != last {
            last = op.bo
            touch(last)
        }
        countMappings()
    }

    /// Mappings of a pair may have been linked or unlinked, or will be before ``settleLinks()``. What is linked now gets
    /// its reference now.
    private func touch(_ pair: gpuvm_bo) {
        guard pair != GPUVM_BO_NONE, let vmBO = unmanagedVMBO(pair) else { return }
        vmBO._withUnsafeGuaranteedRef {
            if !$0.isLinked, gpuvm_bo_count(core, pair) > 0 {
                $0.isLinked = true
                $0.get()
            }
            guard !$0.isTouched else { return }
            $0.isTouched = true
            $0.nextTouched = touched
            touched = vmBO
        }
    }

    /// Mappings came into an empty space.
    private func countMappings() {
        guard !hasMappings, gpuvm_count(core) > 0 else { return }
        hasMappings = true
        get()
    }

    /// Drops the references of what was unlinked since the last call: a pair may die of it. Applied lists can no longer
    /// be reverted then, but need not be committed yet: so a driver unlinks when a job is submitted, with all locks held,
    /// and frees what was unmapped when it is done.
    public func settleLinks() { settle(isReverted: false) }

    private func settle(isReverted: Bool) {
        while let vmBO = touched {
            let isLetGo = vmBO._withUnsafeGuaranteedRef { settle($0, isReverted: isReverted) }
            if isLetGo { vmBO.takeUnretainedValue().letGo() }
        }
        countMappings()
        guard hasMappings, gpuvm_count(core) == 0 else { return }
        hasMappings = false
        put()
    }

    /// - Returns: whether its mappings' reference is to be dropped: the last one went.
    private func settle(_ vmBO: VMBO, isReverted: Bool) -> Bool {
        touched = vmBO.nextTouched
        vmBO.isTouched = false
        if !isReverted, !flags.contains(.immediateMode) { vmBO.object.reservation.lock.assertHeld() }
        let isLinked = linkCount(vmBO) > 0
        guard isLinked != vmBO.isLinked else { return false }
        vmBO.isLinked = isLinked
        if isLinked { vmBO.get() }
        return !isLinked
    }
}
