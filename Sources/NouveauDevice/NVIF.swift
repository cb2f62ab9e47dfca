internal import KernelErrno
internal import NouveauUAPI

/// What a client made through NVIF, known by a number of the client's choice.
enum NVIFObject {
    case device
    case engine(UInt16)
}

extension DeviceFile {
    func nvif(_ a: Argument) throws(KernelErrno) {
        let call = try NVIFCall(a)
        switch call.body {
        case .new(let new): try nvifNew(call, new)
        case .delete: nvifObjects[call.object] = nil
        case .deviceInfo:
            guard case .device? = nvifObjects[call.object] else { throw .EINVAL }
            device.info.store(in: a)
        case .sclass:
            guard let channel = channel(call.channel) else { throw .EINVAL }
            NVIFCall.store(classes: channel.classes, in: a)
        }
    }

    private func nvifNew(_ call: NVIFCall, _ new: NVIFCall.NewObject) throws(KernelErrno) {
        let target = call.isChannelRoute ? channel(call.channel) : nil
        guard target != nil || !call.isChannelRoute else { throw .EINVAL }
        guard nvifObjects[new.object] == nil else { throw .EEXIST }
        var object = NVIFObject.device
        if let target {
            guard let oclass = target.classes.first(where: { Int32($0) == new.oclass }) else { throw .EINVAL }
            object = .engine(oclass)
        }
        nvifObjects[new.object] = object
    }
}

extension Device {
    package var isSoC: Bool { memory.vram.size == 0 }

    var info: DeviceInfo {
        DeviceInfo(
            platform: isSoC ? .soc : .pcie, chipset: chip.chipset, family: chip.family,
            ramSize: isSoC ? 0 : options.vram, ramUser: memory.vram.size, chip: chip.name,
            name: "NVIDIA \(chip.name) (simulated)")
    }
}
