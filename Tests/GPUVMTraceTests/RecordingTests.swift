import DRMLock
import Foundation
import GPUVMTrace
import JSONLines
import Model
import NouveauDevice
import Testing
import TraceSupport

/// Replays a trace while the device records, into a file of this suffix.
private func record(
    _ trace: Trace, gate: Gate? = nil, memory: Bool = false, suffix: String = ".jsonl"
) throws -> Scratch {
    let scratch = Scratch([], suffix: suffix)
    let device = try Device(chipset: trace.header.chipset, gate: gate)
    var options = RecordingOptions()
    options.memory = memory
    options.driver = trace.header.driver
    options.program = trace.header.program
    try device.record(to: scratch.path, options: options)
    let replayer = Replayer(trace, on: device, pace: gate == nil ? .drained : .lazy)
    try replayer.run()
    device.finishRecording()
    #expect(replayer.report.isEqual, "\(replayer.report.findings)")
    return scratch
}

private func replay(_ path: String) throws -> ReplayReport {
    let trace = try Trace(path: path)
    let replayer = Replayer(trace, on: try Device(chipset: trace.header.chipset))
    try replayer.run()
    return replayer.report
}

@Suite struct RecordingTests {
    @Test("a recorded replay says what its trace says, and replays without a difference", arguments: sampleNames.map(sampleTrace) + (RandomTest.rounds(1) > 1 ? sharedTraces : []))
    func samples(_ path: String) throws {
        let trace = try Trace(path: path)
        let isData = path.contains("data_")
        let recording = try record(trace, memory: isData)
        let report = try replay(recording.path)
        #expect(report.isEqual && report.faults.isEmpty, "\(report.findings)")
        #expect(report.statesChecked > 0 || trace.lines.count < 40)
        let (theirs, ours) = (Session(gzippedLines(path)), Session(gzippedLines(recording.path)))
        #expect(ours.header == theirs.header)
        #expect(ours.calls.count == theirs.calls.count)
        for (our, their) in zip(ours.calls, theirs.calls) where our != their {
            Issue.record("recorded \(our.prefix(300)), of \(their.prefix(300))")
            break
        }
        // One of the sessions has no states.
        #expect(ours.lists == theirs.lists || theirs.lists.isEmpty)
        #expect(ours.pages == theirs.pages)
    }

    @Test("so does what a device did in its own time, with polls that found it busy") func inItsOwnTime() throws {
        let trace = try Trace(path: sampleTrace("sparse_buf-0x172"))
        let threads = ThreadedGate()
        for gate in [SteppedGate(.seeded(RandomTest.seed("recorded in its own time"))), threads] as [Gate] {
            let recording = try record(trace, gate: gate, suffix: ".jsonl.gz")
            let report = try replay(recording.path)
            #expect(report.isEqual && report.faults.isEmpty, "\(report.findings)")
            #expect(report.calls[.vmBind] == 73 && report.calls[.exec] == 56 && report.statesChecked > 4)
        }
        threads.shutdown()
    }

    @Test("how far a device was is compared where it was idle, and only there") func pace() throws {
        let wait = #"{"n":4,"tid":1,"fd":4,"op":"SYNCOBJ_WAIT","req":"0xc02864c3","in":{"handles":[1],"timeout_nsec":0,"flags":0},"ret":-1,"errno":62}"#
        let create = #"{"n":3,"tid":1,"fd":4,"op":"SYNCOBJ_CREATE","req":"0xc00864bf","in":{"flags":1},"out":{"handle":1},"ret":0}"#
        for (device, mismatches) in [("ref", 1), ("gpuvm", 0)] {
            let lines = tinyTrace[0..<5] + [create, wait, #"{"n":5,"tid":1,"fd":4,"op":"close"}"#, #"{"op":"end","lines":6}"#]
            let scratch = Scratch(lines: Array(lines).editing(1, #""ref""#, "\"\(device)\""))
            let report = try replay(scratch.path)
            #expect(report.answerMismatches == mismatches && report.mismatches == mismatches, "\(report.findings)")
        }
    }
}

/// A trace with what differs from device to device left out: names of objects are the calls that made them, moments are
/// gone.
private struct Session {
    var header = ""
    var calls: [String] = []
    /// What was mapped at each close.
    var lists: [String] = []
    /// Pages that the device wrote, by EXEC and object.
    var pages: [String: [[String]]] = [:]

    private var names: [String: Int] = [:]
    private var files: [Int: Int] = [:]
    private var opened = 0
    private var execs = 0

    init(_ lines: [String]) {
        for text in lines {
            let line = try! JSONSerialization.jsonObject(with: Data(text.utf8)) as! [String: Any]
            read(line, line["op"] as! String)
        }
    }

    private mutating func read(_ line: [String: Any], _ op: String) {
        switch op {
        case "header": header = Self.text(line.filter { $0.key != "device" })
        case "end": break
        case "vm_state":
            guard let maps = line["map_list"] as? [[Any]] else { return }
            let named = maps.map { [$0[0], $0[1], name("gem", $0[2], line), $0[3], $0[4]] }
            lists.append(Self.text(["maps": named, "sparse": line["sparse_list"]!]))
        case "mem": break
        case "mem_after":
            pages["\(execs) \(name("gem", line["handle"]!, line))", default: []] += line["pages"] as! [[String]]
        default: call(line, op)
        }
    }

    private mutating func call(_ line: [String: Any], _ op: String) {
        let fd = line["fd"] as! Int
        if files[fd] == nil {
            opened += 1
            files[fd] = opened
        }
        if op == "EXEC" { execs += 1 }
        var said: [String: Any] = ["op": op, "file": files[fd]!, "ret": line["ret"] ?? 0, "errno": line["errno"] ?? 0]
        said["in"] = input(line["in"] as? [String: Any] ?? [:], op, line)
        calls.append(Self.text(said))
        if let out = line["out"] as? [String: Any] { learn(out, op, line) }
        if op == "close" { files[fd] = nil }
    }

    /// What stands for the same thing in every trace.
    private func name(_ kind: String, _ value: Any, _ line: [String: Any]) -> Any {
        names[key(kind, value, line)] ?? value
    }

    private func key(_ kind: String, _ value: Any, _ line: [String: Any]) -> String {
        kind == "fd" ? "fd \(value)" : "\(kind) \(files[line["fd"] as! Int]!) \(value)"
    }

    private mutating func learn(_ out: [String: Any], _ op: String, _ line: [String: Any]) {
        let handle = op.hasPrefix("SYNCOBJ") ? "syncobj" : "gem"
        let kinds = ["handle": handle, "notifier_handle": "gem", "channel": "channel", "map_handle": "map", "fd": "fd"]
        for (field, kind) in kinds {
            guard let value = out[field] else { continue }
            names[key(kind, value, line)] = -calls.count
        }
    }

    private func input(_ input: [String: Any], _ op: String, _ line: [String: Any]) -> [String: Any] {
        let handle = op.hasPrefix("SYNCOBJ") ? "syncobj" : "gem"
        let kinds = [
            "handle": handle, "src_handle": handle, "dst_handle": handle, "channel": "channel", "token": "channel",
            "off": "map", "fd": "fd",
        ]
        var said = input
        // Moments of another boot, and what only the client's mmap knows.
        for field in ["timeout_nsec", "fixed", "token_set"] { said[field] = nil }
        for (field, kind) in kinds where op != "NVIF" || field != "handle" {
            if let value = said[field] { said[field] = name(kind, value, line) }
        }
        if let list = said["handles"] as? [Any] { said["handles"] = list.map { name("syncobj", $0, line) } }
        for field in ["waits", "sigs"] {
            guard let list = said[field] as? [[String: Any]] else { continue }
            said[field] = list.map { $0.merging(["handle": name("syncobj", $0["handle"]!, line)]) { $1 } }
        }
        if let ops = said["ops"] as? [[String: Any]] {
            said["ops"] = ops.map { $0.merging(["handle": name("gem", $0["handle"]!, line)]) { $1 } }
        }
        // Pushes of which the trace has only a part are not replayed.
        if let pushes = said["pushes"] as? [[String: Any]] { said["pushes"] = pushes.filter { $0["dw_truncated"] == nil } }
        return said
    }

    private static func text(_ value: [String: Any]) -> String {
        String(decoding: try! JSONSerialization.data(withJSONObject: value, options: .sortedKeys), as: UTF8.self)
    }
}
