import CNouveauUAPI
import DRMSync
import KernelErrno
import Testing

@testable import NouveauDevice

@Suite("Syncobjs") struct SyncobjTests {
    let client: Client

    init() throws {
        client = try Client()
    }

    private func create(signaled: Bool = false) -> UInt32 {
        var create = nvu_syncobj_create(handle: 0, flags: signaled ? NVU_SYNCOBJ_CREATE_SIGNALED : 0)
        #expect(client.call(NVU_SYNCOBJ_CREATE, &create) == 0)
        return create.handle
    }

    private func signal(_ handle: UInt32, _ point: UInt64) {
        #expect(timelineSignal([handle], [point]) == 0)
    }

    private func timelineSignal(_ handles: [UInt32], _ points: [UInt64]?, flags: UInt32 = 0) -> Int32 {
        array(handles, points ?? []) { handlesAt, pointsAt in
            client.call(
                NVU_SYNCOBJ_TIMELINE_SIGNAL,
                nvu_syncobj_timeline_array(
                    handles: handlesAt, points: points == nil ? 0 : pointsAt, count_handles: UInt32(handles.count),
                    flags: flags))
        }
    }

    private func array<R>(_ handles: [UInt32], _ points: [UInt64], _ body: (UInt64, UInt64) -> R) -> R {
        handles.withUnsafeBufferPointer { handles in
            points.withUnsafeBufferPointer { points in body(address(handles.baseAddress), address(points.baseAddress)) }
        }
    }

    private func query(_ handles: [UInt32], flags: UInt32 = 0) -> (Int32, [UInt64]) {
        var points = [UInt64](repeating: 77, count: handles.count)
        let result = handles.withUnsafeBufferPointer { handles in
            points.withUnsafeMutableBufferPointer { points in
                client.call(
                    NVU_SYNCOBJ_QUERY,
                    nvu_syncobj_timeline_array(
                        handles: address(handles.baseAddress), points: address(UnsafePointer(points.baseAddress)),
                        count_handles: UInt32(handles.count), flags: flags))
            }
        }
        return (result, points)
    }

    private func wait(_ handles: [UInt32], _ flags: UInt32 = 0) -> (result: Int32, first: UInt32) {
        array(handles, []) { handlesAt, _ in
            var wait = nvu_syncobj_wait()
            wait.handles = handlesAt
            wait.timeout_nsec = .max
            wait.count_handles = UInt32(handles.count)
            wait.flags = flags
            wait.first_signaled = 55
            let result = client.call(NVU_SYNCOBJ_WAIT, &wait)
            return (result, wait.first_signaled)
        }
    }

    private func timelineWait(_ handles: [UInt32], _ points: [UInt64]?, _ flags: UInt32 = 0) -> (result: Int32, first: UInt32) {
        array(handles, points ?? []) { handlesAt, pointsAt in
            var wait = nvu_syncobj_timeline_wait()
            wait.handles = handlesAt
            wait.points = points == nil ? 0 : pointsAt
            wait.count_handles = UInt32(handles.count)
            wait.flags = flags
            wait.first_signaled = 55
            let result = client.call(NVU_SYNCOBJ_TIMELINE_WAIT, &wait)
            return (result, wait.first_signaled)
        }
    }

    private func binaryCall(_ request: UInt32, _ handles: [UInt32], pad: UInt32 = 0) -> Int32 {
        array(handles, []) { handlesAt, _ in
            client.call(request, nvu_syncobj_array(handles: handlesAt, count_handles: UInt32(handles.count), pad: pad))
        }
    }

    private func handleCall(
        _ request: UInt32, _ handle: UInt32, fd: Int32 = -1, flags: UInt32 = 0, point: UInt64 = 0, pad: UInt32 = 0
    ) -> (result: Int32, handle: UInt32, fd: Int32) {
        var call = nvu_syncobj_handle(handle: handle, flags: flags, fd: fd, pad: pad, point: point)
        let result = client.call(request, &call)
        return (result, call.handle, call.fd)
    }

    private func transfer(
        _ source: UInt32, _ sourcePoint: UInt64, _ destination: UInt32, _ point: UInt64, flags: UInt32 = 0, pad: UInt32 = 0
    ) -> Int32 {
        client.call(
            NVU_SYNCOBJ_TRANSFER,
            nvu_syncobj_transfer(
                src_handle: source, dst_handle: destination, src_point: sourcePoint, dst_point: point, flags: flags,
                pad: pad))
    }

    @Test("CREATE: flags; handles are the lowest free from 1")
    func creation() {
        #expect(client.call(NVU_SYNCOBJ_CREATE, nvu_syncobj_create(handle: 0, flags: 2)) == -.EINVAL)
        #expect((create(), create(), create()) == (1, 2, 3))
        #expect(client.call(NVU_SYNCOBJ_DESTROY, nvu_syncobj_destroy(handle: 2, pad: 0)) == 0)
        #expect((create(), create()) == (2, 4))
    }

    @Test("DESTROY: pad, then an unknown handle is EINVAL")
    func destruction() {
        let a = create()
        #expect(client.call(NVU_SYNCOBJ_DESTROY, nvu_syncobj_destroy(handle: a, pad: 1)) == -.EINVAL)
        #expect(client.call(NVU_SYNCOBJ_DESTROY, nvu_syncobj_destroy(handle: 0, pad: 0)) == -.EINVAL)
        #expect(client.call(NVU_SYNCOBJ_DESTROY, nvu_syncobj_destroy(handle: a, pad: 0)) == 0)
        #expect(client.call(NVU_SYNCOBJ_DESTROY, nvu_syncobj_destroy(handle: a, pad: 0)) == -.EINVAL)
    }

    @Test("RESET and SIGNAL: pad and count before copies, copies before handles")
    func resetAndSignal() {
        let a = create()
        for request in [NVU_SYNCOBJ_RESET, NVU_SYNCOBJ_SIGNAL] {
            #expect(binaryCall(request, [a], pad: 1) == -.EINVAL)
            #expect(binaryCall(request, []) == -.EINVAL)
            #expect(client.call(request, nvu_syncobj_array(handles: 8, count_handles: 1, pad: 0)) == -.EFAULT)
            #expect(binaryCall(request, [a, 99]) == -.ENOENT)
        }
        #expect(wait([a]).result == -.EINVAL)
        #expect(binaryCall(NVU_SYNCOBJ_SIGNAL, [a]) == 0)
        #expect(wait([a]) == (0, 0))
        #expect(binaryCall(NVU_SYNCOBJ_RESET, [a]) == 0)
        #expect(wait([a]).result == -.EINVAL)
    }

    @Test("WAIT: flags, count 0, copy, handle, missing fence")
    func waitErrors() {
        let (empty, done) = (create(), create(signaled: true))
        #expect(wait([], 4).result == -.EINVAL)
        #expect(wait([]) == (0, 55))
        var bad = nvu_syncobj_wait()
        bad.count_handles = 1
        #expect(client.call(NVU_SYNCOBJ_WAIT, bad) == -.EFAULT)
        #expect(wait([empty, 99]).result == -.ENOENT)
        #expect(wait([done, empty]).result == -.EINVAL)
        #expect(wait([done, empty], NVU_SYNCOBJ_WAIT_FOR_SUBMIT) == (0, 0))
        #expect(wait([empty, done], NVU_SYNCOBJ_WAIT_FOR_SUBMIT) == (0, 1))
        #expect(wait([done, empty], NVU_SYNCOBJ_WAIT_FOR_SUBMIT | NVU_SYNCOBJ_WAIT_ALL) == (-.ETIME, 55))
        #expect(wait([empty], NVU_SYNCOBJ_WAIT_FOR_SUBMIT | NVU_SYNCOBJ_WAIT_DEADLINE).result == -.ETIME)
        #expect(wait([done, done], NVU_SYNCOBJ_WAIT_ALL) == (0, 0))
    }

    @Test("TIMELINE_WAIT: handles are looked up before points are copied; AVAILABLE implies waiting for submission")
    func timelineWaits() {
        let a = create()
        signal(a, 5)
        #expect(timelineWait([a], [1], 0x10).result == -.EINVAL)
        #expect(timelineWait([], nil) == (0, 55))
        var bad = nvu_syncobj_timeline_wait()
        bad.count_handles = 1
        bad.points = 8
        withUnsafePointer(to: UInt32(99)) { bad.handles = address($0) }
        var handle: UInt32 = 99
        withUnsafeMutablePointer(to: &handle) { pointer in
            bad.handles = address(UnsafePointer(pointer))
            #expect(client.call(NVU_SYNCOBJ_TIMELINE_WAIT, bad) == -.ENOENT)
            pointer.pointee = a
            #expect(client.call(NVU_SYNCOBJ_TIMELINE_WAIT, bad) == -.EFAULT)
        }
        #expect(timelineWait([a], [5]) == (0, 0))
        #expect(timelineWait([a], [3]) == (0, 0))
        #expect(timelineWait([a], nil) == (0, 0))
        #expect(timelineWait([a], [6]).result == -.EINVAL)
        #expect(timelineWait([a], [6], NVU_SYNCOBJ_WAIT_FOR_SUBMIT).result == -.ETIME)
        #expect(timelineWait([a], [6], NVU_SYNCOBJ_WAIT_AVAILABLE).result == -.ETIME)
        #expect(timelineWait([a], [6], 7).result == -.ETIME)
        #expect(timelineWait([a, a], [6, 5], NVU_SYNCOBJ_WAIT_FOR_SUBMIT) == (0, 1))
        // A binary payload has no points.
        #expect(timelineWait([create(signaled: true)], [1]).result == -.EINVAL)
        #expect(timelineWait([create(signaled: true)], [0]) == (0, 0))
    }

    @Test("older, shorter structs work: WAIT of 32 and TIMELINE_WAIT of 40 bytes")
    func olderStructs() {
        let a = create(signaled: true)
        withUnsafePointer(to: a) { handle in
            var old = [UInt64](repeating: 0, count: 5)
            old[0] = address(handle)
            old[2] = 1
            old[4] = 0xdead
            #expect(old.withUnsafeMutableBytes { client.file.ioctl(0xc020_64c3, $0.baseAddress) } == 0)
            #expect(old[3] == 0 && old[4] == 0xdead)
            var timeline = [UInt64](repeating: 0, count: 6)
            timeline[0] = address(handle)
            timeline[3] = 1
            timeline[5] = 0xdead
            #expect(timeline.withUnsafeMutableBytes { client.file.ioctl(0xc028_64ca, $0.baseAddress) } == 0)
            #expect(timeline[5] == 0xdead)
        }
        // 16 bytes, before `point` was there.
        var old = nvu_syncobj_handle(handle: a, flags: 0, fd: -1, pad: 0, point: 99)
        #expect(client.call(0xc010_64c1, &old) == 0)
        #expect(old.fd >= 0 && old.point == 99)
    }

    @Test("points: out of order starts anew with the newest number; a binary signal drops the timeline")
    func points() {
        let a = create()
        #expect(query([a]) == (0, [0]))
        signal(a, 4)
        signal(a, 9)
        #expect(query([a]) == (0, [9]))
        #expect(query([a], flags: 1) == (0, [9]))
        signal(a, 2)
        #expect(query([a]) == (0, [9]))
        #expect(timelineWait([a], [9]) == (0, 0))
        #expect(binaryCall(NVU_SYNCOBJ_SIGNAL, [a]) == 0)
        #expect(query([a]) == (0, [0]))
        signal(a, 3)
        #expect(query([a]) == (0, [3]))
    }

    @Test("TIMELINE_SIGNAL: flags and count, handles, points; without points all are 0")
    func timelineSignals() {
        let a = create()
        #expect(timelineSignal([a], [1], flags: 1) == -.EINVAL)
        #expect(timelineSignal([], []) == -.EINVAL)
        #expect(timelineSignal([a, 99], [1, 1]) == -.ENOENT)
        #expect(query([a]) == (0, [0]))
        #expect(timelineSignal([a], nil) == 0)
        #expect(wait([a]) == (0, 0))
        #expect(timelineWait([a], [1]).result == -.EINVAL)
    }

    @Test("QUERY: flags and count, handles; a copy that fails leaves earlier points written")
    func queries() {
        let (a, b) = (create(), create())
        signal(a, 3)
        signal(b, 4)
        #expect(query([a], flags: 2).0 == -.EINVAL)
        #expect(query([]).0 == -.EINVAL)
        #expect(query([a, 99]) == (-.ENOENT, [77, 77]))
        let memory = FailingMemory()
        client.device.userMemory = memory
        memory.failsAt = 3  // argument, handles, first point, second point
        #expect(query([a, b]) == (-.EFAULT, [3, 77]))
    }

    @Test("TRANSFER: pad, destination, source, flags, the fence")
    func transfers() {
        let (empty, a, b) = (create(), create(), create())
        signal(a, 3)
        signal(a, 7)
        #expect(transfer(99, 0, 99, 0, pad: 1) == -.EINVAL)
        #expect(transfer(99, 0, 99, 0, flags: 1) == -.ENOENT)
        #expect(transfer(99, 0, b, 0, flags: 1) == -.ENOENT)
        #expect(transfer(a, 0, b, 0, flags: 1) == -.EINVAL)
        #expect(transfer(empty, 0, b, 0) == -.EINVAL)
        #expect(transfer(empty, 0, b, 0, flags: NVU_SYNCOBJ_WAIT_FOR_SUBMIT) == -.ETIME)
        #expect(transfer(a, 8, b, 0) == -.EINVAL)
        // The whole payload takes its number along, an old point that has signalled is a plain fence.
        #expect(transfer(a, 0, b, 0) == 0)
        #expect(query([b]) == (0, [7]))
        #expect(transfer(a, 2, b, 0) == 0)
        #expect(query([b]) == (0, [0]))
        #expect(wait([b]) == (0, 0))
        #expect(transfer(a, 2, b, 11) == 0)
        #expect(query([b]) == (0, [11]))
    }

    @Test("HANDLE_TO_FD and FD_TO_HANDLE: pad, flags, point, handle, fence")
    func descriptors() {
        let (empty, a) = (create(), create())
        signal(a, 3)
        for request in [NVU_SYNCOBJ_HANDLE_TO_FD, NVU_SYNCOBJ_FD_TO_HANDLE] {
            #expect(handleCall(request, a, pad: 1).result == -.EINVAL)
            #expect(handleCall(request, a, flags: 4).result == -.EINVAL)
            #expect(handleCall(request, 99, point: 1).result == -.EINVAL)
        }
        #expect(handleCall(NVU_SYNCOBJ_HANDLE_TO_FD, 99).result == -.EINVAL)
        #expect(handleCall(NVU_SYNCOBJ_HANDLE_TO_FD, 99, flags: 1).result == -.ENOENT)
        #expect(handleCall(NVU_SYNCOBJ_HANDLE_TO_FD, empty, flags: 1).result == -.EINVAL)
        #expect(handleCall(NVU_SYNCOBJ_HANDLE_TO_FD, a, flags: 3, point: 4).result == -.EINVAL)
        #expect(handleCall(NVU_SYNCOBJ_HANDLE_TO_FD, a, flags: 1, point: 4).result == 0)
        #expect(handleCall(NVU_SYNCOBJ_FD_TO_HANDLE, 0, fd: 12345).result == -.EINVAL)
        #expect(handleCall(NVU_SYNCOBJ_FD_TO_HANDLE, a, fd: 12345, flags: 1).result == -.EINVAL)
    }

    @Test("a syncobj's descriptor gives the same syncobj under a new handle each time")
    func sharing() {
        let a = create()
        let fd = handleCall(NVU_SYNCOBJ_HANDLE_TO_FD, a).fd
        let (b, c) = (
            handleCall(NVU_SYNCOBJ_FD_TO_HANDLE, 0, fd: fd).handle, handleCall(NVU_SYNCOBJ_FD_TO_HANDLE, 0, fd: fd).handle
        )
        #expect(Set([a, b, c]).count == 3)
        signal(b, 6)
        #expect(query([a, b, c]) == (0, [6, 6, 6]))
        #expect(handleCall(NVU_SYNCOBJ_FD_TO_HANDLE, a, fd: fd, flags: 1).result == -.EINVAL)
        client.device.closeDescriptor(fd)
        #expect(handleCall(NVU_SYNCOBJ_FD_TO_HANDLE, 0, fd: fd).result == -.EINVAL)
    }

    @Test("a sync_file carries the fence: imported it replaces, or is added as a point")
    func syncFiles() {
        let (a, b) = (create(signaled: true), create())
        let fd = handleCall(NVU_SYNCOBJ_HANDLE_TO_FD, a, flags: 1).fd
        #expect(handleCall(NVU_SYNCOBJ_FD_TO_HANDLE, 99, fd: fd, flags: 1).result == -.ENOENT)
        #expect(handleCall(NVU_SYNCOBJ_FD_TO_HANDLE, 0, fd: fd).result == -.EINVAL)
        #expect(handleCall(NVU_SYNCOBJ_FD_TO_HANDLE, b, fd: fd, flags: 3, point: 5).result == 0)
        #expect(query([b]) == (0, [5]))
        #expect(handleCall(NVU_SYNCOBJ_FD_TO_HANDLE, b, fd: fd, flags: 1).result == 0)
        #expect(query([b]) == (0, [0]))
        #expect(wait([b]) == (0, 0))
    }

    @Test("a point of a timeline, exported as a sync_file, becomes a point of another", arguments: [true, false])
    func pointToPoint(isPending: Bool) throws {
        let (a, b) = (create(), create()), gate = client.device.gate
        let fence = Fence(gate: gate, context: gate.allocateContexts(), seqno: 1)
        try #require(client.file.syncobjs[a]).add(5, fence)
        if !isPending { fence.signal() }
        let fd = handleCall(NVU_SYNCOBJ_HANDLE_TO_FD, a, flags: 3, point: 5).fd
        #expect(handleCall(NVU_SYNCOBJ_FD_TO_HANDLE, b, fd: fd, flags: 3, point: 7).result == 0)
        #expect(query([b]) == (0, [isPending ? 0 : 7]))
        fence.signal()
        #expect(query([b]) == (0, [7]))
    }

    @Test("EVENTFD: flags and pad, handle, descriptor")
    func eventfd() {
        let a = create()
        let fd = handleCall(NVU_SYNCOBJ_HANDLE_TO_FD, a).fd
        func call(_ handle: UInt32, flags: UInt32 = 0, fd: Int32, pad: UInt32 = 0) -> Int32 {
            client.call(NVU_SYNCOBJ_EVENTFD, nvu_syncobj_eventfd(handle: handle, flags: flags, point: 0, fd: fd, pad: pad))
        }
        #expect(call(99, flags: 1, fd: -1) == -.EINVAL)
        #expect(call(99, fd: -1, pad: 1) == -.EINVAL)
        #expect(call(99, fd: -1) == -.ENOENT)
        #expect(call(a, fd: -1) == -.EBADF)
        #expect(call(a, fd: fd) == -.EINVAL)
    }

    @Test("an eventfd counts one when the point has signalled, or is there; at once if so already")
    func events() throws {
        let a = create()
        let (fd, counter) = try client.device.makeEventfd()
        func call(_ point: UInt64, flags: UInt32 = 0) -> Int32 {
            client.call(NVU_SYNCOBJ_EVENTFD, nvu_syncobj_eventfd(handle: a, flags: flags, point: point, fd: fd, pad: 0))
        }
        #expect(call(4) == 0 && call(6, flags: NVU_SYNCOBJ_WAIT_AVAILABLE) == 0)
        signal(a, 3)
        #expect(counter.value == 0)
        signal(a, 5)
        #expect(counter.value == 1)
        #expect(call(2) == 0)
        #expect(counter.value == 2)
        #expect(call(9) == 0)
        #expect(client.call(NVU_SYNCOBJ_DESTROY, nvu_syncobj_destroy(handle: a, pad: 0)) == 0)
        #expect(counter.value == 2, "the one for point 6 is lost, and so is that for 9")
    }

    @Test("a wait for a point that goes backwards, or was never submitted, and timeouts that are over")
    func badWaits() {
        let a = create()
        signal(a, 5)
        signal(a, 2)
        #expect(timelineWait([a], [5]) == (0, 0))
        #expect(timelineWait([a], [6]).result == -.EINVAL)
        for timeout in [Int64.min, -1, 0, 1, .max] {
            var wait = nvu_syncobj_timeline_wait()
            let result = array([a], [6]) { handles, points in
                (wait.handles, wait.points, wait.count_handles) = (handles, points, 1)
                wait.timeout_nsec = timeout
                wait.flags = NVU_SYNCOBJ_WAIT_FOR_SUBMIT
                return client.call(NVU_SYNCOBJ_TIMELINE_WAIT, &wait)
            }
            #expect(result == -.ETIME, "timeout \(timeout)")
        }
    }

    @Test("a million handles: each gets the lowest free number, also when others went in between")
    func manyHandles() {
        let table = HandleTable<Int>()
        for i in 1...1_000_000 { if table.insert(i) != i { Issue.record("handle \(i)") } }
        let gone = stride(from: UInt32(1_000_000), to: 0, by: -3).map { table.remove($0) }
        #expect(gone.allSatisfy { $0 != nil } && table.remove(1_000_000) == nil)
        var expected: UInt32 = 1
        for i in 0..<gone.count {
            if table.insert(-i) != expected { Issue.record("handle \(expected)") }
            expected += 3
        }
        #expect(table.insert(0) == 1_000_001 && table[1_000_002] == nil && table[0] == nil)
    }

    @Test("VM_BIND and EXEC signal: binary replaces, timeline adds")
    func jobs() throws {
        try #require(client.vmInit() == 0)
        let channel = client.channelAlloc().alloc.channel
        let (a, b) = (create(), create())
        #expect(client.bind([], async: true, signals: [timeline(a, 3), binary(b)]) == 0)
        #expect(query([a, b]) == (0, [3, 0]))
        #expect(client.exec(channel, waits: [timeline(a, 3), binary(b)], signals: [timeline(a, 9), timeline(b, 1)]) == 0)
        #expect(query([a, b]) == (0, [9, 1]))
        #expect(client.exec(channel, signals: [binary(a)]) == 0)
        #expect(query([a]) == (0, [0]))
    }
}
