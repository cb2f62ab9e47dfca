internal import CNVEngine
internal import GPUVM
public import NVMMU

/// What stopped a channel: an access that its page tables do not allow, or a push that engines cannot carry out.
public struct FaultReport: Sendable, CustomStringConvertible {
    /// The open file: the name it was opened with.
    public let client: String
    public let channel: Int32
    /// "MMU", "PBENTRY" and the like.
    public let error: String
    /// The class of the engine at work.
    public let engine: UInt16
    /// Address of the pushbuffer word.
    public let push: UInt64
    /// The method and its data.
    public let method, data: UInt32

    /// An access that was not allowed.
    public struct Access: Sendable {
        /// The first byte.
        public let va: UInt64
        /// "READ", "WRITE" or "ATOMIC".
        public let kind: String
        /// What it was for.
        public let role: String
        /// What was wrong, by the name that the hardware's manuals have for it.
        public let type: String
        /// How far the walk came, entry by entry.
        public let walk: Walk
        /// What was mapped next to it, and by which VM_BIND of the space.
        public let below, above: Neighbour?
    }
    public let access: Access?

    public struct Neighbour: Sendable {
        public let addr, range: UInt64
        public let bind: UInt32
    }

    public var description: String {
        let place = "channel \(channel): \(error), engine \(hex(engine)), method \(hex(method)) = \(hex(data)) at \(hex(push))"
        guard let access else { return place }
        return "\(place): \(access.kind) of \(access.role) at \(hex(access.va)): \(access.type)"
    }
}

extension FaultReport {
    /// All of it, in lines: whose it was, what it was, how far the walk came, and what is mapped next to it.
    public var details: String {
        guard let access else { return "\(client): \(self)" }
        var lines = ["\(client): \(self)"]
        for step in access.walk.steps {
            lines.append("  \(step.level.name) entry \(step.index): \(hex(step.words.low))")
        }
        lines.append("  below: \(access.below.map(\.description) ?? "nothing mapped")")
        lines.append("  above: \(access.above.map(\.description) ?? "nothing mapped")")
        return lines.joined(separator: "\n")
    }
}

extension FaultReport.Neighbour: CustomStringConvertible {
    public var description: String { "[\(hex(addr)), \(hex(addr + range))), by bind \(bind) of the space" }
}

/// "0x…"
func hex(_ number: some BinaryInteger) -> String { "0x" + String(number, radix: 16) }

extension FaultReport {
    init(_ fault: nvengine_fault, channel: Int32, space uvmm: UVMM) {
        client = uvmm.name
        self.channel = channel
        error = nvengine_error_name(fault.error).map { String(cString: $0) } ?? ""
        engine = fault.class_id
        push = fault.push
        method = fault.method.address
        data = fault.method.data
        access = fault.error == NVENGINE_ERROR_MMU ? Access(fault, uvmm) : nil
    }
}

extension FaultReport.Access {
    init(_ fault: nvengine_fault, _ uvmm: UVMM) {
        va = fault.va
        kind =
            switch fault.access {
            case NVENGINE_READ: "READ"
            case NVENGINE_WRITE: "WRITE"
            default: "ATOMIC"
            }
        role = nvengine_role_name(fault.role).map { String(cString: $0) } ?? ""
        type = nvengine_fault_type_name(UInt32(fault.type)).map { String(cString: $0) } ?? ""
        walk = Walk(fault.walk)
        (below, above) = uvmm.neighbours(of: fault.va)
    }
}

extension UVMM {
    /// The mappings next to an address: up to it, and beyond.
    fileprivate func neighbours(of va: UInt64) -> (FaultReport.Neighbour?, FaultReport.Neighbour?) {
        var below, above: FaultReport.Neighbour?
        withTables {
            vm.space.forEach { (mapping: Mapping) in
                guard mapping.id != .kernel else { return }
                let neighbour = FaultReport.Neighbour(
                    addr: mapping.addr, range: mapping.range, bind: state(of: mapping.id).bind)
                if mapping.addr <= va { below = neighbour } else if above == nil { above = neighbour }
            }
        }
        return (below, above)
    }
}
