import DRMExec
import DRMLock
import DRMSync
import GateSupport
@testable import GPUVM
import KernelErrno
import Testing

/// Spec 3.2, 5.3, 5.4: the lists of external and evicted objects, and who goes through them.
@Suite("lists of pairs") struct ListTests {
    @Test("external is what has another reservation than the VM; it is listed once, in the order added", arguments: Mode.allCases)
    func external(mode: Mode) throws {
        let rig = Rig(mode), own = rig.privateObject("own")
        let objects = ["c", "a", "b"].map { rig.externalObject($0) }
        let pairs = try objects.map { try rig.obtain($0) } + [try rig.obtain(own)]
        #expect(pairs.map(\.isExternal) == [true, true, true, false])
        #expect(rig.externals == [], "obtaining alone lists nothing")
        for vmBO in pairs + pairs { rig.addExternal(vmBO) }
        #expect(rig.externals == ["c", "a", "b"])
        rig.put(pairs[1])
        #expect(rig.externals == ["c", "b"])
        for i in [0, 2, 3] { rig.put(pairs[i]) }
        rig.vm.cleanUpDeferred()
        rig.vm.put()
    }

    @Test("evicting lists a pair once; an external one, where the VM's reservation guards, only when all is locked", arguments: Mode.allCases)
    func evict(mode: Mode) throws {
        let rig = Rig(mode), own = rig.privateObject("own"), a = rig.externalObject("a")
        let pairs = [try rig.map(own, at: 0x100), try rig.map(a, at: 0x200)]
        for _ in 0..<2 { for vmBO in pairs { rig.evict(vmBO, true) } }
        #expect(pairs.map(\.isEvicted) == [true, true])
        #expect(rig.evicted == (mode.isProtected ? ["own"] : ["own", "a"]))
        _ = try rig.execLock()
        #expect(rig.evicted == ["own", "a"])
        rig.evict(pairs[1], false)
        #expect(pairs[1].isEvicted == false)
        #expect(rig.evicted == (mode.isProtected ? ["own", "a"] : ["own"]), "there it leaves in the next validation")
        rig.evict(pairs[0], false)
        #expect(rig.evicted == (mode.isProtected ? ["a"] : []))
        try rig.validate([])
        #expect(rig.evicted == [] && rig.log.take() == (mode.isProtected ? ["validate a"] : []))
        try rig.unmap(0x100, own)
        try rig.unmap(0x200, a)
        rig.vm.cleanUpDeferred()
        rig.vm.put()
    }

    @Test("an object's eviction is one of it in all VMs", arguments: Mode.allCases)
    func evictEverywhere(mode: Mode) throws {
        let gate = SteppedGate(), log = Log(), a = TestObject("a", log, gate: gate)
        let rigs = (0..<3).map { Rig(mode, gate: gate, log: log, name: "\($0)") }
        let pairs = try rigs.map { try $0.map(a, at: 0x100) }
        for evicted in [true, false] {
            rigs[0].locked([a]) { rigs[0].listLocked(a) { a.evict(evicted) } }
            #expect(pairs.map(\.isEvicted) == [evicted, evicted, evicted])
            for rig in rigs { #expect(rig.evicted == (evicted && !mode.isProtected ? ["a"] : [])) }
        }
        for rig in rigs {
            try rig.unmap(0x100, a)
            rig.vm.cleanUpDeferred()
            rig.vm.put()
        }
    }

    @Test("validation goes in the list's order up to the first error; what came back has left the list", arguments: Mode.allCases)
    func validate(mode: Mode) throws {
        let rig = Rig(mode), names = ["a", "b", "c"]
        let objects = names.map { rig.externalObject($0) }
        let pairs = try objects.enumerated().map { try rig.map($1, at: UInt64($0 + 1) * 0x100) }
        for vmBO in pairs { rig.evict(vmBO, true) }
        rig.driver.onValidate = { vmBO throws(KernelErrno) in
            if vmBO.name == "b" { throw .ENOSPC }
            vmBO.evict(false)
        }
        #expect(throws: KernelErrno.ENOSPC) { try rig.validate(objects) }
        #expect(rig.log.take() == ["validate a", "validate b"])
        #expect(rig.evicted == ["b", "c"] && pairs.map(\.isEvicted) == [false, true, true])
        rig.driver.onValidate = { _ throws(KernelErrno) in }
        try rig.validate(objects)
        #expect(rig.log.take() == ["validate b", "validate c"])
        #expect(rig.evicted == ["b", "c"], "who stays marked stays listed, in order")
        rig.driver.onValidate = { vmBO throws(KernelErrno) in vmBO.evict(false) }
        try rig.validate(objects)
        #expect(rig.log.take() == ["validate b", "validate c"])
        try rig.validate(objects)
        #expect(rig.log.take() == [] && rig.evicted == [])
        for (i, object) in objects.enumerated() { try rig.unmap(UInt64(i + 1) * 0x100, object) }
        rig.vm.cleanUpDeferred()
        rig.vm.put()
    }

    @Test("a driver that cannot validate makes it EOPNOTSUPP, also with nothing to do")
    func cannotValidate() throws {
        final class Plain: VMDriver {
            func free(_ vm: VM) {}
        }
        let gate = SteppedGate(), exec = Exec(gate: gate)
        let vm = try VM(gate: gate, driver: Plain(), resvObject: VM.makeResvObject(gate: gate), start: 0, range: 16)
        try vm.execLock(exec, fences: 0)
        #expect(throws: KernelErrno.EOPNOTSUPP) { try vm.validate(exec) }
        exec.finish()
        #expect(vm.name == "unknown")
        vm.put()
    }

    @Test("pairs may come, go and be marked while the list is gone through; what is left keeps its order", arguments: Mode.plains)
    func changesMeanwhile(mode: Mode) throws {
        let rig = Rig(mode)
        // All of the VM's own, so that either mode lists them at once.
        let objects = ["a", "b", "c", "d", "e"].map { rig.privateObject($0) }
        var pairs = Dictionary(uniqueKeysWithValues: try objects.map { ($0.name, try rig.obtain($0)) })
        for name in ["a", "b", "c", "d"] { rig.evict(pairs[name]!, true) }
        rig.driver.onValidate = { vmBO throws(KernelErrno) in
            switch vmBO.name {
            case "a":
                pairs["b"]!.put()  // the next one goes,
                pairs["e"]!.evict(true)  // another comes behind,
            case "c":
                pairs["a"]!.put()  // one that was seen goes,
                pairs["d"]!.evict(false)  // one is done by the way,
                vmBO.put()  // and the very one at hand.
            default: break
            }
        }
        try rig.validate([])
        #expect(rig.log.take() == ["validate a", "end of vm-b", "validate c", "end of vm-a", "end of vm-c", "validate e"])
        #expect(rig.evicted == ["e"])
        for name in ["d", "e"] { rig.put(pairs[name]!) }
        pairs = [:]
        rig.vm.put()
        #expect(rig.log.take().suffix(3) == ["end of vm-d", "end of vm-e", "end of vm"])
    }

    @Test("an error in the middle leaves all on the list, in order", arguments: Mode.allCases)
    func stopsInOrder(mode: Mode) throws {
        let rig = Rig(mode), shared = Reservation(gate: rig.gate)
        let objects = [
            rig.externalObject("a"), TestObject("b", rig.log, gate: rig.gate, sharing: shared),
            TestObject("c", rig.log, gate: rig.gate, sharing: shared), rig.externalObject("d"),
        ]
        let pairs = try objects.enumerated().map { try rig.map($1, at: UInt64($0 + 1) * 0x100) }
        let exec = Exec(gate: rig.gate)
        #expect(throws: KernelErrno.EALREADY, "b and c share a reservation") { try rig.vm.execLock(exec, fences: 1) }
        #expect(exec.objects.isEmpty && !objects.contains { $0.reservation.isLocked })
        #expect(rig.externals == ["a", "b", "c", "d"])
        try rig.vm.execLock(exec, .ignoreDuplicates, fences: 1)
        #expect(exec.objects.dropFirst().map { ($0 as! TestObject).name } == ["a", "b", "d"])
        exec.finish()
        #expect(pairs.map(\.referenceCount) == [1, 1, 1, 1])
        for (i, object) in objects.enumerated() { try rig.unmap(UInt64(i + 1) * 0x100, object) }
        rig.vm.cleanUpDeferred()
        rig.vm.put()
    }

    @Test("who goes through a list that somebody else goes through is warned of", arguments: Mode.allCases)
    func overlapping(mode: Mode) throws {
        let rig = Rig(mode), own = rig.privateObject("own")
        let vmBO = try rig.map(own, at: 0x100)
        rig.evict(vmBO, true)
        var warnings = 0
        rig.vm.onWarning = { _ in warnings += 1 }
        let exec = Exec(gate: rig.gate)
        var isNested = false
        rig.driver.onValidate = { [vm = rig.vm] vmBO throws(KernelErrno) in
            guard !isNested else { return }
            isNested = true
            try vm.validate(exec)
        }
        try rig.vm.execLock(exec, fences: 0)
        try rig.vm.validate(exec)
        exec.finish()
        #expect(warnings == 1 && rig.evicted == ["own"])
        try rig.unmap(0x100, own)
        rig.vm.cleanUpDeferred()
        rig.vm.put()
    }
}
