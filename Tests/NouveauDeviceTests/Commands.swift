import CNouveauUAPI
import Testing

@testable import NouveauDevice

/// Words of a pushbuffer: what a driver writes for the host and for the copy engine, which is subchannel 4.
struct Commands {
    private(set) var words: [UInt32] = []

    /// `data` to `address` and the methods after it.
    mutating func method(_ subchannel: UInt32, _ address: UInt32, _ data: UInt32...) {
        words.append(1 << 29 | UInt32(data.count) << 16 | subchannel << 13 | address >> 2)
        words += data
    }

    mutating func copyEngine(_ address: UInt32, _ data: UInt32) { method(4, address, data) }

    // MARK: Host

    /// Blocks the channel until the word at `va` is `value`.
    mutating func acquire(_ va: UInt64, _ value: UInt32) { semaphore(va, value, 0x0100_1001) }
    /// Writes the word at `va`.
    mutating func release(_ va: UInt64, _ value: UInt32) { semaphore(va, value, 0x0100_0002) }

    private mutating func semaphore(_ va: UInt64, _ value: UInt32, _ operation: UInt32) {
        method(0, 0x10, high(va), low(va), value, operation)
    }

    // MARK: Copy engine

    /// Copies `length` bytes.
    mutating func copy(_ from: UInt64, _ to: UInt64, _ length: UInt32) {
        method(4, 0x400, high(from), low(from), high(to), low(to))
        method(4, 0x418, length, 1)
        copyEngine(0x300, 0x386)
    }

    /// Writes `count` words at `va`.
    mutating func fill(_ va: UInt64, _ count: UInt32, _ value: UInt32) {
        copyEngine(0x700, value)
        copyEngine(0x708, 0x0003_4444)
        method(4, 0x408, high(va), low(va))
        method(4, 0x418, count, 1)
        copyEngine(0x300, 0x586)
    }

    private func high(_ va: UInt64) -> UInt32 { UInt32(va >> 32) }
    private func low(_ va: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: va) }
}

/// A client with a channel, and a buffer that it writes its pushes into.
final class Submitter: @unchecked Sendable {
    let client: Client
    let channel: Int32
    private let bytes: UnsafeMutableRawBufferPointer
    private var used = 0

    /// Where the buffer with pushes is bound.
    static let pushes: UInt64 = 0x8000_0000
    private static let size: UInt64 = 1 << 20

    /// Does VM_INIT if `client` has not yet.
    init(_ client: Client) throws {
        self.client = client
        if client.file.uvmm == nil { try #require(client.vmInit() == 0) }
        let alloc = client.channelAlloc()
        try #require(alloc.result == 0)
        channel = alloc.alloc.channel
        let handle = try client.buffer(gart | noShare, Self.size)
        bytes = client.bytes(handle)
        try #require(client.bind([map(handle, Self.base(of: channel), Self.size)]) == 0)
    }

    private static func base(of channel: Int32) -> UInt64 { pushes + UInt64(channel) * size }

    /// Writes the commands into the buffer, after those that were there; starts over when it is full.
    func push(_ commands: Commands) -> nvu_exec_push {
        let length = commands.words.count * 4
        if used + length > bytes.count { used = 0 }
        defer { used += length }
        commands.words.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: bytes[used...]).copyMemory(from: $0) }
        return nvu_exec_push(va: Self.base(of: channel) + UInt64(used), va_len: UInt32(length), flags: 0)
    }

    @discardableResult
    func exec(_ commands: Commands, waits: [nvu_sync] = [], signals: [nvu_sync] = []) -> Int32 {
        client.exec(channel, [push(commands)], waits: waits, signals: signals)
    }

    @discardableResult
    func exec(
        waits: [nvu_sync] = [], signals: [nvu_sync] = [], _ write: (inout Commands) -> Void
    ) -> Int32 {
        var commands = Commands()
        write(&commands)
        return exec(commands, waits: waits, signals: signals)
    }
}
