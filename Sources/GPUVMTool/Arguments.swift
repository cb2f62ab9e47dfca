internal import ArgumentParser
internal import CBSD
internal import NVMMU

/// A chipset number: always hex, with or without `0x`.
struct ChipsetNumber: ExpressibleByArgument {
    let value: Int

    init?(argument: String) {
        let digits = argument.lowercased().hasPrefix("0x") ? argument.dropFirst(2) : argument[...]
        guard let number = UInt64(digits: digits, radix: 16), let value = Int(exactly: number) else { return nil }
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
        // expand_number() takes anything behind the unit, and gives the largest number for one that is too large.
        var value: UInt64 = 0
        guard argument.wholeMatch(of: /(0[xX][0-9a-fA-F]+|0|[1-9][0-9]*)[KkMmGgTtPpEe]?/) != nil,
            expand_number(argument, &value) == 0, value < .max
        else { return nil }
        self.value = value
    }
}

/// A number: decimal, or hex after `0x`.
struct Number: ExpressibleByArgument {
    let value: UInt64

    init?(argument: String) {
        let lower = argument.lowercased()
        let isHex = lower.hasPrefix("0x")
        guard let value = UInt64(digits: isHex ? lower.dropFirst(2) : lower[...], radix: isHex ? 16 : 10) else { return nil }
        self.value = value
    }
}

extension UInt64 {
    /// Digits alone: no sign, which Swift's own takes.
    fileprivate init?(digits: Substring, radix: Int) {
        guard digits.first?.isHexDigit == true else { return nil }
        self.init(digits, radix: radix)
    }
}
