internal import JSONLines

extension TraceCall {
    init(_ object: JSONObject, _ op: TraceOp, n: Int) throws(InputError) {
        place = object.place
        self.n = n
        self.op = op
        tid = try object.int("tid")
        fd = try object.int("fd")
        request = 0
        result = 0
        if op == .close {
            try object.allowOnly(["n", "tid", "fd", "op"])
            arguments = .close
            return
        }
        let common: Set = ["n", "tid", "fd", "op", "in", "ret", "errno"]
        try object.allowOnly(op == .mmap ? common : common.union(["req", "out"]))
        if let number = op.number {
            guard let request = UInt32(exactly: try object.hex("req")), request & 0xff == number,
                request >> 8 & 0xff == UInt32(UInt8(ascii: "d"))
            else { throw object.error("req", "is not a request word of \(op.rawValue)") }
            self.request = request
        }
        result = try Self.result(object)
        let parts = Parts(
            input: try object.object("in"), output: object.has("out") || result == 0 && op.makesOutput
                ? try object.object("out") : nil, succeeded: result == 0)
        arguments = try Arguments(op, parts)
        if case .nvif(let nvif) = arguments, nvif.size != Int(request >> 16 & 0x3fff) {
            throw parts.input.error("size", "is not the size in the request word")
        }
    }

    /// 0 or the negative errno.
    private static func result(_ object: JSONObject) throws(InputError) -> Int32 {
        switch try object.int("ret") {
        case 0:
            guard !object.has("errno") else { throw object.error("errno", "is there though ret is 0") }
            return 0
        case -1:
            guard let code = Int32(exactly: try object.int("errno")), code > 0, code < 4096 else {
                throw object.error("errno", "is not an errno")
            }
            return -code
        default: throw object.error("ret", "is neither 0 nor -1")
        }
    }
}

extension TraceOp {
    /// A successful call has an `out` object (NVIF: only some of its types).
    fileprivate var makesOutput: Bool {
        switch self {
        case .version, .getCap, .getParam, .channelAlloc, .gemNew, .gemInfo, .primeHandleToFD, .primeFDToHandle,
            .syncobjCreate, .syncobjHandleToFD, .syncobjFDToHandle, .syncobjWait, .syncobjTimelineWait, .syncobjQuery:
            true
        default: false
        }
    }
}

/// The two halves of a line.
private struct Parts {
    let input: JSONObject
    let output: JSONObject?
    let succeeded: Bool

    func allow(_ input: Set<String>, out: Set<String> = []) throws(InputError) {
        try self.input.allowOnly(input)
        try output?.allowOnly(out)
    }

    /// A value the device made; `none` where the call failed.
    func made<T>(_ none: T, _ read: (JSONObject) throws(InputError) -> T) throws(InputError) -> T {
        guard succeeded, let output else { return none }
        return try read(output)
    }
}

extension TraceCall.Arguments {
    fileprivate init(_ op: TraceOp, _ p: Parts) throws(InputError) {
        let i = p.input
        switch op {
        case .version:
            try p.allow(
                ["name_len", "date_len", "desc_len"],
                out: ["major", "minor", "patch", "name_len", "date_len", "desc_len", "name"])
            self = .version(
                nameLength: try i.uint32("name_len"), dateLength: try i.uint32("date_len"),
                descLength: try i.uint32("desc_len"))
        case .getCap:
            try p.allow(["capability"], out: ["value"])
            self = .getCap(UInt64(try i.uint32("capability")))
        case .getParam:
            try p.allow(["param"], out: ["value"])
            self = .getParam(UInt64(try i.uint32("param")))
        case .nvif: self = .nvif(try TraceCall.NVIF(p))
        case .channelAlloc, .channelFree: self = try Self.channel(op, p)
        case .vmInit:
            try p.allow(["kernel_managed_addr", "kernel_managed_size"])
            self = .vmInit(kernelAddr: try i.hex("kernel_managed_addr"), kernelSize: try i.hex("kernel_managed_size"))
            try i.requireInside("kernel_managed_addr", "kernel_managed_size", p.succeeded)
        case .vmBind: self = .vmBind(try TraceCall.VMBind(p))
        case .exec: self = .exec(try TraceCall.Exec(p))
        case .gemNew, .gemInfo, .gemClose: self = try Self.gem(op, p)
        case .primeHandleToFD:
            try p.allow(["handle", "flags"], out: ["fd"])
            self = .primeHandleToFD(
                handle: try i.uint32("handle"), flags: try i.uint32("flags"),
                madeFD: try p.made(-1) { o throws(InputError) in try o.int("fd") })
        case .primeFDToHandle:
            try p.allow(["fd"], out: ["handle"])
            self = .primeFDToHandle(
                fd: try i.int("fd"), madeHandle: try p.made(0) { o throws(InputError) in try o.uint32("handle") })
        case .mmap:
            try p.allow(["off", "len", "prot", "flags", "fixed"])
            self = .mmap(
                TraceCall.MMap(
                    offset: try i.hex("off"), length: try i.hex("len"), prot: try i.int("prot"),
                    flags: try i.int("flags"), fixed: try i.flag("fixed")))
        case .close: self = .close
        default: self = try Self.syncobj(op, p)
        }
    }

    private static func channel(_ op: TraceOp, _ p: Parts) throws(InputError) -> Self {
        if op == .channelFree {
            try p.allow(["channel"])
            return .channelFree(try p.input.int32("channel"))
        }
        try p.allow(
            ["fb_ctxdma_handle", "tt_ctxdma_handle"],
            out: ["channel", "pushbuf_domains", "notifier_handle", "nr_subchan"])
        return .channelAlloc(
            fbHandle: try p.input.uint32("fb_ctxdma_handle"), ttHandle: try p.input.uint32("tt_ctxdma_handle"),
            madeChannel: try p.made(0) { o throws(InputError) in try o.int32("channel") },
            madeNotifier: try p.made(0) { o throws(InputError) in try o.uint32("notifier_handle") })
    }

    private static func gem(_ op: TraceOp, _ p: Parts) throws(InputError) -> Self {
        let i = p.input
        let out: Set = ["handle", "domain", "size", "offset", "map_handle", "tile_mode", "tile_flags"]
        switch op {
        case .gemClose:
            try p.allow(["handle"])
            return .gemClose(try i.uint32("handle"))
        case .gemInfo:
            try p.allow(["handle"], out: out)
            return .gemInfo(
                handle: try i.uint32("handle"),
                mapHandle: try p.made(0) { o throws(InputError) in try o.hex("map_handle") })
        default:
            try p.allow(["domain", "size", "align", "tile_mode", "tile_flags", "channel_hint"], out: out)
            guard let align = UInt32(exactly: try i.hex("align")) else { throw i.error("align", "is not 32-bit") }
            return .gemNew(
                TraceCall.GEMNew(
                    domain: try i.uint32("domain"), size: try i.hex("size"), align: align,
                    tileMode: try i.uint32("tile_mode"), tileFlags: try i.uint32("tile_flags"),
                    channelHint: try i.uint32("channel_hint"),
                    madeHandle: try p.made(0) { o throws(InputError) in try o.uint32("handle") },
                    madeMapHandle: try p.made(0) { o throws(InputError) in try o.hex("map_handle") }))
        }
    }

    private static func syncobj(_ op: TraceOp, _ p: Parts) throws(InputError) -> Self {
        let i = p.input
        switch op {
        case .syncobjCreate:
            try p.allow(["flags"], out: ["handle"])
            return .syncobjCreate(
                flags: try i.uint32("flags"),
                madeHandle: try p.made(0) { o throws(InputError) in try o.uint32("handle") })
        case .syncobjDestroy:
            try p.allow(["handle"])
            return .syncobjDestroy(try i.uint32("handle"))
        case .syncobjHandleToFD:
            try p.allow(["handle", "fd", "flags", "point"], out: ["handle", "fd"])
            return .syncobjHandleToFD(
                handle: try i.uint32("handle"), fd: try i.int("fd"), flags: try i.uint32("flags"),
                point: i.has("point") ? try i.hex("point") : 0,
                madeFD: try p.made(-1) { o throws(InputError) in try o.int("fd") })
        case .syncobjFDToHandle:
            try p.allow(["handle", "fd", "flags", "point"], out: ["handle", "fd"])
            return .syncobjFDToHandle(
                handle: try i.uint32("handle"), fd: try i.int("fd"), flags: try i.uint32("flags"),
                point: i.has("point") ? try i.hex("point") : 0,
                madeHandle: try p.made(0) { o throws(InputError) in try o.uint32("handle") })
        case .syncobjWait, .syncobjTimelineWait: return .syncobjWait(try TraceCall.SyncobjWait(op, p))
        case .syncobjQuery:
            try p.allow(["handles", "flags"], out: ["points"])
            return .syncobjQuery(
                handles: try i.handles("handles"), flags: try i.uint32("flags"),
                points: try p.made([]) { o throws(InputError) in try o.points("points", as: i) })
        case .syncobjTimelineSignal:
            try p.allow(["handles", "points", "flags"])
            return .syncobjTimelineSignal(
                handles: try i.handles("handles"), points: try i.points("points", as: i), flags: try i.uint32("flags"))
        case .syncobjTransfer:
            try p.allow(["src_handle", "dst_handle", "src_point", "dst_point", "flags"])
            return .syncobjTransfer(
                TraceCall.SyncobjTransfer(
                    source: try i.uint32("src_handle"), destination: try i.uint32("dst_handle"),
                    sourcePoint: try i.hex("src_point"), destinationPoint: try i.hex("dst_point"),
                    flags: try i.uint32("flags")))
        default:
            try p.allow(["handles"])
            return .syncobjArray(try i.handles("handles"))
        }
    }
}

extension TraceCall.SyncobjWait {
    fileprivate init(_ op: TraceOp, _ p: Parts) throws(InputError) {
        let timeline = op == .syncobjTimelineWait
        let common: Set = ["handles", "timeout_nsec", "flags"]
        try p.allow(timeline ? common.union(["points"]) : common, out: ["first_signaled"])
        handles = try p.input.handles("handles")
        points = timeline ? try p.input.points("points", as: p.input) : []
        timeout = Int64(try p.input.int("timeout_nsec"))
        flags = try p.input.uint32("flags")
        firstSignaled = try p.made(0) { o throws(InputError) in try o.uint32("first_signaled") }
    }
}

extension TraceCall.NVIF {
    /// Bytes in front of the data of NEW.
    private static let newHeaderSize = 56

    fileprivate init(_ p: Parts) throws(InputError) {
        let i = p.input
        let common: Set = ["type", "owner", "route", "token_set", "object_set", "size"]
        owner = try i.uint8("owner")
        route = try i.uint8("route")
        hasToken = try i.flag("token_set")
        hasObject = try i.flag("object_set")
        size = try i.int("size")
        channel = 0
        var extra: Set<String> = []
        if route == 255 {
            channel = try i.int32("token")
            extra.insert("token")
        }
        var out: Set<String> = []
        let type = try i.string("type")
        switch type {
        case "NOP": operation = .nop
        case "DEL": operation = .del
        case "SCLASS":
            operation = .sclass(
                count: try i.uint8("count"),
                classes: try p.made([]) { o throws(InputError) in
                    try o.array("oclass").map { list, at throws(InputError) in
                        guard let oclass = UInt32(exactly: try list.hex(at)) else { throw list.error(at, "is not 32-bit") }
                        return oclass
                    }
                })
            extra.insert("count")
            out = ["count", "oclass"]
        case "MTHD":
            operation = .method(try i.uint8("method"))
            extra.insert("method")
            out = ["data"]
        case "NEW":
            extra.formUnion(["new_route", "handle", "oclass", "data"])
            guard let bytes = i.has("data") ? hexBytes(try i.string("data")) : [] else {
                throw i.error("data", "is not bytes in hex")
            }
            guard bytes.isEmpty || Self.newHeaderSize + bytes.count <= size else {
                throw i.error("data", "does not fit in the argument")
            }
            operation = .new(
                route: try i.uint8("new_route"), handle: try i.hex32("handle"), oclass: try i.hex32("oclass"),
                data: bytes)
        default: throw i.error("type", "is \"\(type)\", which is not known")
        }
        try p.allow(common.union(extra), out: out)
    }
}

extension TraceCall.VMBind {
    fileprivate init(_ p: Parts) throws(InputError) {
        try p.allow(["flags", "ops", "waits", "sigs"])
        flags = try p.input.uint32("flags")
        ops = []
        for o in try p.input.objects("ops") {
            ops.append(try TraceCall.BindOp(o, p.succeeded))
        }
        waits = try p.input.syncs("waits")
        sigs = try p.input.syncs("sigs")
    }
}

extension TraceCall.BindOp {
    init(_ o: JSONObject, _ succeeded: Bool) throws(InputError) {
        try o.allowOnly(["op", "flags", "handle", "addr", "bo_offset", "range"])
        switch try o.string("op") {
        case "MAP": isMap = true
        case "UNMAP": isMap = false
        default: throw o.error("op", "is neither MAP nor UNMAP")
        }
        flags = try o.uint32("flags")
        handle = try o.uint32("handle")
        addr = try o.hex("addr")
        offset = try o.hex("bo_offset")
        range = try o.hex("range")
        try o.requireInside("addr", "range", succeeded)
    }
}

extension TraceCall.Exec {
    fileprivate init(_ p: Parts) throws(InputError) {
        try p.allow(["channel", "pushes", "waits", "sigs"])
        channel = try p.input.int32("channel")
        pushes = []
        for o in try p.input.objects("pushes") {
            pushes.append(try TraceCall.Push(o, p.succeeded))
        }
        waits = try p.input.syncs("waits")
        sigs = try p.input.syncs("sigs")
    }
}

extension TraceCall.Push {
    init(_ o: JSONObject, _ succeeded: Bool) throws(InputError) {
        try o.allowOnly(["va", "va_len", "flags", "dw", "dw_truncated", "dw_unmapped"])
        va = try o.hex("va")
        length = try o.uint32("va_len")
        flags = try o.uint32("flags")
        let text = o.has("dw") ? try o.string("dw") : ""
        guard text.utf8.count % 8 == 0, let bytes = hexBytes(text) else { throw o.error("dw", "is not dwords in hex") }
        dwords = stride(from: 0, to: bytes.count, by: 4).map { at in
            bytes[at..<(at + 4)].reduce(0) { $0 << 8 | UInt32($1) }
        }
        truncated = try o.int("dw_truncated", default: 0)
        guard !succeeded || va < addressLimit && UInt64(length) <= addressLimit - va else {
            throw o.error("va", "is \(hexText(va)), outside the address space")
        }
    }
}

/// nouveau's address spaces end here.
private let addressLimit: UInt64 = 1 << 47

extension JSONObject {
    /// Refuses a range that no address space holds, in a call that is said to have succeeded.
    fileprivate func requireInside(_ addr: String, _ range: String, _ succeeded: Bool) throws(InputError) {
        guard succeeded else { return }
        let (start, size) = (try hex(addr), try hex(range))
        guard start <= addressLimit, size <= addressLimit - start else {
            throw error(addr, "is \(hexText(start)) with a size of \(hexText(size)), outside the address space")
        }
    }

    fileprivate func int32(_ key: String) throws(InputError) -> Int32 {
        guard let value = Int32(exactly: try int(key)) else { throw error(key, "is not a 32-bit integer") }
        return value
    }

    fileprivate func uint8(_ key: String) throws(InputError) -> UInt8 {
        guard let value = UInt8(exactly: try int(key)) else { throw error(key, "is not an 8-bit unsigned integer") }
        return value
    }

    fileprivate func hex32(_ key: String) throws(InputError) -> UInt32 {
        guard let value = UInt32(exactly: try hex(key)) else { throw error(key, "is not 32-bit") }
        return value
    }

    fileprivate func handles(_ key: String) throws(InputError) -> [UInt32] {
        try array(key).map { list, i throws(InputError) in
            guard let handle = UInt32(exactly: try list.int(i)) else { throw list.error(i, "is not a handle") }
            return handle
        }
    }

    /// As many points as `of` has handles.
    fileprivate func points(_ key: String, as of: JSONObject) throws(InputError) -> [UInt64] {
        let list = try array(key)
        guard list.count == (try of.array("handles").count) else { throw error(key, "is not as long as handles") }
        return try list.map { list, i throws(InputError) in try list.hex(i) }
    }

    fileprivate func syncs(_ key: String) throws(InputError) -> [TraceCall.Sync] {
        var syncs: [TraceCall.Sync] = []
        for o in try objects(key) {
            try o.allowOnly(["flags", "handle", "value"])
            syncs.append(
                TraceCall.Sync(flags: try o.uint32("flags"), handle: try o.uint32("handle"), value: try o.hex("value")))
        }
        return syncs
    }
}

/// "0x…"
package func hexText(_ value: some BinaryInteger) -> String {
    "0x" + String(value, radix: 16)
}
