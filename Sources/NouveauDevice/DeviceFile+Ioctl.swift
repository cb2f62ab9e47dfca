internal import KernelErrno
internal import NouveauUAPI

extension DeviceFile {
    /// One ioctl: `request` is the whole word, `arg` the argument in this process's memory. 0 or a negative errno;
    /// `-EBADF` on a closed file.
    ///
    /// The number alone selects the handler; size and direction say how much is copied, so that older clients'
    /// shorter structs work.
    public func ioctl(_ request: UInt32, _ arg: UnsafeMutableRawPointer?) -> Int32 {
        let request = Request(word: request)
        let call = record.map { CallRecord(request, self, $0) }
        var result: Int32 = 0
        do throws(KernelErrno) {
            guard isOpen else { throw .EBADF }
            try dispatch(request, UInt64(UInt(bitPattern: arg)), call)
        } catch {
            result = -error.rawValue
        }
        call?.finish(result)
        return result
    }

    private func dispatch(_ request: Request, _ address: UInt64, _ call: CallRecord?) throws(KernelErrno) {
        let command = Command(rawValue: request.number)
        if command == .nvif {
            return try request.performNVIF(memory: userMemory, at: address) { (a) throws(KernelErrno) in
                call?.begin(.nvif, a)
                try mutex.withLock { () throws(KernelErrno) in try nvif(a) }
                call?.end(a)
            }
        }
        guard request.hasDRMType else { throw .ENOTTY }
        guard let command else { throw .EINVAL }
        try request.perform(command, memory: userMemory, at: address) { (a) throws(KernelErrno) in
            call?.begin(command, a)
            try handle(command, a)
            call?.end(a)
        }
    }

    private func handle(_ command: Command, _ a: Argument) throws(KernelErrno) {
        switch command {
        case .vmBind: try vmBind(a)
        case .exec, .vmInit, .channelAlloc, .channelFree, .grobjAlloc, .gpuobjFree, .gemPushbuf:
            try mutex.withLock { () throws(KernelErrno) in try handleLocked(command, a) }
        case .gemNew: try gemNew(a)
        case .gemInfo: try gemInfo(a)
        case .gemClose: try gemClose(a)
        case .gemCPUPrep: try gemCPUPrep(a)
        case .gemCPUFini: try gemCPUFini(a)
        case .primeHandleToFD: try primeHandleToFD(a)
        case .primeFDToHandle: try primeFDToHandle(a)
        case .getParam: try getParam(a)
        case .version: try version(a)
        case .getCap: try getCap(a)
        case .setClientName: rename(try NouveauUAPI.clientName(a, userMemory))
        // No chip of ours has zero-culling regions to tell of, nor shared virtual memory.
        case .getZcullInfo: throw .ENOTTY
        case .svmInit: throw .ENOSYS
        case .svmBind: throw .EINVAL
        // Gone since Fermi; disabled in the kernel; not for render nodes, which the permission check has said.
        case .notifierobjAlloc, .gemChangeHandle, .getUnique, .getMagic, .gemFlink, .gemOpen, .setClientCap, .authMagic,
            .setParam, .nvif:
            throw .EINVAL
        default: try handleSyncobj(command, a)
        }
    }

    private func handleLocked(_ command: Command, _ a: Argument) throws(KernelErrno) {
        switch command {
        case .exec: try exec(a)
        case .vmInit: try vmInit(a)
        case .channelAlloc: try channelAlloc(a)
        case .channelFree: try channelFree(a)
        case .grobjAlloc: try grobjAlloc(a)
        case .gpuobjFree: try gpuobjFree(a)
        default: try gemPushbuf(a)
        }
    }

    private func handleSyncobj(_ command: Command, _ a: Argument) throws(KernelErrno) {
        switch command {
        case .syncobjCreate: try syncobjCreate(a)
        case .syncobjDestroy: try syncobjDestroy(a)
        case .syncobjHandleToFD: try syncobjHandleToFD(a)
        case .syncobjFDToHandle: try syncobjFDToHandle(a)
        case .syncobjWait: try syncobjWait(SyncobjWait(binary: a), a)
        case .syncobjTimelineWait: try syncobjWait(SyncobjWait(timeline: a), a)
        case .syncobjReset: try syncobjReset(a)
        case .syncobjSignal: try syncobjSignal(a)
        case .syncobjTimelineSignal: try syncobjTimelineSignal(a)
        case .syncobjQuery: try syncobjQuery(a)
        case .syncobjTransfer: try syncobjTransfer(a)
        case .syncobjEventfd: try syncobjEventfd(a)
        default: throw .EINVAL
        }
    }

    private func version(_ a: Argument) throws(KernelErrno) {
        var call = Version(a)
        try call.answer(
            number: (1, 4, 2), name: "nouveau", date: "0", desc: "nVidia Riva/TNT/GeForce/Quadro/Tesla/Tegra K1+",
            userMemory, a)
    }

    private func getCap(_ a: Argument) throws(KernelErrno) {
        switch GetCap(a).name {
        case .prime: GetCap.store(GetCap.primeBoth, in: a)
        case .timestampMonotonic, .syncobj, .syncobjTimeline: GetCap.store(1, in: a)
        // No displays.
        case .display: throw .EOPNOTSUPP
        case nil: throw .EINVAL
        }
    }
}
