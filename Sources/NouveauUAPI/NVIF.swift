internal import CNouveauUAPI
package import KernelErrno

/// An NVIF ioctl: the subset that user space may use.
package struct NVIFCall {
    package enum Body {
        case sclass(count: Int)
        case new(NewObject)
        case delete
        case deviceInfo
    }

    package struct NewObject {
        /// The client's name for the object.
        package let object: UInt64
        package let oclass: Int32
    }

    /// Addressed to a channel's objects; else to the device.
    package let isChannelRoute: Bool
    private let token: UInt64
    /// The client's name for the object spoken to.
    package let object: UInt64
    package let body: Body

    /// The channel spoken to, cut to the width of a channel number.
    package var channel: Int32 { Int32(truncatingIfNeeded: token) }

    static let headerSize = MemoryLayout<nvu_nvif_ioctl>.size

    /// - Throws: `EINVAL` for what the kernel refuses before it looks anything up.
    package init(_ a: Argument) throws(KernelErrno) {
        let header = a.load(nvu_nvif_ioctl.self)
        guard header.version == 0, [NVU_NVIF_ROUTE_DEVICE, NVU_NVIF_ROUTE_CHANNEL].contains(UInt32(header.route)) else {
            throw .EINVAL
        }
        isChannelRoute = header.route == NVU_NVIF_ROUTE_CHANNEL
        token = header.token
        object = header.object
        body = try Self.body(nvu_nvif_type(UInt32(header.type)), isChannelRoute, header.object, a)
    }

    private static func body(
        _ type: nvu_nvif_type, _ isChannelRoute: Bool, _ object: UInt64, _ a: Argument
    ) throws(KernelErrno) -> Body {
        let dataSize = a.count - headerSize
        switch type {
        case NVU_NVIF_NEW:
            guard dataSize >= MemoryLayout<nvu_nvif_new>.size else { throw .EINVAL }
            let new = a.load(nvu_nvif_new.self, at: headerSize)
            guard new.version == 0 else { throw .EINVAL }
            guard isChannelRoute || (object == 0 && new.oclass == NVU_NV_DEVICE) else { throw .EINVAL }
            return .new(NewObject(object: new.object, oclass: new.oclass))
        case NVU_NVIF_DEL:
            guard !isChannelRoute, dataSize == 0 else { throw .EINVAL }
            return .delete
        case NVU_NVIF_MTHD:
            let infoAt = headerSize + MemoryLayout<nvu_nvif_mthd>.size
            guard !isChannelRoute, dataSize == infoAt - headerSize + MemoryLayout<nvu_device_info>.size else {
                throw .EINVAL
            }
            let mthd = a.load(nvu_nvif_mthd.self, at: headerSize)
            guard mthd.version == 0, mthd.method == NVU_NV_DEVICE_INFO, a.load(nvu_device_info.self, at: infoAt).version == 0
            else { throw .EINVAL }
            return .deviceInfo
        case NVU_NVIF_SCLASS:
            guard isChannelRoute, dataSize >= MemoryLayout<nvu_nvif_sclass>.size else { throw .EINVAL }
            let sclass = a.load(nvu_nvif_sclass.self, at: headerSize)
            let entries = dataSize - MemoryLayout<nvu_nvif_sclass>.size
            guard sclass.version == 0, entries == Int(sclass.count) * MemoryLayout<nvu_nvif_oclass>.stride else {
                throw .EINVAL
            }
            return .sclass(count: Int(sclass.count))
        default:
            throw .EINVAL
        }
    }

    /// Answers SCLASS: as many classes as the client has room for, and how many there are.
    package static func store(classes: [UInt16], in a: Argument) {
        var sclass = a.load(nvu_nvif_sclass.self, at: headerSize)
        let first = headerSize + MemoryLayout<nvu_nvif_sclass>.size
        for (i, oclass) in classes.prefix(Int(sclass.count)).enumerated() {
            a.store(
                nvu_nvif_oclass(oclass: Int32(oclass), minver: 0, maxver: 0),
                at: first + i * MemoryLayout<nvu_nvif_oclass>.stride)
        }
        sclass.count = UInt8(classes.count)
        a.store(sclass, at: headerSize)
    }
}

/// The answer of the device's INFO method.
package struct DeviceInfo {
    package enum Platform: UInt8, Sendable {
        case igp = 0
        case pci = 1
        case agp = 2
        case pcie = 3
        case soc = 4
    }

    package var platform: Platform
    package var chipset: Int
    /// "Turing" …
    package var family: String
    package var ramSize, ramUser: UInt64
    package var chip, name: String

    package init(
        platform: Platform, chipset: Int, family: String, ramSize: UInt64, ramUser: UInt64, chip: String, name: String
    ) {
        self.platform = platform
        self.chipset = chipset
        self.family = family
        self.ramSize = ramSize
        self.ramUser = ramUser
        self.chip = chip
        self.name = name
    }

    package func store(in a: Argument) {
        var info = nvu_device_info()
        info.platform = platform.rawValue
        info.chipset = UInt16(truncatingIfNeeded: chipset)
        info.revision = 0xa1
        info.family = Self.familyNumbers[family].map { UInt8($0.rawValue) } ?? 0
        info.ram_size = ramSize
        info.ram_user = ramUser
        withUnsafeMutableBytes(of: &info.chip) { Self.copy(chip, into: $0) }
        withUnsafeMutableBytes(of: &info.name) { Self.copy(name, into: $0) }
        a.store(info, at: NVIFCall.headerSize + MemoryLayout<nvu_nvif_mthd>.size)
    }

    /// Cut where needed so that a NUL ends it.
    private static func copy(_ text: String, into field: UnsafeMutableRawBufferPointer) {
        field.copyBytes(from: text.utf8.prefix(field.count - 1))
    }

    private static let familyNumbers: [String: nvu_family] = [
        "Tesla": NVU_FAMILY_TESLA, "Fermi": NVU_FAMILY_FERMI, "Kepler": NVU_FAMILY_KEPLER,
        "Maxwell": NVU_FAMILY_MAXWELL, "Pascal": NVU_FAMILY_PASCAL, "Volta": NVU_FAMILY_VOLTA,
        "Turing": NVU_FAMILY_TURING, "Ampere": NVU_FAMILY_AMPERE, "Ada": NVU_FAMILY_ADA,
        "Hopper": NVU_FAMILY_HOPPER, "Blackwell": NVU_FAMILY_BLACKWELL,
    ]
}
