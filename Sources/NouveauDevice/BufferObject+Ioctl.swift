public import KernelErrno
internal import NouveauUAPI

extension DeviceFile {
    func gemNew(_ a: Argument) throws(KernelErrno) {
        let call = GEMNew(a)
        mutex.lock()
        let uvmm = uvmm
        if uvmm == nil { isUVMMDisabled = true }
        mutex.unlock()
        guard uvmm != nil || !call.domain.contains(.noShare) else { throw .EINVAL }
        let object = try BufferObject(call, device: device, of: call.domain.contains(.noShare) ? uvmm : nil)
        object.description(handle: objects.insert(object)).store(in: a)
    }

    func gemInfo(_ a: Argument) throws(KernelErrno) {
        let handle = gemHandle(a)
        guard let object = objects[handle] else { throw .ENOENT }
        object.description(handle: handle).store(in: a)
    }

    /// Mappings of the object keep it alive.
    func gemClose(_ a: Argument) throws(KernelErrno) {
        let handle = gemHandle(a)
        primeMutex.lock()
        defer { primeMutex.unlock() }
        guard let object = objects.remove(handle) else { throw .EINVAL }
        if primeHandles[object.id] == handle { primeHandles[object.id] = nil }
    }

    /// Waits for what is submitted: for writes, or, before the client writes, for reads too.
    func gemCPUPrep(_ a: Argument) throws(KernelErrno) {
        let call = GEMCPUPrep(a)
        guard let object = objects[call.handle] else { throw .ENOENT }
        let left = try object.reservation.wait(
            call.isWrite ? .read : .write, timeout: call.waits ? Self.cpuPrepTimeout : 0, interruptible: true)
        if left == 0 { throw .EBUSY }
    }

    /// ns
    private static let cpuPrepTimeout: UInt64 = 30_000_000_000

    func gemCPUFini(_ a: Argument) throws(KernelErrno) {
        guard objects[gemHandle(a)] != nil else { throw .ENOENT }
    }

    /// Legacy submission: refused to VM_BIND clients as in the kernel; for others the checks are made and a
    /// submission answers `ENOSYS`, since this device has no automatic mapping of buffers.
    func gemPushbuf(_ a: Argument) throws(KernelErrno) {
        guard uvmm == nil else { throw .ENOSYS }
        var call = GEMPushbuf(a)
        guard channel(call.channel) != nil else { throw .ENOENT }
        call.store(vramAvailable: device.memory.availableVRAM, gartAvailable: device.memory.availableGART, in: a)
        guard call.pushCount > 0 else { return }
        try call.checkCounts()
        throw .ENOSYS
    }

    /// Checks an mmap of a `map_handle`: 0, or `-EINVAL` for an offset that is no object's start, a length beyond
    /// its end or a private writable mapping, `-EACCES` where this file has no handle for the object.
    public func checkMmap(offset: UInt64, length: UInt64, writable: Bool, shared: Bool) -> Int32 {
        do throws(KernelErrno) {
            _ = try mappable(offset, length, writable: writable, shared: shared)
            return 0
        } catch {
            return -error.rawValue
        }
    }

    /// Maps a buffer for a client in this process. The mapping keeps the buffer alive, whatever becomes of its handle
    /// and of this file.
    /// - Parameters:
    ///   - offset: the `map_handle` of GEM_NEW or GEM_INFO.
    ///   - length: bytes, from 1 to the buffer's size.
    /// - Throws: what ``checkMmap(offset:length:writable:shared:)`` answers.
    public func mmap(
        offset: UInt64, length: UInt64, writable: Bool = true, shared: Bool = true
    ) throws(KernelErrno) -> BufferMapping {
        BufferMapping(try mappable(offset, length, writable: writable, shared: shared), length: Int(length))
    }

    private func mappable(
        _ offset: UInt64, _ length: UInt64, writable: Bool, shared: Bool
    ) throws(KernelErrno) -> BufferObject {
        var result: Int32 = 0
        defer { record?.mmap(result, offset: offset, length: length, writable: writable, shared: shared) }
        do throws(KernelErrno) {
            return try findMappable(offset, length, writable: writable, shared: shared)
        } catch {
            result = -error.rawValue
            throw error
        }
    }

    private func findMappable(
        _ offset: UInt64, _ length: UInt64, writable: Bool, shared: Bool
    ) throws(KernelErrno) -> BufferObject {
        let (end, wraps) = length.addingReportingOverflow(ExtentAllocator.grain - 1)
        guard !wraps, length > 0, let size = device.memory.objectSize(mapHandle: offset),
            end & ~(ExtentAllocator.grain - 1) <= size
        else { throw .EINVAL }
        guard let object = objects.first(where: { $0.mapHandle == offset }) else { throw .EACCES }
        guard shared || !writable else { throw .EINVAL }
        return object
    }
}

extension BufferObject {
    /// Maps it by a descriptor that it was exported as; `offset` is within it.
    /// - Throws: `EINVAL`: an offset other than 0, a length of 0 or beyond the end, a private writable mapping.
    package func mmap(
        offset: UInt64, length: UInt64, writable: Bool, shared: Bool
    ) throws(KernelErrno) -> BufferMapping {
        guard offset == 0, length > 0, length <= size, shared || !writable else { throw .EINVAL }
        return BufferMapping(self, length: Int(length))
    }
}
