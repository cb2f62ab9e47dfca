internal import Glibc
internal import NVMMU

/// The part of the device's memory that page tables live in, backed by real memory.
package final class TableWindow {
    let window: MemoryWindow
    private var pages: ExtentAllocator
    /// Bytes that may be in use; a test makes it small to see tables run out.
    package var limit: UInt64

    /// - Returns: `nil`: the host has no memory.
    init?(aperture: Aperture, base: UInt64, size: UInt64) {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let memory = mmap(nil, Int(size), PROT_READ | PROT_WRITE, flags, -1, 0), memory != MAP_FAILED else {
            return nil
        }
        window = MemoryWindow(
            aperture: aperture, base: base, memory: UnsafeMutableRawBufferPointer(start: memory, count: Int(size)))
        pages = ExtentAllocator(base: base, size: size)
        limit = size
    }

    deinit {
        munmap(window.memory.baseAddress, window.memory.count)
    }

    package var used: UInt64 { pages.used }

    func allocate(size: Int, align: Int) -> TableMemory? {
        let bytes = Self.roundedUp(size)
        guard used + bytes <= limit,
            let addr = pages.allocate(bytes, align: max(UInt64(align), ExtentAllocator.grain))
        else { return nil }
        return TableMemory(
            addr: addr, aperture: window.aperture,
            cpu: window.memory.baseAddress! + Int(addr - window.base))
    }

    func free(_ memory: TableMemory, size: Int) {
        pages.release(PhysicalPiece(addr: memory.addr, size: Self.roundedUp(size)))
    }

    private static func roundedUp(_ size: Int) -> UInt64 {
        (UInt64(size) + ExtentAllocator.grain - 1) & ~(ExtentAllocator.grain - 1)
    }
}
