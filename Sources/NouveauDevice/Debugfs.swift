internal import GPUVM

extension Device {
    /// The text of debugfs' `gpuvas`: every client's address space, newest client first.
    ///
    /// Where the kernel prints an object's address, an address made of the object's id stands.
    public func gpuvas() -> String {
        files.compactMap(\.uvmm).map { $0.gpuvas() }.joined()
    }
}

extension UVMM {
    fileprivate func gpuvas() -> String {
        var text = "DRM GPU VA space (\(name)) [0x\(digits(0));0x\(digits(Self.end))]\n"
        text += "Kernel reserved node [0x\(digits(kernelAddr));0x\(digits(kernelAddr + kernelSize))]\n\n"
        text += " VAs | start              | range              | end                | object             | object offset\n"
        text += String(repeating: "-", count: 109) + "\n"
        mutex.lock()
        defer { mutex.unlock() }
        vm.space.forEach { (mapping: Mapping) in
            guard mapping.id != .kernel else { return }
            let object = 0xffff_8880_0000_0000 + object(behind: mapping).id << 10
            text += "     " + row([mapping.addr, mapping.range, mapping.end, object, mapping.offset])
        }
        text += "\n VA regions  | start              | range              | end                \n"
        text += String(repeating: "-", count: 76) + "\n"
        for region in regions {
            text += "             " + row([region.addr, region.range, region.end])
        }
        return text
    }
}

private func row(_ numbers: [UInt64]) -> String {
    numbers.map { "| 0x\(digits($0))" }.joined(separator: " ") + "\n"
}

/// 16 digits.
private func digits(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
}
