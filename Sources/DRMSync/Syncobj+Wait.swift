public import DRMLock
public import KernelErrno

extension Syncobj {
    /// How SYNCOBJ_WAIT and SYNCOBJ_TIMELINE_WAIT wait.
    public struct WaitOptions: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// For all of them, not any.
        public static let all = WaitOptions(rawValue: 1)
        /// Also for fences and points that are not there yet.
        public static let forSubmit = WaitOptions(rawValue: 2)
        /// Only until the points are there, signalled or not.
        public static let available = WaitOptions(rawValue: 4)
    }

    /// Parks until syncobjs have signalled at their points (`drm_syncobj_array_wait_timeout`). A fence that ended with
    /// an error has signalled.
    /// - Parameters:
    ///   - deadline: a moment of the gate's clock; one that has passed: only looks.
    ///   - hint: by when the fences would be wanted.
    /// - Returns: the index of the first that was satisfied at entry, or of the one that ended a wait for any; `nil`
    ///   where all were waited for and none was satisfied at entry.
    /// - Throws: `EINVAL`: a fence or point is not there, and is not to be waited for. `ETIME`: the time is over.
    ///   `ERESTARTSYS`: a signal for the caller came first.
    public static func wait(
        for syncobjs: [Syncobj], points: [UInt64], _ options: WaitOptions, until deadline: UInt64,
        hint: UInt64? = nil, gate: Gate
    ) throws(KernelErrno) -> Int? {
        var wait = try ArrayWait(syncobjs, points, options)
        guard wait.left > 0 else { return wait.first }
        wait.begin(gate, hint: hint)
        defer { wait.end() }
        return try wait.run(gate, until: deadline)
    }
}

/// One wait for several syncobjs.
private struct ArrayWait {
    let syncobjs: [Syncobj]
    let points: [UInt64]
    let options: Syncobj.WaitOptions
    /// Those that are there.
    var fences: [Fence?]
    /// For those that are not.
    var waiters: [SyncobjWaiter?] = []
    var callbacks: [FenceWaiter?] = []
    /// How many more have to be satisfied.
    var left: Int
    var first: Int?

    /// Looks once.
    init(_ syncobjs: [Syncobj], _ points: [UInt64], _ options: Syncobj.WaitOptions) throws(KernelErrno) {
        self.syncobjs = syncobjs
        self.points = points
        self.options = options
        fences = []
        fences.reserveCapacity(syncobjs.count)
        left = options.contains(.all) ? syncobjs.count : min(1, syncobjs.count)
        for (i, syncobj) in syncobjs.enumerated() {
            do throws(KernelErrno) {
                fences.append(try syncobj.find(points[i]))
            } catch {
                guard !options.isDisjoint(with: [.forSubmit, .available]) else { throw error }
                fences.append(nil)
                continue
            }
            guard isSatisfied(i) else { continue }
            first = first ?? i
            left -= 1
        }
    }

    private func isSatisfied(_ i: Int) -> Bool {
        fences[i].map { options.contains(.available) || $0.isSignaled } ?? false
    }

    /// Has us woken when fences come or signal.
    mutating func begin(_ gate: Gate, hint: UInt64?) {
        let actor = gate.current
        waiters = [SyncobjWaiter?](repeating: nil, count: syncobjs.count)
        callbacks = [FenceWaiter?](repeating: nil, count: syncobjs.count)
        for i in syncobjs.indices where fences[i] == nil {
            waiters[i] = SyncobjWaiter(actor, point: points[i])
            fences[i] = syncobjs[i].add(waiters[i]!)
        }
        if let hint {
            for fence in fences { fence?.setDeadlineIfPending(hint) }
        }
    }

    mutating func run(_ gate: Gate, until deadline: UInt64) throws(KernelErrno) -> Int? {
        var isOver = gate.now >= deadline
        while true {
            var satisfied = 0
            for i in syncobjs.indices where check(i, gate.current) {
                guard options.contains(.all) else { return i }
                satisfied += 1
            }
            if satisfied == syncobjs.count { return first }
            guard !isOver else { throw .ETIME }
            switch gate.park(until: deadline, interruptible: true, "syncobjs") {
            case .woken: continue
            case .timedOut: isOver = true
            case .interrupted: throw .ERESTARTSYS
            }
        }
    }

    /// Whether one is satisfied; if not, we are woken when its fence signals.
    private mutating func check(_ i: Int, _ actor: GateActor) -> Bool {
        if fences[i] == nil, let waiter = waiters[i] { fences[i] = syncobjs[i].fence(for: waiter) }
        if isSatisfied(i) { return true }
        guard let fence = fences[i], callbacks[i] == nil else { return false }
        let callback = FenceWaiter(actor)
        do throws(KernelErrno) { try fence.add(callback) } catch { return true }
        callbacks[i] = callback
        return false
    }

    func end() {
        for i in syncobjs.indices {
            if let waiter = waiters[i] { syncobjs[i].remove(waiter) }
            if let callback = callbacks[i] { fences[i]?.remove(callback) }
        }
    }
}
