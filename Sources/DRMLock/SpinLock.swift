public import Synchronization

/// A lock for a handful of instructions; never held over anything that waits. With the stepped gate it is always
/// free. It is built on an atomic of our own module's code, so that ThreadSanitizer sees each hand-over.
public struct SpinLock: ~Copyable, Sendable {
    @usableFromInline let word = Atomic<UInt32>(0)

    @inlinable public init() {}

    @inlinable public borrowing func lock() {
        if !word.weakCompareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged { lockSlowly() }
    }

    @inlinable public borrowing func unlock() {
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
