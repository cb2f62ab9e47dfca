import DRMExec
import DRMLock
import KernelErrno
import Testing

/// The kernel's own suite `drm_exec` (spec/gpuvm.md 7).
@Suite("drm_exec") struct KernelTests {
    let gate = SteppedGate()

    func object(_ name: String = "a") -> Object { Object(name, gate: gate) }

    @Test("sanitycheck: finish without a run")
    func sanityCheck() {
        let exec = Exec(gate: gate)
        exec.finish()
        #expect(exec.objects.isEmpty)
    }

    @Test("test_lock: an object is locked after the run, and not after finish")
    func lock() throws {
        let exec = Exec(gate: gate), a = object()
        try exec.run(.interruptibleWait) { exec throws(KernelErrno) in try exec.lock(a) }
        #expect(a.isLocked && exec.names == ["a"])
        exec.finish()
        #expect(!a.isLocked && exec.objects.isEmpty)
    }

    @Test("test_lock_unlock: lock, unlock, lock in one pass")
    func lockUnlock() throws {
        let exec = Exec(gate: gate), a = object()
        let passes = try exec.passes(.interruptibleWait) { exec, _ throws(KernelErrno) in
            try exec.lock(a)
            exec.unlock(a)
            #expect(!a.isLocked)
            try exec.lock(a)
        }
        #expect(passes == 1 && exec.names == ["a"])
        exec.finish()
        #expect(!a.isLocked)
    }

    @Test("test_duplicates: twice is once where duplicates are ignored; unlock after the run, then finish")
    func duplicates() throws {
        let exec = Exec(gate: gate), a = object()
        try exec.run(.ignoreDuplicates) { exec throws(KernelErrno) in
            try exec.lock(a)
            try exec.lock(a)
        }
        #expect(exec.names == ["a"])
        exec.unlock(a)
        #expect(!a.isLocked)
        exec.finish()
    }

    @Test("test_prepare: an object with a slot for a fence, that can end afterwards")
    func prepare() throws {
        let exec = Exec(gate: gate), log = Log()
        do {
            let a = Object("a", gate: gate, log: log)
            try exec.run(.interruptibleWait) { exec throws(KernelErrno) in try exec.prepare(a, fences: 1) }
            #expect(a.isLocked)
        }
        #expect(log.lines == [], "what is locked is kept alive")
        exec.finish()
        #expect(log.lines == ["end of a"])
    }

    @Test("test_prepare_array: two objects")
    func prepareArray() throws {
        let exec = Exec(gate: gate), a = object(), b = object("b")
        try exec.run(.interruptibleWait) { exec throws(KernelErrno) in try exec.prepare([a, b], fences: 1) }
        #expect(exec.names == ["a", "b"])
        exec.finish()
        #expect(!a.isLocked && !b.isLocked)
    }

    @Test("test_multiple_loops: one run after another")
    func multipleLoops() throws {
        let exec = Exec(gate: gate)
        for _ in 0..<2 {
            #expect(try exec.passes(.interruptibleWait) { _, _ in } == 1)
            exec.finish()
        }
    }
}
