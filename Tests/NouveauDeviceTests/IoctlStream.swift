import CNouveauUAPI
import KernelErrno
import Model

@testable import NouveauDevice

/// A stream of all ioctls with good and bad arguments.
struct IoctlStream: @unchecked Sendable {
    let client: Client
    var random: SeededRandom
    /// Semaphores that nobody releases: 10 s of the clock each.
    let mayHang: Bool
    var closesDescriptors = true
    static let window: UInt64 = 0x20_0000
    /// The copy engine's `LINE_COUNT`: of any number, a launch may copy the same bytes for hours.
    private static let lineCount: UInt32 = 0x41c

    mutating func below(_ n: UInt64) -> UInt64 { UInt64.random(in: 0..<n, using: &random) }
    mutating func handle() -> UInt32 { UInt32(below(10)) }
    mutating func domain() -> UInt32 { [vram, gart, vram | gart, gart | noShare, 0][Int(below(5))] }
    mutating func channel() -> Int32 { Int32(below(4)) }
    mutating func va() -> UInt64 { below(Self.window >> 12) << 12 }

    mutating func step() {
        switch below(16) {
        case 0, 1: newBuffer()
        case 2: _ = client.gemClose(handle())
        case 3: _ = below(2) == 0 ? client.channelAlloc() : client.channelAlloc(fb: ~0, tt: [1, 0x30, 2, 9][Int(below(4))])
        case 4: if below(3) == 0 { _ = client.call(NVU_CHANNEL_FREE, nvu_channel_free(channel: channel())) }
        case 5: syncobjs()
        case 6: share()
        case 7: _ = client.cpuPrep(handle(), UInt32(below(8)) | nowait)
        case 8: _ = client.cpuPrep(handle(), 0)
        case 9..<13: bind()
        default: exec()
        }
    }

    private mutating func newBuffer() {
        let (result, info) = client.gemNew(domain(), (1 + below(32)) << 14, tileFlags: UInt32(below(2)) * 8)
        guard result == 0 else { return }
        write(commandsTo: client.bytes(info.handle), 512)
    }

    /// Words that may be fetched: commands, among them wrong ones.
    mutating func write(commandsTo bytes: UnsafeMutableRawBufferPointer, _ count: Int) {
        let words = bytes.bindMemory(to: UInt32.self)
        var i = 0
        while i < count {
            let new = commands().words
            for word in new where i < count {
                words[i] = word
                i += 1
            }
        }
    }

    private mutating func commands() -> Commands {
        var commands = Commands()
        switch below(12) {
        case 0..<4: commands.copy(va() + below(4096), va() + below(4096), UInt32(below(9000)))
        case 4..<7: commands.fill(va(), UInt32(below(2000)), UInt32(truncatingIfNeeded: random.next()))
        case 7, 8: commands.release(va(), UInt32(below(3)))
        case 9: if mayHang, below(20) == 0 { commands.acquire(va(), UInt32(below(3))) }
        case 10:
            let address = UInt32(below(0x1000)) & ~3, data = UInt32(truncatingIfNeeded: random.next())
            commands.method(UInt32(below(8)), address, address == Self.lineCount ? data & 0xfff : data)
        default: if below(20) == 0 { commands.copyEngine(0x300, UInt32(truncatingIfNeeded: random.next())) }
        }
        return commands
    }

    private mutating func syncobjs() {
        let (handle, other) = (handle(), handle())
        switch below(6) {
        case 0, 1: _ = client.syncobj()
        case 2: _ = client.call(NVU_SYNCOBJ_DESTROY, nvu_syncobj_destroy(handle: handle, pad: 0))
        case 3:
            let transfer = nvu_syncobj_transfer(
                src_handle: handle, dst_handle: other, src_point: below(3), dst_point: below(9), flags: 0, pad: 0)
            _ = client.call(NVU_SYNCOBJ_TRANSFER, transfer)
        default:
            [handle, other].withUnsafeBufferPointer { handles in
                let array = nvu_syncobj_array(handles: address(handles.baseAddress), count_handles: 2, pad: 0)
                _ = client.call(below(2) == 0 ? NVU_SYNCOBJ_SIGNAL : NVU_SYNCOBJ_RESET, array)
            }
        }
    }

    private mutating func share() {
        let fd = Int32(3 + below(6))
        switch below(5) {
        case 0: _ = client.call(NVU_PRIME_HANDLE_TO_FD, nvu_prime_handle(handle: handle(), flags: 0, fd: -1))
        case 1: _ = client.call(NVU_PRIME_FD_TO_HANDLE, nvu_prime_handle(handle: 0, flags: 0, fd: fd))
        case 2, 3:
            let call = nvu_syncobj_handle(handle: handle(), flags: UInt32(below(2)), fd: fd, pad: 0, point: 0)
            _ = client.call(below(2) == 0 ? NVU_SYNCOBJ_HANDLE_TO_FD : NVU_SYNCOBJ_FD_TO_HANDLE, call)
        default: if closesDescriptors { client.device.closeDescriptor(fd) }
        }
    }

    private mutating func syncs() -> [nvu_sync] {
        (0..<below(3)).map { _ in
            nvu_sync(flags: UInt32(below(20) == 0 ? 2 : below(2)), handle: handle(), timeline_value: below(20))
        }
    }

    private mutating func bind() {
        let ops = (0...below(4)).map { _ in op() }
        let isAsync = below(3) > 0
        _ = client.bind(ops, async: isAsync, waits: isAsync ? syncs() : [], signals: isAsync ? syncs() : [])
    }

    private mutating func op() -> nvu_vm_bind_op {
        let (addr, count) = (va() & (below(3) == 0 ? ~0xffff : ~0), 1 + below(below(3) == 0 ? 64 : 8))
        switch below(12) {
        case 0..<6: return map(handle(), addr, count << 12, offset: below(4) << 12, kind: below(9) == 0 ? 0xff : 0)
        case 6..<8: return unmap(addr, count << 12)
        case 8: return mapSparse(addr & ~0xffff, count << 12)
        case 9, 10:
            guard let region else { fallthrough }
            return unmapSparse(region.addr, region.range)
        default: return nvu_vm_bind_op(op: UInt32(below(6)), flags: 0, handle: 1, pad: 0, addr: addr, bo_offset: 0, range: 4096)
        }
    }

    private var region: SparseRegion? {
        let uvmm = client.file.uvmm!
        uvmm.mutex.lock()
        defer { uvmm.mutex.unlock() }
        return uvmm.regions.first
    }

    private mutating func exec() {
        let pushes = (0..<below(4)).map { _ in
            nvu_exec_push(va: va() + below(512) << 2, va_len: UInt32(below(1500)), flags: UInt32(below(2)))
        }
        // Most find a channel that works, and nothing wrong: what is pushed is to happen.
        let isGood = below(4) > 0
        _ = client.exec(
            isGood ? livingChannel ?? channel() : channel(), pushes, waits: isGood ? [] : syncs(),
            signals: isGood ? [] : syncs())
    }

    private var livingChannel: Int32? {
        let file = client.file
        file.mutex.lock()
        defer { file.mutex.unlock() }
        return file.channels.first { !$0.isKilled }?.id
    }
}
