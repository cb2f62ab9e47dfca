internal import JSONLines
internal import NVMMU

/// The TLB flushes of one step as nouveau writes them to registers.
struct FlushRegisters {
    var count: Int
    /// Register writes of the last flush.
    var last: [Write]

    struct Write: Hashable, CustomStringConvertible {
        var register, value: UInt64
        var description: String { "\(register.hex)=\(value.hex)" }
    }

    /// The writes that start a flush.
    private static let triggers: Set<UInt64> = [0x100cbc, 0xb830b0]

    /// From field `regs` of a step; it may be absent.
    init(_ step: JSONObject) throws(InputError) {
        count = 0
        last = []
        guard step.has("regs") else { return }
        let writes = try step.array("regs").map { array, i throws(InputError) in
            let write = try array.array(i)
            try write.expectCount(2)
            return Write(register: try write.hex(0), value: try write.hex(1))
        }
        for write in writes {
            if last.last.map({ Self.triggers.contains($0.register) }) ?? false { last = [] }
            last.append(write)
            count += Self.triggers.contains(write.register) ? 1 : 0
        }
    }

    /// What nouveau writes for `flush` on a generation, the root being at `root`.
    static func writes(_ flush: Flush, generation: String, root: UInt64) -> [Write] {
        let allAddresses: UInt64 = 0x8000_0001
        let hasUpperRegister = ["gp100", "gp10b", "gv100"].contains(generation)
        guard hasUpperRegister || ["gf100", "gk104", "gk20a", "gm200", "gm20b"].contains(generation) else {
            return [
                Write(register: 0xb830a0, value: root >> 8 & 0xffff_ffff), Write(register: 0xb830a4, value: 0),
                Write(register: 0xb830b0, value: allAddresses),
            ]
        }
        let pdb = (root >> 12) << 4 | UInt64(flush.rootAperture.rawValue)
        let upper = hasUpperRegister ? [Write(register: 0x100cec, value: pdb >> 32)] : []
        return [Write(register: 0x100cb8, value: pdb & 0xffff_ffff)] + upper
            + [Write(register: 0x100cbc, value: allAddresses)]
    }
}
