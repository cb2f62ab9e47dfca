import CNouveauUAPI
import KernelErrno
import NVMMU
import NouveauUAPI
import Testing

@testable import NouveauDevice

@Suite("The device and its files") struct DeviceTests {
    @Test("an unknown chip and a bad VRAM size say so in one line")
    func badOptions() {
        #expect(throws: DeviceError.unknownChipset(0x7ff)) { try Device(chipset: 0x7ff) }
        #expect(DeviceError.unknownChipset(0x7ff).description.contains("0x7ff"))
        for (chipset, name) in [(0x04, "NV04"), (0x50, "G80"), (0xaf, "MCP89")] {
            #expect(throws: DeviceError.noVMBind(chip: name)) { try Device(chipset: chipset) }
        }
        #expect(DeviceError.noVMBind(chip: "G80").description.contains("Fermi"))
        for vram: UInt64 in [0, 16 << 20, 1 << 40, (64 << 20) + 1] {
            var options = DeviceOptions()
            options.vram = vram
            #expect(throws: DeviceError.badVRAM(vram)) { try Device(chipset: 0x172, options: options) }
        }
    }

    @Test("dispatch: type, number, permission; NVIF by its number alone; EBADF once closed")
    func dispatch() throws {
        let client = try Client()
        var words = [UInt64](repeating: 0, count: 16)
        func ioctl(_ request: UInt32) -> Int32 {
            words.withUnsafeMutableBytes { client.file.ioctl(request, $0.baseAddress) }
        }
        #expect(ioctl(0xc010_6540) == -.ENOTTY)
        for number: UInt32 in [0x4a, 0x4f, 0x54, 0x7f, 0x85, 0x9f, 0xa0, 0xff, 0x1f] {
            #expect(ioctl(0xc010_6400 | number) == -.EINVAL, "\(number)")
        }
        for request in [
            NVU_SETPARAM, NVU_GET_UNIQUE, NVU_GET_MAGIC, NVU_GEM_FLINK, NVU_GEM_OPEN, NVU_SET_CLIENT_CAP, NVU_AUTH_MAGIC,
        ] {
            #expect(ioctl(request) == -.EACCES)
        }
        #expect(ioctl(NVU_GEM_CHANGE_HANDLE) == -.EINVAL)
        #expect(ioctl(0xc010_0047) == -.EINVAL)  // NVIF, too short, whatever its type
        #expect(client.file.ioctl(NVU_GETPARAM, nil) == -.EFAULT)
        client.file.close()
        #expect(ioctl(NVU_GETPARAM) == -.EBADF)
    }

    @Test("no address is EFAULT for whatever reads its argument, before permission and validation", arguments: Command.allCases)
    func noAddress(command: Command) throws {
        let definition = command.definition
        guard definition.sizeIn > 0 else { return }
        #expect(try Client().file.ioctl(definition.word, nil) == -.EFAULT)
    }

    @Test("GETPARAM: values of the device; an unknown one is EINVAL and left alone")
    func parameters() throws {
        let client = try Client(0x162)
        func get(_ param: UInt64) -> (Int32, UInt64) {
            var get = nvu_getparam(param: param, value: 99)
            let result = client.call(NVU_GETPARAM, &get)
            return (result, get.value)
        }
        #expect(get(11) == (0, 0x162))
        #expect(get(8) == (0, 48 << 20))
        #expect(get(9) == (0, 64 << 20))
        #expect(get(17) == (0, 510))
        #expect(get(18) == (0, 64 << 20))
        #expect(get(19) == (0, 0))
        for param: UInt64 in [15, 16, 20] { #expect(get(param) == (0, 1)) }
        #expect(get(3) == (0, 0x10de) && get(5) == (0, 2) && get(12) == (0, 0))
        #expect(get(13).1 > 0 && get(14).1 > 0)
        for param: UInt64 in [0, 6, 7, 10, 21, .max] { #expect(get(param) == (-.EINVAL, 99)) }
        try #require(client.vmInit() == 0)
        #expect(get(19).1 > 0)
        let used = get(19).1
        _ = try client.buffer(vram, 1 << 20)
        #expect(get(19) == (0, used + 1 << 20))
    }

    @Test("ioctls of what the device does not have")
    func absent() throws {
        let client = try Client()
        #expect(client.call(NVU_GET_ZCULL_INFO, nvu_get_zcull_info()) == -.ENOTTY)
        #expect(client.call(NVU_SVM_INIT, nvu_svm_init()) == -.ENOSYS)
        #expect(client.call(NVU_SVM_BIND, nvu_svm_bind()) == -.EINVAL)
        #expect(client.call(NVU_NOTIFIEROBJ_ALLOC, nvu_notifierobj_alloc()) == -.EINVAL)
    }

    @Test("VERSION: lengths always, texts as far as there is room, no terminator")
    func version() throws {
        let client = try Client()
        var name = [UInt8](repeating: 0xff, count: 16)
        var version = nvu_version()
        #expect(client.call(NVU_VERSION, &version) == 0)
        #expect((version.version_major, version.version_minor, version.version_patchlevel) == (1, 4, 2))
        #expect((version.name_len, version.date_len) == (7, 1))
        name.withUnsafeMutableBytes { version.name = UInt64(UInt(bitPattern: $0.baseAddress)) }
        version.name_len = 4
        #expect(client.call(NVU_VERSION, &version) == 0)
        #expect(version.name_len == 7 && name[..<5] == [0x6e, 0x6f, 0x75, 0x76, 0xff])
        version.name = 8
        #expect(client.call(NVU_VERSION, &version) == -.EFAULT)
    }

    @Test("GET_CAP: zeroed first; displays EOPNOTSUPP, unknown EINVAL")
    func capabilities() throws {
        let client = try Client()
        func get(_ capability: UInt64) -> (Int32, UInt64) {
            var cap = nvu_cap_value(capability: capability, value: 9)
            let result = client.call(NVU_GET_CAP, &cap)
            return (result, cap.value)
        }
        #expect(get(5) == (0, 3) && get(6) == (0, 1) && get(0x13) == (0, 1) && get(0x14) == (0, 1))
        #expect(get(1) == (-.EOPNOTSUPP, 0) && get(0x15) == (-.EOPNOTSUPP, 0))
        for capability: UInt64 in [0, 0x16, .max] { #expect(get(capability) == (-.EINVAL, 0)) }
    }

    @Test("SET_CLIENT_NAME: at most 64 printing characters; none clears")
    func clientName() throws {
        let client = try Client()
        func set(_ name: String, at wrong: UInt64? = nil) -> Int32 {
            Array(name.utf8).withUnsafeBufferPointer {
                client.call(
                    NVU_SET_CLIENT_NAME,
                    nvu_set_client_name(name_len: UInt64($0.count), name: wrong ?? address($0.baseAddress)))
            }
        }
        #expect(set("vkcube") == 0 && client.file.clientName == "vkcube")
        for bad in ["a b", "tab\t", "null\0", String(repeating: "x", count: 65)] { #expect(set(bad) == -.EINVAL) }
        #expect(set(String(repeating: "x", count: 65), at: 8) == -.EINVAL)
        #expect(set("abc", at: 8) == -.EFAULT)
        #expect(client.file.clientName == "vkcube")
        #expect(set("") == 0 && client.file.clientName == "")
    }

    @Test("gpuvas prints the kernel's text to the byte, the newest client first")
    func gpuvas() throws {
        let client = try Client()
        #expect(client.device.gpuvas() == "")
        try #require(client.vmInit() == 0)
        let handle = try client.buffer(gart, 64 << 10)
        #expect(client.bind([map(handle, 0x1_0000, 0x2000, offset: 0x1000), mapSparse(0x20_0000, 0x20_0000)]) == 0)
        let dashes = (String(repeating: "-", count: 109), String(repeating: "-", count: 76))
        let first = """
            DRM GPU VA space (test[1]) [0x0000000000000000;0x0000800000000000]
            Kernel reserved node [0x0000008000000000;0x0000010000000000]

             VAs | start              | range              | end                | object             | object offset
            \(dashes.0)
                 | 0x0000000000010000 | 0x0000000000002000 | 0x0000000000012000 | 0xffff888000000400 | 0x0000000000001000

             VA regions  | start              | range              | end                \("")
            \(dashes.1)
                         | 0x0000000000200000 | 0x0000000000200000 | 0x0000000000400000

            """
        #expect(client.device.gpuvas() == first)
        let other = Client(client.device)
        try #require(other.vmInit(0, 0) == 0)
        let text = client.device.gpuvas()
        #expect(text.hasSuffix(first) && text.count > first.count)
        other.file.close()
        #expect(client.device.gpuvas() == first)
    }

    @Test("a name beyond 31 bytes is cut")
    func names() throws {
        let device = try Client().device
        #expect(device.open(name: String(repeating: "n", count: 40)).name == String(repeating: "n", count: 31))
    }

    @Test("closing a file, once or twice, gives everything back", arguments: [0x132, 0x140, 0x162, 0x172, 0x194])
    func close(chipset: Int) throws {
        let client = try Client(chipset)
        let before = Snapshot(client)
        try #require(client.vmInit() == 0)
        let (big, small) = (try client.buffer(vram, 4 << 20), try client.buffer(gart, 64 << 10))
        let channel = client.channelAlloc()
        #expect(channel.result == 0)
        #expect(
            client.bind([
                map(big, 0x40_0000, 0x40_0000), mapSparse(0x100_0000, 0x21_1000), map(small, 0x100_1000, 0x3000),
                map(small, 0, 0x1000), unmap(0x40_1000, 0x1000),
            ]) == 0)
        try #require(client.call(NVU_SYNCOBJ_CREATE, nvu_syncobj_create()) == 0)
        #expect(client.gemClose(big) == 0)
        client.file.close()
        client.file.close()
        #expect(Snapshot(client) == before)
        #expect(client.device.statistics.tablesMade == client.device.statistics.tablesFreed)
        let again = Client(client.device)
        #expect(again.channelAlloc().alloc.channel == channel.alloc.channel)
    }

    @Test("a file that nobody holds is closed")
    func abandoned() throws {
        var client: Client? = try Client()
        let device = client!.device
        try #require(client!.vmInit() == 0)
        let handle = try client!.buffer(vram, 4096)
        #expect(client!.bind([map(handle, 0, 4096)]) == 0)
        #expect(!device.gpuvas().isEmpty)
        client = nil
        #expect(device.gpuvas() == "" && device.memory.objectCount == 0 && device.memory.tables.used == 0)
    }

    @Test("an address space that a job keeps longest still finds its device when it goes")
    func lastSpace() throws {
        var client: Client? = try Client()
        try #require(client!.vmInit() == 0)
        var space = client!.file.uvmm
        weak var device = client!.device
        client!.file.close()
        client = nil
        #expect(space != nil && device != nil)
        space = nil
        #expect(device == nil)
    }

    @Test("statistics count calls that went through")
    func statistics() throws {
        let client = try Client()
        try #require(client.vmInit() == 0)
        let handle = try client.buffer(gart, 4096)
        let channel = client.channelAlloc().alloc.channel
        _ = client.bind([map(handle, 0, 4096), unmap(0, 4096), mapSparse(0, 4096), unmapSparse(0, 4096)])
        _ = client.bind([map(99, 0, 4096)])
        _ = client.exec(channel, [nvu_exec_push(va: 0, va_len: 24, flags: 0), nvu_exec_push(va: 0, va_len: 8, flags: 0)])
        let s = client.device.statistics
        #expect((s.binds, s.maps, s.unmaps, s.sparseMaps, s.sparseUnmaps, s.bindOps) == (1, 1, 1, 1, 1, 4))
        #expect((s.execs, s.pushes, s.pushBytes, s.pushDwords) == (1, 2, 32, 8))
        #expect(s.flushes > 0)
    }
}
