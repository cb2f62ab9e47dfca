internal import KernelErrno
internal import NouveauUAPI

/// The memory of the client that is replayed: one call's argument and the arrays it points to, and nothing else.
/// Addresses are not pointers; one that a damaged trace makes up is `EFAULT`, as in the kernel.
final class ClientMemory: UserMemory {
    /// The argument comes first, with room for as many bytes as a request word can say.
    private static let argumentRoom = 1 << 14
    private static let base: UInt64 = 1 << 32

    private var bytes = [UInt8](repeating: 0, count: argumentRoom)

    /// Where the argument is, as ioctl takes it.
    var argument: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: UInt(Self.base)) }

    /// Forgets the last call.
    func clear() {
        bytes.removeSubrange(Self.argumentRoom...)
        bytes.withUnsafeMutableBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: 0) }
    }

    /// Puts a part of the argument in its place.
    func store<T>(_ value: T, at offset: Int = 0) {
        withUnsafeBytes(of: value) { store($0, at: offset) }
    }

    func store(_ list: [UInt8], at offset: Int) {
        list.withUnsafeBytes { store($0, at: offset) }
    }

    private func store(_ source: UnsafeRawBufferPointer, at offset: Int) {
        bytes.replaceSubrange(offset..<(offset + source.count), with: source)
    }

    /// Makes an array and returns its address.
    func place<T>(_ list: [T]) -> UInt64 {
        let address = Self.base + UInt64(bytes.count)
        list.withUnsafeBytes { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: repeatElement(0, count: -bytes.count & 7))
        return address
    }

    /// What the device left of the argument.
    func load<T>(_ type: T.Type = T.self) -> T {
        bytes.withUnsafeBytes { $0.load(as: T.self) }
    }

    /// Elements of the argument, as many as there is room for, at most `count`.
    func loadArray<T: BitwiseCopyable>(at offset: Int, count: Int) -> [T] {
        let room = (Self.argumentRoom - offset) / MemoryLayout<T>.stride
        return elements(offset, min(count, room))
    }

    /// An array that was placed for this call.
    func loadArray<T: BitwiseCopyable>(at address: UInt64, count: Int) -> [T] {
        elements(Int(address - Self.base), count)
    }

    private func elements<T: BitwiseCopyable>(_ offset: Int, _ count: Int) -> [T] {
        bytes.withUnsafeBytes { bytes in
            (0..<count).map { bytes.loadUnaligned(fromByteOffset: offset + $0 * MemoryLayout<T>.stride, as: T.self) }
        }
    }

    // MARK: As the device sees it

    func copyIn(_ address: UInt64, _ destination: UnsafeMutableRawBufferPointer) throws(KernelErrno) {
        let range = try range(address, destination.count)
        bytes.withUnsafeBytes { destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    func copyOut(_ source: UnsafeRawBufferPointer, _ address: UInt64) throws(KernelErrno) {
        let range = try range(address, source.count)
        bytes.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[range]).copyMemory(from: source) }
    }

    private func range(_ address: UInt64, _ count: Int) throws(KernelErrno) -> Range<Int> {
        guard address >= Self.base, let start = Int(exactly: address - Self.base), start <= bytes.count,
            count <= bytes.count - start
        else { throw .EFAULT }
        return start..<(start + count)
    }
}
