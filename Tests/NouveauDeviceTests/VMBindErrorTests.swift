import CNouveauUAPI
import KernelErrno
import NVMMU
import NouveauUAPI
import Testing

@testable import NouveauDevice

@Suite("VM_INIT and VM_BIND: errors in the kernel's order") struct VMBindErrorTests {
    /// A client after VM_INIT with a 64 KiB buffer, handle 1, and a syncobj without fence, handle 1.
    static func client() throws -> Client {
        let client = try Client()
        try #require(client.vmInit() == 0)
        _ = try client.buffer(gart, 64 << 10)
        try #require(client.call(NVU_SYNCOBJ_CREATE, nvu_syncobj_create()) == 0)
        return client
    }

    @Test("VM_INIT: overflow, then the end of the space, then the client's state")
    func vmInit() throws {
        let client = try Client()
        #expect(client.vmInit(.max, 2) == -.EINVAL)
        #expect(client.vmInit(1 << 46, 1 << 46 + 1) == -.EINVAL)
        #expect(client.vmInit() == 0)
        #expect(client.vmInit() == -.EBUSY)
        #expect(client.vmInit(.max, 2) == -.EINVAL)
    }

    @Test("VM_INIT takes a kernel area without size and any alignment")
    func vmInitOdd() throws {
        #expect(try Client().vmInit(0, 0) == 0)
        #expect(try Client().vmInit(123, 456) == 0)
        #expect(try Client().vmInit(1 << 46, 1 << 46) == 0)
    }

    @Test("a buffer or a channel before VM_INIT forbids it for ever, even one that failed")
    func disabled() throws {
        let client = try Client()
        #expect(client.gemNew(gart, 0).result == -.EINVAL)
        #expect(client.vmInit() == -.ENOSYS)
        #expect(client.vmInit(.max, 2) == -.EINVAL)
        let other = try Client()
        #expect(other.channelAlloc(fb: ~0, tt: 5).result == -.ENOSYS)
        #expect(other.vmInit() == -.ENOSYS)
    }

    @Test("1: no VM_INIT is ENOSYS before any copy")
    func noSpace() throws {
        #expect(try Client().call(NVU_VM_BIND, nvu_vm_bind(op_count: 1, flags: 0, wait_count: 0, sig_count: 0, wait_ptr: 0, sig_ptr: 0, op_ptr: 1)) == -.ENOSYS)
    }

    @Test("2 and 4: arrays are copied before a synchronous call is refused its waits")
    func copies() throws {
        let client = try Self.client()
        var bind = nvu_vm_bind()
        bind.wait_count = 1
        bind.wait_ptr = 8
        #expect(client.call(NVU_VM_BIND, bind) == -.EFAULT)
        #expect(client.bind([], waits: [binary(99)]) == -.EINVAL)
        #expect(client.bind([], signals: [binary(99)]) == -.EINVAL)
        bind.wait_count = .max
        #expect(client.call(NVU_VM_BIND, bind) == -.ENOMEM)
    }

    @Test("5: a wait's type, handle and fence, in this order, before signals and operations")
    func waits() throws {
        let client = try Self.client()
        let bad = [nvu_vm_bind_op()]
        var odd = binary(99)
        odd.flags = 2
        #expect(client.bind(bad, async: true, waits: [odd], signals: [odd]) == -.EOPNOTSUPP)
        #expect(client.bind(bad, async: true, waits: [binary(99)], signals: [odd]) == -.ENOENT)
        #expect(client.bind(bad, async: true, waits: [binary(1)], signals: [odd]) == -.EINVAL)
        #expect(client.bind(bad, async: true, waits: [timeline(1, 1)]) == -.EINVAL)
        // A point that is not there yet is never waited for.
        #expect(client.bind([], async: true, signals: [timeline(1, 4)]) == 0)
        #expect(client.bind([], async: true, waits: [timeline(1, 5)]) == -.EINVAL)
        #expect(client.bind([], async: true, waits: [timeline(1, 4), timeline(1, 1), binary(1)]) == 0)
    }

    @Test("6: a signal's type is EINVAL, its handle ENOENT, before operations")
    func signals() throws {
        let client = try Self.client()
        let bad = [map(99, 0, 4096)]
        var odd = binary(99)
        odd.flags = 2
        #expect(client.bind(bad, async: true, signals: [odd]) == -.EINVAL)
        #expect(client.bind(bad, async: true, signals: [binary(98)]) == -.ENOENT)
        #expect(client.bind(bad, async: true, signals: [binary(1)]) == -.ENOENT)
        // Unknown bits of flags mean nothing.
        odd = binary(1)
        odd.flags = 0x10
        #expect(client.bind([], async: true, signals: [odd]) == 0)
    }

    @Test("a failed call signals nothing")
    func failedSignals() throws {
        let client = try Self.client()
        #expect(client.bind([map(99, 0, 4096)], async: true, signals: [binary(1)]) == -.ENOENT)
        #expect(client.file.syncobjs[1]!.fence == nil)
    }

    @Test("7a: handle, offset alignment, offset, range, address, range alignment, zero range, kernel area")
    func operations() throws {
        let client = try Self.client()
        #expect(client.bind([map(99, 1, 1, offset: 1)]) == -.ENOENT)
        for op in [
            map(1, 0, 4096, offset: 1), map(1, 0, 4096, offset: 64 << 10), map(1, 0, 64 << 10, offset: 4096),
            map(1, 0, .max & ~4095), map(1, 1, 4096), map(1, 0, 2048), map(1, 0, 0), unmap(1, 4096), unmap(0, 2048),
            unmap(0, 0), mapSparse(0, 0), unmapSparse(0, 0), map(1, 1 << 39, 4096), unmap(1 << 38, 1 << 39),
            unmap(1 << 47, 4096), unmap(.max & ~4095, 8192),
        ] {
            #expect(client.bind([op]) == -.EINVAL, "\(op)")
        }
        // The first operation at fault speaks, whatever its kind.
        #expect(client.bind([unmap(1, 1), map(99, 0, 4096)]) == -.EINVAL)
        #expect(client.bind([map(99, 0, 4096), unmap(1, 1)]) == -.ENOENT)
    }

    @Test("7a of all operations comes before 7b of any, and 7b before 8")
    func stages() throws {
        let client = try Self.client()
        try #require(client.bind([mapSparse(0, 0x10000)]) == 0)
        // 7b: -ENOSPC for the first, 7a: -ENOENT for the second.
        #expect(client.bind([mapSparse(0, 0x1000), map(99, 0, 4096)]) == -.ENOENT)
        // 8: -ENOENT for the first, 7b: -ENOSPC for the second.
        #expect(client.bind([unmapSparse(0x100000, 0x1000), mapSparse(0, 0x1000)]) == -.ENOSPC)
        // An unknown operation fails at step 8 only.
        var unknown = unmap(0, 4096)
        unknown.op = 4
        #expect(client.bind([unknown]) == -.EINVAL)
        #expect(client.bind([unknown, mapSparse(0, 0x1000)]) == -.ENOSPC)
        unknown.range = 0
        #expect(client.bind([unknown, map(99, 0, 4096)]) == -.EINVAL)
    }

    @Test("9: an object for the CPU alone is refused last, and everything is undone")
    func residency() throws {
        let client = try Self.client()
        let cpu = try client.buffer(NVU_GEM_DOMAIN_CPU, 4096)
        let before = Snapshot(client)
        #expect(client.bind([map(1, 0x10000, 4096), map(cpu, 0x1000, 4096)]) == -.EINVAL)
        #expect(Snapshot(client) == before)
        #expect(client.bind([map(cpu, 0x1000, 4096), unmapSparse(0, 4096)]) == -.ENOENT)
    }

    @Test("operations fill in only what they use, unknown bits mean nothing, no operation at all is fine")
    func ignored() throws {
        let client = try Self.client()
        var op = unmap(0, 4096)
        op.handle = 99
        op.bo_offset = 77
        op.flags = 0xffff_feff
        op.pad = 1
        #expect(client.bind([op]) == 0)
        var bind = nvu_vm_bind()
        bind.flags = ~1
        bind.op_ptr = 1
        #expect(client.call(NVU_VM_BIND, bind) == 0)
        #expect(client.bind([], async: true) == 0)
    }

    @Test("operation numbers 2 and 3 are sparse map and unmap")
    func aliases() throws {
        let client = try Self.client()
        var op = unmap(0, 0x10000)
        op.op = 2
        #expect(client.bind([op]) == 0)
        #expect(client.file.uvmm!.regions == [SparseRegion(addr: 0, range: 0x10000)])
        op.op = 3
        #expect(client.bind([op]) == 0)
        #expect(client.file.uvmm!.regions.isEmpty)
    }

    @Test("a kind the MMU does not have maps nothing, and the call succeeds")
    func unknownKind() throws {
        let client = try Self.client()
        #expect(client.bind([map(1, 0x1000, 0x1000, kind: 0), map(1, 0x1000, 0x1000, kind: 7)]) == 0)
        #expect(client.file.uvmm!.at(0x1000) == .fault(.pte))
        #expect(client.file.uvmm!.vm.space.find(0x1000, 0x1000) != nil)
        #expect(client.bind([mapSparse(0x100000, 0x10000), map(1, 0x100000, 0x1000, kind: 7)]) == 0)
        #expect(client.file.uvmm!.at(0x100000) == .sparse)
    }

    @Test("every copy can fail: EFAULT, and nothing changed unless it was the copy out")
    func faults() throws {
        let client = try Self.client()
        let memory = FailingMemory()
        client.device.userMemory = memory
        let ops = [map(1, 0x1000, 0x1000)]
        // Argument, operations, waits, signals; then the argument out.
        try #require(client.bind([], async: true, signals: [binary(1)]) == 0)
        for n in 0..<4 {
            let before = Snapshot(client)
            memory.copies = 0
            memory.failsAt = n
            #expect(client.bind(ops, async: true, waits: [binary(1)], signals: [binary(1)]) == -.EFAULT, "copy \(n)")
            #expect(Snapshot(client) == before, "copy \(n)")
        }
        memory.copies = 0
        memory.failsAt = 4
        #expect(client.bind(ops, async: true, waits: [binary(1)], signals: [binary(1)]) == -.EFAULT)
        #expect(memory.copies == 5)
        #expect(client.file.uvmm!.vm.space.count == 1)
    }
}

/// Client memory that counts copies and fails the n-th.
final class FailingMemory: UserMemory {
    var copies = 0
    var failsAt: Int?

    func copyIn(_ address: UInt64, _ destination: UnsafeMutableRawBufferPointer) throws(KernelErrno) {
        try count()
        try DirectMemory().copyIn(address, destination)
    }

    func copyOut(_ source: UnsafeRawBufferPointer, _ address: UInt64) throws(KernelErrno) {
        try count()
        try DirectMemory().copyOut(source, address)
    }

    private func count() throws(KernelErrno) {
        defer { copies += 1 }
        if copies == failsAt { throw .EFAULT }
    }
}
