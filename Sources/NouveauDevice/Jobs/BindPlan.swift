internal import CGPUVM
internal import CNVMMU
internal import GPUVM
internal import NouveauUAPI

/// What a VM_BIND's phases leave each other. It is one job's, which is used again (``BindJob/make(_:_:)``) and need not
/// ask for this memory then.
final class BindPlan: @unchecked Sendable {
    /// What the call asks for.
    @exclusivity(unchecked) var ops = Batch<BindOp>()
    /// For each operation: what it asks of the space, and, for a map, the state of what it maps.
    @exclusivity(unchecked) var requests = Batch<gpuvm_req>()
    @exclusivity(unchecked) var states = Batch<MappingState>()

    /// The pairs of objects that are mapped, each kept by a reference on it: one for maps of an object in a row.
    @exclusivity(unchecked) var held = Batch<Unmanaged<VMBO>>()
    /// The objects of victims, likewise: their memory stays until no entry shows it any more.
    @exclusivity(unchecked) var kept: [BufferObject] = []
    /// The pair last held or kept, and the one whose object was last asked for.
    @exclusivity(unchecked) var keptPair = GPUVM_BO_NONE
    @exclusivity(unchecked) var shown: (pair: gpuvm_bo, object: Unmanaged<BufferObject>)?

    /// Holds the victims until `free`.
    @exclusivity(unchecked) var list: OperationList

    /// What was taken out of the space and passes on no references: cleared in `run`, put in `free`.
    @exclusivity(unchecked) var clears = Batch<Entries>()
    /// The large pages of what was demoted: likewise, but cleared after the others.
    @exclusivity(unchecked) var demoted = Batch<Entries>()
    /// What is left of what was demoted, written before anything is cleared; and what this job mapped, written after.
    @exclusivity(unchecked) var rewrites = Batch<Entries>()
    @exclusivity(unchecked) var writes = Batch<Entries>()
    /// Some of these went again before the submission's end.
    @exclusivity(unchecked) var cutsOwn = false
    /// Regions it removes.
    @exclusivity(unchecked) var removedRegions = Batch<SparseRegion>()

    /// Entries of one mapping, or of a part of it, as they were when the job was submitted. The job keeps the object.
    struct Entries {
        var addr, range, offset: UInt64
        let object: Unmanaged<BufferObject>
        let mapping: MappingID
        var state: MappingState

        /// As the page tables take it.
        var part: nvmmu_part {
            nvmmu_part(
                va: addr, size: range, offset: offset, shift: UInt32(state.pageShift), kind: UInt8(state.kind))
        }
    }

    /// How to take back what was done but to the space, youngest last.
    enum Undo {
        case state(of: MappingID, MappingState)
        case references(addr: UInt64, range: UInt64, shift: Int)
        case region(SparseRegion)
        case dirty(addr: UInt64)
    }
    @exclusivity(unchecked) var undo = Batch<Undo>()

    init(_ list: consuming OperationList) {
        self.list = list
    }

    /// For how many operations or victims it has room.
    var capacity: Int { max(requests.capacity, writes.capacity, clears.capacity, kept.capacity) }

    /// Is as it was made, but for its memory.
    func clear() {
        ops.removeAll()
        requests.removeAll()
        states.removeAll()
        held.removeAll()
        if !kept.isEmpty { kept.removeAll(keepingCapacity: true) }
        keptPair = GPUVM_BO_NONE
        shown = nil
        clears.removeAll()
        demoted.removeAll()
        rewrites.removeAll()
        writes.removeAll()
        cutsOwn = false
        removedRegions.removeAll()
        undo.removeAll()
    }
}
