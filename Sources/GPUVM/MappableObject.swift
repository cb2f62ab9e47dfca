public import DRMExec
public import DRMLock
public import DRMSync
internal import Glibc
internal import Synchronization

/// A buffer that can be mapped into VMs: it knows its pairs, one for each VM it is in (`drm_gem_object.gpuva`).
///
/// The list of its pairs is guarded by its reservation, or, where its VMs are in immediate mode, by ``gpuvaLock``; all
/// VMs that it is in agree on the mode. It does not keep its pairs alive; each of them keeps it.
open class MappableObject: GEMObject, @unchecked Sendable {
    public static let gpuvaLockClass = LockClass("gpuva.lock")

    /// Guards the pairs where VMs are in immediate mode. It is taken in fence-signalling sections: nothing is
    /// allocated while it is held.
    public final let gpuvaLock: SleepingMutex
    private final let head = Ring.makeHead()
    @exclusivity(unchecked) private final var index = VMBOIndex(capacity: 4, allocate: { malloc($0) })!
    /// Pairs that there are, on the list or not.
    private final let population = Atomic<Int>(0)
    /// Pairs that the index is made for.
    private final let room = Atomic<Int>(4)

    public override init(gate: Gate, sharing reservation: Reservation? = nil) {
        gpuvaLock = SleepingMutex(Self.gpuvaLockClass, gate: gate)
        super.init(gate: gate, sharing: reservation)
        gate.declareOrder([.signalling, Self.gpuvaLockClass])
    }

    deinit {
        head.deallocate()
        index.deallocate()
    }

    /// Calls `body` for each of its pairs, in the order they were made; that pair may go meanwhile
    /// (`drm_gem_for_each_gpuvm_bo_safe`). With the list's lock held.
    public final func forEachVMBO(_ body: (VMBO) -> Void) {
        var node = head.pointee.next
        while node != head {
            let next = node.pointee.next
            let vmBO = node.pointee.owner.unsafelyUnwrapped.takeUnretainedValue()
            vmBO.assertObjectListHeld()
            body(vmBO)
            node = next
        }
    }

    /// Marks it as evicted, or not, in all VMs (`drm_gpuvm_bo_gem_evict`). With the list's lock and its reservation
    /// held.
    public final func evict(_ evicted: Bool) {
        forEachVMBO { $0.evict(evicted) }
    }

    // MARK: With the list's lock held

    final func find(_ vm: VM) -> VMBO? { index.find(vm) }

    final func append(_ vmBO: VMBO) {
        head.append(vmBO.objectNode)
        index.insert(vmBO)
    }

    final func remove(_ vmBO: VMBO) {
        vmBO.objectNode.leave()
        index.remove(vmBO)
    }

    // MARK: Room

    final func countPair(_ change: Int) {
        population.wrappingAdd(change, ordering: .relaxed)
    }

    /// Has the index grow with the number of pairs. May allocate: with the list's lock held where it is the
    /// reservation; where it is ``gpuvaLock``, without it.
    final func makeRoom(for vm: VM) {
        let wanted = population.load(ordering: .relaxed)
        guard wanted > room.load(ordering: .relaxed) else { return }
        gate.mightAllocate()
        let capacity = 1 << (Int.bitWidth - (2 * wanted - 1).leadingZeroBitCount)
        guard var other = VMBOIndex(capacity: capacity, allocate: vm.allocate) else { return }
        let isImmediate = vm.flags.contains(.immediateMode)
        if isImmediate { gpuvaLock.lock() }
        if other.capacity > index.capacity { exchangeIndex(&other) }
        if isImmediate { gpuvaLock.unlock() }
        other.deallocate()
    }

    private final func exchangeIndex(_ larger: inout VMBOIndex) {
        var node = head.pointee.next
        while node != head {
            larger.insert(node.pointee.owner.unsafelyUnwrapped.takeUnretainedValue())
            node = node.pointee.next
        }
        swap(&index, &larger)
        room.store(index.capacity, ordering: .relaxed)
    }
}
