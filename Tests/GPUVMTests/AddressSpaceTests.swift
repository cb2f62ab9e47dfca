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
        let operations = list.all
        #expect(operations.count == 1)
        guard case .remap(let victim, let prev?, let next?, keep: false) = operations.first else {
            Issue.record("not a remap with both pieces: \(operations)")
            return
        }
        #expect(victim.addr == 0x1000 && victim.range == 0x10 && victim.offset == 0x500)
        #expect(prev.addr == 0x1000 && prev.range == 4 && prev.offset == 0x500)
        #expect(next.addr == 0x1008 && next.range == 8 && next.offset == 0x508)
        let found = (space.find(0x1000, 4), space.find(0x1008, 8))
        #expect(found.0?.id == prev.id && found.1?.id == next.id)
        let (empty, broken) = (space.isEmpty(0x1004, 4), space.check())
        #expect(empty && broken == nil)
    }

    @Test("a victim keeps its id and data until its list is committed, and comes back by a revert")
    func revert() throws {
        var space = try AddressSpace(start: 0, range: 1 << 20, userSize: 8)
        let pair = try space.makePair(cookie: 7)
        var ids: [MappingID] = []
        for i in 0..<4 as Range<UInt64> {
            ids.append(try space.insert(i * 16, 16, pair: pair, offset: i))
        }
        space.userData(ids[1])!.storeBytes(of: 0xfeed, as: UInt64.self)

        var list = OperationList()
        try space.execute(.map(addr: 8, range: 32, pair: nil, offset: 0), into: &list)
        let (applied, victim, links) = (list.isApplied, space.mapping(ids[1]), space.linkCount(pair))
        #expect(applied)
        #expect(victim?.addr == 16, "a victim's data is still there")
        #expect(links == 3, "0..<8, 40..<48 and the last")
        #expect(throws: KernelErrno.EBUSY) { try space.destroyPair(pair) }

        space.revert(&list)
        let left = (list.count, list.isApplied)
        #expect(left == (0, false))
        var linked: [MappingID] = []
        space.forEachLinked(pair) { linked.append($0.id) }
        #expect(linked == ids, "the link order is the one before")
        let (data, broken) = (space.userData(ids[1])?.load(as: UInt64.self), space.check())
        #expect(data == 0xfeed && broken == nil)
    }

    @Test("pieces of a split start with a copy of the victim's data")
    func userData() throws {
        var space = try AddressSpace(start: 0, range: 1 << 20, userSize: 8)
        let id = try space.insert(0, 16, pair: nil, offset: 0)
        space.userData(id)!.storeBytes(of: 42, as: UInt64.self)
        var list = OperationList()
        try space.execute(.unmap(addr: 4, range: 4), into: &list)
        var data: [UInt64] = []
        space.forEach { data.append(space.userData($0.id)!.load(as: UInt64.self)) }
        #expect(data == [42, 42])
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
        let empty = [space.isEmpty(0, 16), space.isEmpty(16, 1), space.isEmpty(32, 1)]
        #expect(empty == [true, false, false])
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
        let (mappings, operations, first) = (space.count, list.count, space.findFirst(0x1000, 0x1000))
        #expect(mappings == 0 && operations == 0)
        #expect(first?.id == .kernel)
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
