public import KernelErrno

/// A lock whose waiters park, first come, first served (`struct mutex`). Not recursive; who took it lets it go.
public struct SleepingMutex: ~Copyable, Sendable {
    @usableFromInline let core: SleepingLock
    public let lockClass: LockClass
    #if GPUVM_VALIDATE
    @usableFromInline let identity = LockIdentity(isWW: false)
    #endif

    public init(_ lockClass: LockClass, gate: Gate) {
        self.lockClass = lockClass
        core = SleepingLock(gate: gate)
    }

    @inlinable public borrowing func lock(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        try! take(interruptible: false, file, line)
    }

    /// - Throws: `EINTR`: a signal came first.
    @inlinable
    public borrowing func lockInterruptible(
        _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) throws(KernelErrno) {
        try take(interruptible: true, file, line)
    }

    @inlinable
    borrowing func take(interruptible: Bool, _ file: StaticString, _ line: UInt32) throws(KernelErrno) {
        #if GPUVM_VALIDATE
        core.gate.validator.willTake(
            lockClass, identity, ticket: nil, slowly: false, gate: core.gate, file, line)
        #endif
        core.gate.point()
        if !core.tryLock(nil) {
            try core.lockContended(nil, mayDie: false, interruptible: interruptible, lockClass.name)
        }
        core.gate.tookSleepingLock()
        #if GPUVM_VALIDATE
        core.gate.validator.took(lockClass, identity, ticket: nil, gate: core.gate, file, line)
        #endif
    }

    /// - Returns: whether it was free, and is taken now.
    @inlinable public borrowing func tryLock(_ file: StaticString = #fileID, _ line: UInt32 = #line) -> Bool {
        core.gate.point()
        guard core.tryLock(nil) else { return false }
        core.gate.tookSleepingLock()
        #if GPUVM_VALIDATE
        core.gate.validator.took(lockClass, identity, ticket: nil, gate: core.gate, file, line)
        #endif
        return true
    }

    @inlinable public borrowing func unlock(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        #if GPUVM_VALIDATE
        core.gate.validator.gave(lockClass, identity, gate: core.gate, file, line)
        #endif
        // As soon as others may have it, it may be gone.
        let gate = Unmanaged.passUnretained(core.gate)
        core.unlock()
        gate._withUnsafeGuaranteedRef { $0.gaveSleepingLock() }
    }

    @inlinable
    public borrowing func withLock<R, E: Error>(
        _ file: StaticString = #fileID, _ line: UInt32 = #line, _ body: () throws(E) -> R
    ) throws(E) -> R {
        lock(file, line)
        defer { unlock(file, line) }
        return try body()
    }

    /// Says that the caller has it; only the lock validator looks.
    @inlinable public borrowing func assertHeld(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        #if GPUVM_VALIDATE
        core.gate.validator.assertHeld(lockClass, identity, gate: core.gate, file, line)
        #endif
    }
}
