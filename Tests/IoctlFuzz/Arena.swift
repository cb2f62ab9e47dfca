import Glibc
import KernelErrno
import NouveauUAPI

/// Memory that a client's arguments lie in: pages to read and write between one that is for nothing and two that are
/// only for reading and for nothing. What an ioctl touches elsewhere is refused here, so that a wild address does not
/// hit the fuzzer itself; what lies in the arena, or where nobody's memory can be, is left to `DirectMemory`.
final class Arena: UserMemory {
    private static let page = 4096
    private static let pages = 16
    private let base: UnsafeMutableRawPointer
    private var used = 0

    init() {
        base = mmap(nil, (Self.pages + 3) * Self.page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        mprotect(base + Self.page, Self.pages * Self.page, PROT_READ | PROT_WRITE)
        mprotect(base + (Self.pages + 1) * Self.page, Self.page, PROT_READ)
    }

    deinit { munmap(base, (Self.pages + 3) * Self.page) }

    private var first: UnsafeMutableRawPointer { base + Self.page }
    private var size: Int { Self.pages * Self.page }
    private var range: Range<UInt64> {
        let start = UInt64(UInt(bitPattern: base))
        return start..<start + UInt64((Self.pages + 3) * Self.page)
    }

    /// For the next call all of it is free.
    func reset() { used = 0 }

    /// Puts bytes somewhere: one after the other, or so that they end where the writable memory does.
    /// - Returns: where; `nil`: there is no room.
    func put(_ bytes: [UInt8], atEnd: Bool) -> UnsafeMutableRawPointer? {
        let start = atEnd ? size - bytes.count : (used + 7) & ~7
        guard start >= 0, start + bytes.count <= size else { return nil }
        if !atEnd { used = start + bytes.count }
        bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(start: first + start, count: bytes.count).copyMemory(from: $0) }
        return first + start
    }

    /// Bad, or good for reading alone, or good in part.
    func wild(_ random: inout some RandomNumberGenerator) -> UInt64 {
        let start = range.lowerBound, page = UInt64(Self.page), end = start + UInt64(Self.pages + 1) * page
        let addresses: [UInt64] = [
            0, 1, 0xfff, start, start + page - 4, end - 4, end - 12, end, end + page - 20, end + page, 1 << 47,
            0xffff_8000_0000_0000, .max - 3, .max, random.next(),
        ]
        return addresses.randomElement(using: &random)!
    }

    // MARK: As the device sees it

    func copyIn(_ address: UInt64, _ destination: UnsafeMutableRawBufferPointer) throws(KernelErrno) {
        try check(address, destination.count)
        try DirectMemory().copyIn(address, destination)
    }

    func copyOut(_ source: UnsafeRawBufferPointer, _ address: UInt64) throws(KernelErrno) {
        try check(address, source.count)
        try DirectMemory().copyOut(source, address)
    }

    private func check(_ address: UInt64, _ count: Int) throws(KernelErrno) {
        let isNobodys = address < 0x1000 || address >= 1 << 47
        let isOurs = range.contains(address) && UInt64(count) <= range.upperBound - address
        guard isNobodys || isOurs else { throw .EFAULT }
    }
}
