#if GPUVM_VALIDATE
import DRMExec
import DRMLock
import DRMSync
import GateSupport
@testable import GPUVM
import KernelErrno
import Testing

/// Spec 2.1: who touches a list without what guards it is reported. Each call here lacks one lock, and only that.
@Suite("planted faults") struct FaultTests {
    /// Runs a call that is wrong, after what is right.
    private func found(_ rig: Rig, _ call: () throws -> Void) rethrows -> [Violation.Kind] {
        var found: [Violation.Kind] = []
        rig.gate.onViolation = { found.append($0.kind) }
        try call()
        return found
    }

    @Test("pairs are found and obtained with the object's list locked", arguments: Mode.allCases)
    func find(mode: Mode) throws {
        for wrongly in [false, true] {
            let rig = Rig(mode), a = rig.externalObject("a")
            let kinds = found(rig) {
                switch (mode.isImmediate, wrongly) {
                case (true, true): rig.locked([a]) { _ = VMBO.find(rig.vm, a) }
                case (true, false): a.gpuvaLock.withLock { _ = VMBO.find(rig.vm, a) }
                case (false, true): a.gpuvaLock.withLock { _ = VMBO.find(rig.vm, a) }
                case (false, false): rig.locked([a]) { _ = VMBO.find(rig.vm, a) }
                }
            }
            #expect(kinds == (wrongly ? [.notHeld] : []))
        }
    }

    @Test("a pair is obtained with its object's reservation held", arguments: Mode.plains)
    func obtain(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a"), b = rig.externalObject("b")
        let kinds = found(rig) { rig.locked([b]) { _ = try! VMBO.obtain(rig.vm, a) } }
        #expect(kinds == [.notHeld])
    }

    @Test("a last put needs the object's list locked; another does not", arguments: Mode.plains)
    func put(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a")
        let vmBO = try rig.obtain(a)
        vmBO.get()
        #expect(found(rig) { vmBO.put() } == [])
        #expect(found(rig) { rig.locked([]) { _ = vmBO.put() } } == [.notHeld])
    }

    @Test("where the VM's reservation guards the lists, a last put needs it", arguments: [Mode.protected, .immediateProtected])
    func putLists(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a")
        let vmBO = try rig.obtain(a)
        let kinds = found(rig) {
            try! a.reservation.lock.lock(nil)
            rig.listLocked(a) { _ = vmBO.put() }
            a.reservation.unlock()
        }
        #expect(kinds == [.notHeld])
    }

    @Test("mappings of an object are linked and unlinked with its reservation held", arguments: Mode.plains)
    func link(mode: Mode) throws {
        for isInsertion in [true, false] {
            let rig = Rig(mode), a = rig.externalObject("a"), b = rig.externalObject("b")
            let vmBO = try rig.obtain(a)
            if !isInsertion { _ = try rig.map(a, at: 0x100) }
            let kinds = try found(rig) {
                try rig.locked([b]) {
                    if isInsertion {
                        try rig.vm.insert(0x100, 16, vmBO: vmBO, offset: 0)
                    } else {
                        try rig.vm.remove(rig.vm.space.findFirst(0x100, 1)!.id)
                    }
                }
            }
            #expect(kinds == [.notHeld])
        }
    }

    @Test("a pair's mappings are looked at with the object's list locked", arguments: Mode.allCases)
    func mappings(mode: Mode) throws {
        for isList in [true, false] {
            let rig = Rig(mode), a = rig.externalObject("a")
            let vmBO = try rig.map(a, at: 0x100)
            var list = OperationList()
            let kinds = try found(rig) {
                try rig.locked([]) {
                    if isList { try rig.vm.askUnmap(of: vmBO, into: &list) } else { vmBO.forEachMapping { _ in } }
                }
            }
            #expect(kinds == [.notHeld])
        }
    }

    @Test("an object's pairs are gone through with its list locked", arguments: Mode.allCases)
    func objectList(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a")
        _ = try rig.map(a, at: 0x100)
        #expect(found(rig) { rig.locked([]) { a.forEachVMBO { _ in } } } == [.notHeld])
    }

    @Test("evicting needs the object's reservation", arguments: Mode.allCases)
    func evict(mode: Mode) throws {
        let rig = Rig(mode), a = rig.externalObject("a")
        let vmBO = try rig.map(a, at: 0x100)
        #expect(found(rig) { rig.locked([]) { vmBO.evict(true) } } == [.notHeld])
    }

    @Test("the list of external objects is guarded by the VM's reservation, or by itself", arguments: Mode.allCases)
    func external(mode: Mode) throws {
        for isAddition in [true, false] {
            let rig = Rig(mode), a = rig.externalObject("a")
            let vmBO = try rig.obtain(a), exec = Exec(gate: rig.gate)
            let kinds = try found(rig) {
                if isAddition { vmBO.addExternal() } else {
                    try exec.run { exec throws(KernelErrno) in try rig.vm.prepareObjects(exec, fences: 1) }
                    exec.finish()
                }
            }
            #expect(kinds == (mode.isProtected ? [.notHeld] : []))
        }
    }

    @Test("so is the list of evicted ones", arguments: Mode.allCases)
    func evicted(mode: Mode) throws {
        let rig = Rig(mode)
        #expect(try found(rig) { try rig.vm.validate(Exec(gate: rig.gate)) } == (mode.isProtected ? [.notHeld] : []))
    }

    @Test("zombies are cleaned up without the VM's reservation held")
    func cleanUp() throws {
        let rig = Rig(.immediateProtected), a = rig.externalObject("a")
        rig.put(try rig.obtain(a))
        #expect(found(rig) { rig.locked([]) { rig.log.add("held") } } == [])
        rig.gate.onViolation = { _ in }
        // The first order known is the right one: taking the reservation again would never return.
        rig.vm.cleanUpDeferred()
        #expect(rig.log.lines == ["held", "end of vm-a"])
    }

    @Test("nothing is allocated while an object's list is locked in immediate mode")
    func allocation() throws {
        let rig = Rig(.immediate), a = rig.externalObject("a")
        #expect(found(rig) { a.gpuvaLock.withLock { rig.gate.mightAllocate() } } == [.lockInSignalling])
        let other = Rig(.immediate), b = other.externalObject("b")
        #expect(found(other) { b.gpuvaLock.withLock { _ = try! VMBO.create(other.vm, b) } } == [.lockInSignalling])
    }
}
#endif
