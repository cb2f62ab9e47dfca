internal import CNouveauUAPI
internal import JSONLines
internal import NouveauDevice

extension Replayer {
    /// GEM and PRIME.
    func performObject(_ call: TraceCall, _ file: ReplayFile) throws(InputError) -> Int32 {
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
    func noteDescriptor(_ recorded: Int, _ ours: Int32, _ call: TraceCall, _ result: Int32) {
        guard call.result == 0 else { return }
        if let old = descriptors.remove(recorded) { device.closeDescriptor(old) }
        descriptors.add(recorded, result == 0 ? ours : nil)
    }
}
