internal import DRMLock

/// A fence as a descriptor holds it (`sync_file`).
public final class SyncFile: Sendable {
    public let name: String
    public let fence: Fence

    public init(name: String = "", fence: Fence) {
        self.name = name
        self.fence = fence
    }

    /// One for both fences (`SYNC_IOC_MERGE`).
    public func merged(with other: SyncFile, name: String) -> SyncFile {
        SyncFile(name: name, fence: Fence.merge([fence, other.fence], gate: fence.gate))
    }

    /// The plain fences it is made of (`SYNC_IOC_FILE_INFO`).
    public var fences: [Fence] {
        var fences: [Fence] = []
        fence.forEachUnwrapped { fences.append($0) }
        return fences
    }
}
