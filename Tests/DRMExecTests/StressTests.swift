import DRMExec
import DRMLock
import DRMSync
import GateSupport
import Glibc
import KernelErrno
import Model
import Testing

/// Several who lock random sets of objects with all that can go wrong.
///
/// Laws: nobody waits for ever; each run ends as the set that was asked for says; what is locked is locked for one
/// alone; the oldest never gives way; nothing stays locked.
private final class Crowd: @unchecked Sendable {
    let gate: Gate
    let seed: UInt64
    let objects: [Object]
    /// What a lock guards: touched only by who has it, so ThreadSanitizer sees it too.
    private let owners: UnsafeMutablePointer<Int>
    /// The objects' indices into `owners`.
    private let guarded: [ObjectIdentifier: Int]
    private let line = Shared(Line())
    let actors = Shared<[GateActor]>([])
    let locks = Shared(0)
    let ends = Shared<[KernelErrno?: Int]>([:])
    let passes = Shared(0)

    /// Who runs, by the age of its ticket.
    private struct Line {
        /// Those whose age nobody knows yet.
        var starting = 0
        var active: Set<UInt64> = []
    }

    init(gate: Gate, seed: UInt64, objects count: Int, reservations: Int) {
        self.gate = gate
        self.seed = seed
        let shared = (0..<reservations).map { _ in Reservation(gate: gate) }
        // Every second one has its own.
        objects = (0..<count).map {
            Object("\($0)", gate: gate, sharing: $0 % 2 == 1 && reservations > 0 ? shared[$0 % reservations] : nil)
        }
        var guarded: [ObjectIdentifier: Int] = [:]
        for object in objects where guarded[ObjectIdentifier(object.reservation)] == nil {
            guarded[ObjectIdentifier(object.reservation)] = guarded.count
        }
        self.guarded = guarded
        owners = .allocate(capacity: guarded.count)
        owners.initialize(repeating: 0, count: guarded.count)
    }

    deinit { owners.deallocate() }

    /// Runs so many actors until each has done its rounds, and checks that all is as before.
    func run(actors count: Int, rounds: Int) {
        var random = SeededRandom(seed: seed)
        for i in 0..<count {
            let actorSeed = random.next()
            let actor = gate.spawn("\(i)") { [self] in live(actorSeed, rounds) }
            actors.change { $0.append(actor) }
        }
        for actor in actors.value { gate.join(actor) }
        #expect(ends.value.values.reduce(0, +) == count * rounds, "seed \(seed)")
        for object in objects { #expect(!object.isLocked, "seed \(seed)") }
    }

    private func live(_ actorSeed: UInt64, _ rounds: Int) {
        var random = SeededRandom(seed: actorSeed)
        let exec = Exec(gate: gate, capacity: 1)
        var memoryLeft = Int.max
        exec.reallocate = { old, size in
            memoryLeft -= 1
            return memoryLeft >= 0 ? realloc(old, size) : nil
        }
        for _ in 0..<rounds {
            memoryLeft = Int.random(in: 0..<20, using: &random) == 0 ? 0 : .max
            if Int.random(in: 0..<8, using: &random) == 0 {
                actors.value.randomElement(using: &random)?.interrupt()
            }
            attempt(Wish(of: objects, using: &random), with: exec, &random)
        }
    }

    private func attempt(_ wish: Wish, with exec: Exec, _ random: inout SeededRandom) {
        var pass = 0
        line.change { $0.starting += 1 }
        let error = failure { () throws(KernelErrno) in
            try exec.run(wish.flags) { exec throws(KernelErrno) in
                pass += 1
                if pass == 1 {
                    line.change {
                        $0.starting -= 1
                        $0.active.insert(exec.ticket.stamp)
                    }
                }
                try lock(wish, with: exec, pass)
            }
        }
        let isAccident = error == .EINTR && wish.flags.contains(.interruptibleWait) || error == .ENOMEM
        #expect(isAccident || error == wish.outcome(passes: pass), "seed \(seed)")
        if error == nil { use(wish, exec, &random) }
        #expect(exec.objects.isEmpty && exec.ticket.acquiredCount == 0, "seed \(seed)")
        line.change { _ = $0.active.remove(exec.ticket.stamp) }
        ends.change { $0[error, default: 0] += 1 }
        passes.change { $0 += pass }
    }

    private func lock(_ wish: Wish, with exec: Exec, _ pass: Int) throws(KernelErrno) {
        for (i, object) in wish.objects.enumerated() {
            if let failure = wish.failure, failure.at == i, failure.pass == pass { throw failure.error }
            let isOldest = line.change { $0.starting == 0 && $0.active.min() == exec.ticket.stamp }
            do throws(KernelErrno) {
                if wish.fences > 0 { try exec.prepare(object, fences: wish.fences) } else { try exec.lock(object) }
            } catch {
                #expect(!(isOldest && error == .EDEADLK), "seed \(seed)")
                throw error
            }
            locks.change { $0 += 1 }
        }
    }

    /// All is locked: nobody else has any of it.
    private func use(_ wish: Wish, _ exec: Exec, _ random: inout SeededRandom) {
        let mine = Set(wish.objects.map { guarded[ObjectIdentifier($0.reservation)]! })
        #expect(exec.objects.count == mine.count, "seed \(seed)")
        for i in mine { owners[i] += 1 }
        gate.point()
        for i in mine {
            #expect(owners[i] == 1, "seed \(seed)")
            owners[i] -= 1
        }
        if Bool.random(using: &random) { exec.unlock(wish.objects[0]) }
        exec.finish()
    }
}

/// What one attempt is to lock, and how it shall fail.
private struct Wish {
    var objects: [Object]
    var flags: Exec.Flags = []
    /// 0: locked only.
    var fences = 0
    /// An error of the body before it locks the object at an index, in one of its passes.
    var failure: (at: Int, pass: Int, error: KernelErrno)?

    init(of all: [Object], using random: inout SeededRandom) {
        objects = Array(all.shuffled(using: &random).prefix(Int.random(in: 1...6, using: &random)))
        if Int.random(in: 0..<3, using: &random) == 0 {
            objects.insert(objects[0], at: Int.random(in: 0...objects.count, using: &random))
        }
        if Int.random(in: 0..<4, using: &random) > 0 { flags.insert(.ignoreDuplicates) }
        if Bool.random(using: &random) { flags.insert(.interruptibleWait) }
        fences = Int.random(in: 0...2, using: &random)
        if Int.random(in: 0..<8, using: &random) == 0 {
            failure = (
                Int.random(in: objects.indices, using: &random), Int.random(in: 1...2, using: &random),
                Bool.random(using: &random) ? .ENOSPC : .EFAULT
            )
        }
    }

    /// How it ends, unless a signal comes or memory is short.
    func outcome(passes: Int) -> KernelErrno? {
        var seen: Set<ObjectIdentifier> = []
        for (i, object) in objects.enumerated() {
            if let failure, failure.at == i, failure.pass == passes { return failure.error }
            let isNew = seen.insert(ObjectIdentifier(object.reservation)).inserted
            if !isNew, !flags.contains(.ignoreDuplicates) { return .EALREADY }
        }
        return nil
    }
}

@Suite struct StressTests {
    @Test("whoever locks what, with duplicates, signals, errors: all get on, the oldest first, nothing stays locked")
    func stepped() {
        var ends: [KernelErrno?: Int] = [:], passes = 0
        for seed in seeds(1000) {
            var random = SeededRandom(seed: seed)
            let crowd = Crowd(
                gate: SteppedGate(.seeded(seed)), seed: seed,
                objects: Int.random(in: 1...8, using: &random), reservations: Int.random(in: 0...2, using: &random))
            crowd.run(actors: Int.random(in: 2...5, using: &random), rounds: 4)
            ends.merge(crowd.ends.value, uniquingKeysWith: +)
            passes += crowd.passes.value
        }
        guard getenv("GPUVM_SEED") == nil else { return }
        // All of it did happen.
        for end in [nil, KernelErrno.EALREADY, .EINTR, .ENOMEM, .ENOSPC] {
            #expect(ends[end, default: 0] > 100, "\(String(describing: end))")
        }
        #expect(ends[.EDEADLK] == nil)
        #expect(passes > ends.values.reduce(0, +) + 1000, "contention")
    }

    @Test("the same with threads: 100,000 locks, 10 million with LONG=1")
    func threaded() {
        let wanted = RandomTest.rounds(100_000, long: 100)
        var locks = 0
        var seed = RandomTest.seed("threads lock objects")
        while locks < wanted {
            let gate = ThreadedGate()
            let crowd = Crowd(gate: gate, seed: seed, objects: 24, reservations: 3)
            crowd.run(actors: 4, rounds: min(2000, wanted / 10))
            gate.shutdown()
            locks += crowd.locks.value
            seed += 1
        }
        print("threads lock objects: \(locks)")
    }
}
