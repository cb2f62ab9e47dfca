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
            ]) == 0)
        let ops = [
            unmap(0x80_1000, 0x1000),  // cuts a 2 MiB page
            map(small, 0xa0_0000, 0x8000),  // small over large
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

    @Test("whichever operation fails, everything is as before", arguments: 0...13)
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
}
