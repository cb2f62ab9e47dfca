internal import JSONLines
internal import NVMMU

/// The TLB flushes of one step as nouveau writes them to registers.
struct FlushRegisters {
    private(set) var count = 0
    /// Register writes of the last flush.
    private(set) var last: [RegisterWrite] = []

    /// The last write of a flush.
    private static func ends(_ write: RegisterWrite) -> Bool {
        switch write.address {
        case 0x100cbc, 0xb830b0, 0x100c80: true
        case 0x100808, 0x100810: write.value == 0 // nv44, nv41: the trigger is taken back
        default: false
        }
    }

    /// From field `regs` of a step; it may be absent.
    init(_ step: JSONObject) throws(InputError) {
        guard step.has("regs") else { return }
        let writes = try step.array("regs").map { array, i throws(InputError) in
            let write = try array.array(i)
            try write.expectCount(2)
            guard let address = UInt32(exactly: try write.hex(0)), let value = UInt32(exactly: try write.hex(1)) else {
                throw array.error(i, "has more than 32 bits")
            }
            return RegisterWrite(address: address, value: value)
        }
        for write in writes {
            if last.last.map(Self.ends) ?? false { last = [] }
            last.append(write)
            count += Self.ends(write) ? 1 : 0
        }
    }
}
