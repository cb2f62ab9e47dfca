internal import GPUVM
package import NouveauDevice
internal import NVMMU

/// What one address space holds at one moment, copied out of the device.
package struct SpaceSnapshot {
    package struct Extent {
        package var addr, range: UInt64
        package var offset: UInt64
        package var object: BufferObject
        package var kind: Int
        /// Number of the VM_BIND call that made it.
        package var bind: UInt32
        package var end: UInt64 { addr + range }
    }

    /// Ascending.
    package var extents: [Extent] = []
    /// Sparse regions, ascending.
    package var regions: [Range<UInt64>]

    package init(_ uvmm: UVMM) {
        regions = uvmm.regions.map { $0.addr..<($0.addr + $0.range) }
        uvmm.vm.space.forEach { (mapping: Mapping) in
            guard mapping.id != .kernel else { return }
            let object = uvmm.object(behind: mapping)
            let state = uvmm.state(of: mapping.id)
            extents.append(
                Extent(
                    addr: mapping.addr, range: mapping.range, offset: mapping.offset, object: object,
                    kind: state.kind, bind: state.bind))
        }
    }

    /// The extent at an address.
    package func extent(at va: UInt64) -> Extent? {
        extents.first { $0.addr <= va && va < $0.end }
    }
}

/// A state in the form of `vm_state` lines: neighbours merged, handles as recorded.
package struct CanonicalState: Hashable {
    package var maps: [StateExtent] = []
    package var sparse: [Range<UInt64>]

    /// - Parameter handle: the recorded handle of an extent.
    package init(_ snapshot: SpaceSnapshot, handle: (SpaceSnapshot.Extent) -> UInt32) {
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

extension StateExtent {
    fileprivate func continues(with next: StateExtent) -> Bool {
        end == next.start && handle == next.handle && flags == next.flags && offset &+ (end - start) == next.offset
    }
}

/// The 64-bit hash of the traces.
struct FNV1a {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ text: String) {
        for byte in text.utf8 { add(byte) }
    }

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        for byte in bytes { add(byte) }
    }

    private mutating func add(_ byte: UInt8) {
        value = (value ^ UInt64(byte)) &* 0x100_0000_01b3
    }
}
