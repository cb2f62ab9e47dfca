import DRMExec
import DRMLock
import DRMSync
import GateSupport
@testable import GPUVM
import KernelErrno
import Testing

/// The ways in which a VM's lists and pairs are guarded.
enum Mode: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case plain, protected, immediate, immediateProtected

    static let immediates = [immediate, immediateProtected]
    static let plains = [plain, protected]

    var flags: VM.Flags {
        switch self {
        case .plain: []
        case .protected: .resvProtected
        case .immediate: .immediateMode
        case .immediateProtected: [.immediateMode, .resvProtected]
        }
    }
    var isImmediate: Bool { flags.contains(.immediateMode) }
    var isProtected: Bool { flags.contains(.resvProtected) }
    var testDescription: String { rawValue }
}

/// What happened, in order.
final class Log: Sendable {
    private let shared = Shared<[String]>([])
    var lines: [String] { shared.value }
    func add(_ line: String) { shared.change { $0.append(line) } }
    /// What came since the last call.
    func take() -> [String] {
        shared.change { lines in
            defer { lines = [] }
            return lines
        }
    }
}

/// An object that tells its end.
final class TestObject: MappableObject, @unchecked Sendable {
    let name: String
    private let log: Log

    init(_ name: String, _ log: Log, gate: Gate, sharing reservation: Reservation? = nil) {
        self.name = name
        self.log = log
        super.init(gate: gate, sharing: reservation)
    }

    deinit { log.add("end of \(name)") }
}

/// A driver that tells what it is asked for.
final class TestDriver: ValidatingVMDriver, @unchecked Sendable {
    let log: Log
    /// How an object's memory comes back; the usual way: at once.
    var onValidate: (VMBO) throws(KernelErrno) -> Void = { vmBO throws(KernelErrno) in vmBO.evict(false) }

    init(_ log: Log) { self.log = log }
    func free(_ vm: VM) { log.add("end of \(vm.name)") }
    func ended(_ vmBO: VMBO) { log.add("end of \(vmBO.vm.name)-\(vmBO.name)") }

    func validate(_ vmBO: VMBO, _ exec: Exec) throws(KernelErrno) {
        log.add("validate \(vmBO.name)")
        try onValidate(vmBO)
    }
}

extension VMBO {
    var name: String { (object as! TestObject).name }
}

/// A VM, and all that is done to it with the right locks.
final class Rig: @unchecked Sendable {
    let gate: Gate
    let log: Log
    let mode: Mode
    let driver: TestDriver
    let vm: VM

    init(_ mode: Mode, gate: Gate = SteppedGate(), log: Log = Log(), name: String = "vm") {
        self.gate = gate
        self.log = log
        self.mode = mode
        driver = TestDriver(log)
        vm = try! VM(
            name: name, gate: gate, flags: mode.flags, driver: driver, resvObject: VM.makeResvObject(gate: gate),
            start: 0, range: 1 << 20, kernelStart: 0, kernelRange: 16)
    }

    func privateObject(_ name: String) -> TestObject { TestObject(name, log, gate: gate, sharing: vm.reservation) }
    func externalObject(_ name: String) -> TestObject { TestObject(name, log, gate: gate) }

    /// Runs `body` with the reservations of the VM and some objects.
    func locked<R>(_ objects: [MappableObject], _ body: () throws -> R) rethrows -> R {
        let exec = Exec(gate: gate)
        try! exec.run(.ignoreDuplicates) { exec throws(KernelErrno) in
            try vm.prepareVM(exec, fences: 1)
            try exec.prepare(objects, fences: 1)
        }
        defer { exec.finish() }
        return try body()
    }

    /// Runs `body` with what guards an object's pairs, the reservations held.
    func listLocked<R>(_ object: MappableObject, _ body: () throws -> R) rethrows -> R {
        guard mode.isImmediate else { return try body() }
        object.gpuvaLock.lock()
        defer { object.gpuvaLock.unlock() }
        return try body()
    }

    // Each with its own locks.

    func obtain(_ object: MappableObject) throws(KernelErrno) -> VMBO {
        if mode.isImmediate { return .obtain(preallocated: try .create(vm, object)) }
        var result: Result<VMBO, KernelErrno> = .failure(.EIO)
        locked([object]) {
            do throws(KernelErrno) { result = .success(try .obtain(vm, object)) } catch { result = .failure(error) }
        }
        return try result.get()
    }

    func find(_ object: MappableObject) -> VMBO? {
        locked([object]) { listLocked(object) { VMBO.find(vm, object) } }
    }

    @discardableResult
    func put(_ vmBO: VMBO) -> Bool {
        mode.isImmediate ? vmBO.putDeferred() : locked([vmBO.object]) { vmBO.put() }
    }

    func addExternal(_ vmBO: VMBO) { locked([]) { vmBO.addExternal() } }
    func evict(_ vmBO: VMBO, _ evicted: Bool) { locked([vmBO.object]) { vmBO.evict(evicted) } }

    /// Obtains, maps at an address, lets go; an external object becomes known as such.
    func map(_ object: MappableObject, at addr: UInt64, _ range: UInt64 = 16) throws -> VMBO {
        let vmBO = try obtain(object)
        addExternal(vmBO)
        _ = try locked([object]) { try vm.insert(addr, range, vmBO: vmBO, offset: 0) }
        put(vmBO)
        return vmBO
    }

    func unmap(_ addr: UInt64, _ object: MappableObject) throws {
        try locked([object]) { try vm.remove(vm.space.findFirst(addr, 1)!.id) }
    }

    var externals: [String] { locked([]) { vm.externalObjects.map(\.name) } }
    var evicted: [String] { locked([]) { vm.evictedObjects.map(\.name) } }

    /// Locks as a submission does, and says what.
    func execLock(_ body: (Exec) -> Void = { _ in }) throws(KernelErrno) -> [String] {
        let exec = Exec(gate: gate)
        defer { exec.finish() }
        try vm.execLock(exec, fences: 1)
        body(exec)
        return exec.objects.map { ($0 as? TestObject)?.name ?? "vm" }
    }

    /// Locks all that could be evicted and validates it.
    func validate(_ objects: [MappableObject]) throws(KernelErrno) {
        let exec = Exec(gate: gate)
        defer { exec.finish() }
        try vm.execLock(exec, .ignoreDuplicates, fences: 1, objects: objects)
        try vm.validate(exec)
    }
}
