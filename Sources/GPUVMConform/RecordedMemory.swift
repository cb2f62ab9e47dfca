internal import JSONLines
internal import NVMMU

/// An object of a case: where its memory is.
struct RecordedMemory {
    var target: Aperture
    /// log2 of the object's pages.
    var pageShift: Int
    var pieces: [PhysicalPiece]
    /// Addresses of its 4 KiB pages, where the recording mapped it from such an array.
    var pages: [UInt64]?

    init(_ mem: JSONObject) throws(InputError) {
        try mem.allowOnly(["id", "target", "page", "style", "segs"])
        target = try Aperture.read(mem, "target")
        pageShift = try mem.int("page")
        pieces = try mem.array("segs").map { array, i throws(InputError) in
            let segment = try array.array(i)
            try segment.expectCount(2)
            let piece = PhysicalPiece(addr: try segment.hex(0), size: try segment.hex(1))
            guard piece.size <= 1 << 32, piece.addr < 1 << 63 else { throw array.error(i, "is no piece of memory") }
            return piece
        }
        let style = try mem.string("style")
        switch style {
        case "mem", "sgl": break
        case "dma":
            pages = pieces.flatMap { piece in
                stride(from: 0, to: piece.size, by: 4096).map { piece.addr + $0 }
            }
        default: throw mem.error("style", "is an unknown style \"\(style)\"")
        }
    }
}
