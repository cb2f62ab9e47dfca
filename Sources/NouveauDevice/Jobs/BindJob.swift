internal import DRMExec
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
    unowned(unsafe) let file: DeviceFile
    /// Of the space's VM_BINDs.
    @exclusivity(unchecked) private(set) var sequence: UInt32 = 0
    let plan: BindPlan
    /// What was asked for; by `submit`.
    @exclusivity(unchecked) var counts = BindCounts()
    /// Submitted, or about to be, and not freed. Guarded by the space's mutex.
    @exclusivity(unchecked) private var isUnderWay = false

    private init(_ uvmm: UVMM, _ file: DeviceFile) {
        plan = BindPlan(OperationList(allocator: uvmm.allocator))
        self.uvmm = uvmm
        self.file = file
        super.init(file.binds, credits: 1)
    }

    /// One without operations: a file's jobs are used again.
    static func make(_ uvmm: UVMM, _ file: DeviceFile) -> BindJob {
        guard let spare = file.binds.takeSpare() else { return BindJob(uvmm, file) }
        return unsafeDowncast(spare, to: BindJob.self)
    }

    /// It has its operations.
    func begin() { sequence = uvmm.nextBind() }

    /// One with room for more than so many operations is not kept.
    private static let mostRoom = 1 << 16

    override func renew() -> Bool {
        // First of all: who still refers to a job that is not kept has no use for its victims' objects.
        plan.clear()
        guard plan.capacity <= Self.mostRoom else { return false }
        reset()
        counts = BindCounts()
        return true
    }

    /// What is asked for.
    var ops: UnsafeBufferPointer<BindOp> { plan.ops.elements }

    override var title: String { "VM_BIND, \(ops.count) ops" }

    override func submit(_ exec: DRMExec.Exec) throws(KernelErrno) { try submitOperations(exec) }

    override func armedSubmit(_ exec: DRMExec.Exec, _ fence: Fence) {
        exec.forEachObject { $0.reservation.add(fence, .bookkeep) }
        exec.finish()
        Unmanaged.passUnretained(file.device)._withUnsafeGuaranteedRef { $0.count { $0.add(counts) } }
    }

    override func run() throws(KernelErrno) -> Fence? {
        uvmm.changeTables {
            uvmm.write(plan.rewrites.elements)
            for entries in plan.clears.elements { uvmm.clear(entries) }
            for entries in plan.demoted.elements { uvmm.clear(entries) }
            uvmm.write(plan.writes.elements)
        }
        return nil
    }

    override func free() {
        uvmm.mutex.lock()
        uvmm.changeTables {
            for entries in plan.clears.elements { uvmm.put(entries) }
            for entries in plan.demoted.elements { uvmm.put(entries) }
            for region in plan.removedRegions.elements { uvmm.putSparse(region) }
            uvmm.commit(&plan.list)
        }
        for pair in plan.held.elements { uvmm.put(pair.takeUnretainedValue()) }
        isUnderWay = false
        uvmm.mutex.unlock()
    }

    /// Its operations are looked at from now on. With the space's mutex.
    func setUnderWay() { isUnderWay = true }

    /// Whether it unmaps some of what another operation is about, and is not freed. With the space's mutex.
    func unmaps(_ other: BindOp) -> Bool {
        isUnderWay
            && ops.contains {
                $0.kind == .unmap && $0.addr < other.addr + other.range && other.addr < $0.addr + $0.range
            }
    }
}
