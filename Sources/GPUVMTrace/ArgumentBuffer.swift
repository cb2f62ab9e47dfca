/// Memory for the argument of one ioctl: as large as any request word can say.
final class ArgumentBuffer {
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 14, alignment: 16)

    deinit {
        memory.deallocate()
    }

    var address: UnsafeMutableRawPointer { memory.baseAddress! }

    func clear() {
        memory.initializeMemory(as: UInt8.self, repeating: 0)
    }

    func store<T>(_ value: T, at offset: Int = 0) {
        memory.storeBytes(of: value, toByteOffset: offset, as: T.self)
    }

    func store(_ bytes: [UInt8], at offset: Int) {
        UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyBytes(from: bytes)
    }

    func load<T>(_ type: T.Type = T.self) -> T {
        memory.load(as: T.self)
    }

    /// As many elements as there is room for, at most `count`.
    func loadArray<T>(at offset: Int, count: Int) -> [T] {
        let room = (memory.count - offset) / MemoryLayout<T>.stride
        return (0..<min(count, room)).map { memory.load(fromByteOffset: offset + $0 * MemoryLayout<T>.stride, as: T.self) }
    }
}

/// The address of an array that outlives the call, as ioctl arguments carry it.
func userPointer<T>(_ buffer: UnsafeMutableBufferPointer<T>) -> UInt64 {
    UInt64(UInt(bitPattern: buffer.baseAddress))
}
