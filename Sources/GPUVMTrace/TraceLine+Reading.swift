internal import JSONLines
internal import NouveauDevice

extension TraceHeader {
    init(_ object: JSONObject) throws(InputError) {
        guard try object.string("op") == "header" else { throw object.place.error("the first line is not a header") }
        try object.allowOnly(["op", "format", "driver", "chipset", "program", "device"])
        let format = try object.int("format")
        guard format == 1 else { throw object.error("format", "is \(format), only 1 is known") }
        driver = try object.string("driver")
        program = try object.string("program")
        device = try object.string("device")
        guard let chipset = Int(exactly: try object.hex("chipset")) else { throw object.error("chipset", "is too large") }
        self.chipset = chipset
    }
}

extension RecordedState {
    init(_ object: JSONObject) throws(InputError) {
        try object.allowOnly(["op", "fd", "after", "maps", "sparse", "hash", "map_list", "sparse_list"])
        place = object.place
        fd = try object.int("fd")
        maps = try object.int("maps")
        sparse = try object.int("sparse")
        hash = try object.hex("hash")
        lists = nil
        if object.has("map_list") || object.has("sparse_list") {
            lists = try Lists(object)
            guard lists?.maps.count == maps else { throw object.error("maps", "is not the length of map_list") }
            guard lists?.sparse.count == sparse else { throw object.error("sparse", "is not the length of sparse_list") }
        }
    }
}

extension RecordedState.Lists {
    init(_ object: JSONObject) throws(InputError) {
        maps = try object.array("map_list").map { list, i throws(InputError) in
            let e = try list.array(i)
            guard e.count == 5 else { throw list.error(i, "has \(e.count) elements, not 5") }
            guard let handle = UInt32(exactly: try e.int(2)), let flags = UInt32(exactly: try e.int(4)) else {
                throw list.error(i, "has a handle or flags that are not 32-bit")
            }
            return StateExtent(
                start: try e.hex(0), end: try e.hex(1), handle: handle, offset: try e.hex(3), flags: flags)
        }
        sparse = try object.array("sparse_list").map { list, i throws(InputError) in
            let e = try list.array(i)
            guard e.count == 2 else { throw list.error(i, "has \(e.count) elements, not 2") }
            let (start, end) = (try e.hex(0), try e.hex(1))
            guard start < end else { throw list.error(i, "is empty") }
            return start..<end
        }
    }
}

extension RecordedPages {
    init(_ object: JSONObject, after: Bool) throws(InputError) {
        try object.allowOnly(["op", "n", "fd", "handle", "pages"])
        place = object.place
        fd = try object.int("fd")
        handle = try object.uint32("handle")
        self.after = after
        pages = try object.array("pages").map { list, i throws(InputError) in
            let page = try list.array(i)
            guard page.count == 2 else { throw list.error(i, "has \(page.count) elements, not 2") }
            let offset = try page.hex(0)
            guard offset % 4096 == 0 else { throw list.error(i, "does not start at a page") }
            if after { return (offset, .hash(try page.hex(1))) }
            let text = try page.string(1)
            if text == "z" { return (offset, .zero) }
            guard let bytes = hexBytes(text), bytes.count == 4096 else {
                throw list.error(i, "is neither \"z\" nor 4096 bytes in hex")
            }
            return (offset, .bytes(bytes))
        }
    }
}

/// The bytes that pairs of hex digits spell, or `nil`.
func hexBytes(_ text: String) -> [UInt8]? {
    guard text.utf8.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count / 2)
    var high: UInt8?
    for digit in text.utf8 {
        guard let value = hexDigit(digit) else { return nil }
        if let h = high {
            bytes.append(h << 4 | value)
            high = nil
        } else {
            high = value
        }
    }
    return bytes
}

private func hexDigit(_ c: UInt8) -> UInt8? {
    switch c {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): c - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): c - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): c - UInt8(ascii: "A") + 10
    default: nil
    }
}
