internal import CNouveauUAPI
internal import GPUVM
package import NouveauDevice

/// One device file of a session that is being replayed.
package final class ReplayFile {
    /// The recorded number.
    package let fd: Int
    package let file: DeviceFile
    /// Line of the call that opened it.
    package let openedAt: Int
    var objects = HandleMap<UInt32, UInt32>("GEM handle", none: 0)
    var syncobjs = HandleMap<UInt32, UInt32>("syncobj handle", none: 0)
    var channels = HandleMap<Int32, Int32>("channel", none: -1)
    var mapHandles = HandleMap<UInt64, UInt64>("map_handle", none: 0, inHex: true)
    var nvif = NVIFObjects()
    /// Calls that mapped something, by the numbers our device gave them.
    private var binds: [UInt32: Bind] = [:]
    /// The area of the address space that the client left to the kernel.
    private(set) var kernelArea: Range<UInt64> = 0..<0

    private struct Bind {
        /// Of the file.
        var line: Int
        /// Recorded handles of the objects it mapped, by object.
        var handles: [UInt64: UInt32]
    }

    init(fd: Int, file: DeviceFile, openedAt: Int) {
        self.fd = fd
        self.openedAt = openedAt
        self.file = file
    }

    package var uvmm: UVMM? { file.uvmm }

    func noteInit(_ area: Range<UInt64>) {
        kernelArea = area
    }

    /// Remembers what a successful VM_BIND mapped, the last that the address space saw.
    func noteBind(_ bind: TraceCall.VMBind, ours: [nvu_vm_bind_op], line: Int) {
        guard let uvmm else { return }
        var handles: [UInt64: UInt32] = [:]
        for (recorded, op) in zip(bind.ops, ours) where recorded.usesObject {
            if let object = file.object(handle: op.handle) { handles[object.id] = recorded.handle }
        }
        binds[uvmm.lastBind] = Bind(line: line, handles: handles)
    }

    /// The recorded handle with which an extent's object was mapped.
    package func handle(of extent: SpaceSnapshot.Extent) -> UInt32 {
        bind(extent)?.handles[extent.object.id] ?? 0
    }

    /// Line of the VM_BIND that made an extent.
    package func line(of extent: SpaceSnapshot.Extent) -> Int? {
        bind(extent)?.line
    }

    private func bind(_ extent: SpaceSnapshot.Extent) -> Bind? {
        binds[extent.bind]
    }
}

/// NVIF objects of a file. Traces do not keep the client's keys, only whether there was one, so they get ours.
struct NVIFObjects {
    /// Engine classes of the recorded device and of ours, where they differ: on another chip.
    private var classes: [UInt32: UInt32] = [:]
    private var made: UInt64 = 0
    private var device: UInt64 = 0
    /// Engine objects, oldest first: the order in which clients delete them.
    private var engine: [UInt64] = []

    /// Classes of the same engine have the same low byte; clients take the newest.
    mutating func noteClasses(_ recorded: [UInt32], ours: [UInt32]) {
        for oclass in recorded where !ours.contains(oclass) {
            classes[oclass] = ours.filter { $0 & 0xff == oclass & 0xff }.max()
        }
    }

    /// Our class for a recorded one.
    func ours(_ oclass: UInt32) -> UInt32 {
        classes[oclass] ?? oclass
    }

    mutating func make(isDevice: Bool) -> UInt64 {
        made += 1
        if isDevice { device = made } else { engine.append(made) }
        return made
    }

    /// Methods go to the device object.
    var methodTarget: UInt64 { device }

    /// The object to delete; deleting one that was never made succeeds too.
    mutating func delete() -> UInt64 {
        engine.isEmpty ? .max : engine.removeFirst()
    }
}
