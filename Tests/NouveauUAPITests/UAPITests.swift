import CNouveauUAPI
import KernelErrno
import NouveauUAPI
import Testing

/// Client memory that counts copies and fails the n-th.
final class FailingMemory: UserMemory {
    var copies = 0
    var failsAt: Int?

    func copyIn(_ address: UInt64, _ destination: UnsafeMutableRawBufferPointer) throws(KernelErrno) {
        try count()
        try DirectMemory().copyIn(address, destination)
    }

    func copyOut(_ source: UnsafeRawBufferPointer, _ address: UInt64) throws(KernelErrno) {
        try count()
        try DirectMemory().copyOut(source, address)
    }

    private func count() throws(KernelErrno) {
        defer { copies += 1 }
        if copies == failsAt { throw .EFAULT }
    }
}

@Suite("The UAPI") struct UAPITests {
    @Test("values copied whole have the layout of the C structs")
    func layouts() {
        #expect(MemoryLayout<BindOp>.stride == MemoryLayout<nvu_vm_bind_op>.stride)
        #expect(MemoryLayout<Sync>.stride == MemoryLayout<nvu_sync>.stride)
        #expect(MemoryLayout<Push>.stride == MemoryLayout<nvu_exec_push>.stride)

        let c = nvu_vm_bind_op(op: 1, flags: 0x1fe, handle: 3, pad: 9, addr: 4, bo_offset: 5, range: 6)
        let op = unsafeBitCast(c, to: BindOp.self)
        #expect(op.kind == .unmapSparse && op.pteKind == 0xfe && op.handle == 3)
        #expect((op.addr, op.boOffset, op.range) == (4, 5, 6))
        let sync = unsafeBitCast(nvu_sync(flags: 0x11, handle: 2, timeline_value: 3), to: Sync.self)
        #expect(sync.isTimeline == true && sync.handle == 2 && sync.point == 3)
        let push = unsafeBitCast(nvu_exec_push(va: 1, va_len: 2, flags: 1), to: Push.self)
        #expect(push.va == 1 && push.length == 2 && push.noPrefetch)
    }

    @Test("operation numbers 2 and 3 are the sparse operations; above there is none")
    func operationNumbers() {
        let kinds = (0..<5).map { op -> BindOp.Kind? in
            unsafeBitCast(
                nvu_vm_bind_op(op: op, flags: 0, handle: 0, pad: 0, addr: 0, bo_offset: 0, range: 0), to: BindOp.self
            ).kind
        }
        #expect(kinds == [.map, .unmap, .mapSparse, .unmapSparse, nil])
    }

    @Test("every command's definition carries its own number")
    func numbers() {
        for command in Command.allCases {
            #expect(command.definition.number == command.rawValue)
            #expect(command.definition.hasDRMType)
        }
    }

    @Test("a request word falls into direction, size, type and number")
    func words() {
        let word = Request(word: NVU_CHANNEL_FREE)
        #expect((word.number, word.size, word.sizeIn, word.sizeOut) == (0x43, 4, 4, 0))
        #expect(!Request(word: 0xc010_6540).hasDRMType)
    }

    @Test("the client's memory refuses addresses below 64 KiB and those that wrap", arguments: [
        0, 1, 0xffff, UInt64.max, UInt64.max - 8, 1 << 63,
    ])
    func addresses(address: UInt64) {
        #expect(throws: KernelErrno.EFAULT) { try DirectMemory().array(of: UInt64.self, at: address, count: 2) }
    }

    @Test("an array of 0 elements never touches its address; one beyond 2 GiB is ENOMEM")
    func arrays() throws {
        #expect(try DirectMemory().array(of: BindOp.self, at: 1, count: 0).isEmpty)
        #expect(throws: KernelErrno.ENOMEM) { try DirectMemory().array(of: BindOp.self, at: 1, count: .max) }
    }

    /// Runs a command over `bytes` with the request word given; the handler sets every byte it sees to 0xaa.
    private func perform(
        _ command: Command, word: UInt32, _ bytes: inout [UInt8], memory: any UserMemory = DirectMemory(),
        fails: KernelErrno? = nil, seen: (Int) -> Void = { _ in }
    ) -> KernelErrno? {
        var result: KernelErrno?
        bytes.withUnsafeMutableBytes { raw in
            let address = UInt64(UInt(bitPattern: raw.baseAddress!))
            do throws(KernelErrno) {
                try Request(word: word).perform(command, memory: memory, at: address) { (a) throws(KernelErrno) in
                    seen(a.count)
                    GEMDescription(
                        handle: 1, domain: .vram, size: 2, offset: 3, mapHandle: 4, tileMode: 5, tileFlags: 6
                    ).store(in: a)
                    if let fails { throw fails }
                }
            } catch {
                result = error
            }
        }
        return result
    }

    @Test("the argument comes back even when the handler failed")
    func copyBack() {
        var bytes = [UInt8](repeating: 0, count: 40)
        #expect(perform(.gemInfo, word: NVU_GEM_INFO, &bytes, fails: .ENOENT) == .ENOENT)
        #expect(bytes[0] == 1 && bytes[8] == 2)
    }

    @Test("a failing copy out wins over the handler's error, a failing copy in comes first")
    func failingCopies() {
        var bytes = [UInt8](repeating: 0, count: 40)
        let memory = FailingMemory()
        memory.failsAt = 1
        #expect(perform(.gemInfo, word: NVU_GEM_INFO, &bytes, memory: memory, fails: .ENOENT) == .EFAULT)
        var ran = false
        memory.copies = 0
        memory.failsAt = 0
        #expect(perform(.gemInfo, word: NVU_GEM_INFO, &bytes, memory: memory) { _ in ran = true } == .EFAULT)
        #expect(!ran)
    }

    @Test("a shorter struct reads as zero beyond its end and nothing is written there")
    func shorter() {
        var bytes = [UInt8](repeating: 0xff, count: 40)
        var count = 0
        #expect(perform(.gemInfo, word: 0xc010_6484, &bytes, seen: { count = $0 }) == nil)
        #expect(count == 40)
        #expect(bytes[8] == 2 && bytes[16] == 0xff)
    }

    @Test("a direction the caller leaves out is not copied")
    func directions() {
        var bytes = [UInt8](repeating: 0, count: 40)
        #expect(perform(.gemInfo, word: 0x4028_6484, &bytes) == nil)
        #expect(bytes.allSatisfy { $0 == 0 })
    }

    @Test("the copy in comes before the permission check")
    func permission() {
        var bytes = [UInt8](repeating: 0, count: 16)
        #expect(perform(.setParam, word: NVU_SETPARAM, &bytes) == .EACCES)
        let memory = FailingMemory()
        memory.failsAt = 0
        #expect(perform(.setParam, word: NVU_SETPARAM, &bytes, memory: memory) == .EFAULT)
    }
}
