import GPUVMConform
import Testing

/// The libraries against everything recorded.
@Suite struct RecordedVectorTests {
    /// What may be skipped until its part is built.
    private static let later: Set<String> = [
        "vm_bo step obtain", "vm_bo step put", "vm_bo step cleanup", "eviction step evict", "eviction step validate",
        "locking step lock", "locking step lockrange", "locking step maplock", "locking step unmaplock",
        "external object list", "evict list", "evicted marks",
    ]

    @Test("no recorded case fails, and only what is named is skipped", arguments: Vectors.names)
    func recorded(name: String) throws {
        for (_, result) in try Vectors.results(name) {
            #expect(result.differences.isEmpty, "\(result.text(limit: 3).joined(separator: "\n"))")
            #expect(result.skips.subtracting(Self.later) == [], "\(result.id)")
        }
    }

    @Test("geometry vectors pass whole", arguments: ["gpuvm/geometry-dry.jsonl.gz", "gpuvm/geometry-apply.jsonl.gz"])
    func geometry(name: String) throws {
        for (_, result) in try Vectors.results(name) {
            #expect(result.verdict == .passed && result.deviations.isEmpty, "\(result.id)")
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
