internal import CNouveauUAPI
internal import Glibc
internal import JSONLines
internal import NouveauDevice

extension Replayer {
    /// Makes the call on our device and keeps the maps of handles. Returns what our device answered.
    func perform(_ call: TraceCall, on file: ReplayFile) throws(InputError) -> Int32 {
        memory.clear()
        switch call.arguments {
        case .version(let name, let date, let desc):
            return version(call, file, [name, date, desc].map { min(Int($0), Self.textRoom) })
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
        memory.store(value)
        defer { value = memory.load() }
        return file.file.ioctl(call.request, memory.argument)
    }

    /// The device's texts are shorter by far, and a trace may say any length.
    private static let textRoom = 4096

    private func version(_ call: TraceCall, _ file: ReplayFile, _ lengths: [Int]) -> Int32 {
        var version = nvu_version()
        version.name_len = UInt64(lengths[0])
        version.date_len = UInt64(lengths[1])
        version.desc_len = UInt64(lengths[2])
        version.name = memory.place([UInt8](repeating: 0, count: lengths.reduce(0, +)))
        version.date = version.name + version.name_len
        version.desc = version.date + version.date_len
        return ioctl(call, file, &version)
    }

    // MARK: NVIF

    private func perform(_ nvif: TraceCall.NVIF, _ call: TraceCall, _ file: ReplayFile) throws(InputError) -> Int32 {
        var head = nvu_nvif_ioctl()
        head.owner = nvif.owner
        head.route = nvif.route
        if nvif.route == UInt8(NVU_NVIF_ROUTE_CHANNEL) {
            head.token = UInt64(bitPattern: Int64(try file.channels.find(nvif.channel, call)))
        }
        let payload = MemoryLayout<nvu_nvif_ioctl>.size
        switch nvif.operation {
        case .nop: break
        case .sclass(let count, _):
            head.type = UInt8(NVU_NVIF_SCLASS.rawValue)
            var sclass = nvu_nvif_sclass()
            sclass.count = count
            memory.store(sclass, at: payload)
        case .new(let route, let handle, let oclass, let data):
            head.type = UInt8(NVU_NVIF_NEW.rawValue)
            var new = nvu_nvif_new()
            new.route = route
            new.object = file.nvif.make(isDevice: nvif.route != UInt8(NVU_NVIF_ROUTE_CHANNEL))
            new.token = new.object
            new.handle = handle
            new.oclass = Int32(bitPattern: file.nvif.ours(oclass))
            memory.store(new, at: payload)
            memory.store(data, at: payload + MemoryLayout<nvu_nvif_new>.size)
        case .del:
            head.type = UInt8(NVU_NVIF_DEL.rawValue)
            if nvif.hasObject { head.object = file.nvif.delete() }
        case .method(let method):
            head.type = UInt8(NVU_NVIF_MTHD.rawValue)
            if nvif.hasObject { head.object = file.nvif.methodTarget }
            var mthd = nvu_nvif_mthd()
            mthd.method = method
            memory.store(mthd, at: payload)
        }
        memory.store(head)
        let result = file.file.ioctl(call.request, memory.argument)
        if case .sclass(_, let classes) = nvif.operation, result == 0 {
            let offered: [nvu_nvif_oclass] = memory.loadArray(
                at: payload + MemoryLayout<nvu_nvif_sclass>.size, count: classes.count)
            file.nvif.noteClasses(classes, ours: offered.map { UInt32(bitPattern: $0.oclass) })
        }
        return result
    }
}
