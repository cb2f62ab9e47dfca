package import CGPUVM
package import CGPUVMBase
internal import KernelErrno

/// What changes when a request is carried out, as the kernel's `drm_gpuva_op`.
public enum Operation: Hashable, Sendable {
    /// A new mapping; `id` once applied.
    case map(addr: UInt64, range: UInt64, pair: PairID?, offset: UInt64, id: MappingID?)
    /// The mapping `victim` keeps only `prev` in front and `next` behind; at least one of them.
    case remap(victim: Mapping, prev: Piece?, next: Piece?, keep: Bool)
    /// The mapping goes.
    case unmap(victim: Mapping, keep: Bool)
    /// The mapping is to be made present.
    case prefetch(Mapping)

    /// What a remap leaves of its victim; `id` once applied.
    public struct Piece: Hashable, Sendable {
        public var addr, range, offset: UInt64
        public var id: MappingID?
    }
}

/// A list of operations: reusable, freed in one go. *Dry* when only asked for; *applied* once carried out: then
/// what was unmapped keeps its id and data until the list is committed or reverted.
///
/// A list must be finished (committed, reverted or destroyed) before its space is.
public struct OperationList: ~Copyable {
    var ops = gpuvm_ops()

    public init() {
        self.init(allocator: gpuvm_alloc())
    }

    /// With memory from `allocator`.
    package init(allocator: gpuvm_alloc) {
        withUnsafePointer(to: allocator) { gpuvm_ops_init(&ops, $0) }
    }

    deinit {
        var ops = ops
        gpuvm_ops_fini(&ops)
    }

    public var count: Int { ops.count }

    /// The list holds victims of a space.
    public var isApplied: Bool { ops.applied != nil }

    public subscript(index: Int) -> Operation {
        precondition(index >= 0 && index < ops.count, "operation index out of range")
        return Operation(ops.op[index])
    }

    /// The operations as the C library has them, until the list changes; for who goes through many.
    package var operations: UnsafeBufferPointer<gpuvm_op> { UnsafeBufferPointer(start: ops.op, count: ops.count) }

    public func forEach(_ body: (Operation) -> Void) {
        for i in 0..<count {
            body(self[i])
        }
    }

    /// A copy of the operations.
    public var all: [Operation] {
        (0..<count).map { self[$0] }
    }
}

extension Operation {
    init(_ op: gpuvm_op) {
        switch gpuvm_op_kind(UInt32(op.kind)) {
        case GPUVM_OP_MAP:
            self = .map(
                addr: op.addr, range: op.range, pair: PairID(op.bo), offset: op.offset, id: MappingID(op.va))
        case GPUVM_OP_REMAP:
            let prev = Piece(addr: op.addr, range: op.prev_range, offset: op.offset, id: MappingID(op.prev))
            let cut = op.range - op.next_range
            let next = Piece(
                addr: op.addr + cut, range: op.next_range, offset: op.offset &+ cut, id: MappingID(op.next))
            self = .remap(
                victim: Mapping(op), prev: op.prev_range == 0 ? nil : prev, next: op.next_range == 0 ? nil : next,
                keep: op.keep)
        case GPUVM_OP_UNMAP:
            self = .unmap(victim: Mapping(op), keep: op.keep)
        default:
            self = .prefetch(Mapping(op))
        }
    }
}

extension Mapping {
    /// The victim of an operation.
    init(_ op: gpuvm_op) {
        addr = op.addr
        range = op.range
        offset = op.offset
        pair = PairID(op.bo)
        id = MappingID(rawValue: op.va)
        seq = 0
    }
}
