import GPUVMTrace
import JSONLines
import Model
import NouveauDevice
import Testing
import TraceSupport

/// Sessions with one random change: they are refused with their line, or replayed to the end with whatever differs.
/// Nothing may trap.
@Suite struct DamagedSessionTests {
    @Test("a session with a random change is refused or replayed, never a crash", arguments: sampleNames)
    func damaged(_ name: String) throws {
        var random = SeededRandom(seed: RandomTest.seed("DamagedSessionTests \(name)"))
        let whole = gzippedLines(sampleTrace(name))
        var (refused, different) = (0, 0)
        let rounds = RandomTest.rounds(20, long: 20)
        for _ in 0..<rounds {
            var lines = whole
            let at = Int.random(in: 0..<lines.count, using: &random)
            lines[at] = changed(lines[at], &random)
            let scratch = Scratch(lines: lines)
            do throws(InputError) {
                let trace = try Trace(path: scratch.path)
                guard let device = try? Device(chipset: trace.header.chipset) else { continue }
                let replayer = Replayer(trace, on: device)
                try replayer.run()
                if !replayer.report.isEqual { different += 1 }
            } catch {
                #expect(error.file == scratch.path && error.line != nil, "\(error)")
                refused += 1
            }
        }
        #expect(refused > 0, "\(rounds) changes, \(different) seen in the replay, none refused")
    }

    /// One number of a line becomes another: small, huge, or with one digit changed.
    private func changed(_ line: String, _ random: inout SeededRandom) -> String {
        var bytes = Array(line.utf8)
        let digits = bytes.indices.filter { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[$0]) }
        guard let at = digits.randomElement(using: &random) else { return line }
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[at] = UInt8(ascii: "0") + UInt8.random(in: 0...9, using: &random)
        case 1: bytes.insert(contentsOf: Array("4294967295".utf8), at: at)
        case 2: bytes.insert(contentsOf: Array("ffffffff".utf8), at: at)
        default: bytes.remove(at: at)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
