public import KernelErrno

/// A lock of which several are taken together in any order (`ww_mutex` of a wait-die class, `DEFINE_WD_CLASS`).
///
/// Who takes several does so with a ticket. A ticket that holds something never waits for, or behind, an older one:
/// it gets `EDEADLK` instead, lets go of all it has, takes the lock that it could not have with
/// ``lockSlowly(_:interruptible:_:_:)`` and then the others. So no circle of waiting can close, and the oldest ticket
/// always gets on. A ticket that holds nothing waits; so does who comes without one, but may then hold no others.
///
/// Source: ww_mutex.h; spec/gpuvm.md 6.6.
public struct WWMutex: ~Copyable, Sendable {
    @usableFromInline let core: SleepingLock
    public let lockClass: LockClass
    #if GPUVM_VALIDATE
    @usableFromInline let identity = LockIdentity(isWW: true)
    #endif

    public init(_ lockClass: LockClass, gate: Gate) {
        self.lockClass = lockClass
        core = SleepingLock(gate: gate)
    }

    /// - Throws: `EDEADLK`: an older ticket has it or waits for it, and this one holds something. `EALREADY`: this
    ///   ticket has it. `EINTR`: a signal came first.
    @inlinable
    public borrowing func lock(
        _ context: AcquireContext?, interruptible: Bool = false,
        _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) throws(KernelErrno) {
        try take(context, slowly: false, interruptible, "a ww mutex", file, line)
    }

    /// Takes the lock that `EDEADLK` came from: waits however old who has it. The ticket holds nothing.
    /// - Throws: `EALREADY`, `EINTR` as ``lock(_:interruptible:_:_:)``.
    @inlinable
    public borrowing func lockSlowly(
        _ context: AcquireContext?, interruptible: Bool = false,
        _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) throws(KernelErrno) {
        try take(context, slowly: true, interruptible, "a ww mutex, slowly", file, line)
    }

    @inlinable
    borrowing func take(
        _ context: AcquireContext?, slowly: Bool, _ interruptible: Bool, _ why: StaticString,
        _ file: StaticString, _ line: UInt32
    ) throws(KernelErrno) {
        #if GPUVM_VALIDATE
        core.gate.validator.willTake(
            lockClass, identity, ticket: context, slowly: slowly, gate: core.gate, file, line)
        #endif
        core.gate.point()
        if !core.tryLock(context) {
            try core.lockContended(context, mayDie: !slowly, interruptible: interruptible, why)
        }
        context?.acquired += 1
        core.gate.tookSleepingLock()
        #if GPUVM_VALIDATE
        core.gate.validator.took(lockClass, identity, ticket: context, gate: core.gate, file, line)
        #endif
    }

    /// - Returns: whether it was free, and is taken now.
    @inlinable
    public borrowing func tryLock(
        _ context: AcquireContext?, _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) -> Bool {
        core.gate.point()
        guard core.tryLock(context) else { return false }
        context?.acquired += 1
        core.gate.tookSleepingLock()
        #if GPUVM_VALIDATE
        core.gate.validator.took(lockClass, identity, ticket: context, gate: core.gate, file, line)
        #endif
        return true
    }

    @inlinable
    public borrowing func unlock(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        #if GPUVM_VALIDATE
        core.gate.validator.gave(lockClass, identity, gate: core.gate, file, line)
        #endif
        // As soon as others may have it, it may be gone.
        let gate = Unmanaged.passUnretained(core.gate)
        core.unlock()
        gate._withUnsafeGuaranteedRef { $0.gaveSleepingLock() }
    }

    /// Whether anybody has it.
    @inlinable public var isLocked: Bool { core.isLocked }

    /// With what ticket the caller, who has it, took it.
    package borrowing func ticket() -> AcquireContext? { core.holder }

    /// Whether a ticket of the caller's has it.
    public borrowing func isHeld(by context: AcquireContext) -> Bool { core.isHeld(by: context) }

    /// Says that the caller has it; only the lock validator looks.
    @inlinable
    public borrowing func assertHeld(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        #if GPUVM_VALIDATE
        core.gate.validator.assertHeld(lockClass, identity, gate: core.gate, file, line)
        #endif
    }
}
