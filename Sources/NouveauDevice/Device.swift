public import DRMLock
public import NVMMU
package import NouveauUAPI

/// How a device is made. Sizes are bytes.
public struct DeviceOptions: Sendable {
    /// Video memory, tables included: a multiple of 4 KiB, 32 MiB to 128 GiB.
    public var vram: UInt64 = 3 << 30
    /// System memory the GPU may see: a multiple of 4 KiB, at most 512 GiB.
    public var gart: UInt64 = 8 << 30
    /// Told of each fault, on a thread of the device's.
    public var onFault: (@Sendable (FaultReport) -> Void)?
    /// Where its memory comes from.
    package var host = HostMemory()
    /// Where exported objects get their descriptors; `nil`: numbers of its own.
    package var descriptors: (any DescriptorTable)?

    public init() {}
}

public enum DeviceError: Error, Hashable, Sendable, CustomStringConvertible {
    case unknownChipset(Int)
    /// nouveau has VM_BIND from Fermi on.
    case noVMBind(chip: String)
    case badVRAM(UInt64)
    case badGART(UInt64)
    /// The host's pages are larger than the device's.
    case largePages(Int)
    case outOfMemory

    public var description: String {
        switch self {
        case .unknownChipset(let chipset): "no chip of id 0x\(String(chipset, radix: 16)) with a known MMU"
        case .noVMBind(let chip): "\(chip) is older than Fermi, where VM_BIND begins"
        case .badVRAM(let size): "VRAM of \(size) bytes: need a multiple of 4 KiB from 32 MiB to 128 GiB"
        case .badGART(let size): "GART of \(size) bytes: need a multiple of 4 KiB of at most 512 GiB"
        case .largePages(let size): "the host has pages of \(size) bytes: need 4096, as the device has"
        case .outOfMemory: "no memory for the device's page tables and buffers"
        }
    }
}

/// One simulated GPU under nouveau.
///
/// What is submitted is done by work items of the gate: on a stepped one when somebody steps or waits, on a threaded one
/// by itself. Any actor of the gate may call it and its files, also the same file at once.
public final class Device: @unchecked Sendable {
    public let chip: Chip
    /// Where its waits park and its clock is.
    public let gate: Gate
    public var statistics: DeviceStatistics { spin.withLock { counted } }

    package let options: DeviceOptions
    package let memory: DeviceMemory
    let evictor: Evictor
    package let pageSizes: [PageSize]
    let classes: EngineClasses
    /// How a client's memory is reached; tests put failing ones here.
    @exclusivity(unchecked) package var userMemory: any UserMemory = DirectMemory()

    private let spin = SpinLock()
    // Guarded by the spin lock.
    @exclusivity(unchecked) private var counted = DeviceStatistics()
    /// Open files, newest first; each takes itself out when it closes.
    private var openFiles: [OpenFile] = []
    private var opened = 0
    private var reportedFaults: [FaultReport] = []

    /// `nil`: nobody records. Set before files are opened.
    var recorder: TraceWriter?
    /// `nil`: nobody keeps one. To be set before files are opened.
    package var jobLog: JobLog?
    package let descriptors: any DescriptorTable
    let channelNumbers = ChannelNumbers()
    /// Hands out and frees the jobs of channels, and has their engines work.
    let channelQueue: WorkQueue
    /// Wakes the engines that wait for a semaphore.
    let semaphores: SemaphoreWaits

    /// - Parameter gate: `nil`: a stepped one of its own, whose first actor is the caller.
    /// - Throws: what is wrong with the arguments, in one line.
    public init(
        chipset: Int, options: DeviceOptions = DeviceOptions(), gate: Gate? = nil
    ) throws(DeviceError) {
        guard let chip = Chip(chipset: chipset) else { throw .unknownChipset(chipset) }
        guard chipset >= 0xc0 else { throw .noVMBind(chip: chip.name) }
        let bounds: ClosedRange<UInt64> = 32 << 20...128 << 30
        guard bounds.contains(options.vram), options.vram % ExtentAllocator.grain == 0 else {
            throw .badVRAM(options.vram)
        }
        guard options.gart <= 512 << 30, options.gart % ExtentAllocator.grain == 0 else {
            throw .badGART(options.gart)
        }
        guard options.host.pageSize <= Int(ExtentAllocator.grain) else { throw .largePages(options.host.pageSize) }
        let pageSizes = chip.format.pageSizes
        let hasVRAM = pageSizes.contains { $0.vram }
        guard
            let memory = DeviceMemory(
                vram: options.vram, gart: options.gart, hasVRAM: hasVRAM, host: options.host)
        else { throw .outOfMemory }
        let gate = gate ?? SteppedGate()
        gate.declareDeviceLocks()
        self.chip = chip
        self.gate = gate
        channelQueue = WorkQueue("channels", gate: gate, mayPark: true, onlyForLocks: true)
        semaphores = SemaphoreWaits(gate: gate)
        self.options = options
        descriptors = options.descriptors ?? DescriptorNumbers()
        self.memory = memory
        evictor = Evictor(memory, gate: gate)
        self.pageSizes = pageSizes
        classes = EngineClasses(chipset: chipset)
    }

    /// Opens the device's render node. `name` is the client's, "comm[pid]"; what goes beyond 31 bytes is cut.
    public func open(name: String) -> DeviceFile {
        let serial = spin.withLock {
            opened += 1
            return opened - 1
        }
        let file = DeviceFile(
            device: self, name: String(decoding: name.utf8.prefix(31), as: UTF8.self), serial: serial)
        spin.withLock { openFiles.insert(OpenFile(file: file), at: 0) }
        return file
    }

    /// The file whose bytes are those of all buffers, for clients that map it themselves: a buffer's lie from
    /// `map_handle - 0x1_0000_0000` on. Belongs to the device, which closes it.
    public var storeDescriptor: Int32 { memory.store.descriptor }

    /// An open file as others than its client see it.
    private struct OpenFile {
        weak var file: DeviceFile?
        var uvmm: UVMM?
    }

    var files: [DeviceFile] { spin.withLock { openFiles.compactMap(\.file) } }
    /// Of all clients, the newest first.
    var spaces: [UVMM] { spin.withLock { openFiles.compactMap(\.uvmm) } }

    func note(_ uvmm: UVMM, of file: DeviceFile) {
        spin.withLock {
            for i in openFiles.indices where openFiles[i].file === file { openFiles[i].uvmm = uvmm }
        }
    }

    /// The file still holds its address space. One that is gone already shows none any more.
    func forget(_ file: DeviceFile) {
        spin.withLock { openFiles.removeAll { $0.file == nil || $0.file === file } }
    }

    func count(_ change: (inout DeviceStatistics) -> Void) { spin.withLock { change(&counted) } }

    /// Accesses that page tables did not allow, and what else stopped channels, oldest first.
    public var faults: [FaultReport] { spin.withLock { reportedFaults } }

    func report(_ fault: FaultReport) {
        spin.withLock { reportedFaults.append(fault) }
        options.onFault?(fault)
    }

    /// Runs what is queued, on a stepped gate; with threads it runs by itself.
    public func runUntilIdle() { (gate as? SteppedGate)?.runUntilIdle() }

    /// Does one thing of what is queued, on a stepped gate; with threads waits for the end of all that clients submitted.
    /// Nobody submits, opens or closes meanwhile.
    /// - Returns: false: there was nothing to do.
    package func proceed() -> Bool {
        if let gate = gate as? SteppedGate { return gate.step() }
        let busy = files.flatMap(\.jobQueues).filter { !$0.pending.isEmpty }
        for queue in busy { queue.waitUntilEmpty() }
        return !busy.isEmpty
    }
}
