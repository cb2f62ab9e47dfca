internal import CNVMMU

/// Where memory is, seen from the GPU; values of a page table entry's aperture field.
public enum Aperture: UInt8, Sendable, CaseIterable {
    case vram = 0
    case peer = 1
    /// System memory, coherent.
    case host = 2
    /// System memory, not coherent.
    case ncoh = 3
}

/// Levels of page tables, leaf first.
public enum Level: UInt8, Sendable, CaseIterable {
    case spt = 0
    case lpt = 1
    case pd0 = 2
    case pd1 = 3
    case pd2 = 4
    case pd3 = 5
    case pd4 = 6

    init(_ level: nvmmu_level) {
        self = Level(rawValue: UInt8(level.rawValue))!
    }
    var c: nvmmu_level { nvmmu_level(UInt32(rawValue)) }

    /// "PD0", "SPT" …
    public var name: String { String(cString: nvmmu_level_name(c)) }
}

/// A page size and what nouveau uses it for.
public struct PageSize: Hashable, Sendable {
    /// log2 of the bytes.
    public var shift: Int
    public var sparse, vram, host, compression: Bool
}

/// Geometry of one level.
public struct LevelGeometry: Hashable, Sendable {
    public var level: Level
    /// log2 of the number of entries.
    public var indexBits: Int
    /// log2 of the bytes of address space that one entry covers.
    public var shift: Int
    /// Bytes of an entry: 4 (before Tesla), 8 or 16.
    public var entryBytes: Int
}

/// A page table format as one nouveau class drives it.
public struct Format: @unchecked Sendable {
    // A constant table of the C library: never written, never freed.
    let f: OpaquePointer

    init(_ f: OpaquePointer) {
        self.f = f
    }

    /// By nouveau's name of the class, or of a chip that shares one ("tu102", "ga102"); Fermi to Maxwell with 64 KiB
    /// big pages: "gm200-64k". See `<nvmmu/format.h>`.
    public init?(named name: String) {
        guard let f = nvmmu_format_find(name) else { return nil }
        self.f = f
    }

    public var name: String { String(cString: nvmmu_format_name(f)) }

    /// Bits of a virtual address.
    public var vaBits: Int { Int(nvmmu_format_va_bits(f)) }

    /// Page sizes nouveau offers, largest first.
    public var pageSizes: [PageSize] {
        var pages: UnsafePointer<nvmmu_page_size>?
        let n = nvmmu_format_pages(f, &pages)
        return (0..<n).map { i in
            let page = pages![i]
            let flags = Int32(page.flags)
            return PageSize(
                shift: Int(page.shift), sparse: flags & Int32(NVMMU_PAGE_SPARSE) != 0,
                vram: flags & Int32(NVMMU_PAGE_VRAM) != 0, host: flags & Int32(NVMMU_PAGE_HOST) != 0,
                compression: flags & Int32(NVMMU_PAGE_COMP) != 0)
        }
    }

    /// Levels root first, the LPT before the SPT.
    public var levels: [LevelGeometry] {
        var levels: UnsafePointer<nvmmu_level_info>?
        let n = nvmmu_format_levels(f, &levels)
        return (0..<n).map { i in
            let l = levels![i]
            return LevelGeometry(
                level: Level(l.level), indexBits: Int(l.index_bits), shift: Int(l.shift),
                entryBytes: Int(l.entry_bytes))
        }
    }

    /// "pte", "spt", "pd0" … in any case; `nil`: the format has no such level.
    public func level(named name: String) -> Level? {
        let level = nvmmu_level_find(f, name)
        return level < 0 ? nil : Level(rawValue: UInt8(level))
    }

    /// The uncompressed kind of the same layout; `nil`: nouveau refuses the kind.
    public func uncompressedKind(_ kind: Int) -> Int? {
        let plain = nvmmu_kind_uncompressed(f, UInt32(orMax: kind))
        return plain < 0 ? nil : Int(plain)
    }

    /// Tesla: the order over the banks of VRAM that memory of this kind must have been allocated for; 0 on other
    /// formats. `nil`: nouveau refuses the kind.
    public func storage(ofKind kind: Int) -> Int? {
        let storage = nvmmu_kind_storage(f, UInt32(orMax: kind))
        return storage < 0 ? nil : Int(storage)
    }

    /// "generic", "Z16" …
    public func kindName(_ kind: Int) -> String? {
        nvmmu_kind_name(f, UInt32(orMax: kind)).map { String(cString: $0) }
    }
}

/// A chip and the format of its MMU.
public struct Chip: Sendable {
    public let chipset: Int
    public let name: String
    public let family: String
    public let format: Format

    init(_ chip: nvmmu_chip) {
        chipset = Int(chip.chipset)
        name = String(cString: chip.name)
        family = String(cString: chip.family)
        format = Format(chip.format)
    }

    /// `nil`: no such chip, or its format is not supported.
    public init?(chipset: Int) {
        guard let id = UInt32(exactly: chipset), let chip = nvmmu_chip_find(id) else { return nil }
        self.init(chip.pointee)
    }

    /// All chips known, ascending by id.
    public static var all: [Chip] {
        var chips: UnsafePointer<nvmmu_chip>?
        let n = nvmmu_chips(&chips)
        return (0..<n).map { Chip(chips![$0]) }
    }
}
