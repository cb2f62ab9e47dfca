import CNouveauUAPI
import DRMSync
import KernelErrno
import Testing

@testable import NouveauDevice

@Suite("Descriptors: sync files and dma-bufs (uapi.md 13)") struct DescriptorTests {
    let client: Client

    init() throws {
        client = try Client()
        try #require(client.vmInit() == 0)
    }

    private func call<Layout>(_ fd: Int32, _ request: UInt32, _ argument: inout Layout) -> Int32 {
        withUnsafeMutablePointer(to: &argument) { client.device.ioctl(descriptor: fd, request, $0) }
    }

    /// A sync file of a fence of a timeline of its own.
    private func syncFile(_ seqno: UInt64 = 1) throws -> (fd: Int32, fence: Fence) {
        let gate = client.device.gate
        let fence = Fence(gate: gate, context: gate.allocateContexts(), seqno: seqno)
        return (try client.device.descriptors.insert(.syncFile(SyncFile(name: "file", fence: fence))), fence)
    }

    private func dmaBuf() throws -> (fd: Int32, object: BufferObject) {
        var export = nvu_prime_handle()
        export.handle = try client.buffer(gart, 4096)
        try #require(client.call(NVU_PRIME_HANDLE_TO_FD, &export) == 0)
        return (export.fd, client.file.object(handle: export.handle)!)
    }

    @Test("what is no descriptor, or not for it")
    func wrongDescriptor() throws {
        let (file, buffer) = (try syncFile().fd, try dmaBuf().fd)
        var info = nvu_sync_file_info()
        var sync = nvu_dma_buf_sync(flags: 1)
        #expect(call(99, NVU_SYNC_FILE_INFO, &info) == -.EBADF)
        #expect(call(buffer, NVU_SYNC_FILE_INFO, &info) == -.ENOTTY)
        #expect(call(file, NVU_DMA_BUF_SYNC, &sync) == -.ENOTTY)
        #expect(call(file, NVU_VM_BIND, &info) == -.ENOTTY)
        #expect(client.device.ioctl(descriptor: file, NVU_SYNC_FILE_INFO, nil) == -.EFAULT)
        #expect(client.device.isReadable(descriptor: buffer) == nil)
    }

    @Test("SYNC_IOC_MERGE: flags, the other file, and one fence of both")
    func merge() throws {
        let (a, b) = (try syncFile(), try syncFile())
        var merge = nvu_sync_merge()
        merge.fd2 = b.fd
        merge.pad = 1
        #expect(call(a.fd, NVU_SYNC_MERGE, &merge) == -.EINVAL)
        (merge.pad, merge.flags) = (0, 1)
        #expect(call(a.fd, NVU_SYNC_MERGE, &merge) == -.EINVAL)
        (merge.flags, merge.fd2) = (0, try dmaBuf().fd)
        #expect(call(a.fd, NVU_SYNC_MERGE, &merge) == -.ENOENT)
        merge.fd2 = b.fd
        #expect(call(a.fd, NVU_SYNC_MERGE, &merge) == 0)
        #expect(client.device.isReadable(descriptor: merge.fence) == false)
        a.fence.signal()
        #expect(client.device.isReadable(descriptor: merge.fence) == false)
        b.fence.signal()
        #expect(client.device.isReadable(descriptor: merge.fence) == true)
    }

    @Test("SYNC_IOC_FILE_INFO: counts first, then each fence; an error is told")
    func fileInfo() throws {
        let (a, b) = (try syncFile(), try syncFile())
        var merge = nvu_sync_merge()
        merge.fd2 = b.fd
        withUnsafeMutableBytes(of: &merge.name) { $0[0] = 0x6d }
        try #require(call(a.fd, NVU_SYNC_MERGE, &merge) == 0)
        var info = nvu_sync_file_info()
        info.pad = 1
        #expect(call(merge.fence, NVU_SYNC_FILE_INFO, &info) == -.EINVAL)
        info.pad = 0
        #expect(call(merge.fence, NVU_SYNC_FILE_INFO, &info) == 0)
        #expect((info.num_fences, info.status, info.name.0, info.name.1) == (2, 0, 0x6d, 0))
        info.num_fences = 1
        #expect(call(merge.fence, NVU_SYNC_FILE_INFO, &info) == -.EINVAL)
        a.fence.setError(.EIO)
        a.fence.signal()
        b.fence.signal()
        var fences = [nvu_sync_fence_info](repeating: nvu_sync_fence_info(), count: 3)
        fences.withUnsafeMutableBufferPointer { fences in
            info.num_fences = 3
            info.sync_fence_info = address(UnsafePointer(fences.baseAddress))
            #expect(call(merge.fence, NVU_SYNC_FILE_INFO, &info) == 0)
        }
        var one = nvu_sync_file_info()
        #expect(call(a.fd, NVU_SYNC_FILE_INFO, &one) == 0)
        #expect((one.num_fences, one.status) == (1, -.EIO))
        #expect(info.num_fences <= 2 && fences[0].status != 0 && fences[0].timestamp_ns > 0)
    }

    @Test("SYNC_IOC_SET_DEADLINE: padding; the hint reaches a fence that is pending")
    func deadline() throws {
        let file = try syncFile().fd
        var deadline = nvu_sync_set_deadline(deadline_ns: 5, pad: 1)
        #expect(call(file, NVU_SYNC_SET_DEADLINE, &deadline) == -.EINVAL)
        deadline.pad = 0
        #expect(call(file, NVU_SYNC_SET_DEADLINE, &deadline) == 0)
    }

    @Test("DMA_BUF: flags; fences go in and out of the buffer by usage")
    func dmaBufFences() throws {
        let (buffer, object) = try dmaBuf()
        let (file, fence) = try syncFile()
        var sync = nvu_dma_buf_sync_file(flags: 0, fd: file)
        for flags: UInt32 in [0, 4, 7] {
            sync.flags = flags
            #expect(call(buffer, NVU_DMA_BUF_IMPORT_SYNC_FILE, &sync) == -.EINVAL)
            #expect(call(buffer, NVU_DMA_BUF_EXPORT_SYNC_FILE, &sync) == -.EINVAL)
        }
        sync = nvu_dma_buf_sync_file(flags: NVU_DMA_BUF_SYNC_READ, fd: buffer)
        #expect(call(buffer, NVU_DMA_BUF_IMPORT_SYNC_FILE, &sync) == -.EINVAL)
        sync.fd = file
        #expect(call(buffer, NVU_DMA_BUF_IMPORT_SYNC_FILE, &sync) == 0)
        #expect(object.reservation.fences(.read).count == 1 && object.reservation.fences(.write).isEmpty)
        // A reader need not wait for a reader, a writer must.
        #expect(call(buffer, NVU_DMA_BUF_EXPORT_SYNC_FILE, &sync) == 0)
        #expect(client.device.isReadable(descriptor: sync.fd) == true)
        sync.flags = NVU_DMA_BUF_SYNC_WRITE
        #expect(call(buffer, NVU_DMA_BUF_EXPORT_SYNC_FILE, &sync) == 0)
        #expect(client.device.isReadable(descriptor: sync.fd) == false)
        fence.signal()
        #expect(client.device.isReadable(descriptor: sync.fd) == true)
        for (flags, result) in [(0, -.EINVAL), (4, -.EINVAL), (8, -.EINVAL), (1, 0), (2, 0), (7, 0)] as [(UInt64, Int32)] {
            var access = nvu_dma_buf_sync(flags: flags)
            #expect(call(buffer, NVU_DMA_BUF_SYNC, &access) == result)
        }
    }
}
