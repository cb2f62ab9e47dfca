import Foundation
import GPUVMConform
import Testing

/// A recording with one value changed must fail, and the report must speak of that value.
struct Falsification: Sendable, CustomTestStringConvertible {
    var file: String
    var id: String
    var path: [Step]
    /// JSON text; empty: the value is taken away.
    var value: String
    /// How the difference is called.
    var what: String

    init(_ file: String, _ id: String, _ path: [Step], _ value: String, _ what: String) {
        (self.file, self.id, self.path, self.value, self.what) = ("\(file).jsonl.gz", id, path, value, what)
    }

    var testDescription: String { "\(what) of \(id)" }

    func apply() throws -> [String: Any] {
        let json =
            value.isEmpty
            ? nil : try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
        return changed(try Vectors.line(file, id), path, to: json)
    }
}

@Suite struct FalsifiedVectorTests {
    /// Steps of "offset-wrap": map, map (splits), map (splits, keep), unmap (splits).
    private static let space: [Falsification] = {
        let (f, id) = ("gpuvm/edges", "offset-wrap")
        return [
            .init(f, id, ["steps", 0, "rc"], "-22", "rc"),
            .init(f, id, ["steps", 1, "n"], "4", "n"),
            .init(f, id, ["steps", 1, "ops", 0], "", "ops"),
            .init(f, id, ["steps", 1, "ops", 0, 0], "\"u\"", "bad input"),
            .init(f, id, ["steps", 1, "ops", 0, 1], "\"21000\"", "ops"),
            .init(f, id, ["steps", 1, "ops", 0, 3], "2", "ops"),
            .init(f, id, ["steps", 1, "ops", 0, 6], "null", "ops"),
            .init(f, id, ["steps", 1, "ops", 0, 7, 3], "\"0\"", "ops"),
            .init(f, id, ["steps", 2, "ops", 0, 5], "0", "ops"),
            .init(f, id, ["steps", 2, "o"], "\"3000\"", "ops"),
            .init(f, id, ["steps", 3, "a"], "\"26800\"", "ops"),
            .init(f, id, ["vm", "warn"], "1", "warnings"),
            .init(f, id, ["final", "vas", 5], "", "vas"),
            .init(f, id, ["final", "vas", 0, 2], "2", "vas"),
            .init(f, id, ["final", "bos", 0, "vas", 0], "\"27800\"", "links of object 1"),
            .init(f, id, ["final", "bos", 0, "refs"], "6", "refs of object 1"),
            .init(f, id, ["final", "bos", 1], "", "links of object 2"),
            .init(f, id, ["final", "bos", 1, "ev"], "1", "evicted mark of object 2"),
            .init(f, id, ["final", "ext"], "[1]", "external objects"),
            .init(f, id, ["final", "evl"], "[1]", "evicted objects"),
            .init(f, "callback-fails-0-1", ["steps", 6, "rc"], "-5", "rc"),
            .init(f, "callback-fails-0-1", ["steps", 6, "at"], "2", "ops"),
            .init(f, "callback-fails-0-1", ["steps", 6, "ops", 1], "", "ops"),
            .init(f, "evict-validate-plain-0", ["steps", 21, "ops"], "[]", "ops"),
            .init(f, "evict-validate-plain-0", ["steps", 22, "rc"], "-2", "rc"),
            .init(f, "evict-validate-plain-0", ["steps", 24, "refs"], "3", "refs"),
            .init(f, "invalid-ranges", ["steps", 0, "ok"], "1", "valid"),
        ]
    }()

    /// Steps of "evict-validate-plain-0": six maps, lock, evict 1, 4, 3, 3, lock, validate, …, at 28 put, 31 validate,
    /// 32 lockrange.
    private static let pairs: [Falsification] = {
        let (f, id) = ("gpuvm/edges", "evict-validate-plain-0")
        return [
            .init(f, id, ["vm", "flags"], "1", "evict"),
            .init(f, id, ["vm", "flags"], "4", "bad input"),
            .init(f, id, ["steps", 6, "objs"], "[0,4,3,5,6]", "lock"),
            .init(f, id, ["steps", 6, "ext"], "[3,4,5]", "lock"),
            .init(f, id, ["steps", 7, "on"], "0", "evict"),
            .init(f, id, ["steps", 8, "evl"], "[4,1]", "evict"),
            .init(f, id, ["steps", 12, "fail"], "-1", "validate"),
            .init(f, id, ["steps", 12, "bos"], "[1,3,4]", "validate"),
            .init(f, id, ["steps", 12, "evl"], "[]", "validate"),
            .init(f, id, ["steps", 28, "b"], "0", "bad input"),
            .init(f, id, ["steps", 29, "rc"], "0", "rc"),
            .init(f, id, ["steps", 30, "bos", 3, "refs"], "2", "refs of object 6"),
            .init(f, id, ["steps", 33, "objs"], "[1,6]", "lockrange"),
            .init(f, id, ["steps", 33, "dup"], "0", "lockrange"),
            .init("gpuvm/random", "random-6", ["steps", 64, "objs"], "[1,6]", "maplock"),
            .init("gpuvm/random", "random-6", ["steps", 102, "objs"], "[1]", "unmaplock"),
        ]
    }()

    /// Steps of "gp100-basic-001": get, check, map, check, unmap, check, put, check.
    private static let tables: [Falsification] = {
        let (f, id) = ("mmu/map-basic", "gp100-basic-001")
        let (args, comp) = ("mmu/sparse", "mmu/compression-gsp")
        return [
            .init(f, id, ["steps", 0, "ret"], "-12", "ret of get"),
            .init(f, id, ["steps", 0, "regs"], "", "flushes"),
            .init(f, id, ["steps", 0, "regs", 0, 1], "\"0x1000001\"", "registers of the last flush"),
            .init(f, id, ["steps", 0, "regs", 1, 0], "\"0x100ce8\"", "registers of the last flush"),
            .init(f, id, ["steps", 1, "image", "tables", 3], "", "table PD0 of 0x7dc2e0000000"),
            .init(f, id, ["steps", 1, "image", "tables", 3, "t"], "\"LPT\"", "table LPT of 0x7dc2e0000000"),
            .init(f, id, ["steps", 1, "image", "tables", 2, "e", 0, 0], "24", "PD1 of 0x7dc000000000, entry 23"),
            .init(
                f, id, ["steps", 1, "image", "tables", 2, "e", 0, 2], "\"0x1000030a\"", "PD1 of 0x7dc000000000, entry 23"),
            .init(f, id, ["steps", 1, "image", "tables", 0, "n"], "8", "table PD3 of 0x0"),
            .init(f, id, ["steps", 1, "sw", 0, "r0"], "3", "counters of level 4 of 0x0"),
            .init(f, id, ["steps", 1, "sw", 1, "sp"], "1", "counters of level 3 of 0x0"),
            .init(f, id, ["steps", 1, "sw", 3], "", "counters of level 1 of 0x7dc2e0000000"),
            .init(f, id, ["steps", 2, "args", "ro"], "0", "PD0 of 0x7dc2e0000000, entry 79"),
            .init(
                f, id, ["steps", 3, "image", "tables", 3, "e", 0, 2], "\"0x260000002e780021\"", "PD0 of 0x7dc2e0000000, entry 79"),
            .init(
                f, id, ["steps", 3, "image", "tables", 3, "e", 0, 4], "\"0x8\"", "PD0 of 0x7dc2e0000000, entry 79, high"),
            .init(f, id, ["steps", 3, "probes", 1, "pa"], "\"0x2e7801000\"", "walk of 0x7dc2e9e00000"),
            .init(f, id, ["steps", 3, "probes", 1, "kind"], "0", "walk of 0x7dc2e9e00000"),
            .init(f, id, ["steps", 3, "probes", 1, "lvl"], "\"LPT\"", "walk of 0x7dc2e9e00000"),
            .init(f, id, ["steps", 3, "probes", 1, "shift"], "16", "walk of 0x7dc2e9e00000"),
            .init(f, id, ["steps", 3, "probes", 0, "why"], "\"pte\"", "walk of 0x7dc2e9dfffff"),
            .init(f, id, ["steps", 7, "image", "pdb"], "\"0x100001000\"", "address of the root"),
            .init(args, "gp100-sparse-01", ["steps", 1, "probes", 1, "lvl"], "\"SPT\"", "walk of 0x3d9318e20000"),
            .init(
                args, "gp100-sparse-01", ["steps", 1, "image", "tables", 5, "e", 0, 1], "10", "LPT of 0x3d9319000000, entry 9"),
            .init(comp, "gp100-comp-rm0-0", ["cfg", "rm"], "1", "LPT of 0x8604000000, entry 0"),
            .init("mmu/pt-aperture", "tu102-pt-host", ["cfg", "ptt"], "\"ncoh\"", "PD3 of 0x0, entry 0"),
        ]
    }()

    /// Steps beside the raw operations. "tu102-join-vram-replay": join, check, part.
    private static let beside: [Falsification] = {
        let (join, flush, vma) = ("tu102-join-vram-replay", "gp100-flush-vram-bar1", "gp100-vma-0")
        return [
            .init("mmu/join", join, ["steps", 0, "w", 0, 1], "\"0x60406c00\"", "instance block, word at 0x200"),
            .init("mmu/join", join, ["steps", 0, "w", 4], "", "instance block, word at 0x298"),
            .init("mmu/join", join, ["cfg", "replay"], "0", "instance block, word at 0x200"),
            .init("mmu/join", join, ["steps", 2, "words_0x200", 0], "\"0x1\"", "instance block, words at 0x200"),
            .init("mmu/flush", flush, ["steps", 0, "bar"], "0", "registers of the last flush"),
            .init("mmu/flush", flush, ["steps", 1, "regs", 1, 1], "\"0x1\"", "registers of the last flush"),
            .init("mmu/flush", flush, ["steps", 3, "regs", 0, 1], "\"0x80000001\"", "registers of fault_replay"),
            .init("mmu/flush", flush, ["steps", 4, "client"], "16", "registers of fault_cancel"),
            .init("mmu/pfn", "gp100-pfn-1", ["steps", 0, "pfn_out", 0], "\"0x0\"", "pfn_out"),
            .init("mmu/pfn", "gp100-pfn-1", ["steps", 0, "pfn", 1], "\"0x2d9d9f003\"", "pfn_out"),
            .init("mmu/vma", vma, ["steps", 0, "va"], "\"0x6e0001000\"", "va"),
            .init("mmu/vma", vma, ["steps", 1, "shift"], "16", "page size"),
            .init("mmu/vma", vma, ["steps", 3, "ret"], "-2", "ret of vput"),
        ]
    }()

    /// Tesla and older. "nv50-0": join, vget, vmap, check; "nv50-comp": vget, vmap, check.
    private static let early: [Falsification] = {
        let (f, one) = ("mmu/tesla", "PD0 of 0x0, entry 30")
        return [
            .init(f, "nv50-0", ["steps", 3, "image", "tables", 0, "e", 0, 2], "\"0x100020001\"", one),
            .init(f, "nv50-0", ["steps", 3, "image", "tables", 0, "e", 1, 2], "\"0x0\"", "PD0 of 0x0, entry 31"),
            .init(f, "nv50-0", ["cfg", "kernel_managed", 1], "\"0x400000000000\"", "bad input"),
            .init(f, "nv50-0", ["cfg", "kernel_managed", 1], "\"0x0\"", "PD0 of 0x0, entry 62"),
            .init(f, "nv50-0", ["steps", 2, "args", "ro"], "0", "SPT of 0x3c0000000, entry 0"),
            .init(f, "nv50-0", ["steps", 3, "image", "tables", 1, "e", 4, 1], "3", "SPT of 0x3c0000000, entry 7"),
            .init(f, "nv50-0", ["steps", 3, "probes", 1, "shift"], "16", "walk of 0x3c0000000"),
            .init(f, "nv50-comp", ["steps", 1, "args", "comp"], "1", "LPT of 0x0, entry 0"),
            .init(f, "nv50-kindtype", ["steps", 1, "args", "kind"], "0", "ret of vmap"),
            .init(f, "mcp77-0", ["cfg", "stolen"], "\"0x45000000\"", "LPT of 0x420000000, entry 0"),
            .init(f, "nv04-0", ["steps", 16, "image", "tables", 0, "e", 0, 2], "\"0x15472001\"", "SPT of 0x0, entry 0"),
            .init(f, "nv44-0", ["steps", 18, "image", "tables", 0, "e", 12, 2], "\"0x0\"", "SPT of 0x0, entry 16"),
            .init("mmu/flush", "nv41-flush-vram-bar0", ["steps", 1, "regs", 0, 1], "\"0x20\"", "registers of the last"),
            .init("mmu/flush", "g84-flush-vram-bar1", ["steps", 0, "bar"], "0", "registers of the last flush"),
            .init("mmu/tables", "kinds-nv50", ["table", 1], "1", "kind 1"),
        ]
    }()

    private static let words: [Falsification] = [
        .init("mmu/words", "word-v2-pte-1", ["out", 0], "\"0x6c00000c8a29db6a\"", "word"),
        .init("mmu/words", "word-v2-pte-1", ["in", "peer"], "5", "word"),
        .init("mmu/words", "word-v2-pde-1", ["out", 0], "\"0x67f3b26710d\"", "word"),
        .init("mmu/words", "word-v2-dual-0", ["out", 1], "\"0x0\"", "word"),
        .init("mmu/words", "word-v2-dual-0", ["in", "small"], "null", "word"),
        .init("mmu/tables", "kinds-ga102", ["table", 8], "8", "kind 8"),
        .init("mmu/tables", "pages-gp100", ["pages", 3, "comp"], "1", "pages"),
    ]

    @Test("a changed value fails and is named", arguments: space + pairs + tables + beside + early + words)
    func falsified(change: Falsification) throws {
        do {
            let result = try Vectors.run(try change.apply())
            #expect(result.verdict == .failed)
            #expect(
                result.differences.contains { $0.what.hasPrefix(change.what) },
                "\(result.text(limit: 5).joined(separator: "\n"))")
        } catch {
            #expect(change.what == "bad input", "\(error)")
        }
    }

    @Test("every form of a request is compared")
    func forms() throws {
        let change = Falsification("gpuvm/edges", "offset-wrap", ["steps", 3, "n"], "0", "n")
        let what = try Vectors.run(try change.apply()).differences.map(\.what)
        #expect(what == ["n (list)", "n (fused)", "n (steps)"])
    }
}
