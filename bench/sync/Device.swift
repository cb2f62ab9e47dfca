import CNouveauUAPI
import DRMSync
import NouveauDevice
import Peers

/// A client of a stepped device: one buffer, 64K pages in video memory, of which pieces are bound.
private final class Client {
    let device: Device
    let file: DeviceFile
    private var ops: [nvu_vm_bind_op] = []
    private var channel: UInt32 = 0

    init() {
        device = try! Device(chipset: 0x172)
        file = device.open(name: "bench[1]")
        var space = nvu_vm_init(kernel_managed_addr: 1 << 39, kernel_managed_size: 1 << 38)
        call(NVU_VM_INIT, &space)
        var new = nvu_gem_new()
        new.info.domain = NVU_GEM_DOMAIN_VRAM
        new.info.size = 1 << 30
        call(NVU_GEM_NEW, &new)
        var alloc = nvu_channel_alloc()
        call(NVU_CHANNEL_ALLOC, &alloc)
        channel = UInt32(bitPattern: alloc.channel)
        for i in 0..<UInt64(4096) {
            ops.append(
                nvu_vm_bind_op(
                    op: NVU_VM_BIND_OP_MAP, flags: 0, handle: new.info.handle, pad: 0, addr: 1 << 32 + i << 16,
                    bo_offset: piece(i) << 16, range: 1 << 16))
        }
        bind(0, 4096)
    }

    private func call<Layout>(_ request: UInt32, _ argument: inout Layout) {
        let result = withUnsafeMutablePointer(to: &argument) { file.ioctl(request, $0) }
        precondition(result == 0)
    }

    /// Binds pieces once more: each replaces the one that is there.
    func bind(_ first: Int, _ count: Int) {
        ops.withUnsafeBufferPointer { bind($0.baseAddress! + first, count) }
    }

    /// The same for one, of which the caller's stack has a copy.
    func bindFromStack(_ i: Int) {
        withUnsafePointer(to: ops[i]) { bind($0, 1) }
    }

    private func bind(_ ops: UnsafePointer<nvu_vm_bind_op>, _ count: Int) {
        var bind = nvu_vm_bind()
        bind.op_count = UInt32(count)
        bind.op_ptr = UInt64(UInt(bitPattern: ops))
        call(NVU_VM_BIND, &bind)
        device.runUntilIdle()
    }

    func exec() {
        var exec = nvu_exec()
        exec.channel = channel
        call(NVU_EXEC, &exec)
        device.runUntilIdle()
    }
}

/// The kernel's VA space and page tables, without any UAPI, are given the same.
private struct KernelSpace {
    private let peer: bind_peer
    private let space: UnsafeMutableRawPointer
    private let ops: [bind_op]

    init?(_ peer: bind_peer?) {
        guard let peer, let space = peer.open() else { return nil }
        self.peer = peer
        self.space = space
        ops = (0..<UInt64(4096)).map { bind_op(va: 1 << 32 + $0 << 16, offset: piece($0) << 16) }
    }

    func bind() { ops.withUnsafeBufferPointer { peer.bind(space, $0.baseAddress, $0.count) } }
    func close() { peer.close(space) }
}

/// Pieces that do not follow each other in the buffer.
private func piece(_ i: UInt64) -> UInt64 { i &* 2 & 4095 | i >> 11 }

func benchDevice(_ rounds: Int) {
    let client = Client(), kernel = KernelSpace(Kernel.bind)
    defer { kernel?.close() }
    // Fills the space.
    kernel?.bind()
    report("nouveau's ioctls, stepped device: each to its end, freeing included", rounds: rounds, [
        Row(name: "limit: a fence made, signalled, let go", count: 50_000) { count in
            measure { for _ in 0..<count { Fence(gate: client.device.gate, context: 1, seqno: 1).signal() } }
        },
        Row(name: "VM_BIND, 1 map of 64K, synchronous", count: 20_000, most: 1000) { count in
            measure { for i in 0..<count { client.bind(i & 4095, 1) } }
        },
        // NVK's binds of a buffer have theirs there (Mesa, nouveau_bo.c). Elsewhere the kernel is asked whether memory is.
        Row(name: "the same, its operation on the stack", count: 20_000, most: 1000) { count in
            measure { for i in 0..<count { client.bindFromStack(i & 4095) } }
        },
        Row(
            name: "VM_BIND, 4096 maps of 64K a call, each", count: 4096 * 20, target: 4,
            kernel: kernel.map { kernel in { count in measure { for _ in 0..<count / 4096 { kernel.bind() } } } }
        ) { count in
            measure { for _ in 0..<count / 4096 { client.bind(0, 4096) } }
        },
        Row(name: "EXEC without pushes", count: 20_000) { count in
            measure { for _ in 0..<count { client.exec() } }
        },
    ])
}
