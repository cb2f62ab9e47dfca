public import DRMLock
public import KernelErrno

/// A synchronisation object of user space (`drm_syncobj`): one fence or none.
///
/// Nothing marks it as binary or timeline but what it holds: a ``FenceChain`` is the newest point of a timeline,
/// anything else a binary payload. To replace the fence by another kind changes the kind; a timeline's history is
/// gone then.
///
/// Locking: `spin` guards the fence and who waits for one to come; fences' locks come after it, callbacks and
/// wake-ups of others never run under it, but for an actor's unpark.
///
/// Source: drm_syncobj.c.
public final class Syncobj: @unchecked Sendable {
    public let gate: Gate
    private let spin: SpinLock
    private var current: Fence?
    /// They wait for a fence or a point that is not there yet.
    private var waiters: [SyncobjWaiter] = []
    private var events: [SyncobjEvent] = []

    /// - Parameter isSignaled: it begins with a fence that has signalled.
    public init(gate: Gate, isSignaled: Bool = false) {
        self.gate = gate
        spin = SpinLock(gate)
        current = isSignaled ? Fence.stub(gate: gate) : nil
    }

    /// What it holds.
    public var fence: Fence? {
        spin.lock()
        defer { spin.unlock() }
        return current
    }

    // MARK: Finding

    /// The fence for a point; point 0: what there is, whatever it is. A point of which nothing is left to wait for is
    /// a stub (`drm_syncobj_find_fence`).
    /// - Throws: `EINVAL`: no fence, or no such point yet.
    public func find(_ point: UInt64 = 0) throws(KernelErrno) -> Fence {
        guard let fence else { throw .EINVAL }
        return try FenceChain.find(fence, point: point) ?? Fence.stub(gate: gate)
    }

    /// As ``find(_:)``, but parks until the point is there.
    /// - Parameter deadline: a moment of the gate's clock.
    /// - Throws: `ETIME`: it did not come in time; `ERESTARTSYS`: a signal for the caller came first.
    public func find(_ point: UInt64, submittedBefore deadline: UInt64) throws(KernelErrno) -> Fence {
        let waiter = SyncobjWaiter(gate.current, point: point)
        defer { remove(waiter) }
        if let fence = add(waiter) { return fence }
        var isOver = gate.now >= deadline
        while true {
            if let fence = fence(for: waiter) { return fence }
            guard !isOver else { throw .ETIME }
            switch gate.park(until: deadline, interruptible: true, "a point of a syncobj") {
            case .woken: continue
            case .timedOut: isOver = true
            case .interrupted: throw .ERESTARTSYS
            }
        }
    }

    /// The point that QUERY tells: 0 without a timeline; else the newest point, or the newest up to which all has
    /// signalled.
    public func query(lastSubmitted: Bool = false) -> UInt64 {
        guard let newest = fence as? FenceChain else { return 0 }
        guard !lastSubmitted else { return newest.seqno }
        var oldest = newest
        while let older = oldest.pendingPrevious as? FenceChain, older.context == newest.context { oldest = older }
        return oldest.isSignaled ? oldest.seqno : oldest.previousSeqno
    }

    // MARK: Changing

    /// Puts a fence in place of what there is; `nil`: resets it (`drm_syncobj_replace_fence`).
    public func replace(with fence: Fence?) {
        spin.lock()
        let old = current
        current = fence
        let due = old === fence ? [] : reexamine()
        spin.unlock()
        for event in due { event.arm() }
    }

    /// Puts a fence on top as a point (`drm_syncobj_add_point`). A point that is not above the newest one is let in,
    /// and counts as the newest: see ``FenceChain``.
    public func add(_ point: UInt64, _ fence: Fence) {
        spin.lock()
        let old = current
        let link = FenceChain(previous: old, fence: fence, point: point)
        current = link
        let due = reexamine()
        spin.unlock()
        for event in due { event.arm() }
        // Takes out what has signalled.
        var next: FenceChain? = link
        while let link = next { next = link.pendingPrevious as? FenceChain }
    }

    /// A fence that has signalled now, in place of what there is (SYNCOBJ_SIGNAL), or as a point (TIMELINE_SIGNAL).
    public func signal() { replace(with: Fence.stub(gate: gate)) }
    public func signal(_ point: UInt64) { add(point, Fence.stub(gate: gate)) }

    /// SYNCOBJ_TRANSFER: takes over another's fence for a point, as its own payload (`to` is 0) or as a point.
    /// - Parameter deadline: `nil`: the fence must be there; else until when to wait for it.
    /// - Throws: as ``find(_:)`` or ``find(_:submittedBefore:)``.
    public func transfer(
        from source: Syncobj, _ point: UInt64, to destination: UInt64, waitingUntil deadline: UInt64?
    ) throws(KernelErrno) {
        let fence: Fence
        if let deadline {
            fence = try source.find(point, submittedBefore: deadline)
        } else {
            fence = try source.find(point)
        }
        if destination == 0 {
            replace(with: fence)
        } else {
            add(destination, Fence.merge([fence], gate: gate))
        }
    }

    // MARK: Events

    /// Has `sink` called once, when a point has signalled, or is only there (`isAvailable`); at once if so already.
    /// Nothing comes if the syncobj goes before the point is there.
    public func whenReady(_ point: UInt64, isAvailable: Bool, _ sink: @escaping @Sendable () -> Void) {
        let event = SyncobjEvent(point: point, isAvailable: isAvailable, sink: sink)
        spin.lock()
        events.append(event)
        let due = reexamine()
        spin.unlock()
        for event in due { event.arm() }
    }

    // MARK: Who waits

    /// - Returns: the fence, if it is there; else the waiter is told when it comes.
    func add(_ waiter: SyncobjWaiter) -> Fence? {
        spin.lock()
        defer { spin.unlock() }
        waiter.fence = available(waiter.point)
        if waiter.fence == nil { waiters.append(waiter) }
        return waiter.fence
    }

    func remove(_ waiter: SyncobjWaiter) {
        spin.lock()
        waiters.removeAll { $0 === waiter }
        spin.unlock()
    }

    func fence(for waiter: SyncobjWaiter) -> Fence? {
        spin.lock()
        defer { spin.unlock() }
        return waiter.fence
    }

    /// With the lock: the fence for a point, if it is there.
    private func available(_ point: UInt64) -> Fence? {
        guard let current else { return nil }
        do throws(KernelErrno) {
            return try FenceChain.find(current, point: point, asking: false) ?? Fence.stub(gate: gate)
        } catch {
            return nil
        }
    }

    /// With the lock: tells the waiters whose fence is there now.
    /// - Returns: the events whose fence is.
    private func reexamine() -> [SyncobjEvent] {
        waiters.removeAll { waiter in
            waiter.fence = available(waiter.point)
            if waiter.fence != nil { waiter.actor.unpark() }
            return waiter.fence != nil
        }
        guard !events.isEmpty else { return [] }
        var due: [SyncobjEvent] = []
        events.removeAll { event in
            event.fence = available(event.point)
            if event.fence != nil { due.append(event) }
            return event.fence != nil
        }
        return due
    }
}

/// Somebody who waits for a point to be there. Belongs to the syncobj's lock.
final class SyncobjWaiter: @unchecked Sendable {
    let actor: GateActor
    let point: UInt64
    var fence: Fence?

    init(_ actor: GateActor, point: UInt64) {
        self.actor = actor
        self.point = point
    }
}

/// An event that is due when a point has signalled, or is there.
final class SyncobjEvent: FenceCallback, @unchecked Sendable {
    let point: UInt64
    let isAvailable: Bool
    let sink: @Sendable () -> Void
    /// Belongs to the syncobj's lock, then to who arms it.
    var fence: Fence?

    init(point: UInt64, isAvailable: Bool, sink: @escaping @Sendable () -> Void) {
        self.point = point
        self.isAvailable = isAvailable
        self.sink = sink
    }

    /// The fence is there.
    func arm() {
        let fence = fence!
        self.fence = nil
        guard !isAvailable else { return sink() }
        do throws(KernelErrno) { try fence.add(self) } catch { sink() }
    }

    override func signaled(_ fence: Fence) { sink() }
}
