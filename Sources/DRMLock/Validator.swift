#if GPUVM_VALIDATE
internal import Synchronization

/// What an actor holds, the oldest first. Only its own actor touches it.
final class HeldLocks: @unchecked Sendable {
    struct Entry {
        let lockClass: LockClass
        /// The lock; `nil`: a section.
        let lock: LockIdentity?
        /// What ww lock it was taken with.
        let ticket: AcquireContext?
        let site: Site
    }

    var entries: [Entry] = []
}

/// Which lock it is, for the validator.
@usableFromInline
struct LockIdentity: Sendable, Equatable {
    let number: UInt64
    let isWW: Bool

    init(isWW: Bool) {
        number = Self.numbers.wrappingAdd(1, ordering: .relaxed).oldValue
        self.isWW = isWW
    }

    private static let numbers = Atomic<UInt64>(1)
}

/// The lock validator, in the manner of the kernel's lockdep: it learns in which order lock classes are taken, by
/// whomever, and reports the first call after which these orders can close a circle, on any schedule.
///
/// A graph leads from each class to those that were taken while it was held. The fence-signalling section, waits for
/// fences and allocations are classes like any other, and two of its edges are there from the start: an allocation
/// may wait for fences, and a wait for a fence waits for whoever is in a section.
///
/// Locking: the graph has a lock of its own; what an actor holds is its own affair.
@usableFromInline
final class Validator: @unchecked Sendable {
    private struct Edge {
        let target: Int
        /// Where the target was taken, and where the source had been; `nil`: from the start.
        let sites: (taken: Site, held: Site)?
    }

    private let spin = SpinLock()
    private var classes: [LockClass] = []
    private var numbers: [ObjectIdentifier: Int] = [:]
    private var edges: [[Edge]] = []
    private var hasReported = false

    init() {
        connect(.allocation, .fenceWait, sites: nil)
        connect(.fenceWait, .signalling, sites: nil)
    }

    // MARK: What actors do

    /// Before a lock is waited for.
    @usableFromInline
    func willTake(
        _ lockClass: LockClass, _ lock: LockIdentity, ticket: AcquireContext?, slowly: Bool, gate: Gate,
        _ file: StaticString, _ line: UInt32
    ) {
        let actor = gate.current, site = Site(file, line)
        if let work = actor.work, !work.queue.mayPark {
            report(.mayNotPark, "\(lockClass) taken by an item of \(work.queue.name)", site, site, gate)
        }
        let held = actor.validation.entries
        if let same = held.last(where: { $0.lock == lock }), ticket == nil || same.ticket !== ticket {
            return report(.recursion, "\(lockClass) taken again", same.site, site, gate)
        }
        if lock.isWW { checkTicket(lockClass, ticket, slowly: slowly, held, site, gate) }
        for entry in held.reversed() where !(lock.isWW && entry.lockClass === lockClass) {
            check(from: entry, to: lockClass, site, gate)
        }
    }

    private func checkTicket(
        _ lockClass: LockClass, _ ticket: AcquireContext?, slowly: Bool, _ held: [HeldLocks.Entry], _ site: Site,
        _ gate: Gate
    ) {
        guard let other = held.last(where: { $0.lockClass === lockClass }) else { return }
        if ticket == nil {
            report(.withoutTicket, "\(lockClass) taken with no ticket beside others", other.site, site, gate)
        } else if let second = held.last(where: { $0.lockClass === lockClass && $0.ticket !== ticket }) {
            report(.twoTickets, "\(lockClass) taken with a second ticket", second.site, site, gate)
        } else if slowly {
            report(.slowlyWithLocks, "\(lockClass) taken slowly beside others", other.site, site, gate)
        }
    }

    /// A lock was taken; after ``willTake(_:_:ticket:slowly:gate:_:_:)``, unless without waiting.
    @usableFromInline
    func took(
        _ lockClass: LockClass, _ lock: LockIdentity?, ticket: AcquireContext?, gate: Gate,
        _ file: StaticString, _ line: UInt32
    ) {
        if let ticket, ticket.phase != .acquiring {
            report(
                .finishedTicket, "\(lockClass) taken with a finished ticket", ticket.site, Site(file, line), gate)
        }
        gate.current.validation.entries.append(
            .init(lockClass: lockClass, lock: lock, ticket: ticket, site: Site(file, line)))
    }

    @usableFromInline
    func gave(
        _ lockClass: LockClass, _ lock: LockIdentity?, gate: Gate, _ file: StaticString, _ line: UInt32
    ) {
        let held = gate.current.validation
        if let i = held.entries.lastIndex(where: { $0.lockClass === lockClass && $0.lock == lock }) {
            held.entries.remove(at: i)
        } else {
            let site = Site(file, line)
            report(.notHeld, "\(lockClass) ended by who does not have it", site, site, gate)
        }
    }

    @usableFromInline
    func assertHeld(
        _ lockClass: LockClass, _ lock: LockIdentity, gate: Gate, _ file: StaticString, _ line: UInt32
    ) {
        if !gate.current.validation.entries.contains(where: { $0.lock == lock }) {
            let site = Site(file, line)
            report(.notHeld, "\(lockClass) said to be held by who does not have it", site, site, gate)
        }
    }

    /// Something of a class may be waited for here, but is not held afterwards.
    @usableFromInline
    func might(_ lockClass: LockClass, gate: Gate, _ file: StaticString, _ line: UInt32) {
        let held = gate.current.validation.entries
        // A section first: nothing could be plainer.
        for entry in held where entry.lockClass === LockClass.signalling {
            check(from: entry, to: lockClass, Site(file, line), gate)
        }
        for entry in held.reversed() { check(from: entry, to: lockClass, Site(file, line), gate) }
    }

    /// An actor or a work item's run ends.
    func end(of actor: GateActor) {
        guard let entry = actor.validation.entries.first else { return }
        actor.validation.entries = []
        report(.heldAtEnd, "\(entry.lockClass) held at the end", entry.site, entry.site, actor.gate)
    }

    func checkHoldsNothing(_ ticket: AcquireContext, _ site: Site) {
        guard ticket.acquired > 0 else { return }
        let held = ticket.gate.current.validation.entries.last { $0.ticket === ticket }
        report(.ticketHoldsLocks, "a ticket ends with locks held", held?.site ?? ticket.site, site, ticket.gate)
    }

    @usableFromInline
    func declare(_ order: [LockClass], _ site: Site, gate: Gate) {
        for (outer, inner) in zip(order, order.dropFirst()) {
            check(from: .init(lockClass: outer, lock: nil, ticket: nil, site: site), to: inner, site, gate)
        }
    }

    // MARK: The graph

    /// Something held, then something of another class taken: learns it, or reports that the opposite is known.
    private func check(from entry: HeldLocks.Entry, to target: LockClass, _ site: Site, _ gate: Gate) {
        spin.lock()
        let path = connect(entry.lockClass, target, sites: (site, entry.site))
        let onPath = path?.map { classes[$0.target] }
        spin.unlock()
        guard let path, let onPath else { return }
        let isSelf = entry.lockClass === target
        let names = ([entry.lockClass, target] + onPath).map { "\($0)" }
        let known = path.compactMap(\.sites)
        var text = isSelf ? "two of \(target) taken" : names.joined(separator: " > ")
        for sites in known { text += "\n  known from \(sites.taken), held from \(sites.held)" }
        report(kind(entry.lockClass, target, path), text, known.first?.taken ?? entry.site, site, gate)
    }

    private func kind(_ source: LockClass, _ target: LockClass, _ path: [Edge]) -> Violation.Kind {
        let signalling = number(of: .signalling)
        if source === LockClass.signalling, target === LockClass.fenceWait { return .waitInSignalling }
        if source === LockClass.signalling, target === LockClass.allocation { return .allocationInSignalling }
        let isInSignalling = source === LockClass.signalling || path.contains { $0.target == signalling }
        return isInSignalling ? .lockInSignalling : .inversion
    }

    /// With the lock, or before anybody knows of us.
    /// - Returns: if the target already leads to the source: how. Nothing is learnt then.
    @discardableResult
    private func connect(_ source: LockClass, _ target: LockClass, sites: (Site, Site)?) -> [Edge]? {
        let from = number(of: source), to = number(of: target)
        // Sections nest.
        if from == to { return source === LockClass.signalling ? nil : [] }
        if edges[from].contains(where: { $0.target == to }) { return nil }
        var visited: Set<Int> = []
        if let path = path(from: to, to: from, &visited) { return path }
        edges[from].append(Edge(target: to, sites: sites))
        return nil
    }

    private func path(from: Int, to: Int, _ visited: inout Set<Int>) -> [Edge]? {
        guard visited.insert(from).inserted else { return nil }
        for edge in edges[from] {
            if edge.target == to { return [edge] }
            if let rest = path(from: edge.target, to: to, &visited) { return [edge] + rest }
        }
        return nil
    }

    private func number(of lockClass: LockClass) -> Int {
        if let known = numbers[ObjectIdentifier(lockClass)] { return known }
        numbers[ObjectIdentifier(lockClass)] = classes.count
        classes.append(lockClass)
        edges.append([])
        return classes.count - 1
    }

    private func report(_ kind: Violation.Kind, _ text: String, _ first: Site, _ second: Site, _ gate: Gate) {
        let isFirst = spin.withLock {
            defer { hasReported = true }
            return !hasReported
        }
        if isFirst { gate.onViolation(Violation(kind: kind, text: text, first: first, second: second)) }
    }
}
#endif
