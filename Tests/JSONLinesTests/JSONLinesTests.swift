import Glibc
import JSONLines
import Testing

/// Writes a scratch file and removes it at the end.
private final class Scratch {
    let path: String

    init(_ bytes: [UInt8]) {
        path = "/tmp/jsonlines-\(getpid())-\(UInt64.random(in: 0...UInt64.max)).jsonl"
        let file = fopen(path, "wb")!
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }

    convenience init(_ text: String) {
        self.init(Array(text.utf8))
    }

    deinit {
        unlink(path)
    }

    /// The message without the scratch file's name, or `nil` when nothing is wrong.
    func complaint(_ body: (JSONObject) throws(InputError) -> Void = { _ in }) -> String? {
        do throws(InputError) {
            let reader = try JSONLineReader(path: path)
            while let object = try reader.next() {
                try body(object)
            }
            return nil
        } catch {
            #expect(error.file == path)
            return "\(error.line ?? 0): \(error.message)"
        }
    }
}

@Suite struct JSONLinesTests {
    @Test("every line is one object, with or without a newline at the end") func everyLineIsOneObject() {
        var seen: [Int] = []
        let collect = { (o: JSONObject) throws(InputError) in seen.append(try o.int("a")) }
        #expect(Scratch("{\"a\":1}\n{\"a\":2}\n").complaint(collect) == nil)
        #expect(Scratch("{\"a\":3}").complaint(collect) == nil)
        #expect(seen == [1, 2, 3])
    }

    @Test("a bad line is named by its number") func badLineIsNamed() {
        #expect(Scratch("{\"a\":1}\n{\"a\":\n").complaint() == "2: not valid JSON")
        #expect(Scratch("{}\n\n{}\n").complaint() == "2: not valid JSON")
        #expect(Scratch("{}\n[1]\n").complaint() == "2: not a JSON object")
    }

    @Test("a missing file and a directory are errors without a line") func missingFile() {
        #expect(throws: InputError(file: "/nonexistent", line: nil, message: "No such file or directory")) {
            try JSONLineReader(path: "/nonexistent")
        }
        #expect(throws: InputError(file: "/tmp", line: nil, message: "is a directory")) {
            try JSONLineReader(path: "/tmp")
        }
    }

    /// `printf '{"a":1}\n{"a":2}\n' | gzip -n`
    private static let gzipped: [UInt8] = [
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xab, 0x56, 0x4a, 0x54, 0xb2, 0x32, 0xac, 0xe5,
        0xaa, 0x06, 0xd1, 0x46, 0xb5, 0x5c, 0x00, 0x66, 0xc0, 0x5a, 0x19, 0x10, 0x00, 0x00, 0x00,
    ]

    @Test("gzip is read, cut or damaged gzip is an error") func gzip() {
        #expect(Scratch(Self.gzipped).complaint() == nil)
        let cut = Scratch(Array(Self.gzipped.dropLast(10))).complaint()
        #expect(cut?.hasSuffix("truncated gzip data") == true, "\(cut ?? "read whole")")
        var damaged = Self.gzipped
        damaged[damaged.count - 8] ^= 0xff  // the checksum
        let complaint = Scratch(damaged).complaint()
        #expect(complaint?.contains("bad gzip data") == true, "\(complaint ?? "read whole")")
    }

    @Test("fields are typed and unknown ones refused") func typedFields() {
        let line = Scratch(#"{"n":7,"s":"x","h":"0xff","g":"ff","t":true,"f":1.5,"o":{"p":[1,"a"],"r":[{},{}]},"big":4294967296}"#)
        func error(_ body: (JSONObject) throws(InputError) -> Void) -> String? { line.complaint(body) }
        var values: [Int] = []
        let good = error { o throws(InputError) in
            values = [try o.int("n"), Int(try o.hex("h")), Int(try o.hex("g")), try o.object("o").objects("r").count]
        }
        #expect(good == nil)
        #expect(values == [7, 255, 255, 2])
        #expect(error { o throws(InputError) in _ = try o.int("x") } == "1: field \"x\" is missing")
        #expect(error { o throws(InputError) in _ = try o.int("s") } == "1: field \"s\" is not an integer")
        #expect(error { o throws(InputError) in _ = try o.int("t") } == "1: field \"t\" is not an integer")
        #expect(error { o throws(InputError) in _ = try o.int("f") } == "1: field \"f\" is not an integer")
        #expect(error { o throws(InputError) in _ = try o.uint32("big") }
            == "1: field \"big\" is not a 32-bit unsigned integer")
        #expect(error { o throws(InputError) in _ = try o.hex("s") } == "1: field \"s\" is not a string of hex digits")
        #expect(error { o throws(InputError) in _ = try o.object("o").int("x") } == "1: field \"o.x\" is missing")
        #expect(error { o throws(InputError) in _ = try o.object("o").array("p").int(1) }
            == "1: field \"o.p[1]\" is not an integer")
        #expect(error { o throws(InputError) in try o.allowOnly(["n", "s", "h", "g", "t", "f", "o"]) }
            == "1: unknown field \"big\"")
    }
}
