internal import DRMScheduler
internal import DRMSync
internal import GPUVM
internal import KernelErrno
internal import NouveauUAPI

/// One VM_BIND call, in nouveau's phases.
///
/// - `submit` changes the VA space, takes page-table references and makes new regions sparse: all of the call's
///   operations or none. Undone in reverse, from one log.
/// - `run` writes page table entries and nothing else; it allocates nothing, and looks at nothing but what `submit`
///   left it, for the space may have changed again meanwhile.
/// - `free` drops references and regions, lets victims and objects go.
///
/// `run` writes the outcome of the whole job: what was removed is cleared first, then what this job mapped and is
/// still there is written. States in between, which the kernel does write, can be seen by nobody who waits for the
/// job.
///
/// **Page sizes.** A mapping has pages of one size and one reference on each. Where a map replaces pages of its own
/// size it inherits their references; what has another size is cleared and put like something unmapped, and the map
/// takes its own. An entry of a large page cannot be cleared in part, so a mapping that is cut inside a page is
/// *demoted*: all of it gets references of smaller pages, `run` writes what is left of it in those, which nobody sees
/// until it clears the large ones. (The kernel leaves such a hole mapped.)
///
/// Locks: `submit` and `free` take the space's mutex, and inside it that of its tables; `run` takes only the latter.
final class BindJob: Job, @unchecked Sendable {
    let uvmm: UVMM
    /// Whose handles the operations name; only for `submit`.
    unowned let file: DeviceFile
    let sequence: UInt32
    let ops: [BindOp]
    /// For each operation: what it maps.
    @exclusivity(unchecked) var targets: [Target?] = []
    /// The pairs of objects that are mapped, with a reference for each: one for maps of an object in a row.
    @exclusivity(unchecked) var held: [VMBO] = []
    /// The objects of victims, likewise: their memory stays until no entry shows it any more.
    @exclusivity(unchecked) var kept: [BufferObject] = []
    @exclusivity(unchecked) var keptPair: PairID?
    /// Holds the victims until `free`.
    @exclusivity(unchecked) var list: OperationList

    /// What a map needs to know of its object. `held` keeps it.
    struct Target {
        let pair: PairID
        let pageShift: Int
    }

    /// Entries of one mapping, or of a part of it, as they were when the job was submitted. The job keeps the object.
    struct Entries {
        var addr, range, offset: UInt64
        let object: Unmanaged<BufferObject>
        var state: MappingState
    }

    /// What was taken out of the space and passes on no references: cleared in `run`, put in `free`.
    @exclusivity(unchecked) var clears: [Entries] = []
    /// The large pages of what was demoted: likewise, but cleared after the others.
    @exclusivity(unchecked) var demoted: [Entries] = []
    /// What is left of what was demoted, written before anything is cleared; and what this job mapped, written after.
    @exclusivity(unchecked) var rewrites: [Entries] = []
    @exclusivity(unchecked) var writes: [Entries] = []

    /// Mappings whose entries this job writes, those it removed again included.
    @exclusivity(unchecked) var made: [MappingID] = []
    /// Regions it removes.
    @exclusivity(unchecked) var removedRegions: [SparseRegion] = []

    /// How to take back what was done but to the space, youngest last.
    enum Undo {
        case state(of: MappingID, MappingState)
        case references(addr: UInt64, range: UInt64, shift: Int)
        case region(SparseRegion)
        case dirty(addr: UInt64)
    }
    @exclusivity(unchecked) var undo: [Undo] = []

    init(_ uvmm: UVMM, _ jobs: JobQueue, _ file: DeviceFile, _ ops: [BindOp]) throws(KernelErrno) {
        self.uvmm = uvmm
        self.file = file
        self.ops = ops
        list = OperationList(allocator: uvmm.allocator)
        sequence = uvmm.nextBind()
        try super.init(jobs, credits: 1)
    }

    override var title: String { "VM_BIND, \(ops.count) ops" }

    override func submit() throws(KernelErrno) { try submitOperations() }

    override func armedSubmit(_ fence: Fence) {
        for object in jobs.exec.objects { object.reservation.add(fence, .bookkeep) }
        jobs.exec.finish()
    }

    override func run() throws(KernelErrno) -> Fence? {
        uvmm.changeTables {
            for entries in rewrites { uvmm.write(entries) }
            for entries in clears { uvmm.clear(entries) }
            for entries in demoted { uvmm.clear(entries) }
            for entries in writes { uvmm.write(entries) }
        }
        return nil
    }

    override func free() {
        uvmm.mutex.lock()
        uvmm.changeTables {
            for entries in clears { uvmm.put(entries) }
            for entries in demoted { uvmm.put(entries) }
            for region in removedRegions { uvmm.putSparse(region) }
            uvmm.vm.commit(&list)
        }
        for pair in held { uvmm.put(pair) }
        uvmm.mutex.unlock()
    }
}

extension Operation {
    /// The mapping that goes, or is replaced by what is left of it; `nil`: nothing goes.
    var victim: Mapping? {
        switch self {
        case .unmap(let victim, _), .remap(let victim, _, _, _): victim
        default: nil
        }
    }

    /// What goes of the victim.
    var hole: (addr: UInt64, range: UInt64)? {
        guard case .remap(let victim, let prev, let next, _) = self else { return victim.map { ($0.addr, $0.range) } }
        let start = prev.map { $0.addr + $0.range } ?? victim.addr
        return (start, (next?.addr ?? victim.end) - start)
    }
}
