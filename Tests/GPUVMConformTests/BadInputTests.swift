import GPUVMConform
import JSONLines
import Testing

/// What is not a vector is refused with its line, whether or not the case would be run.
@Suite struct BadInputTests {
    struct Bad: Sendable, CustomTestStringConvertible {
        var file: String
        var id: String
        var path: [Step]
        var message: String
        var value = "x"
        var testDescription: String { message }
    }

    @Test(
        "unknown fields, steps, operations and generations are named",
        arguments: [
            Bad(file: "gpuvm/edges", id: "offset-wrap", path: ["nonsense"], message: "unknown field \"nonsense\""),
            Bad(
                file: "gpuvm/edges", id: "offset-wrap", path: ["steps", 1, "zz"],
                message: "unknown field \"steps[1].zz\""),
            Bad(
                file: "gpuvm/edges", id: "offset-wrap", path: ["steps", 1, "q"],
                message: "field \"steps[1].q\" is an unknown step \"x\""),
            Bad(
                file: "gpuvm/edges", id: "offset-wrap", path: ["steps", 1, "ops", 0, 0],
                message: "field \"steps[1].ops[0][0]\" is an unknown operation \"x\""),
            Bad(
                file: "gpuvm/edges", id: "offset-wrap", path: ["steps", 1, "a"],
                message: "field \"steps[1].a\" is not a string of hex digits"),
            Bad(
                file: "mmu/tesla", id: "nv50-0", path: ["steps", 1, "op"],
                message: "field \"steps[1].op\" is an unknown step \"x\""),
            Bad(
                file: "mmu/map-basic", id: "gp100-basic-001", path: ["cfg", "gen"],
                message: "field \"cfg.gen\" is an unknown generation \"x\""),
            Bad(
                file: "mmu/map-basic", id: "gp100-basic-001", path: ["steps", 1, "image", "tables", 0, "t"],
                message: "field \"steps[1].image.tables[0].t\" is an unknown level"),
            Bad(
                file: "mmu/words", id: "word-v2-pte-1", path: ["what"],
                message: "field \"what\" is an unknown kind of word \"x\""),
            Bad(
                file: "mmu/words", id: "word-v2-pte-1", path: ["in", "aperture"],
                message: "field \"in.aperture\" is an unknown aperture \"x\""),
        ])
    func refused(bad: Bad) throws {
        let name = "\(bad.file).jsonl.gz"
        let json = try Vectors.line(name, bad.id)
        #expect(throws: InputError(file: "case", line: 1, message: bad.message)) {
            try Vectors.run(changed(json, bad.path, to: bad.value))
        }
    }

    @Test("a line that is no case at all is refused")
    func noCase() {
        #expect(throws: InputError.self) { try Vectors.run(["hello": 1]) }
    }

    @Test("a run of entries outside its table is refused")
    func runOutsideTable() throws {
        let json = try Vectors.line("mmu/map-basic.jsonl.gz", "gp100-basic-001")
        for (index, count) in [(512, 1), (511, 2), (-1, 1), (0, 0), (1, Int.max)] {
            let run: [Any] = [index, count, "0x0", "0x0"]
            #expect(throws: InputError.self) {
                try Vectors.run(changed(json, ["steps", 1, "image", "tables", 1, "e", 0], to: run))
            }
        }
    }

    @Test("numbers that nothing can hold are refused, not trapped on")
    func hugeNumbers() throws {
        let space = try Vectors.line("gpuvm/edges.jsonl.gz", "offset-wrap")
        for (path, value) in [
            (["priv"], Int.max as Any), (["priv"], -1), (["steps", 0, "b"], 99), (["steps", 0, "b"], -1),
        ] as [([Step], Any)] {
            #expect(throws: InputError.self) { try Vectors.run(changed(space, path, to: value)) }
        }
        let tables = try Vectors.line("mmu/map-basic.jsonl.gz", "gp100-basic-001")
        for (path, value) in [
            (["mems", 0, "segs", 0, 0], "0xffffffffffffffff" as Any), (["mems", 0, "segs", 0, 1], "0xffffffffffffffff"),
            (["cfg", "ptbase"], "0xfffffffffffff000"), (["steps", 1, "image", "tables", 0, "n"], Int.max),
            (["steps", 2, "args", "kind"], 256),
        ] as [([Step], Any)] {
            #expect(throws: InputError.self) { try Vectors.run(changed(tables, path, to: value)) }
        }
        let compressed = try Vectors.line("mmu/tesla.jsonl.gz", "nv50-comp")
        for mode in [-1, 4, Int.max] {
            #expect(throws: InputError.self) { try Vectors.run(changed(compressed, ["steps", 1, "args", "comp"], to: mode)) }
        }
        let failing = try Vectors.line("mmu/errors.jsonl.gz", "gf100-enomem-1")
        for count in [-1, Int.min] {
            #expect(throws: InputError.self) { try Vectors.run(changed(failing, ["steps", 0, "after"], to: count)) }
        }
    }

    @Test(
        "special words of every generation are compared, whatever page sizes it has",
        arguments: ["nv04", "nv41", "nv44", "nv50", "gf100", "gp100", "gh100"])
    func specialWords(generation: String) throws {
        for what in ["unmapped_pte", "unmapped_pde", "sparse_pte", "sparse_pde"] {
            let word: [String: Any] = ["id": "x", "gen": generation, "what": what, "out": ["0xdeaf"]]
            #expect(try Vectors.run(word).verdict == .failed, "\(what)")
        }
    }
}
