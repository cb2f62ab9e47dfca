public import KernelErrno
public import Synchronization

/// What ``SleepingMutex`` and ``WWMutex`` are made of: a lock that is held by a ticket or by nobody named, whose
/// waiters park in a line and are handed the lock one after another.
///
/// Invariants: `word` is 0 where it is free, else it holds the flags and the holder's ticket. `hasWaiters` is set
/// exactly where the line is not empty, but for moments inside `line`'s lock. While it is set nobody but who has that
/// lock changes `word`; so the holder's ticket cannot go away there. Who is queued has its ticket's count at rest.
///
/// The line: ticketed waiters stand by age, the oldest first; who has no ticket keeps its place among them. A ticket
/// that holds something never stands behind an older one, so handing the lock on makes nobody give way.
@usableFromInline
struct SleepingLock: ~Copyable, @unchecked Sendable {
    @usableFromInline let word = Atomic<UInt>(0)
    @usableFromInline let gate: Gate
    private let spin = SpinLock()
    /// The first of the line; owned by its own stack.
    private let first = Atomic<Unmanaged<LockWaiter>?>(nil)

    @usableFromInline static var isLockedFlag: UInt { 1 }
    private static var hasWaiters: UInt { 2 }

    @usableFromInline init(gate: Gate) {
        self.gate = gate
    }

    // MARK: Without waiting

    /// The word of a lock that a ticket holds, and for which nobody waits.
    @inlinable static func word(of context: AcquireContext?) -> UInt {
        guard let context else { return isLockedFlag }
        return UInt(bitPattern: Unmanaged.passUnretained(context).toOpaque()) | isLockedFlag
    }

    /// The count of the holder's ticket is the caller's to raise.
    @inlinable borrowing func tryLock(_ context: AcquireContext?) -> Bool {
        if gate.countsLocks {
            // One runs at a time.
            guard word.load(ordering: .relaxed) == 0 else { return false }
            word.store(Self.word(of: context), ordering: .relaxed)
            return true
        }
        // Releasing: who waits reads the ticket's stamp.
        return word.compareExchange(
            expected: 0, desired: Self.word(of: context), ordering: .acquiringAndReleasing
        ).exchanged
    }

    @inlinable borrowing func unlock() {
        let word = word.load(ordering: .relaxed)
        if let holder = UnsafeRawPointer(bitPattern: word & ~3) {
            Unmanaged<AcquireContext>.fromOpaque(holder)._withUnsafeGuaranteedRef { $0.acquired -= 1 }
        }
        if word & 2 != 0 {
            unlockToWaiter()
        } else if gate.countsLocks {
            self.word.store(0, ordering: .relaxed)
        } else if !self.word.compareExchange(
            // Acquiring: who waited and went has read the ticket's stamp.
            expected: word, desired: 0, ordering: .acquiringAndReleasing
        ).exchanged {
            unlockToWaiter()
        }
    }

    @inlinable var isLocked: Bool { word.load(ordering: .relaxed) != 0 }

    /// Only its own actor gives a ticket a lock or takes it away: to that one the answer is exact.
    borrowing func isHeld(by context: AcquireContext) -> Bool {
        word.load(ordering: .relaxed) & ~Self.hasWaiters == Self.word(of: context)
    }

    /// Of who holds it, and asks.
    var holder: AcquireContext? { Self.holder(word.load(ordering: .relaxed)) }

    // MARK: Waiting

    /// Takes it when it is not free, or no longer.
    /// - Parameter mayDie: gives way to older tickets where its own holds something.
    /// - Throws: `EALREADY`: the ticket has it. `EDEADLK`: it gives way. `EINTR`: a signal came.
    @usableFromInline
    borrowing func lockContended(
        _ context: AcquireContext?, mayDie: Bool, interruptible: Bool, _ why: StaticString
    ) throws(KernelErrno) {
        let mine = Self.word(of: context)
        if let context, isHeld(by: context) { throw .EALREADY }
        let waiter = LockWaiter(gate.current, context)
        spin.lock()
        guard let held = pin(orTake: mine) else {
            spin.unlock()
            return
        }
        if mayDie, let context, context.acquired > 0, mustGiveWay(context, holder: Self.holder(held)) {
            noteEmptyLine()
            spin.unlock()
            throw .EDEADLK
        }
        insert(waiter)
        killYounger(than: context)
        spin.unlock()
        try wait(as: waiter, interruptible: interruptible, why)
    }

    /// With `spin`: takes the lock if it is free, else marks it as waited for.
    /// - Returns: the word; `nil`: taken.
    private borrowing func pin(orTake mine: UInt) -> UInt? {
        var old = word.load(ordering: .relaxed)
        while old & Self.hasWaiters == 0 {
            let (done, seen) = word.compareExchange(
                expected: old, desired: old == 0 ? mine : old | Self.hasWaiters,
                ordering: .acquiringAndReleasing)
            if done { return old == 0 ? nil : old }
            old = seen
        }
        return old
    }

    private static func holder(_ word: UInt) -> AcquireContext? {
        UnsafeRawPointer(bitPattern: word & ~3).map { Unmanaged.fromOpaque($0).takeUnretainedValue() }
    }

    /// With `spin`: whether a ticket that holds something would wait for an older one.
    private borrowing func mustGiveWay(_ context: AcquireContext, holder: AcquireContext?) -> Bool {
        if let holder, holder.stamp < context.stamp { return true }
        var next = firstWaiter
        while let waiter = next {
            if let other = waiter.context, other.stamp < context.stamp { return true }
            next = waiter.next
        }
        return false
    }

    private borrowing func wait(
        as waiter: LockWaiter, interruptible: Bool, _ why: StaticString
    ) throws(KernelErrno) {
        while true {
            let wake = gate.park(interruptible: interruptible, why)
            spin.lock()
            let outcome = waiter.outcome
            if outcome == nil, wake == .interrupted { remove(waiter) }
            spin.unlock()
            switch (outcome, wake) {
            case (nil, .interrupted): throw .EINTR
            case (nil, _): continue
            // The signal came too late for this wait; it is for the next.
            case (_, .interrupted): waiter.actor.interrupt()
            default: break
            }
            if outcome == .dies { throw .EDEADLK }
            return
        }
    }

    /// Hands it to the first of the line. If all have gone again it is let go as where nobody waits: nothing of it, not
    /// even `spin`, is touched after others may have it, for they may end it.
    @usableFromInline borrowing func unlockToWaiter() {
        while !handOn() {
            let old = word.load(ordering: .relaxed)
            if old & Self.hasWaiters == 0,
                word.compareExchange(expected: old, desired: 0, ordering: .acquiringAndReleasing).exchanged
            { return }
        }
    }

    /// - Returns: false: nobody waits.
    private borrowing func handOn() -> Bool {
        spin.lock()
        defer { spin.unlock() }
        guard let next = firstWaiter else { return false }
        first.store(next.next.map(Unmanaged.passUnretained), ordering: .relaxed)
        word.store(Self.word(of: next.context) | Self.hasWaiters, ordering: .releasing)
        noteEmptyLine()
        // It looks at this with `spin`, before it goes on.
        next.outcome = .owns
        next.actor.unpark()
        return true
    }

    // MARK: The line; with `spin`

    private var firstWaiter: LockWaiter? { first.load(ordering: .relaxed)?.takeUnretainedValue() }

    /// Before the first that is younger.
    private borrowing func insert(_ waiter: LockWaiter) {
        var previous: LockWaiter?
        var next = firstWaiter
        while let other = next, !other.isYounger(than: waiter.context) {
            previous = other
            next = other.next
        }
        waiter.next = next
        link(waiter, after: previous)
    }

    private borrowing func link(_ waiter: LockWaiter?, after previous: LockWaiter?) {
        if let previous {
            previous.next = waiter
        } else {
            first.store(waiter.map(Unmanaged.passUnretained), ordering: .relaxed)
        }
    }

    private borrowing func remove(_ waiter: LockWaiter) {
        var previous: LockWaiter?
        var next = firstWaiter
        while let other = next, other !== waiter {
            previous = other
            next = other.next
        }
        link(waiter.next, after: previous)
        noteEmptyLine()
    }

    /// Waiters that hold something do not wait for, or behind, an older ticket.
    private borrowing func killYounger(than context: AcquireContext?) {
        var previous: LockWaiter?
        var next = firstWaiter
        while let waiter = next {
            next = waiter.next
            if waiter.isYounger(than: context), waiter.context!.acquired > 0 {
                link(next, after: previous)
                waiter.outcome = .dies
                waiter.actor.unpark()
            } else {
                previous = waiter
            }
        }
    }

    /// The holder may again let it go without a look at the line.
    private borrowing func noteEmptyLine() {
        if firstWaiter == nil { word.bitwiseAnd(~Self.hasWaiters, ordering: .releasing) }
    }
}

/// Who waits for a lock. Guarded by the lock's `spin`.
final class LockWaiter {
    let actor: GateActor
    let context: AcquireContext?
    unowned(unsafe) var next: LockWaiter?
    var outcome: Outcome?

    enum Outcome { case owns, dies }

    init(_ actor: GateActor, _ context: AcquireContext?) {
        self.actor = actor
        self.context = context
    }

    /// Both have tickets, and the other's is older.
    func isYounger(than other: AcquireContext?) -> Bool {
        if let context, let other { context.stamp > other.stamp } else { false }
    }
}
