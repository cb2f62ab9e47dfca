import Foundation
import GPUVMConform
import KernelErrno
import Testing

@Suite struct DeviationTests {
    @Test("the rows of docs/deviations.md are the deviations of the code")
    func documented() throws {
        let text = try String(contentsOf: Vectors.root.appendingPathComponent("docs/deviations.md"), encoding: .utf8)
        let rows = text.split(separator: "\n").compactMap { line in
            line.firstMatch(of: /^\| ([A-Z0-9-]+) \|/).map { String($0.1) }
        }.filter { $0 != "ID" }
        #expect(rows.sorted() == Deviation.allCases.map(\.rawValue).sorted())
    }

    @Test("two page sizes on one address follow SIZE-OVERLAP only where the case is flagged for it")
    func sizeOverlap() throws {
        for (json, result) in try Vectors.results("mmu/quirks.jsonl.gz")
        where (json["flags"] as? [String]) == ["quirk-overlap"] && !result.deviations.isEmpty {
            #expect(result.verdict == .passed && result.deviations == [.sizeOverlap], "\(result.id)")
            let unflagged = try Vectors.run(changed(json, ["flags"], to: nil))
            #expect(unflagged.verdict == .failed, "\(result.id)")
        }
    }

    @Test("Fermi hides no small pages, so that two sizes on one address need no deviation there")
    func sizeOverlapOnFermi() throws {
        var json = try Vectors.line("mmu/quirks.jsonl.gz", "gf100-get-small-under-valid-big")
        json["flags"] = nil
        let result = try Vectors.run(json)
        #expect(result.verdict == .passed && result.deviations == [])
    }

    @Test(
        "nouveau's mistakes with its largest pages are deviations only where the case is flagged for them",
        arguments: [
            ("mmu/sparse.jsonl.gz", "gm200_16-sparse-quirk", Deviation.sparse27On64K),
            ("mmu/sparse.jsonl.gz", "gm20b_16-sparse-quirk", .sparse27On64K),
            ("mmu/quirks.jsonl.gz", "gh100-512m", .gh100Page512M),
        ])
    func largePages(name: String, id: String, deviation: Deviation) throws {
        let json = try Vectors.line(name, id)
        let result = try Vectors.run(json)
        #expect(result.verdict == .passed && result.deviations == [deviation])
        #expect(try Vectors.run(changed(json, ["flags"], to: nil)).verdict == .failed)
    }

    @Test("a flagged case of large pages still fails where another entry differs")
    func wrongLargePage() throws {
        let json = try Vectors.line("mmu/sparse.jsonl.gz", "gm200_16-sparse-quirk")
        let elsewhere = try Vectors.run(changed(json, ["steps", 1, "image", "tables", 0, "e", 0, 0], to: 29))
        #expect(elsewhere.differences.map(\.what) == ["PD0 of 0x0, entry 29"])
    }

    @Test("a flagged case still fails where no two page sizes meet, and where a walk finds a wrong page")
    func wrongDespiteFlag() throws {
        let json = try Vectors.line("mmu/quirks.jsonl.gz", "gp100-2m-over-4k")
        let elsewhere = try Vectors.run(changed(json, ["steps", 4, "image", "tables", 1, "e", 0, 2], to: "0x0"))
        #expect(elsewhere.differences.map(\.what) == ["PD2 of 0x0, entry 3"])
        let moved = try Vectors.run(changed(json, ["steps", 4, "probes", 1, "pa"], to: "0xf9e01000"))
        #expect(moved.verdict == .passed, "the recording is not believed there, the calls are")
        let memory = try Vectors.run(changed(json, ["mems", 0, "segs", 0, 0], to: "0xfa000000"))
        #expect(memory.verdict == .passed, "another memory means other pages, and those are found")
    }

    @Test("an applied zero range is refused, and the case passes as ZERO-RANGE")
    func zeroRange() throws {
        var json = try Vectors.line("gpuvm/edges.jsonl.gz", "offset-wrap")
        json["steps"] = [
            ["q": "insert", "a": "20000", "r": "0", "b": 1, "o": "0", "rc": 0, "n": 1],
            ["q": "valid", "a": "0", "r": "1", "ok": 1],
        ]
        let result = try Vectors.run(json)
        #expect(result.verdict == .passed && result.deviations == [.zeroRange])
    }
}
