internal import CNouveauUAPI
package import KernelErrno

/// The ioctls of descriptors: of sync files, and of dma-bufs.
package enum DescriptorCommand: Sendable {
    case merge, fileInfo, setDeadline
    case dmaBufSync, exportSyncFile, importSyncFile

    /// `nil`: none of these.
    package init?(request: UInt32) {
        switch request {
        case NVU_SYNC_MERGE: self = .merge
        case NVU_SYNC_FILE_INFO: self = .fileInfo
        case NVU_SYNC_SET_DEADLINE: self = .setDeadline
        case NVU_DMA_BUF_SYNC: self = .dmaBufSync
        case NVU_DMA_BUF_EXPORT_SYNC_FILE: self = .exportSyncFile
        case NVU_DMA_BUF_IMPORT_SYNC_FILE: self = .importSyncFile
        default: return nil
        }
    }

    package var isOfSyncFile: Bool {
        switch self {
        case .merge, .fileInfo, .setDeadline: true
        default: false
        }
    }
}

/// SYNC_IOC_MERGE.
package struct SyncMerge {
    private var c: nvu_sync_merge
    private let address: UInt64

    /// - Throws: `EFAULT`; `EINVAL`: flags or padding.
    package init(_ memory: any UserMemory, at address: UInt64) throws(KernelErrno) {
        self.address = address
        c = try memory.read(at: address)
        guard c.flags == 0, c.pad == 0 else { throw .EINVAL }
    }

    package var name: String { text(of: c.name) }
    package var other: Int32 { c.fd2 }

    package mutating func store(fd: Int32, _ memory: any UserMemory) throws(KernelErrno) {
        c.fence = fd
        try memory.write(c, at: address)
    }
}

/// SYNC_IOC_FILE_INFO.
package struct SyncFileInfo {
    private var c: nvu_sync_file_info
    private let address: UInt64

    package struct FenceInfo {
        package let timeline, driver: String
        /// 1 done, 0 pending, below 0 the error.
        package let status: Int32
        package let timestamp: UInt64

        package init(timeline: String, driver: String, status: Int32, timestamp: UInt64) {
            self.timeline = timeline
            self.driver = driver
            self.status = status
            self.timestamp = timestamp
        }
    }

    /// - Throws: `EFAULT`; `EINVAL`: flags or padding.
    package init(_ memory: any UserMemory, at address: UInt64) throws(KernelErrno) {
        self.address = address
        c = try memory.read(at: address)
        guard c.flags == 0, c.pad == 0 else { throw .EINVAL }
    }

    /// Fences go out only where the client has room for one at least.
    /// - Throws: `EINVAL`: there is room, but not for all; `EFAULT`.
    package mutating func answer(
        name: String, status: Int32, _ fences: [FenceInfo], _ memory: any UserMemory
    ) throws(KernelErrno) {
        if c.num_fences > 0 {
            guard c.num_fences >= fences.count else { throw .EINVAL }
            for (i, fence) in fences.enumerated() {
                var info = nvu_sync_fence_info()
                put(fence.timeline, into: &info.obj_name)
                put(fence.driver, into: &info.driver_name)
                info.status = fence.status
                info.timestamp_ns = fence.timestamp
                try memory.write(
                    info, at: c.sync_fence_info &+ UInt64(i * MemoryLayout<nvu_sync_fence_info>.stride))
            }
        }
        put(name, into: &c.name)
        c.status = status
        c.num_fences = UInt32(fences.count)
        try memory.write(c, at: address)
    }
}

/// SYNC_IOC_SET_DEADLINE.
/// - Throws: `EFAULT`; `EINVAL`: padding.
package func syncDeadline(_ memory: any UserMemory, at address: UInt64) throws(KernelErrno) -> UInt64 {
    let c: nvu_sync_set_deadline = try memory.read(at: address)
    guard c.pad == 0 else { throw .EINVAL }
    return c.deadline_ns
}

/// DMA_BUF_IOCTL_SYNC.
package struct DMABufSync {
    package let isWrite, isEnd: Bool

    /// - Throws: `EFAULT`; `EINVAL`: unknown flags, or neither reading nor writing.
    package init(_ memory: any UserMemory, at address: UInt64) throws(KernelErrno) {
        let c: nvu_dma_buf_sync = try memory.read(at: address)
        let known = UInt64(NVU_DMA_BUF_SYNC_RW | NVU_DMA_BUF_SYNC_END)
        guard c.flags & ~known == 0, c.flags & UInt64(NVU_DMA_BUF_SYNC_RW) != 0 else { throw .EINVAL }
        isWrite = c.flags & UInt64(NVU_DMA_BUF_SYNC_WRITE) != 0
        isEnd = c.flags & UInt64(NVU_DMA_BUF_SYNC_END) != 0
    }
}

/// DMA_BUF_IOCTL_EXPORT_SYNC_FILE and _IMPORT_SYNC_FILE.
package struct DMABufSyncFile {
    private var c: nvu_dma_buf_sync_file
    private let address: UInt64

    /// - Throws: `EFAULT`; `EINVAL`: flags other than reading, writing or both.
    package init(_ memory: any UserMemory, at address: UInt64) throws(KernelErrno) {
        self.address = address
        c = try memory.read(at: address)
        guard c.flags & ~NVU_DMA_BUF_SYNC_RW == 0, c.flags != 0 else { throw .EINVAL }
    }

    package var isWrite: Bool { c.flags & NVU_DMA_BUF_SYNC_WRITE != 0 }
    package var fd: Int32 { c.fd }

    package mutating func store(fd: Int32, _ memory: any UserMemory) throws(KernelErrno) {
        c.fd = fd
        try memory.write(c, at: address)
    }
}

extension UserMemory {
    fileprivate func read<Layout: BitwiseCopyable>(at address: UInt64) throws(KernelErrno) -> Layout {
        try array(of: Layout.self, at: address, count: 1)[0]
    }
}

/// Up to the first zero byte.
private func text<Field>(of field: Field) -> String {
    withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

/// Cut to the field, with a zero byte at the end.
private func put<Field>(_ text: String, into field: inout Field) {
    withUnsafeMutableBytes(of: &field) { bytes in
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        for (i, byte) in text.utf8.prefix(bytes.count - 1).enumerated() { bytes[i] = byte }
    }
}
