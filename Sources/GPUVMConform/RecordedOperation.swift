internal import GPUVM
internal import JSONLines

/// A mapping as the vectors write it: `[addr, range, object, offset]`, numbers in hex. Object 0 is none, -1 the
/// range reserved for the kernel.
struct RecordedMapping: Hashable {
    var addr, range: UInt64
    var object: Int
    var offset: UInt64

    init(addr: UInt64, range: UInt64, object: Int, offset: UInt64) {
        self.addr = addr
        self.range = range
        self.object = object
        self.offset = offset
    }

    /// From the library; `object` is the object of a pair, 0 of none.
    init(_ m: Mapping, object: (PairID?) -> Int) {
        self.init(addr: m.addr, range: m.range, object: m.id == .kernel ? -1 : object(m.pair), offset: m.offset)
    }

    /// From four elements of an array, the first at `index`.
    init(_ array: JSONArray, at index: Int = 0) throws(InputError) {
        addr = try array.hex(index)
        range = try array.hex(index + 1)
        object = try array.int(index + 2)
        offset = try array.hex(index + 3)
    }

    /// From element `index`, which is an array or null.
    static func optional(_ array: JSONArray, _ index: Int) throws(InputError) -> RecordedMapping? {
        guard !array.isNull(index) else { return nil }
        let tuple = try array.array(index)
        try tuple.expectCount(4)
        return try RecordedMapping(tuple)
    }
}

extension RecordedMapping: CustomStringConvertible {
    private var elements: String {
        "\"\(String(addr, radix: 16))\",\"\(String(range, radix: 16))\",\(object),\"\(String(offset, radix: 16))\""
    }

    var description: String { "[\(elements)]" }

    fileprivate func operation(_ name: String, _ rest: String = "") -> String {
        "[\"\(name)\",\(elements)\(rest)]"
    }
}

/// An operation as the vectors write it.
enum RecordedOperation: Hashable {
    case map(RecordedMapping)
    case unmap(RecordedMapping, keep: Bool)
    case remap(RecordedMapping, keep: Bool, prev: RecordedMapping?, next: RecordedMapping?)
    case prefetch(RecordedMapping)

    init(_ array: JSONArray) throws(InputError) {
        let name = try array.string(0)
        switch name {
        case "m":
            try array.expectCount(5)
            self = .map(try RecordedMapping(array, at: 1))
        case "u":
            try array.expectCount(6)
            self = .unmap(try RecordedMapping(array, at: 1), keep: try array.int(5) != 0)
        case "r":
            try array.expectCount(8)
            self = .remap(
                try RecordedMapping(array, at: 1), keep: try array.int(5) != 0,
                prev: try RecordedMapping.optional(array, 6), next: try RecordedMapping.optional(array, 7))
        case "p":
            try array.expectCount(5)
            self = .prefetch(try RecordedMapping(array, at: 1))
        default:
            throw array.error(0, "is an unknown operation \"\(name)\"")
        }
    }

    /// From the library; `object` is the object of a pair, 0 of none.
    init(_ operation: Operation, object: (PairID?) -> Int) {
        switch operation {
        case .map(let addr, let range, let pair, let offset, _):
            self = .map(RecordedMapping(addr: addr, range: range, object: object(pair), offset: offset))
        case .unmap(let victim, let keep):
            self = .unmap(RecordedMapping(victim, object: object), keep: keep)
        case .remap(let victim, let prev, let next, let keep):
            let piece = { (p: Operation.Piece) in
                RecordedMapping(addr: p.addr, range: p.range, object: object(victim.pair), offset: p.offset)
            }
            self = .remap(
                RecordedMapping(victim, object: object), keep: keep, prev: prev.map(piece), next: next.map(piece))
        case .prefetch(let mapping):
            self = .prefetch(RecordedMapping(mapping, object: object))
        }
    }
}

extension RecordedOperation: CustomStringConvertible {
    var description: String {
        switch self {
        case .map(let m): m.operation("m")
        case .unmap(let m, let keep): m.operation("u", keep ? ",1" : ",0")
        case .remap(let m, let keep, let prev, let next):
            m.operation(
                "r", "\(keep ? ",1" : ",0"),\(prev?.description ?? "null"),\(next?.description ?? "null")")
        case .prefetch(let m): m.operation("p")
        }
    }
}

extension JSONArray {
    func expectCount(_ n: Int) throws(InputError) {
        guard count == n else { throw error(count, "is \(count < n ? "missing" : "one too many")") }
    }
}
