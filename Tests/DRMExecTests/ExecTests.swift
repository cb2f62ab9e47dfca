import DRMExec
import DRMLock
import DRMSync
import GateSupport
import Glibc
import KernelErrno
import Testing

/// The laws of spec/gpuvm.md 6.2 to 6.6.
@Suite struct ExecTests {
    let gate = SteppedGate()
    let log = Log()
    let a, b, c, x: Object

    init() {
        a = Object("a", gate: gate)
        b = Object("b", gate: gate)
        c = Object("c", gate: gate)
        x = Object("x", gate: gate)
    }

    /// Nobody has any lock.
    func expectAllFree(_ location: SourceLocation = #_sourceLocation) {
        for object in [a, b, c, x] { #expect(!object.isLocked, "\(object.name)", sourceLocation: location) }
    }

    // MARK: 6.3, the scripts

    @Test("contention: the second pass takes the contended object first, in its first lock, and once only")
    func contention() throws {
        let exec = Exec(gate: gate)
        let holder = gate.holder(of: x, log: log)
        let passes = try exec.passes { exec, pass throws(KernelErrno) in
            log.add("pass \(pass)")
            #expect(exec.objects.isEmpty)
            try exec.lock(a)
            log.add("a")
            #expect(exec.names == ["a"])
            try exec.lock(x)
            log.add("x")
        }
        #expect(passes == 2)
        #expect(log.lines == ["pass 1", "a", "pass 2", "x is let go", "a", "x"])
        #expect(exec.names == ["a", "x"])
        #expect(a.isLocked && x.isLocked)
        exec.finish()
        gate.join(holder)
        expectAllFree()
    }

    @Test("a contended object that is not asked for again is let go at the end of the run")
    func notAskedAgain() throws {
        let exec = Exec(gate: gate)
        do {
            let y = Object("y", gate: gate, log: log)
            let holder = gate.holder(of: y)
            let passes = try exec.passes { exec, pass throws(KernelErrno) in
                try exec.lock(a)
                if pass == 1 { try exec.lock(y) } else { #expect(y.isLocked) }
            }
            #expect(passes == 2 && !y.isLocked && a.isLocked && exec.names == ["a"])
            gate.join(holder)
        }
        #expect(log.lines == ["end of y"])
        exec.finish()
        expectAllFree()
    }

    @Test("a body that asks for another object of the contended reservation ends without the lock, as in the kernel")
    func otherObjectOfContended() throws {
        let exec = Exec(gate: gate), y = Object("y", gate: gate, sharing: x.reservation)
        let holder = gate.holder(of: x)
        let passes = try exec.passes(.ignoreDuplicates) { exec, pass throws(KernelErrno) in
            try exec.lock(a)
            try exec.lock(pass == 1 ? x : y)
            #expect(pass == 2 && y.isLocked)
        }
        #expect(passes == 2 && exec.names == ["a"] && !y.isLocked)
        exec.finish()
        gate.join(holder)
        expectAllFree()
    }

    @Test("a shared reservation: EALREADY, or where duplicates are ignored only the first counts")
    func sharedReservation() throws {
        let exec = Exec(gate: gate), y = Object("y", gate: gate, sharing: x.reservation)
        try exec.run { exec throws(KernelErrno) in
            try exec.lock(x)
            #expect(failure { () throws(KernelErrno) in try exec.lock(y) } == .EALREADY)
            #expect(failure { () throws(KernelErrno) in try exec.lock(x) } == .EALREADY)
        }
        #expect(exec.names == ["x"])
        exec.finish()
        try exec.run(.ignoreDuplicates) { exec throws(KernelErrno) in
            try exec.lock(x)
            try exec.lock(y)
        }
        #expect(exec.names == ["x"])
        exec.unlock(y)
        #expect(x.isLocked, "y is not what is locked")
        exec.unlock(x)
        #expect(!x.isLocked)
        exec.finish()
    }

    @Test("prepare that gets no slots unlocks the object, also one that was locked before; not one that shares")
    func prepareFails() throws {
        let exec = Exec(gate: gate), y = Object("y", gate: gate, sharing: x.reservation)
        try exec.run(.ignoreDuplicates) { exec throws(KernelErrno) in
            #expect(failure { () throws(KernelErrno) in try exec.prepare(a, fences: 0) } == .EINVAL)
            #expect(!a.isLocked && exec.objects.isEmpty)
            try exec.prepare(a, fences: 1)
            try exec.lock(b)
            #expect(failure { () throws(KernelErrno) in try exec.prepare(a, fences: 0) } == .EINVAL)
            #expect(!a.isLocked && exec.names == ["b"])
            try exec.lock(x)
            #expect(failure { () throws(KernelErrno) in try exec.prepare(y, fences: 0) } == .EINVAL)
            #expect(x.isLocked && exec.names == ["b", "x"])
        }
        exec.finish()
        expectAllFree()
    }

    @Test("preparing no objects takes what was contended")
    func emptyPrepare() throws {
        let exec = Exec(gate: gate)
        let holder = gate.holder(of: x)
        let passes = try exec.passes { exec, pass throws(KernelErrno) in
            if pass == 1 {
                try exec.lock(a)
                try exec.lock(x)
            } else {
                try exec.prepare([], fences: 1)
                #expect(x.isLocked && exec.objects.isEmpty)
            }
        }
        #expect(passes == 2)
        exec.finish()
        gate.join(holder)
        expectAllFree()
    }

    // MARK: 6.2, the loop

    @Test("each run has a ticket that is the youngest; it lasts through the passes")
    func ticket() throws {
        let exec = Exec(gate: gate)
        var stamps: [UInt64] = []
        let holder = gate.holder(of: x)
        for _ in 0..<2 {
            try exec.run { exec throws(KernelErrno) in
                stamps.append(exec.ticket.stamp)
                try exec.lock(a)
                try exec.lock(x)
            }
            exec.finish()
        }
        gate.join(holder)
        #expect(stamps.count == 3 && stamps[0] == stamps[1] && stamps[1] < stamps[2])
    }

    @Test("who had to give way is older than all who began meanwhile: it waits for them, and no third pass comes")
    func growsOlder() throws {
        let exec = Exec(gate: gate)
        var holders = [gate.holder(of: x)]
        let passes = try exec.passes { exec, pass throws(KernelErrno) in
            if pass == 2 { holders.append(gate.holder(of: a, for: 5000)) }
            try exec.lock(b)
            try exec.lock(x)
            try exec.lock(a)
        }
        #expect(passes == 2)
        exec.finish()
        for holder in holders { gate.join(holder) }
    }

    @Test("a pass that is given up, and finish, unlock in reverse order")
    func reverseOrder() throws {
        let exec = Exec(gate: gate)
        var actors = [gate.holder(of: x)]
        let objects = [a, b, c]
        for round in 1...2 {
            let passes = try exec.passes { exec, pass throws(KernelErrno) in
                for object in objects { try exec.lock(object) }
                if pass == 1 {
                    for object in objects {
                        actors.append(gate.spawn(object.name) {
                            try! object.reservation.lock.lock(nil)
                            log.add("\(object.name) \(round)")
                            object.reservation.unlock()
                        })
                    }
                    gate.sleep(for: 1)
                }
                try exec.lock(x)
            }
            #expect(passes == 3 - round)
            exec.finish()
            for actor in actors { gate.join(actor) }
        }
        #expect(log.lines == ["c 1", "b 1", "a 1", "c 2", "b 2", "a 2"])
        expectAllFree()
    }

    @Test("a body that keeps contention to itself gets it again, and runs again")
    func swallowed() throws {
        let exec = Exec(gate: gate)
        let holder = gate.holder(of: x)
        let passes = try exec.passes { exec, pass throws(KernelErrno) in
            try exec.lock(a)
            let error = failure { () throws(KernelErrno) in try exec.lock(x) }
            #expect(error == (pass == 1 ? .EDEADLK : nil))
            #expect(failure { () throws(KernelErrno) in try exec.lock(b) } == error)
            #expect(failure { () throws(KernelErrno) in try exec.prepare([], fences: 1) } == error)
        }
        #expect(passes == 2 && exec.names == ["a", "x", "b"])
        exec.finish()
        gate.join(holder)
        expectAllFree()
    }

    @Test("retry lets go of all and runs the body again as the youngest")
    func retry() throws {
        let exec = Exec(gate: gate)
        var stamps: [UInt64] = []
        let passes = try exec.passes { exec, pass throws(KernelErrno) in
            stamps.append(exec.ticket.stamp)
            try exec.lock(a)
            if pass == 1 {
                stamps.append(AcquireContext(gate: gate).stamp)
                #expect(failure { () throws(KernelErrno) in try exec.retry() } == .EDEADLK)
                #expect(!a.isLocked)
                try exec.lock(b)
                throw .EDEADLK
            }
        }
        #expect(passes == 2 && exec.names == ["a"] && stamps == stamps.sorted() && Set(stamps).count == 3)
        exec.finish()
        expectAllFree()
    }

    @Test("retry forgets contention")
    func retryForgets() throws {
        let exec = Exec(gate: gate)
        let holder = gate.holder(of: x)
        let passes = try exec.passes { exec, pass throws(KernelErrno) in
            try exec.lock(a)
            guard pass == 1 else { return }
            #expect(failure { () throws(KernelErrno) in try exec.lock(x) } == .EDEADLK)
            try exec.retry()
        }
        #expect(passes == 2 && exec.names == ["a"])
        exec.finish()
        gate.join(holder)
        expectAllFree()
    }

    @Test("an error of the body ends the run with nothing held, in any pass; so does an EDEADLK of its own")
    func errorInTheMiddle() throws {
        let exec = Exec(gate: gate)
        for error in [KernelErrno.ENOSPC, .EDEADLK] {
            for failing in 1...2 {
                let holder = gate.holder(of: x)
                var passes = 0
                let thrown = failure { () throws(KernelErrno) in
                    try exec.run { exec throws(KernelErrno) in
                        passes += 1
                        try exec.lock(a)
                        if passes == failing { throw error }
                        try exec.lock(x)
                    }
                }
                #expect(thrown == error && passes == failing && exec.objects.isEmpty && !a.isLocked)
                gate.join(holder)
                expectAllFree()
            }
        }
    }

    // MARK: 6.3, the steps

    @Test("a signal ends the wait for a contended object with EINTR, if it may; nothing is held or kept")
    func interruptedSlowly() throws {
        let exec = Exec(gate: gate)
        for flags in [Exec.Flags.interruptibleWait, []] {
            var holder: GateActor?
            do {
                let y = Object("y", gate: gate, log: log)
                holder = gate.holder(of: y)
                let me = gate.current
                let error = failure { () throws(KernelErrno) in
                    try exec.run(flags) { exec throws(KernelErrno) in
                        me.interrupt()
                        try exec.lock(a)
                        try exec.lock(y)
                    }
                }
                #expect(error == (flags.isEmpty ? nil : .EINTR))
                #expect(exec.names == (flags.isEmpty ? ["a", "y"] : []))
                #expect(a.isLocked == flags.isEmpty)
                exec.finish()
                gate.join(holder!)
            }
            _ = gate.park(until: gate.now + 1, interruptible: true, "a signal that is left")
        }
        holderEnds()
        #expect(log.lines == ["end of y", "end of y"])
        expectAllFree()
    }

    /// The stacks of actors that have ended let go of what they knew.
    private func holderEnds() { gate.sleep(for: 1) }

    @Test("a signal ends the wait for a first object with EINTR, if it may")
    func interruptedFirst() throws {
        let exec = Exec(gate: gate)
        let holder = gate.holder(of: x)
        gate.current.interrupt()
        let error = failure { () throws(KernelErrno) in
            try exec.run(.interruptibleWait) { exec throws(KernelErrno) in try exec.lock(x) }
        }
        #expect(error == .EINTR && exec.objects.isEmpty)
        gate.current.interrupt()
        #expect(try exec.passes { exec, _ throws(KernelErrno) in try exec.lock(x) } == 1)
        exec.finish()
        gate.join(holder)
        expectAllFree()
    }

    @Test("who holds nothing is not made to give way")
    func holdsNothing() throws {
        let exec = Exec(gate: gate)
        let holder = gate.holder(of: x)
        let passes = try exec.passes { exec, _ throws(KernelErrno) in
            try exec.lock(x)
            try exec.lock(a)
        }
        #expect(passes == 1)
        exec.finish()
        gate.join(holder)
    }

    @Test("contended twice: the first is let go with the others, the second is taken first")
    func contendedTwice() throws {
        let exec = Exec(gate: gate)
        let holders = [gate.holder(of: x, for: 1000), gate.holder(of: c, for: 5000)]
        let passes = try exec.passes { exec, pass throws(KernelErrno) in
            try exec.lock(a)
            if pass == 3 { #expect(c.isLocked && !x.isLocked) }
            try exec.lock(pass < 2 ? x : c)
            if pass == 3 { try exec.lock(x) }
        }
        #expect(passes == 3 && exec.names == ["a", "c", "x"])
        exec.finish()
        for holder in holders { gate.join(holder) }
        expectAllFree()
    }

    @Test("objects that are locked or contended are kept alive, and let go at the end", arguments: [false, true])
    func references(contends: Bool) throws {
        let exec = Exec(gate: gate)
        var objects = [Object("y", gate: gate, log: log)]
        let holder = contends ? gate.holder(of: objects[0]) : nil
        let passes = try exec.passes(.ignoreDuplicates) { exec, pass throws(KernelErrno) in
            try exec.lock(a)
            for object in objects {
                try exec.lock(object)
                try exec.lock(object)
            }
            objects = []
        }
        #expect(passes == (contends ? 2 : 1))
        if let holder { gate.join(holder) }
        #expect(log.lines == [] && exec.names == ["a", "y"])
        exec.finish()
        #expect(log.lines == ["end of y"])
    }

    // MARK: 6.4, the other calls

    @Test("unlocking one closes the gap; one that is not locked is nothing")
    func unlocking() throws {
        let exec = Exec(gate: gate)
        try exec.run { exec throws(KernelErrno) in try exec.prepare([a, b, c], fences: 1) }
        exec.unlock(b)
        #expect(exec.names == ["a", "c"] && !b.isLocked)
        exec.unlock(b)
        exec.unlock(x)
        #expect(exec.names == ["a", "c"])
        exec.unlock(c)
        exec.unlock(a)
        expectAllFree()
        exec.finish()
    }

    @Test("preparing several stops at the first error; those before stay locked")
    func prepareStops() throws {
        let exec = Exec(gate: gate)
        try exec.run { exec throws(KernelErrno) in
            #expect(failure { () throws(KernelErrno) in try exec.prepare([a, b, a, c], fences: 1) } == .EALREADY)
            #expect(exec.names == ["a", "b"] && !c.isLocked)
            #expect(failure { () throws(KernelErrno) in try exec.prepare([c], fences: 0) } == .EINVAL)
            #expect(exec.names == ["a", "b"] && !c.isLocked)
        }
        exec.finish()
        expectAllFree()
    }

    @Test("as many fences as were prepared can be added")
    func slots() throws {
        let exec = Exec(gate: gate)
        for fences in [1, 3, 9] {
            try exec.run { exec throws(KernelErrno) in try exec.prepare(a, fences: fences) }
            let before = a.reservation.fences(.bookkeep).count
            for _ in 0..<fences {
                a.reservation.add(Fence(gate: gate, context: gate.allocateContexts(), seqno: 1), .bookkeep)
            }
            #expect(a.reservation.fences(.bookkeep).count == before + fences)
            exec.finish()
        }
    }

    @Test("what is locked is seen in the order of locking and in reverse")
    func iteration() throws {
        let exec = Exec(gate: gate)
        try exec.run { exec throws(KernelErrno) in for object in [c, a, b] { try exec.lock(object) } }
        #expect(exec.names == ["c", "a", "b"])
        #expect(exec.objects.reversed().map { ($0 as! Object).name } == ["b", "a", "c"])
        exec.finish()
    }

    // MARK: Memory

    @Test("no memory is asked for up to the capacity, nor where there were as many before")
    func warm() throws {
        let exec = Exec(gate: gate, capacity: 32)
        var requests = 0
        exec.reallocate = { requests += 1; return realloc($0, $1) }
        let objects = (0..<200).map { Object("\($0)", gate: gate) }
        for (count, expected) in [(32, 0), (33, 1), (64, 1), (65, 2), (200, 3), (200, 3), (1, 3)] {
            try exec.run { exec throws(KernelErrno) in for object in objects.prefix(count) { try exec.lock(object) } }
            #expect(exec.names == objects.prefix(count).map(\.name))
            #expect(requests == expected, "\(count)")
            exec.finish()
        }
    }

    @Test("without room in the list it is ENOMEM, and the object is unlocked, contended before or not")
    func noMemory() throws {
        let exec = Exec(gate: gate, capacity: 1)
        exec.reallocate = { _, _ in nil }
        let plain = failure { () throws(KernelErrno) in
            try exec.run { exec throws(KernelErrno) in
                try exec.lock(a)
                #expect(failure { () throws(KernelErrno) in try exec.lock(b) } == .ENOMEM)
                #expect(!b.isLocked && exec.names == ["a"])
                try exec.prepare(c, fences: 1)
            }
        }
        #expect(plain == .ENOMEM)
        expectAllFree()
        let holder = gate.holder(of: x)
        var passes = 0
        let contended = failure { () throws(KernelErrno) in
            try exec.run { exec throws(KernelErrno) in
                passes += 1
                try exec.lock(a)
                try exec.lock(x)
            }
        }
        #expect(contended == .ENOMEM && passes == 2)
        gate.join(holder)
        expectAllFree()
        exec.reallocate = { realloc($0, $1) }
        try exec.run { exec throws(KernelErrno) in try exec.prepare([a, b], fences: 1) }
        exec.finish()
    }

    #if GPUVM_VALIDATE
    @Test("one that goes away with locks held is reported, and lets go of them")
    func abandoned() throws {
        var found: [Violation.Kind] = []
        gate.onViolation = { found.append($0.kind) }
        do {
            let exec = Exec(gate: gate)
            try exec.run { exec throws(KernelErrno) in try exec.lock(a) }
        }
        #expect(found == [.ticketHoldsLocks])
        #expect(!a.isLocked)
    }

    @Test("locking after the run is reported")
    func lockAfterRun() throws {
        var found: [Violation.Kind] = []
        gate.onViolation = { found.append($0.kind) }
        let exec = Exec(gate: gate)
        try exec.run { exec throws(KernelErrno) in try exec.lock(a) }
        try exec.lock(b)
        exec.finish()
        #expect(found == [.finishedTicket])
        expectAllFree()
    }
    #endif
}
