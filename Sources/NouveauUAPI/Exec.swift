internal import CNouveauUAPI
package import KernelErrno

/// A stretch of commands, laid out as `struct nvu_exec_push`.
package struct Push: BitwiseCopyable, Sendable {
    package var va: UInt64
    /// Bytes.
    package var length: UInt32
    private var flags: UInt32

    package var noPrefetch: Bool { flags & NVU_EXEC_PUSH_NO_PREFETCH != 0 }
}

/// EXEC. The arrays come in by ``arrays(_:)``, after the channel was found.
package struct Exec {
    package let channel: Int32
    private let c: nvu_exec

    /// The most pushes of one call: half a channel's ring less one.
    package static let pushMax = NVU_EXEC_IB_MAX / 2 - 1

    package struct Arrays {
        package let pushes: [Push]
        package let waits, signals: [Sync]
    }

    package init(_ a: Argument) {
        c = a.load()
        channel = Int32(bitPattern: c.channel)
    }

    /// - Throws: `EINVAL`: too many pushes, or one too long; `EFAULT`, `ENOMEM`.
    package func arrays(_ memory: any UserMemory) throws(KernelErrno) -> Arrays {
        guard c.push_count <= Self.pushMax else { throw .EINVAL }
        let pushes = try memory.array(of: Push.self, at: c.push_ptr, count: c.push_count)
        let waits = try memory.array(of: Sync.self, at: c.wait_ptr, count: c.wait_count)
        let signals = try memory.array(of: Sync.self, at: c.sig_ptr, count: c.sig_count)
        guard pushes.allSatisfy({ $0.length <= NVU_EXEC_PUSH_MAX_LENGTH }) else { throw .EINVAL }
        return Arrays(pushes: pushes, waits: waits, signals: signals)
    }
}
