import GPUVMConform
import Testing

@Suite struct ReportTests {
    @Test("counts, reasons and deviations come out as documented") func counts() throws {
        var report = Report()
        for (_, result) in try Vectors.results("mmu/quirks.jsonl.gz") { report.add(result) }
        #expect(report.summary == "4 passed, 0 failed, 6 skipped, 4 deviate")
        #expect(
            report.notes == [
                "skipped 3: generation gh100", "skipped 1: generation gf100", "skipped 1: generation gk104",
                "skipped 1: generation gm200", "deviates 4: SIZE-OVERLAP",
            ])
        var sum = report
        sum += report
        #expect(sum.summary == "8 passed, 0 failed, 12 skipped, 8 deviate")
    }

    @Test("a difference names case, step, expected and found") func differences() throws {
        let json = try Vectors.line("gpuvm/edges.jsonl.gz", "offset-wrap")
        let result = try Vectors.run(changed(json, ["steps", 3, "n"], to: 5))
        #expect(
            result.text(limit: 1) == [
                "offset-wrap, step 3: n (list)", "  expected 5", "  found    6", "offset-wrap: 2 more differences",
            ])
    }

    @Test("a failed case is failed even if a part of it was skipped") func failedBeforeSkipped() throws {
        let json = try Vectors.line("gpuvm/edges.jsonl.gz", "evict-validate-plain-0")
        var report = Report()
        report.add(try Vectors.run(json))
        #expect(report.summary == "0 passed, 0 failed, 1 skipped, 0 deviate")
        report.add(try Vectors.run(changed(json, ["steps", 0, "n"], to: 2)))
        #expect(report.summary == "0 passed, 1 failed, 1 skipped, 0 deviate")
    }

    @Test(
        "a file is named without folder and endings",
        arguments: [("gpuvm/edges.jsonl.gz", "edges"), ("mmu/map-basic.jsonl.gz", "map-basic")])
    func name(path: String, name: String) throws {
        #expect(try VectorFile(path: Vectors.path(path)).name == name)
    }
}
