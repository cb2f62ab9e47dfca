internal import DRMExec
internal import GPUVM
internal import KernelErrno
internal import NVMMU
internal import NouveauUAPI

extension BindJob {
    /// Validates all operations, then applies them in order.
    /// - Throws: see uapi.md 6.2, steps 7 to 9.
    func submitOperations() throws(KernelErrno) {
        // An EXEC has locked the objects of all pairs that there are while it has the mutex.
        try uvmm.mutex.withLock { () throws(KernelErrno) in try findTargets() }
        try validateRegions()
        let failure = uvmm.makeResident(held.lazy.map(BufferObject.of), jobs.exec)
        uvmm.mutex.lock()
        defer { uvmm.mutex.unlock() }
        do throws(KernelErrno) {
            try uvmm.changeTables { () throws(KernelErrno) in
                made.reserveCapacity(ops.count)
                undo.reserveCapacity(ops.count)
                for i in ops.indices { try apply(ops[i], targets[i]) }
            }
            try lockObjects()
            if let failure {
                jobs.exec.finish()
                throw failure
            }
        } catch {
            rollBack()
            throw error
        }
        uvmm.vm.settleLinks()
        noteEntries()
    }

    private func apply(_ op: BindOp, _ target: Target?) throws(KernelErrno) {
        switch op.kind {
        case .map: try map(op, target!)
        case .unmap: try unmap(op.addr, op.range)
        case .mapSparse: try mapSparse(op.addr, op.range)
        case .unmapSparse: try unmapSparse(op.addr, op.range)
        case nil: throw .EINVAL
        }
    }

    /// Locks all objects that are touched, and makes sure that those to be mapped may be in memory that the GPU sees.
    private func lockObjects() throws(KernelErrno) {
        try jobs.exec.run(.ignoreDuplicates) { exec throws(KernelErrno) in
            for pair in held { try exec.prepare(pair.object, fences: 1) }
            for object in kept { try exec.prepare(object, fences: 1) }
        }
        guard held.allSatisfy({ BufferObject.of($0).validDomains != .cpu }) else {
            jobs.exec.finish()
            throw .EINVAL
        }
    }

    /// What the entries will be, for `run`.
    private func noteEntries() {
        writes.reserveCapacity(made.count)
        for id in made {
            let state = uvmm.state(of: id)
            guard !state.isGone, let mapping = uvmm.vm.space.mapping(id) else { continue }
            if state.bind == sequence {
                writes.append(uvmm.entries(mapping))
            } else {
                rewrites.append(uvmm.entries(mapping))
            }
        }
    }
}

// MARK: - Validation

extension BindJob {
    /// The checks made of each operation before anything is changed (uapi.md 6.2, 7a); gives maps their objects. With
    /// the space's mutex.
    private func findTargets() throws(KernelErrno) {
        targets.reserveCapacity(ops.count)
        var source = Source()
        for op in ops {
            let isMap = op.kind == .map
            if isMap {
                if source.object == nil || op.handle != source.handle { source = try hold(op.handle) }
                guard op.boOffset & 4095 == 0, op.boOffset < source.size, op.range <= source.size - op.boOffset else {
                    throw .EINVAL
                }
            }
            // A range of 0 splits mappings in the kernel (deviation ZERO-RANGE).
            guard op.addr & 4095 == 0, op.range & 4095 == 0, op.range > 0, uvmm.vm.space.isValid(op.addr, op.range)
            else { throw .EINVAL }
            targets.append(isMap ? source.target(of: op, uvmm.pageSizes) : nil)
        }
    }

    /// What the last map was of: the next one is mostly of the same.
    private struct Source {
        var handle: UInt32 = 0
        var object: Unmanaged<BufferObject>?
        var pair = PairID(rawValue: 0)
        var size: UInt64 = 0

        func target(of op: BindOp, _ sizes: [PageSize]) -> Target {
            object!._withUnsafeGuaranteedRef {
                Target(pair: pair, pageShift: sizes.mappingShift(op.addr, op.range, op.boOffset, of: $0))
            }
        }
    }

    /// Keeps the object behind a handle, and its pair, until `free`.
    private func hold(_ handle: UInt32) throws(KernelErrno) -> Source {
        guard let object = file.objects[handle] else { throw .ENOENT }
        let pair = try uvmm.pair(for: object)
        held.append(pair)
        return Source(handle: handle, object: .passUnretained(object), pair: try pair.pair(), size: object.size)
    }

    /// The checks against the sparse regions (7b).
    private func validateRegions() throws(KernelErrno) {
        // Mostly no region is in the way: one look at all.
        let areSettled = uvmm.mutex.withLock { ops.allSatisfy(isSettled) }
        if areSettled { return }
        for op in ops { try validateRegion(op) }
    }

    /// There is nothing to wait for, and no region refuses it.
    private func isSettled(_ op: BindOp) -> Bool {
        guard op.kind == .map else { return op.kind != .mapSparse }
        guard let region = uvmm.sparse.first(overlapping: op.addr, op.range) else { return true }
        return !region.isDirty && region.encloses(op.addr, op.range)
    }

    /// What is about to go is waited for: regions that are dirty, and, for a new region, what unmaps of jobs under way
    /// would clear in it.
    private func validateRegion(_ op: BindOp) throws(KernelErrno) {
        guard op.kind == .map || op.kind == .mapSparse else { return }
        let gate = uvmm.vm.gate
        if op.kind == .mapSparse {
            jobs.waiters.wait(on: gate, "jobs that unmap where a sparse region is to be") {
                !jobs.pending.contains { unsafeDowncast($0, to: BindJob.self).unmaps(op) }
            }
        }
        var region: SparseRegion?
        jobs.waiters.wait(on: gate, "a sparse region that goes") {
            region = uvmm.mutex.withLock { uvmm.sparse.first(overlapping: op.addr, op.range) }
            return !(region?.isDirty ?? false)
        }
        guard let region else { return }
        guard op.kind == .map, region.encloses(op.addr, op.range) else { throw .ENOSPC }
    }

    private func unmaps(_ other: BindOp) -> Bool {
        ops.contains { $0.kind == .unmap && $0.addr < other.addr + other.range && other.addr < $0.addr + $0.range }
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
        let id = list.made(at: list.count - 1)!

        let shift = target.pageShift
        uvmm.setState(
            of: id,
            MappingState(
                kind: op.pteKind, pageShift: shift, inRegion: region != nil, handle: op.handle, bind: sequence))
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
        clears.append(uvmm.entries(operation.victim!, hole.addr, hole.range))
    }

    /// Settles what the space already did to a victim: its pages are made small enough, its pieces follow it.
    private func removeVictim(_ operation: Operation) throws(KernelErrno) {
        let victim = operation.victim!
        keepObject(of: victim)
        let shift = uvmm.pageShift(after: operation)
        var state = uvmm.state(of: victim.id)
        undo.append(.state(of: victim.id, state))
        let isDemoted = state.pageShift > shift
        if isDemoted {
            try get(victim.addr, victim.range, shift)
            demoted.append(uvmm.entries(victim))
            state.pageShift = shift
        }
        let isOwn = state.writer == sequence
        if case .remap(_, let prev, let next, _) = operation {
            var piece = state
            if isDemoted { piece.writer = sequence }
            for id in [prev?.id, next?.id] {
                guard let id else { continue }
                uvmm.setState(of: id, piece)
                if isOwn || isDemoted { made.append(id) }
            }
        }
        state.isGone = state.isGone || isOwn
        uvmm.setState(of: victim.id, state)
    }

    private func keepObject(of victim: Mapping) {
        guard victim.pair != keptPair else { return }
        keptPair = victim.pair
        kept.append(uvmm.object(behind: victim))
    }
}

extension UVMM {
    /// The largest page size at which what is left of a victim can be mapped.
    fileprivate func pageShift(after operation: Operation) -> Int {
        let victim = operation.victim!
        let shift = state(of: victim.id).pageShift
        guard shift > 12, case .remap(_, let prev, let next, _) = operation else { return shift }
        let object = object(behind: victim)
        return [prev, next].compactMap { $0 }.reduce(shift) {
            min($0, pageSizes.mappingShift($1.addr, $1.range, $1.offset, of: object))
        }
    }
}

// MARK: - Sparse regions

extension BindJob {
    private func mapSparse(_ addr: UInt64, _ range: UInt64) throws(KernelErrno) {
        guard uvmm.vm.space.isEmpty(addr, range) else { throw .ENOSPC }
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

// MARK: - References

extension BindJob {
    private func execute(_ request: GPUVM.Request) throws(KernelErrno) {
        try uvmm.vm.execute(request, into: &list)
    }

    private func get(_ addr: UInt64, _ range: UInt64, _ shift: Int) throws(KernelErrno) {
        try uvmm.tables.get(addr, range, shift: shift)
        undo.append(.references(addr: addr, range: range, shift: shift))
    }
}

// MARK: - Undo

extension BindJob {
    /// Takes everything back, youngest first. Nothing here needs memory.
    private func rollBack() {
        uvmm.changeTables {
            while let step = undo.popLast() {
                switch step {
                case .state(let id, let state): uvmm.setState(of: id, state)
                case .references(let addr, let range, let shift): try? uvmm.tables.put(addr, range, shift: shift)
                case .region(let region): uvmm.putSparse(region)
                case .dirty(let addr): uvmm.sparse.setDirty(addr, false)
                }
            }
            if list.isApplied { uvmm.vm.revert(&list) }
        }
        // What `free` would have seen to was not done.
        clears = []
        demoted = []
        removedRegions = []
    }
}
