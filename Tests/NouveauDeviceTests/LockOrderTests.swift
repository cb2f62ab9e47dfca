#if GPUVM_VALIDATE
import DRMLock
import DRMSync
import GateSupport
import Testing

@testable import NouveauDevice

/// jobs.md 12: the validator knows the order before anybody has taken two locks.
@Suite("The order of the device's locks") struct LockOrderTests {
    /// What was found in a run of `body` on the gate of a new device.
    private func found(_ body: (Gate) throws -> Void) throws -> [Violation.Kind] {
        let client = try Client()
        var found: [Violation.Kind] = []
        client.device.gate.onViolation = { found.append($0.kind) }
        try body(client.device.gate)
        return found
    }

    /// Outermost first.
    private static let classes = [
        DeviceFile.lockClass, JobQueue.lockClass, Evictor.lockClass, UVMM.lockClass, Reservation.lockClass,
        UVMM.tablesLockClass,
    ]

    /// A lock of a class, as the device has it.
    private struct Lock {
        let lock, unlock: () -> Void

        init(_ lockClass: LockClass, _ gate: Gate) {
            if lockClass === Reservation.lockClass {
                let reservation = Reservation(gate: gate)
                lock = { try! reservation.lock.lock(nil) }
                unlock = { reservation.unlock() }
            } else {
                let mutex = SharedMutex(lockClass, gate: gate)
                lock = { mutex.lock() }
                unlock = { mutex.unlock() }
            }
        }
    }

    @Test("any two of them the wrong way round are reported at once; the right way round they are not")
    func pairs() throws {
        for (i, outer) in Self.classes.enumerated() {
            for inner in Self.classes[(i + 1)...] {
                for (first, second, kinds) in [(outer, inner, []), (inner, outer, [.inversion])] as [(LockClass, LockClass, [Violation.Kind])] {
                    let found = try found { gate in
                        let (first, second) = (Lock(first, gate), Lock(second, gate))
                        first.lock()
                        second.lock()
                        second.unlock()
                        first.unlock()
                    }
                    #expect(found == kinds, "\(first), then \(second)")
                }
            }
        }
    }

    @Test("what a fence depends on takes the tables' mutex and no other")
    func signalling() throws {
        for lockClass in Self.classes {
            let found = try found { gate in
                let lock = Lock(lockClass, gate)
                gate.beginSignalling()
                lock.lock()
                lock.unlock()
                gate.endSignalling()
            }
            #expect(found == (lockClass === UVMM.tablesLockClass ? [] : [.lockInSignalling]), "\(lockClass)")
        }
    }
}
#endif
