internal import CGPUVM
package import CGPUVMBase
public import DRMExec
public import DRMLock
public import DRMSync
internal import Glibc
public import KernelErrno
internal import Synchronization

/// What a driver does for its VMs (`drm_gpuvm_ops`).
public protocol VMDriver: AnyObject, Sendable {
    /// The last of a VM, after all its pairs (`vm_free`).
    func free(_ vm: VM)
    /// The last of a pair (`vm_bo_free`); its VM and object are still there.
    func ended(_ vmBO: VMBO)
}

extension VMDriver {
    public func ended(_ vmBO: VMBO) {}
}

/// A driver that brings evicted objects back.
public protocol ValidatingVMDriver: VMDriver {
    /// Brings an object's memory back, and says so by ``VMBO/evict(_:)`` (`vm_bo_validate`). The VM's and all external
    /// objects' reservations are held by `exec`.
    func validate(_ vmBO: VMBO, _ exec: Exec) throws(KernelErrno)
}

/// The VM of a GPU's client (`drm_gpuvm`): a space, and what its driver needs to lock and validate what is mapped in it.
///
/// Its life is counted by hand, as in the kernel: one reference for who made it, one for each pair, one for each
/// mapping. With the last one gone the driver's `free` is called.
///
/// Locks: the caller serialises what concerns the space (``space``, and all calls that change or read mappings and
/// links). An object's list of pairs is guarded by its reservation, or by its ``MappableObject/gpuvaLock`` in
/// immediate mode. The lists of external and evicted objects have locks of their own, or are guarded by the VM's
/// reservation (``Flags/resvProtected``). The lock validator looks.
///
/// Source: drm_gpuvm.c; spec/gpuvm.md.
public final class VM: @unchecked Sendable {
    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// The lists of external and evicted objects are guarded by the VM's reservation
        /// (`DRM_GPUVM_RESV_PROTECTED`).
        public static let resvProtected = Flags(rawValue: 1 << 0)
        /// The space changes in fence-signalling sections: lists of pairs are guarded by
        /// ``MappableObject/gpuvaLock`` (`DRM_GPUVM_IMMEDIATE_MODE`).
        public static let immediateMode = Flags(rawValue: 1 << 1)
        /// The first that is a driver's own (`DRM_GPUVM_USERBITS`).
        public static let firstUser = Flags(rawValue: 1 << 2)
    }

    /// The mappings. It changes through the VM's own calls, which keep the references.
    @exclusivity(unchecked) public internal(set) var space: AddressSpace
    /// The same, for where the space is busy: in its callbacks.
    package let core: OpaquePointer
    public let name: String
    public let gate: Gate
    public let flags: Flags
    /// Its reservation is the VM's: objects that share it are the VM's own, all others are external.
    public let resvObject: GEMObject
    public let driver: any VMDriver
    let validator: (any ValidatingVMDriver)?

    /// References, where all mappings are one.
    private let refs = Atomic<Int>(1)
    let external, evicted: VMBOList
    /// Pairs whose last reference was dropped deferred.
    let zombies = Atomic<Unmanaged<VMBO>?>(nil)
    /// Pairs that are gone but for their numbers in the space.
    private let dead = Atomic<UnsafeMutablePointer<PairMemory>?>(nil)

    // Guarded by whoever serialises the space.
    @exclusivity(unchecked) var touched: Unmanaged<VMBO>?
    @exclusivity(unchecked) var hasMappings = false
    var locking: OperationList

    /// Told of misuse that the kernel warns of. To be set before use; the usual one ends a debug build.
    public var onWarning: (StaticString) -> Void = { assertionFailure("\($0)") }
    /// Where pairs get their memory; `malloc`, but in tests.
    package var allocate: (Int) -> UnsafeMutableRawPointer? = { malloc($0) }

    /// Makes a VM with a reference (`drm_gpuvm_init`). Windows and `userSize` are those of ``AddressSpace``.
    /// - Throws: `EINVAL` for a `userSize` above 4096, `ENOMEM`.
    public convenience init(
        name: String = "unknown", gate: Gate, flags: Flags = [], driver: any VMDriver, resvObject: GEMObject,
        start: UInt64, range: UInt64, kernelStart: UInt64 = 0, kernelRange: UInt64 = 0, userSize: Int = 0
    ) throws(KernelErrno) {
        try self.init(
            name: name, gate: gate, flags: flags, driver: driver, resvObject: resvObject, start: start, range: range,
            kernelStart: kernelStart, kernelRange: kernelRange, userSize: userSize, allocator: gpuvm_alloc())
    }

    /// The same with the space's memory from `allocator`.
    package init(
        name: String, gate: Gate, flags: Flags = [], driver: any VMDriver, resvObject: GEMObject, start: UInt64,
        range: UInt64, kernelStart: UInt64, kernelRange: UInt64, userSize: Int, allocator: gpuvm_alloc
    ) throws(KernelErrno) {
        space = try AddressSpace(
            start: start, range: range, kernelStart: kernelStart, kernelRange: kernelRange, userSize: userSize,
            allocator: allocator)
        locking = OperationList(allocator: allocator)
        core = space.vm
        self.name = name
        self.gate = gate
        self.flags = flags
        self.driver = driver
        validator = driver as? any ValidatingVMDriver
        self.resvObject = resvObject
        let guardian = flags.contains(.resvProtected) ? resvObject.reservation : nil
        external = VMBOList(gate, guardedBy: guardian)
        evicted = VMBOList(gate, guardedBy: guardian)
        // Until the last put().
        _ = Unmanaged.passRetained(self)
    }

    deinit {
        var next = dead.load(ordering: .acquiring)
        while let memory = next {
            next = memory.pointee.nextDead
            Glibc.free(memory)
        }
    }

    /// An object that is nothing but a reservation, for a VM without an object of its own to give
    /// (`drm_gpuvm_resv_object_alloc`).
    public static func makeResvObject(gate: Gate) -> GEMObject { GEMObject(gate: gate) }

    /// The one that the VM's own objects share (`drm_gpuvm_resv`).
    public var reservation: Reservation { resvObject.reservation }

    /// Whether an object has a reservation other than the VM's (`drm_gpuvm_is_extobj`).
    public func isExternal(_ object: GEMObject) -> Bool { object.reservation !== reservation }

    /// Copies of the lists, in order; for tests and reports. With the VM's reservation held where that guards them.
    public var externalObjects: [VMBO] { external.all }
    public var evictedObjects: [VMBO] { evicted.all }

    /// Whether there is anything for ``validate(_:)`` to do. With the VM's reservation held where that guards the lists.
    public var hasEvicted: Bool { evicted.hasAny }

    // MARK: References

    /// One reference more; the caller has one (`drm_gpuvm_get`).
    @discardableResult
    public func get() -> VM {
        let old = refs.wrappingAdd(1, ordering: .relaxed).oldValue
        precondition(old > 0, "the VM is dead")
        return self
    }

    /// One reference less (`drm_gpuvm_put`). Callable anywhere.
    public func put() {
        let old = refs.wrappingSubtract(1, ordering: .acquiringAndReleasing).oldValue
        precondition(old > 0, "the VM is dead")
        if old == 1 { fini() }
    }

    /// References: those taken, one for each pair, and one for each mapping. 0: dead. For tests and reports.
    public var referenceCount: Int {
        let taken = refs.load(ordering: .relaxed)
        return taken == 0 ? 0 : taken - (hasMappings ? 1 : 0) + gpuvm_count(core)
    }

    private func fini() {
        warn(if: gpuvm_count(core) > 0, "a VM ends with mappings")
        warn(if: zombies.load(ordering: .relaxed) != nil, "a VM ends with pairs that wait for their end")
        driver.free(self)
        Unmanaged.passUnretained(self).release()
    }

    // MARK: Checks

    func warn(if mistake: Bool, _ text: StaticString) {
        if mistake { onWarning(text) }
    }

    /// That the caller has what guards an object's list of pairs (`drm_gem_gpuva_assert_lock_held`).
    func assertListHeld(of object: MappableObject) {
        if flags.contains(.immediateMode) {
            object.gpuvaLock.assertHeld()
        } else {
            object.reservation.lock.assertHeld()
        }
    }

    // MARK: Numbers of pairs

    /// A pair has died: its number in the space goes with the next who serialises the space, and its memory with it.
    func release(_ memory: UnsafeMutablePointer<PairMemory>) {
        guard memory.pointee.pair != GPUVM_BO_NONE else { return free(memory) }
        memory.pointee.owner = nil
        push(dead: memory)
    }

    private func push(dead memory: UnsafeMutablePointer<PairMemory>) {
        var top = dead.load(ordering: .relaxed)
        while true {
            memory.pointee.nextDead = top
            let (done, seen) = dead.weakCompareExchange(expected: top, desired: memory, ordering: .releasing)
            if done { return }
            top = seen
        }
    }

    /// With the space serialised. A pair that a list of operations still names has to wait.
    func buryDead() {
        guard dead.load(ordering: .relaxed) != nil else { return }
        var next = dead.exchange(nil, ordering: .acquiring)
        while let memory = next {
            next = memory.pointee.nextDead
            if gpuvm_bo_destroy(core, memory.pointee.pair) == 0 { free(memory) } else { push(dead: memory) }
        }
    }
}
