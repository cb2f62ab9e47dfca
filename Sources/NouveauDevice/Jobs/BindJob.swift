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
    let sequence: UInt32
    let ops: [BindOp]
    let plan: BindPlan

    init(_ uvmm: UVMM, _ jobs: JobQueue, _ file: DeviceFile, _ ops: [BindOp]) throws(KernelErrno) {
        self.uvmm = uvmm
        self.file = file
        self.ops = ops
        plan = uvmm.takePlan()
        sequence = uvmm.nextBind()
        try super.init(jobs, credits: 1)
    }

    override var title: String { "VM_BIND, \(ops.count) ops" }

    override func submit() throws(KernelErrno) { try submitOperations() }

    override func armedSubmit(_ fence: Fence) {
        jobs.exec.forEachObject { $0.reservation.add(fence, .bookkeep) }
        jobs.exec.finish()
    }

    override func run() throws(KernelErrno) -> Fence? {
        uvmm.changeTables {
            uvmm.write(plan.rewrites)
            for entries in plan.clears { uvmm.clear(entries) }
            for entries in plan.demoted { uvmm.clear(entries) }
            uvmm.write(plan.writes)
        }
        return nil
    }

    override func free() {
        uvmm.mutex.lock()
        uvmm.changeTables {
            for entries in plan.clears { uvmm.put(entries) }
            for entries in plan.demoted { uvmm.put(entries) }
            for region in plan.removedRegions { uvmm.putSparse(region) }
            uvmm.vm.commit(&plan.list)
        }
        for pair in plan.held { uvmm.put(pair) }
        uvmm.mutex.unlock()
        uvmm.giveBack(plan)
    }
}
