internal import JSONLines
internal import KernelErrno
internal import NVMMU

// The steps beside the raw operations: allocated addresses, pfn maps, instance blocks, flushes and faults.

/// Addresses that the space gave out.
struct Allocation {
    var va, size: UInt64
}

// MARK: - Allocated addresses

extension MMUSequenceRunner {
    func allocate(_ step: JSONObject, _ op: String) throws(InputError) {
        let id = try step.int("id")
        let found: Int
        switch op {
        case "vget":
            found = try vget(step, id)
        case "vmap":
            found = try vmap(step, try allocation(step, id))
        case "vunmap":
            let va = try allocation(step, id).va
            found = Self.result { () throws(KernelErrno) in try tables.vunmap(va) }
        default:
            let va = try allocation(step, id).va
            found = Self.result { () throws(KernelErrno) in try tables.vput(va) }
            allocations[id] = nil
        }
        result.compare(step: self.step, "ret of \(op)", expected: try step.int("ret"), found: found)
        try compareEvents(step)
    }

    private func allocation(_ step: JSONObject, _ id: Int) throws(InputError) -> Allocation {
        guard let allocation = allocations[id] else { throw step.error("id", "is no allocation") }
        return allocation
    }

    private func vget(_ step: JSONObject, _ id: Int) throws(InputError) -> Int {
        var request = VMARequest(size: try step.hex("size"))
        request.shift = try step.int("shift")
        request.align = try step.int("align")
        request.getref = try step.flag("getref")
        request.mapref = try step.flag("mapref")
        request.sparse = try step.flag("sparse")
        var va: UInt64 = 0
        let found = Self.result { () throws(KernelErrno) in va = try tables.vget(request) }
        if found == 0 {
            allocations[id] = Allocation(va: va, size: request.size)
            result.compare(step: self.step, "va", expected: try step.hex("va").hex, found: va.hex)
        }
        return found
    }

    private func vmap(_ step: JSONObject, _ at: Allocation) throws(InputError) -> Int {
        let memory = try memory(step)
        let offset = try step.hex("off")
        var attributes = try attributes(step, memory)
        if format.layout == .ver1, try step.int("no_comp", default: 0) == 0 {
            attributes.comptag = tags.line(
                of: try step.int("mem"), memory, shift: try step.int("shift", default: 0), generation: generation)
        } else if attributes.compression != 0 {
            attributes.comptag = tags.line(
                of: try step.int("mem"), memory, shift: 16, generation: generation, mode: attributes.compression)
        }
        // Pages of their own have system memory's size.
        let object: ObjectMemory =
            if memory.target != .vram, let pages = memory.pages { .pages(pages) } else { .pieces(memory.pieces) }
        var shift = 0
        let found = Self.result { () throws(KernelErrno) in
            shift = try tables.vmap(at.va, at.size, object, offset: offset, attributes)
        }
        if found == 0, step.has("shift") {
            result.compare(step: self.step, "page size", expected: try step.int("shift"), found: shift)
        }
        return found
    }
}

// MARK: - pfn maps

extension MMUSequenceRunner {
    func pfn(_ step: JSONObject, _ op: String) throws(InputError) {
        let (va, size) = (try step.hex("va"), try step.hex("size"))
        let found: Int
        if op == "pfnmap" {
            let shift = try step.int("shift")
            var pfns = try Self.pfns(step, "pfn")
            guard (12..<64).contains(shift), UInt64(pfns.count) << UInt64(shift) == size else {
                throw step.error("pfn", "has not one word a page")
            }
            found = Self.result { () throws(KernelErrno) in try tables.mapPFNs(va, shift: shift, &pfns) }
            result.compare(step: self.step, "pfn_out", expected: try Self.pfns(step, "pfn_out"), found: pfns)
        } else {
            found = Self.result { () throws(KernelErrno) in try tables.clearPFNs(va, size) }
        }
        result.compare(step: self.step, "ret of \(op)", expected: try step.int("ret"), found: found)
        try compareEvents(step)
    }

    private static func pfns(_ step: JSONObject, _ key: String) throws(InputError) -> [PFN] {
        try step.array(key).map { array, i throws(InputError) in PFN(rawValue: try array.hex(i)) }
    }
}

// MARK: - Instance blocks

extension MMUSequenceRunner {
    /// `inst` is where the recorder's block was; nothing depends on it.
    func join(_ step: JSONObject) throws(InputError) {
        _ = try step.hex("inst")
        let block = hooks.instance
        var expected = [UInt32](repeating: 0, count: block.count / 4)
        let words = try step.array("w")
        for i in 0..<words.count {
            let word = try words.array(i)
            try word.expectCount(2)
            guard let offset = Int(exactly: try word.hex(0)), offset % 4 == 0, expected.indices.contains(offset / 4),
                let value = UInt32(exactly: try word.hex(1))
            else { throw words.error(i, "is no word of an instance block") }
            expected[offset / 4] = value
        }
        joinInstance()
        guard format.layout != .tesla else { return } // its directory is compared where images have it
        for (i, (expected, found)) in zip(expected, block.bindMemory(to: UInt32.self)).enumerated() {
            result.compare(
                step: self.step, "instance block, word at \(UInt64(i * 4).hex)", expected: UInt64(expected).hex,
                found: UInt64(found).hex)
        }
    }

    /// Clears and joins the block. Tesla: once; recordings without a step for it have it joined from the beginning.
    func joinInstance() {
        guard !isJoined || format.layout != .tesla else { return }
        let (block, replay) = (hooks.instance, replay)
        block.initializeMemory(as: UInt8.self, repeating: 0)
        isJoined = true
        let found = Self.result { () throws(KernelErrno) in try tables.join(block, replay: replay) }
        result.compare(step: step, "ret of join", expected: 0, found: found)
    }

    func part(_ step: JSONObject) throws(InputError) {
        let expected = try step.array("words_0x200").map { array, i throws(InputError) in try array.hex(i) }
        let block = hooks.instance
        guard block.count >= 0x210 else { throw step.error("op", "is not for chips without instance blocks") }
        let found = Self.result { () throws(KernelErrno) in try tables.part(block) }
        isJoined = false
        result.compare(step: self.step, "ret of part", expected: 0, found: found)
        result.compare(
            step: self.step, "instance block, words at 0x200", expected: expected,
            found: block.bindMemory(to: UInt32.self)[0x80..<0x84].map(UInt64.init))
    }

    /// The tables as a recording has them: Tesla's directory is that of the joined instance block, or is not there.
    func recordedTables() -> [TableInfo] {
        guard format.layout == .tesla else { return tables.tables() }
        let bytes = format.levels[0].entryBytes << format.levels[0].indexBits
        var seen: [TableInfo] = []
        for var table in tables.tables() where table.level != .pd0 || isJoined {
            if table.level == .pd0 { table.memory = UnsafeRawBufferPointer(rebasing: hooks.instance.suffix(bytes)) }
            seen.append(table)
        }
        return seen
    }
}

// MARK: - Flushes and faults

extension MMUSequenceRunner {
    func flush(_ step: JSONObject) throws(InputError) {
        tables.flush(depth: try step.int("depth"))
        result.compare(step: self.step, "ret of flush", expected: try step.int("ret"), found: 0)
        try compareEvents(step)
    }

    func faultRegisters(_ step: JSONObject, _ op: String) throws(InputError) {
        let found =
            op == "fault_replay"
            ? format.faultReplayRegisters
            : format.faultCancelRegisters(
                hub: try step.flag("hub"), gpc: try step.int("gpc"), client: try step.int("client"))
        result.compare(step: self.step, "ret of \(op)", expected: try step.int("ret"), found: found.isEmpty ? -22 : 0)
        result.compare(
            step: self.step, "registers of \(op)", expected: try FlushRegisters(step).last, found: found)
    }
}
