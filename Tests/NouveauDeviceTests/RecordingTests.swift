import CNouveauUAPI
import DRMLock
import GPUVMTrace
import GateSupport
import Glibc
import JSONLines
import KernelErrno
import Model
import Synchronization
import Testing
import TraceSupport

@testable import NouveauDevice

/// A client of a device that records.
private func recordingClient(_ path: String, memory: Bool = false, gate: Gate? = nil) throws -> Client {
    var options = DeviceOptions()
    options.vram = 64 << 20
    options.gart = 64 << 20
    let device = try Device(chipset: 0x172, options: options, gate: gate)
    var recording = RecordingOptions()
    recording.memory = memory
    try device.record(to: path, options: recording)
    return Client(device)
}

/// Replays a finished recording on a device like the recorded one.
private func replay(_ path: String) throws -> ReplayReport {
    let trace = try Trace(path: path)
    var options = DeviceOptions()
    options.vram = 64 << 20
    options.gart = 64 << 20
    let replayer = Replayer(trace, on: try Device(chipset: 0x172, options: options))
    try replayer.run()
    return replayer.report
}

@Suite("Recording") struct RecordingTests {
    @Test("a random session replays without a difference: answers, address spaces, memory") func random() throws {
        let start = RandomTest.seed("recorded ioctls")
        var pages = 0, faults = 0
        for seed in start..<start + UInt64(RandomTest.rounds(8)) {
            let scratch = Scratch([])
            let first = try recordingClient(scratch.path, memory: true)
            let clients = [first, Client(first.device)]
            var streams = clients.enumerated().map { i, client in
                IoctlStream(
                    client: client, random: SeededRandom(seed: seed << 1 | UInt64(i)), mayHang: false, closesDescriptors: false)
            }
            for (i, client) in clients.enumerated() {
                try #require(client.vmInit() == 0 && client.channelAlloc().result == 0)
                // Pushes, and something to copy from and to, until the stream unmaps it.
                let range = IoctlStream.window, buffer = try client.buffer(gart, range)
                try #require(client.bind([map(buffer, 0, range)]) == 0)
                streams[i].write(commandsTo: client.bytes(buffer), Int(range / 32))
            }
            for n in 0..<200 { streams[n % 2].step() }
            for client in clients { client.file.close() }
            first.device.finishRecording()
            let report = try replay(scratch.path)
            #expect(report.isEqual, "seed \(seed): \(report.findings)")
            #expect(report.faults.map(\.description) == first.device.faults.map(\.description), "seed \(seed)")
            pages += report.pagesChecked
            faults += report.faults.count
        }
        #expect(pages > 0 && faults > 0, "\(pages) pages, \(faults) faults: the pushes did nothing")
    }

    @Test("lines of threads stand in the order of what they did") func threads() throws {
        let scratch = Scratch([])
        let gate = ThreadedGate()
        do {
            let client = try recordingClient(scratch.path, gate: gate).leavingWork
            #expect(client.vmInit() == 0)
            let actors = (0..<3).map { i in
                gate.spawn("client \(i)") {
                    // Handles go from thread to thread: out of order, a line would name what is not there.
                    for _ in 0..<300 {
                        let (syncobj, buffer) = (client.syncobj(), client.gemNew(gart, 4096).info.handle)
                        _ = client.bind(
                            [map(buffer, UInt64(i) << 20, 4096)], async: true, signals: [binary(syncobj)])
                        _ = client.gemClose(buffer)
                        _ = client.call(NVU_SYNCOBJ_DESTROY, nvu_syncobj_destroy(handle: syncobj, pad: 0))
                    }
                }
            }
            for actor in actors { gate.join(actor) }
            client.file.close()
            client.device.finishRecording()
        }
        gate.shutdown()
        let report = try replay(scratch.path)
        #expect(report.isEqual, "\(report.findings)")
        #expect(report.lines > 4500 && report.statesChecked > 50)
        let threads = Set(try Trace(path: scratch.path).lines.compactMap { if case .call(let call) = $0 { call.tid } else { nil } })
        #expect(threads.count >= 3)
    }

    @Test("with clients that wait for each other, recording of memory ends") func steppedClients() throws {
        let seed = RandomTest.seed("recorded clients, stepped")
        for seed in seed..<seed + UInt64(RandomTest.rounds(10)) {
            let scratch = Scratch([])
            let gate = SteppedGate(.seeded(seed))
            let first = try recordingClient(scratch.path, memory: true, gate: gate)
            let clients = [first, Client(first.device)]
            let actors = clients.enumerated().map { i, client in
                gate.spawn("client \(i)") {
                    _ = client.vmInit()
                    var stream = IoctlStream(
                        client: client.leavingWork, random: SeededRandom(seed: seed << 1 | UInt64(i)), mayHang: true,
                        closesDescriptors: false)
                    for _ in 0..<60 { stream.step() }
                    client.file.close()
                }
            }
            for actor in actors { gate.join(actor) }
            first.device.finishRecording()
            // What hung, and for how long, is another story in a replay.
            #expect(try replay(scratch.path).stateMismatches == 0, "seed \(seed)")
        }
    }

    @Test("a recording that cannot go on is told once, and stops no call") func fullDisk() throws {
        let device = try Device(chipset: 0x172)
        let told = Told()
        var options = RecordingOptions()
        options.complain = { told.lines.append($0) }
        try device.record(to: "/dev/full", options: options)
        let client = Client(device)
        #expect(client.vmInit() == 0)
        #expect(client.gemNew(gart, 4096).result == 0)
        device.finishRecording()
        #expect(told.lines == ["/dev/full: cannot record: No space left on device: the recording ends here"])
        #expect(throws: RecordingError(path: "/nonexistent/x", reason: "No such file or directory")) {
            try Device(chipset: 0x172).record(to: "/nonexistent/x")
        }
    }

    private final class Told: @unchecked Sendable { var lines: [String] = [] }

    @Test("GPUVM_RECORD names the file, %p the process; .gz is gzipped, and whole when the device goes") func environment() throws {
        let path = Scratch([], suffix: "-\(getpid()).gz")
        let asked = path.path.dropLast("\(getpid()).gz".count) + "%p.gz"
        do {
            let device = try Device(chipset: 0x172)
            device.recordAsEnvironmentAsks { $0 == "GPUVM_RECORD" ? String(asked) : nil }
            let client = Client(device)
            #expect(client.vmInit() == 0)
            client.file.close()
        }
        #expect(contents(path.path).prefix(2) == [0x1f, 0x8b])
        let lines = gzippedLines(path.path)
        #expect(lines.count == 5 && lines[0].contains(#""device":"gpuvm""#) && lines[4] == #"{"op":"end","lines":2}"#)
        #expect(lines[1] == #"{"n":0,"tid":1,"fd":3,"op":"VM_INIT","req":"0xc0106450","in":{"kernel_managed_addr":"0x8000000000","kernel_managed_size":"0x8000000000"},"ret":0}"#)
        #expect(try replay(path.path).isEqual)
    }

    @Test("every %p of a path is the process's number, and nothing else changes") func paths() {
        let number = "\(getpid())"
        let rows = ["": "", "a/b": "a/b", "%p": number, "t-%p.%p.gz": "t-\(number).\(number).gz", "%%p%": "%\(number)%", "%d%": "%d%"]
        for (path, expected) in rows { #expect(processPath(path) == expected) }
    }

    @Test("what is not gzipped is in the file as soon as the call returns") func promptly() throws {
        let scratch = Scratch([])
        let client = try recordingClient(scratch.path)
        for n in 1...3 {
            _ = client.gemNew(gart, 4096)
            #expect(gzippedLines(scratch.path).count == 1 + n)
        }
        client.device.finishRecording()
    }

    @Test("what a line cannot say is left out") func unsayable() throws {
        let scratch = Scratch([])
        let client = try recordingClient(scratch.path)
        #expect(client.call(NVU_SYNCOBJ_DESTROY, nvu_syncobj_destroy(handle: 1, pad: 1)) == -.EINVAL)
        #expect(client.call(NVU_GEM_CPU_FINI, nvu_gem_cpu_fini(handle: 1)) == -.ENOENT)
        #expect(client.file.ioctl(NVU_GEM_NEW, nil) == -.EFAULT)
        #expect(client.vmInit() == 0)
        let array = nvu_syncobj_array(handles: 8, count_handles: 1, pad: 0)
        #expect(client.call(NVU_SYNCOBJ_RESET, array) == -.EFAULT)
        #expect(client.bind([nvu_vm_bind_op(op: 4, flags: 0, handle: 0, pad: 0, addr: 0, bo_offset: 0, range: 4096)]) == -.EINVAL)
        #expect(client.gemClose(9) == -.EINVAL)
        client.file.close()
        client.device.finishRecording()
        let lines = gzippedLines(scratch.path)
        #expect(lines.count == 6, "\(lines)")
        #expect(lines[2].hasSuffix(#""op":"GEM_CLOSE","req":"0x40086409","in":{"handle":9},"ret":-1,"errno":22}"#))
        #expect(try replay(scratch.path).isEqual)
    }
}
