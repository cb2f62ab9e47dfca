import DRMExec
import DRMLock
import DRMSync
import GateSupport
@testable import GPUVM
import KernelErrno
import Testing

/// Spec 3.2, 4.4: what the helpers lock, in which order, and what is held after an error.
@Suite("locking helpers") struct LockTests {
    let rig: Rig
    let own, own2, a, b: TestObject
    let exec: Exec
    var vm: VM { rig.vm }

    /// `own` at 0x100, `a` at 0x200, nothing at 0x300, `own2` at 0x400, `b` at 0x500, `a` again at 0x600; 0x100 each.
    init() throws {
        rig = Rig(.plain)
        own = rig.privateObject("own")
        own2 = rig.privateObject("own2")
        a = rig.externalObject("a")
        b = rig.externalObject("b")
        exec = Exec(gate: rig.gate)
        for (object, addr) in [(own, 0x100), (a, 0x200), (own2, 0x400), (b, 0x500), (a, 0x600)] as [(TestObject, UInt64)] {
            _ = try rig.map(object, at: addr, 0x100)
        }
        try vm.insert(0x300, 0x100, vmBO: nil, offset: 0)
    }

    /// What is locked, by name; all is let go.
    func names() -> [String] {
        defer { exec.finish() }
        return exec.objects.map { ($0 as? TestObject)?.name ?? "vm" }
    }

    func expectAllFree() {
        #expect(exec.objects.isEmpty)
        for object in [own, a, b] { #expect(!object.reservation.isLocked, "\(object.name)") }
    }

    @Test("the VM first, then external objects in their order, then what else is asked for")
    func execLock() throws {
        try vm.execLock(exec, fences: 1)
        #expect(names() == ["vm", "a", "b"])
        let c = rig.externalObject("c")
        try vm.execLock(exec, fences: 1) { exec throws(KernelErrno) in try exec.lock(c) }
        #expect(names() == ["vm", "a", "b", "c"])
        try vm.execLock(exec, fences: 2, objects: [c])
        #expect(names() == ["vm", "a", "b", "c"])
        #expect(throws: KernelErrno.EALREADY) { try vm.execLock(exec, fences: 1, objects: [own]) }
        expectAllFree()
        try vm.execLock(exec, .ignoreDuplicates, fences: 1, objects: [own, c])
        #expect(names() == ["vm", "a", "b", "c"])
        #expect(throws: KernelErrno.EIO) { try vm.execLock(exec, fences: 1) { _ throws(KernelErrno) in throw .EIO } }
        expectAllFree()
    }

    @Test("a pair that ends while its object is locked leaves the object there until all is unlocked", arguments: Mode.plains)
    func endWhileLocked(mode: Mode) throws {
        let rig = Rig(mode), exec = Exec(gate: rig.gate)
        var pair: VMBO? = try rig.obtain(rig.externalObject("a"))
        rig.addExternal(pair!)
        try rig.vm.execLock(exec, fences: 0)
        _ = rig.log.take()
        pair!.put()
        pair = nil
        #expect(rig.log.take() == ["end of vm-a"])
        let names = exec.objects.map { ($0 as? TestObject)?.name ?? "vm" }
        #expect(names == ["vm", "a"])
        exec.finish()
        #expect(rig.log.take() == ["end of a"])
        rig.vm.put()
    }

    @Test("contention anywhere starts the whole again, with the contended object taken first", arguments: ["vm", "a", "b", "c"])
    func contention(name: String) throws {
        let c = rig.externalObject("c"), gate = rig.gate
        let contended = ["vm": own, "a": a, "b": b, "c": c][name]!
        let ticket = AcquireContext(gate: gate)
        let holder = gate.spawn("holder") {
            try! contended.reservation.lock.lock(ticket)
            gate.sleep(for: 1000)
            contended.reservation.unlock()
            ticket.end()
        }
        while !contended.reservation.isLocked { gate.sleep(for: 1) }
        try vm.execLock(exec, fences: 1, objects: [c])
        #expect(gate.now >= 1000)
        #expect(names() == ["vm", "a", "b", "c"])
        gate.join(holder)
        #expect(rig.externals == ["a", "b"])
    }

    @Test("a range locks what is mapped in it, in address order, and not the VM")
    func range() throws {
        try vm.execLockRange(exec, 0x100, 0x600, .ignoreDuplicates, fences: 1)
        #expect(names() == ["own", "a", "b"], "own2 shares own's reservation, a is there twice")
        #expect(throws: KernelErrno.EALREADY) { try vm.execLockRange(exec, 0x100, 0x600, fences: 1) }
        expectAllFree()
        for (addr, range, expected) in [
            (0x1ff, 2, ["own", "a"]), (0x200, 0x100, ["a"]), (0x300, 0x100, []), (0, 0x100, []), (0x280, 0, ["a"]),
            (0x200, 0, []), (0, 0, []), (0x5ff, 1 << 30, ["b", "a"]), (0x280, .max, ["a"]),
        ] as [(UInt64, UInt64, [String])] {
            try vm.execLockRange(exec, addr, range, fences: 1)
            #expect(names() == expected, "\(addr) \(range)")
        }
    }

    @Test("mapping locks the new object, then what is cut or replaced; unmapping what is cut or goes")
    func requests() throws {
        let c = rig.externalObject("c")
        func map(_ addr: UInt64, _ range: UInt64, _ object: TestObject?) throws -> [String] {
            try exec.run(.ignoreDuplicates) { exec throws(KernelErrno) in
                try vm.smMapExecLock(exec, fences: 1, addr, range, object: object)
            }
            return names()
        }
        func unmap(_ addr: UInt64, _ range: UInt64) throws -> [String] {
            try exec.run(.ignoreDuplicates) { exec throws(KernelErrno) in try vm.smUnmapExecLock(exec, addr, range) }
            return names()
        }
        #expect(try map(0x280, 0x200, c) == ["c", "a", "own2"])
        #expect(try map(0x280, 0x200, nil) == ["a", "own2"])
        #expect(try map(0x800, 0x100, a) == ["a"])
        #expect(try map(0x150, 0, c) == ["c", "own"], "the generator takes an empty range")
        #expect(try unmap(0x550, 0x100) == ["b", "a"])
        #expect(try unmap(0x300, 0x100) == [])
        #expect(try unmap(0x800, 0x100) == [])
        #expect(throws: KernelErrno.EINVAL) { try map(0, 0x100, c) }
        #expect(throws: KernelErrno.EINVAL) { try unmap(.max, 1) }
        expectAllFree()
        let count = vm.space.count
        #expect(count == 6, "nothing has changed")
    }

    @Test("a fence gets onto everything locked: the VM's own and external objects each with their usage")
    func fences() throws {
        let fence = Fence(gate: rig.gate, context: rig.gate.allocateContexts(), seqno: 1)
        try vm.execLock(exec, .ignoreDuplicates, fences: 1, objects: [own])
        vm.addFence(exec, fence, private: .bookkeep, external: .write)
        #expect(names() == ["vm", "a", "b"])
        for object in [a, b] { #expect(object.reservation.fences(.write).first === fence) }
        #expect(own.reservation.fences(.read).isEmpty && own.reservation.fences(.bookkeep).first === fence)
        fence.signal()
    }

    @Test("without fences slots are not asked for")
    func noSlots() throws {
        try vm.execLock(exec, fences: 0)
        #expect(names() == ["vm", "a", "b"])
        try vm.execLockRange(exec, 0x100, 0x600, .ignoreDuplicates, fences: 0)
        #expect(names() == ["own", "a", "b"])
    }
}
