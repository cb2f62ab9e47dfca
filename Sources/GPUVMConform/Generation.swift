internal import JSONLines
internal import NVMMU

/// GPU generations by the names that the vectors use.
enum Generation {
    private static let known: Set<String> = [
        "nv04", "nv41", "nv44", "nv50", "g84", "mcp77", "gf100", "gk104", "gk20a", "gm107", "gm200", "gm20b", "gp100",
        "gp10b", "gv100", "tu102", "ga100", "ga102", "ad102", "gh100", "gb100", "gb202",
    ]

    /// The generation in field `gen` and its format; no format: the library does not have it.
    static func read(_ object: JSONObject) throws(InputError) -> (name: String, format: Format?) {
        let name = try object.string("gen")
        guard known.contains(name) else { throw object.error("gen", "is an unknown generation \"\(name)\"") }
        return (name, Format(named: name))
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
