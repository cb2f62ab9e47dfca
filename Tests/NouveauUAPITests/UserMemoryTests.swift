import Glibc
import KernelErrno
import NouveauUAPI
import Testing

/// Four pages in a row: one to read and write, one to read, one for nothing, one beyond the end of its file.
private final class Pages {
    static let size = 4096
    let base: UnsafeMutableRawPointer
    let kinds: [(reads: Bool, writes: Bool)] = [(true, true), (true, false), (false, false), (false, false)]

    init() {
        base = mmap(nil, 4 * Self.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        base.initializeMemory(as: UInt8.self, repeating: 0x5a, count: 3 * Self.size)
        mprotect(base + Self.size, Self.size, PROT_READ)
        mprotect(base + 2 * Self.size, Self.size, PROT_NONE)
        let empty = tmpfile()!
        mmap(base + 3 * Self.size, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fileno(empty), 0)
        fclose(empty)
    }

    deinit { munmap(base, 4 * Self.size) }

    subscript(page: Int) -> UInt64 { UInt64(UInt(bitPattern: base)) + UInt64(page * Self.size) }
}

@Suite("The client's memory, where it is our own") struct UserMemoryTests {
    private func reads(_ address: UInt64, _ count: Int) -> Bool {
        var bytes = [UInt8](repeating: 0, count: count)
        return bytes.withUnsafeMutableBytes { bytes in
            (try? { () throws(KernelErrno) in try DirectMemory().copyIn(address, bytes) }()) != nil
        }
    }

    private func writes(_ address: UInt64, _ count: Int) -> Bool {
        let bytes = [UInt8](repeating: 0xa5, count: count)
        return bytes.withUnsafeBytes { bytes in
            (try? { () throws(KernelErrno) in try DirectMemory().copyOut(bytes, address) }()) != nil
        }
    }

    @Test("each page answers for itself, wherever in it the address is", arguments: 0..<4)
    func pages(page: Int) {
        let pages = Pages()
        let kind = pages.kinds[page]
        for (offset, count) in [(0, 1), (1, 4), (2047, 100), (4088, 8), (4095, 1), (0, 4096)] {
            let address = pages[page] + UInt64(offset)
            #expect(reads(address, count) == kind.reads, "\(count) bytes at \(offset)")
            #expect(writes(address, count) == kind.writes, "\(count) bytes at \(offset)")
        }
    }

    @Test("a range is as good as its last page, and writing begins only when all of it is good")
    func ranges() {
        let pages = Pages()
        #expect(reads(pages[0] + 4090, 12))
        #expect(reads(pages[0], 8192))
        #expect(!reads(pages[0], 8193))
        #expect(!writes(pages[0] + 4090, 12))
        #expect(!writes(pages[0], 4097))
        #expect(pages.base.load(fromByteOffset: 4090, as: UInt8.self) == 0x5a)
        #expect(writes(pages[0], 4096))
        #expect(pages.base.load(fromByteOffset: 4095, as: UInt8.self) == 0xa5)
    }

    @Test("nobody's addresses, the kernel's and those that wrap are EFAULT", arguments: [
        0, 1, 0xfff, 0xffff, 0x4000_0000_0008, 0x8000_0000_0000, 1 << 62, 1 << 63, 0xffff_8000_0000_0000, .max - 8, .max,
    ] as [UInt64])
    func nowhere(address: UInt64) {
        #expect(!reads(address, 16))
        #expect(!writes(address, 16))
    }

    @Test("what is on the caller's stack is good; beyond its end is not")
    func stack() {
        var here: UInt64 = 7
        let value = withUnsafeMutablePointer(to: &here) { here -> [UInt64] in
            let address = UInt64(UInt(bitPattern: here))
            #expect(writes(address, 8))
            return (try? DirectMemory().array(of: UInt64.self, at: address, count: 1)) ?? []
        }
        #expect(value == [0xa5a5_a5a5_a5a5_a5a5])
        withUnsafeMutablePointer(to: &here) { here in
            let address = UInt64(UInt(bitPattern: here))
            #expect(throws: KernelErrno.EFAULT) {
                try DirectMemory().array(of: UInt64.self, at: address, count: UInt32(Int32.max / 8))
            }
        }
    }

    @Test("a large count is EFAULT where the memory ends")
    func largeCounts() {
        let pages = Pages()
        #expect(throws: KernelErrno.EFAULT) {
            try DirectMemory().array(of: UInt64.self, at: pages[0], count: UInt32(Int32.max / 8))
        }
    }

    @Test("an array in several parts is the array")
    func parts() throws {
        let numbers = (0..<700_000).map { UInt32($0) }
        let copy = try numbers.withUnsafeBufferPointer {
            try DirectMemory().array(
                of: UInt32.self, at: UInt64(UInt(bitPattern: $0.baseAddress)), count: UInt32($0.count))
        }
        #expect(copy == numbers)
    }

    @Test("errno is the client's own")
    func errnoStays() {
        errno = 77
        _ = reads(1, 8)
        _ = writes(1, 8)
        #expect(errno == 77)
    }
}
