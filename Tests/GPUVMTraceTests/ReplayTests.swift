import DRMLock
import GPUVM
import GPUVMTrace
import JSONLines
import Model
import NVMMU
import NouveauDevice
import Testing
import TraceSupport

/// On the device of a gate it runs lazily.
private func replay(_ trace: Trace, chipset: Int? = nil, gate: Gate? = nil) throws -> ReplayReport {
    let device = try Device(chipset: chipset ?? trace.header.chipset, gate: gate)
    let replayer = Replayer(trace, on: device, pace: gate == nil ? .drained : .lazy)
    try replayer.run()
    return replayer.report
}

private func replay(_ lines: [String]) throws -> ReplayReport {
    try replay(session(lines))
}

/// What replaying the lines complains about.
private func replayComplaint(_ lines: [String]) -> String? {
    complaint(Scratch(lines: lines)) { path throws(InputError) in
        let trace = try Trace(path: path)
        guard let device = try? Device(chipset: trace.header.chipset) else { return }
        try Replayer(trace, on: device).run()
    }
}

@Suite struct ReplayTests {
    @Test("a recorded session gives the recorded answers, address spaces and page tables", arguments: sampleNames)
    func samples(_ name: String) throws {
        let report = try replay(Trace(path: sampleTrace(name)))
        #expect(report.isEqual, "\(report.findings)")
        #expect(
            report.statesChecked
                == ["data_sparse_buf-0x120": 13, "extern-0x172": 7, "sparse_buf-0x172": 11, "vulkaninfo-0x172": 2][name])
        #expect(report.mostMappings.count > 0)
        #expect(report.faults.isEmpty, "\(report.faults)")
    }

    @Test("so it does in any order of jobs", arguments: sampleNames) func seeds(_ name: String) throws {
        let trace = try Trace(path: sampleTrace(name))
        for seed in 1...UInt64(RandomTest.rounds(20, long: 5)) {
            let report = try replay(trace, gate: SteppedGate(.seeded(seed)))
            #expect(report.isEqual && report.faults.isEmpty, "seed \(seed): \(report.findings) \(report.faults)")
        }
    }

    @Test("so it does with threads", arguments: sampleNames) func threads(_ name: String) throws {
        let gate = ThreadedGate()
        let report = try replay(Trace(path: sampleTrace(name)), gate: gate)
        gate.shutdown()
        #expect(report.isEqual && report.faults.isEmpty, "\(report.findings) \(report.faults)")
    }

    @Test("so do all sessions at hand", arguments: sharedTraces) func shared(_ path: String) throws {
        let report = try replay(Trace(path: path))
        #expect(report.isEqual, "\(report.findings)")
    }

    /// Chips that offer what the session asks for: sparse pages, and memory of their own, which GP10B lacks. The device
    /// has no graphics engine for the channels of GA100, Hopper and Blackwell.
    private static let likeChips = Chip.all
        .filter { chip in chip.format.pageSizes.contains { $0.sparse && $0.vram } }
        .filter { $0.chipset != 0x170 && !["Hopper", "Blackwell"].contains($0.family) }
        .map(\.chipset)

    @Test("a session gives the same address spaces on every chip", arguments: likeChips)
    func otherChips(_ chipset: Int) throws {
        let report = try replay(Trace(path: sampleTrace("sparse_buf-0x172")), chipset: chipset)
        #expect(report.isEqual, "\(report.findings)")
        #expect(report.chip.chipset == chipset)
    }

    @Test("what was done is counted") func counts() throws {
        let report = try replay(Trace(path: sampleTrace("sparse_buf-0x172")))
        #expect(report.lines == 406 && report.calls.values.reduce(0, +) == 393)
        #expect(report.calls[.vmBind] == 73 && report.calls[.exec] == 56)
        #expect(report.binds.ops == 404 && report.binds.maps == 258 && report.binds.unmaps == 144)
        #expect(report.binds.sparseMaps == 1 && report.binds.sparseUnmaps == 1)
        #expect(report.binds.synchronous == 33 && report.binds.asynchronous == 40)
        #expect(report.device.execs == 56 && report.device.pushes == 48)
        #expect(report.device.bytesCopied == 342_691_840)
        #expect(report.pageTables[.pd3] == 2 && report.pageTables[.spt] ?? 0 > 1)
    }

    @Test("the memory that the device wrote is compared, page by page") func pages() throws {
        let report = try replay(Trace(path: sampleTrace("data_sparse_buf-0x120")))
        #expect(report.pagesChecked == 2688 && report.pageMismatches == 0 && report.pagesSkipped == 0)
    }

    @Test("a lazy replay leaves jobs for later lines") func lazy() throws {
        let trace = try Trace(path: sampleTrace("sparse_buf-0x172"))
        let device = try Device(chipset: 0x172, gate: SteppedGate(.seeded(1)))
        let replayer = Replayer(trace, on: device, pace: .lazy)
        var left = 0
        while let line = try replayer.next() {
            if case .call(let call) = line, call.op == .exec || call.op == .vmBind, device.proceed() { left += 1 }
        }
        #expect(left > 40, "after \(left) of 129 lines there was something to do")
        #expect(replayer.report.isEqual, "\(replayer.report.findings)")
    }

    @Test("the small session is right as it stands") func tiny() throws {
        let report = try replay(tinyTrace)
        #expect(report.isEqual && report.statesChecked == 2, "\(report.findings)")
    }
}

@Suite struct FalsifiedReplayTests {
    @Test("a recorded hash that is not the state's is a mismatch") func hash() throws {
        let report = try replay(tinyTrace.editing(5, "0x90c", "0x90d"))
        #expect(report.stateMismatches == 1 && report.answerMismatches == 0)
        #expect(report.findings.map(\.place.line) == [5])
        #expect(report.findings.first?.text.first?.contains("0x90c0252491feac15") == true)
    }

    @Test("recorded counts that are not the state's are a mismatch", arguments: ["maps", "sparse"])
    func counts(_ key: String) throws {
        let report = try replay(tinyTrace.editing(5, "\"\(key)\":1", "\"\(key)\":2"))
        #expect(report.stateMismatches == 1)
    }

    @Test("a recorded list that is not the state is a mismatch", arguments: [("0x112000", "0x113000"), ("0x200000", "0x201000")])
    func lists(_ old: String, _ new: String) throws {
        let report = try replay(tinyTrace.editing(7, old, new))
        #expect(report.stateMismatches == 1 && report.findings.first?.place.line == 7)
    }

    @Test(
        "a bind that differs from the recorded one is seen in the state",
        arguments: [("0x110000", "0x111000"), (#""0x1000""#, #""0x2000""#), ("0x2000", "0x3000"), (#"MAP","flags":0"#, #"MAP","flags":6"#)])
    func bind(_ old: String, _ new: String) throws {
        let report = try replay(tinyTrace.editing(4, old, new))
        #expect(report.stateMismatches == 2)
    }

    @Test("a recorded answer that differs is a mismatch") func answer() throws {
        let report = try replay(tinyTrace.editing(6, #""ret":0"#, #""ret":-1,"errno":22"#))
        #expect(report.answerMismatches == 1)
        #expect(report.findings.first?.text == ["GEM_CLOSE gave 0, recorded -EINVAL"])
    }

    @Test("a recorded page that differs from the device's is a mismatch") func page() throws {
        let lines = gzippedLines(sampleTrace("data_sparse_buf-0x120"))
        let at = try #require(lines.firstIndex { $0.contains(#""op":"mem_after""#) })
        let hash = try #require(lines[at].firstMatch(of: /\[\["0x[0-9a-f]+","(0x[0-9a-f]+)"/)).1
        let report = try replay(lines.editing(at + 1, String(hash), "0x123"))
        #expect(report.pageMismatches == 1 && report.mismatches == 1 && report.pagesChecked == 2688)
        #expect(report.findings.map(\.place.line) == [at + 1])
        #expect(report.findings.first?.text.first?.hasSuffix("hash \(hash), recorded 0x123") == true)
    }

    @Test("memory that the client did not write, or wrote otherwise, is seen in what the device wrote")
    func clientMemory() throws {
        let lines = gzippedLines(sampleTrace("data_sparse_buf-0x120"))
        let all = lines.map { $0.replacing(/"[0-9a-f]{8192}"/, with: #""z""#) }
        #expect(all != lines)
        #expect(try replay(all).pageMismatches > 0)
    }

    @Test("a page beyond its object is refused with its line") func pageBeyond() throws {
        let mem = #"{"n":3,"fd":4,"op":"mem","handle":7,"pages":[["0x1f000","z"],["0x20000","z"]]}"#
        #expect(replayComplaint(tinyTrace.replacing(6, mem)) == "6: the page at 0x20000 is beyond the object's end")
        let after = #"{"n":3,"fd":4,"op":"mem_after","handle":7,"pages":[["0x20000","0x1"]]}"#
        #expect(replayComplaint(tinyTrace.replacing(6, after)) == "6: the page at 0x20000 is beyond the object's end")
        #expect(replayComplaint(tinyTrace.replacing(6, mem.replacing(":7", with: ":8")))
            == "6: GEM handle 8 was never made, or is closed")
    }

    @Test("page tables that do not follow the address space are a mismatch") func pageTables() throws {
        let lost = try tampered { uvmm in try uvmm.tables.unmap(0x110000, 0x1000, shift: 12, sparse: true) }
        #expect(lost.stateMismatches == 1)
        #expect(
            lost.findings.first?.text == [
                "0x110000..0x111000: expected vram 0x1000 kind 0x0 (handle 7, mapped in line 4), page tables have sparse"
            ])
        let fault = try tampered { uvmm in try uvmm.tables.unmap(0x111000, 0x1000, shift: 12, sparse: false) }
        #expect(fault.stateMismatches == 1)
        let hole = try tampered { uvmm in try uvmm.tables.putSparse(0x100000, 0x100000) }
        #expect(hole.stateMismatches == 1)
        let more = try tampered { uvmm in try uvmm.tables.getSparse(0x4000000, 0x1000) }
        #expect(more.findings.first?.text == ["0x4000000..0x4001000: expected nothing, page tables have sparse"])
        #expect(try tampered { _ in }.isEqual)
    }

    /// Replays the small session, lets `body` spoil the page tables after the bind, and goes on.
    private func tampered(_ body: (UVMM) throws -> Void) throws -> ReplayReport {
        let trace = try session(tinyTrace)
        let replayer = Replayer(trace, on: try Device(chipset: 0x172))
        try replayer.run(through: 5)
        #expect(replayer.report.isEqual)
        try body(#require(replayer.files[4]?.uvmm))
        try replayer.run()
        return replayer.report
    }
}

@Suite struct HandleTests {
    @Test("a handle that was never made is refused with its line") func neverMade() {
        #expect(replayComplaint(tinyTrace.editing(4, #""handle":7"#, #""handle":8"#))
            == "4: GEM handle 8 was never made, or is closed")
        #expect(replayComplaint(tinyTrace.editing(6, #""handle":7"#, #""handle":8"#))
            == "6: GEM handle 8 was never made, or is closed")
    }

    @Test("a handle is gone after its close") func closed() {
        var lines = tinyTrace
        lines.insert(lines[5].replacingNumber(4), at: 7)
        lines[8] = lines[8].replacingNumber(5)
        lines[9] = #"{"op":"end","lines":6}"#
        #expect(replayComplaint(lines) == "8: GEM handle 7 was never made, or is closed")
    }

    @Test("a call that failed may name what never was") func failed() throws {
        let lines = tinyTrace.editing(6, #""handle":7},"ret":0"#, #""handle":8},"ret":-1,"errno":22"#)
        let report = try replay(lines)
        #expect(report.isEqual, "\(report.findings)")
    }

    private static let strangers = [
        ("channel 3", #""op":"CHANNEL_FREE","req":"0x40046443","in":{"channel":3}"#),
        ("syncobj handle 9", #""op":"SYNCOBJ_DESTROY","req":"0xc00864c0","in":{"handle":9}"#),
        ("map_handle 0x5000", #""op":"mmap","in":{"off":"0x5000","len":"0x1000","prot":3,"flags":1,"fixed":0}"#),
        ("descriptor 7", #""op":"PRIME_FD_TO_HANDLE","req":"0xc00c642e","in":{"fd":7},"out":{"handle":2}"#),
    ]

    @Test("the same holds for channels, syncobjs, map_handles and descriptors", arguments: strangers)
    func others(_ what: String, _ call: String) {
        var lines = tinyTrace
        lines[5] = #"{"n":3,"tid":1,"fd":4,"# + call + #","ret":0}"#
        #expect(replayComplaint(lines) == "6: \(what) was never made, or is closed")
    }
}

@Suite struct PushTests {
    /// The small session with a channel and one EXEC in line 7, of pushes that are mapped from 0x110000 to 0x112000.
    private static func session(_ pushes: String) -> [String] {
        let channel = #"{"n":3,"tid":1,"fd":4,"op":"CHANNEL_ALLOC","req":"0xc0586442","in":{"fb_ctxdma_handle":0,"tt_ctxdma_handle":0},"out":{"channel":0,"pushbuf_domains":4,"notifier_handle":9,"nr_subchan":0},"ret":0}"#
        let exec = #"{"n":4,"tid":1,"fd":4,"op":"EXEC","req":"0xc0286452","in":{"channel":0,"pushes":[\#(pushes)],"waits":[],"sigs":[]},"ret":0}"#
        return Array(tinyTrace.prefix(5)) + [channel, exec, #"{"n":5,"tid":1,"fd":4,"op":"close"}"#, #"{"op":"end","lines":6}"#]
    }

    /// Methods of the host: a semaphore release at 0x111800, payload 0x77.
    private static let release = "200500170011180000000000000000770000000000000001"

    private func replayed(_ pushes: String) throws -> (report: ReplayReport, payload: UInt32) {
        let replayer = Replayer(try GPUVMTraceTests.session(Self.session(pushes)), on: try Device(chipset: 0x172))
        try replayer.run(through: 7)
        let object = try #require(replayer.files[4]?.file.object(handle: 1))
        return (replayer.report, object.bytes.load(fromByteOffset: 0x2800, as: UInt32.self))
    }

    @Test("words of pushes are put where their addresses lead, and carried out") func words() throws {
        let (report, payload) = try replayed(#"{"va":"0x110ff4","va_len":24,"flags":0,"dw":"\#(Self.release)"}"#)
        #expect(report.isEqual && report.faults.isEmpty, "\(report.findings) \(report.faults)")
        #expect(report.pushesSkipped == 0 && payload == 0x77)
    }

    @Test("a push recorded in part is not run") func truncated() throws {
        let (report, payload) = try replayed(
            #"{"va":"0x110000","va_len":28,"flags":0,"dw":"\#(Self.release)","dw_truncated":1}"#)
        #expect(report.isEqual && report.pushesSkipped == 1 && report.device.pushes == 0 && payload == 0)
    }

    @Test("a push that nothing is mapped for is found") func unmapped() throws {
        let (report, _) = try replayed(#"{"va":"0x111ff4","va_len":24,"flags":0,"dw":"\#(Self.release)"}"#)
        #expect(report.findings.map(\.text) == [["nothing is mapped at 0x112000, where a push is"]])
    }
}

extension [String] {
    /// A copy with another line of this number, counted from 1.
    fileprivate func replacing(_ line: Int, _ new: String) -> [String] {
        var lines = self
        lines[line - 1] = new
        return lines
    }
}

extension String {
    /// A numbered line with another number.
    fileprivate func replacingNumber(_ n: Int) -> String {
        #"{"n":\#(n)"# + drop { $0 != "," }
    }
}
