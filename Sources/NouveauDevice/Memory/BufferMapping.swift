internal import KernelErrno
internal import NouveauUAPI

/// A buffer's memory, mapped by a client of this process; as long as it is held, the buffer lives.
public final class BufferMapping {
    /// The bytes asked for, from the object's start. A mapping that is not writable has to be left as it is: the memory
    /// is the device's own.
    public let bytes: UnsafeMutableRawBufferPointer
    /// Where they begin in the file that ``Device/storeDescriptor`` is open on, for who maps that.
    public var storeOffset: UInt64 { object.mapHandle - mapHandleBase }
    private let object: BufferObject

    init(_ object: BufferObject, length: Int) {
        self.object = object
        bytes = UnsafeMutableRawBufferPointer(rebasing: object.bytes[..<length])
    }
}
