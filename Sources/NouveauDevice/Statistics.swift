/// What a device has done so far.
public struct DeviceStatistics: Hashable, Sendable {
    /// EXEC calls taken, their pushes, and the bytes of these.
    public internal(set) var execs = 0
    public internal(set) var pushes = 0
    public internal(set) var pushBytes = 0
    /// VM_BIND calls taken, and their operations by kind.
    public internal(set) var binds = 0
    public internal(set) var maps = 0
    public internal(set) var unmaps = 0
    public internal(set) var sparseMaps = 0
    public internal(set) var sparseUnmaps = 0
    /// What copy engines wrote.
    public internal(set) var bytesCopied: UInt64 = 0
    /// TLB flushes.
    public internal(set) var flushes = 0
    /// Hardware tables made and freed.
    public internal(set) var tablesMade = 0
    public internal(set) var tablesFreed = 0

    public init() {}

    public var pushDwords: Int { pushBytes / 4 }
    public var bindOps: Int { maps + unmaps + sparseMaps + sparseUnmaps }
}
