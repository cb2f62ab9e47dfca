public import DRMLock
public import KernelErrno

/// Ends an actor's park when the fence signals.
final class FenceWaiter: FenceCallback, @unchecked Sendable {
    private let actor: GateActor

    init(_ actor: GateActor) { self.actor = actor }

    override func signaled(_ fence: Fence) { actor.unpark() }

    /// The calling actor's own, which keeps it: it waits for one fence at a time. A wake-up may still come from the one
    /// before.
    static func ofCaller(_ gate: Gate) -> Unmanaged<FenceWaiter> {
        gate.caller._withUnsafeGuaranteedRef { actor in
            if let waiter = actor.waiter { return .passUnretained(unsafeDowncast(waiter, to: FenceWaiter.self)) }
            let waiter = FenceWaiter(actor)
            actor.waiter = waiter
            return .passUnretained(waiter)
        }
    }
}

extension Fence {
    /// Parks until it has signalled (`dma_fence_wait_timeout`).
    /// - Parameter timeout: nanoseconds from now; `.never`: however long; 0: only looks.
    /// - Returns: nanoseconds left, at least 1, if it has signalled; 0 if the time is over.
    /// - Throws: `ERESTARTSYS`: a signal for the caller came first.
    public final func wait(
        timeout: UInt64 = .never, interruptible: Bool = false,
        _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) throws(KernelErrno) -> UInt64 {
        gateReference._withUnsafeGuaranteedRef { $0.mightWait(file, line) }
        if isSignaled { return max(timeout, 1) }
        guard timeout > 0 else {
            enableSoftwareSignaling()
            return isFlaggedSignaled ? 1 : 0
        }
        let deadline = gateReference._withUnsafeGuaranteedRef { $0.deadline(after: timeout) }
        switch park(until: deadline, interruptible: interruptible) {
        case .woken: return gateReference._withUnsafeGuaranteedRef { $0.left(until: deadline) }
        case .timedOut: return isSignaled ? 1 : 0
        case .interrupted: throw .ERESTARTSYS
        case nil: return timeout
        }
    }

    /// - Returns: `.woken`: it has signalled; `nil`: it had, before it came to parking.
    private final func park(until deadline: UInt64, interruptible: Bool) -> Wake? {
        // The fence keeps the gate, the caller's actor what it waits with.
        gateReference._withUnsafeGuaranteedRef { gate in
            FenceWaiter.ofCaller(gate)._withUnsafeGuaranteedRef { waiter in
                do throws(KernelErrno) { try add(waiter, atHead: true) } catch { return nil }
                defer { remove(waiter) }
                while !isFlaggedSignaled {
                    let wake = gate.park(until: deadline, interruptible: interruptible, "a fence")
                    if wake != .woken { return wake }
                }
                return .woken
            }
        }
    }

    /// Parks until one of several has signalled (`dma_fence_wait_any_timeout`).
    /// - Parameter timeout: as for ``wait(timeout:interruptible:_:_:)``.
    /// - Returns: the index of one that has; `nil`: the time is over.
    /// - Throws: `EINVAL`: there are none. `ERESTARTSYS`: a signal for the caller came first.
    public static func waitAny(
        _ fences: [Fence], timeout: UInt64 = .never, interruptible: Bool = false,
        _ file: StaticString = #fileID, _ line: UInt32 = #line
    ) throws(KernelErrno) -> Int? {
        guard let gate = fences.first?.gate else { throw .EINVAL }
        gate.mightWait(file, line)
        guard timeout > 0 else { return fences.firstIndex { $0.isSignaled } }
        let deadline = gate.deadline(after: timeout)
        var waiters: [FenceWaiter] = []
        defer { for (fence, waiter) in zip(fences, waiters) { fence.remove(waiter) } }
        for (i, fence) in fences.enumerated() {
            let waiter = FenceWaiter(gate.current)
            do throws(KernelErrno) { try fence.add(waiter, atHead: true) } catch { return i }
            waiters.append(waiter)
        }
        while true {
            if let i = fences.firstIndex(where: \.isFlaggedSignaled) { return i }
            switch gate.park(until: deadline, interruptible: interruptible, "one of several fences") {
            case .woken: continue
            case .timedOut: return fences.firstIndex { $0.isSignaled }
            case .interrupted: throw .ERESTARTSYS
            }
        }
    }
}

extension Gate {
    /// The moment that lies so many nanoseconds ahead.
    package final func deadline(after timeout: UInt64) -> UInt64 {
        let (deadline, overflow) = now.addingReportingOverflow(timeout)
        return overflow ? .never : deadline
    }

    /// Nanoseconds left until a moment, at least 1; `.never` until the one that never comes.
    package final func left(until deadline: UInt64) -> UInt64 {
        guard deadline != .never else { return .never }
        let now = now
        return deadline > now ? deadline - now : 1
    }
}
