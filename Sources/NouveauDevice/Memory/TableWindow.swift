internal import DRMLock
internal import Glibc
internal import NVMMU

/// The part of the device's memory that page tables live in, backed by real memory. Any thread may call.
package final class TableWindow: @unchecked Sendable {
    let window: MemoryWindow
    private let lock = SpinLock()
    private var pages: ExtentAllocator
    private var allowed: UInt64

    /// - Returns: `nil`: the host has no memory.
    init?(aperture: Aperture, base: UInt64, size: UInt64, host: HostMemory) {
        guard let memory = host.reserve(size) else { return nil }
        window = MemoryWindow(aperture: aperture, base: base, memory: memory)
        pages = ExtentAllocator(base: base, size: size)
        allowed = size
    }

    deinit {
        munmap(window.memory.baseAddress, window.memory.count)
    }

    package var used: UInt64 { lock.withLock { pages.used } }

    /// Bytes that may be in use; a test makes it small to see tables run out.
    package var limit: UInt64 {
        get { lock.withLock { allowed } }
        set { lock.withLock { allowed = newValue } }
    }

    func allocate(size: Int, align: Int) -> TableMemory? {
        let bytes = Self.roundedUp(size)
        let addr = lock.withLock {
            pages.used + bytes <= allowed
                ? pages.allocate(bytes, align: max(UInt64(align), ExtentAllocator.grain)) : nil
        }
        return addr.map {
            TableMemory(
                addr: $0, aperture: window.aperture, cpu: window.memory.baseAddress! + Int($0 - window.base))
        }
    }

    func free(_ memory: TableMemory, size: Int) {
        lock.withLock { pages.release(PhysicalPiece(addr: memory.addr, size: Self.roundedUp(size))) }
    }

    private static func roundedUp(_ size: Int) -> UInt64 {
        (UInt64(size) + ExtentAllocator.grain - 1) & ~(ExtentAllocator.grain - 1)
    }
}
