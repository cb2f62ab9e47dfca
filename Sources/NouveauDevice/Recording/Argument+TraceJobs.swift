internal import CNouveauUAPI
internal import GPUVM
internal import KernelErrno
internal import NouveauUAPI

// VM_BIND and EXEC.
extension Argument {
    func bindInput(_ memory: any UserMemory) throws(KernelErrno) -> JSONText {
        let c = load(nvu_vm_bind.self)
        let ops = try memory.array(of: nvu_vm_bind_op.self, at: c.op_ptr, count: c.op_count)
        guard ops.allSatisfy({ $0.op <= NVU_VM_BIND_OP_UNMAP_SPARSE_ALIAS }) else { throw .EOPNOTSUPP }
        let waits = try memory.array(of: nvu_sync.self, at: c.wait_ptr, count: c.wait_count)
        let signals = try memory.array(of: nvu_sync.self, at: c.sig_ptr, count: c.sig_count)
        return JSONText { call in
            call.number("flags", c.flags)
            call.array("ops", ops) { list, op in list.object { $0.bindOp(op) } }
            call.syncs(waits, signals)
        }
    }

    /// Words of pushes are what is there now.
    func execInput(_ file: DeviceFile, _ memory: any UserMemory) throws(KernelErrno) -> JSONText {
        let c = load(nvu_exec.self)
        let pushes = try memory.array(of: nvu_exec_push.self, at: c.push_ptr, count: c.push_count)
        // Engines see 40 bits of an address; the trace's reader none that no address space has.
        guard pushes.allSatisfy({ $0.va < UVMM.end && UInt64($0.va_len) <= UVMM.end - $0.va }) else { throw .EOPNOTSUPP }
        let waits = try memory.array(of: nvu_sync.self, at: c.wait_ptr, count: c.wait_count)
        let signals = try memory.array(of: nvu_sync.self, at: c.sig_ptr, count: c.sig_count)
        return JSONText { call in
            call.number("channel", Int32(bitPattern: c.channel))
            call.array("pushes", pushes) { list, push in list.object { $0.push(push, file.uvmm) } }
            call.syncs(waits, signals)
        }
    }
}

extension JSONText {
    /// The numbers that the kernel has for sparse operations are said as it says them outside.
    fileprivate mutating func bindOp(_ op: nvu_vm_bind_op) {
        text("op", op.op == NVU_VM_BIND_OP_MAP || op.op == NVU_VM_BIND_OP_MAP_SPARSE_ALIAS ? "MAP" : "UNMAP")
        number("flags", op.flags | (op.op >= NVU_VM_BIND_OP_MAP_SPARSE_ALIAS ? NVU_VM_BIND_SPARSE : 0))
        number("handle", op.handle)
        hex("addr", op.addr)
        hex("bo_offset", op.bo_offset)
        hex("range", op.range)
    }

    fileprivate mutating func syncs(_ waits: [nvu_sync], _ signals: [nvu_sync]) {
        for (key, list) in [("waits" as StaticString, waits), ("sigs", signals)] {
            array(key, list) { list, sync in
                list.object { entry in
                    entry.number("flags", sync.flags)
                    entry.number("handle", sync.handle)
                    entry.hex("value", sync.timeline_value)
                }
            }
        }
    }

    fileprivate mutating func push(_ push: nvu_exec_push, _ uvmm: UVMM?) {
        hex("va", push.va)
        number("va_len", push.va_len)
        number("flags", push.flags)
        let count = Int(push.va_len) / 4
        let words = uvmm?.words(at: push.va & ~3, count: count) ?? []
        data("dw", words.lazy.flatMap { word in (0..<4).lazy.map { UInt8(truncatingIfNeeded: word >> (24 - 8 * $0)) } })
        if words.count < count { number("dw_unmapped", count - words.count) }
    }
}

extension UVMM {
    /// The words from an address on, up to what no buffer is mapped at.
    fileprivate func words(at va: UInt64, count: Int) -> [UInt32] {
        mutex.lock()
        defer { mutex.unlock() }
        var words: [UInt32] = []
        words.reserveCapacity(count)
        while words.count < count {
            let at = va + UInt64(words.count) * 4
            guard let mapping = vm.space.findFirst(at, 1), mapping.id != .kernel else { break }
            let bytes = object(behind: mapping).bytes
            let start = Int(mapping.offset + (at - mapping.addr))
            let length = min(Int(mapping.end - at) / 4, count - words.count)
            for i in 0..<length { words.append(bytes.loadUnaligned(fromByteOffset: start + 4 * i, as: UInt32.self)) }
        }
        return words
    }
}
