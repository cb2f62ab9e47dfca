import GPUVM
import KernelErrno
import Testing

@Suite("AddressSpace") struct AddressSpaceTests {
    @Test("a split keeps what it does not cover, with the offsets moved on")
    func split() throws {
        var space = try AddressSpace(start: 0, range: 1 << 20)
        let pair = try space.makePair(cookie: 7)
        try space.insert(0x1000, 0x10, pair: pair, offset: 0x500)
        var list = OperationList()
        try space.execute(.unmap(addr: 0x1004, range: 4), into: &list)
        #expect(list.count == 1)
        guard case .remap(let victim, let prev?, let next?, keep: false) = list[0] else {
            Issue.record("not a remap with both pieces: \(list[0])")
            return
        }
        #expect(victim.addr == 0x1000 && victim.range == 0x10 && victim.offset == 0x500)
        #expect(prev.addr == 0x1000 && prev.range == 4 && prev.offset == 0x500)
        #expect(next.addr == 0x1008 && next.range == 8 && next.offset == 0x508)
        #expect(space.find(0x1000, 4)?.id == prev.id)
        #expect(space.find(0x1008, 8)?.id == next.id)
        #expect(space.isEmpty(0x1004, 4))
        #expect(space.check() == nil)
    }

    @Test("a victim keeps its id and data until its list is committed, and comes back by a revert")
    func revert() throws {
        var space = try AddressSpace(start: 0, range: 1 << 20, userSize: 8)
        let pair = try space.makePair(cookie: 7)
        let ids = try (0..<4).map { try space.insert(UInt64($0) * 16, 16, pair: pair, offset: UInt64($0)) }
        let data = try #require(space.userData(ids[1]))
        data.storeBytes(of: 0xfeed, as: UInt64.self)

        var list = OperationList()
        try space.execute(.map(addr: 8, range: 32, pair: nil, offset: 0), into: &list)
        #expect(list.isApplied)
        #expect(space.mapping(ids[1])?.addr == 16, "a victim's data is still there")
        #expect(space.linkCount(pair) == 3)  // 0..<8, 40..<48 and the last
        #expect(throws: KernelErrno.EBUSY) { try space.destroyPair(pair) }

        space.revert(&list)
        #expect(list.count == 0 && !list.isApplied)
        var linked: [MappingID] = []
        space.forEachLinked(pair) { linked.append($0.id) }
        #expect(linked == ids, "the link order is the one before")
        #expect(space.userData(ids[1])?.load(as: UInt64.self) == 0xfeed)
        #expect(space.check() == nil)
    }

    @Test("pieces of a split start with a copy of the victim's data")
    func userData() throws {
        var space = try AddressSpace(start: 0, range: 1 << 20, userSize: 8)
        let id = try space.insert(0, 16, pair: nil, offset: 0)
        space.userData(id)!.storeBytes(of: 42, as: UInt64.self)
        var list = OperationList()
        try space.execute(.unmap(addr: 4, range: 4), into: &list)
        let pieces = [space.findFirst(0, 1), space.findFirst(8, 1)].compactMap { $0 }
        #expect(pieces.map { space.userData($0.id)!.load(as: UInt64.self) } == [42, 42])
    }

    @Test("a step that throws ends the walk: what came before stays, it and what follows do not happen")
    func steps() throws {
        var space = try AddressSpace(start: 0, range: 1 << 20)
        for i in 0..<3 as Range<UInt64> {
            try space.insert(i * 16, 16, pair: nil, offset: 0)
        }
        var seen = 0
        #expect(throws: KernelErrno.EIO) {
            try space.execute(.unmap(addr: 0, range: 48)) { (_) throws(KernelErrno) in
                seen += 1
                if seen == 2 { throw .EIO }
            }
        }
        #expect(seen == 2)
        #expect(space.isEmpty(0, 16) && !space.isEmpty(16, 1) && !space.isEmpty(32, 1))
    }

    @Test("ranges outside the window, over the kernel's, wrapping or empty are EINVAL and change nothing")
    func invalidRanges() throws {
        var space = try AddressSpace(start: 0x1000, range: 0x1000, kernelStart: 0x1800, kernelRange: 0x100)
        var list = OperationList()
        let bad: [(UInt64, UInt64)] = [
            (0, 0x10), (0xff0, 0x20), (0x1ff0, 0x20), (0x17f0, 0x20), (0x18f0, 0x20), (.max, 1), (.max, .max), (0x1000, 0),
        ]
        for (addr, range) in bad {
            #expect(throws: KernelErrno.EINVAL) {
                try space.execute(.map(addr: addr, range: range, pair: nil, offset: 0), into: &list)
            }
            #expect(throws: KernelErrno.EINVAL) { try space.insert(addr, range, pair: nil, offset: 0) }
        }
        #expect(space.count == 0 && list.count == 0)
        #expect(space.findFirst(0x1000, 0x1000)?.id == .kernel)
        #expect(throws: KernelErrno.EPERM) { try space.remove(.kernel) }
    }

    @Test("an unknown pair is ENOENT, an occupied range EEXIST")
    func errors() throws {
        var space = try AddressSpace(start: 0, range: 1 << 20)
        let stranger = PairID(rawValue: 99)
        #expect(throws: KernelErrno.ENOENT) { try space.insert(0, 16, pair: stranger, offset: 0) }
        #expect(throws: KernelErrno.ENOENT) { try space.destroyPair(stranger) }
        try space.insert(0, 16, pair: nil, offset: 0)
        #expect(throws: KernelErrno.EEXIST) { try space.insert(15, 16, pair: nil, offset: 0) }
    }
}
