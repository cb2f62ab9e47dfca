import DRMLock
import KernelErrno

/// A mutex that several closures know.
public final class SharedMutex: Sendable {
    private let mutex: SleepingMutex

    public init(_ lockClass: LockClass, gate: Gate) { mutex = SleepingMutex(lockClass, gate: gate) }

    public var lockClass: LockClass { mutex.lockClass }

    public func lock(_ file: StaticString = #fileID, _ line: UInt32 = #line) { mutex.lock(file, line) }

    public func lockInterruptible(_ file: StaticString = #fileID, _ line: UInt32 = #line) throws(KernelErrno) {
        try mutex.lockInterruptible(file, line)
    }

    public func tryLock(_ file: StaticString = #fileID, _ line: UInt32 = #line) -> Bool { mutex.tryLock(file, line) }

    public func unlock(_ file: StaticString = #fileID, _ line: UInt32 = #line) { mutex.unlock(file, line) }

    public func withLock<R, E: Error>(
        _ file: StaticString = #fileID, _ line: UInt32 = #line, _ body: () throws(E) -> R
    ) throws(E) -> R {
        mutex.lock(file, line)
        defer { mutex.unlock(file, line) }
        return try body()
    }

    public func assertHeld(_ file: StaticString = #fileID, _ line: UInt32 = #line) { mutex.assertHeld(file, line) }
}
