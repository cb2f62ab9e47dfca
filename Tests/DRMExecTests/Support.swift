import DRMExec
import DRMLock
import DRMSync
import GateSupport
import KernelErrno

/// An object that tells its end.
final class Object: GEMObject, @unchecked Sendable {
    let name: String
    private let log: Log?

    init(_ name: String, gate: Gate, sharing reservation: Reservation? = nil, log: Log? = nil) {
        self.name = name
        self.log = log
        super.init(gate: gate, sharing: reservation)
    }

    deinit { log?.add("end of \(name)") }

    var isLocked: Bool { reservation.isLocked }
}

/// What happened, in order.
final class Log: Sendable {
    private let shared = Shared<[String]>([])
    var lines: [String] { shared.value }
    func add(_ line: String) { shared.change { $0.append(line) } }
}

extension Exec {
    /// What is locked, by name.
    var names: [String] { objects.map { ($0 as! Object).name } }

    /// Runs it where the passes are of interest.
    /// - Returns: their number.
    func passes(_ flags: Flags = [], body: (Exec, Int) throws(KernelErrno) -> Void) throws(KernelErrno) -> Int {
        var count = 0
        try run(flags) { exec throws(KernelErrno) in
            count += 1
            try body(exec, count)
        }
        return count
    }
}

extension Gate {
    /// Somebody older than all who come later has the lock of an object, and lets it go some time after.
    func holder(of object: Object, for time: UInt64 = 1000, log: Log? = nil) -> GateActor {
        let ticket = AcquireContext(gate: self)
        let actor = spawn("holder of \(object.name)") { [self] in
            try! object.reservation.lock.lock(ticket)
            sleep(for: time)
            log?.add("\(object.name) is let go")
            object.reservation.unlock()
            ticket.end()
        }
        while !object.isLocked { sleep(for: 1) }
        return actor
    }
}

/// The error of a call.
func failure(_ call: () throws(KernelErrno) -> Void) -> KernelErrno? {
    do throws(KernelErrno) {
        try call()
        return nil
    } catch {
        return error
    }
}
