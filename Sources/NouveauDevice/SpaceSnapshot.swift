internal import GPUVM
internal import NVMMU

/// What one address space holds at one moment, copied out of the device.
package struct SpaceSnapshot {
    package struct Extent {
        package var addr, range: UInt64
        package var offset: UInt64
        package var object: BufferObject
        /// Under which its client mapped it.
        package var handle: UInt32
        package var kind: Int
        /// log2.
        package var pageShift: Int
        /// Lies in a sparse region.
        package var isInRegion: Bool
        /// Number of the VM_BIND call that made it.
        package var bind: UInt32
        package var end: UInt64 { addr + range }
    }

    /// Ascending.
    package var extents: [Extent] = []
    /// Sparse regions that nobody has asked to remove, ascending.
    package var regions: [Range<UInt64>]

    /// Of what is submitted, whether or not it is done.
    package init(_ uvmm: UVMM) {
        uvmm.mutex.lock()
        defer { uvmm.mutex.unlock() }
        regions = uvmm.regions.filter { !$0.isDirty }.map { $0.addr..<$0.end }
        uvmm.vm.space.forEach { (mapping: Mapping) in
            guard mapping.id != .kernel else { return }
            let state = uvmm.state(of: mapping.id)
            extents.append(
                Extent(
                    addr: mapping.addr, range: mapping.range, offset: mapping.offset,
                    object: uvmm.object(behind: mapping), handle: state.handle, kind: state.kind,
                    pageShift: state.pageShift, isInRegion: state.inRegion, bind: state.bind))
        }
    }

    /// The extent at an address.
    package func extent(at va: UInt64) -> Extent? {
        extents.first { $0.addr <= va && va < $0.end }
    }
}
