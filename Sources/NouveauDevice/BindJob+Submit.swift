internal import GPUVM
internal import KernelErrno
internal import NVMMU
internal import NouveauUAPI

extension BindJob {
    /// Validates all operations, then applies them in order. A call that fails leaves everything as it was.
    /// - Throws: see uapi.md 6.2, steps 7 to 9.
    mutating func submit(_ ops: [BindOp], _ objects: HandleTable<GEMObject>) throws(KernelErrno) {
        var pairs: [PairID?] = []
        pairs.reserveCapacity(ops.count)
        uvmm.tables.beginBatch()
        do throws(KernelErrno) {
            for op in ops {
                let object = try uvmm.validate(op, objects)
                if let object { pairs.append(try uvmm.pair(for: object)) } else { pairs.append(nil) }
            }
            for op in ops { try uvmm.validateRegion(op) }
            for (op, pair) in zip(ops, pairs) { try submit(op, pair) }
            try checkResidency(pairs)
            uvmm.tables.endBatch()
        } catch {
            // Tables freed in the batch have to be back before anything is taken again.
            uvmm.tables.endBatch()
            rollBack()
            for case let pair? in pairs { uvmm.releaseIfUnmapped(pair) }
            throw error
        }
    }

    private mutating func submit(_ op: BindOp, _ pair: PairID?) throws(KernelErrno) {
        switch op.kind {
        case .map: try map(op, pair!)
        case .unmap: try unmap(op.addr, op.range)
        case .mapSparse: try mapSparse(op.addr, op.range)
        case .unmapSparse: try unmapSparse(op.addr, op.range)
        case nil: throw .EINVAL
        }
    }

    /// Objects have to be in memory that the GPU sees.
    private func checkResidency(_ pairs: [PairID?]) throws(KernelErrno) {
        for case let pair? in pairs where uvmm.object(of: pair)?.placement.location == .system { throw .EINVAL }
    }
}

// MARK: - Map

extension BindJob {
    private mutating func map(_ op: BindOp, _ pair: PairID) throws(KernelErrno) {
        let region = uvmm.sparse.first(overlapping: op.addr, op.range)
        if let region {
            guard !region.isDirty else { throw .EINVAL }
            guard region.encloses(op.addr, op.range) else { throw .ENOSPC }
        }
        let first = list.count
        try execute(.map(addr: op.addr, range: op.range, pair: pair, offset: op.boOffset))
        let victims = first..<list.count - 1
        guard case .map(_, _, _, _, let id?) = list[list.count - 1] else { preconditionFailure("a map ends its ops") }

        let object = uvmm.object(of: pair)!
        let shift = smallestPage(
            op.addr, op.range, victims, uvmm.pageSizes.mappingShift(op.addr, op.range, op.boOffset, of: object))
        uvmm.setState(
            of: id, MappingState(kind: op.pteKind, pageShift: shift, inRegion: region != nil, bind: sequence))
        made.append(id)
        for i in victims { try removeVictim(list[i], shift: shift) }
        try demoteClears(op.addr, op.range, to: shift)
        try takeReferences(op.addr, op.range, victims, shift)
    }

    /// The page size for a new mapping that could have `shift`: not larger than of anything it replaces, nor of what
    /// was unmapped there by this job and still has its references.
    private func smallestPage(_ addr: UInt64, _ range: UInt64, _ victims: Range<Int>, _ shift: Int) -> Int {
        var shift = shift
        for i in victims { shift = min(shift, pageShift(after: list[i])) }
        guard clearShifts & ~(1 << UInt64(shift)) != 0 else { return shift }
        for clear in clears where !clear.isRetired && clear.addr < addr + range && addr < clear.addr + clear.range {
            shift = min(shift, uvmm.state(of: clear.victim.id).pageShift)
        }
        return shift
    }

    /// References for the parts that inherit none from a victim.
    private mutating func takeReferences(
        _ addr: UInt64, _ range: UInt64, _ victims: Range<Int>, _ shift: Int
    ) throws(KernelErrno) {
        var next = addr
        for i in victims {
            let victim = list[i].mapping
            if victim.addr > next { try get(next, victim.addr - next, shift) }
            next = min(victim.end, addr + range)
        }
        if next < addr + range { try get(next, addr + range - next, shift) }
    }
}

// MARK: - Unmap

extension BindJob {
    private mutating func unmap(_ addr: UInt64, _ range: UInt64) throws(KernelErrno) {
        let first = list.count
        try execute(.unmap(addr: addr, range: range))
        for i in first..<list.count {
            let operation = list[i]
            try removeVictim(operation, shift: pageShift(after: operation))
            let victim = operation.mapping
            let hole = operation.hole
            clears.append(Clear(victim: victim, addr: hole.addr, range: hole.range))
            clearShifts |= 1 << UInt64(uvmm.state(of: victim.id).pageShift)
        }
    }

    /// The largest page size at which what is left of a victim can be mapped.
    private func pageShift(after operation: Operation) -> Int {
        let victim = operation.mapping
        let shift = uvmm.state(of: victim.id).pageShift
        guard shift > 12, case .remap(_, let prev, let next, _) = operation,
            let object = victim.pair.flatMap({ uvmm.object(of: $0) })
        else { return shift }
        return [prev, next].compactMap { $0 }.reduce(shift) {
            min($0, uvmm.pageSizes.mappingShift($1.addr, $1.range, $1.offset, of: object))
        }
    }

    /// Settles what the space already did to a victim: its pages are made small enough, its pieces follow it.
    private mutating func removeVictim(_ operation: Operation, shift: Int) throws(KernelErrno) {
        let victim = operation.mapping
        if uvmm.state(of: victim.id).pageShift > shift {
            try demote(victim, victim.addr, victim.range, to: shift)
        }
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

extension Operation {
    /// The victim of an unmap or remap.
    fileprivate var mapping: Mapping {
        switch self {
        case .unmap(let victim, _), .remap(let victim, _, _, _): victim
        default: preconditionFailure("only unmaps and remaps have a victim")
        }
    }

    /// What goes of the victim.
    fileprivate var hole: (addr: UInt64, range: UInt64) {
        guard case .remap(let victim, let prev, let next, _) = self else { return (mapping.addr, mapping.range) }
        let start = prev.map { $0.addr + $0.range } ?? victim.addr
        return (start, (next?.addr ?? victim.end) - start)
    }
}

// MARK: - Sparse regions

extension BindJob {
    private mutating func mapSparse(_ addr: UInt64, _ range: UInt64) throws(KernelErrno) {
        guard uvmm.space.isEmpty(addr, range) else { throw .ENOSPC }
        guard uvmm.sparse.first(overlapping: addr, range) == nil else { throw .EEXIST }
        retire(addr, range)
        try uvmm.tables.getSparse(addr, range)
        let region = SparseRegion(addr: addr, range: range)
        uvmm.sparse.insert(region)
        undo.append(.region(region))
    }

    private mutating func unmapSparse(_ addr: UInt64, _ range: UInt64) throws(KernelErrno) {
        guard let region = uvmm.sparse.find(addr, range), !region.isDirty else { throw .ENOENT }
        try unmap(addr, range)
        uvmm.sparse.setDirty(addr, true)
        undo.append(.dirty(addr: addr))
        removedRegions.append(region)
    }

    /// Makes room for a new region: what this job unmapped there loses entries and references now, since the tables
    /// cannot make an address sparse that has other references, and running the unmap later must not clear the
    /// region's entries. (The kernel overwrites the entries of what is unmapped at this point, too.)
    private mutating func retire(_ addr: UInt64, _ range: UInt64) {
        for (i, clear) in clears.enumerated()
        where !clear.isRetired && clear.addr < addr + range && addr < clear.addr + clear.range {
            let state = uvmm.state(of: clear.victim.id)
            uvmm.clear(clear.addr, clear.range, state)
            uvmm.put(clear.addr, clear.range, state.pageShift)
            clears[i].isRetired = true
            undo.append(.retired(i))
        }
        for (i, demotion) in demotions.enumerated()
        where !demotion.isSettled && demotion.addr < addr + range && addr < demotion.addr + demotion.range {
            uvmm.put(demotion.addr, demotion.range, demotion.from)
            demotions[i].isSettled = true
            undo.append(.settled(i))
        }
    }
}

// MARK: - References and page sizes

extension BindJob {
    private mutating func execute(_ request: GPUVM.Request) throws(KernelErrno) {
        let first = list.count
        try uvmm.space.execute(request, into: &list)
        undo.append(.space(from: first))
    }

    private mutating func get(_ addr: UInt64, _ range: UInt64, _ shift: Int) throws(KernelErrno) {
        try uvmm.tables.get(addr, range, shift: shift)
        undo.append(.references(addr: addr, range: range, shift: shift))
    }

    /// Gives `[addr, addr + range)` of a mapping smaller pages, with the translation it has.
    private mutating func demote(
        _ mapping: Mapping, _ addr: UInt64, _ range: UInt64, to shift: Int
    ) throws(KernelErrno) {
        var state = uvmm.state(of: mapping.id)
        try uvmm.tables.get(addr, range, shift: shift)
        if state.bind != sequence { uvmm.write(mapping, addr: addr, range: range, shift: shift) }
        undo.append(.demotion(demotions.count))
        demotions.append(Demotion(mapping: mapping, addr: addr, range: range, from: state.pageShift, to: shift))
        state.pageShift = shift
        uvmm.setState(of: mapping.id, state)
    }

    /// Demotes what this job unmapped in a range and what has larger pages than the new mapping there.
    private mutating func demoteClears(_ addr: UInt64, _ range: UInt64, to shift: Int) throws(KernelErrno) {
        guard clearShifts >> UInt64(shift + 1) != 0 else { return }
        for clear in clears
        where !clear.isRetired && clear.addr < addr + range && addr < clear.addr + clear.range
            && uvmm.state(of: clear.victim.id).pageShift > shift
        {
            try demote(clear.victim, clear.addr, clear.range, to: shift)
            clearShifts |= 1 << UInt64(shift)
        }
    }
}

// MARK: - Undo

extension BindJob {
    /// Takes everything back, youngest first. What is taken again was given back in this call, so it is there.
    private mutating func rollBack() {
        while let step = undo.popLast() {
            switch step {
            case .space(let first):
                uvmm.space.revert(&list, from: first)
            case .references(let addr, let range, let shift):
                uvmm.put(addr, range, shift)
            case .demotion(let i):
                promote(demotions[i])
            case .retired(let i):
                let clear = clears[i]
                let state = uvmm.state(of: clear.victim.id)
                try? uvmm.tables.get(clear.addr, clear.range, shift: state.pageShift)
                restore(clear.victim, clear.addr, clear.range, state)
            case .settled(let i):
                let demotion = demotions[i]
                try? uvmm.tables.get(demotion.addr, demotion.range, shift: demotion.from)
            case .region(let region):
                uvmm.sparse.remove(region.addr)
                uvmm.putSparse(region)
            case .dirty(let addr):
                uvmm.sparse.setDirty(addr, false)
            }
        }
    }

    private func promote(_ demotion: Demotion) {
        uvmm.put(demotion.addr, demotion.range, demotion.to)
        var state = uvmm.state(of: demotion.mapping.id)
        state.pageShift = demotion.from
        uvmm.setState(of: demotion.mapping.id, state)
        restore(demotion.mapping, demotion.addr, demotion.range, state)
    }

    /// Entries only stood there if the mapping is older than this job.
    private func restore(_ mapping: Mapping, _ addr: UInt64, _ range: UInt64, _ state: MappingState) {
        guard state.bind != sequence else { return }
        uvmm.write(mapping, addr: addr, range: range, shift: state.pageShift)
    }
}
