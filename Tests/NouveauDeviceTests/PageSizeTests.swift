import CNouveauUAPI
import KernelErrno
import NVMMU
import Testing

@testable import NouveauDevice

@Suite("Page sizes of mappings") struct PageSizeTests {
    private func client() throws -> Client {
        let client = try Client()
        try #require(client.vmInit() == 0)
        return client
    }

    /// Shift and physical address at an address; `nil`: not mapped.
    private func page(_ client: Client, _ va: UInt64) -> (shift: Int, pa: UInt64)? {
        let walk = client.file.uvmm!.tables.walk(va)
        guard case .page(let pa, _) = walk.result else { return nil }
        return (walk.shift, pa)
    }

    @Test("an object's page: the largest not above its size in VRAM, 4 KiB where GART is allowed")
    func objects() throws {
        let client = try client()
        let cases: [(UInt32, UInt64, Int, UInt64)] = [
            (vram, 2 << 20, 21, 2 << 20), (vram, 3 << 20, 21, 4 << 20), (vram, (2 << 20) - 1, 16, 2 << 20),
            (vram, 64 << 10, 16, 64 << 10), (vram, 60 << 10, 12, 60 << 10), (vram, 1, 12, 4096),
            (gart, 4 << 20, 12, 4 << 20), (vram | gart, 4 << 20, 12, 4 << 20), (gart, 5, 12, 4096),
        ]
        for (domain, size, shift, rounded) in cases {
            let handle = try client.buffer(domain, size)
            let object = client.file.object(handle: handle)!
            #expect((object.pageShift, object.size) == (shift, rounded), "domain \(domain), size \(size)")
            _ = client.gemClose(handle)
        }
    }

    @Test("a mapping's page: the object's, or the largest that address, range and offset are multiples of", arguments: [
        (UInt64(0x20_0000), UInt64(0x20_0000), UInt64(0), 21), (0x20_0000, 0x20_0000, 0x1_0000, 16),
        (0x21_0000, 0x20_0000, 0, 16), (0x20_0000, 0x1_0000, 0x20_0000, 16), (0x20_1000, 0x20_0000, 0, 12),
        (0x20_0000, 0x1000, 0, 12), (0x20_0000, 0x20_0000, 0x1000, 12),
    ])
    func mappings(addr: UInt64, range: UInt64, offset: UInt64, shift: Int) throws {
        let client = try client()
        let handle = try client.buffer(vram, 8 << 20)
        #expect(client.bind([map(handle, addr, range, offset: offset)]) == 0)
        let found = try #require(self.page(client, addr))
        #expect(found.shift == shift)
        #expect(found.pa == client.file.object(handle: handle)!.placement.pieces[0].addr + offset)
    }

    @Test("a kind that the tables refuse leaves its map showing nothing, and the others of the call as they are",
        arguments: [false, true])
    func refused(inRegion: Bool) throws {
        let client = try client()
        let handle = try client.buffer(vram, 32 << 20)
        let start = client.file.object(handle: handle)!.placement.pieces[0].addr
        let base: UInt64 = 0x4000_0000, page: UInt64 = 0x1_0000, count: UInt64 = 300
        if inRegion { #expect(client.bind([mapSparse(base, count * page)]) == 0) }
        #expect(client.bind([map(handle, base, count * page)]) == 0)
        var maps: [nvu_vm_bind_op] = []
        for i in 0..<count {
            let kind: UInt32 = i % 7 == 3 || i > 290 ? 0xff : 0
            maps.append(map(handle, base + i * page, page, offset: (i * 3 % 512) * page, kind: kind))
        }
        #expect(client.bind(maps) == 0)
        for op in maps {
            switch client.file.uvmm!.at(op.addr) {
            case .page(let pa, _): #expect(op.flags == 0 && pa == start + op.bo_offset, "\(op.addr)")
            case .sparse: #expect(op.flags != 0 && inRegion, "\(op.addr)")
            case .fault: #expect(op.flags != 0 && !inRegion, "\(op.addr)")
            }
        }
        let broken = client.file.uvmm!.broken()
        #expect(broken == nil)
    }

    @Test("a hole inside a large page: the rest keeps its translation, in smaller pages", arguments: [
        (UInt64(0x1000), UInt64(0x1000), 12), (0x1_0000, 0x3_0000, 16), (0x1_f000, 0x1000, 12), (0, 0x1000, 12),
        (0x3f_f000, 0x1000, 12), (0, 0x20_0000, 21),
    ])
    func hole(at: UInt64, size: UInt64, shift: Int) throws {
        let client = try client()
        let handle = try client.buffer(vram, 4 << 20)
        let base = client.file.object(handle: handle)!.placement.pieces[0].addr
        #expect(client.bind([map(handle, 0x40_0000, 0x40_0000)]) == 0)
        #expect(client.bind([unmap(0x40_0000 + at, size)]) == 0)
        for offset in stride(from: UInt64(0), to: 0x40_0000, by: 0x1000) {
            let found = self.page(client, 0x40_0000 + offset)
            if (at..<at + size).contains(offset) {
                #expect(found == nil)
            } else {
                #expect(found?.pa == base + offset && found?.shift == shift)
            }
        }
        let broken = client.file.uvmm!.broken()
        #expect(broken == nil)
        #expect(client.bind([unmap(0x40_0000, 0x40_0000)]) == 0)
        #expect(client.file.uvmm!.tables.tables().count == 1)
    }

    @Test("replacing pages by pages of another size", arguments: [(21, 12), (12, 21), (16, 12), (12, 16), (21, 16), (16, 21)])
    func replace(from: Int, to: Int) throws {
        let client = try client()
        func buffer(_ shift: Int) throws -> UInt32 {
            try client.buffer(shift == 12 ? gart : vram, shift == 21 ? 4 << 20 : 1 << 20)
        }
        let (old, new) = (try buffer(from), try buffer(to))
        let size: UInt64 = max(from, to) == 21 ? 2 << 20 : 1 << 16
        func fill(_ handle: UInt32) -> [nvu_vm_bind_op] {
            let part = min(size, client.file.object(handle: handle)!.size)
            return stride(from: UInt64(0), to: size, by: UInt64.Stride(part)).map { map(handle, 0x40_0000 + $0, part) }
        }
        #expect(client.bind(fill(old)) == 0)
        #expect(page(client, 0x40_0000)?.shift == from)
        #expect(client.bind(fill(new)) == 0)
        #expect(page(client, 0x40_0000)?.shift == to)
        #expect(page(client, 0x40_0000)?.pa == client.file.object(handle: new)!.placement.pieces[0].addr)
        let broken = client.file.uvmm!.broken()
        #expect(broken == nil)
        #expect(client.bind([unmap(0x40_0000, size)]) == 0)
        #expect(client.file.uvmm!.tables.tables().count == 1)
    }

    @Test("entries of VRAM are not volatile, of host memory they are; kinds are the bind's")
    func attributes() throws {
        let client = try client()
        let (inVRAM, inHost) = (try client.buffer(vram, 4096), try client.buffer(gart, 4096))
        #expect(client.bind([map(inVRAM, 0x1000, 0x1000, kind: 6), map(inHost, 0x2000, 0x1000)]) == 0)
        guard case .page(_, let a) = client.file.uvmm!.at(0x1000), case .page(_, let b) = client.file.uvmm!.at(0x2000)
        else {
            Issue.record("not mapped")
            return
        }
        #expect(a.aperture == .vram && !a.vol && a.kind == 6 && !a.ro && !a.priv)
        #expect(b.aperture == .host && b.vol && b.kind == 0)
    }
}
