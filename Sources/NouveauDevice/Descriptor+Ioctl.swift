internal import DRMSync
internal import KernelErrno
internal import NouveauUAPI

extension Device {
    /// One ioctl on a descriptor number that an export gave: those of sync files and of dma-bufs (uapi.md 13). 0 or a
    /// negative errno: `EBADF`: no such descriptor; `ENOTTY`: not for what it stands for.
    public func ioctl(descriptor fd: Int32, _ request: UInt32, _ arg: UnsafeMutableRawPointer?) -> Int32 {
        do throws(KernelErrno) {
            guard let descriptor = descriptors[fd] else { throw .EBADF }
            guard let command = DescriptorCommand(request: request) else { throw .ENOTTY }
            let address = UInt64(UInt(bitPattern: arg))
            switch descriptor {
            case .syncFile(let file) where command.isOfSyncFile: try perform(command, on: file, address)
            case .dmaBuf(let object, _) where !command.isOfSyncFile: try perform(command, on: object, address)
            default: throw .ENOTTY
            }
            return 0
        } catch {
            return -error.rawValue
        }
    }

    /// Whether a sync file has signalled, an eventfd has something to read; `nil`: the number stands for neither.
    public func isReadable(descriptor fd: Int32) -> Bool? {
        switch descriptors[fd] {
        case .syncFile(let file): file.fence.isSignaled
        case .eventfd(let event): event.isReadable
        default: nil
        }
    }

    // MARK: Sync files

    private func perform(_ command: DescriptorCommand, on file: SyncFile, _ address: UInt64) throws(KernelErrno) {
        switch command {
        case .merge:
            try descriptors.checkRoom()
            var call = try SyncMerge(userMemory, at: address)
            guard case .syncFile(let other)? = descriptors[call.other] else { throw .ENOENT }
            try insert(file.merged(with: other, name: call.name)) { (fd) throws(KernelErrno) in
                try call.store(fd: fd, userMemory)
            }
        case .fileInfo:
            var call = try SyncFileInfo(userMemory, at: address)
            try call.answer(
                name: file.name, status: file.fence.status.number, file.fences.map(SyncFileInfo.FenceInfo.init),
                userMemory)
        default:
            file.fence.setDeadlineIfPending(try syncDeadline(userMemory, at: address))
        }
    }

    /// A descriptor for a sync file, unless its number cannot be told.
    private func insert(
        _ file: SyncFile, _ tell: (Int32) throws(KernelErrno) -> Void
    ) throws(KernelErrno) {
        let fd = try descriptors.insert(.syncFile(file))
        do throws(KernelErrno) { try tell(fd) } catch {
            descriptors.remove(fd)
            throw error
        }
    }

    // MARK: dma-bufs

    private func perform(_ command: DescriptorCommand, on object: BufferObject, _ address: UInt64) throws(KernelErrno) {
        switch command {
        case .exportSyncFile:
            var call = try DMABufSyncFile(userMemory, at: address)
            try descriptors.checkRoom()
            let fence = object.reservation.singleton(.implicit(isWrite: call.isWrite)) ?? Fence.stub(gate: gate)
            try insert(SyncFile(fence: fence)) { (fd) throws(KernelErrno) in try call.store(fd: fd, userMemory) }
        case .importSyncFile:
            let call = try DMABufSyncFile(userMemory, at: address)
            guard case .syncFile(let file)? = descriptors[call.fd] else { throw .EINVAL }
            try add(file.fences, call.isWrite ? .write : .read, to: object)
        default:
            let call = try DMABufSync(userMemory, at: address)
            guard !call.isEnd else { return }
            _ = try object.reservation.wait(.implicit(isWrite: call.isWrite), interruptible: true)
        }
    }

    private func add(
        _ fences: [Fence], _ usage: ReservationUsage, to object: BufferObject
    ) throws(KernelErrno) {
        guard !fences.isEmpty else { return }
        try! object.reservation.lock.lock(nil)
        defer { object.reservation.unlock() }
        try object.reservation.reserve(fences.count)
        for fence in fences { object.reservation.add(fence, usage) }
    }
}

extension Fence.Status {
    /// As sync files tell it.
    fileprivate var number: Int32 {
        switch self {
        case .pending: 0
        case .done: 1
        case .failed(let error): -error.rawValue
        }
    }
}

extension SyncFileInfo.FenceInfo {
    fileprivate init(_ fence: Fence) {
        let names = fence.names
        self.init(
            timeline: names.timeline, driver: names.driver, status: fence.status.number,
            timestamp: fence.isSignaled ? fence.timestamp : 0)
    }
}
