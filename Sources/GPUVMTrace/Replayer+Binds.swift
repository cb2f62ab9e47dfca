internal import CNouveauUAPI
internal import JSONLines
internal import NouveauDevice

extension Replayer {
    private func syncs(
        _ list: [TraceCall.Sync], _ call: TraceCall, _ file: ReplayFile
    ) throws(InputError) -> [nvu_sync] {
        var syncs: [nvu_sync] = []
        syncs.reserveCapacity(list.count)
        for s in list {
            syncs.append(
                nvu_sync(flags: s.flags, handle: try file.syncobjs.find(s.handle, call), timeline_value: s.value))
        }
        return syncs
    }

    func perform(_ bind: TraceCall.VMBind, _ call: TraceCall, _ file: ReplayFile) throws(InputError) -> Int32 {
        report.note(bind, call)
        let waits = try syncs(bind.waits, call, file)
        let sigs = try syncs(bind.sigs, call, file)
        var ops: [nvu_vm_bind_op] = []
        ops.reserveCapacity(bind.ops.count)
        for op in bind.ops {
            ops.append(
                nvu_vm_bind_op(
                    op: op.isMap ? NVU_VM_BIND_OP_MAP : NVU_VM_BIND_OP_UNMAP, flags: op.flags,
                    handle: op.usesObject ? try file.objects.find(op.handle, call) : op.handle, pad: 0, addr: op.addr,
                    bo_offset: op.offset, range: op.range))
        }
        var value = nvu_vm_bind()
        value.flags = bind.flags
        value.op_count = UInt32(ops.count)
        value.wait_count = UInt32(waits.count)
        value.sig_count = UInt32(sigs.count)
        value.op_ptr = memory.place(ops)
        value.wait_ptr = memory.place(waits)
        value.sig_ptr = memory.place(sigs)
        let result = ioctl(call, file, &value)
        if result == 0 { file.noteBind(bind, ours: ops, line: call.place.line) }
        return result
    }

    func perform(_ exec: TraceCall.Exec, _ call: TraceCall, _ file: ReplayFile) throws(InputError) -> Int32 {
        let waits = try syncs(exec.waits, call, file)
        let sigs = try syncs(exec.sigs, call, file)
        let pushes = pushes(of: exec, call, file).map {
            nvu_exec_push(va: $0.va, va_len: $0.length, flags: $0.flags)
        }
        var value = nvu_exec()
        value.channel = UInt32(bitPattern: try file.channels.find(exec.channel, call))
        value.push_count = UInt32(pushes.count)
        value.wait_count = UInt32(waits.count)
        value.sig_count = UInt32(sigs.count)
        value.push_ptr = memory.place(pushes)
        value.wait_ptr = memory.place(waits)
        value.sig_ptr = memory.place(sigs)
        return ioctl(call, file, &value)
    }
}
