@testable import GPUVMConform
import Testing

@Suite struct ReportTests {
    private let skipped = {
        var result = CaseResult(id: "a case of tomorrow")
        result.skips.insert("something unheard of")
        return result
    }()

    @Test("counts, reasons and deviations come out as documented") func counts() throws {
        var report = Report()
        for (_, result) in try Vectors.results("mmu/quirks.jsonl.gz") { report.add(result) }
        report.add(skipped)
        #expect(report.summary == "10 passed, 0 failed, 1 skipped, 9 deviate")
        #expect(report.notes.first == "skipped 1: something unheard of")
        #expect(report.notes.suffix(2) == ["deviates 8: SIZE-OVERLAP", "deviates 1: GH100-512M"])
        var sum = report
        sum += report
        #expect(sum.summary == "20 passed, 0 failed, 2 skipped, 18 deviate")
    }

    @Test("a difference names case, step, expected and found") func differences() throws {
        let json = try Vectors.line("gpuvm/edges.jsonl.gz", "offset-wrap")
        let result = try Vectors.run(changed(json, ["steps", 3, "n"], to: 5))
        #expect(
            result.text(limit: 1) == [
                "offset-wrap, step 3: n (list)", "  expected 5", "  found    6", "offset-wrap: 2 more differences",
            ])
    }

    @Test("a failed case is failed even if a part of it was skipped") func failedBeforeSkipped() {
        var report = Report()
        report.add(skipped)
        #expect(report.summary == "0 passed, 0 failed, 1 skipped, 0 deviate")
        var failed = skipped
        failed.differ(step: nil, "n", expected: "1", found: "2")
        report.add(failed)
        #expect(report.summary == "0 passed, 1 failed, 1 skipped, 0 deviate")
    }

    @Test(
        "a file is named without folder and endings",
        arguments: [("gpuvm/edges.jsonl.gz", "edges"), ("mmu/map-basic.jsonl.gz", "map-basic")])
    func name(path: String, name: String) throws {
        #expect(try VectorFile(path: Vectors.path(path)).name == name)
    }
}
