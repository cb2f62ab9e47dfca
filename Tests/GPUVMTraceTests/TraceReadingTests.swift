import GPUVMTrace
import JSONLines
import Testing
import TraceSupport

/// What reading the lines complains about, without the scratch file's name; `nil`: nothing.
func readingComplaint(_ lines: [String]) -> String? {
    complaint(Scratch(lines: lines)) { path throws(InputError) in _ = try Trace(path: path) }
}

/// The session of these lines.
func session(_ lines: [String]) throws -> Trace {
    let scratch = Scratch(lines: lines)
    return try withExtendedLifetime(scratch) { try Trace(path: scratch.path) }
}

/// "line: message" of what `body` complains about.
func complaint(_ scratch: Scratch, _ body: (String) throws(InputError) -> Void) -> String? {
    do throws(InputError) {
        try body(scratch.path)
        return nil
    } catch {
        #expect(error.file == scratch.path)
        return "\(error.line ?? 0): \(error.message)"
    }
}

@Suite struct TraceReadingTests {
    @Test("the sessions that come along are read whole", arguments: sampleNames) func samples(_ name: String) throws {
        let trace = try Trace(path: sampleTrace(name))
        #expect("0x\(String(trace.header.chipset, radix: 16))" == name.suffix(5))
        #expect(
            trace.lineCount
                == ["data_sparse_buf-0x120": 284, "extern-0x172": 289, "sparse_buf-0x172": 406, "vulkaninfo-0x172": 138][name])
        #expect(trace.lines.map(\.place.line) == Array(2..<trace.lineCount))
    }

    @Test("a call's fields arrive as they were written") func fields() throws {
        let trace = try session(tinyTrace)
        guard case .call(let call) = trace.lines[2], case .vmBind(let bind) = call.arguments else {
            Issue.record("no VM_BIND")
            return
        }
        #expect(call.n == 2 && call.tid == 1 && call.fd == 4 && call.request == 0xc028_6451 && call.result == 0)
        #expect(bind.ops.map(\.isSparse) == [true, false])
        #expect(bind.ops[1].usesObject && bind.ops[1].handle == 7 && bind.ops[1].offset == 0x1000)
        guard case .state(let state) = trace.lines[5], let lists = state.lists else {
            Issue.record("no lists")
            return
        }
        #expect(lists.maps.map(\.description) == ["0x110000..0x112000 handle 7 offset 0x1000 kind 0x0"])
        #expect(lists.sparse == [0x100000..<0x200000])
    }

    @Test("a failed call carries its errno") func failedCall() throws {
        let lines = tinyTrace.editing(6, #""ret":0"#, #""ret":-1,"errno":22"#)
        guard case .call(let call) = try session(lines).lines[4] else {
            Issue.record("no call")
            return
        }
        #expect(call.result == -22)
    }

    struct Damage: Sendable, CustomTestStringConvertible {
        var lines: [String]
        var message: String
        var testDescription: String { message }

        init(_ message: String, _ lines: [String]) {
            self.message = message
            self.lines = lines
        }
    }

    private static let damages = [
        Damage("1: not valid JSON", []),
        Damage("1: the first line is not a header", tinyTrace.dropping(1)),
        Damage("2: a second header line", [tinyTrace[0]] + tinyTrace),
        Damage("1: field \"format\" is 2, only 1 is known", tinyTrace.editing(1, #""format":1"#, #""format":2"#)),
        Damage("1: unknown field \"colour\"", tinyTrace.editing(1, #""format":1"#, #""format":1,"colour":1"#)),
        Damage("3: unknown op \"GEM_OLD\"", tinyTrace.editing(3, "GEM_NEW", "GEM_OLD")),
        Damage("3: unknown field \"in.colour\"", tinyTrace.editing(3, #""domain":38"#, #""domain":38,"colour":1"#)),
        Damage("4: unknown field \"in.ops[1].sort\"", tinyTrace.editing(4, #""handle":7"#, #""handle":7,"sort":1"#)),
        Damage("3: field \"in.domain\" is missing", tinyTrace.editing(3, #""domain":38,"#, "")),
        Damage("3: field \"out\" is missing", tinyTrace.editing(3, #""out":{"handle":7,"domain":38,"size":"0x20000","offset":"0x0","map_handle":"0xff000"},"#, "")),
        Damage("3: field \"in.size\" is not a string of hex digits", tinyTrace.editing(3, #""size":"0x20000""#, #""size":131072"#)),
        Damage("4: field \"in.ops[1].handle\" is not a 32-bit unsigned integer", tinyTrace.editing(4, #""handle":7"#, #""handle":-7"#)),
        Damage("4: field \"in.ops[1].op\" is neither MAP nor UNMAP", tinyTrace.editing(4, #"{"op":"MAP","flags":0"#, #"{"op":"REMAP","flags":0"#)),
        Damage("3: field \"ret\" is neither 0 nor -1", tinyTrace.editing(3, #""ret":0"#, #""ret":1"#)),
        Damage("3: field \"errno\" is missing", tinyTrace.editing(3, #""ret":0"#, #""ret":-1"#)),
        Damage("3: field \"errno\" is there though ret is 0", tinyTrace.editing(3, #""ret":0"#, #""ret":0,"errno":1"#)),
        Damage("3: field \"req\" is not a request word of GEM_NEW", tinyTrace.editing(3, "0xc0306480", "0xc0286451")),
        Damage("3: field \"n\" is 2, expected 1", tinyTrace.dropping(3)),
        Damage("5: field \"after\" is 3, but the call above is 2", tinyTrace.editing(5, #""after":2"#, #""after":3"#)),
        Damage("7: field \"maps\" is not the length of map_list", tinyTrace.editing(7, #""maps":1"#, #""maps":2"#)),
        Damage("7: field \"map_list[0]\" has 4 elements, not 5", tinyTrace.editing(7, #","0x1000",0]"#, #","0x1000"]"#)),
        Damage("5: file 6 is not open here", tinyTrace.editing(5, #""fd":4"#, #""fd":6"#)),
        Damage("9: file 4 is not open here", tinyTrace.dropping(9) + [#"{"n":5,"tid":1,"fd":4,"op":"close"}"#]),
        Damage("9: field \"lines\" is 6, but there are 5 numbered lines", tinyTrace.editing(9, #""lines":5"#, #""lines":6"#)),
        Damage("9: the \"end\" line is missing", tinyTrace.dropping(9)),
        Damage("10: a line after the \"end\" line", tinyTrace + [tinyTrace[8]]),
        Damage("4: not valid JSON", tinyTrace.editing(4, #""ret":0}"#, "")),
        Damage(
            "4: field \"in.ops[1].addr\" is 0x800000000000 with a size of 0x2000, outside the address space",
            tinyTrace.editing(4, "0x110000", "0x800000000000")),
        Damage(
            "2: field \"in.kernel_managed_addr\" is 0xffffffffffffffff with a size of 0x8000000000, outside the address space",
            tinyTrace.editing(2, #"addr":"0x8000000000""#, #"addr":"0xffffffffffffffff""#)),
    ]

    @Test("each kind of damage is one message that names line and field", arguments: damages)
    func damage(_ damage: Damage) {
        #expect(readingComplaint(damage.lines) == damage.message)
    }

    @Test("NVIF data must fit the size of the request") func nvifSizes() {
        let nvif =
            #"{"n":1,"tid":1,"fd":4,"op":"NVIF","req":"0x40486447","in":{"type":"NEW","owner":255,"route":0,"token_set":0,"object_set":0,"size":72,"new_route":0,"handle":"0x0","oclass":"0x80","data":"0000000000000000ffffffffffffffff"},"ret":0}"#
        let lines = Array(tinyTrace[...1]) + [nvif] + [#"{"op":"end","lines":2}"#]
        #expect(readingComplaint(lines) == nil)
        #expect(readingComplaint(lines.editing(3, #""size":72"#, #""size":64"#))
            == "3: field \"in.data\" does not fit in the argument")
        #expect(readingComplaint(lines.editing(3, #""size":72"#, #""size":80"#))
            == "3: field \"in.size\" is not the size in the request word")
        #expect(readingComplaint(lines.editing(3, #""data":""#, #""data":"00"#))
            == "3: field \"in.data\" does not fit in the argument")
        #expect(readingComplaint(lines.editing(3, #""data":""#, #""data":"0"#))
            == "3: field \"in.data\" is not bytes in hex")
        #expect(readingComplaint(lines.editing(3, #""NEW""#, #""OLD""#))
            == "3: field \"in.type\" is \"OLD\", which is not known")
    }

    @Test("a gzip cut anywhere is refused") func cutGzip() {
        let whole = contents(sampleTrace("vulkaninfo-0x172"))
        for part in 1..<8 {
            let cut = Scratch(Array(whole[..<(whole.count * part / 8)]), suffix: ".gz")
            // zlib does not tell when the cut falls on a border of its buffers; then the text says it.
            let complaint = complaint(cut) { path throws(InputError) in _ = try Trace(path: path) } ?? "read whole"
            let messages = ["truncated gzip data", "not valid JSON", "the \"end\" line is missing"]
            #expect(messages.contains { complaint.hasSuffix($0) }, "\(complaint)")
        }
    }

    @Test("an empty file has no header") func empty() {
        #expect(complaint(Scratch([])) { path throws(InputError) in _ = try Trace(path: path) } == "1: no header line")
    }

    @Test("no line can go, be doubled or lose its end unseen") func everyLineCounts() {
        for line in 1...tinyTrace.count {
            // Checkpoints are not numbered: nothing tells that one is gone.
            if !tinyTrace[line - 1].contains("vm_state") {
                #expect(readingComplaint(tinyTrace.dropping(line)) != nil, "without line \(line)")
                var doubled = tinyTrace
                doubled.insert(tinyTrace[line - 1], at: line)
                #expect(readingComplaint(doubled) != nil, "with line \(line) twice")
            }
            var cut = tinyTrace
            cut[line - 1].removeLast()
            #expect(readingComplaint(cut) == "\(line): not valid JSON")
        }
    }
}
