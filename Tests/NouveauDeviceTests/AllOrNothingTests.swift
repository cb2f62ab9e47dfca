import CNouveauUAPI
import KernelErrno
import NVMMU
import Testing

@testable import NouveauDevice

@Suite("VM_BIND: all or nothing") struct AllOrNothingTests {
    /// A space with pages of all three sizes and a region, and a call that touches it all: cuts, replacements by
    /// other sizes, a region made and one removed.
    private func scene() throws -> (Client, [nvu_vm_bind_op]) {
        let client = try Client()
        try #require(client.vmInit() == 0)
        let big = try client.buffer(vram, 8 << 20)
        let middle = try client.buffer(vram, 512 << 10)
        let small = try client.buffer(gart, 256 << 10)
        try #require(
            client.bind([
                map(big, 0x80_0000, 0x40_0000), map(middle, 0x1_0000, 0x4_0000), map(small, 0x10_0000, 0x2_0000),
                mapSparse(0x100_0000, 0x21_1000), map(small, 0x100_3000, 0x4000),
                map(middle, 0x60_0000, 0x4_0000),
            ]) == 0)
        let ops = [
            unmap(0x80_1000, 0x1000),  // cuts a 2 MiB page
            map(small, 0xa0_0000, 0x8000),  // small over large
            map(small, 0x61_1000, 0x1000),  // cuts a 64 KiB page and inherits
            map(middle, 0x10_0000, 0x2_0000),  // large over small
            map(middle, 0x2_0000, 0x1_0000, offset: 0x4_0000, kind: 6),  // the same size
            unmap(0x1_0000, 0x4_0000),
            map(small, 0x1_5000, 0x3000),
            mapSparse(0x200_0000, 0x1_1000),
            map(small, 0x200_0000, 0x1000),
            map(small, 0x100_2000, 0x2000),
            unmapSparse(0x100_0000, 0x21_1000),
            map(big, 0x400_0000, 0x20_0000),
            // Far away, so that directories are made too.
            map(small, 0x70_0000_0000, 0x1000),
            mapSparse(0x60_0000_1000, 0x1000),
        ]
        return (client, ops)
    }

    @Test("the call as a whole goes through")
    func whole() throws {
        let (client, ops) = try scene()
        #expect(client.bind(ops) == 0)
        let broken = client.file.uvmm!.broken()
        #expect(broken == nil)
    }

    @Test("whichever operation fails, everything is as before", arguments: 0...14)
    func everyOperation(k: Int) throws {
        let (client, good) = try scene()
        var ops = good
        // Fails at step 8, after everything before it was applied.
        ops.insert(unmapSparse(0x700_0000, 0x1000), at: k)
        let before = Snapshot(client)
        #expect(client.bind(ops) == -.ENOENT)
        #expect(Snapshot(client) == before)
        let broken = client.file.uvmm!.broken()
        #expect(broken == nil)
        #expect(client.bind(good) == 0)
    }

    @Test("whichever table there is no memory for, everything is as before")
    func everyTable() throws {
        let (client, ops) = try scene()
        let tables = client.device.memory.tables
        let before = Snapshot(client)
        var failures: UInt64 = 0
        while true {
            tables.limit = tables.used + failures * 4096
            let result = client.bind(ops)
            if result == 0 { break }
            try #require(result == -.ENOMEM)
            let after = Snapshot(client)
            try #require(after == before, "\(failures) tables")
            let broken = client.file.uvmm!.broken()
            try #require(broken == nil, "\(failures) tables")
            failures += 1
        }
        #expect(failures > 4)
    }

    @Test("a failed call that cut a large page leaves no small entries behind it")
    func noStaleEntries() throws {
        let client = try Client()
        try #require(client.vmInit() == 0)
        let (large, small) = (try client.buffer(vram, 64 << 10), try client.buffer(gart, 4096))
        // The small mapping keeps the table of small entries that both share.
        try #require(client.bind([map(large, 0x1_0000, 0x1_0000), map(small, 0x8_0000, 0x1000)]) == 0)
        #expect(client.bind([unmap(0x1_1000, 0x1000), unmapSparse(0, 0x1000)]) == -.ENOENT)
        #expect(client.bind([unmap(0x1_0000, 0x1_0000)]) == 0)
        for va in stride(from: UInt64(0x1_0000), to: 0x2_0000, by: 0x1000) {
            #expect(client.file.uvmm!.at(va) == .fault(.pte))
        }
    }

    @Test("what one call maps and unmaps again is not there, what it leaves of it is")
    func mapThenUnmap() throws {
        let client = try Client()
        try #require(client.vmInit() == 0)
        let (a, b) = (try client.buffer(gart, 64 << 10), try client.buffer(vram, 64 << 10))
        try #require(client.bind([map(a, 0x8_0000, 0x1000)]) == 0)
        #expect(client.bind([map(a, 0x1_0000, 0x3000), unmap(0x1_1000, 0x1000)]) == 0)
        let uvmm = client.file.uvmm!
        func isMapped(_ va: UInt64) -> Bool {
            if case .page = uvmm.at(va) { true } else { false }
        }
        #expect([0x1_0000, 0x1_1000, 0x1_2000].map(isMapped) == [true, false, true])
        #expect(client.bind([map(b, 0x2_0000, 0x1_0000), unmap(0x2_0000, 0x1_0000)]) == 0)
        #expect(client.bind([map(a, 0x3_0000, 0x1000), unmap(0x3_0000, 0x1000)]) == 0)
        #expect(!isMapped(0x2_0000) && !isMapped(0x3_0000))
        // Large pages cut by the call that maps them.
        #expect(client.bind([map(b, 0x4_0000, 0x1_0000), unmap(0x4_1000, 0x1000)]) == 0)
        #expect([0x4_0000, 0x4_1000, 0x4_2000].map(isMapped) == [true, false, true])
        let broken = uvmm.broken()
        #expect(broken == nil)
    }
}
