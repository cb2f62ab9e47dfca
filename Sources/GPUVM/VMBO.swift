internal import CGPUVM
internal import DRMLock
internal import Glibc
public import KernelErrno
internal import Synchronization

/// The pair of a VM and an object (`drm_gpuvm_bo`): at most one of each is found, and all mappings of the object in the
/// VM are linked to it.
///
/// Its life is counted by hand, as in the kernel: one reference for who made, obtained or found it, and one for each
/// linked mapping. With the last one gone it is dead, and keeps neither the VM nor the object alive any longer; a Swift
/// reference to it says nothing of that, and delays the end of the object's memory.
///
/// Source: drm_gpuvm.c; spec/gpuvm.md 5.
public final class VMBO: @unchecked Sendable {
    public let vm: VM
    public let object: MappableObject
    /// Whether the object's memory is away. Guarded by the object's reservation.
    @exclusivity(unchecked) public internal(set) var isEvicted = false
    /// The caller's own.
    public var userData: AnyObject?

    /// References, where all linked mappings are one.
    private let refs = Atomic<Int>(1)
    let memory: UnsafeMutablePointer<PairMemory>

    /// Guarded by the object's list lock.
    @exclusivity(unchecked) var nextInChain: Unmanaged<VMBO>?
    /// The next on the VM's stack of zombies.
    @exclusivity(unchecked) var nextZombie: Unmanaged<VMBO>?

    // Guarded by whoever serialises the VM's space.
    /// Mappings are linked, as far as references know.
    @exclusivity(unchecked) var isLinked = false
    @exclusivity(unchecked) var isTouched = false
    @exclusivity(unchecked) var nextTouched: Unmanaged<VMBO>?

    private init(_ vm: VM, _ object: MappableObject, _ memory: UnsafeMutablePointer<PairMemory>) {
        self.vm = vm
        self.object = object
        self.memory = memory
    }

    /// On the object's list, the VM's list of external objects, its list of evicted ones.
    var objectNode: Ring { memory.node(0) }
    var externalNode: Ring { memory.node(1) }
    var evictedNode: Ring { memory.node(2) }

    // MARK: Made, found, obtained

    /// Makes a pair that nobody can find yet, with a reference. That there is no other is not looked at
    /// (`drm_gpuvm_bo_create`).
    /// - Throws: `ENOMEM`.
    public static func create(_ vm: VM, _ object: MappableObject) throws(KernelErrno) -> VMBO {
        vm.gate.mightAllocate()
        guard let raw = vm.allocate(MemoryLayout<PairMemory>.size) else { throw .ENOMEM }
        let memory = raw.bindMemory(to: PairMemory.self, capacity: 1)
        let vmBO = VMBO(vm.get(), object, memory)
        memory.initialize(owner: .passRetained(vmBO))
        object.countPair(1)
        if vm.flags.contains(.immediateMode) { object.makeRoom(for: vm) }
        return vmBO
    }

    /// The pair, with a reference; `nil`: there is none (`drm_gpuvm_bo_find`). With the object's list lock held.
    public static func find(_ vm: VM, _ object: MappableObject) -> VMBO? {
        vm.assertListHeld(of: object)
        return object.find(vm)?.get()
    }

    /// The pair, made where there is none, with a reference (`drm_gpuvm_bo_obtain_locked`). With the object's
    /// reservation held; not in immediate mode.
    /// - Throws: `ENOMEM`.
    public static func obtain(_ vm: VM, _ object: MappableObject) throws(KernelErrno) -> VMBO {
        vm.warn(if: vm.flags.contains(.immediateMode), "a pair is obtained under the reservation in immediate mode")
        if let found = find(vm, object) { return found }
        let vmBO = try create(vm, object)
        object.makeRoom(for: vm)
        object.append(vmBO)
        return vmBO
    }

    /// The pair, which is `preallocated` where there was none. The caller's reference on that one becomes the one on the
    /// result (`drm_gpuvm_bo_obtain_prealloc`). Only in immediate mode; takes ``MappableObject/gpuvaLock``, allocates
    /// nothing.
    public static func obtain(preallocated vmBO: VMBO) -> VMBO {
        let (vm, object) = (vmBO.vm, vmBO.object)
        vm.warn(if: !vm.flags.contains(.immediateMode), "a pair is made beforehand without immediate mode")
        object.gpuvaLock.lock()
        let found = object.find(vm)?.get()
        if found == nil { object.append(vmBO) }
        object.gpuvaLock.unlock()
        guard let found else { return vmBO }
        if vmBO.drop() { vmBO.end() }
        return found
    }

    // MARK: References

    /// One reference more; the caller has one.
    @discardableResult
    public func get() -> VMBO {
        let old = refs.wrappingAdd(1, ordering: .relaxed).oldValue
        precondition(old > 0, "the pair is dead")
        return self
    }

    /// References: those taken, and one for each linked mapping. 0: dead. For tests and reports; with the space
    /// serialised.
    public var referenceCount: Int {
        let taken = refs.load(ordering: .relaxed)
        return taken == 0 ? 0 : taken - (isLinked ? 1 : 0) + vm.linkCount(self)
    }

    /// One reference less. With the last one it leaves all lists and is dead (`drm_gpuvm_bo_put`): then the object's
    /// list lock is held, and the VM's reservation where that guards the VM's lists.
    /// - Returns: whether it was the last.
    @discardableResult
    public func put() -> Bool {
        guard drop() else { return false }
        assertObjectListHeld()
        object.remove(self)
        leaveLists()
        end()
        return true
    }

    /// Whether the last reference is gone, and it only waits for its end.
    var isZombie: Bool { refs.load(ordering: .acquiring) == 0 }

    /// One reference more, unless the last is gone.
    func getUnlessZombie() -> Bool { change(by: 1, ifMoreThan: 0) }

    /// Without the last reference it is another's to see to.
    /// - Returns: whether it was the last.
    func drop() -> Bool {
        let old = refs.wrappingSubtract(1, ordering: .acquiringAndReleasing).oldValue
        precondition(old > 0, "the pair is dead")
        return old == 1
    }

    /// One reference less, unless it is the last.
    func dropUnlessLast() -> Bool { change(by: -1, ifMoreThan: 1) }

    private func change(by delta: Int, ifMoreThan least: Int) -> Bool {
        var old = refs.load(ordering: .relaxed)
        while old > least {
            let (done, seen) = refs.weakCompareExchange(
                expected: old, desired: old + delta, ordering: .acquiringAndReleasing)
            if done { return true }
            old = seen
        }
        return false
    }

    /// One reference less, in the way of the VM's mode.
    func letGo() {
        if vm.flags.contains(.immediateMode) { putDeferred() } else { put() }
    }

    /// The end of a pair that is on no list.
    func end() {
        let vm = vm
        // An Exec may have it locked that relies on us to keep it. Whoever is here has that lock then.
        if !vm.flags.contains(.immediateMode) { object.reservation.lock.ticket()?.keep(object) }
        object.countPair(-1)
        vm.driver.ended(self)
        vm.release(memory)
        Unmanaged.passUnretained(self).release()
        vm.put()
    }

    // MARK: Lists

    /// Whether the object has a reservation other than the VM's (`drm_gpuvm_is_extobj`).
    public var isExternal: Bool { vm.isExternal(object) }

    /// Has the VM lock the object with all its own, if it is external (`drm_gpuvm_bo_extobj_add`). Nothing happens the
    /// second time. With the VM's reservation held where that guards the VM's lists.
    public func addExternal() {
        Unmanaged.passUnretained(vm.external)._withUnsafeGuaranteedRef {
            if isExternal { $0.add(externalNode) } else { $0.assertGuarded() }
        }
    }

    /// Leaves the VM's lists.
    func leaveLists() {
        vm.external.remove(externalNode)
        vm.evicted.remove(evictedNode)
    }

    /// Says that the object's memory went away or is back; validation sees to the first
    /// (`drm_gpuvm_bo_evict`). With the object's reservation held. Where the VM's reservation guards the VM's lists, an
    /// external object gets onto the list of evicted ones only in ``VM/prepareObjects(_:fences:)``.
    public func evict(_ evicted: Bool) {
        object.reservation.lock.assertHeld()
        isEvicted = evicted
        if isExternal, vm.flags.contains(.resvProtected) { return }
        if evicted { vm.evicted.add(evictedNode) } else { vm.evicted.remove(evictedNode) }
    }

    func assertObjectListHeld() { vm.assertListHeld(of: object) }
}

/// What belongs to a pair and may outlive it: when a pair dies its number in the space is still in use, until whoever
/// serialises the space comes by.
struct PairMemory {
    var nodes: (RingNode, RingNode, RingNode)
    /// `nil`: dead.
    var owner: Unmanaged<VMBO>?
    /// In the space, which knows this memory by it; 0: not yet.
    var pair: gpuvm_bo = GPUVM_BO_NONE
    var nextDead: UnsafeMutablePointer<PairMemory>?
}

extension UnsafeMutablePointer<PairMemory> {
    func node(_ i: Int) -> Ring {
        // The nodes come first.
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: RingNode.self) + i
    }

    func initialize(owner: Unmanaged<VMBO>) {
        let node = RingNode(next: node(0), previous: node(0), owner: nil)
        initialize(to: PairMemory(nodes: (node, node, node), owner: owner))
        for i in 0..<3 { self.node(i).initialize(owner: owner) }
    }
}
