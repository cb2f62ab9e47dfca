package import KernelErrno

/// The kernel's own copy of an ioctl's argument, as long as the longest of the client's struct and the kernel's;
/// what the client's older struct does not have reads as zero. Lives during one call.
package struct Argument {
    let base: UnsafeMutableRawPointer
    package let count: Int

    package func load<Layout: BitwiseCopyable>(_ type: Layout.Type = Layout.self, at offset: Int = 0) -> Layout {
        precondition(offset + MemoryLayout<Layout>.size <= count, "argument too short for its struct")
        return base.loadUnaligned(fromByteOffset: offset, as: type)
    }

    func store<Layout: BitwiseCopyable>(_ value: Layout, at offset: Int = 0) {
        precondition(offset + MemoryLayout<Layout>.size <= count, "argument too short for its struct")
        base.storeBytes(of: value, toByteOffset: offset, as: Layout.self)
    }
}

extension Request {
    /// Carries out an ioctl of the DRM core's kind: copies the argument in, asks for permission, runs `body`, copies
    /// the argument out even when `body` failed.
    package func perform(
        _ command: Command, memory: any UserMemory, at address: UInt64,
        _ body: Handler
    ) throws(KernelErrno) {
        let definition = command.definition
        // A direction counts only where both the caller and the definition have it.
        let sizeIn = definition.sizeIn > 0 ? self.sizeIn : 0
        let sizeOut = definition.sizeOut > 0 ? self.sizeOut : 0
        let count = max(sizeIn, sizeOut, definition.size)
        let result: Int32 = withUnsafeTemporaryAllocation(byteCount: max(count, 8), alignment: 8) { buffer in
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
            do throws(KernelErrno) {
                if sizeIn > 0 { try memory.copyIn(address, UnsafeMutableRawBufferPointer(rebasing: buffer[..<sizeIn])) }
                guard command.isRenderAllowed else { throw .EACCES }
            } catch {
                return -error.rawValue
            }
            var result: Int32 = 0
            do throws(KernelErrno) {
                try body(Argument(base: buffer.baseAddress!, count: count))
            } catch {
                result = -error.rawValue
            }
            do throws(KernelErrno) {
                if sizeOut > 0 { try memory.copyOut(UnsafeRawBufferPointer(rebasing: buffer[..<sizeOut]), address) }
            } catch {
                result = -error.rawValue
            }
            return result
        }
        try KernelErrno.check(result)
    }

    /// Carries out an NVIF ioctl: the whole argument goes in, and out only when `body` succeeded.
    package func performNVIF(
        memory: any UserMemory, at address: UInt64, _ body: Handler
    ) throws(KernelErrno) {
        guard size >= NVIFCall.headerSize else { throw .EINVAL }
        let result: Int32 = withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { buffer in
            do throws(KernelErrno) {
                try memory.copyIn(address, buffer)
                try body(Argument(base: buffer.baseAddress!, count: size))
                try memory.copyOut(UnsafeRawBufferPointer(buffer), address)
                return 0
            } catch {
                return -error.rawValue
            }
        }
        try KernelErrno.check(result)
    }
}
