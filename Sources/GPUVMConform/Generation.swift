internal import JSONLines
internal import NVMMU

/// GPU generations by the names that the vectors use.
enum Generation {
    private static let known: Set<String> = [
        "nv04", "nv41", "nv44", "nv50", "g84", "mcp77", "gf100", "gk104", "gk20a", "gm107", "gm200", "gm20b", "gp100",
        "gp10b", "gv100", "tu102", "ga100", "ga102", "ad102", "gh100", "gb100", "gb202",
    ]

    /// The generation in field `gen` and its format; no format: the library does not have it. Field `bigpage` chooses
    /// between the big pages of a class that has two.
    static func read(_ object: JSONObject) throws(InputError) -> (name: String, format: Format?) {
        let name = try object.string("gen")
        guard known.contains(name) else { throw object.error("gen", "is an unknown generation \"\(name)\"") }
        switch try object.int("bigpage", default: 17) {
        case 16: return (name, Format(named: name + "-64k"))
        case 17: return (name, Format(named: name))
        default: throw object.error("bigpage", "is neither 16 nor 17")
        }
    }
}

/// The layouts of entries that generations share, by NVIDIA's version numbers.
enum EntryLayout {
    /// Before Tesla: one table, 32-bit entries.
    case gart
    case tesla
    /// Fermi to Maxwell.
    case ver1
    /// Pascal to Ada.
    case ver2
    /// Hopper and later.
    case ver3
}

extension Format {
    var layout: EntryLayout {
        switch levels.first?.level {
        case .pd4: .ver3
        case .pd3: .ver2
        case .spt: .gart
        default: pageSizes.contains { $0.shift == 16 } && levels[0].shift == 29 ? .tesla : .ver1
        }
    }
}

extension Aperture {
    /// As the vectors write it.
    var name: String {
        switch self {
        case .vram: "vram"
        case .peer: "peer"
        case .host: "host"
        case .ncoh: "ncoh"
        }
    }

    /// From a field that holds a name.
    static func read(_ object: JSONObject, _ key: String) throws(InputError) -> Aperture {
        let name = try object.string(key)
        guard let aperture = allCases.first(where: { $0.name == name }) else {
            throw object.error(key, "is an unknown aperture \"\(name)\"")
        }
        return aperture
    }
}

extension UInt64 {
    var hex: String { "0x" + String(self, radix: 16) }
}
