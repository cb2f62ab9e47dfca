package import CGPUVMBase
internal import CMemfd
internal import Glibc

/// What the device's memory takes of the host. Tests put failing ones in its place.
package struct HostMemory: @unchecked Sendable {
    /// A file of zeros with `size` bytes, mapped whole; `nil`: the host does not give so much.
    package var makeStore: @Sendable (_ size: UInt64) -> Store? = HostMemory.makeStore
    /// Zeros of the process's own; `nil`: the host has none. Given back with `munmap`.
    package var reserve: @Sendable (_ size: UInt64) -> UnsafeMutableRawBufferPointer? = HostMemory.reserve
    /// Makes whole pages of a store zeros that take no memory, in all mappings of it; false: nothing was done.
    package var punchHole: @Sendable (_ bytes: UnsafeMutableRawBufferPointer) -> Bool = HostMemory.punchHole
    /// Asked before each part of VRAM, GART memory or the store is given away, each page table and each pair of space and
    /// object; false: as if there were no memory left.
    package var maySpare: @Sendable () -> Bool = { true }
    /// Where spaces, page tables and engines keep what they know. Called by any thread; the C library's, but in tests.
    package var allocator = gpuvm_alloc()
    /// Bytes of a page.
    package var pageSize = sysconf(Int32(_SC_PAGESIZE))

    package struct Store: @unchecked Sendable {
        package let descriptor: Int32
        package let memory: UnsafeMutableRawBufferPointer
    }

    package init() {}
}

extension HostMemory {
    private static func makeStore(_ size: UInt64) -> Store? {
        // Beyond this limit the host answers with a deadly signal instead of an error.
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0, size <= limit.rlim_cur else { return nil }
        let descriptor = memfd_create("gpuvm", UInt32(MFD_CLOEXEC))
        guard descriptor >= 0 else { return nil }
        guard ftruncate(descriptor, Int(size)) == 0, let memory = map(size, MAP_SHARED, descriptor) else {
            close(descriptor)
            return nil
        }
        return Store(descriptor: descriptor, memory: memory)
    }

    private static func reserve(_ size: UInt64) -> UnsafeMutableRawBufferPointer? {
        map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1)
    }

    private static func map(_ size: UInt64, _ flags: Int32, _ descriptor: Int32) -> UnsafeMutableRawBufferPointer? {
        let start = mmap(nil, Int(size), PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, descriptor, 0)
        return start == MAP_FAILED ? nil : UnsafeMutableRawBufferPointer(start: start, count: Int(size))
    }

    private static func punchHole(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
        madvise(bytes.baseAddress, bytes.count, MADV_REMOVE) == 0
    }
}
