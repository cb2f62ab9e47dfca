internal import DRMExec
internal import DRMLock
internal import DRMSync
internal import GPUVM
internal import KernelErrno

/// A request of the vectors: objects by number, 0 is none.
struct RecordedRequest {
    enum Kind { case map, unmap, madvise }
    var kind: Kind
    var addr, range: UInt64
    var object = 0
    var offset: UInt64 = 0
}

/// What a call gave: 0 or a negative errno, and the operations.
struct Outcome: Hashable {
    var rc: Int
    var operations: [RecordedOperation]
}

/// How a recorded VM is made.
struct RecordedShape {
    var flags: VM.Flags
    var start, range, kernelStart, kernelRange: UInt64
    /// Objects that share the VM's reservation, numbered from 1, and those after them that do not.
    var privateCount, externalCount: Int
    var objectCount: Int { privateCount + externalCount }
}

/// One of the VMs that go through a case side by side. Each has its own way of carrying out requests; all must
/// give the same.
final class VASpaceUnderTest {
    enum Form: String, CaseIterable {
        /// Ask for a list of operations, then apply it.
        case list
        /// One call that does it all.
        case fused
        /// Step by step through callbacks.
        case steps
    }

    let form: Form
    let vm: VM
    let driver = RecordedDriver()
    /// By number; 0 is the VM's own.
    let objects: [MappableObject]
    let exec: Exec
    var list = OperationList()
    /// What the list had, as the vectors write it.
    private var told: [RecordedOperation] = []
    /// References taken by obtain, by object.
    var held: [Int]

    init(form: Form, _ shape: RecordedShape) throws(KernelErrno) {
        self.form = form
        let gate = SteppedGate()
        let resvObject = NumberedObject(0, gate: gate)
        vm = try VM(
            gate: gate, flags: shape.flags, driver: driver, resvObject: resvObject, start: shape.start,
            range: shape.range, kernelStart: shape.kernelStart, kernelRange: shape.kernelRange)
        objects = [resvObject] + (0..<shape.objectCount).map {
            NumberedObject($0 + 1, gate: gate, sharing: $0 < shape.privateCount ? resvObject.reservation : nil)
        }
        exec = Exec(gate: gate)
        held = [Int](repeating: 0, count: objects.count)
    }

    var isImmediate: Bool { vm.flags.contains(.immediateMode) }

    static func result(_ call: () throws(KernelErrno) -> Void) -> Int {
        do throws(KernelErrno) {
            try call()
            return 0
        } catch {
            return -Int(error.rawValue)
        }
    }
}

/// An object that knows its number.
private final class NumberedObject: MappableObject, @unchecked Sendable {
    let id: Int

    init(_ number: Int, gate: Gate, sharing reservation: Reservation? = nil) {
        id = number
        super.init(gate: gate, sharing: reservation)
    }
}

extension GEMObject {
    /// In the case.
    var number: Int { (self as! NumberedObject).id }
}

/// Brings back whatever is evicted, but for one object.
final class RecordedDriver: ValidatingVMDriver, @unchecked Sendable {
    var failing = -1
    var validated: [Int] = []
    var hasFreed = false

    func free(_ vm: VM) { hasFreed = true }

    func validate(_ vmBO: VMBO, _ exec: Exec) throws(KernelErrno) {
        validated.append(vmBO.object.number)
        if vmBO.object.number == failing { throw .ENOMEM }
        vmBO.evict(false)
    }
}

// MARK: - Requests

extension VASpaceUnderTest {
    /// What a request would do.
    func ask(_ request: RecordedRequest) -> Outcome {
        outcome { () throws(KernelErrno) in
            try self.withRequest(request, stays: false) { request throws(KernelErrno) in
                try self.vm.ask(request, into: &self.list)
            }
        }
    }

    func askPrefetch(_ addr: UInt64, _ range: UInt64) -> Outcome {
        outcome { () throws(KernelErrno) in try self.vm.askPrefetch(addr, range, into: &self.list) }
    }

    func askUnmap(of object: Int) -> Outcome {
        outcome { () throws(KernelErrno) in try self.askUnmapOf(object) }
    }

    /// Carries out a request in the VM's own form.
    func execute(_ request: RecordedRequest) -> Outcome {
        switch form {
        case .list:
            outcome { () throws(KernelErrno) in
                try self.withRequest(request, stays: true) { request throws(KernelErrno) in
                    try self.vm.ask(request, into: &self.list)
                    try self.vm.apply(&self.list)
                }
            }
        case .fused:
            outcome { () throws(KernelErrno) in
                try self.withRequest(request, stays: true) { request throws(KernelErrno) in
                    try self.vm.execute(request, into: &self.list)
                }
            }
        case .steps: executeSteps(request)
        }
    }

    /// Carries out a request through callbacks. Callback number `failing.at` returns `failing.errno`; its operation
    /// is the last one told.
    func executeSteps(_ request: RecordedRequest, failing: (at: Int, errno: KernelErrno)? = nil) -> Outcome {
        var operations: [RecordedOperation] = []
        let rc = locked { () throws(KernelErrno) in
            try self.withRequest(request, stays: true) { request throws(KernelErrno) in
                try self.vm.execute(request) { operation throws(KernelErrno) in
                    operations.append(RecordedOperation(operation, object: self.object))
                    if let failing, operations.count - 1 == failing.at { throw failing.errno }
                }
            }
        }
        return Outcome(rc: rc, operations: operations)
    }

    /// Unmaps all mappings of an object: by the list, or, in the form of steps, one by one.
    func unmapAll(of object: Int) -> Outcome {
        guard form == .steps else {
            return outcome { () throws(KernelErrno) in
                try self.askUnmapOf(object)
                try self.vm.apply(&self.list)
            }
        }
        var asked = askUnmap(of: object)
        guard asked.rc == 0 else { return asked }
        asked.rc = locked { () throws(KernelErrno) in
            for mapping in self.mappings(of: object) { try self.vm.remove(mapping.id) }
        }
        return asked
    }

    private func askUnmapOf(_ object: Int) throws(KernelErrno) {
        guard let vmBO = find(object) else { throw .ENOENT }
        defer { letGo(vmBO) }
        try withListLock(object) { () throws(KernelErrno) in try self.vm.askUnmap(of: vmBO, into: &self.list) }
    }

    /// Runs a call that fills `list` and reads the list; a failed call gives no operations.
    private func outcome(_ call: () throws(KernelErrno) -> Void) -> Outcome {
        told = []
        let rc = locked { () throws(KernelErrno) in
            defer { self.vm.commit(&self.list) }
            try call()
            self.tell()
        }
        return Outcome(rc: rc, operations: told)
    }

    /// Reads the list while all pairs in it are there.
    private func tell() {
        if told.isEmpty { list.forEach { told.append(RecordedOperation($0, object: object)) } }
    }

    /// Holds a reference on the request's object while `body` runs.
    /// - Parameter stays: an external object gets onto its list.
    private func withRequest(
        _ r: RecordedRequest, stays: Bool, _ body: (Request) throws(KernelErrno) -> Void
    ) throws(KernelErrno) {
        let vmBO = r.object == 0 ? nil : try obtainPair(r.object)
        defer { if let vmBO { letGo(vmBO) } }
        if stays { vmBO?.addExternal() }
        let pair = try vmBO?.pair()
        switch r.kind {
        case .map: try body(.map(addr: r.addr, range: r.range, pair: pair, offset: r.offset))
        case .unmap: try body(.unmap(addr: r.addr, range: r.range))
        case .madvise: try body(.madvise(addr: r.addr, range: r.range, pair: pair, offset: r.offset))
        }
        tell()
    }
}

// MARK: - Single mappings

extension VASpaceUnderTest {
    func insert(_ mapping: RecordedMapping) -> Int {
        locked { () throws(KernelErrno) in
            let vmBO = mapping.object == 0 ? nil : try self.obtainPair(mapping.object)
            defer { if let vmBO { self.letGo(vmBO) } }
            try self.vm.insert(mapping.addr, mapping.range, vmBO: vmBO, offset: mapping.offset)
            vmBO?.addExternal()
        }
    }

    /// Finds exactly and removes; -2 when not found, as the vectors have it also for the reserved mapping.
    func remove(_ addr: UInt64, _ range: UInt64) -> Int {
        guard let found = vm.space.find(addr, range) else { return -2 }
        let rc = locked { () throws(KernelErrno) in try self.vm.remove(found.id) }
        return rc == -Int(KernelErrno.EPERM.rawValue) && found.id == .kernel ? -2 : rc
    }

    func find(_ addr: UInt64, _ range: UInt64) -> RecordedMapping? { recorded(vm.space.find(addr, range)) }
    func findFirst(_ addr: UInt64, _ range: UInt64) -> RecordedMapping? { recorded(vm.space.findFirst(addr, range)) }
    func findPrev(_ addr: UInt64) -> RecordedMapping? { recorded(vm.space.findPrev(addr)) }
    func findNext(_ addr: UInt64) -> RecordedMapping? { recorded(vm.space.findNext(addr)) }
    func isValid(_ addr: UInt64, _ range: UInt64) -> Bool { vm.space.isValid(addr, range) }
    func isEmpty(_ addr: UInt64, _ range: UInt64) -> Bool { vm.space.isEmpty(addr, range) }

    private func recorded(_ mapping: Mapping?) -> RecordedMapping? {
        mapping.map { RecordedMapping($0, object: object) }
    }
}

// MARK: - The state

extension VASpaceUnderTest {
    var count: Int { vm.space.count }
    var warningCount: Int { vm.space.warningCount }
    func check() -> String? { vm.space.check() }

    /// All mappings in address order, the reserved one included.
    var mappings: [RecordedMapping] {
        var all: [RecordedMapping] = []
        vm.space.forEach { all.append(RecordedMapping($0, object: object)) }
        return all
    }

    /// Start addresses of an object's mappings in link order.
    func linked(_ object: Int) -> [UInt64] {
        var starts: [UInt64] = []
        _ = locked { () throws(KernelErrno) in starts = self.mappings(of: object).map(\.addr) }
        return starts
    }

    /// The number of the object of a pair, 0 of none.
    func object(_ pair: PairID?) -> Int { vm.vmBO(of: pair)?.object.number ?? 0 }
}
