internal import DRMLock
internal import Glibc
internal import NVMMU

/// The part of the device's memory that page tables live in, backed by real memory. Any thread may call.
package final class TableWindow: @unchecked Sendable {
    let window: MemoryWindow
    private let host: HostMemory
    private let lock = SpinLock()
    private var pages: ExtentAllocator
    /// Pages that `pages` counts as used, all zero, that the next tables of that size get as they are.
    private var zeroed: [UInt64] = []
    private var allowed: UInt64

    /// - Returns: `nil`: the host has no memory.
    init?(aperture: Aperture, base: UInt64, size: UInt64, host: HostMemory) {
        guard let memory = host.reserve(size) else { return nil }
        window = MemoryWindow(aperture: aperture, base: base, memory: memory)
        self.host = host
        pages = ExtentAllocator(base: base, size: size)
        allowed = size
    }

    deinit {
        munmap(window.memory.baseAddress, window.memory.count)
    }

    package var used: UInt64 { lock.withLock { inUse } }

    /// Bytes that may be in use; a test makes it small to see tables run out.
    package var limit: UInt64 {
        get { lock.withLock { allowed } }
        set { lock.withLock { allowed = newValue } }
    }

    func allocate(size: Int, align: Int) -> TableMemory? {
        let bytes = Self.roundedUp(size), align = max(UInt64(align), ExtentAllocator.grain)
        guard host.maySpare() else { return nil }
        return lock.withLock {
            guard inUse + bytes <= allowed else { return nil }
            if bytes == ExtentAllocator.grain, align == bytes, let addr = zeroed.popLast() {
                return memory(addr, zeroed: true)
            }
            guard let addr = pages.allocate(bytes, align: align) else {
                releaseZeroed()
                return pages.allocate(bytes, align: align).map { memory($0, zeroed: false) }
            }
            return memory(addr, zeroed: false)
        }
    }

    /// Of a root, which is smaller than its page, `memory.zeroed` says nothing about the rest of that.
    func free(_ memory: TableMemory, size: Int) {
        lock.withLock {
            if memory.zeroed, size == ExtentAllocator.grain {
                zeroed.append(memory.addr)
            } else {
                pages.release(PhysicalPiece(addr: memory.addr, size: Self.roundedUp(size)))
            }
        }
    }

    private var inUse: UInt64 { pages.used - UInt64(zeroed.count) * ExtentAllocator.grain }

    private func memory(_ addr: UInt64, zeroed: Bool) -> TableMemory {
        TableMemory(
            addr: addr, aperture: window.aperture, cpu: window.memory.baseAddress! + Int(addr - window.base),
            zeroed: zeroed)
    }

    private func releaseZeroed() {
        for addr in zeroed {
            pages.release(PhysicalPiece(addr: addr, size: ExtentAllocator.grain))
        }
        zeroed = []
    }

    private static func roundedUp(_ size: Int) -> UInt64 {
        (UInt64(size) + ExtentAllocator.grain - 1) & ~(ExtentAllocator.grain - 1)
    }
}
