internal import CGPUVM

/// Names a mapping of one ``AddressSpace``. Stable until the mapping is removed, or, where an ``OperationList`` still
/// holds it, until that list is committed; may be used again after.
public struct MappingID: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// The range reserved for the kernel, where the space has one.
    public static let kernel = MappingID(rawValue: 1)

    /// From C, where 0 is no mapping.
    init?(_ va: gpuvm_va) {
        guard va != 0 else { return nil }
        rawValue = va
    }
}

/// Names the pair of an address space and an object (the kernel's `drm_gpuvm_bo`).
public struct PairID: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// From C, where 0 is no object.
    init?(_ bo: gpuvm_bo) {
        guard bo != 0 else { return nil }
        rawValue = bo
    }
}

/// One mapping: `[addr, addr + range)` shows the object of `pair` from `offset` on. Units are the space's.
public struct Mapping: Hashable, Sendable {
    public var addr, range: UInt64
    public var offset: UInt64
    /// `nil`: no object behind it.
    public var pair: PairID?
    public var id: MappingID
    /// Counts the mappings ever made in the space.
    public var seq: UInt32

    init(_ m: gpuvm_mapping) {
        addr = m.addr
        range = m.range
        offset = m.offset
        pair = PairID(m.bo)
        id = MappingID(rawValue: m.va)
        seq = m.seq
    }

    /// Exclusive end.
    public var end: UInt64 { addr + range }
}
