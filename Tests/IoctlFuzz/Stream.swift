import CNouveauUAPI
import DRMLock
import Model
import NouveauDevice

/// A stream of ioctls on the files of one stepped device: structs whose fields mean something, some of them mutated,
/// at good and bad addresses; files and descriptors closed in the middle, and a host that now and then has no memory.
struct Stream {
    let device: Device
    let gate: SteppedGate
    let host: FailingHost
    private let arena: Arena
    private(set) var files: [DeviceFile] = []
    private var random: SeededRandom
    /// Channels that were made, by file; some are gone again.
    private var channels: [ObjectIdentifier: [UInt64]] = [:]
    private(set) var counts = IoctlFuzz.Counts()
    /// An answer that is no errno.
    private(set) var wrongAnswer: String?

    /// Bytes of GPU addresses that most mappings lie in.
    static let window: UInt64 = 4 << 20

    init(seed: UInt64) throws {
        random = SeededRandom(seed: seed)
        gate = SteppedGate(.seeded(seed))
        host = FailingHost()
        var options = DeviceOptions()
        options.vram = 64 << 20
        options.gart = 32 << 20
        options.host = host.memory
        let chipset = [0xc0, 0xe4, 0x117, 0x120, 0x132, 0x140, 0x162, 0x172, 0x192].randomElement(using: &random)!
        device = try Device(chipset: chipset, options: options, gate: gate)
        arena = Arena()
        device.userMemory = arena
        if oneIn(4) {
            var recording = RecordingOptions()
            recording.memory = oneIn(2)
            try device.record(to: "/dev/null", options: recording)
        }
        for _ in 0...below(3) { open() }
    }

    private mutating func below(_ n: UInt64) -> UInt64 { UInt64.random(in: 0..<n, using: &random) }
    private mutating func oneIn(_ n: UInt64) -> Bool { below(n) == 0 }

    private mutating func open() {
        let file = device.open(name: "fuzz[\(files.count)]")
        files.append(file)
        guard !oneIn(8) else { return }
        var space = nvu_vm_init(kernel_managed_addr: 1 << 39, kernel_managed_size: 1 << 38)
        guard let at = withUnsafeBytes(of: &space, { arena.put(Array($0), atEnd: false) }) else { return }
        _ = file.ioctl(NVU_VM_INIT, at)
        for (word, count) in [(NVU_CHANNEL_ALLOC, 1), (NVU_GEM_NEW, 3), (NVU_SYNCOBJ_CREATE, 3)] {
            for _ in 0..<count { call(Shape.requests.first { $0.word == word }!, file) }
        }
    }

    // MARK: A step

    mutating func step() throws {
        arena.reset()
        switch below(40) {
        case 0: closeOne()
        case 1: device.closeDescriptor(Int32(3 + below(8)))
        case 2: useDescriptor()
        case 3: look()
        default: call(Shape.requests.randomElement(using: &random)!, files.randomElement(using: &random)!)
        }
        if files.isEmpty || (files.count < 4 && oneIn(60)) { open() }
        for _ in 0..<below(3) { gate.step() }
    }

    private mutating func closeOne() {
        guard oneIn(4), let i = files.indices.randomElement(using: &random) else { return }
        files[i].close()
        // A closed file says EBADF, sometimes it is still asked.
        if !oneIn(4) { files.remove(at: i) }
    }

    private mutating func call(_ kind: (word: UInt32, shape: Shape), _ file: DeviceFile) {
        let request = oneIn(24) ? mutated(kind.word) : kind.word
        let bytes = make(kind.shape, file)
        let at = place(bytes)
        if oneIn(24) { host.fail(at: Int(below(12))) }
        let result = file.ioctl(request, at)
        host.fail(at: nil)
        note(request, result)
        guard result == 0, let at else { return }
        switch request {
        case NVU_GEM_NEW: fill(file, handle: at.load(as: UInt32.self))
        case NVU_CHANNEL_ALLOC: channels[ObjectIdentifier(file), default: []].append(UInt64(at.load(fromByteOffset: 8, as: UInt32.self)))
        default: break
        }
    }

    private mutating func useDescriptor() {
        let (word, shape) = Shape.descriptorRequests.randomElement(using: &random)!
        let request = oneIn(16) ? mutated(word) : word
        note(request, device.ioctl(descriptor: Int32(3 + below(8)), request, place(make(shape, files[0]))))
    }

    /// What else may be asked of files and descriptors.
    private mutating func look() {
        let file = files.randomElement(using: &random)!
        _ = file.checkMmap(offset: NVU_MAP_HANDLE_BASE + below(1 << 12) << 12, length: below(1 << 20), writable: true, shared: !oneIn(2))
        _ = device.isReadable(descriptor: Int32(3 + below(8)))
        _ = try? device.size(ofDescriptor: Int32(3 + below(8)))
    }

    private mutating func note(_ request: UInt32, _ result: Int32) {
        counts.add(request, result)
        if result > 0 || result <= -4096 { wrongAnswer = "request 0x\(String(request, radix: 16)) answers \(result)" }
    }

    // MARK: Structs

    private mutating func place(_ bytes: [UInt8]) -> UnsafeMutableRawPointer? {
        guard !oneIn(48) else { return UnsafeMutableRawPointer(bitPattern: UInt(arena.wild(&random))) }
        return arena.put(bytes, atEnd: oneIn(8))
    }

    /// Another size, a direction left out, another number or type.
    private mutating func mutated(_ word: UInt32) -> UInt32 {
        switch below(5) {
        case 0: word & 0xc000_ffff | UInt32(below(100)) << 16
        case 1: word & ~(UInt32(1 + below(3)) << 30)
        case 2: word & ~0xff | UInt32(below(256))
        case 3: word ^ UInt32(1 << below(32))
        default: word & 0xc000_ffff | UInt32(below(1 << 14)) << 16
        }
    }

    private mutating func make(_ shape: Shape, _ file: DeviceFile) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: shape.size)
        for field in shape.fields {
            var value = value(of: field.is, file)
            if case .array(let element, let countAt) = field.is {
                let count: UInt64 = [0, 0, 1, 1, 1, 2, 4].randomElement(using: &random)!
                let elements = (0..<count).flatMap { _ in make(element, file) }
                value = place(elements).map { UInt64(UInt(bitPattern: $0)) } ?? 0
                store(count, 4, at: countAt, in: &bytes)
            }
            store(value, field.width, at: field.at, in: &bytes)
        }
        if shape.isBindOp, !oneIn(8) { makeLikely(&bytes, file) }
        if oneIn(24) { mutate(&bytes) }
        return bytes
    }

    /// Gives an operation of VM_BIND a buffer's size, or a region's place: few would succeed without.
    private mutating func makeLikely(_ op: inout [UInt8], _ file: DeviceFile) {
        let isSparse = op[5] != 0 || op[0] > 1
        if isSparse, op[0] & 1 == 1, let region = someRegion(of: file) {
            store(region.addr, 8, at: 16, in: &op)
            store(region.range, 8, at: 32, in: &op)
        } else if !isSparse, op[0] == 0, let (handle, size) = someBuffer(of: file) {
            let pages = size >> 12, offset = oneIn(2) ? 0 : below(pages)
            store(UInt64(handle), 4, at: 8, in: &op)
            store(offset << 12, 8, at: 24, in: &op)
            store((1 + below(pages - offset)) << 12, 8, at: 32, in: &op)
        }
    }

    private func store(_ value: UInt64, _ width: Int, at offset: Int, in bytes: inout [UInt8]) {
        for i in 0..<width { bytes[offset + i] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(i))) }
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        let width = [1, 2, 4, 8].randomElement(using: &random)!
        guard bytes.count >= width else { return }
        let at = Int(below(UInt64(bytes.count / width))) * width
        store(interesting(), width, at: at, in: &bytes)
    }

    private mutating func interesting() -> UInt64 {
        switch below(4) {
        case 0: random.next()
        case 1: UInt64(1) << below(64)
        case 2: (UInt64(1) << below(64)) &- 1
        default: [0, 1, 0xfff, 0x1000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, .max, 1 << 47, 1 << 40].randomElement(using: &random)!
        }
    }

    private mutating func value(of field: Field, _ file: DeviceFile) -> UInt64 {
        switch field {
        // The lowest numbers are given first.
        case .handle, .syncobj: return oneIn(10) ? below(16) : 1 + below(4)
        case .descriptor: return 3 + below(8)
        case .channel: return oneIn(10) ? below(8) : channels[ObjectIdentifier(file)]?.suffix(4).randomElement(using: &random) ?? 0
        case .address: return below(Self.window >> 12) << 12 & ([~0, ~0, ~0xffff, ~0x1f_ffff].randomElement(using: &random)!)
        case .length: return (1 + below([4, 4, 64].randomElement(using: &random)!)) << [12, 12, 16].randomElement(using: &random)!
        case .offset: return oneIn(2) ? 0 : below(4) << [12, 12, 16].randomElement(using: &random)!
        case .size: return (1 + below(64)) << [12, 16, 16].randomElement(using: &random)!
        case .moment: return oneIn(3) ? 0 : gate.now + below(1 << 32)
        case .below(let n): return below(n)
        case .oneOf(let values): return values.randomElement(using: &random)!
        case .array: return 0
        }
    }

    private mutating func someBuffer(of file: DeviceFile) -> (handle: UInt32, size: UInt64)? {
        let known = (1..<UInt32(16)).compactMap { handle in file.object(handle: handle).map { (handle, $0.size) } }
        return known.randomElement(using: &random)
    }

    private mutating func someRegion(of file: DeviceFile) -> SparseRegion? {
        guard let uvmm = file.uvmm else { return nil }
        return uvmm.withLock { uvmm.regions }.randomElement(using: &random)
    }

    // MARK: What is pushed

    /// Fills the first words of a buffer with commands, most of them good.
    private mutating func fill(_ file: DeviceFile, handle: UInt32) {
        guard let bytes = file.object(handle: handle)?.bytes else { return }
        var words: [UInt32] = []
        while words.count < 500 {
            switch below(8) {
            case 0..<3: words += copy()
            case 3: words += [header(0, 0x10, 4), 0, va(), UInt32(below(3)), [0x0100_0002, 0x0100_1001].randomElement(using: &random)!]
            case 4...6: words += [header(UInt32(below(8)), UInt32(below(0x400)) << 2, 1), UInt32(truncatingIfNeeded: interesting())]
            default: words.append(UInt32(truncatingIfNeeded: interesting()))
            }
        }
        words.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: bytes[..<2000]).copyMemory(from: .init(rebasing: $0[..<2000])) }
    }

    private func header(_ subchannel: UInt32, _ address: UInt32, _ count: UInt32) -> UInt32 {
        1 << 29 | count << 16 | subchannel << 13 | address >> 2
    }

    private mutating func va() -> UInt32 { UInt32(below(Self.window)) & ~3 }

    /// Lines from here to there, in rows or in blocks.
    private mutating func copy() -> [UInt32] {
        let launch: UInt32 = [0x386, 0x586, 0x186, 0x306, 0x286].randomElement(using: &random)!
        return [
            header(4, 0x400, 8), 0, va(), 0, va(), UInt32(below(512)), UInt32(below(512)), UInt32(below(300)), UInt32(below(8)),
            header(4, 0x700, 1), UInt32(truncatingIfNeeded: interesting()), header(4, 0x708, 1), 0x0003_4444,
            header(4, 0x70c, 5), UInt32(below(0x60)), UInt32(1 + below(300)), UInt32(1 + below(8)), 1, 0,
            header(4, 0x300, 1), launch,
        ]
    }
}
