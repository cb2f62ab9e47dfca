internal import CNouveauUAPI
internal import KernelErrno
internal import NouveauUAPI

// Syncobjs.
extension Argument {
    func syncobjInput(_ command: Command, _ memory: any UserMemory) throws(KernelErrno) -> JSONText {
        switch command {
        case .syncobjCreate: return JSONText { $0.number("flags", load(nvu_syncobj_create.self).flags) }
        case .syncobjDestroy:
            let c = load(nvu_syncobj_destroy.self)
            guard c.pad == 0 else { throw .EOPNOTSUPP }
            return JSONText { $0.number("handle", c.handle) }
        case .syncobjHandleToFD, .syncobjFDToHandle: return try descriptorInput()
        case .syncobjTransfer: return try transferInput()
        case .syncobjWait:
            let c = load(nvu_syncobj_wait.self)
            let handles = try memory.array(of: UInt32.self, at: c.handles, count: c.count_handles)
            return wait(handles, points: nil, c.timeout_nsec, c.flags)
        case .syncobjTimelineWait:
            let c = load(nvu_syncobj_timeline_wait.self)
            let handles = try memory.array(of: UInt32.self, at: c.handles, count: c.count_handles)
            return wait(handles, points: try memory.points(c.points, c.count_handles), c.timeout_nsec, c.flags)
        default: return try arrayInput(command, memory)
        }
    }

    func syncobjOutput(_ command: Command, _ memory: any UserMemory) -> JSONText? {
        switch command {
        case .syncobjCreate: JSONText { $0.number("handle", load(nvu_syncobj_create.self).handle) }
        case .syncobjHandleToFD, .syncobjFDToHandle:
            JSONText { out in
                out.number("handle", load(nvu_syncobj_handle.self).handle)
                out.number("fd", load(nvu_syncobj_handle.self).fd)
            }
        case .syncobjWait: JSONText { $0.number("first_signaled", load(nvu_syncobj_wait.self).first_signaled) }
        case .syncobjTimelineWait:
            JSONText { $0.number("first_signaled", load(nvu_syncobj_timeline_wait.self).first_signaled) }
        case .syncobjQuery: queryOutput(memory)
        default: nil
        }
    }

    private func descriptorInput() throws(KernelErrno) -> JSONText {
        let c = load(nvu_syncobj_handle.self)
        guard c.pad == 0 else { throw .EOPNOTSUPP }
        return JSONText { call in
            call.number("handle", c.handle)
            call.number("fd", c.fd)
            call.number("flags", c.flags)
            if c.point != 0 { call.hex("point", c.point) }
        }
    }

    private func transferInput() throws(KernelErrno) -> JSONText {
        let c = load(nvu_syncobj_transfer.self)
        guard c.pad == 0 else { throw .EOPNOTSUPP }
        return JSONText { call in
            call.number("src_handle", c.src_handle)
            call.number("dst_handle", c.dst_handle)
            call.hex("src_point", c.src_point)
            call.hex("dst_point", c.dst_point)
            call.number("flags", c.flags)
        }
    }

    private func wait(_ handles: [UInt32], points: [UInt64]?, _ timeout: Int64, _ flags: UInt32) -> JSONText {
        JSONText { call in
            call.handles(handles)
            if let points { call.points(points) }
            call.number("timeout_nsec", timeout)
            call.number("flags", flags)
        }
    }

    /// RESET and SIGNAL; QUERY and TIMELINE_SIGNAL.
    private func arrayInput(_ command: Command, _ memory: any UserMemory) throws(KernelErrno) -> JSONText {
        if command == .syncobjReset || command == .syncobjSignal {
            let c = load(nvu_syncobj_array.self)
            guard c.pad == 0 else { throw .EOPNOTSUPP }
            let handles = try memory.array(of: UInt32.self, at: c.handles, count: c.count_handles)
            return JSONText { $0.handles(handles) }
        }
        let c = load(nvu_syncobj_timeline_array.self)
        let handles = try memory.array(of: UInt32.self, at: c.handles, count: c.count_handles)
        let points = command == .syncobjQuery ? nil : try memory.points(c.points, c.count_handles)
        return JSONText { call in
            call.handles(handles)
            if let points { call.points(points) }
            call.number("flags", c.flags)
        }
    }

    private func queryOutput(_ memory: any UserMemory) -> JSONText? {
        let c = load(nvu_syncobj_timeline_array.self)
        let points = try? memory.points(c.points, c.count_handles)
        return JSONText { $0.points(points ?? []) }
    }
}

extension UserMemory {
    /// No address: all are 0.
    fileprivate func points(_ address: UInt64, _ count: UInt32) throws(KernelErrno) -> [UInt64] {
        guard address != 0 else { return [UInt64](repeating: 0, count: Int(count)) }
        return try array(of: UInt64.self, at: address, count: count)
    }
}

extension JSONText {
    fileprivate mutating func handles(_ handles: [UInt32]) {
        array("handles", handles) { $0.append(decimal: Int64($1)) }
    }

    fileprivate mutating func points(_ points: [UInt64]) {
        array("points", points) { $0.append(hex: $1) }
    }
}
