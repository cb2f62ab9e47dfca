package import DRMSync
public import KernelErrno
internal import NouveauUAPI
internal import Synchronization

/// What a descriptor stands for.
package enum Descriptor: Sendable {
    /// Without `isWritable` it is for reading alone.
    case dmaBuf(BufferObject, isWritable: Bool)
    case syncobj(Syncobj)
    case syncFile(SyncFile)
    case eventfd(any EventDescriptor)
    /// Something that is not the device's.
    case foreign
}

/// An eventfd: a number that counts up.
package protocol EventDescriptor: Sendable {
    var isReadable: Bool { get }
    func add(_ n: UInt64)
}

/// One of the device's own.
package final class EventCounter: EventDescriptor {
    private let count = Atomic<UInt64>(0)

    package var value: UInt64 { count.load(ordering: .acquiring) }

    package var isReadable: Bool { value > 0 }

    package func add(_ n: UInt64) { count.wrappingAdd(n, ordering: .acquiringAndReleasing) }
}

/// Descriptors of exported objects. Any thread may call.
package protocol DescriptorTable: AnyObject, Sendable {
    /// `nil`: there is no such descriptor.
    subscript(fd: Int32) -> Descriptor? { get }
    /// Whether there may be one more; `insert` may find out only later.
    /// - Throws: `EMFILE`.
    func checkRoom() throws(KernelErrno)
    /// - Throws: `EMFILE`, `ENOMEM`.
    func insert(_ descriptor: Descriptor) throws(KernelErrno) -> Int32
    /// Closes a descriptor; others are ignored.
    func remove(_ fd: Int32)
}

/// Numbers of the device's own, for clients without a process.
final class DescriptorNumbers: DescriptorTable {
    private let table = HandleTable<Descriptor>()
    private let count = Atomic<Int>(0)

    /// As many descriptors as there may be.
    static let limit = 1 << 16
    /// Numbers below are standard input, output and error.
    private static let first: Int32 = 3

    subscript(fd: Int32) -> Descriptor? {
        fd >= Self.first ? table[UInt32(fd - Self.first + 1)] : nil
    }

    func checkRoom() throws(KernelErrno) {
        guard count.load(ordering: .relaxed) < Self.limit else { throw .EMFILE }
    }

    func insert(_ descriptor: Descriptor) -> Int32 {
        count.wrappingAdd(1, ordering: .relaxed)
        return Int32(table.insert(descriptor)) - 1 + Self.first
    }

    func remove(_ fd: Int32) {
        guard fd >= Self.first, table.remove(UInt32(fd - Self.first + 1)) != nil else { return }
        count.wrappingSubtract(1, ordering: .relaxed)
    }
}

extension Device {
    /// An eventfd of the device's own, for who has no descriptors of the process at hand.
    package func makeEventfd() throws(KernelErrno) -> (fd: Int32, counter: EventCounter) {
        try descriptors.checkRoom()
        let counter = EventCounter()
        return (try descriptors.insert(.eventfd(counter)), counter)
    }

    /// What seeking to the end of a descriptor gives: the bytes of an exported buffer.
    /// - Throws: `EBADF`: not a descriptor of the device's; `ESPIPE`: not a buffer's.
    public func size(ofDescriptor fd: Int32) throws(KernelErrno) -> UInt64 {
        guard let descriptor = descriptors[fd] else { throw .EBADF }
        guard case .dmaBuf(let object, _) = descriptor else { throw .ESPIPE }
        return object.size
    }

    /// Closes a descriptor number that an export gave; others are ignored.
    public func closeDescriptor(_ fd: Int32) {
        descriptors.remove(fd)
    }
}

extension DeviceFile {
    func primeHandleToFD(_ a: Argument) throws(KernelErrno) {
        var call = Prime(a)
        guard call.hasGoodFlags else { throw .EINVAL }
        try device.descriptors.checkRoom()
        primeMutex.lock()
        defer { primeMutex.unlock() }
        guard let object = objects[call.handle] else { throw .ENOENT }
        guard !object.isPrivate else { throw .EPERM }
        let fd = try device.descriptors.insert(.dmaBuf(object, isWritable: call.isWritable))
        call.store(fd: fd, in: a)
        primeHandles[object.id] = primeHandles[object.id] ?? call.handle
    }

    func primeFDToHandle(_ a: Argument) throws(KernelErrno) {
        var call = Prime(a)
        guard let descriptor = device.descriptors[call.fd] else { throw .EBADF }
        guard case .dmaBuf(let object, _) = descriptor else { throw .EINVAL }
        primeMutex.lock()
        let handle = primeHandles[object.id] ?? objects.insert(object)
        primeHandles[object.id] = handle
        primeMutex.unlock()
        call.store(handle: handle, in: a)
    }
}
