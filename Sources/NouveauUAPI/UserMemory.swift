internal import CUserMemory
package import KernelErrno

/// The client's memory as the kernel sees it: every copy may fail with `EFAULT`.
package protocol UserMemory {
    func copyIn(_ address: UInt64, _ destination: UnsafeMutableRawBufferPointer) throws(KernelErrno)
    func copyOut(_ source: UnsafeRawBufferPointer, _ address: UInt64) throws(KernelErrno)
}

/// Carries out what an ioctl asks for.
package typealias Handler = (Argument) throws(KernelErrno) -> Void

/// Client and device in one process: addresses are pointers. One that is no good answers `EFAULT`; only memory that
/// another thread unmaps during the call is not foreseen.
package struct DirectMemory: UserMemory {
    package init() {}

    package func copyIn(_ address: UInt64, _ destination: UnsafeMutableRawBufferPointer) throws(KernelErrno) {
        try KernelErrno.check(nvu_user_can_read(address, destination.count))
        destination.copyMemory(from: UnsafeRawBufferPointer(start: Self.pointer(address), count: destination.count))
    }

    package func copyOut(_ source: UnsafeRawBufferPointer, _ address: UInt64) throws(KernelErrno) {
        try KernelErrno.check(nvu_user_can_write(address, source.count))
        UnsafeMutableRawBufferPointer(start: Self.pointer(address), count: source.count).copyMemory(from: source)
    }

    private static func pointer(_ address: UInt64) -> UnsafeMutableRawPointer? {
        UnsafeMutableRawPointer(bitPattern: UInt(address))
    }
}

extension UserMemory {
    /// Copies `count` elements in (the kernel's `u_memcpya`): a count of 0 never touches the address. A large count is not
    /// believed: there is memory for a part of it only when all before it was there.
    /// - Throws: `ENOMEM` for more bytes than the kernel allocates at once, `EFAULT`.
    @inline(__always) // for its element
    package func array<Element: BitwiseCopyable>(
        of type: Element.Type, at address: UInt64, count: UInt32
    ) throws(KernelErrno) -> [Element] {
        let count = Int(count), stride = MemoryLayout<Element>.stride
        guard count > 0 else { return [] }
        guard count * stride <= Int(Int32.max) else { throw .ENOMEM }
        let part = (1 << 20) / stride
        var array = try elements(of: type, at: address, count: min(count, part))
        while array.count < count {
            array += try elements(
                of: type, at: address &+ UInt64(array.count * stride), count: min(count - array.count, part))
        }
        return array
    }

    @inline(__always)
    private func elements<Element: BitwiseCopyable>(
        of type: Element.Type, at address: UInt64, count: Int
    ) throws(KernelErrno) -> [Element] {
        var failure: KernelErrno?
        let elements = [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(KernelErrno) {
                try copyIn(address, UnsafeMutableRawBufferPointer(buffer))
                initialized = count
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return elements
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
