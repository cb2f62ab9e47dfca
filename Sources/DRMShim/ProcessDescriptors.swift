internal import CDRMShim
internal import CMemfd
internal import CObjects
internal import DRMSync
internal import Glibc
internal import KernelErrno
internal import NouveauDevice

/// Exported objects as descriptors of the process. What stands in their place is made so that the kernel does the rest:
/// a dma-buf's is a file of its size (for lseek), a sync file's an eventfd that is readable when it has signalled (for
/// poll), and all close themselves at exec, after which nobody would know what they are.
final class ProcessDescriptors: DescriptorTable, @unchecked Sendable {
    /// Set once, before there is a file.
    unowned(unsafe) var device: Device!

    subscript(fd: Int32) -> Descriptor? {
        guard let file = drmshim_get(fd) else { return foreign(fd) }
        defer { drmshim_put(file) }
        guard let opened = drmshim_object(file), case .descriptor(let descriptor, _) = object(opened, Opened.self).content
        else { return .foreign }
        return descriptor
    }

    private func foreign(_ fd: Int32) -> Descriptor? {
        guard fcntl(fd, F_GETFD) >= 0 else { return nil }
        return Eventfd(fd).map { .eventfd($0) } ?? .foreign
    }

    /// The process's limit shows when there is no room.
    func checkRoom() throws(KernelErrno) {}

    func insert(_ descriptor: Descriptor) throws(KernelErrno) -> Int32 {
        let fd = try placeholder(for: descriptor)
        let opened = retain(Opened(.descriptor(descriptor, device: device)))
        let result = drmshim_add(fd, descriptor.isWritable, opened)
        guard result == 0 else {
            release(opened, Opened.self)
            close(fd)
            throw KernelErrno(rawValue: -result)
        }
        return fd
    }

    func remove(_ fd: Int32) { close(fd) }

    private func placeholder(for descriptor: Descriptor) throws(KernelErrno) -> Int32 {
        switch descriptor {
        case .dmaBuf(let object, _):
            let fd = try opened(memfd_create("dmabuf", UInt32(MFD_CLOEXEC)))
            guard ftruncate(fd, Int(object.size)) == 0 else {
                close(fd)
                throw .ENOMEM
            }
            return fd
        case .syncFile(let file):
            let fd = try opened(eventfd(0, Int32(EFD_CLOEXEC)))
            guard let event = Eventfd(fd) else {
                close(fd)
                throw .EMFILE
            }
            FenceEvent(event).wait(for: file.fence)
            return fd
        default:
            return try opened(memfd_create("syncobj", UInt32(MFD_CLOEXEC)))
        }
    }

    private func opened(_ fd: Int32) throws(KernelErrno) -> Int32 {
        guard fd >= 0 else { throw KernelErrno(rawValue: errno) }
        return fd
    }
}

extension Descriptor {
    fileprivate var isWritable: Bool {
        if case .dmaBuf(_, let isWritable) = self { isWritable } else { false }
    }
}

/// An eventfd of the process, by a descriptor of our own: theirs may be closed.
final class Eventfd: EventDescriptor {
    private let fd: Int32

    /// `nil`: it is none, or there is no room for another descriptor.
    init?(_ fd: Int32) {
        var name = [UInt8](repeating: 0, count: 32)
        let length = name.withUnsafeMutableBytes {
            readlink("/proc/self/fd/\(fd)", $0.baseAddress!, $0.count)
        }
        guard length > 0, String(decoding: name.prefix(length), as: UTF8.self) == "anon_inode:[eventfd]" else { return nil }
        self.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)
        guard self.fd >= 0 else { return nil }
    }

    deinit {
        close(fd)
    }

    var isReadable: Bool {
        var state = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
        return poll(&state, 1, 0) == 1
    }

    func add(_ n: UInt64) { eventfd_write(fd, n) }
}

/// Makes an eventfd readable when a fence signals.
private final class FenceEvent: FenceCallback, @unchecked Sendable {
    private let event: Eventfd

    init(_ event: Eventfd) {
        self.event = event
    }

    func wait(for fence: Fence) {
        do throws(KernelErrno) { try fence.add(self) } catch { event.add(1) }
    }

    override func signaled(_ fence: Fence) { event.add(1) }
}
