public import KernelErrno

/// A lock whose waiters park, first come, first served (`struct mutex`). Not recursive; who took it lets it go.
public final class SleepingMutex: Sendable {
    @usableFromInline let core: SleepingLock
    public let lockClass: LockClass

    public init(_ lockClass: LockClass, gate: Gate) {
        self.lockClass = lockClass
        core = SleepingLock(gate: gate)
    }

    @inlinable public func lock(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        try! take(interruptible: false, file, line)
    }

    /// - Throws: `EINTR`: a signal came first.
    @inlinable
    public func lockInterruptible(
        _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) throws(KernelErrno) {
        try take(interruptible: true, file, line)
    }

    @inlinable
    func take(interruptible: Bool, _ file: StaticString, _ line: UInt32) throws(KernelErrno) {
        core.gate.point()
        if !core.tryLock(nil) {
            try core.lockContended(nil, mayDie: false, interruptible: interruptible, lockClass.name)
        }
        core.gate.tookSleepingLock()
    }

    /// - Returns: whether it was free, and is taken now.
    @inlinable public func tryLock(_ file: StaticString = #fileID, _ line: UInt32 = #line) -> Bool {
        core.gate.point()
        guard core.tryLock(nil) else { return false }
        core.gate.tookSleepingLock()
        return true
    }

    @inlinable public func unlock(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        core.unlock()
        core.gate.gaveSleepingLock()
    }

    @inlinable
    public func withLock<R, E: Error>(
        _ file: StaticString = #fileID, _ line: UInt32 = #line, _ body: () throws(E) -> R
    ) throws(E) -> R {
        lock(file, line)
        defer { unlock(file, line) }
        return try body()
    }

    /// Says that the caller has it; only the lock validator looks.
    @inlinable public func assertHeld(_ file: StaticString = #fileID, _ line: UInt32 = #line) {}
}
