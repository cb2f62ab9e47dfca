// The device for C programs: <gpuvm/nouveau.h> has the contract of each function.
internal import CNouveauC
internal import CObjects
internal import DRMLock
internal import KernelErrno
internal import NouveauDevice

@_cdecl("gpuvm_nouveau_create")
public func create(
    _ given: UnsafeRawPointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    // The size, its first field, says how much there is to read.
    guard let given, let out, given.load(as: Int.self) == MemoryLayout<gpuvm_nouveau_config>.size
    else { return -KernelErrno.EINVAL.rawValue }
    let config = given.load(as: gpuvm_nouveau_config.self)
    guard config.flags & ~GPUVM_NOUVEAU_THREADED == 0 else { return -KernelErrno.EINVAL.rawValue }
    var options = DeviceOptions()
    if config.vram != 0 { options.vram = config.vram }
    if config.gart != 0 { options.gart = config.gart }
    let gate: Gate =
        if config.flags & GPUVM_NOUVEAU_THREADED != 0 {
            ThreadedGate()
        } else {
            SteppedGate(config.seed == 0 ? .first : .seeded(config.seed))
        }
    do throws(DeviceError) {
        let device = try Device(chipset: Int(config.chipset), options: options, gate: gate)
        device.recordAsEnvironmentAsks()
        out.pointee = handle(device)
        return 0
    } catch {
        return switch error {
        case .unknownChipset, .noVMBind: -KernelErrno.ENODEV.rawValue
        case .outOfMemory: -KernelErrno.ENOMEM.rawValue
        default: -KernelErrno.EINVAL.rawValue
        }
    }
}

@_cdecl("gpuvm_nouveau_destroy")
public func destroy(_ device: OpaquePointer?) {
    guard let device else { return }
    let gate = object(device, Device.self).gate
    release(device, Device.self)
    (gate as? ThreadedGate)?.shutdown()
}

@_cdecl("gpuvm_nouveau_open")
public func open(
    _ device: OpaquePointer, _ name: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<OpaquePointer?>
) -> Int32 {
    out.pointee = handle(object(device, Device.self).open(name: name.map { String(cString: $0) } ?? ""))
    return 0
}

@_cdecl("gpuvm_nouveau_close")
public func close(_ file: OpaquePointer?) {
    guard let file else { return }
    object(file, DeviceFile.self).close()
    release(file, DeviceFile.self)
}

@_cdecl("gpuvm_nouveau_ioctl")
public func ioctl(_ file: OpaquePointer, _ request: UInt32, _ argument: UnsafeMutableRawPointer?) -> Int32 {
    object(file, DeviceFile.self).ioctl(request, argument)
}

@_cdecl("gpuvm_nouveau_mmap")
public func mmap(
    _ file: OpaquePointer, _ offset: UInt64, _ length: UInt64,
    _ memory: UnsafeMutablePointer<UnsafeMutableRawPointer?>, _ out: UnsafeMutablePointer<OpaquePointer?>
) -> Int32 {
    KernelErrno.result { () throws(KernelErrno) in
        let mapping = try object(file, DeviceFile.self).mmap(offset: offset, length: length)
        memory.pointee = mapping.bytes.baseAddress
        out.pointee = handle(mapping)
    }
}

@_cdecl("gpuvm_nouveau_munmap")
public func munmap(_ mapping: OpaquePointer?) {
    if let mapping { release(mapping, BufferMapping.self) }
}

@_cdecl("gpuvm_nouveau_close_fd")
public func closeDescriptor(_ device: OpaquePointer, _ fd: Int32) {
    object(device, Device.self).closeDescriptor(fd)
}

// MARK: - Going on

@_cdecl("gpuvm_nouveau_step")
public func step(_ device: OpaquePointer) -> Int32 {
    guard let gate = object(device, Device.self).gate as? SteppedGate else { return 0 }
    return gate.step() ? 1 : 0
}

@_cdecl("gpuvm_nouveau_advance")
public func advance(_ device: OpaquePointer, _ nanoseconds: UInt64) {
    (object(device, Device.self).gate as? SteppedGate)?.advance(by: nanoseconds)
}

@_cdecl("gpuvm_nouveau_now")
public func now(_ device: OpaquePointer) -> UInt64 { object(device, Device.self).gate.now }

// MARK: - Faults

@_cdecl("gpuvm_nouveau_fault_count")
public func faultCount(_ device: OpaquePointer) -> Int { object(device, Device.self).faults.count }

@_cdecl("gpuvm_nouveau_fault")
public func fault(_ device: OpaquePointer, _ i: Int, _ text: UnsafeMutablePointer<CChar>?, _ n: Int) -> Int32 {
    let faults = object(device, Device.self).faults
    guard faults.indices.contains(i) else { return -KernelErrno.EINVAL.rawValue }
    let line = faults[i].description.utf8
    if let text, n > 0 {
        let shown = line.prefix(n - 1)
        for (j, byte) in shown.enumerated() { text[j] = CChar(bitPattern: byte) }
        text[shown.count] = 0
    }
    return Int32(clamping: line.count)
}

private func handle(_ object: some AnyObject) -> OpaquePointer { OpaquePointer(retain(object)) }

private func object<T: AnyObject>(_ handle: OpaquePointer, _ type: T.Type) -> T {
    CObjects.object(UnsafeRawPointer(handle), type)
}

private func release<T: AnyObject>(_ handle: OpaquePointer, _ type: T.Type) {
    CObjects.release(UnsafeRawPointer(handle), type)
}
