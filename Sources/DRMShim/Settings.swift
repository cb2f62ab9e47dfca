internal import DRMLock
internal import Glibc
internal import NVMMU
internal import NouveauDevice

/// The process's device, as the environment wants it. What is wrong with that is said on standard error.
func makeDevice() -> Device? {
    var options = DeviceOptions()
    var chipset = 0x172
    if let text = variable("NOUVEAU_CHIPSET") {
        guard let value = Int(text.hasPrefix("0x") ? text.dropFirst(2) : text[...], radix: 16) else {
            return complain("NOUVEAU_CHIPSET=\(text): need a hex number")
        }
        chipset = value
    }
    if let text = variable("GPUVM_VRAM") {
        guard let value = bytes(text) else { return complain("GPUVM_VRAM=\(text): need a size, as 64M or 3G") }
        options.vram = value
    }
    let descriptors = ProcessDescriptors()
    options.descriptors = descriptors
    options.onFault = FaultLog(path: variable("GPUVM_LOG").map(processPath)).write
    do throws(DeviceError) {
        let device = try Device(chipset: chipset, options: options, gate: ThreadedGate())
        descriptors.device = device
        device.recordAsEnvironmentAsks()
        return device
    } catch {
        return complain("\(error)")
    }
}

/// Where the faults go.
private struct FaultLog: Sendable {
    /// `nil`: standard error.
    let path: String?

    func write(_ fault: FaultReport) {
        let text = "gpuvm: \(fault.details)\n"
        guard let path else { return put(text, STDERR_FILENO) }
        let fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
        guard fd >= 0 else { return put("gpuvm: GPUVM_LOG=\(path): \(String(cString: strerror(errno)))\n" + text, STDERR_FILENO) }
        put(text, fd)
        close(fd)
    }
}

private func complain(_ message: String) -> Device? {
    put("gpuvm: \(message)\n", STDERR_FILENO)
    return nil
}

/// In one piece.
private func put(_ text: String, _ fd: Int32) {
    var text = text
    text.withUTF8 { _ = Glibc.write(fd, $0.baseAddress, $0.count) }
}

/// An empty one is none.
private func variable(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
}

/// `64M`, `3G`, `0x10000000`.
private func bytes(_ text: String) -> UInt64? {
    var end: UnsafeMutablePointer<CChar>?
    return text.withCString { start in
        guard isdigit(Int32(start.pointee)) != 0 else { return nil }
        let value = UInt64(strtoull(start, &end, 0))
        let suffix = String(cString: end!).lowercased()
        guard let shift = ["": 0, "k": 10, "m": 20, "g": 30, "t": 40][suffix] else { return nil }
        let (result, overflow) = value.multipliedReportingOverflow(by: 1 << shift)
        return overflow ? nil : result
    }
}
