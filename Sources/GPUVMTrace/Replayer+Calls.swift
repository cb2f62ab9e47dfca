internal import CNouveauUAPI
internal import Glibc
internal import JSONLines
internal import NouveauDevice

extension Replayer {
    /// Makes the call on our device and keeps the maps of handles. Returns what our device answered.
    func perform(_ call: TraceCall, on file: ReplayFile) throws(InputError) -> Int32 {
        switch call.arguments {
        case .version(let name, let date, let desc):
            return version(call, file, [Int(name), Int(date), Int(desc)])
        case .getCap(let capability):
            var value = nvu_cap_value()
            value.capability = capability
            return ioctl(call, file, &value)
        case .getParam(let param):
            var value = nvu_getparam()
            value.param = param
            return ioctl(call, file, &value)
        case .nvif(let nvif): return try perform(nvif, call, file)
        case .channelAlloc(let fb, let tt, let channel, let notifier):
            var alloc = nvu_channel_alloc()
            alloc.fb_ctxdma_handle = fb
            alloc.tt_ctxdma_handle = tt
            let result = ioctl(call, file, &alloc)
            guard call.result == 0 else { return result }
            file.channels.add(channel, result == 0 ? alloc.channel : nil)
            file.objects.add(notifier, result == 0 ? alloc.notifier_handle : nil)
            return result
        case .channelFree(let channel):
            var free = nvu_channel_free(channel: try file.channels.find(channel, call))
            if call.result == 0 { _ = file.channels.remove(channel) }
            return ioctl(call, file, &free)
        case .vmInit(let addr, let size):
            var initial = nvu_vm_init(kernel_managed_addr: addr, kernel_managed_size: size)
            let result = ioctl(call, file, &initial)
            if result == 0 { file.noteInit(addr..<(addr + size)) }
            return result
        case .vmBind(let bind): return try perform(bind, call, file)
        case .exec(let exec): return try perform(exec, call, file)
        case .mmap(let map):
            return file.file.checkMmap(
                offset: try file.mapHandles.find(map.offset, call), length: map.length,
                writable: map.prot & Int(PROT_WRITE) != 0, shared: map.flags & Int(MAP_SHARED) != 0)
        case .close:
            file.file.close()
            return 0
        case .gemNew, .gemInfo, .gemClose, .primeHandleToFD, .primeFDToHandle:
            return try performObject(call, file)
        default: return try performSyncobj(call, file)
        }
    }

    /// One ioctl with the recorded request word, whatever size it says; `value` comes back as the device left it.
    func ioctl<T>(_ call: TraceCall, _ file: ReplayFile, _ value: inout T) -> Int32 {
        argument.clear()
        argument.store(value)
        defer { value = argument.load() }
        return file.file.ioctl(call.request, argument.address)
    }

    private func version(_ call: TraceCall, _ file: ReplayFile, _ lengths: [Int]) -> Int32 {
        var text = [UInt8](repeating: 0, count: lengths.reduce(0, +))
        return text.withUnsafeMutableBufferPointer { text in
            var version = nvu_version()
            version.name_len = UInt64(lengths[0])
            version.date_len = UInt64(lengths[1])
            version.desc_len = UInt64(lengths[2])
            version.name = userPointer(text)
            version.date = version.name + version.name_len
            version.desc = version.date + version.date_len
            return ioctl(call, file, &version)
        }
    }

    // MARK: NVIF

    private func perform(_ nvif: TraceCall.NVIF, _ call: TraceCall, _ file: ReplayFile) throws(InputError) -> Int32 {
        var head = nvu_nvif_ioctl()
        head.owner = nvif.owner
        head.route = nvif.route
        if nvif.route == UInt8(NVU_NVIF_ROUTE_CHANNEL) {
            head.token = UInt64(bitPattern: Int64(try file.channels.find(nvif.channel, call)))
        }
        argument.clear()
        let payload = MemoryLayout<nvu_nvif_ioctl>.size
        switch nvif.operation {
        case .nop: break
        case .sclass(let count, _):
            head.type = UInt8(NVU_NVIF_SCLASS.rawValue)
            var sclass = nvu_nvif_sclass()
            sclass.count = count
            argument.store(sclass, at: payload)
        case .new(let route, let handle, let oclass, let data):
            head.type = UInt8(NVU_NVIF_NEW.rawValue)
            var new = nvu_nvif_new()
            new.route = route
            new.object = file.nvif.make(isDevice: nvif.route != UInt8(NVU_NVIF_ROUTE_CHANNEL))
            new.token = new.object
            new.handle = handle
            new.oclass = Int32(bitPattern: file.nvif.ours(oclass))
            argument.store(new, at: payload)
            argument.store(data, at: payload + MemoryLayout<nvu_nvif_new>.size)
        case .del:
            head.type = UInt8(NVU_NVIF_DEL.rawValue)
            if nvif.hasObject { head.object = file.nvif.delete() }
        case .method(let method):
            head.type = UInt8(NVU_NVIF_MTHD.rawValue)
            if nvif.hasObject { head.object = file.nvif.methodTarget }
            var mthd = nvu_nvif_mthd()
            mthd.method = method
            argument.store(mthd, at: payload)
        }
        argument.store(head)
        let result = file.file.ioctl(call.request, argument.address)
        if case .sclass(_, let classes) = nvif.operation, result == 0 {
            let offered: [nvu_nvif_oclass] = argument.loadArray(
                at: payload + MemoryLayout<nvu_nvif_sclass>.size, count: classes.count)
            file.nvif.noteClasses(classes, ours: offered.map { UInt32(bitPattern: $0.oclass) })
        }
        return result
    }

    // MARK: VM_BIND, EXEC

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

    private func perform(_ bind: TraceCall.VMBind, _ call: TraceCall, _ file: ReplayFile) throws(InputError) -> Int32 {
        report.note(bind, line: call.place.line)
        var waits = try syncs(bind.waits, call, file)
        var sigs = try syncs(bind.sigs, call, file)
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
        let result = ops.withUnsafeMutableBufferPointer { ops in
            waits.withUnsafeMutableBufferPointer { waits in
                sigs.withUnsafeMutableBufferPointer { sigs in
                    value.op_ptr = userPointer(ops)
                    value.wait_ptr = userPointer(waits)
                    value.sig_ptr = userPointer(sigs)
                    return ioctl(call, file, &value)
                }
            }
        }
        if result == 0 { file.noteBind(bind, ours: ops, line: call.place.line) }
        return result
    }

    private func perform(_ exec: TraceCall.Exec, _ call: TraceCall, _ file: ReplayFile) throws(InputError) -> Int32 {
        var waits = try syncs(exec.waits, call, file)
        var sigs = try syncs(exec.sigs, call, file)
        var pushes = exec.pushes.map { nvu_exec_push(va: $0.va, va_len: $0.length, flags: $0.flags) }
        var value = nvu_exec()
        value.channel = UInt32(bitPattern: try file.channels.find(exec.channel, call))
        value.push_count = UInt32(pushes.count)
        value.wait_count = UInt32(waits.count)
        value.sig_count = UInt32(sigs.count)
        return pushes.withUnsafeMutableBufferPointer { pushes in
            waits.withUnsafeMutableBufferPointer { waits in
                sigs.withUnsafeMutableBufferPointer { sigs in
                    value.push_ptr = userPointer(pushes)
                    value.wait_ptr = userPointer(waits)
                    value.sig_ptr = userPointer(sigs)
                    return ioctl(call, file, &value)
                }
            }
        }
    }

    // MARK: GEM, PRIME

    private func performObject(_ call: TraceCall, _ file: ReplayFile) throws(InputError) -> Int32 {
        switch call.arguments {
        case .gemNew(let new):
            var value = nvu_gem_new()
            value.info.domain = new.domain
            value.info.size = new.size
            value.info.tile_mode = new.tileMode
            value.info.tile_flags = new.tileFlags
            value.channel_hint = new.channelHint
            value.align = new.align
            let result = ioctl(call, file, &value)
            guard call.result == 0 else { return result }
            file.objects.add(new.madeHandle, result == 0 ? value.info.handle : nil)
            file.mapHandles.add(new.madeMapHandle, result == 0 ? value.info.map_handle : nil)
            return result
        case .gemInfo(let handle, let mapHandle):
            var value = nvu_gem_info()
            value.handle = try file.objects.find(handle, call)
            let result = ioctl(call, file, &value)
            if call.result == 0 { file.mapHandles.add(mapHandle, result == 0 ? value.map_handle : nil) }
            return result
        case .gemClose(let handle):
            var value = nvu_gem_close()
            value.handle = try file.objects.find(handle, call)
            if call.result == 0 { _ = file.objects.remove(handle) }
            return ioctl(call, file, &value)
        case .primeHandleToFD(let handle, let flags, let fd):
            var value = nvu_prime_handle()
            value.handle = try file.objects.find(handle, call)
            value.flags = flags
            value.fd = -1
            let result = ioctl(call, file, &value)
            noteDescriptor(fd, value.fd, call, result)
            return result
        case .primeFDToHandle(let fd, let handle):
            var value = nvu_prime_handle()
            value.fd = try descriptors.find(fd, call)
            let result = ioctl(call, file, &value)
            if call.result == 0 { file.objects.add(handle, result == 0 ? value.handle : nil) }
            return result
        default: return 0
        }
    }

    /// A call made a descriptor. Its number was free before, so what had it is closed, though no line says so.
    private func noteDescriptor(_ recorded: Int, _ ours: Int32, _ call: TraceCall, _ result: Int32) {
        guard call.result == 0 else { return }
        if let old = descriptors.remove(recorded) { device.closeDescriptor(old) }
        descriptors.add(recorded, result == 0 ? ours : nil)
    }

    // MARK: Syncobjs

    private func performSyncobj(_ call: TraceCall, _ file: ReplayFile) throws(InputError) -> Int32 {
        switch call.arguments {
        case .syncobjCreate(let flags, let handle):
            var value = nvu_syncobj_create()
            value.flags = flags
            let result = ioctl(call, file, &value)
            if call.result == 0 { file.syncobjs.add(handle, result == 0 ? value.handle : nil) }
            return result
        case .syncobjDestroy(let handle):
            var value = nvu_syncobj_destroy()
            value.handle = try file.syncobjs.find(handle, call)
            if call.result == 0 { _ = file.syncobjs.remove(handle) }
            return ioctl(call, file, &value)
        case .syncobjHandleToFD(let handle, let fd, let flags, let madeFD):
            var value = nvu_syncobj_handle()
            value.handle = try file.syncobjs.find(handle, call)
            value.flags = flags
            value.fd = Int32(truncatingIfNeeded: fd)
            let result = ioctl(call, file, &value)
            noteDescriptor(madeFD, value.fd, call, result)
            return result
        case .syncobjFDToHandle(let handle, let fd, let flags, let madeHandle):
            var value = nvu_syncobj_handle()
            let intoExisting = flags & NVU_SYNCOBJ_FD_SYNC_FILE != 0
            value.handle = intoExisting ? try file.syncobjs.find(handle, call) : handle
            value.fd = try descriptors.find(fd, call)
            value.flags = flags
            let result = ioctl(call, file, &value)
            if call.result == 0, !intoExisting { file.syncobjs.add(madeHandle, result == 0 ? value.handle : nil) }
            return result
        case .syncobjTransfer(let transfer):
            var value = nvu_syncobj_transfer()
            value.src_handle = try file.syncobjs.find(transfer.source, call)
            value.dst_handle = try file.syncobjs.find(transfer.destination, call)
            value.src_point = transfer.sourcePoint
            value.dst_point = transfer.destinationPoint
            value.flags = transfer.flags
            return ioctl(call, file, &value)
        case .syncobjWait(let wait): return try perform(wait, call, file)
        default: return try performSyncobjArray(call, file)
        }
    }

    private func performSyncobjArray(_ call: TraceCall, _ file: ReplayFile) throws(InputError) -> Int32 {
        switch call.arguments {
        case .syncobjArray(let list):
            var handles = try file.syncobjs.find(list, call)
            return handles.withUnsafeMutableBufferPointer { handles in
                var value = nvu_syncobj_array()
                value.handles = userPointer(handles)
                value.count_handles = UInt32(handles.count)
                return ioctl(call, file, &value)
            }
        case .syncobjTimelineSignal(let list, let listPoints, let flags):
            var points = listPoints
            return timelineArray(call, file, try file.syncobjs.find(list, call), &points, flags)
        case .syncobjQuery(let list, let flags, let recorded):
            var points = [UInt64](repeating: 0, count: list.count)
            let result = timelineArray(call, file, try file.syncobjs.find(list, call), &points, flags)
            if result == 0, call.result == 0, points != recorded {
                report.addAnswer(call, "QUERY gave points \(points.map { hexText($0) }), recorded \(recorded.map { hexText($0) })")
            }
            return result
        default: return 0
        }
    }

    private func timelineArray(
        _ call: TraceCall, _ file: ReplayFile, _ handles: [UInt32], _ points: inout [UInt64], _ flags: UInt32
    ) -> Int32 {
        var handles = handles
        return handles.withUnsafeMutableBufferPointer { handles in
            points.withUnsafeMutableBufferPointer { points in
                var value = nvu_syncobj_timeline_array()
                value.handles = userPointer(handles)
                value.points = userPointer(points)
                value.count_handles = UInt32(handles.count)
                value.flags = flags
                return ioctl(call, file, &value)
            }
        }
    }

    /// 0 polls and the largest value waits for ever, as recorded. Any other time belongs to the recorder's boot; as
    /// our device is idle by now, a moment long past gives the same answer.
    private static func timeout(_ recorded: Int64) -> Int64 {
        recorded == 0 || recorded == .max ? recorded : 1
    }

    private func perform(
        _ wait: TraceCall.SyncobjWait, _ call: TraceCall, _ file: ReplayFile
    ) throws(InputError) -> Int32 {
        var handles = try file.syncobjs.find(wait.handles, call)
        var points = wait.points
        var first: UInt32 = 0
        let result = handles.withUnsafeMutableBufferPointer { handles in
            points.withUnsafeMutableBufferPointer { points in
                guard call.op == .syncobjTimelineWait else {
                    var value = nvu_syncobj_wait()
                    value.handles = userPointer(handles)
                    value.timeout_nsec = Self.timeout(wait.timeout)
                    value.count_handles = UInt32(handles.count)
                    value.flags = wait.flags
                    defer { first = value.first_signaled }
                    return ioctl(call, file, &value)
                }
                var value = nvu_syncobj_timeline_wait()
                value.handles = userPointer(handles)
                value.points = userPointer(points)
                value.timeout_nsec = Self.timeout(wait.timeout)
                value.count_handles = UInt32(handles.count)
                value.flags = wait.flags
                defer { first = value.first_signaled }
                return ioctl(call, file, &value)
            }
        }
        if result == 0, call.result == 0, first != wait.firstSignaled {
            report.addAnswer(call, "first_signaled is \(first), recorded \(wait.firstSignaled)")
        }
        return result
    }
}
