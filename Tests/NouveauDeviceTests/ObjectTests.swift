import CNouveauUAPI
import KernelErrno
import NVMMU
import Testing

@testable import NouveauDevice

@Suite("GEM objects") struct ObjectTests {
    private func vmClient(vram: UInt64 = 64 << 20, gart: UInt64 = 64 << 20) throws -> Client {
        let client = try Client(vram: vram, gart: gart)
        try #require(client.vmInit() == 0)
        return client
    }

    private func info(_ client: Client, _ handle: UInt32) -> (result: Int32, info: nvu_gem_info) {
        var info = nvu_gem_info()
        info.handle = handle
        let result = client.call(NVU_GEM_INFO, &info)
        return (result, info)
    }

    @Test("GEM_NEW: NO_SHARE without VM_INIT, size 0, kind, in this order")
    func errors() throws {
        let legacy = try Client()
        #expect(legacy.gemNew(vram | noShare, 4096).result == -.EINVAL)
        #expect(legacy.gemNew(vram, 4096).result == 0)
        let client = try vmClient()
        #expect(client.gemNew(vram | noShare, 0).result == -.EINVAL)
        #expect(client.gemNew(vram | noShare, 4096, tileFlags: 0x0700).result == -.EINVAL)
        #expect(client.gemNew(vram | noShare, 4096, tileFlags: 0x0600).result == 0)
        #expect(client.gemNew(vram, .max).result == -.ENOMEM)
        #expect(client.gemNew(vram, 1 << 40).result == -.ENOMEM)
    }

    @Test("GEM_NEW answers what GEM_INFO answers")
    func answers() throws {
        let client = try vmClient()
        let flags: UInt32 = 0x608
        let new = client.gemNew(vram | noShare, 5 << 20, tileFlags: flags).info
        #expect((new.handle, new.domain, new.size, new.offset) == (1, vram, 6 << 20, 0))
        #expect((new.map_handle, new.tile_flags) == (NVU_MAP_HANDLE_BASE, flags))
        let again = info(client, 1).info
        #expect(again.map_handle == new.map_handle && again.size == new.size && again.tile_flags == flags)
        #expect(info(client, 9).result == -.ENOENT)
        let second = client.gemNew(gart, 1).info
        #expect((second.handle, second.domain, second.size) == (2, gart, 4096))
        #expect(second.map_handle == NVU_MAP_HANDLE_BASE + (6 << 20))
        #expect(client.gemNew(NVU_GEM_DOMAIN_CPU, 4096).info.domain == vram)
    }

    @Test("VRAM or GART: VRAM while there is room, then GART, then what others had of VRAM; ENOMEM where it never fits")
    func placement() throws {
        // 32 MiB, of which 16 MiB are for tables.
        let client = try vmClient(vram: 32 << 20, gart: 16 << 20)
        #expect(client.gemNew(vram | gart, 16 << 20).info.domain == vram)
        #expect(client.gemNew(vram | gart, 8 << 20).info.domain == gart)
        #expect(client.gemNew(vram | gart, 16 << 20).info.domain == vram)
        #expect((1...3).map { client.file.object(handle: $0)!.location } == [.system, .gart, .vram])
        #expect(client.gemNew(vram | gart, 17 << 20).result == -.ENOMEM)
        #expect(client.gemNew(vram, 17 << 20).result == -.ENOMEM && client.gemNew(gart, 17 << 20).result == -.ENOMEM)
    }

    @Test("a buffer in pieces where VRAM is scattered and it need not be contiguous")
    func pieces() throws {
        let client = try vmClient(vram: 32 << 20)
        let handles = try (0..<8).map { _ in try client.buffer(vram, 2 << 20) }
        for handle in handles where handle % 2 == 0 { try #require(client.gemClose(handle) == 0) }
        let (result, info) = client.gemNew(vram, 8 << 20, tileFlags: NVU_GEM_TILE_NONCONTIG)
        try #require(result == 0)
        let pieces = client.file.object(handle: info.handle)!.placement.pieces
        #expect(pieces.count == 4 && pieces.allSatisfy { $0.addr % (2 << 20) == 0 })
        #expect(client.bind([map(info.handle, 0x40_0000, 8 << 20)]) == 0)
        for (i, piece) in pieces.enumerated() {
            guard case .page(let pa, _) = client.file.uvmm!.at(0x40_0000 + UInt64(i) << 21) else {
                Issue.record("not mapped")
                return
            }
            #expect(pa == piece.addr)
        }
    }

    @Test("GEM_CLOSE of an unknown handle is EINVAL; numbers are used again, lowest first")
    func handles() throws {
        let client = try vmClient()
        #expect(client.gemClose(0) == -.EINVAL)
        #expect(client.gemClose(1) == -.EINVAL)
        let handles = try (0..<4).map { _ in try client.buffer(gart, 4096) }
        #expect(handles == [1, 2, 3, 4])
        #expect(client.gemClose(3) == 0 && client.gemClose(2) == 0)
        #expect(try (0..<3).map { _ in try client.buffer(gart, 4096) } == [2, 3, 5])
        #expect(client.call(NVU_GEM_CLOSE, nvu_gem_close(handle: 2, pad: 7)) == 0)
    }

    @Test("a mapping keeps its object alive after GEM_CLOSE, until the last one goes")
    func mappedObjects() throws {
        let client = try vmClient()
        let memory = client.device.memory
        let handle = try client.buffer(vram, 64 << 10)
        #expect(client.bind([map(handle, 0x1_0000, 0x1_0000), map(handle, 0x4_0000, 0x1_0000)]) == 0)
        #expect(client.gemClose(handle) == 0)
        #expect(memory.objectCount == 1 && client.file.uvmm!.pairCount == 1)
        #expect(client.bind([unmap(0x1_0000, 0x1_0000)]) == 0)
        #expect(client.bind([unmap(0x4_0000, 0x8000)]) == 0)
        #expect(memory.objectCount == 1)
        #expect(client.bind([unmap(0x4_0000, 0x1_0000)]) == 0)
        #expect(memory.objectCount == 0 && memory.vram.used == 0 && memory.storeUsed == 0)
    }

    @Test("mmap: the exact start, not longer than the object, a handle of this file, no private writing")
    func mmap() throws {
        let client = try vmClient()
        let other = Client(client.device)
        let start = client.gemNew(gart, 8192).info.map_handle
        func check(_ offset: UInt64, _ length: UInt64, _ writable: Bool = true, _ shared: Bool = true) -> Int32 {
            client.file.checkMmap(offset: offset, length: length, writable: writable, shared: shared)
        }
        #expect(check(start, 8192) == 0)
        #expect(check(start, 1) == 0)
        #expect(check(start, 8193) == -.EINVAL)
        #expect(check(start, 0) == -.EINVAL)
        #expect(check(start + 4096, 4096) == -.EINVAL)
        #expect(check(start, .max) == -.EINVAL)
        #expect(check(start, 4096, true, false) == -.EINVAL)
        #expect(check(start, 4096, false, false) == 0)
        #expect(other.file.checkMmap(offset: start, length: 4096, writable: false, shared: true) == -.EACCES)
        #expect(other.file.checkMmap(offset: start, length: 4096, writable: true, shared: false) == -.EACCES)
        #expect(client.gemClose(1) == 0)
        #expect(check(start, 4096) == -.EINVAL)
    }

    @Test("CPU_PREP and CPU_FINI: only the handle can be wrong")
    func cpuAccess() throws {
        let client = try vmClient()
        _ = try client.buffer(gart, 4096)
        #expect(client.call(NVU_GEM_CPU_PREP, nvu_gem_cpu_prep(handle: 1, flags: 5)) == 0)
        #expect(client.call(NVU_GEM_CPU_FINI, nvu_gem_cpu_fini(handle: 1)) == 0)
        #expect(client.call(NVU_GEM_CPU_PREP, nvu_gem_cpu_prep(handle: 2, flags: 0)) == -.ENOENT)
        #expect(client.call(NVU_GEM_CPU_FINI, nvu_gem_cpu_fini(handle: 2)) == -.ENOENT)
    }

    // MARK: - Sharing

    private func export(_ client: Client, _ handle: UInt32, flags: UInt32 = 0x80002) -> (result: Int32, fd: Int32) {
        var prime = nvu_prime_handle(handle: handle, flags: flags, fd: -1)
        let result = client.call(NVU_PRIME_HANDLE_TO_FD, &prime)
        return (result, prime.fd)
    }

    private func importFD(_ client: Client, _ fd: Int32) -> (result: Int32, handle: UInt32) {
        var prime = nvu_prime_handle(handle: 0, flags: ~0, fd: fd)
        let result = client.call(NVU_PRIME_FD_TO_HANDLE, &prime)
        return (result, prime.handle)
    }

    @Test("PRIME: flags, handle, NO_SHARE; bad descriptor EBADF, another kind EINVAL")
    func primeErrors() throws {
        let client = try vmClient()
        let own = try client.buffer(gart | noShare, 4096)
        #expect(export(client, 99, flags: 1).result == -.EINVAL)
        #expect(export(client, 99).result == -.ENOENT)
        #expect(export(client, own).result == -.EPERM)
        #expect(importFD(client, -1).result == -.EBADF)
        #expect(importFD(client, 1000).result == -.EBADF)
        try #require(client.call(NVU_SYNCOBJ_CREATE, nvu_syncobj_create()) == 0)
        var syncobj = nvu_syncobj_handle(handle: 1, flags: 0, fd: -1, pad: 0, point: 0)
        try #require(client.call(NVU_SYNCOBJ_HANDLE_TO_FD, &syncobj) == 0)
        #expect(importFD(client, syncobj.fd).result == -.EINVAL)
    }

    @Test("a dma-buf gives its own file the same handle, another file one object under one handle")
    func primeHandles() throws {
        let client = try vmClient()
        let other = Client(client.device)
        let handle = try client.buffer(vram, 1 << 20)
        let (a, b) = (export(client, handle).fd, export(client, handle).fd)
        #expect(a != b)
        #expect(importFD(client, a) == (0, handle) && importFD(client, b) == (0, handle))
        let (x, y) = (importFD(other, a).handle, importFD(other, b).handle)
        #expect(x == y)
        #expect(other.file.object(handle: x) === client.file.object(handle: handle))
        #expect(info(other, x).info.map_handle == info(client, handle).info.map_handle)
        // Closed and imported again it is another number's turn.
        #expect(client.gemClose(handle) == 0)
        _ = try client.buffer(gart, 4096)
        #expect(importFD(client, a) == (0, 2))
        client.device.closeDescriptor(a)
        #expect(importFD(client, a).result == -.EBADF)
    }

    @Test("a descriptor alone keeps its object; closing it frees the number and the object")
    func primeLife() throws {
        let client = try vmClient()
        let handle = try client.buffer(vram, 1 << 20)
        let fd = export(client, handle).fd
        #expect(client.gemClose(handle) == 0)
        #expect(client.device.memory.objectCount == 1)
        client.device.closeDescriptor(fd)
        client.device.closeDescriptor(fd)
        client.device.closeDescriptor(-1)
        #expect(client.device.memory.objectCount == 0)
    }
}
