package import CGPUVM
public import KernelErrno

/// A request to change an address space.
public enum Request: Hashable, Sendable {
    case map(addr: UInt64, range: UInt64, pair: PairID?, offset: UInt64)
    case unmap(addr: UInt64, range: UInt64)
    /// The kernel's madvise flavour of map: splits only mappings without an object.
    case madvise(addr: UInt64, range: UInt64, pair: PairID?, offset: UInt64)

    var c: gpuvm_req {
        switch self {
        case .map(let addr, let range, let pair, let offset):
            gpuvm_req(
                addr: addr, range: range, offset: offset, bo: pair?.rawValue ?? 0, kind: GPUVM_REQ_MAP.rawValue)
        case .unmap(let addr, let range):
            gpuvm_req(addr: addr, range: range, offset: 0, bo: 0, kind: GPUVM_REQ_UNMAP.rawValue)
        case .madvise(let addr, let range, let pair, let offset):
            gpuvm_req(
                addr: addr, range: range, offset: offset, bo: pair?.rawValue ?? 0, kind: GPUVM_REQ_MADVISE.rawValue)
        }
    }
}

// MARK: - Op lists

extension AddressSpace {
    /// Asks what a request would do. Replaces what the dry list holds.
    /// - Throws: `EINVAL` for an invalid range, `ENOENT` for an unknown pair, `ENOMEM`.
    public mutating func ask(_ request: Request, into list: inout OperationList) throws(KernelErrno) {
        var req = request.c
        try KernelErrno.check(gpuvm_sm_ops(vm, &req, &list.ops))
    }

    /// One prefetch per mapping that intersects, the reserved one included; no range check.
    public mutating func askPrefetch(
        _ addr: UInt64, _ range: UInt64, into list: inout OperationList
    ) throws(KernelErrno) {
        try KernelErrno.check(gpuvm_prefetch_ops(vm, addr, range, &list.ops))
    }

    /// One unmap per mapping of the pair, in link order.
    public mutating func askUnmap(of pair: PairID, into list: inout OperationList) throws(KernelErrno) {
        try KernelErrno.check(gpuvm_bo_unmap_ops(vm, pair.rawValue, &list.ops))
    }

    /// Applies a dry list; nothing may have changed the space since it was asked for. All or nothing.
    /// - Throws: `EINVAL` (a zero range is never applied), `ENOMEM`.
    public mutating func apply(_ list: inout OperationList) throws(KernelErrno) {
        try KernelErrno.check(gpuvm_ops_apply(vm, &list.ops))
    }

    /// Carries out a request and appends what it did to the list.
    /// - Throws: `EINVAL` for an invalid or zero range, `ENOENT` for an unknown pair, `ENOMEM`.
    public mutating func execute(_ request: Request, into list: inout OperationList) throws(KernelErrno) {
        var req = request.c
        try KernelErrno.check(gpuvm_exec(vm, &req, 1, &list.ops, nil))
    }

    /// Carries out many requests as one: all, or none if one fails. Throws as for one.
    package mutating func execute(
        _ requests: UnsafeBufferPointer<gpuvm_req>, into list: inout OperationList
    ) throws(KernelErrno) {
        try KernelErrno.check(gpuvm_exec(vm, requests.baseAddress, requests.count, &list.ops, nil))
    }

    /// Undoes the list's operations from `index` on, last first. Only the youngest applied list may be reverted.
    public mutating func revert(_ list: inout OperationList, from index: Int = 0) {
        gpuvm_ops_revert(vm, &list.ops, index)
    }

    /// Lets the list's victims go and empties it.
    public mutating func commit(_ list: inout OperationList) {
        gpuvm_ops_commit(vm, &list.ops)
    }
}

// MARK: - Steps

extension AddressSpace {
    /// Carries out a request step by step: `step` is called before each operation is applied; when it throws, that
    /// operation is not applied and the ones before it stay (`drm_gpuvm_sm_map`, `drm_gpuvm_sm_unmap`).
    public mutating func execute(
        _ request: Request, step: (Operation) throws(KernelErrno) -> Void
    ) throws(KernelErrno) {
        var req = request.c
        var steps = gpuvm_steps(map: callStep, remap: callStep, unmap: callStep)
        let vm = vm
        let result = withoutActuallyEscaping(step) { step in
            withUnsafePointer(to: StepContext(step: step)) { context in
                let priv = UnsafeMutableRawPointer(mutating: context)
                return req.kind == GPUVM_REQ_UNMAP.rawValue
                    ? gpuvm_sm_unmap(vm, req.addr, req.range, &steps, priv)
                    : gpuvm_sm_map(vm, &req, &steps, priv)
            }
        }
        try KernelErrno.check(result)
    }
}

private struct StepContext {
    let step: (Operation) throws(KernelErrno) -> Void
}

private func callStep(_ priv: UnsafeMutableRawPointer?, _ op: UnsafePointer<gpuvm_op>?) -> Int32 {
    let context = priv!.assumingMemoryBound(to: StepContext.self)
    do throws(KernelErrno) {
        try context.pointee.step(Operation(op!.pointee))
        return 0
    } catch {
        return -error.rawValue
    }
}
