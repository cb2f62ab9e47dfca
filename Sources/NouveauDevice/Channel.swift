internal import DRMLock
internal import DRMSync
internal import KernelErrno
internal import NouveauUAPI
internal import Synchronization

/// A hardware channel of a file: a ring of pushes and fences, and the engines that carry them out in order.
///
/// Locks: its spin lock guards the ring. Handle tables belong to the file's mutex.
///
/// Source: jobs.md 3, 11.
final class Channel: @unchecked Sendable {
    let id: Int32
    let classes: [UInt16]
    /// The page the legacy notifiers live in.
    let notifier: BufferObject
    /// Handles of objects made by GROBJ_ALLOC.
    var objects: Set<UInt32> = []
    /// Its pushes; `nil`: its file has no address space.
    let jobs: JobQueue?
    private let engines: ChannelEngines?

    private let device: Device
    private let context: UInt64
    private let isKilledFlag = Atomic<Bool>(false)

    enum Entry {
        case push(Push)
        case fence(HardwareFence)
    }

    private let spin = SpinLock()
    // Guarded by the spin lock.
    @exclusivity(unchecked) private var ring: [Entry?]
    @exclusivity(unchecked) private var head = 0
    @exclusivity(unchecked) private var count = 0
    @exclusivity(unchecked) private var lastNumber: UInt64 = 0

    /// Entries of the ring: a job has one for each push and one for its fence.
    static let ringSize: UInt32 = 1023

    init(
        id: Int32, classes: [UInt16], notifier: BufferObject, device: Device, uvmm: UVMM?, track: JobLog.Track?
    ) throws(KernelErrno) {
        self.id = id
        self.classes = classes
        self.notifier = notifier
        self.device = device
        context = device.gate.allocateContexts()
        ring = Array(repeating: nil, count: Int(Self.ringSize))
        engines = if let uvmm { try ChannelEngines(device: device, uvmm: uvmm, classes: classes) } else { nil }
        jobs = uvmm.map { _ in
            JobQueue(
                "channel \(id)", gate: device.gate, creditLimit: Self.ringSize, queue: device.channelQueue, track: track)
        }
        engines?.channel = .passUnretained(self)
    }

    // MARK: Its life

    /// It hung, or faulted, or was told to end: what is on it ends with `ENODEV`, and nothing comes to it any more
    /// (`nouveau_channel_kill`).
    func kill() {
        if !isKilled { jobs?.track?.note("channel \(id) is dead") }
        end(.ENODEV)
    }

    var isKilled: Bool { isKilledFlag.load(ordering: .acquiring) }

    private func end(_ error: KernelErrno?) {
        spin.lock()
        isKilledFlag.store(true, ordering: .releasing)
        spin.unlock()
        while let entry = next() {
            guard case .fence(let fence) = entry else { continue }
            if let error { fence.setError(error) }
            fence.signal()
        }
    }

    /// Its file lets it go: what is queued is killed, what is on it comes to its end. May park.
    func free() {
        jobs?.kill()
        jobs?.fini()
        engines?.stop()
        end(nil)
    }

    // MARK: The ring

    func makeFence() -> HardwareFence { HardwareFence(gate: device.gate, context: context, seqno: 0) }

    /// Puts pushes and their fence on the ring. The job's credits have seen to it that there is room.
    /// - Throws: `ENODEV`: it is killed.
    func emit(_ pushes: [Push], _ fence: HardwareFence) throws(KernelErrno) {
        spin.lock()
        guard !isKilled else {
            spin.unlock()
            throw .ENODEV
        }
        for push in pushes { append(.push(push)) }
        lastNumber += 1
        fence.emitted(as: lastNumber)
        append(.fence(fence))
        spin.unlock()
        engines?.enqueue()
    }

    private func append(_ entry: Entry) {
        ring[(head + count) % ring.count] = entry
        count += 1
    }

    /// Takes the oldest entry.
    func next() -> Entry? {
        spin.lock()
        defer { spin.unlock() }
        guard count > 0 else { return nil }
        let entry = ring[head].take()
        head = (head + 1) % ring.count
        count -= 1
        return entry
    }
}
