import DRMExec
import DRMLock
import DRMSync
import GateSupport
@testable import GPUVM
import Glibc
import KernelErrno
import Testing

/// Spec 5.1, 5.2, 5.5, 5.6: how pairs come and go.
@Suite("pairs") struct PairTests {
    @Test("a pair is found as long as it lives, always the same, with a reference for each who has it", arguments: Mode.allCases)
    func unique(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a")
        #expect(rig.find(a) == nil)
        let first = try rig.obtain(a)
        #expect(first.referenceCount == 1 && rig.vm.referenceCount == 2)
        let second = try rig.obtain(a)
        #expect(second === first && first.referenceCount == 2 && rig.vm.referenceCount == 2)
        let third = rig.find(a)
        #expect(third === first && first.referenceCount == 3)
        first.get()
        #expect(first.referenceCount == 4)
        #expect(rig.log.take() == (mode.isImmediate ? ["end of vm-a"] : []), "one was made for nothing")
        for left in [3, 2, 1] {
            #expect(!rig.put(first))
            #expect(first.referenceCount == left)
        }
        #expect(rig.put(first))
        #expect(first.referenceCount == 0 && rig.find(a) == nil)
        rig.vm.cleanUpDeferred()
        #expect(rig.log.take() == ["end of vm-a"] && rig.vm.referenceCount == 1)
        let another = try rig.obtain(a)
        #expect(another !== first)
        rig.put(another)
        rig.vm.cleanUpDeferred()
        rig.vm.put()
        #expect(rig.log.take() == ["end of vm-a", "end of vm"])
    }

    @Test("a pair that is made is not found, and nothing keeps another from being made", arguments: Mode.allCases)
    func made(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a")
        let (one, two) = (try VMBO.create(rig.vm, a), try VMBO.create(rig.vm, a))
        #expect(one !== two && rig.find(a) == nil && rig.vm.referenceCount == 3)
        for vmBO in [one, two] {
            if mode.isImmediate { #expect(vmBO.putDeferred()) } else { #expect(rig.put(vmBO)) }
        }
        rig.vm.cleanUpDeferred()
        #expect(rig.log.take() == ["end of vm-a", "end of vm-a"] && rig.vm.referenceCount == 1)
        rig.vm.put()
    }

    @Test("each linked mapping is a reference on the pair, and each mapping one on the VM", arguments: Mode.allCases)
    func links(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a"), vm = rig.vm
        let vmBO = try rig.obtain(a)
        var list = OperationList()
        try rig.locked([a]) {
            try vm.insert(0x100, 0x30, vmBO: vmBO, offset: 0)
            #expect(vmBO.referenceCount == 2 && vm.referenceCount == 3)
            try vm.insert(0x200, 0x10, vmBO: nil, offset: 0)
            #expect(vmBO.referenceCount == 2 && vm.referenceCount == 4, "without an object nothing is linked")
            try vm.execute(.unmap(addr: 0x110, range: 0x10), into: &list)
            vm.commit(&list)
            #expect(vmBO.referenceCount == 3 && vm.referenceCount == 5)
            try vm.execute(.map(addr: 0x100, range: 0x110, pair: try vmBO.pair(), offset: 0), into: &list)
            vm.commit(&list)
            #expect(vmBO.referenceCount == 2 && vm.referenceCount == 3)
        }
        #expect(!rig.put(vmBO))
        #expect(vmBO.referenceCount == 1 && rig.find(a) === vmBO)
        rig.put(vmBO)
        try rig.unmap(0x100, a)
        #expect(vmBO.referenceCount == 0)
        vm.cleanUpDeferred()
        #expect(rig.log.take() == ["end of vm-a"] && vm.referenceCount == 1)
        vm.put()
    }

    @Test("links are counted the same by lists, by single calls and step by step, also when they fail", arguments: Mode.allCases)
    func ways(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a"), vm = rig.vm
        let vmBO = try rig.obtain(a)
        var list = OperationList()
        try rig.locked([a]) {
            let pair = try vmBO.pair()
            try vm.execute(.map(addr: 0x100, range: 0x30, pair: pair, offset: 0)) { _ throws(KernelErrno) in }
            #expect(vmBO.referenceCount == 2)
            #expect(throws: KernelErrno.EIO) {
                try vm.execute(.unmap(addr: 0x110, range: 0x10)) { _ throws(KernelErrno) in throw .EIO }
            }
            #expect(vmBO.referenceCount == 2)
            try vm.execute(.unmap(addr: 0x110, range: 0x10)) { operation throws(KernelErrno) in
                guard case .remap(let victim, _, _, _) = operation else { throw .EIO }
                #expect(vm.vmBO(of: victim.pair) === vmBO)
            }
            #expect(vmBO.referenceCount == 3)
            #expect(throws: KernelErrno.EEXIST) { try vm.insert(0x100, 1, vmBO: vmBO, offset: 0) }
            #expect(throws: KernelErrno.EINVAL) {
                try vm.execute(.map(addr: 0, range: 1, pair: pair, offset: 0), into: &list)
            }
            #expect(vmBO.referenceCount == 3)
            try vm.ask(.map(addr: 0x100, range: 0x30, pair: pair, offset: 0), into: &list)
            #expect(vmBO.referenceCount == 3)
            try vm.apply(&list)
            #expect(vmBO.referenceCount == 2)
            vm.revert(&list)
            #expect(vmBO.referenceCount == 3)
            try rig.listLocked(a) { try vm.askUnmap(of: vmBO, into: &list) }
            #expect(list.all.count == 2)
            try vm.apply(&list)
            #expect(vmBO.referenceCount == 1)
            vm.commit(&list)
        }
        #expect(rig.put(vmBO))
        vm.cleanUpDeferred()
        vm.put()
        #expect(rig.log.take() == ["end of vm-a", "end of vm"])
    }

    @Test("what a list unlinked lives until the list is committed or links are settled, and comes back whole", arguments: Mode.allCases)
    func unlinkedInList(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a"), vm = rig.vm
        let vmBO = try rig.map(a, at: 0x100)
        var list = OperationList()
        try rig.locked([a]) {
            try vm.execute(.unmap(addr: 0x100, range: 16), into: &list)
            #expect(vmBO.referenceCount == 0 && rig.log.lines == [])
            vm.revert(&list)
            #expect(vmBO.referenceCount == 1)
            try vm.execute(.unmap(addr: 0x100, range: 16), into: &list)
            vm.settleLinks()
        }
        vm.cleanUpDeferred()
        #expect(rig.log.take() == ["end of vm-a"], "before the list is committed, which then needs no lock")
        vm.commit(&list)
        let (count, broken) = (vm.space.count, vm.space.check())
        #expect(vm.referenceCount == 1 && count == 0 && broken == nil)
        vm.put()
    }

    @Test("a pair made only to ask leaves nothing behind", arguments: Mode.allCases)
    func asked(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a"), vm = rig.vm
        var numbers: Set<UInt32> = []
        var list = OperationList()
        for _ in 0..<100 {
            let vmBO = try rig.obtain(a)
            let pair = try vmBO.pair()
            numbers.insert(pair.rawValue)
            try vm.ask(.map(addr: 0x100, range: 16, pair: pair, offset: 0), into: &list)
            rig.put(vmBO)
            vm.cleanUpDeferred()
            #expect(vm.vmBO(of: pair) == nil)
        }
        #expect(numbers.count == 1, "its number is used again")
        vm.put()
    }

    @Test("the VM goes last: after its pairs, whatever else is dropped before", arguments: Mode.allCases)
    func order(mode: Mode) throws {
        let log = Log()
        do {
            let rig = Rig(mode, log: log)
            let a = rig.externalObject("a"), b = rig.privateObject("b")
            try _ = rig.map(a, at: 0x100)
            try _ = rig.map(b, at: 0x200)
            rig.vm.put()
            #expect(rig.vm.referenceCount == 4, "two pairs, two mappings")
            try rig.unmap(0x200, b)
            rig.vm.cleanUpDeferred()
            #expect(log.take() == ["end of vm-b"] && rig.vm.referenceCount == 2)
            try rig.unmap(0x100, a)
            if mode.isImmediate {
                #expect(log.lines == [] && rig.vm.referenceCount == 1, "the zombie keeps the VM")
                rig.vm.cleanUpDeferred()
            }
            #expect(log.take() == ["end of vm-a", "end of vm"])
        }
        #expect(Set(log.lines) == ["end of a", "end of b"])
    }

    @Test("a pair keeps its object, until it is dead", arguments: Mode.allCases)
    func keepsObject(mode: Mode) throws {
        let rig = Rig(mode)
        func use() throws -> MappingID {
            let a = rig.externalObject("a")
            _ = try rig.map(a, at: 0x100)
            return rig.vm.space.findFirst(0x100, 1)!.id
        }
        let id = try use()
        #expect(rig.log.lines == [])
        func end() throws {
            let object = rig.vm.vmBO(of: rig.vm.space.mapping(id)!.pair)!.object
            try rig.locked([object]) { try rig.vm.remove(id) }
        }
        try end()
        rig.vm.cleanUpDeferred()
        #expect(rig.log.take() == ["end of vm-a", "end of a"])
        rig.vm.put()
    }

    // MARK: Immediate mode

    @Test("of two preallocated pairs one is obtained by both, and stays on its lists", arguments: Mode.immediates)
    func preallocated(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a")
        let (mine, other) = (try VMBO.create(rig.vm, a), try VMBO.create(rig.vm, a))
        #expect(VMBO.obtain(preallocated: mine) === mine)
        #expect(mine.referenceCount == 1 && rig.vm.referenceCount == 3)
        rig.addExternal(mine)
        #expect(VMBO.obtain(preallocated: other) === mine)
        #expect(mine.referenceCount == 2 && other.referenceCount == 0 && rig.vm.referenceCount == 2)
        #expect(rig.log.take() == ["end of vm-a"] && rig.externals == ["a"])
        rig.addExternal(mine)
        #expect(rig.externals == ["a"])
        rig.put(mine)
        rig.put(mine)
        rig.vm.cleanUpDeferred()
        rig.vm.put()
    }

    @Test("a preallocated pair that is not needed but has another reference lives on, unfound", arguments: Mode.immediates)
    func preallocatedTwice(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a")
        let (mine, other) = (try VMBO.create(rig.vm, a), try VMBO.create(rig.vm, a))
        #expect(VMBO.obtain(preallocated: mine) === mine)
        other.get()
        #expect(VMBO.obtain(preallocated: other) === mine)
        #expect(other.referenceCount == 1 && rig.log.lines == [])
        for vmBO in [other, mine, mine] { rig.put(vmBO) }
        rig.vm.cleanUpDeferred()
        #expect(rig.log.take().count == 2)
        rig.vm.put()
    }

    @Test("a zombie is not found nor listed; another pair of its object lives beside it", arguments: Mode.immediates)
    func zombie(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a"), b = rig.externalObject("b")
        let zombie = try rig.obtain(a), keeper = try rig.obtain(b)
        for vmBO in [zombie, keeper] {
            rig.addExternal(vmBO)
            rig.evict(vmBO, true)
        }
        #expect(try rig.execLock() == ["vm", "a", "b"])
        #expect(rig.put(zombie))
        #expect(rig.find(a) == nil && rig.externals == ["b"] && rig.evicted == ["b"])
        var seen: [String] = []
        a.gpuvaLock.withLock { a.forEachVMBO { seen.append($0.name) } }
        #expect(seen == [])
        #expect(try rig.execLock() == ["vm", "b"])
        #expect(rig.locked([]) { zombie.externalNode.isAlone } == !mode.isProtected, "it leaves the lists when they are free")
        let another = try rig.obtain(a)
        rig.addExternal(another)
        #expect(rig.externals == ["b", "a"])
        try rig.validate([])
        #expect(rig.log.take() == ["validate b"])
        rig.vm.cleanUpDeferred()
        #expect(rig.log.take() == ["end of vm-a"] && rig.externals == ["b", "a"])
        #expect(rig.find(a) === another)
        for vmBO in [another, another, keeper] { rig.put(vmBO) }
        rig.vm.cleanUpDeferred()
        #expect(rig.log.take() == ["end of vm-b", "end of vm-a"], "the youngest zombie first")
        rig.vm.put()
    }

    @Test("a deferred put before the last is nothing but a count", arguments: Mode.immediates)
    func deferredPut(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a")
        let vmBO = try rig.obtain(a)
        vmBO.get()
        #expect(!vmBO.putDeferred() && vmBO.referenceCount == 1 && rig.find(a) === vmBO)
        rig.put(vmBO)
        rig.gate.beginSignalling()
        #expect(vmBO.putDeferred(), "allowed where fences are signalled")
        rig.gate.endSignalling()
        rig.vm.cleanUpDeferred()
        rig.vm.cleanUpDeferred()
        #expect(rig.log.take() == ["end of vm-a"])
        rig.vm.put()
    }

    @Test("a direct put in immediate mode destroys at once", arguments: Mode.immediates)
    func directPut(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a")
        let vmBO = try rig.obtain(a)
        rig.addExternal(vmBO)
        #expect(rig.locked([a]) { rig.listLocked(a) { vmBO.put() } })
        #expect(rig.log.take() == ["end of vm-a"] && rig.externals == [])
        rig.vm.put()
    }

    // MARK: Many

    @Test("in a thousand VMs an object's pair is the VM's own, in order, also after others went", arguments: Mode.allCases)
    func manyVMs(mode: Mode) throws {
        let gate = SteppedGate(), log = Log()
        let a = TestObject("a", log, gate: gate)
        let rigs = (0..<1000).map { Rig(mode, gate: gate, log: log, name: "\($0)") }
        let pairs = try rigs.map { try $0.obtain(a) }
        func names() -> [String] {
            rigs[0].locked([a]) {
                rigs[0].listLocked(a) {
                    var names: [String] = []
                    a.forEachVMBO { names.append($0.vm.name) }
                    return names
                }
            }
        }
        #expect(names() == rigs.map(\.vm.name))
        for i in stride(from: 0, to: 1000, by: 3) { #expect(rigs[i].put(pairs[i])) }
        for (i, rig) in rigs.enumerated() {
            let found = rig.find(a)
            #expect(i % 3 == 0 ? found == nil : found === pairs[i])
            if let found { rig.put(found) }
        }
        #expect(names() == rigs.indices.filter { $0 % 3 != 0 }.map(String.init))
        for (i, rig) in rigs.enumerated() {
            if i % 3 != 0 { rig.put(pairs[i]) }
            rig.vm.cleanUpDeferred()
            rig.vm.put()
        }
        #expect(log.take().count == 2000)
    }

    @Test("a caller's value stays with its pair, and goes with it")
    func userData() throws {
        final class Value: Sendable {}
        let rig = Rig(.plain), a = rig.externalObject("a")
        weak var weakly: Value?
        func use() throws {
            let value = Value()
            weakly = value
            try rig.map(a, at: 0x100).userData = value
        }
        try use()
        func look() { #expect(rig.find(a).map { rig.put($0); return $0.userData === weakly } == true) }
        look()
        #expect(weakly != nil)
        try rig.unmap(0x100, a)
        #expect(weakly == nil)
        rig.vm.put()
    }

    // MARK: Memory and misuse

    @Test("without memory there is no pair, and nothing has changed", arguments: Mode.allCases)
    func noMemory(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a")
        rig.vm.allocate = { _ in nil }
        #expect(throws: KernelErrno.ENOMEM) { try rig.obtain(a) }
        #expect(rig.vm.referenceCount == 1 && rig.find(a) == nil)
        rig.vm.allocate = { malloc($0) }
        _ = try rig.map(a, at: 0x100)
        rig.vm.allocate = { _ in nil }
        let found = try? rig.obtain(a)
        #expect((found == nil) == mode.isImmediate, "who preallocates needs memory even where there is a pair")
        if let found { rig.put(found) }
        try rig.unmap(0x100, a)
        rig.vm.cleanUpDeferred()
        rig.vm.put()
        #expect(rig.log.take() == ["end of vm-a", "end of vm"])
    }

    @Test("any one allocation may fail: whoever gets a pair finds it, in any number of VMs", arguments: Mode.allCases)
    func failingAllocations(mode: Mode) throws {
        for n in 0..<60 {
            let gate = SteppedGate(), log = Log(), a = TestObject("a", log, gate: gate)
            var count = 0, failures = 0
            let rigs = (0..<40).map { Rig(mode, gate: gate, log: log, name: "\($0)") }
            var pairs: [VMBO?] = []
            for rig in rigs {
                rig.vm.allocate = { size in
                    count += 1
                    return count == n ? nil : malloc(size)
                }
                do { pairs.append(try rig.obtain(a)) } catch {
                    failures += 1
                    pairs.append(nil)
                }
            }
            #expect(failures <= 1)
            for (rig, pair) in zip(rigs, pairs) {
                let found = rig.find(a)
                #expect(found === pair, "allocation \(n)")
                if let found { rig.put(found) }
                if let pair { rig.put(pair) }
                rig.vm.cleanUpDeferred()
                rig.vm.put()
            }
            #expect(log.take().count == 80 - failures, "allocation \(n)")
        }
    }

    @Test("calls of the wrong mode are warned of")
    func warnings() throws {
        for mode in Mode.allCases {
            let rig = Rig(mode), a = rig.externalObject("a")
            var warnings = 0
            rig.vm.onWarning = { _ in warnings += 1 }
            rig.gate.onViolation = { _ in }
            if mode.isImmediate {
                let vmBO = try rig.locked([a]) { try rig.listLocked(a) { try VMBO.obtain(rig.vm, a) } }
                #expect(warnings == 1)
                rig.put(vmBO)
            } else {
                let vmBO = rig.locked([a]) { VMBO.obtain(preallocated: try! .create(rig.vm, a)) }
                #expect(warnings == 1)
                _ = rig.locked([a]) { vmBO.putDeferred() }
                #expect(warnings == 2)
            }
            rig.vm.cleanUpDeferred()
            rig.vm.put()
        }
    }
}
