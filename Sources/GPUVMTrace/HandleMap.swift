internal import JSONLines

/// Recorded names and our device's names of the same things.
struct HandleMap<Recorded: BinaryInteger, Ours> {
    /// What they name, for messages.
    let what: String
    /// Stands for a thing that our device did not make.
    let none: Ours
    /// Recorded names are shown in hex.
    private let inHex: Bool
    private var ours: [Recorded: Ours] = [:]

    init(_ what: String, none: Ours, inHex: Bool = false) {
        self.what = what
        self.none = none
        self.inHex = inHex
    }

    /// The recorded call made something; `ours` is `nil` where our call failed.
    mutating func add(_ recorded: Recorded, _ ours: Ours?) {
        self.ours[recorded] = ours ?? none
    }

    mutating func remove(_ recorded: Recorded) -> Ours? {
        ours.removeValue(forKey: recorded)
    }

    /// Our name for what `call` names.
    /// - Throws: when the trace never made it, and yet says that the call succeeded.
    func find(_ recorded: Recorded, _ call: TraceCall) throws(InputError) -> Ours {
        call.result == 0 ? try find(recorded, call.place) : ours[recorded] ?? none
    }

    /// Our name for what a line names.
    /// - Throws: when the trace never made it.
    func find(_ recorded: Recorded, _ place: Place) throws(InputError) -> Ours {
        if let found = ours[recorded] { return found }
        let name = inHex ? hexText(recorded) : "\(recorded)"
        throw place.error("\(what) \(name) was never made, or is closed")
    }

    func find(_ recorded: [Recorded], _ call: TraceCall) throws(InputError) -> [Ours] {
        var list: [Ours] = []
        list.reserveCapacity(recorded.count)
        for name in recorded {
            list.append(try find(name, call))
        }
        return list
    }
}
