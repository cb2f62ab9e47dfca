package import KernelErrno

/// The client's memory as the kernel sees it: every copy may fail with `EFAULT`.
package protocol UserMemory {
    func copyIn(_ address: UInt64, _ destination: UnsafeMutableRawBufferPointer) throws(KernelErrno)
    func copyOut(_ source: UnsafeRawBufferPointer, _ address: UInt64) throws(KernelErrno)
}

/// Carries out what an ioctl asks for.
package typealias Handler = (Argument) throws(KernelErrno) -> Void

/// Client and device in one process: addresses are pointers. What lies below 64 KiB is refused; any other address
/// has to be good.
package struct DirectMemory: UserMemory {
    package init() {}

    package func copyIn(_ address: UInt64, _ destination: UnsafeMutableRawBufferPointer) throws(KernelErrno) {
        destination.copyMemory(
            from: UnsafeRawBufferPointer(start: try Self.pointer(address, destination.count), count: destination.count))
    }

    package func copyOut(_ source: UnsafeRawBufferPointer, _ address: UInt64) throws(KernelErrno) {
        UnsafeMutableRawBufferPointer(start: try Self.pointer(address, source.count), count: source.count)
            .copyMemory(from: source)
    }

    private static func pointer(_ address: UInt64, _ count: Int) throws(KernelErrno) -> UnsafeMutableRawPointer {
        // User space ends below the sign bit on every 64-bit Linux.
        let (end, wraps) = address.addingReportingOverflow(UInt64(count))
        guard address >= 0x10000, !wraps, end < 1 << 63 else { throw .EFAULT }
        return UnsafeMutableRawPointer(bitPattern: UInt(address))!
    }
}

extension UserMemory {
    /// Copies `count` elements in (the kernel's `u_memcpya`): a count of 0 never touches the address.
    /// - Throws: `ENOMEM` for more bytes than the kernel allocates at once, `EFAULT`.
    package func array<Element: BitwiseCopyable>(
        of type: Element.Type, at address: UInt64, count: UInt32
    ) throws(KernelErrno) -> [Element] {
        guard count > 0 else { return [] }
        let bytes = Int(count) * MemoryLayout<Element>.stride
        guard bytes <= Int(Int32.max) else { throw .ENOMEM }
        var failure: KernelErrno?
        let array = [Element](unsafeUninitializedCapacity: Int(count)) { buffer, initialized in
            do throws(KernelErrno) {
                try copyIn(address, UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: bytes))
                initialized = Int(count)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return array
    }

    /// Copies one value out.
    package func write<Value: BitwiseCopyable>(_ value: Value, at address: UInt64) throws(KernelErrno) {
        var value = value
        var failure: KernelErrno?
        withUnsafeBytes(of: &value) { bytes in
            do throws(KernelErrno) { try copyOut(bytes, address) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Copies at most `length` bytes of a text out, without a terminator; address 0: nothing.
    package func write(_ text: StaticString, at address: UInt64, length: UInt64) throws(KernelErrno) {
        let count = Int(min(length, UInt64(text.utf8CodeUnitCount)))
        guard count > 0, address != 0 else { return }
        try copyOut(UnsafeRawBufferPointer(start: text.utf8Start, count: count), address)
    }
}
