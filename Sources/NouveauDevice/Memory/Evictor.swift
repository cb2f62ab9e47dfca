internal import DRMExec
internal import DRMLock
internal import DRMSync
internal import GPUVM
internal import KernelErrno

/// Moves buffers: away, where another has no room, and back.
///
/// What is in the way and was used longest ago goes first: from VRAM to GART, or to system memory where that is full;
/// from GART to system memory. A buffer that then lies where its domain does not allow it is *away*: its mappings have no
/// entries, until an EXEC or a VM_BIND that needs it has it brought back (deviations EVICT-MAPPED, EVICT-REMAP); its
/// pairs are marked as evicted.
///
/// Locks: its mutex, outside those of spaces and reservations: one at a time makes room. A buffer is moved with its
/// reservation held, after all its fences, and with the mutexes of the spaces it is mapped in. What is in the way may be
/// in use anywhere, so its locks are only tried; if all fails for one that is taken, the caller lets go of everything,
/// waits for that one, and begins anew (deviation EVICT-LOCKED).
///
/// Source: uapi.md 6.2 step 9, 7 step 12, 8.1 step 8.
final class Evictor: @unchecked Sendable {
    let memory: DeviceMemory
    private let mutex: SleepingMutex
    /// The first lock that could not be had, since somebody last began to make room. Guarded by the mutex.
    private var missed: Missed?

    private enum Missed {
        case reservation(Reservation)
        case space(UVMM)
    }

    static let lockClass = LockClass("evictor.mutex")

    init(_ memory: DeviceMemory, gate: Gate) {
        self.memory = memory
        mutex = SleepingMutex(Self.lockClass, gate: gate)
    }

    /// Runs `body`, which moves buffers, again and again until no lock is missed. It begins and ends with no lock of a
    /// space or a reservation, and lets ``makeResident(_:for:)``'s errors pass.
    func run(_ body: () throws(KernelErrno) -> Void) throws(KernelErrno) {
        mutex.lock()
        defer {
            missed = nil
            mutex.unlock()
        }
        while true {
            do throws(KernelErrno) { return try body() } catch {
                guard error == .EDEADLK, let missed else { throw error }
                wait(for: missed)
            }
        }
    }

    private func wait(for missed: Missed) {
        switch missed {
        case .reservation(let reservation):
            // Without a ticket, and not interruptible, nothing can go wrong.
            try! reservation.lock.lock(nil)
            reservation.unlock()
        case .space(let space):
            space.mutex.lock()
            space.mutex.unlock()
        }
    }
}

/// For whom something is moved: what he holds.
struct EvictionContext {
    /// Has locked the buffers that are to be brought back; none of what it has locked goes away.
    let exec: Exec
    /// Its mutex is held.
    var space: UVMM?
}

// MARK: - Room

extension Evictor {
    /// Room for a new buffer. The caller holds no lock of a space or a reservation.
    /// - Returns: `nil`: there is none, whoever goes.
    func makeRoom(for needs: PlacementNeeds) -> Placement? {
        var place: Placement?
        try? run { () throws(KernelErrno) in place = try makeRoom(for: needs, nil) }
        return place
    }

    /// - Throws: `ENOMEM`; `EDEADLK`: others' locks are in the way; `ERESTARTSYS`: a signal came while a fence was waited
    ///   for, for a caller with a context.
    private func makeRoom(for needs: PlacementNeeds, _ context: EvictionContext?) throws(KernelErrno) -> Placement {
        missed = nil
        if let place = memory.place(needs) { return place }
        for victim in memory.evictionCandidates(for: needs) {
            if let context, victim.reservation.lock.isHeld(by: context.exec.ticket) { continue }
            guard victim.reservation.lock.tryLock(nil) else {
                missed = missed ?? .reservation(victim.reservation)
                continue
            }
            defer { victim.reservation.unlock() }
            if try evict(victim, context), let place = memory.place(needs) { return place }
        }
        throw missed == nil ? .ENOMEM : .EDEADLK
    }

    private func evict(_ victim: BufferObject, _ context: EvictionContext?) throws(KernelErrno) -> Bool {
        _ = try victim.reservation.wait(.bookkeep, interruptible: context != nil)
        let needs = victim.memory.needs
        let inGART = victim.location == .vram ? memory.place(needs, in: .gart) : nil
        guard move(victim, to: inGART ?? memory.place(needs, in: .system)!, context) else { return false }
        victim.evict(true)
        return true
    }
}

// MARK: - Moves

extension Evictor {
    /// Has a buffer lie where its domain allows it. Its reservation is locked by the context's exec.
    /// - Throws: `ENOMEM`; `ERESTARTSYS`: a signal came while a fence was waited for; `EDEADLK`: see ``run(_:)``.
    func makeResident(_ object: BufferObject, for context: EvictionContext) throws(KernelErrno) {
        if !object.isResident {
            _ = try object.reservation.wait(.bookkeep, interruptible: true)
            let place = try makeRoom(for: object.memory.needs, context)
            guard move(object, to: place, context) else { throw .EDEADLK }
        }
        object.evict(false)
    }

    /// - Returns: false: a space is busy; the place is given back.
    private func move(_ object: BufferObject, to place: Placement, _ context: EvictionContext?) -> Bool {
        guard let spaces = lockSpaces(of: object, besides: context?.space) else {
            memory.release(place)
            return false
        }
        if object.isResident { object.forEachVMBO { $0.uvmm.clearMappings(of: $0) } }
        object.memory.move(to: place)
        if object.isResident { object.forEachVMBO { $0.uvmm.writeMappings(of: $0) } }
        for space in spaces { space.mutex.unlock() }
        return true
    }

    /// All that the object is mapped in, or `nil` and none.
    private func lockSpaces(of object: BufferObject, besides held: UVMM?) -> [UVMM]? {
        var spaces: [UVMM] = []
        var busy: UVMM?
        object.forEachVMBO {
            let space = $0.uvmm
            guard busy == nil, space !== held else { return }
            if space.mutex.tryLock() { spaces.append(space) } else { busy = space }
        }
        guard let busy else { return spaces }
        for space in spaces { space.mutex.unlock() }
        missed = missed ?? .space(busy)
        return nil
    }
}
