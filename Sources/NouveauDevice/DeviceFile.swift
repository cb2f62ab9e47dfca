internal import DRMLock
internal import DRMSync
internal import KernelErrno
internal import NouveauUAPI
internal import Synchronization

/// One open file of the device (the kernel's drm_file and nouveau_cli). Closes itself when nobody holds it any more.
///
/// Locks: its mutex (the kernel's `cli->mutex`) is held by EXEC, VM_INIT, and what concerns channels and NVIF, and to see
/// whether there is an address space. Another guards the handles of shared objects.
public final class DeviceFile: @unchecked Sendable {
    public let device: Device
    /// How many files were opened before it.
    package let serial: Int
    let mutex: SleepingMutex
    static let lockClass = LockClass("cli.mutex")
    /// `nil`: nobody records.
    let record: FileRecord?
    /// Its VM_BINDs.
    let binds: JobQueue
    /// "comm[pid]".
    let name: String

    private let nameLock = SpinLock()
    /// Guarded by the lock of the name.
    private var givenName = ""

    /// The client's address space; `nil` before VM_INIT.
    @exclusivity(unchecked) package internal(set) var uvmm: UVMM?
    /// A buffer or a channel came first: no VM_INIT any more.
    var isUVMMDisabled = false

    let objects = HandleTable<BufferObject>()
    let syncobjs = HandleTable<Syncobj>()
    /// Handles of objects this file exported or imported, by object: importing again gives the same handle.
    /// Guarded by ``primeMutex``.
    var primeHandles: [UInt64: UInt32] = [:]
    let primeMutex: SleepingMutex
    private static let primeLockClass = LockClass("prime.lock")
    /// Newest first.
    @exclusivity(unchecked) var channels: [Channel] = []
    var nvifObjects: [UInt64: NVIFObject] = [:]
    private let openFlag = Atomic<Bool>(true)

    init(device: Device, name: String, serial: Int) {
        self.device = device
        self.serial = serial
        self.name = name
        record = device.recorder.map(FileRecord.init)
        mutex = SleepingMutex(Self.lockClass, gate: device.gate)
        primeMutex = SleepingMutex(Self.primeLockClass, gate: device.gate)
        // Freeing takes locks that are held over allocations, so it is no queue that others' fences need.
        binds = JobQueue(
            "binds of \(name)", gate: device.gate, creditLimit: 1,
            queue: WorkQueue("binds of \(name)", gate: device.gate, mayPark: true, onlyForLocks: true),
            track: device.jobLog?.track("binds", file: serial))
    }

    deinit {
        close()
    }

    var isOpen: Bool { openFlag.load(ordering: .acquiring) }

    /// What SET_CLIENT_NAME gave; empty: nothing.
    var clientName: String { nameLock.withLock { givenName } }

    func rename(_ name: String) {
        nameLock.withLock { givenName = name }
    }

    var jobQueues: [JobQueue] { [binds] + channels.compactMap(\.jobs) }

    var userMemory: any UserMemory { device.userMemory }

    package func object(handle: UInt32) -> BufferObject? {
        objects[handle]
    }

    /// Closes the file, in the kernel's order; more than once is the same as once.
    public func close() {
        guard openFlag.exchange(false, ordering: .acquiringAndReleasing) else { return }
        record?.willClose(uvmm)
        syncobjs.removeAll()
        objects.removeAll()
        primeHandles = [:]
        nvifObjects = [:]
        for channel in channels { free(channel) }
        binds.fini()
        uvmm?.tearDown()
        device.forget(self)
        uvmm = nil
        record?.didClose()
    }
}
