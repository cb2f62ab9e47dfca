import CNouveauUAPI
import Glibc
import KernelErrno
import Model
import NVMMU
import NouveauUAPI
import Testing

@testable import NouveauDevice

private let page = 4096
private let mib: UInt64 = 1 << 20

/// 16 MiB of VRAM for buffers and as much GART, unless said otherwise.
private func makeMemory(
    vram: UInt64 = 32 << 20, gart: UInt64 = 16 << 20, host: HostMemory = HostMemory()
) throws -> DeviceMemory {
    try #require(DeviceMemory(vram: vram, gart: gart, hasVRAM: true, host: host))
}

private func needs(_ domain: Domain, _ size: UInt64, shift: Int = 12, isContiguous: Bool = false) -> PlacementNeeds {
    PlacementNeeds(size: size, domain: domain, pageShift: shift, isContiguous: isContiguous)
}

extension DeviceMemory {
    /// Everything that a buffer takes.
    fileprivate var inUse: [UInt64] { [vram.used, gart.used, storeUsed, UInt64(objectCount)] }
}

extension BufferMemory {
    /// Takes a new place, if there is room.
    func move(to location: Placement.Location) -> Bool {
        guard let place = memory.place(needs, in: location) else { return false }
        move(to: place)
        return true
    }

    /// Where page `i` lies, counted along the pieces.
    fileprivate func address(ofPage i: Int) -> UInt64 {
        var inside = UInt64(i * page)
        for piece in placement.pieces {
            if inside < piece.size { return piece.addr + inside }
            inside -= piece.size
        }
        preconditionFailure("beyond the end")
    }

    /// The first page whose frame does not lead to its bytes.
    fileprivate func firstLostPage(_ memory: DeviceMemory) -> Int? {
        (0..<bytes.count / page).first { i in
            let found = memory.resolve(placement.target, address(ofPage: i), limit: UInt64(page))
            return found?.pointer != bytes.baseAddress! + i * page || found?.length != UInt64(page)
        }
    }

    /// Writes the same number in each page's first and last word.
    fileprivate func mark(_ tag: UInt64) {
        for i in stride(from: 0, to: bytes.count, by: page) {
            bytes.storeBytes(of: tag, toByteOffset: i, as: UInt64.self)
            bytes.storeBytes(of: tag, toByteOffset: i + page - 8, as: UInt64.self)
        }
    }

    fileprivate func isMarked(_ tag: UInt64) -> Bool {
        stride(from: 0, to: bytes.count, by: page).allSatisfy {
            bytes.load(fromByteOffset: $0, as: UInt64.self) == tag
                && bytes.load(fromByteOffset: $0 + page - 8, as: UInt64.self) == tag
        }
    }
}

// MARK: - Bytes

@Suite("Device memory: bytes") struct BytesTests {
    /// A buffer's part of the store, mapped as another process would.
    private func map(_ device: Device, _ object: BufferObject) throws -> UnsafeMutableRawBufferPointer {
        let start = mmap(
            nil, Int(object.size), PROT_READ | PROT_WRITE, MAP_SHARED, device.storeDescriptor,
            Int(object.mapHandle - NVU_MAP_HANDLE_BASE))
        try #require(start != MAP_FAILED)
        return UnsafeMutableRawBufferPointer(start: start, count: Int(object.size))
    }

    private func blocks(_ device: Device) -> Int {
        var status = stat()
        fstat(device.storeDescriptor, &status)
        return Int(status.st_blocks)
    }

    @Test("a new buffer reads as zero, whoever had its pages and however they were written", arguments: [true, false])
    func zeroes(hasHoles: Bool) throws {
        var options = DeviceOptions()
        if !hasHoles { options.host.punchHole = { _ in false } }
        let client = try Client(Device(chipset: 0x172, options: options))
        let handle = try client.buffer(vram | gart, 1 << 20)
        var object = client.file.object(handle: handle)
        let first = object!.mapHandle
        let mapped = try map(client.device, object!)
        mapped.initializeMemory(as: UInt8.self, repeating: 0xa5)
        #expect(object!.bytes.allSatisfy { $0 == 0xa5 }, "one memory")
        object!.bytes[5] = 7
        #expect(mapped[5] == 7)
        #expect(blocks(client.device) > 0)
        object = nil
        #expect(client.gemClose(handle) == 0)
        if hasHoles { #expect(blocks(client.device) == 0, "the host has its memory back") }
        #expect(mapped.allSatisfy { $0 == 0 })
        let again = client.file.object(handle: try client.buffer(gart, 2 << 20))!
        #expect(again.mapHandle == first)
        #expect(again.bytes.allSatisfy { $0 == 0 })
        munmap(mapped.baseAddress, mapped.count)
    }

    @Test("in-process mmap: the kernel's checks; a mapping keeps its buffer, whatever goes")
    func mappings() throws {
        let client = try Client()
        let info = client.gemNew(gart, 8192).info
        #expect(throws: KernelErrno.EINVAL) { try client.file.mmap(offset: info.map_handle + 4096, length: 1) }
        #expect(throws: KernelErrno.EINVAL) { try client.file.mmap(offset: info.map_handle, length: 8193) }
        #expect(throws: KernelErrno.EINVAL) {
            try client.file.mmap(offset: info.map_handle, length: 1, writable: true, shared: false)
        }
        let other = Client(client.device)
        #expect(throws: KernelErrno.EACCES) { try other.file.mmap(offset: info.map_handle, length: 1) }

        var mapping: BufferMapping? = try client.file.mmap(offset: info.map_handle, length: 5000)
        #expect(mapping!.bytes.count == 5000)
        mapping!.bytes[4999] = 9
        #expect(client.file.object(handle: info.handle)!.bytes[4999] == 9)
        #expect(client.gemClose(info.handle) == 0)
        client.file.close()
        let memory = client.device.memory
        #expect(memory.objectCount == 1 && memory.storeUsed == 8192)
        #expect(mapping!.bytes[4999] == 9)
        #expect(other.gemNew(gart, 4096).info.map_handle != info.map_handle)
        mapping = nil
        #expect(memory.objectCount == 1 && memory.storeUsed == 4096)
    }

    @Test("a dma-buf's end is its buffer's size; EBADF and ESPIPE for what is none")
    func descriptorSize() throws {
        let client = try Client()
        let handle = try client.buffer(gart, 12288)
        var prime = nvu_prime_handle(handle: handle, flags: 0, fd: -1)
        try #require(client.call(NVU_PRIME_HANDLE_TO_FD, &prime) == 0)
        #expect(client.gemClose(handle) == 0)
        #expect(try client.device.size(ofDescriptor: prime.fd) == 12288)
        #expect(throws: KernelErrno.EBADF) { try client.device.size(ofDescriptor: prime.fd + 1) }
        let eventfd = try client.device.makeEventfd().fd
        #expect(throws: KernelErrno.ESPIPE) { try client.device.size(ofDescriptor: eventfd) }
    }

    @Test("VRAM_USED: what buffers have of VRAM, moved ones no more")
    func vramUsed() throws {
        let client = try Client()
        func used() -> UInt64 {
            var param = nvu_getparam(param: UInt64(NVU_PARAM_VRAM_USED.rawValue), value: 0)
            client.call(NVU_GETPARAM, &param)
            return param.value
        }
        let start = used()
        let object = client.file.object(handle: try client.buffer(vram, 3 << 20))!
        #expect(used() == start + 4 * mib)
        _ = try client.buffer(gart, 1 << 20)
        #expect(used() == start + 4 * mib)
        #expect(object.memory.move(to: .gart))
        #expect(used() == start)
        #expect(object.memory.move(to: .vram))
        #expect(used() == start + 4 * mib)
    }
}

// MARK: - Frames

@Suite("Device memory: frames") struct FrameTests {
    @Test("a move renumbers frames and keeps the bytes where they are")
    func move() throws {
        let memory = try makeMemory()
        let buffer = try #require(memory.allocate(needs([.vram, .gart], 5 * mib, shift: 16)))
        buffer.mark(0x1234)
        let start = buffer.bytes.baseAddress!
        for location in [Placement.Location.gart, .system, .vram, .vram, .gart] {
            let old = buffer.placement
            #expect(buffer.move(to: location))
            let place = buffer.placement
            #expect(place.location == location && buffer.bytes.baseAddress == start && buffer.isMarked(0x1234))
            if location != .system { #expect(buffer.firstLostPage(memory) == nil) }
            for piece in old.pieces {
                #expect(memory.resolve(old.target, piece.addr, limit: 1) == nil)
                #expect(memory.resolve(old.target, piece.addr + piece.size - 1, limit: 1) == nil)
            }
        }
        #expect(memory.inUse == [0, 5 * mib, 5 * mib, 0])
    }

    @Test("no room where it should go: nothing changes")
    func moveFails() throws {
        let memory = try makeMemory(gart: 4 * mib)
        let buffer = try #require(memory.allocate(needs([.vram], 5 * mib)))
        #expect(!buffer.move(to: .gart))
        #expect(buffer.placement.location == .vram && buffer.firstLostPage(memory) == nil)
        #expect(memory.inUse == [5 * mib, 0, 5 * mib, 0])
    }

    @Test("contiguous is one stretch or nothing, also when it moves; else pieces of whole pages, each with its frames")
    func contiguity() throws {
        let memory = try makeMemory()
        // Every second MiB is taken.
        var all = try (0..<16).map { _ in try #require(memory.allocate(needs([.vram], mib, shift: 16))) }
        for i in stride(from: 14, through: 0, by: -2) { all.remove(at: i) }
        #expect(memory.allocate(needs([.vram], 2 * mib, isContiguous: true)) == nil)
        let pieces = try #require(memory.allocate(needs([.vram], 2 * mib, shift: 16)))
        #expect(pieces.placement.pieces.map(\.size) == [mib, mib])
        #expect(pieces.placement.pieces.allSatisfy { $0.addr % 65536 == 0 })
        #expect(pieces.firstLostPage(memory) == nil)
        // Where one piece ends, the row ends.
        let first = pieces.placement.pieces[0]
        #expect(memory.resolve(.vram, first.addr, limit: .max)?.length == mib)
        // A contiguous one that moved away does not come back in pieces.
        let big = try #require(memory.allocate(needs([.gart, .vram], 2 * mib, isContiguous: true)))
        #expect(big.placement.location == .gart && !big.move(to: .vram))
        all.removeAll()
        #expect(big.move(to: .vram) && big.placement.pieces.count == 1)
    }

    @Test("a row goes as far as frames and store do together, and never beyond the limit")
    func rows() throws {
        let memory = try makeMemory()
        let a = try #require(memory.allocate(needs([.vram], mib)))
        let other = try #require(memory.allocate(needs([.gart], mib)))
        let b = try #require(memory.allocate(needs([.vram], mib)))
        let c = try #require(memory.allocate(needs([.vram], mib)))
        try #require([a, b, c].map { $0.placement.pieces[0].addr } == [0, mib, 2 * mib])
        func length(_ address: UInt64, _ limit: UInt64, _ aperture: Aperture = .vram) -> UInt64? {
            memory.resolve(aperture, address, limit: limit)?.length
        }
        // b does not follow a in the store; c follows b in both.
        #expect(length(0, .max) == mib)
        #expect(length(mib, .max) == 2 * mib)
        #expect(length(mib, 2 * mib - 1) == 2 * mib - 1)
        #expect(length(mib, 4097) == 4097 && length(mib, 4096) == 4096 && length(mib, 1) == 1)
        #expect(length(mib + 5, .max) == 2 * mib - 5)
        #expect(memory.resolve(.vram, mib + 5, limit: 1)?.pointer == b.bytes.baseAddress! + 5)
        #expect(length(mib, 0) == nil)
        #expect(length(3 * mib, 1) == nil, "nobody's")
        #expect(length(DeviceMemory.gartBase, .max, .host) == mib)
        #expect(memory.resolve(.ncoh, DeviceMemory.gartBase, limit: 1)?.pointer == other.bytes.baseAddress)
        #expect(length(0, 1, .host) == nil && length(0, 1, .peer) == nil)
        #expect(length(memory.vram.size, 1) == nil, "page tables have no frames")
        #expect(length(.max, 1) == nil && length(.max, 1, .host) == nil)
    }

    @Test("a row ends with the memory")
    func lastFrame() throws {
        let memory = try makeMemory()
        let all = try #require(memory.allocate(needs([.vram], memory.vram.size)))
        #expect(memory.resolve(.vram, 0, limit: .max)?.length == all.needs.size)
        #expect(memory.resolve(.vram, all.needs.size - 1, limit: .max)?.length == 1)
        #expect(memory.resolve(.vram, all.needs.size, limit: 1) == nil)
    }

    @Test("the C hook answers the same")
    func hook() throws {
        let memory = try makeMemory()
        let buffer = try #require(memory.allocate(needs([.vram], mib)))
        let context = Unmanaged.passUnretained(memory).toOpaque()
        let hook = DeviceMemory.resolveHook
        var length: UInt64 = 5000
        #expect(hook(context, Aperture.vram.rawValue, 4096, &length) == buffer.bytes.baseAddress! + 4096)
        #expect(length == 5000)
        length = .max
        #expect(hook(context, Aperture.vram.rawValue, 4096, &length) == buffer.bytes.baseAddress! + 4096)
        #expect(length == mib - 4096)
        #expect(hook(context, Aperture.vram.rawValue, mib, &length) == nil && length == 0)
        length = 1
        #expect(hook(context, 9, 0, &length) == nil)
        #expect(hook(context, Aperture.vram.rawValue, 0, nil) == nil)
        withExtendedLifetime(memory) {}
    }
}

// MARK: - Room

@Suite("Device memory: room") struct RoomTests {
    @Test("eviction: least recently used first, VRAM before GART; not what is pinned, not for what never fits")
    func candidates() throws {
        let client = try Client(vram: 32 << 20, gart: 16 << 20)
        let device = client.device
        let objects = try (0..<4).map { _ in client.file.object(handle: try client.buffer(vram, 2 << 20))! }
        let inGART = client.file.object(handle: try client.buffer(gart, 1 << 20))!
        let pinned = try BufferObject(GEMNew(domain: .gart, size: 4096), device: device, isPinned: true)
        for i in [0, 2] { objects[i].markUsed(device.memory.nextUse()) }
        let order = [1, 3, 0, 2].map { objects[$0].id }
        func ids(_ domain: Domain, _ size: UInt64) -> [UInt64] {
            device.memory.evictionCandidates(for: needs(domain, size)).map(\.id)
        }
        #expect(ids([.vram], mib) == order)
        #expect(ids([.vram, .gart], mib) == order + [inGART.id])
        #expect(ids([.gart], mib) == [inGART.id])
        #expect(ids([.vram], 16 * mib) == order && ids([.vram], 16 * mib + 4096) == [])
        #expect(ids([], mib) == [])
        withExtendedLifetime(pinned) {}
    }

    @Test("whichever part there is none left of, GEM_NEW answers ENOMEM and leaves no trace")
    func outOfMemory() throws {
        // The store is asked for its part, then VRAM, and GART when VRAM has none.
        for n in 1...3 {
            let asked = Counter()
            var options = DeviceOptions()
            options.host.maySpare = { asked.next() < n }
            let client = try Client(Device(chipset: 0x172, options: options))
            let result = client.gemNew(vram | gart, 1 << 20).result
            #expect(result == (n == 3 ? 0 : -.ENOMEM))
            let inUse = client.device.memory.inUse
            #expect(inUse == (n == 3 ? [mib, 0, mib, 1] : [0, 0, 0, 0]))
        }
    }

    @Test("no VRAM to spare, but GART: the buffer goes there")
    func fallsBack() throws {
        let asked = Counter()
        var options = DeviceOptions()
        options.host.maySpare = { asked.next() != 2 }
        let client = try Client(Device(chipset: 0x172, options: options))
        #expect(client.gemNew(vram | gart, 1 << 20).info.domain == gart)
    }

    @Test("a move that finds no room to spare changes nothing")
    func moveOutOfMemory() throws {
        let asked = Counter()
        var host = HostMemory()
        host.maySpare = { asked.next() != 3 }
        let memory = try makeMemory(host: host)
        let buffer = try #require(memory.allocate(needs([.vram], mib)))
        let inUse = memory.inUse
        #expect(!buffer.move(to: .gart))
        #expect(memory.inUse == inUse && buffer.firstLostPage(memory) == nil)
        #expect(buffer.move(to: .gart))
    }

    @Test("whatever the host does not give, a device answers outOfMemory; a smaller store will do")
    func noHost() throws {
        // Tables and two frame tables.
        for n in 1...4 {
            let asked = Counter()
            var options = DeviceOptions()
            options.host.reserve = { asked.next() == n ? nil : HostMemory().reserve($0) }
            if n == 4 {
                _ = try Device(chipset: 0x172, options: options)
            } else {
                #expect(throws: DeviceError.outOfMemory) { try Device(chipset: 0x172, options: options) }
            }
        }
        var options = DeviceOptions()
        options.host.makeStore = { $0 > 1 << 30 ? nil : HostMemory().makeStore($0) }
        let client = try Client(Device(chipset: 0x172, options: options))
        #expect(client.gemNew(vram, 256 << 20).result == 0)
        #expect(client.gemNew(vram, 1 << 30).result == -.ENOMEM)
        options.host.makeStore = { _ in nil }
        #expect(throws: DeviceError.outOfMemory) { try Device(chipset: 0x172, options: options) }
    }

    @Test("large host pages and a GART without measure are refused in words")
    func badHosts() {
        var options = DeviceOptions()
        options.host.pageSize = 65536
        #expect(throws: DeviceError.largePages(65536)) { try Device(chipset: 0x172, options: options) }
        #expect(DeviceError.largePages(65536).description.contains("65536"))
        for gart: UInt64 in [.max, 1 << 40, 4097] {
            options.gart = gart
            #expect(throws: DeviceError.badGART(gart)) { try Device(chipset: 0x172, options: options) }
        }
    }
}

/// Counts calls, from 1.
private final class Counter: @unchecked Sendable {
    private var count = 0

    func next() -> Int {
        count += 1
        return count
    }
}

// MARK: - At random

@Suite("Device memory, at random") struct RandomMemoryTests {
    /// Buffers and what the model says of them.
    private struct Scene {
        let memory: DeviceMemory
        var random: SeededRandom
        var buffers: [(buffer: BufferMemory, tag: UInt64)] = []

        mutating func step(_ tag: UInt64) throws {
            switch Int.random(in: 0..<8, using: &random) {
            case 0...2: try allocate(tag)
            case 3...4: free()
            default: try move()
            }
        }

        private mutating func allocate(_ tag: UInt64) throws {
            let domains: [Domain] = [[.vram], [.gart], [.vram, .gart], []]
            let shift = [12, 12, 16].randomElement(using: &random)!
            let pages = UInt64.random(in: 1...40, using: &random)
            let needs = needs(
                domains.randomElement(using: &random)!, pages << UInt64(shift), shift: shift,
                isContiguous: Bool.random(using: &random))
            guard let buffer = memory.allocate(needs) else { return }
            try #require(buffer.isMarked(0), "new buffers are zero")
            buffer.mark(tag)
            buffers.append((buffer, tag))
        }

        private mutating func free() {
            guard let i = buffers.indices.randomElement(using: &random) else { return }
            buffers.swapAt(i, buffers.count - 1)
            buffers.removeLast()
        }

        private mutating func move() throws {
            guard let (buffer, _) = buffers.randomElement(using: &random) else { return }
            let location = [Placement.Location.vram, .gart, .system].randomElement(using: &random)!
            let old = buffer.placement
            if buffer.move(to: location) {
                try #require(buffer.placement.location == location)
            } else {
                try #require(buffer.placement.pieces == old.pieces && location != .system)
            }
        }

        /// Every frame is the one page's that lies there, or nobody's.
        func check() throws {
            var owners: [Placement.Location: [UInt64: UnsafeMutableRawPointer]] = [:]
            var used: [Placement.Location: UInt64] = [:]
            for (buffer, tag) in buffers {
                let place = buffer.placement
                try #require(buffer.isMarked(tag))
                if buffer.needs.isContiguous && place.location == .vram { try #require(place.pieces.count == 1) }
                for piece in place.pieces where place.location == .vram {
                    try #require((piece.addr | piece.size) % (1 << buffer.needs.pageShift) == 0)
                }
                used[place.location, default: 0] += place.pieces.reduce(0) { $0 + $1.size }
                guard place.location != .system else { continue }
                for i in 0..<buffer.bytes.count / page {
                    let before = owners[place.location, default: [:]].updateValue(
                        buffer.bytes.baseAddress! + i * page, forKey: buffer.address(ofPage: i))
                    try #require(before == nil, "a frame of two buffers")
                }
            }
            try #require(used[.vram, default: 0] == memory.vram.used && used[.gart, default: 0] == memory.gart.used)
            try #require(memory.storeUsed == buffers.reduce(0) { $0 + $1.buffer.needs.size })
            try compare(.vram, 0, memory.vram.size, owners[.vram, default: [:]])
            try compare(.host, DeviceMemory.gartBase, memory.gart.size, owners[.gart, default: [:]])
        }

        private func compare(
            _ aperture: Aperture, _ base: UInt64, _ size: UInt64, _ owners: [UInt64: UnsafeMutableRawPointer]
        ) throws {
            for address in stride(from: base, to: base + size, by: page) {
                try #require(memory.resolve(aperture, address, limit: 1)?.pointer == owners[address])
            }
        }
    }

    @Test("bytes, frames, counts and contiguity are the model's")
    func model() throws {
        let seed = RandomTest.seed("device memory")
        var scene = Scene(memory: try makeMemory(gart: 12 * mib), random: SeededRandom(seed: seed))
        for round in 1...RandomTest.rounds(3000) {
            try scene.step(UInt64(round))
            if round % 50 == 0 { try scene.check() }
        }
        scene.buffers = []
        try scene.check()
    }

    @Test("threads allocate, move, resolve and free at once: nobody gets another's memory")
    func threads() async throws {
        let seed = RandomTest.seed("device memory, threads")
        let memory = try makeMemory()
        let rounds = RandomTest.rounds(600)
        let lost = await withTaskGroup(of: Int.self) { group in
            for thread in 1...4 as ClosedRange<UInt64> {
                group.addTask { Self.work(memory, seed &+ thread, tag: thread << 32, rounds) }
            }
            return await group.reduce(0, +)
        }
        #expect(lost == 0)
        #expect(memory.inUse == [0, 0, 0, 0] && memory.tables.used == 0)
    }

    /// - Returns: how often something was not as it should be.
    private static func work(_ memory: DeviceMemory, _ seed: UInt64, tag: UInt64, _ rounds: Int) -> Int {
        var random = SeededRandom(seed: seed)
        var buffers: [(buffer: BufferMemory, tag: UInt64)] = []
        var tables: [TableMemory] = []
        var lost = 0
        for round in 0..<UInt64(rounds) {
            let pages = UInt64.random(in: 1...64, using: &random)
            let domain: Domain = Bool.random(using: &random) ? [.vram, .gart] : [.gart]
            if let buffer = memory.allocate(needs(domain, pages << 12)) {
                if !buffer.isMarked(0) { lost += 1 }
                buffer.mark(tag + round)
                buffers.append((buffer, tag + round))
            }
            if let table = memory.tables.allocate(size: page, align: page) { tables.append(table) }
            if let (buffer, tag) = buffers.randomElement(using: &random) {
                _ = buffer.move(to: Bool.random(using: &random) ? .vram : .gart)
                if !buffer.isMarked(tag) || buffer.firstLostPage(memory) != nil { lost += 1 }
            }
            if buffers.count > 20 { buffers.remove(at: Int.random(in: 0..<20, using: &random)) }
            if tables.count > 20 { memory.tables.free(tables.removeFirst(), size: page) }
        }
        for table in tables { memory.tables.free(table, size: page) }
        return lost + buffers.count { !$0.buffer.isMarked($0.tag) }
    }

    @Test("a table that comes back zeroed answers for its own bytes only: a root leaves the rest of its page unknown")
    func zeroedRoot() throws {
        let tables = try makeMemory().tables
        for (size, isKnown) in [(page, true), (32, false)] {
            let table = try #require(tables.allocate(size: size, align: page))
            memset(table.cpu + size, 0x20, page - size)
            tables.free(TableMemory(addr: table.addr, aperture: table.aperture, cpu: table.cpu, zeroed: true), size: size)
            let next = try #require(tables.allocate(size: page, align: page))
            #expect(next.addr == table.addr && next.zeroed == isKnown)
            tables.free(next, size: page)
        }
        #expect(tables.used == 0)
    }

    @Test("threads make and drop buffers while others look for victims")
    func weakObjects() async throws {
        let device = try Device(chipset: 0x172)
        let memory = device.memory
        let makers = (0..<3).map { _ in DeviceBox(device) }
        await withTaskGroup(of: Void.self) { group in
            for box in makers {
                group.addTask {
                    for _ in 0..<1000 { _ = try? BufferObject(GEMNew(domain: .vram, size: 4096), device: box.device) }
                }
            }
            group.addTask {
                for _ in 0..<1000 {
                    for object in memory.evictionCandidates(for: needs([.vram], 4096)) {
                        object.markUsed(memory.nextUse())
                    }
                }
            }
        }
        #expect(memory.inUse == [0, 0, 0, 0])
    }

    /// Takes a device to other threads, which use nothing of it but its memory.
    private struct DeviceBox: @unchecked Sendable {
        let device: Device

        init(_ device: Device) { self.device = device }
    }
}
