import DRMExec
import DRMLock
import DRMSync
import GateSupport
@testable import GPUVM
import KernelErrno
import Model
import Testing

/// What the pairs of a VM are to look like, by spec 3.3, 5.2, 5.4 and 5.5, in the plainest way.
private struct PairModel {
    struct Pair {
        var taken = 0
        var links = 0
        var isEvicted = false
        var refs: Int { taken + links }
    }

    let mode: Mode
    let isExternal: [Bool]
    var pairs: [Int: Pair] = [:]
    /// Objects in the order of the lists.
    var external: [Int] = []
    var evicted: [Int] = []
    /// Mappings by slot.
    var slots: [Int: Int] = [:]
    /// Pairs that wait for their end.
    var zombies: [Int] = []

    /// One for who made it.
    var vmReferences: Int { 1 + pairs.count + zombies.count + slots.count }

    mutating func drop(_ object: Int) {
        guard pairs[object]!.refs == 0 else { return }
        pairs[object] = nil
        external.removeAll { $0 == object }
        evicted.removeAll { $0 == object }
        if mode.isImmediate { zombies.append(object) }
    }

    mutating func list(_ object: Int) {
        if isExternal[object], !external.contains(object) { external.append(object) }
    }

    mutating func evict(_ object: Int, _ on: Bool) {
        pairs[object]!.isEvicted = on
        if isExternal[object], mode.isProtected { return }
        if !on { evicted.removeAll { $0 == object } } else if !evicted.contains(object) { evicted.append(object) }
    }

    mutating func lock() {
        guard mode.isProtected else { return }
        for object in external where pairs[object]!.isEvicted && !evicted.contains(object) { evicted.append(object) }
    }

    /// - Returns: what is asked for.
    mutating func validate(failing: Int) -> [Int] {
        lock()
        var asked: [Int] = []
        for object in evicted {
            asked.append(object)
            if object == failing { break }
            evict(object, false)
            evicted.removeAll { $0 == object }
        }
        return asked
    }
}

@Suite("pairs, at random") struct PairRandomTests {
    @Test("references, marks and lists are the model's after every step, and in the end nothing is left", arguments: Mode.allCases)
    func random(mode: Mode) throws {
        let seed = RandomTest.seed("pairs, \(mode)")
        var random = SeededRandom(seed: seed)
        for _ in 0..<RandomTest.rounds(20) { try sequence(mode, &random, "seed \(seed)") }
    }

    private func sequence(_ mode: Mode, _ random: inout SeededRandom, _ text: String) throws {
        let rig = Rig(mode), vm = rig.vm
        let objects = (0..<5).map { $0 < 2 ? rig.privateObject("\($0)") : rig.externalObject("\($0)") }
        var model = PairModel(mode: mode, isExternal: objects.map { vm.isExternal($0) })
        for step in 0..<200 {
            let i = Int.random(in: objects.indices, using: &random)
            try change(rig, objects, i, &model, &random)
            try compare(rig, objects, model, "\(text), step \(step)")
        }
        for (slot, i) in model.slots { try rig.unmap(UInt64(slot), objects[i]) }
        for (i, pair) in model.pairs {
            let vmBO = pair.taken > 0 ? rig.find(objects[i]) : nil
            if let vmBO { for _ in 0...pair.taken { rig.put(vmBO) } }
        }
        vm.cleanUpDeferred()
        let references = vm.referenceCount
        try #require(references == 1, "\(text)")
        vm.put()
        #expect(rig.log.take().last == "end of vm")
    }

    private func change(
        _ rig: Rig, _ objects: [TestObject], _ i: Int, _ model: inout PairModel, _ random: inout SeededRandom
    ) throws {
        let object = objects[i], slot = Int.random(in: 2..<10, using: &random) * 16
        switch Int.random(in: 0..<9, using: &random) {
        case 0, 1:
            // In immediate mode a pair is made for nothing here, if there is one.
            let vmBO = try rig.obtain(object)
            model.pairs[i, default: .init()].taken += 1
            if Bool.random(using: &random) {
                rig.addExternal(vmBO)
                model.list(i)
            }
        case 2 where model.pairs[i].map { $0.taken > 0 } ?? false:
            let vmBO = rig.find(object)!
            rig.put(vmBO)
            #expect(rig.put(vmBO) == (model.pairs[i]!.refs == 1))
            model.pairs[i]!.taken -= 1
            model.drop(i)
        case 3 where model.slots[slot] == nil:
            _ = try rig.map(object, at: UInt64(slot))
            model.slots[slot] = i
            model.pairs[i, default: .init()].links += 1
            model.list(i)
        case 4:
            guard let mapped = model.slots.removeValue(forKey: slot) else { return }
            try rig.unmap(UInt64(slot), objects[mapped])
            model.pairs[mapped]!.links -= 1
            model.drop(mapped)
        case 5 where model.pairs[i] != nil:
            let on = Int.random(in: 0..<3, using: &random) > 0, vmBO = rig.find(object)!
            rig.evict(vmBO, on)
            rig.put(vmBO)
            model.evict(i, on)
        case 6:
            #expect(try rig.execLock().dropFirst().map { Int($0)! } == model.external)
            model.lock()
        case 7:
            rig.driver.onValidate = { vmBO throws(KernelErrno) in
                if vmBO.object === object { throw .ENOSPC }
                vmBO.evict(false)
            }
            _ = rig.log.take()
            try? rig.validate(objects)
            #expect(rig.log.take() == model.validate(failing: i).map { "validate \($0)" })
        case 8 where rig.mode.isImmediate:
            _ = rig.log.take()
            rig.vm.cleanUpDeferred()
            #expect(rig.log.take() == model.zombies.reversed().map { "end of vm-\($0)" })
            model.zombies = []
        default: break
        }
    }

    private func compare(_ rig: Rig, _ objects: [TestObject], _ model: PairModel, _ text: String) throws {
        for (i, object) in objects.enumerated() {
            let vmBO = rig.locked([object]) { rig.listLocked(object) { object.find(rig.vm) } }
            try #require((vmBO?.referenceCount ?? 0) == model.pairs[i]?.refs ?? 0, "\(text), object \(i)")
            try #require(vmBO?.isEvicted == model.pairs[i]?.isEvicted, "\(text), object \(i)")
        }
        try #require(rig.externals.map { Int($0)! } == model.external, "\(text)")
        try #require(rig.evicted.map { Int($0)! } == model.evicted, "\(text)")
        let references = rig.vm.referenceCount
        try #require(references == model.vmReferences, "\(text)")
    }
}
