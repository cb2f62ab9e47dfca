#if GPUVM_VALIDATE
import DRMLock
import GateSupport
import KernelErrno
import Testing

/// A planted fault of each kind; the first is reported, once, with both places.
@Suite struct ValidatorTests {
    private final class Setup {
        let gate = SteppedGate()
        var found: [Violation] = []

        init() { gate.onViolation = { self.found.append($0) } }

        func mutex(_ name: StaticString) -> SharedMutex { SharedMutex(LockClass(name), gate: gate) }

        func expect(
            _ kind: Violation.Kind, _ first: UInt32, _ second: UInt32, location: SourceLocation = #_sourceLocation
        ) {
            #expect(found.map(\.kind) == [kind], sourceLocation: location)
            guard let violation = found.first else { return }
            #expect(violation.first.line == first, "\(violation)", sourceLocation: location)
            #expect(violation.second.line == second, "\(violation)", sourceLocation: location)
            #expect("\(violation.first.file)" == #fileID && "\(violation.second.file)" == #fileID)
        }
    }

    private let setup = Setup()
    private var gate: SteppedGate { setup.gate }
    private static let wwClass = LockClass("ww")

    @Test("two classes in both orders, at different times, by whomever")
    func inversion() {
        let a = setup.mutex("a"), b = setup.mutex("b")
        a.lock()
        b.lock(); let first = UInt32(#line)
        b.unlock()
        a.unlock()
        let other = gate.spawn("other") {
            b.lock()
            a.lock()
            a.unlock()
            b.unlock()
        }
        gate.join(other)
        setup.expect(.inversion, first, first + 5)
    }

    @Test("three classes in a circle")
    func circle() {
        let a = setup.mutex("a"), b = setup.mutex("b"), c = setup.mutex("c")
        a.withLock { b.withLock {} }
        let line = UInt32(#line)
        b.withLock { c.withLock {} }
        c.withLock { a.withLock {} }
        setup.expect(.inversion, line - 1, line + 2)
        #expect(setup.found.first?.text.hasPrefix("c > a > b > c") == true)
    }

    @Test("two locks of one class")
    func sameClass() {
        let lockClass = LockClass("a")
        let one = SharedMutex(lockClass, gate: gate), two = SharedMutex(lockClass, gate: gate)
        one.lock(); let line = UInt32(#line)
        two.lock()
        setup.expect(.inversion, line, line + 1)
        two.unlock()
        one.unlock()
    }

    @Test("a declared order counts as seen")
    func declared() {
        let outer = LockClass("outer"), middle = LockClass("middle"), inner = LockClass("inner")
        gate.declareOrder([outer, middle, inner]); let line = UInt32(#line)
        let a = SharedMutex(outer, gate: gate), c = SharedMutex(inner, gate: gate)
        c.withLock { a.withLock {} }
        setup.expect(.inversion, line, line + 2)
    }

    @Test("trying cannot deadlock, what comes after it can")
    func trying() {
        let a = setup.mutex("a"), b = setup.mutex("b")
        a.withLock { b.withLock {} }; let line = UInt32(#line)
        b.lock()
        #expect(a.tryLock())
        a.unlock()
        #expect(setup.found.isEmpty)
        a.lock()
        a.unlock()
        b.unlock()
        setup.expect(.inversion, line, line + 5)
    }

    @Test("one mutex twice")
    func recursion() {
        let a = setup.mutex("a")
        a.lock(); let line = UInt32(#line)
        gate.current.interrupt()
        #expect(throws: KernelErrno.EINTR) { try a.lockInterruptible() }
        setup.expect(.recursion, line, line + 2)
        a.unlock()
    }

    @Test("a wait for a fence in a signalling section")
    func waitInSection() {
        gate.beginSignalling(); let line = UInt32(#line)
        gate.mightWait()
        gate.endSignalling()
        setup.expect(.waitInSignalling, line, line + 1)
    }

    @Test("an allocation in a signalling section")
    func allocationInSection() {
        gate.beginSignalling(); let line = UInt32(#line)
        gate.beginSignalling()
        gate.mightAllocate()
        gate.endSignalling()
        gate.endSignalling()
        setup.expect(.allocationInSignalling, line, line + 2)
    }

    @Test("a lock held over a wait, then taken in a section")
    func lockInSection() {
        let a = setup.mutex("a")
        a.lock()
        gate.mightWait(); let line = UInt32(#line)
        a.unlock()
        gate.beginSignalling()
        a.lock()
        a.unlock()
        gate.endSignalling()
        setup.expect(.lockInSignalling, line, line + 3)
    }

    @Test("a lock taken in a section, then held over a wait")
    func waitUnderSectionLock() {
        let a = setup.mutex("a")
        gate.beginSignalling()
        a.lock(); let line = UInt32(#line)
        a.unlock()
        gate.endSignalling()
        a.lock()
        gate.mightWait()
        a.unlock()
        setup.expect(.lockInSignalling, line, line + 4)
    }

    @Test("a lock under which another held over an allocation is taken, in a section")
    func allocationBehindLocks() {
        let a = setup.mutex("a"), b = setup.mutex("b")
        a.lock()
        b.lock(); let line = UInt32(#line)
        gate.mightAllocate()
        b.unlock()
        a.unlock()
        gate.beginSignalling()
        b.withLock {}
        gate.endSignalling()
        setup.expect(.lockInSignalling, line + 1, line + 5)
    }

    @Test("a second ww lock with no ticket")
    func withoutTicket() throws {
        let a = WWMutex(Self.wwClass, gate: gate), b = WWMutex(Self.wwClass, gate: gate)
        try a.lock(nil); let line = UInt32(#line)
        if b.tryLock(nil) { b.unlock() }
        try b.lock(nil)
        b.unlock()
        a.unlock()
        setup.expect(.withoutTicket, line, line + 2)
    }

    @Test("two tickets at once")
    func twoTickets() throws {
        let a = WWMutex(Self.wwClass, gate: gate), b = WWMutex(Self.wwClass, gate: gate)
        let one = AcquireContext(gate: gate), two = AcquireContext(gate: gate)
        try a.lock(one); let line = UInt32(#line)
        try b.lock(two)
        b.unlock()
        a.unlock()
        setup.expect(.twoTickets, line, line + 1)
    }

    @Test("a ticket that said that it was done, or that ended", arguments: [false, true])
    func finishedTicket(ended: Bool) throws {
        let a = WWMutex(Self.wwClass, gate: gate)
        let ticket = AcquireContext(gate: gate)
        let line = UInt32(#line)
        if ended { ticket.end() } else { ticket.done() }
        try a.lock(ticket)
        a.unlock()
        setup.expect(.finishedTicket, line + 1, line + 2)
    }

    @Test("a ticket that ends while it holds a lock")
    func ticketHolds() throws {
        let a = WWMutex(Self.wwClass, gate: gate)
        let ticket = AcquireContext(gate: gate)
        try a.lock(ticket); let line = UInt32(#line)
        ticket.end()
        a.unlock()
        setup.expect(.ticketHoldsLocks, line, line + 1)
    }

    @Test("the slow way beside other locks")
    func slowlyWithLocks() throws {
        let a = WWMutex(Self.wwClass, gate: gate), b = WWMutex(Self.wwClass, gate: gate)
        let ticket = AcquireContext(gate: gate)
        try a.lock(ticket); let line = UInt32(#line)
        try b.lockSlowly(ticket)
        b.unlock()
        a.unlock()
        setup.expect(.slowlyWithLocks, line, line + 1)
    }

    @Test("a lock let go by another than has it")
    func notHeld() {
        let a = setup.mutex("a")
        a.lock()
        let other = gate.spawn("other") { a.unlock() }; let line = UInt32(#line)
        gate.join(other)
        setup.expect(.notHeld, line, line)
    }

    @Test("a section that did not begin")
    func noSection() {
        gate.endSignalling(); let line = UInt32(#line)
        setup.expect(.notHeld, line, line)
    }

    @Test("an assertion that a lock is held")
    func assertHeld() {
        let a = setup.mutex("a")
        let b = WWMutex(Self.wwClass, gate: gate)
        a.withLock { a.assertHeld() }
        if b.tryLock(nil) {
            b.assertHeld()
            b.unlock()
        }
        #expect(setup.found.isEmpty)
        b.assertHeld(); let line = UInt32(#line)
        a.assertHeld()
        setup.expect(.notHeld, line, line)
    }

    @Test("a work item's run that ends with a lock")
    func heldAtEnd() {
        let a = setup.mutex("a")
        let line = Shared<UInt32>(0)
        ClosureWork(WorkQueue("queue", gate: gate, mayPark: true)) { a.lock(); line.value = #line }.enqueue()
        gate.runUntilIdle()
        setup.expect(.heldAtEnd, line.value, line.value)
    }

    @Test("a lock that parks, taken by a work item that may not")
    func mayNotPark() {
        let a = setup.mutex("a")
        let line = Shared<UInt32>(0)
        ClosureWork(WorkQueue("queue", gate: gate, mayPark: false)) { a.lock(); line.value = #line
            a.unlock()
        }.enqueue()
        gate.runUntilIdle()
        setup.expect(.mayNotPark, line.value, line.value)
    }

    @Test("a correct program is told nothing", arguments: Driver.allCases)
    func correct(driver: Driver) {
        driver.run(times: 5) { gate, seed in
            let found = Shared(0)
            gate.onViolation = { _ in found.change { $0 += 1 } }
            let outer = SharedMutex(LockClass("outer"), gate: gate)
            let map = SharedMutex(LockClass("map"), gate: gate)
            let wwClass = LockClass("ww")
            final class Object: Sendable {
                let lock: WWMutex
                init(_ lockClass: LockClass, _ gate: Gate) { lock = WWMutex(lockClass, gate: gate) }
            }
            let objects = [Object(wwClass, gate), Object(wwClass, gate)]
            gate.declareOrder([outer.lockClass, wwClass, .allocation])
            gate.declareOrder([wwClass, map.lockClass])
            let queue = WorkQueue("queue", gate: gate, mayPark: true)
            let work = ClosureWork(queue) {
                gate.beginSignalling()
                map.withLock {}
                gate.endSignalling()
            }
            let actors = (0..<2).map { i in
                gate.spawn("\(i)") {
                    outer.lock()
                    let ticket = AcquireContext(gate: gate)
                    for object in objects { try! object.lock.lock(ticket) }
                    ticket.done()
                    gate.mightAllocate()
                    gate.mightWait()
                    map.withLock {}
                    gate.beginSignalling()
                    work.enqueue()
                    gate.endSignalling()
                    // Not in the order they were taken.
                    outer.unlock()
                    for object in objects { object.lock.unlock() }
                    ticket.end()
                    try! objects[0].lock.lock(nil)
                    objects[0].lock.unlock()
                }
            }
            for actor in actors { gate.join(actor) }
            work.flush()
            #expect(found.value == 0, "seed \(seed)")
        }
    }
}
#endif
