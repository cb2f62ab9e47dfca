internal import GPUVM
internal import KernelErrno
internal import NVMMU
internal import NouveauUAPI

extension BindJob {
    /// Validates all operations, then applies them in order. A call that fails leaves everything as it was.
    /// - Throws: see uapi.md 6.2, steps 7 to 9.
    func submit(_ ops: [BindOp], _ objects: HandleTable<BufferObject>) throws(KernelErrno) {
        var targets: [Target?] = []
        targets.reserveCapacity(ops.count)
        uvmm.tables.beginBatch()
        do throws(KernelErrno) {
            for op in ops { targets.append(try target(of: op, objects)) }
            for op in ops { try uvmm.validateRegion(op) }
            for (op, target) in zip(ops, targets) { try submit(op, target) }
            // Objects have to be in memory that the GPU sees.
            guard targets.allSatisfy({ $0?.isResident ?? true }) else { throw .EINVAL }
            uvmm.tables.endBatch()
        } catch {
            rollBack()
            uvmm.tables.endBatch()
            for case let target? in targets { uvmm.releaseIfUnmapped(target.pair) }
            throw error
        }
    }

    /// What a map needs to know of its object.
    private struct Target {
        let pair: PairID
        let pageShift: Int
        let isResident: Bool
    }

    private func target(of op: BindOp, _ objects: HandleTable<BufferObject>) throws(KernelErrno) -> Target? {
        guard let object = try uvmm.validate(op, objects) else { return nil }
        return Target(
            pair: try uvmm.pair(for: object),
            pageShift: uvmm.pageSizes.mappingShift(op.addr, op.range, op.boOffset, of: object),
            isResident: object.placement.location != .system)
    }

    private func submit(_ op: BindOp, _ target: Target?) throws(KernelErrno) {
        switch op.kind {
        case .map: try map(op, target!)
        case .unmap: try unmap(op.addr, op.range)
        case .mapSparse: try mapSparse(op.addr, op.range)
        case .unmapSparse: try unmapSparse(op.addr, op.range)
        case nil: throw .EINVAL
        }
    }
}

// MARK: - Map

extension BindJob {
    private func map(_ op: BindOp, _ target: Target) throws(KernelErrno) {
        let region = uvmm.sparse.first(overlapping: op.addr, op.range)
        if let region {
            guard !region.isDirty else { throw .EINVAL }
            guard region.encloses(op.addr, op.range) else { throw .ENOSPC }
        }
        let first = list.count
        try execute(.map(addr: op.addr, range: op.range, pair: target.pair, offset: op.boOffset))
        let victims = first..<list.count - 1
        guard case .map(_, _, _, _, let id?) = list[list.count - 1] else { preconditionFailure("a map ends its ops") }

        let shift = target.pageShift
        uvmm.setState(
            of: id, MappingState(kind: op.pteKind, pageShift: shift, inRegion: region != nil, bind: sequence))
        made.append(id)
        var next = op.addr
        for i in victims {
            let operation = list[i]
            try removeVictim(operation)
            guard uvmm.state(of: operation.victim!.id).pageShift == shift else {
                clear(operation)
                continue
            }
            let inherited = operation.hole!
            if next < inherited.addr { try get(next, inherited.addr - next, shift) }
            next = inherited.addr + inherited.range
        }
        if next < op.addr + op.range { try get(next, op.addr + op.range - next, shift) }
    }
}

// MARK: - Unmap

extension BindJob {
    private func unmap(_ addr: UInt64, _ range: UInt64) throws(KernelErrno) {
        let first = list.count
        try execute(.unmap(addr: addr, range: range))
        for i in first..<list.count {
            let operation = list[i]
            try removeVictim(operation)
            clear(operation)
        }
    }

    private func clear(_ operation: Operation) {
        let hole = operation.hole!
        clears.append(Clear(victim: operation.victim!, addr: hole.addr, range: hole.range))
    }

    /// Settles what the space already did to a victim: its pages are made small enough, its pieces follow it.
    private func removeVictim(_ operation: Operation) throws(KernelErrno) {
        let victim = operation.victim!
        let shift = uvmm.pageShift(after: operation)
        if uvmm.state(of: victim.id).pageShift > shift { try demote(victim, to: shift) }
        var state = uvmm.state(of: victim.id)
        let isOwn = state.bind == sequence
        if case .remap(_, let prev, let next, _) = operation {
            for piece in [prev, next] {
                guard let id = piece?.id else { continue }
                uvmm.setState(of: id, state)
                if isOwn { made.append(id) }
            }
        }
        if isOwn {
            state.isGone = true
            uvmm.setState(of: victim.id, state)
        }
    }
}

extension UVMM {
    /// The largest page size at which what is left of a victim can be mapped.
    fileprivate func pageShift(after operation: Operation) -> Int {
        let victim = operation.victim!
        let shift = state(of: victim.id).pageShift
        guard shift > 12, case .remap(_, let prev, let next, _) = operation, let object = object(behind: victim)
        else { return shift }
        return [prev, next].compactMap { $0 }.reduce(shift) {
            min($0, pageSizes.mappingShift($1.addr, $1.range, $1.offset, of: object))
        }
    }
}

// MARK: - Sparse regions

extension BindJob {
    private func mapSparse(_ addr: UInt64, _ range: UInt64) throws(KernelErrno) {
        guard uvmm.space.isEmpty(addr, range) else { throw .ENOSPC }
        guard uvmm.sparse.first(overlapping: addr, range) == nil else { throw .EEXIST }
        try uvmm.tables.getSparse(addr, range)
        let region = SparseRegion(addr: addr, range: range)
        uvmm.sparse.insert(region)
        undo.append(.region(region))
    }

    private func unmapSparse(_ addr: UInt64, _ range: UInt64) throws(KernelErrno) {
        guard let region = uvmm.sparse.find(addr, range), !region.isDirty else { throw .ENOENT }
        try unmap(addr, range)
        uvmm.sparse.setDirty(addr, true)
        undo.append(.dirty(addr: addr))
        removedRegions.append(region)
    }
}

// MARK: - References and page sizes

extension BindJob {
    private func execute(_ request: GPUVM.Request) throws(KernelErrno) {
        let first = list.count
        try uvmm.space.execute(request, into: &list)
        undo.append(.space(from: first))
    }

    private func get(_ addr: UInt64, _ range: UInt64, _ shift: Int) throws(KernelErrno) {
        try uvmm.tables.get(addr, range, shift: shift)
        undo.append(.references(addr: addr, range: range, shift: shift))
    }

    /// Gives a mapping smaller pages, with the translation it has.
    private func demote(_ mapping: Mapping, to shift: Int) throws(KernelErrno) {
        let demotion = Demotion(mapping: mapping, from: uvmm.state(of: mapping.id).pageShift, to: shift)
        try uvmm.tables.get(mapping.addr, mapping.range, shift: shift)
        undo.append(.demotion(demotion))
        demotions.append(demotion)
        setPageShift(of: mapping, shift)
        // What this job itself mapped has no entries yet.
        if uvmm.state(of: mapping.id).bind != sequence { uvmm.write(mapping) }
    }

    private func setPageShift(of mapping: Mapping, _ shift: Int) {
        var state = uvmm.state(of: mapping.id)
        state.pageShift = shift
        uvmm.setState(of: mapping.id, state)
    }
}

// MARK: - Undo

extension BindJob {
    /// Takes everything back, youngest first. Nothing here needs memory.
    private func rollBack() {
        while let step = undo.popLast() {
            switch step {
            case .space(let first):
                uvmm.space.revert(&list, from: first)
            case .references(let addr, let range, let shift):
                uvmm.put(addr, range, shift)
            case .demotion(let demotion):
                let mapping = demotion.mapping
                uvmm.clear(mapping.addr, mapping.range, uvmm.state(of: mapping.id))
                uvmm.put(mapping.addr, mapping.range, demotion.to)
                setPageShift(of: mapping, demotion.from)
            case .region(let region):
                uvmm.putSparse(region)
            case .dirty(let addr):
                uvmm.sparse.setDirty(addr, false)
            }
        }
        // Taking references of smaller pages took larger ones' entries away.
        for clear in clears { uvmm.rewrite(clear.addr, clear.range) }
        for demotion in demotions { uvmm.rewrite(demotion.mapping.addr, demotion.mapping.range) }
    }
}
