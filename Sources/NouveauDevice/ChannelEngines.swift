internal import CNVEngine
internal import CNVMMU
internal import DRMLock
internal import DRMSync
internal import KernelErrno
internal import NVMMU
internal import NouveauUAPI
internal import Synchronization

/// The engines of a channel: carry out what is on its ring, a piece at a time, so that others get on meanwhile.
///
/// A run is one push, up to an acquire of a semaphore that does not match, or some 32 MiB of copies.
final class ChannelEngines: Work, @unchecked Sendable {
    /// Whose they are; it stops them before it goes.
    @exclusivity(unchecked) var channel: Unmanaged<Channel>!
    private let device: Device
    /// Until it is stopped: whose thread ran it last may let go of it later.
    @exclusivity(unchecked) private var uvmm: UVMM!
    private let engines: OpaquePointer
    /// Of the piece of work under way, for ``TableWalks``.
    @exclusivity(unchecked) private var ticket = 0
    private let isStopped = Atomic<Bool>(false)

    /// - Throws: `ENOMEM`.
    init(device: Device, uvmm: UVMM, classes: [UInt16]) throws(KernelErrno) {
        self.device = device
        self.uvmm = uvmm
        var config = nvengine_config()
        config.size = MemoryLayout<nvengine_config>.size
        config.host_class = device.classes.host
        // Nobody binds the copy engine's subchannel: it is there from the start.
        if let copy = device.classes.copy.first { config.bound.4 = copy }
        config.memory.space = uvmm.tables.space
        config.memory.resolve = DeviceMemory.resolveHook
        config.now = { ctx in Unmanaged<Gate>.fromOpaque(ctx!)._withUnsafeGuaranteedRef { $0.now } }
        config.time_ctx = Unmanaged.passUnretained(device.gate).toOpaque()
        config.memory.ctx = Unmanaged.passUnretained(device.memory).toOpaque()
        config.alloc = device.options.host.allocator
        var made: OpaquePointer?
        let result = classes.withUnsafeBufferPointer { classes in
            config.classes = classes.baseAddress
            config.class_count = classes.count
            return nvengine_channel_create(&config, &made)
        }
        try KernelErrno.check(result)
        engines = made!
        super.init(queue: device.channelQueue)
    }

    deinit {
        nvengine_channel_destroy(engines)
    }

    /// No run begins any more. May park.
    func stop() {
        isStopped.store(true, ordering: .relaxed)
        cancel()
        device.semaphores.remove(self)
        uvmm = nil
    }

    override func run() {
        guard !isStopped.load(ordering: .relaxed) else { return }
        channel._withUnsafeGuaranteedRef { run(for: $0) }
    }

    private func run(for channel: Channel) {
        guard !channel.isKilled, takeNext(from: channel) else { return }
        let copied = nvengine_channel_statistics(engines).bytes
        uvmm.walks.enter(&ticket)
        let result = nvengine_channel_step(engines)
        uvmm.walks.leave(ticket)
        device.count { $0.bytesCopied += nvengine_channel_statistics(engines).bytes - copied }
        switch result {
        case Int32(NVENGINE_BLOCKED.rawValue): return device.semaphores.add(self)
        case Int32(NVENGINE_IDLE.rawValue), Int32(NVENGINE_READY.rawValue): break
        default: return die(channel)
        }
        // What it wrote may be what another waits for.
        device.semaphores.wakeAll()
        enqueue()
    }

    /// Sees to it that there is a push to work on; signals the fences before it.
    /// - Returns: whether there is one.
    private func takeNext(from channel: Channel) -> Bool {
        while nvengine_channel_pending(engines) == 0 {
            switch channel.next() {
            case .fence(let fence)?: fence.signal()
            case .push(let push)?: begin(push)
            case nil: return false
            }
        }
        return true
    }

    /// The hardware takes a length in words, and 40 bits of address.
    private func begin(_ push: Push) {
        let flags = push.noPrefetch ? NVENGINE_PUSH_NO_PREFETCH : 0
        let result = nvengine_channel_push(engines, push.va & (1 << 40 - 4), UInt64(push.length & ~3), flags)
        precondition(result == 0, "a push that EXEC took is refused")
    }

    /// The channel ends with a fault, and with it what is on it.
    private func die(_ channel: Channel) {
        if let fault = nvengine_channel_fault(engines) {
            let report = FaultReport(fault.pointee, channel: channel.id, space: uvmm)
            device.report(report)
            channel.jobs?.track?.note("fault: \(report)")
        }
        channel.kill()
    }
}
