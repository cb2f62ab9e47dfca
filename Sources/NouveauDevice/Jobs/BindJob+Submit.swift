internal import CGPUVM
internal import DRMExec
internal import GPUVM
internal import KernelErrno
internal import NVMMU
internal import NouveauUAPI

extension BindJob {
    /// Validates all operations, then applies them in order.
    /// - Throws: see uapi.md 6.2, steps 7 to 9.
    func submitOperations(_ exec: DRMExec.Exec) throws(KernelErrno) {
        // An EXEC has locked the objects of all pairs that there are while it has the mutex.
        let areSettled = try uvmm.mutex.withLock { () throws(KernelErrno) in try planOperations() }
        if !areSettled { for op in ops { try validateRegion(op) } }
        let failure = uvmm.makeResident(plan.held.elements, exec)
        uvmm.mutex.lock()
        defer { uvmm.mutex.unlock() }
        do throws(KernelErrno) {
            try uvmm.changeTables { () throws(KernelErrno) in try applyOperations() }
            try lockObjects(exec)
            if let failure {
                exec.finish()
                throw failure
            }
        } catch {
            rollBack()
            throw error
        }
        uvmm.settleLinks()
    }

    /// Locks all objects that are touched, and makes sure that those to be mapped may be in memory that the GPU sees.
    private func lockObjects(_ exec: DRMExec.Exec) throws(KernelErrno) {
        try exec.run(.ignoreDuplicates) { exec throws(KernelErrno) in
            for pair in plan.held.elements { try exec.prepare(pair) }
            if !plan.kept.isEmpty { try exec.prepare(plan.kept, fences: 1) }
        }
        let areVisible = plan.held.elements.allSatisfy {
            BufferObject.of($0)._withUnsafeGuaranteedRef { $0.isVisible }
        }
        guard areVisible else {
            exec.finish()
            throw .EINVAL
        }
    }
}

extension DRMExec.Exec {
    /// Locks the object of a pair that is kept meanwhile, and reserves a slot for a fence.
    fileprivate func prepare(_ pair: Unmanaged<VMBO>) throws(KernelErrno) {
        var failure: KernelErrno?
        pair._withUnsafeGuaranteedRef {
            do throws(KernelErrno) { try prepare($0.object, fences: 1, isKept: false) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}

// MARK: - Validation

extension BindJob {
    /// The checks made of each operation before anything is changed (uapi.md 6.2, 7a), and what it asks of the space.
    /// With the space's mutex.
    /// - Returns: whether no sparse region is to be waited for or refuses any.
    private func planOperations() throws(KernelErrno) -> Bool {
        setUnderWay()
        let ops = ops, space = uvmm.vm.core
        let requests = plan.requests.makeRoom(for: ops.count), states = plan.states.makeRoom(for: ops.count)
        plan.writes.reserve(ops.count)
        var source = Source()
        var areSettled = true
        let hasRegions = !uvmm.sparse.isEmpty
        for (i, op) in ops.enumerated() {
            let kind = op.kind
            counts.add(kind)
            var request = gpuvm_req(
                addr: op.addr, range: op.range, offset: 0, bo: GPUVM_BO_NONE, kind: Self.request(kind))
            if request.kind == GPUVM_REQ_MAP.rawValue {
                if source.object == nil || op.handle != source.handle { source = try hold(op.handle) }
                guard op.boOffset & 4095 == 0, op.boOffset < source.size, op.range <= source.size - op.boOffset else {
                    throw .EINVAL
                }
                request.bo = source.pair
                request.offset = op.boOffset
                states[i] = MappingState(
                    kind: op.pteKind, pageShift: source.pages.shift(op.addr, op.range, op.boOffset), handle: op.handle,
                    bind: sequence)
            } else {
                states[i] = MappingState()
            }
            requests[i] = request
            // A range of 0 splits mappings in the kernel (deviation ZERO-RANGE).
            guard (op.addr | op.range) & 4095 == 0, op.range > 0, gpuvm_range_valid(space, op.addr, op.range) else {
                throw .EINVAL
            }
            if hasRegions || request.kind == Self.other { areSettled = areSettled && isSettled(op) }
        }
        return areSettled
    }

    /// What the last map was of: the next one is mostly of the same.
    private struct Source {
        var handle: UInt32 = 0
        var object: Unmanaged<BufferObject>?
        var pair = GPUVM_BO_NONE
        var size: UInt64 = 0
        var pages = MappingPages()
    }

    /// Keeps the object behind a handle, and its pair, until `free`.
    private func hold(_ handle: UInt32) throws(KernelErrno) -> Source {
        guard let object = file.objects[handle] else { throw .ENOENT }
        let pair = try uvmm.pair(for: object)
        plan.held.append(.passUnretained(pair))
        plan.keptPair = try pair.pair().rawValue
        return Source(
            handle: handle, object: .passUnretained(object), pair: plan.keptPair, size: object.size,
            pages: object.mappingPages)
    }

    /// Not a request to the space: an operation on sparse regions, or none there is.
    private static let other = UInt32.max

    private static func request(_ kind: BindOp.Kind?) -> UInt32 {
        switch kind {
        case .map: GPUVM_REQ_MAP.rawValue
        case .unmap: GPUVM_REQ_UNMAP.rawValue
        default: other
        }
    }

    /// There is nothing to wait for, and no region refuses it (7b).
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
                uvmm.mutex.withLock { !jobs.pending.contains { unsafeDowncast($0, to: BindJob.self).unmaps(op) } }
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
}

// MARK: - Application

extension BindJob {
    private func applyOperations() throws(KernelErrno) {
        var i = 0
        while i < ops.count {
            let run = i..<(plan.requests.elements[i...].firstIndex { $0.kind == Self.other } ?? ops.count)
            if run.isEmpty {
                try changeRegions(i)
                i += 1
            } else {
                try changeMappings(run)
                i = run.upperBound
            }
        }
        guard plan.cutsOwn else { return }
        plan.writes.removeAll { uvmm.state(of: $0.mapping).isGone }
        plan.rewrites.removeAll { uvmm.state(of: $0.mapping).isGone }
    }

    private func changeRegions(_ i: Int) throws(KernelErrno) {
        switch ops[i].kind {
        case .mapSparse: try mapSparse(ops[i].addr, ops[i].range)
        case .unmapSparse: try unmapSparse(i)
        default: throw .EINVAL
        }
    }

    /// Maps and unmaps in a row: the space takes them as one.
    private func changeMappings(_ run: Range<Int>) throws(KernelErrno) {
        if !uvmm.sparse.isEmpty { for i in run { try placeInRegion(i) } }
        let first = plan.list.count
        try execute(run)
        // None of these changes meanwhile.
        let requests = plan.requests.elements, states = plan.states.elements, operations = plan.list.operations
        guard let base = operations.baseAddress else { return }
        var done = Done(base + first)
        let end = Done(base + operations.count)
        for i in run { try settle(requests[i], states[i], &done, end) }
    }

    private func placeInRegion(_ i: Int) throws(KernelErrno) {
        let request = plan.requests[i]
        guard request.kind == GPUVM_REQ_MAP.rawValue,
            let region = uvmm.sparse.first(overlapping: request.addr, request.range)
        else { return }
        guard !region.isDirty else { throw .EINVAL }
        guard region.encloses(request.addr, request.range) else { throw .ENOSPC }
        plan.states[i].inRegion = true
    }

    private func execute(_ run: Range<Int>) throws(KernelErrno) {
        try uvmm.execute(UnsafeBufferPointer(rebasing: plan.requests.elements[run]), into: &plan.list)
    }

    /// An operation of the list, which does not change meanwhile.
    private typealias Done = UnsafePointer<gpuvm_op>

    /// What the space did for a request: its victims from `done` on, then the map.
    @inline(__always) private func settle(
        _ request: gpuvm_req, _ state: MappingState, _ done: inout Done, _ end: Done
    ) throws(KernelErrno) {
        let isMap = request.kind == GPUVM_REQ_MAP.rawValue
        // What a map does not inherit references for begins here.
        var next = request.addr
        while done < end, done.pointee.isVictim(of: request) {
            let op = done
            done += 1
            if op.pointee.bo != plan.keptPair { keepObject(of: op) }
            var left = uvmm.state(of: MappingID(rawValue: op.pointee.va))
            if left.writer == sequence || !op.pointee.isWhole { try cut(op, &left) }
            let hole = op.pointee.hole
            if isMap, left.pageShift == state.pageShift {
                try get(next, upTo: hole.addr, state.pageShift)
                next = hole.addr + hole.range
            } else {
                plan.clears.append(entries(op, hole.addr, hole.range, op.pointee.va, left))
            }
        }
        guard isMap else { return }
        let op = done
        done += 1
        uvmm.setState(of: MappingID(rawValue: op.pointee.va), state)
        plan.writes.append(entries(op, request.addr, request.range, op.pointee.va, state))
        try get(next, upTo: request.addr + request.range, state.pageShift)
    }

    /// Settles what the space already did to a victim that is this job's own, or not all of which went: its pages are
    /// made small enough, its pieces follow it.
    /// - Parameter state: the victim's; what it is then.
    private func cut(_ op: Done, _ state: inout MappingState) throws(KernelErrno) {
        let id = MappingID(rawValue: op.pointee.va)
        let isOwn = state.writer == sequence
        let shift = op.pointee.isWhole ? state.pageShift : pageShift(after: op, state.pageShift)
        let isDemoted = state.pageShift > shift
        if isOwn || isDemoted { plan.undo.append(.state(of: id, state)) }
        if isDemoted {
            let (addr, range) = (op.pointee.addr, op.pointee.range)
            try get(addr, upTo: addr + range, shift)
            plan.demoted.append(entries(op, addr, range, op.pointee.va, state))
            state.pageShift = shift
        }
        op.pointee.forEachPiece { follow(op, $0, state, isWritten: isOwn || isDemoted) }
        if isOwn {
            state.isGone = true
            plan.cutsOwn = true
        }
        if isOwn || isDemoted { uvmm.setState(of: id, state) }
    }

    /// Has a piece of a victim follow it.
    /// - Parameter isWritten: this job writes its entries.
    private func follow(_ op: Done, _ piece: gpuvm_op.Piece, _ victim: MappingState, isWritten: Bool) {
        var state = victim
        if isWritten { state.writer = sequence }
        uvmm.setState(of: MappingID(rawValue: piece.va), state)
        guard isWritten else { return }
        let entries = entries(op, piece.addr, piece.range, piece.va, state)
        if state.bind == sequence { plan.writes.append(entries) } else { plan.rewrites.append(entries) }
    }

    /// The largest page size at which what is left of a victim can be mapped.
    private func pageShift(after op: Done, _ shift: Int) -> Int {
        var least = shift
        guard shift > 12 else { return least }
        let pages = object(of: op)._withUnsafeGuaranteedRef { $0.mappingPages }
        op.pointee.forEachPiece {
            least = min(least, pages.shift($0.addr, $0.range, op.pointee.offset + ($0.addr - op.pointee.addr)))
        }
        return least
    }

    private func keepObject(of victim: Done) {
        plan.keptPair = victim.pointee.bo
        plan.kept.append(object(of: victim).takeUnretainedValue())
    }

    /// The object behind an operation's mapping; not retained.
    private func object(of op: Done) -> Unmanaged<BufferObject> {
        if let shown = plan.shown, shown.pair == op.pointee.bo { return shown.object }
        let object = uvmm.object(of: PairID(rawValue: op.pointee.bo))
        plan.shown = (op.pointee.bo, object)
        return object
    }

    /// Entries of what an operation is about, or of a part of it.
    private func entries(
        _ op: Done, _ addr: UInt64, _ range: UInt64, _ mapping: gpuvm_va, _ state: MappingState
    ) -> BindPlan.Entries {
        BindPlan.Entries(
            addr: addr, range: range, offset: op.pointee.offset + (addr - op.pointee.addr), object: object(of: op),
            mapping: MappingID(rawValue: mapping), state: state)
    }

    /// Takes references on the pages of a range, if there are any in it.
    @inline(__always) private func get(_ addr: UInt64, upTo end: UInt64, _ shift: Int) throws(KernelErrno) {
        if addr < end { try getSome(addr, end, shift) }
    }

    private func getSome(_ addr: UInt64, _ end: UInt64, _ shift: Int) throws(KernelErrno) {
        try uvmm.tables.get(addr, end - addr, shift: shift)
        plan.undo.append(.references(addr: addr, range: end - addr, shift: shift))
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
        plan.undo.append(.region(region))
    }

    private func unmapSparse(_ i: Int) throws(KernelErrno) {
        guard let region = uvmm.sparse.find(ops[i].addr, ops[i].range), !region.isDirty else { throw .ENOENT }
        plan.requests[i].kind = GPUVM_REQ_UNMAP.rawValue
        try changeMappings(i..<i + 1)
        uvmm.sparse.setDirty(region.addr, true)
        plan.undo.append(.dirty(addr: region.addr))
        plan.removedRegions.append(region)
    }
}

// MARK: - Undo

extension BindJob {
    /// Takes everything back, youngest first. Nothing here needs memory.
    private func rollBack() {
        uvmm.changeTables {
            while let step = plan.undo.popLast() {
                switch step {
                case .state(let id, let state): uvmm.setState(of: id, state)
                case .references(let addr, let range, let shift): try? uvmm.tables.put(addr, range, shift: shift)
                case .region(let region): uvmm.putSparse(region)
                case .dirty(let addr): uvmm.sparse.setDirty(addr, false)
                }
            }
            if plan.list.isApplied { uvmm.vm.revert(&plan.list) }
        }
        // What `free` would have seen to was not done.
        plan.clears.removeAll()
        plan.demoted.removeAll()
        plan.removedRegions.removeAll()
    }
}

// MARK: - Operations

extension gpuvm_op {
    /// What goes of a victim.
    fileprivate var hole: (addr: UInt64, range: UInt64) { (addr + prev_range, range - prev_range - next_range) }

    /// Nothing is left of it.
    fileprivate var isWhole: Bool { prev_range | next_range == 0 }

    /// It is in the way of a request; with that carried out nothing is any more.
    fileprivate func isVictim(of request: gpuvm_req) -> Bool {
        UInt32(kind) != GPUVM_OP_MAP.rawValue && addr < request.addr + request.range && request.addr < addr + range
    }

    fileprivate struct Piece {
        let va: gpuvm_va
        let addr, range: UInt64
    }

    /// What is left of a victim.
    fileprivate func forEachPiece(_ body: (Piece) -> Void) {
        if prev_range > 0 { body(Piece(va: prev, addr: addr, range: prev_range)) }
        if next_range > 0 { body(Piece(va: next, addr: addr + (range - next_range), range: next_range)) }
    }
}
