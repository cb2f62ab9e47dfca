internal import DRMLock
internal import Glibc
internal import NVMMU
internal import NouveauUAPI

/// The bytes behind buffers: one sparse file, mapped whole for as long as the device lives. A buffer has its extent
/// of it for life, named by the buffer's mmap handle.
///
/// Invariant: what belongs to no buffer is zero.
///
/// Any thread may call; the lock is never held over a call of the host.
final class BackingStore: @unchecked Sendable {
    /// Of the file: byte 0 is what `mapHandleBase` names.
    let descriptor: Int32
    private let memory: UnsafeMutableRawBufferPointer
    private let host: HostMemory
    private let lock = SpinLock()
    /// Its addresses are mmap handles.
    private var extents: ExtentAllocator

    /// Less than this is not worth a device.
    private static let least: UInt64 = 64 << 20

    /// - Parameter size: bytes that would be good to have; where the host refuses, half of it is asked for, and so on.
    /// - Returns: `nil`: the host has no memory.
    init?(size: UInt64, host: HostMemory) {
        var size = max(size, Self.least)
        var store = host.makeStore(size)
        while store == nil, size > Self.least {
            size = max(size / 2 & ~(ExtentAllocator.grain - 1), Self.least)
            store = host.makeStore(size)
        }
        guard let store else { return nil }
        descriptor = store.descriptor
        memory = store.memory
        self.host = host
        extents = ExtentAllocator(base: mapHandleBase, size: size)
    }

    deinit {
        munmap(memory.baseAddress, memory.count)
        close(descriptor)
    }

    var used: UInt64 { lock.withLock { extents.used } }

    /// The handle of `size` zero bytes.
    func allocate(_ size: UInt64) -> UInt64? {
        guard host.maySpare() else { return nil }
        return lock.withLock { extents.allocate(size, align: ExtentAllocator.grain) }
    }

    /// Zeroes come first: from then on it may be somebody else's.
    func release(_ handle: UInt64, _ size: UInt64) {
        let bytes = bytes(handle, size)!
        if !host.punchHole(bytes) { bytes.initializeMemory(as: UInt8.self, repeating: 0) }
        lock.withLock { extents.release(PhysicalPiece(addr: handle, size: size)) }
    }

    /// The memory behind a handle; `nil`: it reaches out of the store.
    func bytes(_ handle: UInt64, _ size: UInt64) -> UnsafeMutableRawBufferPointer? {
        guard handle >= mapHandleBase, handle - mapHandleBase <= UInt64(memory.count),
            size <= UInt64(memory.count) - (handle - mapHandleBase)
        else { return nil }
        return UnsafeMutableRawBufferPointer(start: memory.baseAddress! + Int(handle - mapHandleBase), count: Int(size))
    }
}
