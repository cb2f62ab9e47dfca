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

/// In which parts so many elements come in. A large count is not believed: there is memory for a part of it only when
/// all before it was there.
/// - Throws: `ENOMEM` for more bytes than the kernel allocates at once.
func parts(of count: Int, stride: Int) throws(KernelErrno) -> some Sequence<Range<Int>> {
    guard count * stride <= Int(Int32.max) else { throw .ENOMEM }
    let part = (1 << 20) / stride
    return Swift.stride(from: 0, to: count, by: part).lazy.map { $0..<min($0 + part, count) }
}

extension UserMemory {
    /// Copies `count` elements in (the kernel's `u_memcpya`): a count of 0 never touches the address.
    /// - Throws: `ENOMEM` for more bytes than the kernel allocates at once, `EFAULT`.
    @inline(__always) // for its element
    package func array<Element: BitwiseCopyable>(
        of type: Element.Type, at address: UInt64, count: UInt32
    ) throws(KernelErrno) -> [Element] {
        let stride = MemoryLayout<Element>.stride
        var array: [Element] = []
        for part in try parts(of: Int(count), stride: stride) {
            let elements = try elements(of: type, at: address &+ UInt64(part.lowerBound * stride), count: part.count)
            if array.isEmpty { array = elements } else { array += elements }
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
