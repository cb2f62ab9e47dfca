import GPUVM
import GPUVMTrace
import JSONLines
import NVMMU
import NouveauDevice
import Testing
import TraceSupport

private func replay(_ trace: Trace, chipset: Int? = nil) throws -> ReplayReport {
    let replayer = Replayer(trace, on: try Device(chipset: chipset ?? trace.header.chipset))
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
        #expect(report.statesChecked == ["extern-0x172": 7, "sparse_buf-0x172": 11, "vulkaninfo-0x172": 2][name])
        #expect(report.mostMappings.count > 0)
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
        #expect(report.pageTables[.pd3] == 2 && report.pageTables[.spt] ?? 0 > 1)
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

extension String {
    /// A numbered line with another number.
    fileprivate func replacingNumber(_ n: Int) -> String {
        #"{"n":\#(n)"# + drop { $0 != "," }
    }
}
