import CNouveauUAPI
import KernelErrno
import NVMMU
import Testing

@testable import NouveauDevice

/// uapi.md 6.5, "What follows for user space", row by row; R is 2 MiB to 4 MiB, 64 KiB and 4 KiB pages at its ends.
@Suite("Sparse regions") struct SparseTests {
    static let r: (addr: UInt64, range: UInt64) = (0x1f_1000, 0x22_e000)

    private func client() throws -> Client {
        let client = try Client()
        try #require(client.vmInit() == 0)
        _ = try client.buffer(gart, 1 << 20)
        return client
    }

    private func state(_ client: Client, _ va: UInt64) -> Walk.Result {
        client.file.uvmm!.at(va)
    }

    private func isMapped(_ client: Client, _ va: UInt64) -> Bool {
        if case .page = state(client, va) { true } else { false }
    }

    private var sparseR: nvu_vm_bind_op { mapSparse(Self.r.addr, Self.r.range) }
    private var unsparseR: nvu_vm_bind_op { unmapSparse(Self.r.addr, Self.r.range) }

    @Test("a region is sparse from end to end and nowhere else")
    func extent() throws {
        let client = try client()
        #expect(client.bind([sparseR]) == 0)
        var sparse: [UInt64] = []
        client.file.uvmm!.tables.forEachExtent(0, 8 << 20) { (extent: Extent) in
            if extent.state == .sparse { sparse += [extent.va, extent.size] }
        }
        #expect(sparse == [Self.r.addr, Self.r.range])
        #expect(client.bind([unsparseR]) == 0)
        #expect(state(client, Self.r.addr) != .sparse)
        #expect(client.file.uvmm!.tables.tables().count == 1)
    }

    @Test("a map inside wins, in the same call and a later one; an unmap makes it sparse again", arguments: [true, false])
    func mapInside(together: Bool) throws {
        let client = try client()
        let inside = map(1, 0x20_3000, 0x3000)
        if together {
            #expect(client.bind([sparseR, inside]) == 0)
        } else {
            #expect(client.bind([sparseR]) == 0)
            #expect(client.bind([inside]) == 0)
        }
        #expect(isMapped(client, 0x20_4000))
        #expect(state(client, 0x20_6000) == .sparse)
        #expect(client.bind([unmap(0x20_4000, 0x1000)]) == 0)
        #expect(state(client, 0x20_4000) == .sparse)
        #expect(isMapped(client, 0x20_3000) && isMapped(client, 0x20_5000))
    }

    @Test("a map across a border is ENOSPC")
    func crossing() throws {
        let client = try client()
        #expect(client.bind([sparseR]) == 0)
        #expect(client.bind([map(1, Self.r.addr - 0x1000, 0x2000)]) == -.ENOSPC)
        #expect(client.bind([map(1, Self.r.addr + Self.r.range - 0x1000, 0x2000)]) == -.ENOSPC)
        #expect(client.bind([map(1, Self.r.addr - 0x1000, 0x1000)]) == 0)
        // In the call that makes the region it is step 8 that says so.
        let other = try self.client()
        #expect(other.bind([sparseR, map(1, Self.r.addr - 0x1000, 0x2000)]) == -.ENOSPC)
        #expect(other.file.uvmm!.regions.isEmpty)
    }

    @Test("sparse over a mapping is ENOSPC")
    func overMapping() throws {
        let client = try client()
        #expect(client.bind([map(1, 0x20_0000, 0x1000)]) == 0)
        #expect(client.bind([sparseR]) == -.ENOSPC)
        #expect(client.bind([map(1, 0x20_0000, 0x1000), sparseR]) == -.ENOSPC)
    }

    @Test("UNMAP then MAP_SPARSE over the same range in one call keeps the sparse entries", arguments: [
        (UInt64(0x20_0000), UInt64(0x1000)), (0x20_0000, 0x10_0000), (0x1f_0000, 0x10_0000),
    ])
    func unmapThenSparse(addr: UInt64, range: UInt64) throws {
        let client = try client()
        #expect(client.bind([map(1, addr, range)]) == 0)
        #expect(client.bind([unmap(addr, range), sparseR]) == 0)
        #expect(state(client, 0x20_0000) == .sparse)
        #expect(state(client, Self.r.addr) == .sparse)
        #expect(state(client, Self.r.addr - 0x1000) == .fault(.pte))
        let broken = client.file.uvmm!.broken()
        #expect(broken == nil)
        #expect(client.bind([unsparseR]) == 0)
        #expect(client.file.uvmm!.tables.tables().count == 1)
    }

    @Test("MAP, UNMAP and MAP_SPARSE of one range in one call end sparse")
    func mapUnmapSparse() throws {
        let client = try client()
        let x = map(1, 0x20_0000, 0x10000)
        #expect(client.bind([x, unmap(0x20_0000, 0x10000), sparseR]) == 0)
        #expect(state(client, 0x20_0000) == .sparse)
        let broken = client.file.uvmm!.broken()
        #expect(broken == nil)
    }

    @Test("UNMAP of an earlier, asynchronous call does not block a region")
    func unmapEarlier() throws {
        let client = try client()
        #expect(client.bind([map(1, 0x20_0000, 0x1000)]) == 0)
        #expect(client.bind([unmap(0x20_0000, 0x1000)], async: true) == 0)
        #expect(client.bind([sparseR]) == 0)
    }

    @Test("after UNMAP_SPARSE in the same call: sparse overlapping ENOSPC, map inside EINVAL, across ENOSPC, again ENOENT")
    func dirty() throws {
        let client = try client()
        #expect(client.bind([sparseR]) == 0)
        let before = Snapshot(client)
        #expect(client.bind([unsparseR, mapSparse(0x20_0000, 0x1000)]) == -.ENOSPC)
        #expect(client.bind([unsparseR, map(1, 0x20_0000, 0x1000)]) == -.EINVAL)
        #expect(client.bind([unsparseR, map(1, Self.r.addr - 0x1000, 0x2000)]) == -.ENOSPC)
        #expect(client.bind([unsparseR, unsparseR]) == -.ENOENT)
        #expect(Snapshot(client) == before)
        #expect(client.bind([unsparseR, unmap(Self.r.addr, Self.r.range)]) == 0)
    }

    @Test("sparse twice: EEXIST in one call, ENOSPC in two")
    func twice() throws {
        let client = try client()
        #expect(client.bind([sparseR, mapSparse(0x20_0000, 0x1000)]) == -.EEXIST)
        #expect(client.bind([sparseR]) == 0)
        #expect(client.bind([mapSparse(0x20_0000, 0x1000)]) == -.ENOSPC)
    }

    @Test("a region goes with exactly its bounds, and what is mapped inside goes too")
    func bounds() throws {
        let client = try client()
        #expect(client.bind([sparseR, map(1, 0x20_0000, 0x10_0000)]) == 0)
        for op in [
            unmapSparse(Self.r.addr, Self.r.range - 0x1000), unmapSparse(Self.r.addr + 0x1000, Self.r.range - 0x1000),
            unmapSparse(Self.r.addr - 0x1000, Self.r.range + 0x1000), unmapSparse(0x80_0000, 0x1000),
        ] {
            #expect(client.bind([op]) == -.ENOENT)
        }
        #expect(client.bind([unsparseR], async: true) == 0)
        #expect(client.file.uvmm!.vm.space.count == 0 && client.file.uvmm!.pairCount == 0)
        #expect(client.bind([sparseR]) == 0)
        #expect(client.bind([map(1, 0x20_0000, 0x1000)]) == 0)
    }

    @Test("UNMAP spans borders of regions freely")
    func unmapAcross() throws {
        let client = try client()
        let end = Self.r.addr + Self.r.range
        #expect(client.bind([sparseR, map(1, end - 0x1000, 0x1000), map(1, end, 0x1000)]) == 0)
        #expect(client.bind([unmap(end - 0x1000, 0x2000)]) == 0)
        #expect(state(client, end - 0x1000) == .sparse)
        #expect(state(client, end) == .fault(.pte))
    }
}
