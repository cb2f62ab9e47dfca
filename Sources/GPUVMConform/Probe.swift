internal import JSONLines
internal import NVMMU

/// What a walk of one address must answer.
struct Probe {
    var va: UInt64
    var answer: Answer

    enum Answer: Hashable {
        case fault(why: String)
        case sparse(level: String)
        case page(Page)
    }

    struct Page: Hashable {
        /// Of the byte.
        var pa: UInt64
        var shift: Int
        var aperture: String
        var ro, priv, vol: Bool
        var kind, comptag: Int
        var level: String
    }

    init(_ probe: JSONObject) throws(InputError) {
        va = try probe.hex("va")
        let result = try probe.string("r")
        switch result {
        case "fault":
            try probe.allowOnly(["va", "r", "why"])
            answer = .fault(why: try probe.string("why"))
        case "sparse":
            try probe.allowOnly(["va", "r", "lvl"])
            answer = .sparse(level: try probe.string("lvl"))
        case "page":
            try probe.allowOnly(["va", "r", "pa", "shift", "ap", "ro", "priv", "vol", "kind", "lvl", "ctl"])
            guard let level = Level(recorded: try probe.string("lvl"), shift: try probe.int("shift")) else {
                throw probe.error("lvl", "is an unknown level")
            }
            answer = .page(
                Page(
                    pa: try probe.hex("pa"), shift: try probe.int("shift"),
                    aperture: try Aperture.read(probe, "ap").name, ro: try probe.flag("ro"),
                    priv: try probe.flag("priv"), vol: try probe.flag("vol"), kind: try probe.int("kind"),
                    comptag: try probe.int("ctl", default: 0), level: level.name))
        default:
            throw probe.error("r", "is an unknown answer \"\(result)\"")
        }
    }
}

extension Probe.Answer: CustomStringConvertible {
    init(_ walk: Walk) {
        switch walk.result {
        case .fault(let fault): self = .fault(why: fault.name.lowercased())
        case .sparse: self = .sparse(level: walk.level.name)
        case .page(let pa, let pte):
            self = .page(
                Probe.Page(
                    pa: pa, shift: walk.shift, aperture: pte.aperture.name, ro: pte.ro, priv: pte.priv, vol: pte.vol,
                    kind: pte.kind, comptag: Int(pte.comptag), level: walk.level.name))
        }
    }

    var description: String {
        switch self {
        case .fault(let why): "fault \(why)"
        case .sparse(let level): "sparse at \(level)"
        case .page(let p):
            "\(p.aperture) \(p.pa.hex), \(p.level) entry of shift \(p.shift), kind \(p.kind), comptag \(p.comptag)"
                + (p.ro ? ", ro" : "") + (p.priv ? ", priv" : "") + (p.vol ? ", vol" : "")
        }
    }
}
