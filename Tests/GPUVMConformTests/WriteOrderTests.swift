@testable import GPUVMConform
import KernelErrno
import NVMMU
import Testing

/// The hooks that conform gives to page tables must notice entries that point at unfinished tables.
@Suite struct WriteOrderTests {
    private let format = Format(named: "tu102")!

    /// Writes a PD3 entry that points at a new table, of which `filled` bytes are zeroed.
    private func link(filled: Int) throws -> [String] {
        let hooks = TableWindow(format: format, aperture: .vram, base: 0x10000)
        let root = try #require(hooks.allocTable(size: 32, align: 4096))
        let child = try #require(hooks.allocTable(size: 4096, align: 4096))
        root.cpu.initializeMemory(as: UInt8.self, repeating: 0, count: 32)
        child.cpu.initializeMemory(as: UInt8.self, repeating: 0, count: filled)
        hooks.follow(root: root.addr)
        var pointer = PDE()
        pointer.addr = child.addr
        root.cpu.storeBytes(of: try format.encode(big: nil, next: pointer, at: .pd3).low, as: UInt64.self)
        hooks.wrote(table: root.addr, index: 0, count: 4)
        return hooks.takeEvents().incomplete
    }

    @Test("an entry may point at a complete table") func complete() throws {
        #expect(try link(filled: 4096).isEmpty)
    }

    @Test("an entry that points at a table with one word missing is noticed") func incomplete() throws {
        let told = try link(filled: 4088)
        #expect(told == ["PD3 at 0x10000, entry 0 points at a PD2 that is not complete, at 0x11000"])
    }

    @Test("the n-th allocation fails, once") func failingAllocation() {
        let hooks = TableWindow(format: format, aperture: .vram, base: 0)
        hooks.failAfter = 1
        let got = (0..<3).map { _ in hooks.allocTable(size: 4096, align: 4096) != nil }
        #expect(got == [true, false, true])
    }

    @Test("a table freed with another size than allocated is noticed") func wrongFree() throws {
        let hooks = TableWindow(format: format, aperture: .vram, base: 0)
        let table = try #require(hooks.allocTable(size: 4096, align: 4096))
        hooks.freeTable(table, size: 256)
        #expect(hooks.takeEvents().incomplete.count == 1)
    }
}
