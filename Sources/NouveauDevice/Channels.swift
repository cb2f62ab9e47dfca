internal import DRMLock
internal import KernelErrno
internal import NouveauUAPI

/// Channel numbers of the whole device: the lowest free one.
final class ChannelNumbers: @unchecked Sendable {
    private let spin = SpinLock()
    private var used: Set<Int32> = []

    /// The ring of a chip has this many channels.
    static let count: Int32 = 2048

    func take() -> Int32? {
        spin.withLock {
            guard let id = (0..<Self.count).first(where: { !used.contains($0) }) else { return nil }
            used.insert(id)
            return id
        }
    }

    func give(_ id: Int32) {
        spin.withLock { _ = used.remove(id) }
    }
}

extension DeviceFile {
    func channel(_ id: Int32) -> Channel? {
        channels.first { $0.id == id }
    }

    func channelAlloc(_ a: Argument) throws(KernelErrno) {
        if uvmm == nil { isUVMMDisabled = true }
        var call = ChannelAlloc(a)
        let classes: [UInt16]
        switch try call.takeEngine(hasRunlists: device.chip.chipset >= 0xe0, in: a) {
        case .gr: classes = device.classes.graphics.isEmpty ? [] : device.classes.offered(copyOnly: false)
        case .copy: classes = device.classes.offered(copyOnly: true)
        case .video: classes = []
        }
        // An engine without classes has no run list.
        guard !classes.isEmpty else { throw .EINVAL }
        // Its buffers live in the kernel's part of the VA space.
        if let uvmm, uvmm.kernelSize < Self.channelBuffers { throw .ENOSPC }
        let notifier = try BufferObject(GEMNew(domain: .gart, size: 4096), device: device, isPinned: true)
        guard let id = device.channelNumbers.take() else { throw .ENOSPC }
        do throws(KernelErrno) {
            channels.insert(
                try Channel(
                    id: id, classes: classes, notifier: notifier, device: device, uvmm: uvmm,
                    track: device.jobLog?.track("channel \(id)", file: serial)), at: 0)
        } catch {
            device.channelNumbers.give(id)
            throw error
        }
        call.store(channel: id, notifierHandle: objects.insert(notifier), in: a)
    }

    /// Push buffer and ring.
    private static let channelBuffers: UInt64 = 0x10000 + 0x2000

    func channelFree(_ a: Argument) throws(KernelErrno) {
        guard let channel = channel(channelID(a)) else { throw .ENOENT }
        free(channel)
    }

    func free(_ channel: Channel) {
        channels.removeAll { $0 === channel }
        channel.free()
        device.memory.unpin(channel.notifier)
        device.channelNumbers.give(channel.id)
    }

    func grobjAlloc(_ a: Argument) throws(KernelErrno) {
        let call = Grobj(alloc: a)
        guard call.handle != ~0 else { throw .EINVAL }
        guard let channel = channel(call.channel) else { throw .ENOENT }
        // Video and software classes are replaced by the channel's own of the same kind, of which there are none.
        guard channel.classes.contains(where: { Int32($0) == call.oclass }) else { throw .EINVAL }
        channel.objects.insert(call.handle)
    }

    func gpuobjFree(_ a: Argument) throws(KernelErrno) {
        let call = Grobj(free: a)
        guard let channel = channel(call.channel) else { throw .EINVAL }
        guard channel.objects.remove(call.handle) != nil else { throw .ENOENT }
    }
}
