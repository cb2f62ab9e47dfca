import CNouveauUAPI
import KernelErrno
import NVMMU
import Testing

@testable import NouveauDevice

/// Rows of uapi.md's check tables that no other suite has, errno by errno.
@Suite("uapi.md, row by row") struct UAPITableTests {
    private func client(_ chipset: Int = 0x172) throws -> Client {
        let client = try Client(chipset)
        try #require(client.vmInit() == 0)
        _ = try client.buffer(gart, 64 << 10)
        return client
    }

    // MARK: - 5.3 CHANNEL_ALLOC

    @Test("CHANNEL_ALLOC 4 on Fermi: there is no choice of engines, ~0 is a bad handle")
    func fermiChannel() throws {
        for tt: UInt32 in [3, 0x30] { #expect(try client(0xc1).channelAlloc(fb: ~0, tt: tt).result == -.EINVAL) }
    }

    // MARK: - 6.1 VM_INIT

    struct Limit: Sendable { var chipset: Int, end: UInt64, result: Int32 }

    @Test("VM_INIT 6: a kernel area beyond the hardware's addresses is EINVAL; the file can try again", arguments: [
        Limit(chipset: 0xc1, end: 1 << 40, result: 0), Limit(chipset: 0xc1, end: 1 << 40 + 1, result: -22),
        Limit(chipset: 0xe4, end: 1 << 40, result: 0), Limit(chipset: 0xe4, end: 1 << 40 + 1, result: -22),
        Limit(chipset: 0x120, end: 1 << 40, result: 0), Limit(chipset: 0x120, end: 1 << 47, result: -22),
        Limit(chipset: 0x132, end: 1 << 47, result: 0), Limit(chipset: 0x172, end: 1 << 47, result: 0),
    ])
    func kernelAreaLimit(row: Limit) throws {
        let client = try Client(row.chipset)
        #expect(client.vmInit(0, row.end) == row.result)
        if row.result < 0 {
            #expect(client.bind([]) == -.ENOSYS && client.device.memory.tables.used == 0)
            #expect(client.vmInit() == 0)
        }
    }

    // MARK: - 6.2 VM_BIND, step 8

    @Test("step 8: MAP and MAP_SPARSE beyond the hardware's addresses are EINVAL, and all is undone", arguments: [0xe4, 0x120])
    func hardwareLimit(chipset: Int) throws {
        let client = try client(chipset)
        let before = Snapshot(client)
        #expect(client.bind([map(1, 0, 0x1000), map(1, 1 << 40, 0x1000)]) == -.EINVAL)
        #expect(client.bind([map(1, 0, 0x1000), mapSparse(1 << 40, 0x1000)]) == -.EINVAL)
        #expect(Snapshot(client) == before)
        // To unmap nothing no page table is needed.
        #expect(client.bind([unmap(1 << 40, 0x1000)]) == 0)
    }

    @Test("step 8: a chip whose page tables have no sparse flag refuses MAP_SPARSE", arguments: [
        (0xc1, -22), (0xe4, -22), (0x117, -22), (0x120, 0), (0x132, 0), (0x140, 0), (0x162, 0),
    ])
    func sparseSupport(chipset: Int, result: Int) throws {
        let client = try client(chipset)
        let before = Snapshot(client)
        #expect(client.bind([mapSparse(0x100_0000, 0x2_0000)]) == Int32(result))
        if result < 0 { #expect(Snapshot(client) == before && client.file.uvmm!.regions.isEmpty) }
    }

    @Test("7a comes before 7b, 7b before 8, 8 before 9, in whichever order the operations stand")
    func stages() throws {
        let client = try client()
        try #require(client.bind([mapSparse(0x100_0000, 0x2_0000)]) == 0)
        let cpu = try client.buffer(NVU_GEM_DOMAIN_CPU, 4096)
        let failing: [(op: nvu_vm_bind_op, result: Int32)] = [
            (map(99, 0, 0x1000), -.ENOENT), (map(1, 0x101_f000, 0x2000), -.ENOSPC),
            (unmapSparse(0, 0x1000), -.ENOENT), (map(cpu, 0, 0x1000), -.EINVAL),
        ]
        for early in failing.indices {
            for late in failing.indices.dropFirst(early + 1) {
                for ops in [[failing[early].op, failing[late].op], [failing[late].op, failing[early].op]] {
                    #expect(client.bind(ops) == failing[early].result, "\(ops)")
                }
            }
        }
    }

    // MARK: - 7 EXEC

    @Test("EXEC 7: each array is EFAULT, a count of 0 never touches its pointer")
    func execArrays() throws {
        let client = try client()
        let channel = UInt32(client.channelAlloc().alloc.channel)
        var exec = nvu_exec()
        exec.channel = channel
        (exec.push_ptr, exec.wait_ptr, exec.sig_ptr) = (1, 2, 3)
        #expect(client.call(NVU_EXEC, exec) == 0)
        for count: WritableKeyPath<nvu_exec, UInt32> in [\.push_count, \.wait_count, \.sig_count] {
            var bad = exec
            bad[keyPath: count] = 1
            #expect(client.call(NVU_EXEC, bad) == -.EFAULT)
        }
        exec.wait_count = .max
        #expect(client.call(NVU_EXEC, exec) == -.ENOMEM)
    }

    @Test("EXEC: waits like VM_BIND's: a missing fence or point is EINVAL, never waited for")
    func execWaits() throws {
        let client = try client()
        let channel = client.channelAlloc().alloc.channel
        let a = client.syncobj()
        #expect(client.exec(channel, waits: [binary(a)]) == -.EINVAL)
        #expect(client.exec(channel, waits: [timeline(a, 0)]) == -.EINVAL)
        #expect(client.exec(channel, signals: [timeline(a, 4)]) == 0)
        #expect(client.exec(channel, waits: [timeline(a, 5)]) == -.EINVAL)
        #expect(client.exec(channel, waits: [timeline(a, 4), timeline(a, 0), binary(a)]) == 0)
        #expect(client.exec(channel, signals: [binary(a)]) == 0)
        #expect(client.exec(channel, waits: [timeline(a, 4)]) == -.EINVAL)
    }

    @Test("EXEC of a channel that another file has is ENOENT")
    func othersChannel() throws {
        let client = try client()
        let other = Client(client.device)
        try #require(other.vmInit() == 0)
        #expect(other.exec(client.channelAlloc().alloc.channel) == -.ENOENT)
    }

    @Test("EXEC on a channel with VM_INIT missing is ENOSYS, whatever else is wrong")
    func execWithoutSpace() throws {
        let client = try Client()
        let channel = client.channelAlloc().alloc.channel
        #expect(client.exec(channel, Array(repeating: nvu_exec_push(), count: 511)) == -.ENOSYS)
    }

    // MARK: - 8, 9 GEM

    @Test("GEM_NEW 4 to 6: size, then kind; the handle is not used up by a failure")
    func gemNew() throws {
        let client = try client()
        #expect(client.gemNew(vram, 0, tileFlags: 0x0700).result == -.EINVAL)
        #expect(client.gemNew(0, 4096).result == 0)
        #expect(client.gemNew(vram, 1 << 45).result == -.ENOMEM)
        #expect(client.gemNew(vram, 4096).info.handle == 3)
    }

    @Test("GEM_NEW 7: the alignment is kept")
    func alignment() throws {
        let client = try client()
        _ = client.gemNew(vram, 4096)
        let (result, info) = client.gemNew(vram, 4096, align: 1 << 20)
        #expect(result == 0)
        #expect(client.file.object(handle: info.handle)!.placement.pieces[0].addr % (1 << 20) == 0)
    }

    @Test("PUSHBUF without VM_INIT: each count beyond its limit is EINVAL", arguments: [
        (0, 1, 0), (1025, 1, 0), (0, 513, 0), (0, 1, 1025),
    ])
    func pushbufCounts(buffers: UInt32, pushes: UInt32, relocs: UInt32) throws {
        let client = try Client()
        var pushbuf = nvu_gem_pushbuf()
        pushbuf.channel = UInt32(client.channelAlloc().alloc.channel)
        (pushbuf.nr_buffers, pushbuf.nr_push, pushbuf.nr_relocs) = (buffers, pushes, relocs)
        let isGood = buffers <= 1024 && pushes <= 512 && relocs <= 1024
        #expect(client.call(NVU_GEM_PUSHBUF, pushbuf) == (isGood ? -.ENOSYS : -.EINVAL))
    }

    // MARK: - 11, 12 descriptors

    @Test("without a free descriptor: EMFILE before an unknown handle of a buffer or a sync file, after one of a syncobj")
    func descriptors() throws {
        let client = try client()
        let signaled = client.syncobj()
        client.file.syncobjs[signaled]!.signal()
        for _ in 0..<DescriptorNumbers.limit { _ = try client.device.makeEventfd() }
        func prime(_ handle: UInt32, flags: UInt32 = 0) -> Int32 {
            client.call(NVU_PRIME_HANDLE_TO_FD, nvu_prime_handle(handle: handle, flags: flags, fd: -1))
        }
        func syncobj(_ handle: UInt32, flags: UInt32 = 0) -> Int32 {
            client.call(
                NVU_SYNCOBJ_HANDLE_TO_FD, nvu_syncobj_handle(handle: handle, flags: flags, fd: -1, pad: 0, point: 0))
        }
        #expect(prime(1, flags: 1) == -.EINVAL && prime(99) == -.EMFILE && prime(1) == -.EMFILE)
        #expect(syncobj(99, flags: 1) == -.EMFILE && syncobj(signaled, flags: 1) == -.EMFILE)
        #expect(syncobj(99) == -.EINVAL && syncobj(signaled) == -.EMFILE)
        client.device.closeDescriptor(77)
        #expect(prime(99) == -.ENOENT && prime(1) == 0 && prime(1) == -.EMFILE)
    }

    @Test("a failing call still copies its struct back, as the handler left it")
    func copiedBack() throws {
        let client = try client()
        var new = nvu_gem_new()
        new.info.size = 0
        (new.info.handle, new.channel_hint) = (55, 66)
        #expect(client.call(NVU_GEM_NEW, &new) == -.EINVAL && new.info.handle == 55 && new.channel_hint == 66)
        var alloc = nvu_channel_alloc()
        (alloc.fb_ctxdma_handle, alloc.tt_ctxdma_handle) = (~0, 2)
        #expect(client.call(NVU_CHANNEL_ALLOC, &alloc) == -.EINVAL)
        // Step 4 has put both to 0 before step 5 finds that there is no such engine.
        #expect((alloc.fb_ctxdma_handle, alloc.tt_ctxdma_handle, alloc.channel) == (0, 0, 0))
    }

    // MARK: - 12 waits that wait

    @Test("WAIT returns when the job is done: any or all, first_signaled, errors count as signalled")
    func waits() throws {
        let client = try client()
        let (a, first) = client.pendingSyncobj()
        let (b, second) = client.pendingSyncobj()
        func wait(_ flags: UInt32, after nanoseconds: UInt64) -> (Int32, UInt32) {
            [a, b].withUnsafeBufferPointer {
                var wait = nvu_syncobj_wait()
                wait.handles = address($0.baseAddress)
                wait.count_handles = 2
                wait.flags = flags
                wait.first_signaled = 77
                wait.timeout_nsec = Int64(client.device.gate.now + nanoseconds)
                return (client.call(NVU_SYNCOBJ_WAIT, &wait), wait.first_signaled)
            }
        }
        let start = client.device.gate.now
        #expect(wait(0, after: 5_000_000) == (-.ETIME, 77) && client.device.gate.now >= start + 5_000_000)
        second.setError(.ENODEV)
        second.signal()
        #expect(wait(0, after: 0) == (0, 1))
        #expect(wait(NVU_SYNCOBJ_WAIT_ALL, after: 1000) == (-.ETIME, 77))
        client.device.gate.spawn("signaller") { [gate = client.device.gate] in
            gate.sleep(for: 1_000_000)
            first.signal()
        }
        #expect(wait(NVU_SYNCOBJ_WAIT_ALL, after: 1_000_000_000) == (0, 1))
        #expect(wait(NVU_SYNCOBJ_WAIT_ALL, after: 0) == (0, 0))
    }
}
