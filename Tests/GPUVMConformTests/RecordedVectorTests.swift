import GPUVMConform
import Testing

/// The libraries against everything recorded.
@Suite struct RecordedVectorTests {
    @Test("every recorded case passes whole, those of the VA manager without a deviation", arguments: Vectors.names)
    func recorded(name: String) throws {
        for (_, result) in try Vectors.results(name) {
            #expect(result.verdict == .passed, "\(result.text(limit: 3).joined(separator: "\n"))")
            if name.hasPrefix("gpuvm/") { #expect(result.deviations == [], "\(result.id)") }
        }
    }

    @Test("only put and sparse calls merge flushes")
    func mergedFlushes() throws {
        var deviating = 0
        for name in ["mmu/map-basic.jsonl.gz", "mmu/sparse.jsonl.gz"] {
            for (json, result) in try Vectors.results(name) where result.deviations.contains(.flushMerge) {
                let steps = json["steps"] as! [[String: Any]]
                #expect(
                    steps.contains { step in
                        let writes = (step["regs"] as? [[String]] ?? []).map { $0[0] }
                        let flushes = writes.filter { ["0x100cbc", "0xb830b0"].contains($0) }.count
                        return ["put", "sparse"].contains(step["op"] as! String) && flushes > 1
                    }, "\(result.id)")
                deviating += 1
            }
        }
        #expect(deviating > 0)
    }
}
