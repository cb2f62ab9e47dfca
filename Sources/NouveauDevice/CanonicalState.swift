/// A stretch of addresses as a trace's `vm_state` line has it.
public struct StateExtent: Hashable, Sendable {
    /// `end` is exclusive.
    public var start, end: UInt64
    public var handle: UInt32
    public var offset: UInt64
    /// The PTE kind.
    public var flags: UInt32

    public init(start: UInt64, end: UInt64, handle: UInt32, offset: UInt64, flags: UInt32) {
        self.start = start
        self.end = end
        self.handle = handle
        self.offset = offset
        self.flags = flags
    }

    fileprivate func continues(with next: StateExtent) -> Bool {
        end == next.start && handle == next.handle && flags == next.flags && offset &+ (end - start) == next.offset
    }
}

extension StateExtent: CustomStringConvertible {
    public var description: String {
        "\(hex(start))..\(hex(end)) handle \(handle) offset \(hex(offset)) kind \(hex(flags))"
    }
}

/// A state in the form of `vm_state` lines: neighbours merged.
package struct CanonicalState: Hashable {
    package var maps: [StateExtent] = []
    package var sparse: [Range<UInt64>]

    /// - Parameter handle: what stands for an extent's object.
    package init(_ snapshot: SpaceSnapshot, handle: (SpaceSnapshot.Extent) -> UInt32 = { $0.handle }) {
        sparse = snapshot.regions
        for extent in snapshot.extents {
            let next = StateExtent(
                start: extent.addr, end: extent.end, handle: handle(extent), offset: extent.offset,
                flags: UInt32(extent.kind))
            if let last = maps.last, last.continues(with: next) {
                maps[maps.count - 1].end = next.end
            } else {
                maps.append(next)
            }
        }
    }

    /// FNV-1a over the text of all extents.
    package var hash: UInt64 {
        var hash = FNV1a()
        for m in maps {
            hash.add(
                "\(String(m.start, radix: 16)),\(String(m.end, radix: 16)),\(m.handle),"
                    + "\(String(m.offset, radix: 16)),\(String(m.flags, radix: 16));")
        }
        for s in sparse {
            hash.add("S\(String(s.lowerBound, radix: 16)),\(String(s.upperBound, radix: 16));")
        }
        return hash.value
    }
}

/// The 64-bit hash of the traces.
package struct FNV1a {
    package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    package init() {}

    package mutating func add(_ text: String) {
        for byte in text.utf8 { add(byte) }
    }

    package mutating func add(_ bytes: UnsafeRawBufferPointer) {
        for byte in bytes { add(byte) }
    }

    private mutating func add(_ byte: UInt8) {
        value = (value ^ UInt64(byte)) &* 0x100_0000_01b3
    }
}
