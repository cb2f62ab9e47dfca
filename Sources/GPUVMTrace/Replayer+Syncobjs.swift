internal import CNouveauUAPI
internal import JSONLines
internal import NouveauDevice

extension Replayer {
    func performSyncobj(_ call: TraceCall, _ file: ReplayFile) throws(InputError) -> Int32 {
        switch call.arguments {
        case .syncobjCreate(let flags, let handle):
            var value = nvu_syncobj_create()
            value.flags = flags
            let result = ioctl(call, file, &value)
            if call.result == 0 { file.syncobjs.add(handle, result == 0 ? value.handle : nil) }
            return result
        case .syncobjDestroy(let handle):
            var value = nvu_syncobj_destroy()
            value.handle = try file.syncobjs.find(handle, call)
            if call.result == 0 { _ = file.syncobjs.remove(handle) }
            return ioctl(call, file, &value)
        case .syncobjHandleToFD(let handle, let fd, let flags, let point, let madeFD):
            var value = nvu_syncobj_handle()
            value.handle = try file.syncobjs.find(handle, call)
            value.flags = flags
            value.fd = Int32(truncatingIfNeeded: fd)
            value.point = point
            let result = ioctl(call, file, &value)
            noteDescriptor(madeFD, value.fd, call, result)
            return result
        case .syncobjFDToHandle(let handle, let fd, let flags, let point, let madeHandle):
            var value = nvu_syncobj_handle()
            let intoExisting = flags & NVU_SYNCOBJ_FD_SYNC_FILE != 0
            value.handle = intoExisting ? try file.syncobjs.find(handle, call) : handle
            value.fd = try descriptors.find(fd, call)
            value.flags = flags
            value.point = point
            let result = ioctl(call, file, &value)
            if call.result == 0, !intoExisting { file.syncobjs.add(madeHandle, result == 0 ? value.handle : nil) }
            return result
        case .syncobjTransfer(let transfer):
            var value = nvu_syncobj_transfer()
            value.src_handle = try file.syncobjs.find(transfer.source, call)
            value.dst_handle = try file.syncobjs.find(transfer.destination, call)
            value.src_point = transfer.sourcePoint
            value.dst_point = transfer.destinationPoint
            value.flags = transfer.flags
            return ioctl(call, file, &value)
        case .syncobjWait(let wait): return try perform(wait, call, file)
        default: return try performSyncobjArray(call, file)
        }
    }

    private func performSyncobjArray(_ call: TraceCall, _ file: ReplayFile) throws(InputError) -> Int32 {
        switch call.arguments {
        case .syncobjArray(let list):
            var value = nvu_syncobj_array()
            value.handles = memory.place(try file.syncobjs.find(list, call))
            value.count_handles = UInt32(list.count)
            return ioctl(call, file, &value)
        case .syncobjTimelineSignal(let list, let listPoints, let flags):
            var points = listPoints
            return timelineArray(call, file, try file.syncobjs.find(list, call), &points, flags)
        case .syncobjQuery(let list, let flags, let recorded):
            let handles = try file.syncobjs.find(list, call)
            var points: [UInt64] = []
            let result = look(for: { $0 == call.result && (points == recorded || $0 != 0) }) {
                points = [UInt64](repeating: 0, count: list.count)
                return timelineArray(call, file, handles, &points, flags)
            }
            if result == 0, call.result == 0, points != recorded, !dependsOnPace(call) {
                report.addAnswer(call, "QUERY gave points \(points.map { hexText($0) }), recorded \(recorded.map { hexText($0) })")
            }
            return result
        default: return 0
        }
    }

    private func timelineArray(
        _ call: TraceCall, _ file: ReplayFile, _ handles: [UInt32], _ points: inout [UInt64], _ flags: UInt32
    ) -> Int32 {
        var value = nvu_syncobj_timeline_array()
        value.handles = memory.place(handles)
        value.points = memory.place(points)
        value.count_handles = UInt32(handles.count)
        value.flags = flags
        let result = ioctl(call, file, &value)
        points = memory.loadArray(at: value.points, count: points.count)
        return result
    }

    /// Recorded times belong to the recorder's boot: ours are all 0, and the device runs until it is done or idle.
    private func perform(
        _ wait: TraceCall.SyncobjWait, _ call: TraceCall, _ file: ReplayFile
    ) throws(InputError) -> Int32 {
        let handles = memory.place(try file.syncobjs.find(wait.handles, call))
        var first: UInt32 = 0
        let result = look(for: { $0 == call.result && (first == wait.firstSignaled || $0 != 0) }) {
            let (result, index) = call.op == .syncobjTimelineWait
                ? timelineWait(wait, call, file, handles) : binaryWait(wait, call, file, handles)
            first = index
            return result
        }
        if result == 0, call.result == 0, first != wait.firstSignaled, !dependsOnPace(call) {
            report.addAnswer(call, "first_signaled is \(first), recorded \(wait.firstSignaled)")
        }
        return result
    }

    private func binaryWait(
        _ wait: TraceCall.SyncobjWait, _ call: TraceCall, _ file: ReplayFile, _ handles: UInt64
    ) -> (result: Int32, first: UInt32) {
        var value = nvu_syncobj_wait()
        value.handles = handles
        value.count_handles = UInt32(wait.handles.count)
        value.flags = wait.flags
        return (ioctl(call, file, &value), value.first_signaled)
    }

    private func timelineWait(
        _ wait: TraceCall.SyncobjWait, _ call: TraceCall, _ file: ReplayFile, _ handles: UInt64
    ) -> (result: Int32, first: UInt32) {
        var value = nvu_syncobj_timeline_wait()
        value.handles = handles
        value.points = memory.place(wait.points)
        value.count_handles = UInt32(wait.handles.count)
        value.flags = wait.flags
        return (ioctl(call, file, &value), value.first_signaled)
    }
}
