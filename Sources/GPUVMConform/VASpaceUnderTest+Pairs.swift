internal import DRMExec
internal import GPUVM
internal import KernelErrno

/// What was locked, and the VM's list of external or of evicted objects after.
struct LockOutcome: Hashable, CustomStringConvertible {
    var rc: Int
    var objects: [Int]
    var list: [Int] = []
    var description: String { "rc \(rc), \(objects), list \(list)" }
}

// MARK: - Pairs, with everything locked

extension VASpaceUnderTest {
    /// Runs a call with the reservations of the VM and all objects held.
    func locked(_ call: () throws(KernelErrno) -> Void) -> Int {
        Self.result { () throws(KernelErrno) in
            try self.exec.run(.ignoreDuplicates) { exec throws(KernelErrno) in
                for object in self.objects { try exec.lock(object) }
            }
            defer { self.exec.finish() }
            try call()
        }
    }

    /// Runs a call with what guards an object's pairs.
    func withListLock<R>(_ object: Int, _ call: () throws(KernelErrno) -> R) throws(KernelErrno) -> R {
        guard isImmediate else { return try call() }
        let object = objects[object]
        object.gpuvaLock.lock()
        defer { object.gpuvaLock.unlock() }
        return try call()
    }

    /// The pair of an object, with a reference.
    func find(_ object: Int) -> VMBO? {
        try? withListLock(object) { () throws(KernelErrno) in VMBO.find(self.vm, self.objects[object]) }
    }

    /// The same, made where there is none.
    func obtainPair(_ object: Int) throws(KernelErrno) -> VMBO {
        isImmediate
            ? .obtain(preallocated: try .create(vm, objects[object])) : try .obtain(vm, objects[object])
    }

    @discardableResult
    func letGo(_ vmBO: VMBO) -> Bool {
        isImmediate ? vmBO.putDeferred() : vmBO.put()
    }

    func mappings(of object: Int) -> [Mapping] {
        guard let vmBO = find(object) else { return [] }
        defer { letGo(vmBO) }
        var all: [Mapping] = []
        try? withListLock(object) { () throws(KernelErrno) in vmBO.forEachMapping { all.append($0) } }
        return all
    }
}

// MARK: - Steps

extension VASpaceUnderTest {
    /// References on the pair of an object; 0: no pair.
    func references(_ object: Int) -> Int {
        ofPair(object) { $0.referenceCount - 1 } ?? 0
    }

    func isEvicted(_ object: Int) -> Bool {
        ofPair(object) { $0.isEvicted } ?? false
    }

    private func ofPair<R>(_ object: Int, _ look: (VMBO) -> R) -> R? {
        var result: R?
        _ = locked { () throws(KernelErrno) in
            guard object != 0, let vmBO = self.find(object) else { return }
            result = look(vmBO)
            self.letGo(vmBO)
        }
        return result
    }

    /// Takes a reference, making the pair when there is none; an external object gets onto its list, as recorded.
    func obtain(_ object: Int) -> Int {
        locked { () throws(KernelErrno) in
            try self.obtainPair(object).addExternal()
            self.held[object] += 1
        }
    }

    /// Drops a reference taken by ``obtain(_:)``. The result is the kernel's: 1 the pair is gone, 0 it is not, or
    /// -2 when there was none.
    func put(_ object: Int) -> Int {
        guard held[object] > 0 else { return -2 }
        held[object] -= 1
        var isLast = false
        let rc = locked { () throws(KernelErrno) in
            guard let vmBO = self.find(object) else { throw .ENOENT }
            self.letGo(vmBO)
            isLast = self.letGo(vmBO)
        }
        return rc == 0 && isLast ? 1 : rc
    }

    /// -2: no pair.
    func evict(_ object: Int, _ evicted: Bool) -> LockOutcome {
        let rc = locked { () throws(KernelErrno) in
            guard let vmBO = self.find(object) else { throw .ENOENT }
            vmBO.evict(evicted)
            self.letGo(vmBO)
        }
        return LockOutcome(rc: rc, objects: [], list: evictedObjects)
    }

    /// Locks everything, then has all objects come back but one.
    func validate(failing: Int) -> LockOutcome {
        driver.failing = failing
        driver.validated = []
        let rc = Self.result { () throws(KernelErrno) in
            // A pair may be evicted that no list of external objects knows of.
            try self.vm.execLock(self.exec, .ignoreDuplicates, fences: 1, objects: self.objects)
            defer { self.exec.finish() }
            try self.vm.validate(self.exec)
        }
        return LockOutcome(rc: rc, objects: driver.validated, list: evictedObjects)
    }

    /// Locks the VM and its external objects.
    func lock() -> LockOutcome {
        var outcome = lockOutcome { () throws(KernelErrno) in try self.vm.execLock(self.exec, fences: 1) }
        outcome.list = externalObjects
        return outcome
    }

    func lockRange(_ addr: UInt64, _ range: UInt64, _ flags: Exec.Flags) -> LockOutcome {
        lockOutcome { () throws(KernelErrno) in
            try self.vm.execLockRange(self.exec, addr, range, flags, fences: 1)
        }
    }

    /// Locks what a request would touch.
    func lock(_ request: RecordedRequest) -> LockOutcome {
        lockOutcome { () throws(KernelErrno) in
            try self.exec.run(.ignoreDuplicates) { exec throws(KernelErrno) in
                if request.kind == .unmap {
                    try self.vm.smUnmapExecLock(exec, request.addr, request.range)
                } else {
                    let object = request.object == 0 ? nil : self.objects[request.object]
                    try self.vm.smMapExecLock(exec, fences: 1, request.addr, request.range, object: object)
                }
            }
        }
    }

    private func lockOutcome(_ call: () throws(KernelErrno) -> Void) -> LockOutcome {
        let rc = Self.result(call)
        defer { exec.finish() }
        return LockOutcome(rc: rc, objects: exec.objects.map(\.number))
    }

    func cleanUp() { vm.cleanUpDeferred() }

    /// The VM's lists in order.
    var externalObjects: [Int] { numbers { $0.externalObjects } }
    var evictedObjects: [Int] { numbers { $0.evictedObjects } }

    private func numbers(_ list: (VM) -> [VMBO]) -> [Int] {
        var numbers: [Int] = []
        _ = locked { () throws(KernelErrno) in numbers = list(self.vm).map(\.object.number) }
        return numbers
    }
}

// MARK: - The end

extension VASpaceUnderTest {
    /// Drops all there is.
    /// - Returns: what is left that should be gone; `nil`: nothing.
    func end() -> String? {
        _ = locked { () throws(KernelErrno) in
            var mappings: [MappingID] = []
            self.vm.space.forEach { if $0.id != .kernel { mappings.append($0.id) } }
            for mapping in mappings { try self.vm.remove(mapping) }
        }
        for (object, count) in held.enumerated() {
            for _ in 0..<count { _ = put(object) }
        }
        cleanUp()
        let references = vm.referenceCount
        guard references == 1 else { return "\(references - 1) references on the VM" }
        vm.put()
        return driver.hasFreed ? nil : "the VM"
    }
}
