internal import CNouveauUAPI
internal import KernelErrno
internal import NouveauUAPI

extension Argument {
    private static let header = MemoryLayout<nvu_nvif_ioctl>.size

    /// - Throws: versions other than 0, types that traces do not name, and payloads that are cut.
    func nvifInput(_ request: Request) throws(KernelErrno) -> JSONText {
        let head = load(nvu_nvif_ioctl.self)
        let payload = try nvifPayload(head)
        guard head.version == 0 else { throw .EOPNOTSUPP }
        return JSONText { call in
            call.text("type", payload.name)
            call.number("owner", head.owner)
            call.number("route", head.route)
            call.number("token_set", head.token != 0 ? 1 : 0)
            call.number("object_set", head.object != 0 ? 1 : 0)
            call.number("size", request.size)
            if head.route == NVU_NVIF_ROUTE_CHANNEL { call.number("token", Int32(truncatingIfNeeded: head.token)) }
            payload.write(&call)
        }
    }

    private typealias Payload = (name: StaticString, write: (inout JSONText) -> Void)

    private func nvifPayload(_ head: nvu_nvif_ioctl) throws(KernelErrno) -> Payload {
        switch nvu_nvif_type(UInt32(head.type)) {
        case NVU_NVIF_SCLASS:
            let call: nvu_nvif_sclass = try nvif()
            guard call.version == 0 else { throw .EOPNOTSUPP }
            return ("SCLASS", { $0.number("count", call.count) })
        case NVU_NVIF_NEW: return try nvifNew(head)
        case NVU_NVIF_DEL: return ("DEL", { _ in })
        case NVU_NVIF_MTHD:
            let call: nvu_nvif_mthd = try nvif()
            guard call.version == 0 else { throw .EOPNOTSUPP }
            return ("MTHD", { $0.number("method", call.method) })
        default: throw .EOPNOTSUPP
        }
    }

    private func nvifNew(_ head: nvu_nvif_ioctl) throws(KernelErrno) -> Payload {
        let call: nvu_nvif_new = try nvif()
        guard call.version == 0, head.object == 0 else { throw .EOPNOTSUPP }
        let data = (Self.header + MemoryLayout<nvu_nvif_new>.size..<count).map { load(UInt8.self, at: $0) }
        return (
            "NEW",
            { line in
                line.number("new_route", call.route)
                line.hex("handle", call.handle)
                line.hex("oclass", UInt32(bitPattern: call.oclass))
                if !data.isEmpty { line.data("data", data) }
            }
        )
    }

    /// What follows the header.
    private func nvif<Layout: BitwiseCopyable>() throws(KernelErrno) -> Layout {
        guard Self.header + MemoryLayout<Layout>.size <= count else { throw .EOPNOTSUPP }
        return load(at: Self.header)
    }

    func nvifOutput() -> JSONText? {
        switch nvu_nvif_type(UInt32(load(nvu_nvif_ioctl.self).type)) {
        case NVU_NVIF_SCLASS:
            let first = Self.header + MemoryLayout<nvu_nvif_sclass>.size
            let classes = stride(from: first, to: count, by: MemoryLayout<nvu_nvif_oclass>.stride)
            return JSONText { out in
                out.number("count", load(nvu_nvif_sclass.self, at: Self.header).count)
                out.array("oclass", classes) { $0.append(hex: UInt64(load(UInt32.self, at: $1))) }
            }
        case NVU_NVIF_MTHD:
            let first = Self.header + MemoryLayout<nvu_nvif_mthd>.size
            return JSONText { $0.data("data", (first..<count).map { load(UInt8.self, at: $0) }) }
        default: return nil
        }
    }
}
