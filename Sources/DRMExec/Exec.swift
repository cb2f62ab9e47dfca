public import DRMLock
internal import DRMSync
internal import Glibc
public import KernelErrno

/// Locks several objects in any order without deadlock (`drm_exec`).
///
///     try exec.run { exec throws(KernelErrno) in
///         try exec.prepare(target, fences: 1)
///         try exec.lock(source)
///     }
///     // All are locked here.
///     exec.finish()
///
/// Where somebody older has a lock, all that is held is let go and the body runs again from its start, with the lock
/// that was missed taken first. The body therefore only locks, asks for the same objects each time, and lets
/// `EDEADLK` pass. Its attempt grows older than all that begin after it, so it comes to an end.
///
/// One is made for many runs, and allocates only where more objects are locked than ever before. It belongs to one
/// actor at a time.
///
/// Invariants: the locks of `objects`, each of which it keeps alive or somebody else does, and of `prelocked` are held.
/// `contended` is kept alive and not locked. No two of `objects` share a reservation.
///
/// Source: drm_exec.c; spec/gpuvm.md 6.
public final class Exec: @unchecked Sendable {
    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// A signal ends waits with `EINTR` (`DRM_EXEC_INTERRUPTIBLE_WAIT`).
        public static let interruptibleWait = Flags(rawValue: 1 << 0)
        /// An object whose reservation is held already counts as locked, and is not kept a second time
        /// (`DRM_EXEC_IGNORE_DUPLICATES`).
        public static let ignoreDuplicates = Flags(rawValue: 1 << 1)
    }

    public let gate: Gate
    /// Its age, for ww mutexes that it does not know of (`drm_exec.ticket`). The body takes and lets go of those by
    /// itself, in each pass.
    public let ticket: AcquireContext
    @exclusivity(unchecked) private var flags: Flags = []

    @exclusivity(unchecked) private var base: UnsafeMutablePointer<LockedObject>?
    @exclusivity(unchecked) private var capacity = 0
    @exclusivity(unchecked) private(set) var count = 0

    /// What could not be locked; the next pass takes it first.
    @exclusivity(unchecked) private var contended: GEMObject?
    /// What was contended, until the body asks for it.
    @exclusivity(unchecked) private var prelocked: GEMObject?
    /// ``retry(_:_:)`` was called.
    @exclusivity(unchecked) private var startsAnew = false

    /// Where the list of objects gets its memory; `realloc`, but in tests.
    package var reallocate: (UnsafeMutableRawPointer?, Int) -> UnsafeMutableRawPointer? = { realloc($0, $1) }

    /// - Parameter capacity: how many objects can be locked before it allocates.
    public init(gate: Gate, capacity: Int = 32, _ file: StaticString = #fileID, _ line: UInt32 = #line) {
        self.gate = gate
        ticket = AcquireContext(gate: gate, file, line)
        // What fails here is tried again when it is needed.
        try? grow(to: max(capacity, 1))
    }

    deinit {
        // The lock validator reports locks that were not let go.
        ticket.end()
        finish()
        free(base)
    }

    // MARK: The loop

    /// Runs `body` until it has locked all that it asks for, and returns with the locks held. If it throws, nothing
    /// is held.
    /// - Throws: what `body` throws, but for `EDEADLK` of contention, which runs it again.
    public func run(
        _ flags: Flags = [], _ file: StaticString = #fileID, _ line: UInt32 = #line,
        body: (Exec) throws(KernelErrno) -> Void
    ) throws(KernelErrno) {
        precondition(count == 0, "finish() comes before the next run")
        self.flags = flags
        ticket.begin(file, line)
        repeat {
            startsAnew = false
            unlockAll()
            do throws(KernelErrno) {
                try body(self)
            } catch {
                guard error == .EDEADLK, contended != nil || startsAnew else {
                    finish(file, line)
                    throw error
                }
            }
        } while contended != nil || startsAnew
        dropPrelocked()
        ticket.done(file, line)
    }

    /// Lets go of all locks. Without any it does nothing.
    public func finish(_ file: StaticString = #fileID, _ line: UInt32 = #line) {
        unlockAll()
        contended = nil
        ticket.end(file, line)
    }

    /// Lets go of all locks and runs the body again, as the youngest of all.
    /// - Throws: always; to be passed on by the body.
    public func retry(_ file: StaticString = #fileID, _ line: UInt32 = #line) throws(KernelErrno) -> Never {
        finish(file, line)
        ticket.begin(file, line)
        startsAnew = true
        throw .EDEADLK
    }

    // MARK: In the body

    /// Locks an object. That it is contended must end this pass of the body.
    /// - Throws: `EDEADLK`: contention. `EALREADY`: its reservation is held, unless duplicates are ignored. `EINTR`: a
    ///   signal came. `ENOMEM`: no room in the list; it is unlocked again.
    public func lock(
        _ object: GEMObject, _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) throws(KernelErrno) {
        try lock(object, isKept: true, file, line)
    }

    /// The same, where `isKept` is false for an object that has a keeper while it is not locked, and for as long as it
    /// takes to lock it. While it is locked the keeper may let it go only into ``AcquireContext/keep(_:)`` of who holds
    /// the lock.
    package func lock(
        _ object: GEMObject, isKept: Bool, _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) throws(KernelErrno) {
        if contended != nil { try lockContended(file, line) }
        if prelocked === object {
            prelocked = nil
        } else {
            do throws(KernelErrno) {
                try object.reservation.lock.lock(
                    ticket, interruptible: flags.contains(.interruptibleWait), file, line)
            } catch {
                if error == .EALREADY, flags.contains(.ignoreDuplicates) { return }
                if error == .EDEADLK { contended = object }
                throw error
            }
        }
        if count == capacity {
            do throws(KernelErrno) {
                try grow(to: max(2 * capacity, 32))
            } catch {
                object.reservation.unlock(file, line)
                throw error
            }
        }
        base.unsafelyUnwrapped[count] = LockedObject(object, isKept: isKept)
        count += 1
    }

    /// Locks an object and reserves slots for fences. Not additive: twice one is one. If no slots are to be had it
    /// is unlocked, also where it was locked before.
    /// - Throws: as ``lock(_:_:_:)``; `EINVAL`: 0 fences.
    public func prepare(
        _ object: GEMObject, fences: Int, _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) throws(KernelErrno) {
        try prepare(object, fences: fences, isKept: true, file, line)
    }

    /// The same; see ``lock(_:isKept:_:_:)``.
    package func prepare(
        _ object: GEMObject, fences: Int, isKept: Bool, _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) throws(KernelErrno) {
        try lock(object, isKept: isKept, file, line)
        do throws(KernelErrno) {
            try object.reservation.reserve(fences)
        } catch {
            unlock(object, file, line)
            throw error
        }
    }

    /// Prepares one after the other, up to the first error. Without any it still takes what was contended.
    /// - Throws: as ``prepare(_:fences:_:_:)-(GEMObject,_,_,_)``.
    public func prepare(
        _ objects: [GEMObject], fences: Int, _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) throws(KernelErrno) {
        if contended != nil { try lockContended(file, line) }
        for object in objects { try prepare(object, fences: fences, file, line) }
    }

    /// Unlocks one. Nothing happens if it is not of ``objects``: never locked, or only counted as locked because
    /// another shares its reservation.
    public func unlock(_ object: GEMObject, _ file: StaticString = #fileID, _ line: UInt32 = #line) {
        guard let i = objects.lastIndex(where: { $0 === object }) else { return }
        let base = base.unsafelyUnwrapped, locked = base[i]
        count -= 1
        (base + i).update(from: base + i + 1, count: count - i)
        object.reservation.unlock(file, line)
        locked.release()
    }

    /// What is locked, in the order of locking.
    public var objects: LockedObjects { LockedObjects(exec: self) }

    /// Calls `body`, which locks and unlocks none, for each of ``objects``, in their order.
    public func forEachObject(_ body: (GEMObject) -> Void) {
        for i in 0..<count { base.unsafelyUnwrapped[i].object._withUnsafeGuaranteedRef(body) }
    }

    func object(at index: Int) -> GEMObject {
        precondition(index >= 0 && index < count)
        return base.unsafelyUnwrapped[index].object.takeUnretainedValue()
    }

    // MARK: Contention

    /// Waits for what was contended, and keeps it locked for the body to ask for.
    private func lockContended(_ file: StaticString, _ line: UInt32) throws(KernelErrno) {
        // The body did not pass the contention on: this pass cannot succeed.
        guard count == 0, prelocked == nil, let object = contended else { throw .EDEADLK }
        contended = nil
        try object.reservation.lock.lockSlowly(
            ticket, interruptible: flags.contains(.interruptibleWait), file, line)
        prelocked = object
    }

    private func dropPrelocked() {
        prelocked?.reservation.unlock()
        prelocked = nil
    }

    private func unlockAll() {
        while count > 0 {
            count -= 1
            let locked = base.unsafelyUnwrapped[count]
            locked.object._withUnsafeGuaranteedRef { $0.reservation.unlock() }
            locked.release()
        }
        dropPrelocked()
        ticket.dropKept()
    }

    private func grow(to capacity: Int) throws(KernelErrno) {
        guard let memory = reallocate(base, capacity * MemoryLayout<LockedObject>.stride) else {
            throw .ENOMEM
        }
        base = memory.bindMemory(to: LockedObject.self, capacity: capacity)
        self.capacity = capacity
    }
}

/// An object that is locked, and whether it is kept for it: a word, whose lowest bit says the latter.
private struct LockedObject {
    private let word: UInt

    init(_ object: GEMObject, isKept: Bool) {
        let reference = isKept ? Unmanaged.passRetained(object) : .passUnretained(object)
        word = UInt(bitPattern: reference.toOpaque()) | (isKept ? 1 : 0)
    }

    var object: Unmanaged<GEMObject> {
        .fromOpaque(UnsafeRawPointer(bitPattern: word & ~1).unsafelyUnwrapped)
    }

    /// It may have gone with its lock, unless it is kept.
    func release() {
        if word & 1 != 0 { object.release() }
    }
}
