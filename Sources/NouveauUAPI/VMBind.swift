public import CNouveauUAPI
package import KernelErrno

/// VM_INIT.
package struct VMInit {
    package let kernelAddr, kernelSize: UInt64

    package init(_ a: Argument) {
        let c = a.load(nvu_vm_init.self)
        kernelAddr = c.kernel_managed_addr
        kernelSize = c.kernel_managed_size
    }
}

/// One operation of a VM_BIND, laid out as `struct nvu_vm_bind_op`. Public, as nothing less is inlined elsewhere.
public struct BindOp: BitwiseCopyable, Sendable {
    @usableFromInline var op, flags: UInt32
    /// Of the object, for a map.
    package var handle: UInt32
    private var pad: UInt32
    package var addr, boOffset, range: UInt64

    public enum Kind: Sendable {
        case map, unmap, mapSparse, unmapSparse
    }

    /// `nil`: a number the kernel refuses. 2 and 3 are the sparse operations' internal numbers and work.
    @inlinable package var kind: Kind? {
        let sparse = flags & NVU_VM_BIND_SPARSE != 0
        return switch op {
        case NVU_VM_BIND_OP_MAP: sparse ? .mapSparse : .map
        case NVU_VM_BIND_OP_UNMAP: sparse ? .unmapSparse : .unmap
        case NVU_VM_BIND_OP_MAP_SPARSE_ALIAS: .mapSparse
        case NVU_VM_BIND_OP_UNMAP_SPARSE_ALIAS: .unmapSparse
        default: nil
        }
    }

    @inlinable package var pteKind: Int { Int(flags & NVU_VM_BIND_KIND_MASK) }
}

/// A syncobj to wait for or to signal, laid out as `struct nvu_sync`.
package struct Sync: BitwiseCopyable, Sendable {
    private var flags: UInt32
    package var handle: UInt32
    private var value: UInt64

    /// `nil`: a type there is not.
    package var isTimeline: Bool? {
        switch flags & NVU_SYNC_TYPE_MASK {
        case NVU_SYNC_SYNCOBJ: false
        case NVU_SYNC_TIMELINE_SYNCOBJ: true
        default: nil
        }
    }

    package var point: UInt64 { value }
}

/// VM_BIND. The arrays come in one after the other: first ``copyOps(_:to:)``, then ``syncs(_:)``.
package struct VMBind {
    package let isAsync: Bool
    private let c: nvu_vm_bind

    package init(_ a: Argument) {
        c = a.load()
        isAsync = c.flags & NVU_VM_BIND_RUN_ASYNC != 0
    }

    /// Calls `room` for memory for so many more operations, and copies them there.
    /// - Throws: `EFAULT`, `ENOMEM`.
    package func copyOps(
        _ memory: any UserMemory, to room: (Int) -> UnsafeMutableRawBufferPointer
    ) throws(KernelErrno) {
        let stride = MemoryLayout<BindOp>.stride
        for part in try parts(of: Int(c.op_count), stride: stride) {
            try memory.copyIn(c.op_ptr &+ UInt64(part.lowerBound * stride), room(part.count))
        }
    }

    /// - Throws: `EFAULT`, `ENOMEM`; `EINVAL`: a synchronous call with waits or signals.
    package func syncs(_ memory: any UserMemory) throws(KernelErrno) -> (waits: [Sync], signals: [Sync]) {
        let waits = try memory.array(of: Sync.self, at: c.wait_ptr, count: c.wait_count)
        let signals = try memory.array(of: Sync.self, at: c.sig_ptr, count: c.sig_count)
        guard isAsync || (waits.isEmpty && signals.isEmpty) else { throw .EINVAL }
        return (waits, signals)
    }
}
