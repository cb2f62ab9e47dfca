public import DRMLock
public import KernelErrno

/// What a fence of a buffer stands for (`dma_resv_usage`). A question about one usage includes those before it.
public enum ReservationUsage: UInt8, Comparable, CaseIterable, Sendable {
    /// Memory management of the kernel's own: everybody waits for it.
    case kernel
    case write
    case read
    /// Only moves of the memory wait for it.
    case bookkeep

    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    /// What a reader or writer has to wait for (`dma_resv_usage_rw`).
    public static func implicit(isWrite: Bool) -> Self { isWrite ? .read : .write }
}

/// The lock and the fences of one or several buffers (`dma_resv`).
///
/// Who changes the fences holds ``lock``. Whoever does not hold it may look, and sees what is pending.
/// Invariant: no more fences than slots; none is made of others.
///
/// Source: dma-resv.c.
public final class Reservation: @unchecked Sendable {
    public static let lockClass = LockClass("dma_resv")

    /// The fence comes first: it is read there without counting.
    public struct Entry {
        public var fence: Fence
        public var usage: ReservationUsage
    }

    public let gate: Gate
    public let lock: WWMutex
    /// Guards `entries` against who looks without the lock.
    private let list: SpinLock
    @exclusivity(unchecked) private var entries: [Entry] = []
    /// Room for that many is promised.
    @exclusivity(unchecked) private var slots = 0

    public init(gate: Gate) {
        assert(MemoryLayout<Entry>.offset(of: \.fence) == 0)
        self.gate = gate
        lock = WWMutex(Self.lockClass, gate: gate)
        list = SpinLock(gate)
        // Who holds it may allocate, and what allocates may wait for fences: so no signalling needs it.
        gate.declareOrder([Self.lockClass, .allocation, .fenceWait])
    }

    /// Whether anybody has the lock.
    public var isLocked: Bool { lock.isLocked }

    /// Gives the lock back. Slots that were reserved and not used are gone, where the lock validator looks.
    public func unlock(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        #if GPUVM_VALIDATE
        slots = entries.count
        #endif
        lock.unlock(file, line)
    }

    // MARK: With the lock held

    /// Makes sure that so many fences can be added before the lock is given back. Not additive. Fences that have
    /// signalled go when more room has to be made.
    /// - Throws: `EINVAL`: 0.
    public func reserve(_ count: Int) throws(KernelErrno) {
        lock.assertHeld()
        guard count > 0 else { throw .EINVAL }
        guard entries.count + count > slots else { return }
        gate.mightAllocate()
        var kept = entries.filter { !$0.fence.isSignaled }
        slots = slots > 0 ? max(kept.count + count, 2 * slots) : max(kept.count + count, 4)
        kept.reserveCapacity(slots)
        list.lock()
        swap(&kept, &entries)
        list.unlock()
    }

    /// Adds a fence into a reserved slot, or in place of one that has signalled, or of an earlier one of its context
    /// whose usage it includes: so a fence may become more than it was, never less.
    public func add(_ fence: Fence, _ usage: ReservationUsage) {
        lock.assertHeld()
        precondition(!fence.isContainer, "fences are added one by one")
        let i = place(of: fence, usage)
        precondition(i != nil || entries.count < slots, "no slot is reserved for this fence")
        var entry = Entry(fence: fence, usage: usage)
        list.lock()
        // What was there goes outside the lock.
        if let i { swap(&entry, &entries[i]) } else { entries.append(entry) }
        list.unlock()
    }

    /// The first that a fence may take the place of.
    private func place(of new: Fence, _ usage: ReservationUsage) -> Int? {
        entries.withUnsafeBufferPointer { entries in
            entries.indices.first { i in
                // What an entry begins with. To ask the entry for it would count a reference.
                let fence = UnsafeRawPointer(entries.baseAddress.unsafelyUnwrapped + i).load(as: Unmanaged<Fence>.self)
                return fence._withUnsafeGuaranteedRef { old in
                    old.context == new.context && entries[i].usage >= usage && !old.isLater(than: new)
                        || old.isSignaled
                }
            }
        }
    }

    /// Puts a fence in the place of all of a context.
    public func replace(context: UInt64, with fence: Fence, _ usage: ReservationUsage) {
        lock.assertHeld()
        for i in entries.indices where entries[i].fence.context == context {
            var old = Entry(fence: fence, usage: usage)
            list.lock()
            swap(&old, &entries[i])
            list.unlock()
        }
    }

    /// All fences up to a usage, those that have signalled too.
    public func forEach(_ usage: ReservationUsage, _ body: (Entry) -> Void) {
        lock.assertHeld()
        for entry in entries where entry.usage <= usage { body(entry) }
    }

    /// Takes over the pending fences of another in place of its own.
    public func copy(from other: Reservation) {
        lock.assertHeld()
        var copied = other.pendingEntries(.bookkeep)
        slots = max(slots, copied.count)
        list.lock()
        swap(&copied, &entries)
        list.unlock()
    }

    // MARK: With or without the lock

    private func pendingEntries(_ usage: ReservationUsage) -> [Entry] {
        list.lock()
        let all = entries
        list.unlock()
        return all.filter { $0.usage <= usage && !$0.fence.isSignaled }
    }

    /// The pending fences up to a usage.
    public func fences(_ usage: ReservationUsage) -> [Fence] {
        pendingEntries(usage).map(\.fence)
    }

    /// The pending fences up to a usage as one; `nil`: none.
    public func singleton(_ usage: ReservationUsage) -> Fence? {
        let fences = fences(usage)
        return fences.count > 1 ? FenceArray(gate: gate, fences: fences) : fences.first
    }

    /// Whether all fences up to a usage have signalled.
    public func isSignaled(_ usage: ReservationUsage) -> Bool {
        pendingEntries(usage).isEmpty
    }

    /// Parks until all fences up to a usage have signalled.
    /// - Returns: nanoseconds left, at least 1; 0: the time is over.
    /// - Throws: `ERESTARTSYS`: a signal for the caller came first.
    public func wait(
        _ usage: ReservationUsage, timeout: UInt64 = .never, interruptible: Bool = false,
        _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) throws(KernelErrno) -> UInt64 {
        var left = timeout
        for fence in fences(usage) {
            let now = try fence.wait(timeout: left, interruptible: interruptible, file, line)
            guard now > 0 else { return 0 }
            if timeout > 0 { left = now }
        }
        return max(left, 1)
    }

    /// Hints to all pending fences up to a usage by when they would be wanted.
    public func setDeadline(_ usage: ReservationUsage, _ deadline: UInt64) {
        for fence in fences(usage) { fence.setDeadlineIfPending(deadline) }
    }
}
