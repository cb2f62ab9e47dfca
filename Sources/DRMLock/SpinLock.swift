public import Synchronization

/// A lock for a handful of instructions; never held over anything that waits. It is built on an atomic of our own
/// module's code, so that ThreadSanitizer sees each hand-over.
public struct SpinLock: ~Copyable, Sendable {
    /// 0: free, 1: held, 2: there is nothing to lock.
    @usableFromInline let word: Atomic<UInt32>

    @inlinable public init() { word = Atomic(0) }

    /// For what only actors of one gate touch. Where one of them runs at a time, as with the stepped gate, it is always
    /// free, and taking it costs a look; debug builds lock all the same, so that who takes it twice is found.
    @inlinable public init(_ gate: Gate) { word = Atomic(Self.free(.passUnretained(gate))) }

    /// The same for who has the gate at hand without a reference.
    @inlinable public init(_ gate: Unmanaged<Gate>) { word = Atomic(Self.free(gate)) }

    /// The word of a lock that is free.
    @inlinable static func free(_ gate: Unmanaged<Gate>) -> UInt32 {
        #if GPUVM_VALIDATE
        return 0
        #else
        return gate._withUnsafeGuaranteedRef { $0.countsLocks } ? 2 : 0
        #endif
    }

    @inlinable public borrowing func lock() {
        if word.load(ordering: .relaxed) == 2 { return }
        if !word.weakCompareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged { lockSlowly() }
    }

    @inlinable public borrowing func unlock() {
        if word.load(ordering: .relaxed) == 2 { return }
        word.store(0, ordering: .releasing)
    }

    @usableFromInline borrowing func lockSlowly() {
        var spins = 0
        while word.load(ordering: .relaxed) != 0
            || !word.weakCompareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged
        {
            spins += 1
            if spins & 63 == 0 { yieldProcessor() }
        }
    }

    @inlinable public borrowing func withLock<R: ~Copyable>(_ body: () -> R) -> R {
        lock()
        defer { unlock() }
        return body()
    }
}
