internal import ArgumentParser
internal import CBSD
internal import NVMMU

/// A chipset number: always hex, with or without `0x`.
struct ChipsetNumber: ExpressibleByArgument {
    let value: Int

    init?(argument: String) {
        let digits = argument.lowercased().hasPrefix("0x") ? argument.dropFirst(2) : argument[...]
        guard let value = Int(digits, radix: 16), value >= 0 else { return nil }
        self.value = value
    }

    /// - Throws: wrong usage, when no such chip is known.
    func chip() throws -> Chip {
        guard let chip = Chip(chipset: value) else {
            throw ValidationError("chipset 0x\(String(value, radix: 16)) is not known; \"gpuvm chips\" lists them")
        }
        return chip
    }
}

/// A number of bytes: `3221225472`, `64K`, `3G`.
struct ByteCount: ExpressibleByArgument {
    let value: UInt64

    init?(argument: String) {
        var value: UInt64 = 0
        guard argument.first?.isNumber == true, expand_number(argument, &value) == 0 else { return nil }
        self.value = value
    }
}

/// A number: decimal, or hex after `0x`.
struct Number: ExpressibleByArgument {
    let value: UInt64

    init?(argument: String) {
        let lower = argument.lowercased()
        let value = lower.hasPrefix("0x") ? UInt64(lower.dropFirst(2), radix: 16) : UInt64(lower, radix: 10)
        guard let value, lower.first != "+" else { return nil }
        self.value = value
    }
}
