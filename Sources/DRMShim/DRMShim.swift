// What the C side calls: <drmshim/device.h> has the contract of each function.
internal import CDRMShim
internal import CObjects
internal import KernelErrno
internal import NouveauDevice

/// What an open descriptor of the process stands for.
final class Opened {
    enum Content {
        case file(DeviceFile)
        case descriptor(Descriptor, device: Device)
    }
    let content: Content

    init(_ content: Content) {
        self.content = content
    }
}

@_cdecl("drmshim_start")
public func start(_ table: UnsafeMutableRawPointer) {
    table.assumingMemoryBound(to: drmshim_ops.self).pointee = drmshim_ops(
        create: { out in
            guard let device = makeDevice() else { return -KernelErrno.ENODEV.rawValue }
            out!.pointee = retain(device)
            return 0
        },
        identify: { device, out in out!.pointee = object(device!, Device.self).identity },
        open: { device, client, out in
            let file = object(device!, Device.self).open(name: String(cString: client!))
            out!.pointee = retain(Opened(.file(file)))
            return 0
        },
        ioctl: { opened, fd, request, argument in
            switch object(opened!, Opened.self).content {
            case .file(let file): file.ioctl(request, argument)
            case .descriptor(_, let device): device.ioctl(descriptor: fd, request, argument)
            }
        },
        map: { opened, offset, length, isWritable, isShared, out in
            KernelErrno.result { () throws(KernelErrno) in
                out!.pointee = try object(opened!, Opened.self).map(
                    offset, length, isWritable: isWritable, isShared: isShared)
            }
        },
        unmapped: { release($0!, BufferMapping.self) },
        release: { opened in
            if case .file(let file) = object(opened!, Opened.self).content { file.close() }
            release(opened!, Opened.self)
        })
}

extension Opened {
    fileprivate func map(
        _ offset: UInt64, _ length: UInt64, isWritable: Bool, isShared: Bool
    ) throws(KernelErrno) -> drmshim_memory {
        let (mapping, device): (BufferMapping, Device)
        switch content {
        case .file(let file):
            device = file.device
            mapping = try file.mmap(offset: offset, length: length, writable: isWritable, shared: isShared)
        case .descriptor(.dmaBuf(let object, _), let itsDevice):
            device = itsDevice
            mapping = try object.mmap(offset: offset, length: length, writable: isWritable, shared: isShared)
        case .descriptor: throw .ENODEV
        }
        return drmshim_memory(
            fd: device.storeDescriptor, offset: mapping.storeOffset, mapping: retain(mapping))
    }
}

extension Device {
    fileprivate var identity: drmshim_identity {
        var identity = drmshim_identity()
        guard isSoC else {
            identity.vendor = UInt16(pciVendor)
            identity.device = UInt16(pciDevice)
            return identity
        }
        withUnsafeMutableBytes(of: &identity.compatible) { bytes in
            for (i, byte) in "nvidia,\(chip.name.lowercased())".utf8.prefix(bytes.count - 1).enumerated() {
                bytes[i] = byte
            }
        }
        return identity
    }
}
