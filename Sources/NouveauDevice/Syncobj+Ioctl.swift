internal import DRMSync
internal import KernelErrno
internal import NouveauUAPI

extension DeviceFile {
    func syncobjCreate(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjCreate(a)
        SyncobjCreate.store(handle: syncobjs.insert(Syncobj(gate: device.gate, isSignaled: call.isSignaled)), in: a)
    }

    func syncobjDestroy(_ a: Argument) throws(KernelErrno) {
        let handle = try syncobjDestroyHandle(a)
        guard syncobjs.remove(handle) != nil else { throw .EINVAL }
    }

    func syncobjHandleToFD(_ a: Argument) throws(KernelErrno) {
        var call = try SyncobjHandle(a)
        if call.isSyncFile {
            try device.descriptors.checkRoom()
            guard let syncobj = syncobjs[call.handle] else { throw .ENOENT }
            let fence = try syncobj.find(call.point)
            call.store(fd: try device.descriptors.insert(.syncFile(SyncFile(fence: fence))), in: a)
        } else {
            guard let syncobj = syncobjs[call.handle] else { throw .EINVAL }
            try device.descriptors.checkRoom()
            call.store(fd: try device.descriptors.insert(.syncobj(syncobj)), in: a)
        }
    }

    func syncobjFDToHandle(_ a: Argument) throws(KernelErrno) {
        var call = try SyncobjHandle(a)
        if call.isSyncFile {
            guard case .syncFile(let file)? = device.descriptors[call.fd] else { throw .EINVAL }
            guard let syncobj = syncobjs[call.handle] else { throw .ENOENT }
            if call.point != 0 {
                // What was exported of a timeline is a link of it, and must not be one of another.
                let isLink = file.fence is FenceChain
                syncobj.add(call.point, isLink ? Fence.merge([file.fence], gate: device.gate) : file.fence)
            } else {
                syncobj.replace(with: file.fence)
            }
        } else {
            guard case .syncobj(let syncobj)? = device.descriptors[call.fd] else { throw .EINVAL }
            call.store(handle: syncobjs.insert(syncobj), in: a)
        }
    }

    func syncobjTransfer(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjTransfer(a)
        guard let destination = syncobjs[call.destination], let source = syncobjs[call.source] else { throw .ENOENT }
        guard !call.hasUnknownFlags else { throw .EINVAL }
        let gate = device.gate
        try destination.transfer(
            from: source, call.sourcePoint, to: call.destinationPoint,
            waitingUntil: call.waitsForSubmit ? gate.now + 5_000_000_000 : nil)
    }

    func syncobjReset(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjArray(binary: a)
        for syncobj in try lookUp(call.handles(userMemory)) { syncobj.replace(with: nil) }
    }

    func syncobjSignal(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjArray(binary: a)
        for syncobj in try lookUp(call.handles(userMemory)) { syncobj.signal() }
    }

    func syncobjTimelineSignal(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjArray(timelineSignal: a)
        let found = try lookUp(call.handles(userMemory))
        let points = try call.points(userMemory)
        for (syncobj, point) in zip(found, points) { syncobj.signal(point) }
    }

    /// Points go out one by one; a copy that fails leaves the earlier ones written.
    func syncobjQuery(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjArray(query: a)
        for (i, syncobj) in try lookUp(call.handles(userMemory)).enumerated() {
            try call.write(point: syncobj.query(lastSubmitted: call.lastSubmitted), index: i, userMemory)
        }
    }

    func syncobjEventfd(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjEventfd(a)
        guard let syncobj = syncobjs[call.handle] else { throw .ENOENT }
        guard let descriptor = device.descriptors[call.fd] else { throw .EBADF }
        guard case .eventfd(let event) = descriptor else { throw .EINVAL }
        syncobj.whenReady(call.point, isAvailable: call.waitsAvailable) { event.add(1) }
    }

    /// WAIT and TIMELINE_WAIT. Timeouts are moments of the gate's clock; 0 only looks. Any other first lets the
    /// device do what it has to do, if it is a stepped one.
    func syncobjWait(_ call: SyncobjWait, _ a: Argument) throws(KernelErrno) {
        guard call.count > 0 else { return }
        let found = try lookUp(call.handles(userMemory))
        let points = try call.points(userMemory)
        if call.timeout != 0 { device.runUntilIdle() }
        var options: Syncobj.WaitOptions = []
        if call.waitsForAll { options.insert(.all) }
        if call.waitsForSubmit { options.insert(.forSubmit) }
        if call.waitsAvailable { options.insert(.available) }
        let first = try Syncobj.wait(
            for: found, points: points, options, until: UInt64(max(call.timeout, 0)), hint: call.deadlineHint,
            gate: device.gate)
        call.store(firstSignaled: first.map(UInt32.init) ?? .max, in: a)
    }

    /// - Throws: `ENOENT`: a handle there is not.
    private func lookUp(_ handles: [UInt32]) throws(KernelErrno) -> [Syncobj] {
        var found: [Syncobj] = []
        found.reserveCapacity(handles.count)
        for handle in handles {
            guard let syncobj = syncobjs[handle] else { throw .ENOENT }
            found.append(syncobj)
        }
        return found
    }
}

// MARK: - Waits and signals of VM_BIND and EXEC

/// What a job's fence goes into.
struct Signals {
    fileprivate var targets: [(syncobj: Syncobj, point: UInt64?)] = []

    /// As a point of a timeline, or in place of what was there.
    func attach(_ fence: Fence) {
        for target in targets {
            if let point = target.point { target.syncobj.add(point, fence) } else { target.syncobj.replace(with: fence) }
        }
    }
}

extension DeviceFile {
    /// Looks up what a job waits for and what it signals, in this order, and submits it.
    /// - Throws: for waits `EOPNOTSUPP`: no such type; `EINVAL`: no fence there. For signals `EINVAL`: no such type.
    ///   For both `ENOENT`. And what submitting throws.
    func submit(
        _ job: Job, to jobs: JobQueue, isSync: Bool = false, waits: [Sync], signals: [Sync]
    ) throws(KernelErrno) {
        for wait in waits { job.addDependency(try fence(of: wait)) }
        var resolved = Signals()
        if !signals.isEmpty { resolved.targets.reserveCapacity(signals.count) }
        for signal in signals { resolved.targets.append(try target(of: signal)) }
        try jobs.submit(job, isSync: isSync, signals: resolved)
    }

    private func fence(of wait: Sync) throws(KernelErrno) -> Fence {
        guard let isTimeline = wait.isTimeline else { throw .EOPNOTSUPP }
        guard let syncobj = syncobjs[wait.handle] else { throw .ENOENT }
        return try syncobj.find(isTimeline ? wait.point : 0)
    }

    private func target(of signal: Sync) throws(KernelErrno) -> (Syncobj, UInt64?) {
        guard let isTimeline = signal.isTimeline else { throw .EINVAL }
        guard let syncobj = syncobjs[signal.handle] else { throw .ENOENT }
        return (syncobj, isTimeline ? signal.point : nil)
    }
}
