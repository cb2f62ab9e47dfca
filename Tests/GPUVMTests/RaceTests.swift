import DRMExec
import DRMLock
import DRMSync
import GateSupport
@testable import GPUVM
import KernelErrno
import Model
import Testing

/// Several at once on VMs that share objects, stepped with seeds and threaded. Laws: one pair is found at a time; what
/// has a reference lives; each pair ends once, after it the VM, after that the object; nothing is left.
private final class Crowd: @unchecked Sendable {
    let gate: Gate
    let log = Log()
    let mode: Mode
    let seed: UInt64
    let rigs: [Rig]
    /// Who changes a VM's mappings or goes through its lists has this one.
    let serial: [SharedMutex]
    private static let serialClass = LockClass("a VM of the test")
    let objects: [TestObject]
    /// Pairs made, by name.
    let made = Shared<[String: Int]>([:])
    private var actors: [GateActor] = []

    init(_ mode: Mode, _ gate: Gate, _ seed: UInt64, vms: Int) {
        (self.mode, self.gate, self.seed) = (mode, gate, seed)
        rigs = (0..<vms).map { [log] in Rig(mode, gate: gate, log: log, name: "\($0)") }
        serial = rigs.map { _ in SharedMutex(Self.serialClass, gate: gate) }
        objects = ["a", "b"].map { [log] in TestObject($0, log, gate: gate) }
            // The first VM's own.
            + [rigs[0].privateObject("c")]
    }

    func spawn(_ name: String, _ body: @escaping @Sendable (inout SeededRandom) -> Void) {
        let actorSeed = seed &* 31 &+ UInt64(actors.count)
        actors.append(
            gate.spawn(name) {
                var random = SeededRandom(seed: actorSeed)
                body(&random)
            })
    }

    /// Waits for all, unmaps what is left, and looks.
    func end() throws {
        for actor in actors { gate.join(actor) }
        for rig in rigs {
            for object in objects {
                while let vmBO = rig.find(object) {
                    var ids: [MappingID] = []
                    rig.locked([object]) { rig.listLocked(object) { vmBO.forEachMapping { ids.append($0.id) } } }
                    rig.put(vmBO)
                    try rig.locked([object]) { for id in ids { try rig.vm.remove(id) } }
                }
            }
            rig.vm.cleanUpDeferred()
            #expect(rig.externals == [] && rig.evicted == [], "seed \(seed)")
            #expect(rig.vm.referenceCount == 1, "seed \(seed)")
            rig.vm.put()
        }
        let ends = log.take().filter { $0.hasPrefix("end of ") }
        var counts: [String: Int] = [:]
        for line in ends { counts[String(line.dropFirst(7)), default: 0] += 1 }
        for i in rigs.indices {
            #expect(counts.removeValue(forKey: "\(i)") == 1, "seed \(seed)")
            #expect(ends.lastIndex { $0.hasPrefix("end of \(i)") } == ends.firstIndex(of: "end of \(i)"), "seed \(seed)")
        }
        #expect(counts == made.value, "seed \(seed)")
    }

    func countMade(_ vm: VM, _ object: TestObject) {
        made.change { $0["\(vm.name)-\(object.name)", default: 0] += 1 }
    }
}

@Suite("races on pairs") struct RaceTests {
    static let cases = Driver.allCases

    /// What the objects tell when the crowd has gone.
    private func run(_ mode: Mode, _ gate: Gate, _ seed: UInt64, vms: Int, _ body: (Crowd) throws -> Void) throws {
        func crowd() throws -> Log {
            let crowd = Crowd(mode, gate, seed, vms: vms)
            try body(crowd)
            try crowd.end()
            return crowd.log
        }
        let log = try crowd()
        #expect(log.lines.sorted() == ["end of a", "end of b", "end of c"], "seed \(seed)")
    }

    @Test(
        "whoever obtains preallocated pairs, links, unlinks and lets go: all have the same pair, and it ends once",
        arguments: cases, Mode.immediates)
    func preallocated(driver: Driver, mode: Mode) throws {
        try driver.run(seeds: 60, times: 8) { gate, seed in
            try run(mode, gate, seed, vms: 1) { crowd in
                for i in 0..<3 {
                    crowd.spawn("\(i)") { [unowned crowd] random in
                        for round in 0..<4 { obtainOnce(crowd, UInt64(i * 4 + round + 1) * 0x100, &random) }
                    }
                }
            }
        }
    }

    private func obtainOnce(_ crowd: Crowd, _ addr: UInt64, _ random: inout SeededRandom) {
        let rig = crowd.rigs[0], vm = rig.vm, object = crowd.objects.randomElement(using: &random)!
        let preallocated = try! VMBO.create(vm, object)
        crowd.countMade(vm, object)
        let vmBO = VMBO.obtain(preallocated: preallocated)
        rig.addExternal(vmBO)
        object.gpuvaLock.withLock {
            let found = VMBO.find(vm, object)
            #expect(found === vmBO, "seed \(crowd.seed)")
        }
        vmBO.putDeferred()
        if Bool.random(using: &random) {
            let id = crowd.serial[0].withLock { try! vm.insert(addr, 16, vmBO: vmBO, offset: 0) }
            vmBO.putDeferred()
            crowd.gate.point()
            #expect(vmBO.isExternal == (crowd.objects[2] !== object) && !vmBO.isZombie, "seed \(crowd.seed)")
            // The mapping's is the last one of ours.
            crowd.serial[0].withLock { try! vm.remove(id) }
        } else {
            vmBO.putDeferred()
        }
        if Int.random(in: 0..<3, using: &random) == 0 { vm.cleanUpDeferred() }
    }

    @Test(
        "binding, evicting and submitting at once on VMs that share objects: nothing is lost, nothing is left",
        arguments: cases, Mode.allCases)
    func binds(driver: Driver, mode: Mode) throws {
        try driver.run(seeds: 40, times: 5) { gate, seed in
            try run(mode, gate, seed, vms: 2) { crowd in
                for i in 0..<2 {
                    crowd.spawn("binder \(i)") { [unowned crowd] random in
                        let exec = Exec(gate: crowd.gate)
                        for _ in 0..<5 { bind(crowd, i, exec, &random) }
                    }
                    crowd.spawn("submitter \(i)") { [unowned crowd] _ in
                        let exec = Exec(gate: crowd.gate)
                        for _ in 0..<3 { submit(crowd, i, exec) }
                    }
                }
                crowd.spawn("evictor") { [unowned crowd] random in
                    for _ in 0..<6 { evict(crowd, &random) }
                }
                if mode.isImmediate {
                    crowd.spawn("cleaner") { [unowned crowd] _ in
                        for _ in 0..<6 {
                            for rig in crowd.rigs { rig.vm.cleanUpDeferred() }
                            crowd.gate.point()
                        }
                    }
                }
            }
        }
    }

    /// Maps a random object, or unmaps, as a bind does: all locked first.
    private func bind(_ crowd: Crowd, _ i: Int, _ exec: Exec, _ random: inout SeededRandom) {
        let rig = crowd.rigs[i], vm = rig.vm, object = crowd.objects.randomElement(using: &random)!
        let addr = UInt64.random(in: 1...8, using: &random) * 0x20, range = UInt64.random(in: 1...0x40, using: &random)
        let isMap = Int.random(in: 0..<3, using: &random) > 0
        let preallocated = preallocate(crowd, vm, object)
        crowd.serial[i].withLock {
            try! exec.run(.ignoreDuplicates) { exec throws(KernelErrno) in
                try vm.prepareVM(exec, fences: 1)
                if isMap {
                    try vm.smMapExecLock(exec, fences: 1, addr, range, object: object)
                } else {
                    try vm.smUnmapExecLock(exec, addr, range)
                    try exec.lock(object)
                }
            }
            let vmBO = preallocated.map { VMBO.obtain(preallocated: $0) } ?? obtain(crowd, vm, object)
            vmBO.addExternal()
            var list = OperationList()
            let pair = try! vmBO.pair()
            try! vm.execute(
                isMap ? .map(addr: addr, range: range, pair: pair, offset: addr) : .unmap(addr: addr, range: range),
                into: &list)
            if Bool.random(using: &random) { vm.revert(&list) } else { vm.settleLinks() }
            if crowd.mode.isImmediate { vmBO.putDeferred() } else { vmBO.put() }
            exec.finish()
            vm.commit(&list)
        }
    }

    private func preallocate(_ crowd: Crowd, _ vm: VM, _ object: TestObject) -> VMBO? {
        guard crowd.mode.isImmediate else { return nil }
        crowd.countMade(vm, object)
        return try! VMBO.create(vm, object)
    }

    private func obtain(_ crowd: Crowd, _ vm: VM, _ object: TestObject) -> VMBO {
        let found = VMBO.find(vm, object)
        if let found { return found }
        crowd.countMade(vm, object)
        return try! VMBO.obtain(vm, object)
    }

    /// Locks and validates, as a submission does.
    private func submit(_ crowd: Crowd, _ i: Int, _ exec: Exec) {
        let vm = crowd.rigs[i].vm
        crowd.serial[i].withLock {
            try! vm.execLock(exec, fences: 1)
            try! vm.validate(exec)
            for object in exec.objects { #expect(object.reservation.isLocked) }
            exec.finish()
        }
    }

    /// As memory management does: knows of the object only.
    private func evict(_ crowd: Crowd, _ random: inout SeededRandom) {
        let object = crowd.objects.randomElement(using: &random)!
        try! object.reservation.lock.lock(nil)
        if crowd.mode.isImmediate { object.gpuvaLock.lock() }
        object.evict(Bool.random(using: &random))
        if crowd.mode.isImmediate { object.gpuvaLock.unlock() }
        object.reservation.unlock()
        crowd.gate.point()
    }
}
