import CNouveauUAPI
import DRMLock
import DRMSync
import GPUVM
import KernelErrno
import NVMMU
import Testing

@testable import NouveauDevice

/// A client of the device: one open file and its ioctls, with C structs as a driver has them.
struct Client {
    let device: Device
    let file: DeviceFile
    /// An ioctl returns with the work it left still to do.
    var leavesWork = false

    init(_ chipset: Int = 0x172, vram: UInt64 = 64 << 20, gart: UInt64 = 64 << 20, gate: Gate? = nil) throws {
        var options = DeviceOptions()
        options.vram = vram
        options.gart = gart
        try self.init(Device(chipset: chipset, options: options, gate: gate))
    }

    init(_ device: Device) {
        self.device = device
        file = device.open(name: "test[1]")
    }

    /// Runs one ioctl on a struct, and what it leaves to do; 0 or a negative errno.
    @discardableResult
    func call<Layout>(_ request: UInt32, _ argument: inout Layout) -> Int32 {
        defer { if !leavesWork { device.runUntilIdle() } }
        return withUnsafeMutablePointer(to: &argument) { file.ioctl(request, $0) }
    }

    func call<Layout>(_ request: UInt32, _ argument: Layout) -> Int32 {
        var argument = argument
        return call(request, &argument)
    }
}

/// Negative, as ioctls return it.
prefix func - (errno: KernelErrno) -> Int32 { -errno.rawValue }

let vram = NVU_GEM_DOMAIN_VRAM
let gart = NVU_GEM_DOMAIN_GART
let noShare = NVU_GEM_DOMAIN_NO_SHARE

extension Client {
    func vmInit(_ addr: UInt64 = 1 << 39, _ size: UInt64 = 1 << 39) -> Int32 {
        call(NVU_VM_INIT, nvu_vm_init(kernel_managed_addr: addr, kernel_managed_size: size))
    }

    func gemNew(
        _ domain: UInt32, _ size: UInt64, tileFlags: UInt32 = 0, align: UInt32 = 0
    ) -> (result: Int32, info: nvu_gem_info) {
        var new = nvu_gem_new()
        new.info.domain = domain
        new.info.size = size
        new.info.tile_flags = tileFlags
        new.align = align
        let result = call(NVU_GEM_NEW, &new)
        return (result, new.info)
    }

    /// A buffer that must come; its handle.
    func buffer(_ domain: UInt32, _ size: UInt64, tileFlags: UInt32 = 0) throws -> UInt32 {
        let (result, info) = gemNew(domain, size, tileFlags: tileFlags)
        try #require(result == 0)
        return info.handle
    }

    func gemClose(_ handle: UInt32) -> Int32 {
        call(NVU_GEM_CLOSE, nvu_gem_close(handle: handle, pad: 0))
    }

    func channelAlloc(fb: UInt32 = 0, tt: UInt32 = 0) -> (result: Int32, alloc: nvu_channel_alloc) {
        var alloc = nvu_channel_alloc()
        alloc.fb_ctxdma_handle = fb
        alloc.tt_ctxdma_handle = tt
        let result = call(NVU_CHANNEL_ALLOC, &alloc)
        return (result, alloc)
    }

    func bind(
        _ ops: [nvu_vm_bind_op], async: Bool = false, waits: [nvu_sync] = [], signals: [nvu_sync] = []
    ) -> Int32 {
        ops.withUnsafeBufferPointer { ops in
            waits.withUnsafeBufferPointer { waits in
                signals.withUnsafeBufferPointer { signals in
                    var bind = nvu_vm_bind()
                    bind.flags = async ? NVU_VM_BIND_RUN_ASYNC : 0
                    bind.op_count = UInt32(ops.count)
                    bind.wait_count = UInt32(waits.count)
                    bind.sig_count = UInt32(signals.count)
                    bind.op_ptr = address(ops.baseAddress)
                    bind.wait_ptr = address(waits.baseAddress)
                    bind.sig_ptr = address(signals.baseAddress)
                    return call(NVU_VM_BIND, &bind)
                }
            }
        }
    }

    func exec(
        _ channel: Int32, _ pushes: [nvu_exec_push] = [], waits: [nvu_sync] = [], signals: [nvu_sync] = []
    ) -> Int32 {
        pushes.withUnsafeBufferPointer { pushes in
            waits.withUnsafeBufferPointer { waits in
                signals.withUnsafeBufferPointer { signals in
                    var exec = nvu_exec()
                    exec.channel = UInt32(bitPattern: channel)
                    exec.push_count = UInt32(pushes.count)
                    exec.wait_count = UInt32(waits.count)
                    exec.sig_count = UInt32(signals.count)
                    exec.push_ptr = address(pushes.baseAddress)
                    exec.wait_ptr = address(waits.baseAddress)
                    exec.sig_ptr = address(signals.baseAddress)
                    return call(NVU_EXEC, &exec)
                }
            }
        }
    }
}

// MARK: - Fences

extension Client {
    /// The same, but what it leaves to do is left to whoever steps.
    var leavingWork: Client {
        var client = self
        client.leavesWork = true
        return client
    }

    /// A syncobj without a fence; its handle.
    func syncobj() -> UInt32 {
        var create = nvu_syncobj_create()
        precondition(call(NVU_SYNCOBJ_CREATE, &create) == 0)
        return create.handle
    }

    /// A syncobj with a fence that signals when the test says so.
    func pendingSyncobj() -> (handle: UInt32, fence: Fence) {
        let handle = syncobj()
        let fence = Fence(gate: device.gate, context: device.gate.allocateContexts(), seqno: 1)
        file.syncobjs[handle]!.replace(with: fence)
        return (handle, fence)
    }

    /// What has become of a syncobj's fence; `nil`: it has none.
    func status(_ handle: UInt32) -> Fence.Status? { file.syncobjs[handle]?.fence?.status }

    func cpuPrep(_ handle: UInt32, _ flags: UInt32) -> Int32 {
        call(NVU_GEM_CPU_PREP, nvu_gem_cpu_prep(handle: handle, flags: flags))
    }

    func bytes(_ handle: UInt32) -> UnsafeMutableRawBufferPointer { file.object(handle: handle)!.bytes }
}

let nowait: UInt32 = 1
let forWriting: UInt32 = 4

func address<T>(_ pointer: UnsafePointer<T>?) -> UInt64 {
    UInt64(UInt(bitPattern: pointer))
}

// MARK: - Operations in short

func map(_ handle: UInt32, _ addr: UInt64, _ range: UInt64, offset: UInt64 = 0, kind: UInt32 = 0) -> nvu_vm_bind_op {
    nvu_vm_bind_op(op: 0, flags: kind, handle: handle, pad: 0, addr: addr, bo_offset: offset, range: range)
}

func unmap(_ addr: UInt64, _ range: UInt64) -> nvu_vm_bind_op {
    nvu_vm_bind_op(op: 1, flags: 0, handle: 0, pad: 0, addr: addr, bo_offset: 0, range: range)
}

func mapSparse(_ addr: UInt64, _ range: UInt64) -> nvu_vm_bind_op {
    nvu_vm_bind_op(op: 0, flags: NVU_VM_BIND_SPARSE, handle: 0, pad: 0, addr: addr, bo_offset: 0, range: range)
}

func unmapSparse(_ addr: UInt64, _ range: UInt64) -> nvu_vm_bind_op {
    nvu_vm_bind_op(op: 1, flags: NVU_VM_BIND_SPARSE, handle: 0, pad: 0, addr: addr, bo_offset: 0, range: range)
}

func binary(_ handle: UInt32) -> nvu_sync {
    nvu_sync(flags: NVU_SYNC_SYNCOBJ, handle: handle, timeline_value: 0)
}

func timeline(_ handle: UInt32, _ point: UInt64) -> nvu_sync {
    nvu_sync(flags: NVU_SYNC_TIMELINE_SYNCOBJ, handle: handle, timeline_value: point)
}

// MARK: - Looking inside

/// Everything a failed VM_BIND must leave as it was.
struct Snapshot: Equatable {
    struct Mapped: Equatable {
        var addr, range, offset, object: UInt64
        var kind, pageShift: Int
        var inRegion: Bool
        var bind: UInt32
    }

    var mappings: [Mapped] = []
    var extents: [Extent] = []
    var counters: [TableCounters] = []
    var regions: [SparseRegion] = []
    var pairs = 0
    var memory: [UInt64] = []

    init(_ client: Client) {
        let device = client.device.memory
        memory = [device.vram.used, device.gart.used, device.tables.used, device.storeUsed, UInt64(device.objectCount)]
        guard let uvmm = client.file.uvmm else { return }
        uvmm.vm.space.forEach { (m: Mapping) in
            guard m.pair != nil else { return }
            let state = uvmm.state(of: m.id)
            mappings.append(
                Mapped(
                    addr: m.addr, range: m.range, offset: m.offset, object: uvmm.object(behind: m).id, kind: state.kind,
                    pageShift: state.pageShift, inRegion: state.inRegion, bind: state.bind))
        }
        uvmm.tables.forEachExtent(0, UVMM.end) { (extent: Extent) in
            if extent.state != .unmapped { extents.append(extent) }
        }
        counters = uvmm.tables.counters()
        regions = uvmm.regions
        pairs = uvmm.pairCount
    }
}

extension UVMM {
    /// The first broken invariant of the space or the tables.
    func broken() -> String? {
        vm.space.check() ?? tables.check()
    }

    /// What the page tables have at an address: "unmapped", "sparse", or the page.
    func at(_ va: UInt64) -> Walk.Result {
        tables.walk(va).result
    }
}
