import Foundation
import Testing
import TraceSupport

/// What a run of the program gave.
struct Run {
    var status: Int32
    var output: String
    var errors: String

    var errorLines: [Substring] { errors.split(separator: "\n") }
}

/// Runs the built program, which lies beside the test bundle.
func gpuvm(_ arguments: String..., input: [UInt8] = []) throws -> Run {
    try gpuvm(arguments, input: input)
}

func gpuvm(_ arguments: [String], input: [UInt8] = []) throws -> Run {
    let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    let process = Process()
    process.executableURL = folder.appendingPathComponent("gpuvm")
    process.arguments = arguments
    let (output, errors) = (Scratch([]), Scratch([]))
    let given = Scratch(input)
    process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: given.path))
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output.path))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: errors.path))
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationReason == .exit, "gpuvm \(arguments) ended by signal \(process.terminationStatus)")
    return Run(
        status: process.terminationStatus, output: String(decoding: contents(output.path), as: UTF8.self),
        errors: String(decoding: contents(errors.path), as: UTF8.self))
}

private let sample = sampleTrace("sparse_buf-0x172")
private let tiny = Scratch(lines: tinyTrace)

@Suite struct ReplayCommandTests {
    @Test("an equal replay ends with status 0 and says so") func equal() throws {
        let run = try gpuvm("replay", sample)
        #expect(run.status == 0 && run.errors.isEmpty)
        for text in ["GA102", "NVK Mesa 25.0.7", "393/393 equal", "11/11 equal", "0 mismatches", "copied: 327M"] {
            #expect(run.output.contains(text), "\(text) is missing")
        }
        #expect(!run.output.contains("\u{1b}"), "colours outside a terminal")
    }

    @Test("a falsified state ends with status 1 and the place") func different() throws {
        let scratch = Scratch(lines: tinyTrace.editing(5, "0x90c", "0x90d"))
        let run = try gpuvm("replay", scratch.path)
        #expect(run.status == 1)
        #expect(run.output.contains("\(scratch.path):5:") && run.output.contains("1 mismatch"))
    }

    @Test("several traces give a row each and totals") func table() throws {
        let run = try gpuvm("replay", sampleTrace("extern-0x172"), sample)
        let lines = run.output.split(separator: "\n")
        #expect(run.status == 0 && lines.count == 5)
        #expect(lines[1].hasPrefix("extern-0x172.jsonl.gz") && lines[2].hasPrefix("sparse_buf-0x172.jsonl.gz"))
        #expect(lines[3].hasPrefix("2 traces") && lines[4] == "0 mismatches")
    }

    @Test("the JSON report has the keys it promises, one object a trace") func json() throws {
        let run = try gpuvm("replay", "--report", "json", sampleTrace("extern-0x172"), sample)
        let lines = run.output.split(separator: "\n")
        #expect(run.status == 0 && lines.count == 2)
        let report = try #require(try JSONSerialization.jsonObject(with: Data(lines[1].utf8)) as? [String: Any])
        #expect(
            Set(report.keys) == [
                "trace", "chipset", "lines", "ioctls", "bind_ops", "ret_mismatches", "vm_state_checked",
                "vm_state_mismatches", "mem_pages_checked", "mem_page_mismatches", "mem_pages_skipped", "faults",
                "mappings", "page_tables", "bytes_copied",
            ])
        #expect(report["chipset"] as? String == "0x172" && report["lines"] as? Int == 406)
        #expect(report["bind_ops"] as? Int == 404 && report["vm_state_checked"] as? Int == 11)
        #expect((report["ioctls"] as? [String: Int])?["VM_BIND"] == 73)
        #expect((report["page_tables"] as? [String: Int])?["PD3"] == 2)
    }

    @Test("memory is reported, for every pace") func memory() throws {
        let data = sampleTrace("data_sparse_buf-0x120")
        for options in [[], ["--seed", "3"], ["--threads"]] {
            let run = try gpuvm(["replay", data] + options)
            #expect(run.status == 0 && run.output.contains("2688/2688 equal"), "\(options): \(run.output)")
        }
        let report = try #require(
            try JSONSerialization.jsonObject(with: Data(gpuvm("replay", "--report", "json", data).output.utf8)) as? [String: Any])
        #expect(report["mem_pages_checked"] as? Int == 2688 && report["mem_page_mismatches"] as? Int == 0)
        #expect(report["bytes_copied"] as? Int == 35_196_928 && report["faults"] as? Int == 0)
    }

    @Test("standard input is read, gzipped or plain") func standardInput() throws {
        #expect(try gpuvm("replay", "-", input: contents(sample)).status == 0)
        #expect(try gpuvm("replay", "-", input: Array(tinyTrace.joined(separator: "\n").utf8)).status == 0)
    }

    @Test("pictures and tables are written where they are asked for") func extras() throws {
        let (svg, perfetto) = (Scratch([], suffix: ".svg"), Scratch([], suffix: ".json"))
        let run = try gpuvm("replay", "--svg", svg.path, "--perfetto", perfetto.path, "--seed", "1", sample)
        #expect(run.status == 0)
        _ = try XMLDocumentCheck(svg.path)
        #expect(try Timeline(perfetto.path).slices.filter { $0.tid < 1000 }.count == 393)
        let folder = NSTemporaryDirectory()
        #expect(try gpuvm("replay", "--tables", folder, sample).status == 0)
        let tables = "\(folder)/sparse_buf-0x172.tables.txt"
        #expect(String(decoding: contents(tables), as: UTF8.self).contains("SPT at vram"))
        try FileManager.default.removeItem(atPath: tables)
        #expect(try gpuvm("replay", "--svg", "/nonexistent/x.svg", sample).status == 2)
    }

    /// Balanced elements are all that is asked of the picture.
    private struct XMLDocumentCheck {
        init(_ path: String) throws {
            let text = String(decoding: contents(path), as: UTF8.self)
            #expect(text.hasPrefix("<svg ") && text.hasSuffix("</svg>\n"))
            #expect(text.contains("url(#sparse)") && text.contains("handle 11"))
            #expect(text.components(separatedBy: "<text").count == text.components(separatedBy: "</text>").count)
            #expect(text.components(separatedBy: "<title>").count == text.components(separatedBy: "</title></rect>").count)
        }
    }
}

@Suite struct BadInputTests {
    @Test("bad input is one line with its place, and status 2") func badInput() throws {
        let cut = Scratch(Array(contents(sample).prefix(4000)), suffix: ".gz")
        let cases: [(Scratch, String)] = [
            (cut, "truncated gzip data"),
            (Scratch(lines: tinyTrace.editing(4, #""ret":0}"#, "")), ":4: not valid JSON"),
            (Scratch(lines: tinyTrace.editing(3, "GEM_NEW", "GEM_OLD")), ":3: unknown op \"GEM_OLD\""),
            (Scratch(lines: tinyTrace.editing(4, #""handle":7"#, #""handle":8"#)), ":4: GEM handle 8 was never made, or is closed"),
            (Scratch(lines: tinyTrace.editing(4, "0x110000", "0xfff800000000000")), "outside the address space"),
            (Scratch(lines: tinyTrace.editing(1, "0x172", "0x999")), ":1: no chip of id 0x999 with a known MMU"),
            (Scratch(lines: tinyTrace.dropping(9)), ":9: the \"end\" line is missing"),
        ]
        for (file, message) in cases {
            for command in [["replay"], ["dump"], ["walk"]] {
                let arguments = command + [file.path] + (command == ["walk"] ? ["0x110000"] : [])
                let run = try gpuvm(arguments)
                #expect(run.status == 2, "\(arguments)")
                #expect(run.errorLines.count == 1 && run.errors.contains(message), "\(arguments): \(run.errors)")
                #expect(run.errors.hasPrefix(file.path))
            }
        }
    }

    @Test("one bad trace of several does not hide the others") func oneOfSeveral() throws {
        let run = try gpuvm("replay", "--report", "json", "/nonexistent", sample)
        #expect(run.status == 2 && run.errorLines.count == 1)
        #expect(run.output.split(separator: "\n").count == 1)
    }

    @Test(
        "wrong usage is status 64",
        arguments: [
            ["replay"], ["replay", "--chipset", "xyz", sample], ["replay", "--chipset", "999", sample],
            ["replay", "--vram", "5", sample], ["replay", "--vram", "much", sample], ["replay", "--report", "xml", sample],
            ["replay", "--seed", "1", "--threads", sample],
            ["replay", "--svg", "/tmp/x.svg", sample, sample], ["walk", sample], ["walk", sample, "nowhere"],
            ["walk", sample, "0x2000000000000"], ["walk", sample, "0x1000", "--at", "407"],
            ["walk", sample, "0x1000", "--fd", "77"], ["walk", sample, "0x1000", "--at", "2"],
            ["dump", sample, "--at", "0"], ["dump", sample, "--at", "406"], ["dump", sample, "--fd", "5"],
            ["decode", "--chipset", "172", "--level", "pd7", "0"], ["decode", "--chipset", "172", "--level", "pte", "0xg"],
            ["decode", "--chipset", "172", "--level", "pd0", "1", "2", "3"], ["decode", "--level", "pte", "0"],
            ["decode", "--chipset", "999", "--level", "pte", "0"], ["nothing"],
            ["decode", "--chipset", "4", "--level", "pte", "0xffffffff15472001"],
            ["decode", "--chipset", "172", "--level", "pte", "0x+5"], ["decode", "--chipset", "172", "--level", "pte", "+5"],
            ["decode", "--chipset", "+172", "--level", "pte", "5"], ["decode", "--chipset", "0x+172", "--level", "pte", "5"],
            ["conform", "--differences=-5", quirks], ["conform"],
        ])
    func wrongUsage(_ arguments: [String]) throws {
        let run = try gpuvm(arguments)
        #expect(run.status == 64, "\(arguments): \(run.errors)")
        #expect(!run.errors.isEmpty)
    }

    @Test(
        "a size is a number and at most one unit",
        arguments: [
            "3Gfoo", "3GiB", "64Mb", "64b123", "3G ", "010000000000", "0x", "G", "+3G", "-3G", "17179869184G",
            "36893488147419103232", "0x1000000000C000000",
        ])
    func sizes(_ size: String) throws {
        let run = try gpuvm("replay", "--vram=\(size)", sample)
        #expect(run.status == 64 && run.errors.contains("is invalid for '--vram"), "\(run.errors)")
    }

    @Test("sizes in all ways of writing them", arguments: ["3221225472", "0xC0000000", "3G", "3g", "3072M"])
    func goodSizes(_ size: String) throws {
        #expect(try gpuvm("replay", "--vram", size, tiny.path).status == 0)
    }
}

private let quirks = #filePath.split(separator: "/").dropLast(2).map { "/\($0)" }.joined() + "/Vectors/mmu/quirks.jsonl.gz"

@Suite struct ConformCommandTests {
    private let summary = "10 passed, 0 failed, 0 skipped, 9 deviate"

    @Test("a file's line first, the reasons, the line over all last, and status 0") func passed() throws {
        let run = try gpuvm("conform", quirks)
        let lines = run.output.split(separator: "\n")
        #expect(run.status == 0 && run.errors.isEmpty)
        #expect(
            lines == [
                "quirks: \(summary)", "  deviates 8: SIZE-OVERLAP", "  deviates 1: GH100-512M", Substring(summary),
            ])
    }

    @Test("files are counted together, standard input is one of them, gzipped or plain") func several() throws {
        let plain = gzippedLines(quirks).joined(separator: "\n")
        for input in [contents(quirks), Array(plain.utf8)] {
            let run = try gpuvm("conform", quirks, "-", input: input)
            let lines = run.output.split(separator: "\n")
            #expect(run.status == 0 && lines.contains("stdin: \(summary)"))
            #expect(lines.last == "20 passed, 0 failed, 0 skipped, 18 deviate")
        }
    }

    @Test("a recording with one value changed fails with status 1, in as many words as asked for") func failed() throws {
        let scratch = Scratch(lines: gzippedLines(quirks).editing(1, #""ret":0"#, #""ret":-7"#))
        let run = try gpuvm("conform", scratch.path)
        #expect(run.status == 1 && run.errors.isEmpty)
        #expect(run.output.hasSuffix("\n9 passed, 1 failed, 0 skipped, 8 deviate\n"))
        #expect(run.output.contains("gh100-512m, step 0: ret of get\n    expected -7\n    found    0\n"))
        let none = try gpuvm("conform", "--differences", "0", scratch.path)
        #expect(none.status == 1 && !none.output.contains("expected"))
    }

    @Test("bad input is one line with its place, and status 2") func badInput() throws {
        for (line, old, new) in [(2, #""op":"#, #""op":"never","was":"#), (3, #""gen":"#, #""gen":7,"was":"#)] {
            let scratch = Scratch(lines: gzippedLines(quirks).editing(line, old, new))
            let run = try gpuvm("conform", scratch.path)
            #expect(run.status == 2 && run.errorLines.count == 1)
            #expect(run.errors.hasPrefix("\(scratch.path):\(line): "), "\(run.errors)")
        }
        let none = try gpuvm("conform", "/nonexistent")
        #expect(none.status == 2 && none.errorLines.count == 1)
    }
}

@Suite struct WalkCommandTests {
    @Test("a walk goes down every level and ends at the object") func mapped() throws {
        let run = try gpuvm("walk", tiny.path, "0x111234")
        #expect(run.status == 0, "\(run.errors)")
        let levels = run.output.split(separator: "\n").filter { $0.hasPrefix("PD") || $0.hasPrefix("SPT[") }
        #expect(levels.map { $0.prefix { $0 != "[" } } == ["PD3", "PD2", "PD1", "PD0", "SPT"])
        #expect(run.output.contains("= vram 0x2234, kind 0x0 (pitch), in a page of 4K"))
        #expect(run.output.contains("handle 7 (object 1), byte 0x2234 of 0x20000 in VRAM"))
        #expect(run.output.contains("made by the VM_BIND in line 4"))
        #expect(run.output.contains("in the sparse region 0x100000 + 0x100000 (1M)"))
        // The last line at which it was mapped: the file is closed in the next.
        #expect(run.output.contains("after line 7"))
    }

    @Test("an address in a sparse region reads as sparse") func sparse() throws {
        let run = try gpuvm("walk", tiny.path, "0x120000")
        #expect(run.status == 0 && run.output.contains("= sparse"))
        #expect(run.output.contains("below: 0x110000 + 0x2000 (8K), handle 7 (object 1), ends 0xe000 before"))
    }

    @Test("an address where nothing ever was is status 1 and names its neighbours") func never() throws {
        let run = try gpuvm("walk", tiny.path, "0x4000")
        #expect(run.status == 1 && run.output.contains("Nothing was ever mapped there"))
        #expect(run.output.contains("= not mapped: an access faults with P"))
        #expect(run.output.contains("above: 0x110000 + 0x2000 (8K), handle 7 (object 1), starts 0x10c000 after"))
        #expect(try gpuvm("walk", tiny.path, "0x4000", "--at", "5").status == 0)
    }

    @Test("--at shows the state after that line") func moment() throws {
        // sparse_buf makes its region in line 88 of the file: VM_BIND number 86.
        let before = try gpuvm("walk", sample, "0x3fffbc6000", "--at", "87")
        let after = try gpuvm("walk", sample, "0x3fffbc6000", "--at", "88")
        #expect(before.output.contains("= not mapped") && after.output.contains("= sparse"))
    }
}

@Suite struct DumpCommandTests {
    @Test("a dump is the kernel's text") func text() throws {
        let run = try gpuvm("dump", tiny.path)
        #expect(run.status == 0)
        let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines[0] == "DRM GPU VA space (tiny[1]) [0x0000000000000000;0x0000800000000000]")
        #expect(lines[1] == "Kernel reserved node [0x0000008000000000;0x0000010000000000]")
        #expect(lines[5].hasPrefix("     | 0x0000000000110000 | 0x0000000000002000 | 0x0000000000112000 | 0x"))
        #expect(lines[9] == "             | 0x0000000000100000 | 0x0000000000100000 | 0x0000000000200000")
        #expect(run.errors.hasSuffix("after line 4, with most mappings\n"))
    }

    @Test("page tables are runs of equal entries under their tables") func tables() throws {
        let run = try gpuvm("dump", tiny.path, "--tables", "--at", "4")
        #expect(run.status == 0 && run.errors.isEmpty)
        let tables = run.output.split(separator: "\n").drop { !$0.hasPrefix("file 4: page tables") }
        #expect(tables.filter { $0.hasPrefix("SPT at vram") }.count == 1)
        #expect(tables.contains { $0.contains("[0x110..0x111]") && $0.contains("page at vram 0x1000, kind 0x0 (pitch)") })
        #expect(tables.filter { $0.hasSuffix("sparse") }.count >= 2)
    }

    @Test("the JSON says what the text says") func json() throws {
        let text = try gpuvm("dump", sample, "--at", "300"), run = try gpuvm("dump", sample, "--at", "300", "--json")
        let spaces = try run.output.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(run.status == 0 && spaces.count == 2)
        func hex(_ value: Any?) throws -> UInt64 { try #require(UInt64((value as! String).dropFirst(2), radix: 16)) }
        func row(_ numbers: [UInt64]) -> String {
            numbers.map { "| 0x" + String(repeating: "0", count: 16 - String($0, radix: 16).count) + String($0, radix: 16) }
                .joined(separator: " ")
        }
        var rows: [String] = []
        for space in spaces {
            for m in space["mappings"] as! [[String: Any]] {
                let (start, end) = (try hex(m["start"]), try hex(m["end"]))
                rows.append("     " + row([start, end - start, end, try hex(m["object"]), try hex(m["offset"])]))
                #expect(m["handle"] as! Int > 0 && m["page_size"] as! Int == 4096)
            }
            for r in space["regions"] as! [[String: Any]] {
                let (start, end) = (try hex(r["start"]), try hex(r["end"]))
                rows.append("             " + row([start, end - start, end]))
            }
        }
        #expect(rows.count > 30 && rows == text.output.split(separator: "\n").map(String.init).filter { $0.contains("| 0x") })
        #expect(try gpuvm("dump", sample, "--at", "300", "--json", "--fd", "6").output.split(separator: "\n").count == 1)
        #expect(try gpuvm("dump", sample, "--json", "--tables").status == 64)
    }

    @Test("a file's dump is the part of it") func oneFile() throws {
        let all = try gpuvm("dump", sample, "--at", "300")
        let (four, six) = (try gpuvm("dump", sample, "--at", "300", "--fd", "4"), try gpuvm("dump", sample, "--at", "300", "--fd", "6"))
        #expect(all.output == six.output + four.output)
        #expect(four.output != six.output)
    }
}

@Suite struct DecodeCommandTests {
    @Test("every bit of an entry is named") func fields() throws {
        let run = try gpuvm("decode", "--chipset", "172", "--level", "pte", "0x0600000001bbbb05")
        #expect(run.status == 0)
        #expect(run.output.contains("page at host 0x1bbbb000, kind 0x6 (generic)"))
        #expect(run.output.split(separator: "\n").contains { $0.contains("63:56") && $0.contains("kind") && $0.contains("6") })
    }

    @Test("chipsets are hex with or without 0x, words hex or decimal") func numbers() throws {
        let hex = try gpuvm("decode", "--chipset", "0x172", "--level", "SPT", "0x8")
        let decimal = try gpuvm("decode", "--chipset", "172", "--level", "pte", "8")
        #expect(hex.status == 0 && hex.output == decimal.output && hex.output.contains("sparse"))
    }

    @Test("an entry of the lowest directory has two words") func lowestDirectory() throws {
        let pair = try gpuvm("decode", "--chipset", "162", "--level", "pd0", "0", "0x000000000b400502")
        #expect(pair.output.contains("table: vram 0xb4005000") && pair.output.contains("high"))
        let two = try gpuvm("decode", "--chipset", "162", "--level", "pd0", "0", "0x000000000b400502", "8", "0")
        #expect(two.output.components(separatedBy: "PD0").count == 3 && two.output.contains("sparse"))
        #expect(try gpuvm("decode", "--chipset", "162", "--level", "pd0", "8").output.contains("sparse"))
    }

    @Test("Tesla and older: runs, compression, page sizes, entries of 32 bits") func early() throws {
        let run = try gpuvm("decode", "--chipset", "50", "--level", "lpt", "0x8126000d530181")
        #expect(run.output.contains("page at vram 0xd530000, kind 0x26, run of 8 pages, compression mode 2, comptag 64"))
        let table = try gpuvm("decode", "--chipset", "84", "--level", "pd0", "0x100020003", "0xdeadcafe00000000")
        #expect(table.output.contains("(4K)") && table.output.contains("not valid") && table.output.contains("ignored"))
        let old = try gpuvm("decode", "--chipset", "4", "--level", "pte", "0x15472001", "0x15472003")
        #expect(old.output.contains("SPT 0x15472001") && old.output.contains("host 0x15472000, kind 0x0 (pitch), read-only"))
        #expect(try gpuvm("decode", "--chipset", "41", "--level", "pd0", "0").status == 64)
    }
}

@Suite struct ChipsCommandTests {
    @Test("chips are listed in order with format and page sizes") func chips() throws {
        let run = try gpuvm("chips")
        let rows = run.output.split(separator: "\n").dropFirst().map { $0.split(separator: " ") }
        let ids = rows.map { Int($0[0].dropFirst(2), radix: 16)! }
        #expect(run.status == 0 && ids == ids.sorted())
        let row = try #require(rows.first { $0[0] == "0x172" })
        #expect(row[1...] == ["GA102", "Ampere", "ga100", "49", "2Msc", "64Ksc", "4Ksh"])
        let kepler = try #require(rows.first { $0[0] == "0xe4" })
        #expect(kepler[1...] == ["GK104", "Kepler", "gk104", "40", "128Kc", "4Kh"])
        let (tesla, old) = (try #require(rows.first { $0[0] == "0x50" }), try #require(rows.first { $0[0] == "0x1f" }))
        #expect(tesla[1...] == ["G80", "Tesla", "nv50", "40", "64Kc", "4Kh"])
        #expect(old[1...] == ["nForce2", "Celsius", "nv04", "27", "4Kh"])
    }

    @Test("help and version are there") func help() throws {
        #expect(try gpuvm("--version").output.hasPrefix("gpuvm "))
        for command in ["replay", "walk", "dump", "decode", "conform", "run", "chips"] {
            #expect(try gpuvm(command, "--help").output.contains("USAGE: gpuvm \(command)"))
        }
    }
}
