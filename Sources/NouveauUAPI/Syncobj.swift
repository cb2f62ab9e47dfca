internal import CNouveauUAPI
package import KernelErrno

/// SYNCOBJ_CREATE.
package struct SyncobjCreate {
    package let isSignaled: Bool

    /// - Throws: `EINVAL`: unknown flags.
    package init(_ a: Argument) throws(KernelErrno) {
        let c = a.load(nvu_syncobj_create.self)
        guard c.flags & ~NVU_SYNCOBJ_CREATE_SIGNALED == 0 else { throw .EINVAL }
        isSignaled = c.flags != 0
    }

    package static func store(handle: UInt32, in a: Argument) {
        a.store(handle)
    }
}

/// SYNCOBJ_DESTROY's handle. - Throws: `EINVAL`: padding set.
package func syncobjDestroyHandle(_ a: Argument) throws(KernelErrno) -> UInt32 {
    let c = a.load(nvu_syncobj_destroy.self)
    guard c.pad == 0 else { throw .EINVAL }
    return c.handle
}

/// SYNCOBJ_HANDLE_TO_FD and SYNCOBJ_FD_TO_HANDLE.
package struct SyncobjHandle {
    private var c: nvu_syncobj_handle

    /// - Throws: `EINVAL`: padding, unknown flags, or a point of a whole syncobj.
    package init(_ a: Argument) throws(KernelErrno) {
        c = a.load()
        guard c.pad == 0, c.flags & ~(NVU_SYNCOBJ_FD_SYNC_FILE | NVU_SYNCOBJ_FD_TIMELINE) == 0 else { throw .EINVAL }
        guard isSyncFile || c.point == 0 else { throw .EINVAL }
    }

    /// A fence changes hands, not the syncobj.
    package var isSyncFile: Bool { c.flags & NVU_SYNCOBJ_FD_SYNC_FILE != 0 }
    /// 0 where the call does not speak of a timeline.
    package var point: UInt64 { c.flags & NVU_SYNCOBJ_FD_TIMELINE != 0 ? c.point : 0 }
    package var handle: UInt32 { c.handle }
    package var fd: Int32 { c.fd }

    package mutating func store(fd: Int32, in a: Argument) {
        c.fd = fd
        a.store(c)
    }

    package mutating func store(handle: UInt32, in a: Argument) {
        c.handle = handle
        a.store(c)
    }
}

/// SYNCOBJ_TRANSFER.
package struct SyncobjTransfer {
    package let source, destination: UInt32
    package let sourcePoint, destinationPoint: UInt64
    package let waitsForSubmit: Bool
    /// Checked after the handles.
    package let hasUnknownFlags: Bool

    /// - Throws: `EINVAL`: padding set.
    package init(_ a: Argument) throws(KernelErrno) {
        let c = a.load(nvu_syncobj_transfer.self)
        guard c.pad == 0 else { throw .EINVAL }
        source = c.src_handle
        destination = c.dst_handle
        sourcePoint = c.src_point
        destinationPoint = c.dst_point
        waitsForSubmit = c.flags & NVU_SYNCOBJ_WAIT_FOR_SUBMIT != 0
        hasUnknownFlags = c.flags & ~NVU_SYNCOBJ_WAIT_FOR_SUBMIT != 0
    }
}

/// SYNCOBJ_WAIT and SYNCOBJ_TIMELINE_WAIT.
package struct SyncobjWait {
    package let count: UInt32
    /// Absolute, CLOCK_MONOTONIC, in nanoseconds.
    package let timeout: Int64
    package let waitsForAll, waitsForSubmit, waitsAvailable: Bool
    /// By when the fences would be wanted; `nil`: not said.
    package let deadlineHint: UInt64?
    private let handlesAt, pointsAt: UInt64
    private let firstSignaledAt: Int

    /// - Throws: `EINVAL`: unknown flags.
    package init(binary a: Argument) throws(KernelErrno) {
        let c = a.load(nvu_syncobj_wait.self)
        try self.init(
            flags: c.flags, allowed: NVU_SYNCOBJ_WAIT_ALL | NVU_SYNCOBJ_WAIT_FOR_SUBMIT | NVU_SYNCOBJ_WAIT_DEADLINE,
            count: c.count_handles, timeout: c.timeout_nsec, deadline: c.deadline_nsec, handlesAt: c.handles,
            pointsAt: 0, firstSignaledAt: 24)
    }

    /// - Throws: `EINVAL`: unknown flags.
    package init(timeline a: Argument) throws(KernelErrno) {
        let c = a.load(nvu_syncobj_timeline_wait.self)
        try self.init(
            flags: c.flags,
            allowed: NVU_SYNCOBJ_WAIT_ALL | NVU_SYNCOBJ_WAIT_FOR_SUBMIT | NVU_SYNCOBJ_WAIT_AVAILABLE
                | NVU_SYNCOBJ_WAIT_DEADLINE,
            count: c.count_handles, timeout: c.timeout_nsec, deadline: c.deadline_nsec, handlesAt: c.handles,
            pointsAt: c.points, firstSignaledAt: 32)
    }

    private init(
        flags: UInt32, allowed: UInt32, count: UInt32, timeout: Int64, deadline: UInt64, handlesAt: UInt64,
        pointsAt: UInt64, firstSignaledAt: Int
    ) throws(KernelErrno) {
        guard flags & ~allowed == 0 else { throw .EINVAL }
        waitsForAll = flags & NVU_SYNCOBJ_WAIT_ALL != 0
        waitsForSubmit = flags & NVU_SYNCOBJ_WAIT_FOR_SUBMIT != 0
        waitsAvailable = flags & NVU_SYNCOBJ_WAIT_AVAILABLE != 0
        deadlineHint = flags & NVU_SYNCOBJ_WAIT_DEADLINE != 0 ? deadline : nil
        self.count = count
        self.timeout = timeout
        self.handlesAt = handlesAt
        self.pointsAt = pointsAt
        self.firstSignaledAt = firstSignaledAt
    }

    package func handles(_ memory: any UserMemory) throws(KernelErrno) -> [UInt32] {
        try memory.array(of: UInt32.self, at: handlesAt, count: count)
    }

    /// No address: all points are 0.
    package func points(_ memory: any UserMemory) throws(KernelErrno) -> [UInt64] {
        guard pointsAt != 0 else { return [UInt64](repeating: 0, count: Int(count)) }
        return try memory.array(of: UInt64.self, at: pointsAt, count: count)
    }

    package func store(firstSignaled: UInt32, in a: Argument) {
        a.store(firstSignaled, at: firstSignaledAt)
    }
}

/// SYNCOBJ_RESET, SYNCOBJ_SIGNAL, SYNCOBJ_TIMELINE_SIGNAL and SYNCOBJ_QUERY.
package struct SyncobjArray {
    package let count: UInt32
    package let lastSubmitted: Bool
    private let handlesAt, pointsAt: UInt64

    /// RESET, SIGNAL. - Throws: `EINVAL`: padding, no handles.
    package init(binary a: Argument) throws(KernelErrno) {
        let c = a.load(nvu_syncobj_array.self)
        guard c.pad == 0, c.count_handles > 0 else { throw .EINVAL }
        count = c.count_handles
        handlesAt = c.handles
        pointsAt = 0
        lastSubmitted = false
    }

    /// TIMELINE_SIGNAL. - Throws: `EINVAL`: flags, no handles.
    package init(timelineSignal a: Argument) throws(KernelErrno) {
        try self.init(a, allowed: 0)
    }

    /// QUERY. - Throws: `EINVAL`: unknown flags, no handles.
    package init(query a: Argument) throws(KernelErrno) {
        try self.init(a, allowed: NVU_SYNCOBJ_QUERY_LAST_SUBMITTED)
    }

    private init(_ a: Argument, allowed: UInt32) throws(KernelErrno) {
        let c = a.load(nvu_syncobj_timeline_array.self)
        guard c.flags & ~allowed == 0, c.count_handles > 0 else { throw .EINVAL }
        count = c.count_handles
        handlesAt = c.handles
        pointsAt = c.points
        lastSubmitted = c.flags & NVU_SYNCOBJ_QUERY_LAST_SUBMITTED != 0
    }

    package func handles(_ memory: any UserMemory) throws(KernelErrno) -> [UInt32] {
        try memory.array(of: UInt32.self, at: handlesAt, count: count)
    }

    /// No address: all points are 0.
    package func points(_ memory: any UserMemory) throws(KernelErrno) -> [UInt64] {
        guard pointsAt != 0 else { return [UInt64](repeating: 0, count: Int(count)) }
        return try memory.array(of: UInt64.self, at: pointsAt, count: count)
    }

    /// One answer of QUERY; earlier ones stay written when a later one fails.
    package func write(point: UInt64, index: Int, _ memory: any UserMemory) throws(KernelErrno) {
        try memory.write(point, at: pointsAt &+ UInt64(index * 8))
    }
}

/// SYNCOBJ_EVENTFD.
package struct SyncobjEventfd {
    package let handle: UInt32
    package let point: UInt64
    package let fd: Int32
    /// The point need only be there.
    package let waitsAvailable: Bool

    /// - Throws: `EINVAL`: padding, unknown flags.
    package init(_ a: Argument) throws(KernelErrno) {
        let c = a.load(nvu_syncobj_eventfd.self)
        guard c.flags & ~NVU_SYNCOBJ_WAIT_AVAILABLE == 0, c.pad == 0 else { throw .EINVAL }
        handle = c.handle
        point = c.point
        fd = c.fd
        waitsAvailable = c.flags & NVU_SYNCOBJ_WAIT_AVAILABLE != 0
    }
}
