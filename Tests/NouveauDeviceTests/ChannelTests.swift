import CNouveauUAPI
import KernelErrno
import Testing

@testable import NouveauDevice

@Suite("Channels, EXEC and NVIF") struct ChannelTests {
    private func vmClient(_ chipset: Int = 0x172) throws -> Client {
        let client = try Client(chipset)
        try #require(client.vmInit() == 0)
        return client
    }

    @Test("CHANNEL_ALLOC: engine, then run list and context handles")
    func allocErrors() throws {
        let client = try vmClient()
        for tt: UInt32 in [0, 3, 0x10, 0x20, ~0] { #expect(client.channelAlloc(fb: ~0, tt: tt).result == -.ENOSYS) }
        for tt: UInt32 in [2, 4, 8] { #expect(client.channelAlloc(fb: ~0, tt: tt).result == -.EINVAL) }
        #expect(client.channelAlloc(fb: 0, tt: ~0).result == -.EINVAL)
        #expect(client.channelAlloc(fb: ~0, tt: 1).result == 0)
        #expect(client.channelAlloc(fb: ~0, tt: 0x30).result == 0)
        #expect(client.channelAlloc(fb: 5, tt: 6).result == 0)
    }

    @Test("a channel takes a GEM handle that freeing it does not give back")
    func notifier() throws {
        let client = try vmClient()
        let first = client.channelAlloc().alloc
        #expect((first.notifier_handle, first.pushbuf_domains, first.nr_subchan) == (1, vram | gart, 0))
        #expect(client.call(NVU_CHANNEL_FREE, nvu_channel_free(channel: first.channel)) == 0)
        #expect(client.call(NVU_CHANNEL_FREE, nvu_channel_free(channel: first.channel)) == -.ENOENT)
        let second = client.channelAlloc().alloc
        #expect((second.channel, second.notifier_handle) == (first.channel, 2))
        #expect(client.gemClose(1) == 0 && client.gemClose(2) == 0)
        #expect(client.device.memory.objectCount == 1)
    }

    @Test("channel numbers are the device's: files do not share them")
    func numbers() throws {
        let client = try vmClient()
        let other = Client(client.device)
        #expect((client.channelAlloc().alloc.channel, other.channelAlloc().alloc.channel) == (0, 1))
        #expect(other.call(NVU_CHANNEL_FREE, nvu_channel_free(channel: 0)) == -.ENOENT)
    }

    @Test("without a kernel area a channel has no room for its buffers")
    func noKernelArea() throws {
        let client = try Client()
        try #require(client.vmInit(0, 0) == 0)
        #expect(client.channelAlloc().result == -.ENOSPC)
        #expect(client.device.memory.objectCount == 0)
    }

    @Test("GROBJ_ALLOC and GPUOBJ_FREE")
    func grobj() throws {
        let client = try vmClient()
        let channel = client.channelAlloc().alloc.channel
        func alloc(_ channel: Int32, _ handle: UInt32, _ oclass: Int32) -> Int32 {
            client.call(NVU_GROBJ_ALLOC, nvu_grobj_alloc(channel: channel, handle: handle, oclass: oclass))
        }
        func free(_ channel: Int32, _ handle: UInt32) -> Int32 {
            client.call(NVU_GPUOBJ_FREE, nvu_gpuobj_free(channel: channel, handle: handle))
        }
        #expect(alloc(99, ~0, 0xc797) == -.EINVAL)
        #expect(alloc(99, 1, 0xc797) == -.ENOENT)
        #expect(alloc(channel, 1, 0x1234) == -.EINVAL)
        #expect(alloc(channel, 1, 0xc797) == 0)
        #expect(free(99, 1) == -.EINVAL)
        #expect(free(channel, 2) == -.ENOENT)
        #expect(free(channel, 1) == 0 && free(channel, 1) == -.ENOENT)
    }

    @Test("GEM_PUSHBUF: ENOSYS after VM_INIT; else the channel, then the counts; no pushes only asks")
    func pushbuf() throws {
        #expect(try vmClient().call(NVU_GEM_PUSHBUF, nvu_gem_pushbuf()) == -.ENOSYS)
        let client = try Client()
        var pushbuf = nvu_gem_pushbuf()
        pushbuf.channel = 9
        #expect(client.call(NVU_GEM_PUSHBUF, pushbuf) == -.ENOENT)
        pushbuf.channel = UInt32(client.channelAlloc().alloc.channel)
        #expect(client.call(NVU_GEM_PUSHBUF, &pushbuf) == 0)
        #expect((pushbuf.vram_available, pushbuf.gart_available) == (48 << 20, 64 << 20 - 4096))
        pushbuf.nr_push = 513
        #expect(client.call(NVU_GEM_PUSHBUF, pushbuf) == -.EINVAL)
    }

    @Test("EXEC: VM_INIT, channel, push count, copies, lengths, waits, signals")
    func exec() throws {
        let legacy = try Client()
        #expect(legacy.exec(99) == -.ENOSYS)
        let client = try vmClient()
        var exec = nvu_exec()
        exec.channel = 99
        exec.push_count = 511
        #expect(client.call(NVU_EXEC, exec) == -.ENOENT)
        exec.channel = UInt32(client.channelAlloc().alloc.channel)
        #expect(client.call(NVU_EXEC, exec) == -.EINVAL)
        exec.push_count = 510
        #expect(client.call(NVU_EXEC, exec) == -.EFAULT)
        let channel = Int32(exec.channel)
        let long = nvu_exec_push(va: 0, va_len: 0x80_0000, flags: 0)
        let good = nvu_exec_push(va: 0, va_len: 0x7f_ffff, flags: ~0)
        var odd = binary(99)
        odd.flags = 5
        #expect(client.exec(channel, [good, long], waits: [odd]) == -.EINVAL)
        #expect(client.exec(channel, [good], waits: [odd], signals: [odd]) == -.EOPNOTSUPP)
        #expect(client.exec(channel, [good], waits: [binary(99)], signals: [odd]) == -.ENOENT)
        #expect(client.exec(channel, [good], signals: [odd]) == -.EINVAL)
        #expect(client.exec(channel, [good], signals: [binary(99)]) == -.ENOENT)
        #expect(client.device.statistics.execs == 0)
        #expect(client.exec(channel) == 0 && client.device.faults.isEmpty)
        // Nothing is mapped there: the channel dies of it.
        #expect(client.exec(channel, Array(repeating: good, count: 510)) == 0)
        #expect(client.device.faults.map(\.access?.va) == [0])
        #expect(client.exec(channel) == -.ENODEV)
    }

    // MARK: - NVIF

    /// An NVIF argument: the header, then what follows it.
    private func nvif(
        _ client: Client, type: UInt8, route: UInt8 = 0, token: UInt64 = 0, object: UInt64 = 0, version: UInt8 = 0,
        _ data: inout [UInt8]
    ) -> Int32 {
        let header = nvu_nvif_ioctl(
            version: version, type: type, pad: (0, 0, 0, 0), owner: 0, route: route, token: token, object: object)
        var bytes = withUnsafeBytes(of: header) { Array($0) } + data
        let request = NVU_NVIF | UInt32(bytes.count) << 16
        let result = bytes.withUnsafeMutableBytes { client.file.ioctl(request, $0.baseAddress) }
        data = Array(bytes[24...])
        return result
    }

    private func nvif(
        _ client: Client, type: UInt8, route: UInt8 = 0, token: UInt64 = 0, object: UInt64 = 0, version: UInt8 = 0,
        data: [UInt8] = []
    ) -> Int32 {
        var data = data
        return nvif(client, type: type, route: route, token: token, object: object, version: version, &data)
    }

    private func newData(_ object: UInt64, _ oclass: Int32, version: UInt8 = 0) -> [UInt8] {
        withUnsafeBytes(
            of: nvu_nvif_new(
                version: version, pad: (0, 0, 0, 0, 0, 0), route: 0, token: object, object: object, handle: 0,
                oclass: oclass)
        ) { Array($0) }
    }

    @Test("the header: length, version, route, type")
    func nvifHeader() throws {
        let client = try vmClient()
        var short = [UInt8](repeating: 0, count: 24)
        #expect(short.withUnsafeMutableBytes { client.file.ioctl(NVU_NVIF | 23 << 16, $0.baseAddress) } == -.EINVAL)
        #expect(client.file.ioctl(NVU_NVIF | 24 << 16, UnsafeMutableRawPointer(bitPattern: 8)) == -.EFAULT)
        #expect(nvif(client, type: 3, version: 1) == -.EINVAL)
        #expect(nvif(client, type: 3, route: 1) == -.EINVAL)
        for type: UInt8 in [0, 5, 255] { #expect(nvif(client, type: type) == -.EINVAL) }
    }

    @Test("NEW and DEL: the device, engine objects of a channel, duplicates; deleting the unknown succeeds")
    func nvifObjects() throws {
        let client = try vmClient()
        let channel = UInt64(client.channelAlloc().alloc.channel)
        #expect(nvif(client, type: 2, data: newData(7, 0x80, version: 1)) == -.EINVAL)
        #expect(nvif(client, type: 2, data: [UInt8](newData(7, 0x80).dropLast())) == -.EINVAL)
        #expect(nvif(client, type: 2, object: 1, data: newData(7, 0x80)) == -.EINVAL)
        #expect(nvif(client, type: 2, data: newData(7, 0x81)) == -.EINVAL)
        #expect(nvif(client, type: 2, data: newData(7, 0x80)) == 0)
        #expect(nvif(client, type: 2, data: newData(7, 0x80)) == -.EEXIST)
        #expect(nvif(client, type: 2, route: 0xff, token: 99, data: newData(7, 0xc797)) == -.EINVAL)
        #expect(nvif(client, type: 2, route: 0xff, token: channel, data: newData(7, 0x1)) == -.EEXIST)
        #expect(nvif(client, type: 2, route: 0xff, token: channel, data: newData(8, 0x1)) == -.EINVAL)
        #expect(nvif(client, type: 2, route: 0xff, token: channel | 1 << 32, data: newData(8, 0xc797)) == 0)
        #expect(nvif(client, type: 3, route: 0xff, object: 8) == -.EINVAL)
        #expect(nvif(client, type: 3, object: 8, data: [0]) == -.EINVAL)
        #expect(nvif(client, type: 3, object: 8) == 0)
        #expect(nvif(client, type: 3, object: 8) == 0)
        #expect(nvif(client, type: 2, route: 0xff, token: channel, data: newData(8, 0xc797)) == 0)
    }

    @Test("MTHD: device information of a device object, nothing else", arguments: [
        (0x132, UInt8(0x0a)), (0x140, 0x0b), (0x162, 0x0c), (0x172, 0x0d),
    ])
    func nvifInfo(chipset: Int, family: UInt8) throws {
        let client = try vmClient(chipset)
        try #require(nvif(client, type: 2, data: newData(7, 0x80)) == 0)
        var data = [UInt8](repeating: 0, count: 112)
        #expect(nvif(client, type: 4, object: 8, data: data) == -.EINVAL)
        #expect(nvif(client, type: 4, route: 0xff, object: 7, data: data) == -.EINVAL)
        #expect(nvif(client, type: 4, object: 7, data: [UInt8](data.dropLast())) == -.EINVAL)
        data[1] = 1
        #expect(nvif(client, type: 4, object: 7, data: data) == -.EINVAL)
        data[1] = 0
        data[8] = 1
        #expect(nvif(client, type: 4, object: 7, data: data) == -.EINVAL)
        data[8] = 0
        #expect(nvif(client, type: 4, object: 7, &data) == 0)
        let info = data.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 8, as: nvu_device_info.self) }
        #expect((info.platform, Int(info.chipset), info.family) == (3, chipset, family))
        #expect((info.ram_size, info.ram_user) == (64 << 20, 48 << 20))
        let name = withUnsafeBytes(of: info.chip) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        #expect(name == client.device.chip.name)
    }

    @Test("SCLASS: the channel's classes, as many as there is room for; nothing comes back on failure")
    func nvifClasses() throws {
        let client = try vmClient()
        let channel = UInt64(client.channelAlloc().alloc.channel)
        var data = [UInt8](repeating: 0xee, count: 8 + 3 * 8)
        data[0] = 0
        data[1] = 3
        #expect(nvif(client, type: 1, token: channel, data: data) == -.EINVAL)
        #expect(nvif(client, type: 1, route: 0xff, token: 99, &data) == -.EINVAL)
        #expect(data[1] == 3 && data[8] == 0xee)
        #expect(nvif(client, type: 1, route: 0xff, token: channel, &data) == 0)
        #expect(data[1] == 6)
        let classes = (0..<3).map { i in data.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 8 + 8 * i, as: Int32.self) } }
        #expect(classes == [0x902d, 0xa140, 0xc797])
        data[1] = 4
        #expect(nvif(client, type: 1, route: 0xff, token: channel, data: data) == -.EINVAL)
    }

    @Test("the class table: NVK finds its copy, 2D, 3D, inline and compute classes", arguments: [
        (0x130, [0x902d, 0xa140, 0xc097, 0xc0c0, 0xc0b5]), (0x134, [0x902d, 0xa140, 0xc197, 0xc1c0, 0xc1b5]),
        (0x140, [0x902d, 0xa140, 0xc397, 0xc3c0, 0xc3b5]), (0x164, [0x902d, 0xa140, 0xc597, 0xc5c0, 0xc5b5]),
        (0x174, [0x902d, 0xa140, 0xc797, 0xc7c0, 0xc7b5]),
    ])
    func classTable(chipset: Int, expected: [UInt16]) {
        let offered = EngineClasses(chipset: chipset).offered(copyOnly: false)
        let found = [0x2d, 0x40, 0x97, 0xc0, 0xb5].map { low in offered.filter { $0 & 0xff == low }.max() }
        #expect(found == expected)
        #expect(EngineClasses(chipset: chipset).offered(copyOnly: true).allSatisfy { $0 & 0xff == 0xb5 })
    }
}
