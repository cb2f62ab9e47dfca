internal import CGPUVM
internal import GPUVM

/// What a VM_BIND's phases leave each other. Belongs to one job at a time: a space keeps those that are done for the
/// next (``UVMM/takePlan()``), so that a job need not ask for their memory.
final class BindPlan: @unchecked Sendable {
    /// For each operation: what it asks of the space, and the state of what it maps.
    @exclusivity(unchecked) var requests: [gpuvm_req] = []
    @exclusivity(unchecked) var states: [MappingState] = []

    /// The pairs of objects that are mapped, with a reference for each: one for maps of an object in a row.
    @exclusivity(unchecked) var held: [VMBO] = []
    /// The objects of victims, likewise: their memory stays until no entry shows it any more.
    @exclusivity(unchecked) var kept: [BufferObject] = []
    /// The pair last held or kept, and the one whose object was last asked for.
    @exclusivity(unchecked) var keptPair = GPUVM_BO_NONE
    @exclusivity(unchecked) var shown: (pair: gpuvm_bo, object: Unmanaged<BufferObject>)?

    /// Holds the victims until `free`.
    @exclusivity(unchecked) var list: OperationList

    /// What was taken out of the space and passes on no references: cleared in `run`, put in `free`.
    @exclusivity(unchecked) var clears: [Entries] = []
    /// The large pages of what was demoted: likewise, but cleared after the others.
    @exclusivity(unchecked) var demoted: [Entries] = []
    /// What is left of what was demoted, written before anything is cleared; and what this job mapped, written after.
    @exclusivity(unchecked) var rewrites: [Entries] = []
    @exclusivity(unchecked) var writes: [Entries] = []
    /// Some of these went again before the submission's end.
    @exclusivity(unchecked) var cutsOwn = false
    /// Regions it removes.
    @exclusivity(unchecked) var removedRegions: [SparseRegion] = []

    /// Entries of one mapping, or of a part of it, as they were when the job was submitted. The job keeps the object.
    struct Entries {
        var addr, range, offset: UInt64
        let object: Unmanaged<BufferObject>
        let mapping: MappingID
        var state: MappingState
    }

    /// How to take back what was done but to the space, youngest last.
    enum Undo {
        case state(of: MappingID, MappingState)
        case references(addr: UInt64, range: UInt64, shift: Int)
        case region(SparseRegion)
        case dirty(addr: UInt64)
    }
    @exclusivity(unchecked) var undo: [Undo] = []

    init(_ list: consuming OperationList) {
        self.list = list
    }

    /// Makes room for so many operations.
    func reserve(_ count: Int) {
        requests.reserveCapacity(count)
        states.reserveCapacity(count)
        writes.reserveCapacity(count)
    }

    /// Is as it was made, but for its memory.
    func clear() {
        Self.empty(&requests)
        Self.empty(&states)
        Self.empty(&held)
        Self.empty(&kept)
        keptPair = GPUVM_BO_NONE
        shown = nil
        Self.empty(&clears)
        Self.empty(&demoted)
        Self.empty(&rewrites)
        Self.empty(&writes)
        cutsOwn = false
        Self.empty(&removedRegions)
        Self.empty(&undo)
    }

    private static func empty<Element>(_ array: inout [Element]) {
        if !array.isEmpty { array.removeAll(keepingCapacity: true) }
    }
}

extension UVMM {
    /// Of this many operations a plan's memory is worth keeping; and so many plans.
    private static let mostOperations = 1 << 16
    private static let mostPlans = 4

    func takePlan() -> BindPlan {
        spareLock.withLock { sparePlans.popLast() } ?? BindPlan(OperationList(allocator: allocator))
    }

    /// Whose job is over, and whose list is committed or reverted.
    func giveBack(_ plan: BindPlan) {
        plan.clear()
        guard plan.requests.capacity <= Self.mostOperations else { return }
        spareLock.withLock { if sparePlans.count < Self.mostPlans { sparePlans.append(plan) } }
    }
}
