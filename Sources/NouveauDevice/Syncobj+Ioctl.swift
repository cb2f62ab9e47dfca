internal import KernelErrno
internal import NouveauUAPI

extension DeviceFile {
    func syncobjCreate(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjCreate(a)
        SyncobjCreate.store(handle: syncobjs.insert(Syncobj(fence: call.isSignaled ? .plain : nil)), in: a)
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
            guard let fence = syncobj.find(call.point) else { throw .EINVAL }
            call.store(fd: device.descriptors.insert(.syncFile(fence)), in: a)
        } else {
            guard let syncobj = syncobjs[call.handle] else { throw .EINVAL }
            try device.descriptors.checkRoom()
            call.store(fd: device.descriptors.insert(.syncobj(syncobj)), in: a)
        }
    }

    func syncobjFDToHandle(_ a: Argument) throws(KernelErrno) {
        var call = try SyncobjHandle(a)
        if call.isSyncFile {
            guard case .syncFile(let fence)? = device.descriptors[call.fd] else { throw .EINVAL }
            guard let syncobj = syncobjs[call.handle] else { throw .ENOENT }
            if call.point != 0 { syncobj.add(call.point) } else { syncobj.fence = fence }
        } else {
            guard case .syncobj(let syncobj)? = device.descriptors[call.fd] else { throw .EINVAL }
            call.store(handle: syncobjs.insert(syncobj), in: a)
        }
    }

    func syncobjTransfer(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjTransfer(a)
        guard let destination = syncobjs[call.destination], let source = syncobjs[call.source] else { throw .ENOENT }
        guard !call.hasUnknownFlags else { throw .EINVAL }
        guard let fence = source.find(call.sourcePoint) else { throw call.waitsForSubmit ? .ETIME : .EINVAL }
        if call.destinationPoint == 0 {
            destination.fence = fence
        } else {
            destination.add(call.destinationPoint)
        }
    }

    func syncobjReset(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjArray(binary: a)
        for syncobj in try lookUp(call.handles(userMemory)) { syncobj.fence = nil }
    }

    func syncobjSignal(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjArray(binary: a)
        for syncobj in try lookUp(call.handles(userMemory)) { syncobj.fence = .plain }
    }

    func syncobjTimelineSignal(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjArray(timelineSignal: a)
        let found = try lookUp(call.handles(userMemory))
        let points = try call.points(userMemory)
        for (syncobj, point) in zip(found, points) { syncobj.add(point) }
    }

    /// Points go out one by one; a copy that fails leaves the earlier ones written.
    func syncobjQuery(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjArray(query: a)
        for (i, syncobj) in try lookUp(call.handles(userMemory)).enumerated() {
            try call.write(point: syncobj.point, index: i, userMemory)
        }
    }

    /// Descriptors of the client's own process are not known here, so no number is that of an eventfd.
    func syncobjEventfd(_ a: Argument) throws(KernelErrno) {
        let call = try SyncobjEventfd(a)
        guard syncobjs[call.handle] != nil else { throw .ENOENT }
        throw device.descriptors[call.fd] == nil ? .EBADF : .EINVAL
    }

    /// WAIT and TIMELINE_WAIT. Never sleeps: every fence there is has signalled, so a wait that is not satisfied on
    /// entry could only be by another thread's call, and answers `ETIME` at once whatever its timeout.
    func syncobjWait(_ call: SyncobjWait, _ a: Argument) throws(KernelErrno) {
        guard call.count > 0 else { return }
        let found = try lookUp(call.handles(userMemory))
        let points = try call.points(userMemory)
        device.runUntilIdle()
        var satisfied = 0
        var first: UInt32 = ~0
        for (i, syncobj) in found.enumerated() {
            if syncobj.find(points[i]) != nil {
                if satisfied == 0 { first = UInt32(i) }
                satisfied += 1
            } else if !call.waitsForSubmit && !call.waitsAvailable {
                throw .EINVAL
            }
        }
        guard satisfied == found.count || (satisfied > 0 && !call.waitsForAll) else { throw .ETIME }
        call.store(firstSignaled: first, in: a)
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

extension DeviceFile {
    /// What a job signals when it is done.
    struct Signals {
        fileprivate var targets: [(syncobj: Syncobj, point: UInt64?)] = []

        /// The job's fence, signalled already, goes into each: a point of a timeline, or in place of what was there.
        func signal() {
            for target in targets {
                if let point = target.point { target.syncobj.add(point) } else { target.syncobj.fence = .plain }
            }
        }
    }

    /// Looks up what a job waits for and what it signals, in this order.
    /// - Throws: for waits `EOPNOTSUPP`: no such type; `EINVAL`: no fence there. For signals `EINVAL`: no such type.
    ///   For both `ENOENT`.
    func resolve(waits: [Sync], signals: [Sync]) throws(KernelErrno) -> Signals {
        for wait in waits {
            guard let isTimeline = wait.isTimeline else { throw .EOPNOTSUPP }
            guard let syncobj = syncobjs[wait.handle] else { throw .ENOENT }
            guard syncobj.find(isTimeline ? wait.point : 0) != nil else { throw .EINVAL }
        }
        var resolved = Signals()
        for signal in signals {
            guard let isTimeline = signal.isTimeline else { throw .EINVAL }
            guard let syncobj = syncobjs[signal.handle] else { throw .ENOENT }
            resolved.targets.append((syncobj, isTimeline ? signal.point : nil))
        }
        return resolved
    }
}
