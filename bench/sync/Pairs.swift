import DRMExec
import DRMLock
import DRMSync
import GPUVM
import KernelErrno
import Peers
import Synchronization

private final class Driver: VMDriver {
    func free(_ vm: VM) {}
}

private func makeVM(_ gate: Gate, _ flags: VM.Flags) -> VM {
    try! VM(gate: gate, flags: flags, driver: Driver(), resvObject: VM.makeResvObject(gate: gate), start: 0, range: 1 << 40)
}

/// An object that is in so many VMs, under its lock.
private struct Crowd {
    let object: MappableObject
    let pairs: [VMBO]

    init(_ gate: Gate, _ count: Int) {
        let object = MappableObject(gate: gate)
        try! object.reservation.lock.lock(nil)
        pairs = (0..<count).map { _ in try! VMBO.obtain(makeVM(gate, []), object) }
        object.reservation.unlock()
        self.object = object
    }

    /// Each VM in turn.
    func each(_ count: Int, _ body: (VM) -> Void) -> UInt64 {
        try! object.reservation.lock.lock(nil)
        defer { object.reservation.unlock() }
        return measure { for i in 0..<count { body(pairs[i % pairs.count].vm) } }
    }
}

func benchPairs(_ rounds: Int) {
    let gate = ThreadedGate(), word = Atomic<Int>(0)
    let sizes = [1, 100, 1000], crowds = sizes.map { Crowd(gate, $0) }
    report("pairs, object's list locked", rounds: rounds, [
        Row(name: "limit: two locked adds", count: 1_000_000) { count in
            measure {
                for _ in 0..<count {
                    word.add(1, ordering: .acquiringAndReleasing)
                    word.subtract(1, ordering: .acquiringAndReleasing)
                }
            }
        }
    ] + zip(sizes, crowds).map { size, crowd in
        Row(name: "obtain + put, object in \(size) VMs", count: 200_000) { count in
            crowd.each(count) { vm in try! VMBO.obtain(vm, crowd.object).put() }
        }
    } + zip(sizes, crowds).map { size, crowd in
        let vm = makeVM(gate, [])
        return Row(name: "the same, made and destroyed, in \(size) VMs", count: 100_000) { count in
            crowd.each(count) { _ in try! VMBO.obtain(vm, crowd.object).put() }
        }
    })
    benchExecLock(gate, rounds)
    gate.shutdown()
}

/// `drm_gpuvm_exec_lock` and unlock; each object.
private func benchExecLock(_ gate: Gate, _ rounds: Int) {
    let modes: [(String, VM.Flags)] = [("plain", []), ("protected", .resvProtected), ("immediate", .immediateMode)]
    for size in [1, 10, 100, 1000, 10_000] {
        let objects = (0..<size).map { _ in MappableObject(gate: gate) }, exec = Exec(gate: gate, capacity: size + 1)
        let locks = objects.map { Unmanaged.passUnretained($0.reservation) }
        let count = max(1, 100_000 / size) * size
        let kernel = [false, true].map { KernelSpace(Kernel.exec, size, isProtected: $0) }
        defer { for kernel in kernel { kernel?.close() } }
        report("exec_lock + unlock, \(size) external objects, each", rounds: rounds, [
            Row(name: "limit: lock + unlock with a ticket", count: count) { count in
                let ticket = AcquireContext(gate: gate)
                let time = measure {
                    for _ in 0..<count / size {
                        for lock in locks { lock._withUnsafeGuaranteedRef { try! $0.lock.lock(ticket) } }
                        for lock in locks { lock._withUnsafeGuaranteedRef { $0.unlock() } }
                    }
                }
                ticket.end()
                withExtendedLifetime(objects) {}
                return time
            }
        ] + modes.map { name, flags in
            let vm = makeVM(gate, flags)
            vm.listAll(objects, exec)
            // It has no immediate mode that locks otherwise.
            let kernel = kernel[flags == .resvProtected ? 1 : 0]
            return Row(
                name: name, count: count, most: size == 100 ? 25 : 0,
                kernel: kernel.map { kernel in { count in measure { kernel.run(count / size) } } }
            ) { count in
                measure {
                    for _ in 0..<count / size {
                        try! vm.execLock(exec, fences: 0)
                        exec.finish()
                    }
                }
            }
        })
    }
}

/// The same in the kernel's code, whose locks are nothing but a mark of who holds them.
private struct KernelSpace {
    private let peer: exec_peer
    private let space: UnsafeMutableRawPointer

    init?(_ peer: exec_peer?, _ objects: Int, isProtected: Bool) {
        guard let peer, let space = peer.open(objects, isProtected) else { return nil }
        self.peer = peer
        self.space = space
    }

    func run(_ times: Int) { peer.run(space, times) }
    func close() { peer.close(space) }
}

extension VM {
    /// Makes pairs of all, in the list of external objects.
    fileprivate func listAll(_ objects: [MappableObject], _ exec: Exec) {
        try! execLock(exec, fences: 0, objects: objects)
        for object in objects {
            let vmBO = flags.contains(.immediateMode)
                ? VMBO.obtain(preallocated: try! .create(self, object)) : try! .obtain(self, object)
            vmBO.addExternal()
        }
        exec.finish()
    }
}
