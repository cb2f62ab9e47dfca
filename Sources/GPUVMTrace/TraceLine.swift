public import JSONLines
public import NouveauDevice

/// The first line: what was recorded.
public struct TraceHeader: Sendable {
    public var driver: String
    public var chipset: Int
    /// With its arguments.
    public var program: String
    /// The kind of device that answered.
    public var device: String
}

/// A `vm_state` line: the address space of one file after a call.
public struct RecordedState: Sendable {
    public var place: Place
    public var fd: Int
    public var maps, sparse: Int
    public var hash: UInt64
    /// The whole state; only at close.
    public var lists: Lists?

    public struct Lists: Sendable {
        public var maps: [StateExtent]
        public var sparse: [Range<UInt64>]
    }
}

/// A `mem` or `mem_after` line: pages of an object.
public struct RecordedPages: Sendable {
    public enum Content: Sendable {
        case zero
        case bytes([UInt8])
        case hash(UInt64)
    }

    public var place: Place
    public var fd: Int
    public var handle: UInt32
    /// Written by the device in the EXEC above, rather than by the CPU before the EXEC below.
    public var after: Bool
    public var pages: [(offset: UInt64, content: Content)]
}

/// One line between the header and the end.
public enum TraceLine: Sendable {
    case call(TraceCall)
    case state(RecordedState)
    case pages(RecordedPages)

    public var place: Place {
        switch self {
        case .call(let call): call.place
        case .state(let state): state.place
        case .pages(let pages): pages.place
        }
    }

    public var fd: Int {
        switch self {
        case .call(let call): call.fd
        case .state(let state): state.fd
        case .pages(let pages): pages.fd
        }
    }
}
