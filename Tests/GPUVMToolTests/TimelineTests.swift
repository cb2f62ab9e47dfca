import Foundation
import Testing
import TraceSupport

/// A file in Chrome's trace event format, checked as its loaders need it.
struct Timeline {
    struct Slice: Hashable {
        var name: String
        var pid, tid: Int
        /// Nanoseconds, as all times here: the file's microseconds are no whole numbers.
        var start, end: Int
        var args: [String: String]
    }

    var slices: [Slice] = []
    /// Arrows: the slices at both ends.
    var arrows: [(name: String, from: Slice, to: Slice)] = []
    var moments: [(name: String, pid: Int, tid: Int, time: Int)] = []
    /// Names of rows.
    var rows: [[Int]: String] = [:]

    init(_ path: String) throws {
        let file = try #require(try JSONSerialization.jsonObject(with: Data(contents(path))) as? [String: Any])
        let events = try #require(file["traceEvents"] as? [[String: Any]])
        var last: [[Int]: Int] = [:]
        var begun: [String: (Int, Int, Int)] = [:], ended: [String: (Int, Int, Int)] = [:]
        for event in events {
            let name = try #require(event["name"] as? String), pid = try #require(event["pid"] as? Int)
            let phase = try #require(event["ph"] as? String)
            if phase == "M" {
                if name == "thread_name" {
                    rows[[pid, event["tid"] as! Int]] = (event["args"] as! [String: String])["name"]
                }
                continue
            }
            let tid = try #require(event["tid"] as? Int), time = try Self.nanoseconds(event["ts"])
            #expect(time >= last[[pid, tid]] ?? 0, "time goes back in \(event)")
            last[[pid, tid]] = time
            switch phase {
            case "X":
                let length = try Self.nanoseconds(event["dur"])
                #expect(length >= 0)
                slices.append(
                    Slice(
                        name: name, pid: pid, tid: tid, start: time, end: time + length,
                        args: event["args"] as? [String: String] ?? [:]))
            case "i":
                #expect(event["s"] as? String == "t")
                moments.append((name, pid, tid, time))
            case "s": #expect(begun.updateValue((pid, tid, time), forKey: "\(name) \(event["id"]!)") == nil)
            case "f":
                #expect(event["bp"] as? String == "e")
                #expect(ended.updateValue((pid, tid, time), forKey: "\(name) \(event["id"]!)") == nil)
            default: Issue.record("phase \(phase)")
            }
        }
        for (row, of) in Dictionary(grouping: slices, by: { [$0.pid, $0.tid] }) {
            #expect(rows[row] != nil)
            for (a, b) in zip(of, of.dropFirst()) { #expect(a.end <= b.start, "\(a) lies over \(b)") }
        }
        #expect(Set(begun.keys) == Set(ended.keys))
        for (key, from) in begun {
            let to = try #require(ended[key])
            arrows.append((String(key.prefix { $0 != " " }), try slice(from), try slice(to)))
        }
    }

    private static func nanoseconds(_ microseconds: Any?) throws -> Int {
        Int((try #require(microseconds as? Double) * 1000).rounded())
    }

    /// The slice in which an arrow's end lies: the last that has begun.
    private func slice(_ place: (pid: Int, tid: Int, time: Int)) throws -> Slice {
        let row = slices.last { $0.pid == place.pid && $0.tid == place.tid && $0.start <= place.time && place.time <= $0.end }
        return try #require(row, "an arrow hangs in the air at \(place)")
    }
}

@Suite struct TimelineTests {
    @Test("each job waits, runs, and has an arrow from its call", arguments: [[], ["--seed", "7"], ["--threads"]])
    func jobs(_ options: [String]) throws {
        let file = Scratch([], suffix: ".json")
        #expect(try gpuvm(["replay", "--perfetto", file.path] + options + [sampleTrace("sparse_buf-0x172")]).status == 0)
        let timeline = try Timeline(file.path)
        let (binds, execs) = (73, 56)
        func rows(_ suffix: String) -> [Timeline.Slice] {
            timeline.slices.filter { timeline.rows[[$0.pid, $0.tid]]!.hasSuffix(suffix) }
        }
        #expect(rows(": waiting").count == binds + execs && rows(": running").count == binds + execs)
        #expect(Set(timeline.rows.values) == [
            "thread 1", "binds: waiting", "binds: running", "channel 0: waiting", "channel 0: running", "channel 1: waiting",
            "channel 1: running",
        ])
        let submits = timeline.arrows.filter { $0.name == "submit" }
        #expect(submits.count == binds + execs)
        for arrow in submits {
            #expect(arrow.to.name.hasPrefix(arrow.from.name + ","), "\(arrow)")
        }
        // What waits for another runs after it is done.
        let ends = Dictionary(uniqueKeysWithValues: rows(": running").map { ($0.args["job"]!, $0) })
        var waits = 0
        for slice in rows(": running") {
            for other in slice.args["waits for"]?.components(separatedBy: ", ") ?? [] {
                waits += 1
                #expect(ends[other]!.end <= slice.start, "job \(slice.args["job"]!) ran before \(other) was done")
            }
        }
        #expect(waits > 10 && timeline.arrows.filter { $0.name == "dependency" }.count == waits)
    }

    @Test("a fault and the death of its channel are moments of it, and what it had ends with an error") func death() throws {
        let lines = gzippedLines(sampleTrace("sparse_buf-0x172"))
        // A push from where nothing is mapped.
        let at = try #require(lines.firstIndex { $0.contains(#""op":"EXEC""#) && $0.contains(#""va":"#) })
        let broken = lines.editing(at + 1, #""va":"0x3"#, #""va":"0x2"#)
        let (trace, file) = (Scratch(lines: broken), Scratch([], suffix: ".json"))
        #expect(try gpuvm("replay", "--perfetto", file.path, trace.path).status == 1)
        let timeline = try Timeline(file.path)
        #expect(timeline.moments.map { $0.name.prefix { $0 != ":" } } == ["fault", "channel 1 is dead"])
        let failed = timeline.slices.filter { $0.args["error"] != nil }
        #expect(failed.contains { $0.args["error"]!.hasSuffix("ENODEV") && $0.name.hasPrefix("EXEC") }, "\(failed)")
        #expect(timeline.moments.allSatisfy { timeline.rows[[$0.pid, $0.tid]] == "channel 1: running" })
    }
}
