internal import JSONLines
internal import KernelErrno

/// Runs a recorded case of the VA manager: every step on three spaces, one a form (``VASpaceUnderTest/Form``).
/// What the steps on locks, evictions and pairs check belongs to a library that is not there yet; they are skipped.
struct VASpaceRunner {
    private let spaces: [VASpaceUnderTest]
    private let objectCount: Int
    private let externalCount: Int
    private let hasEvictions: Bool
    private var result: CaseResult
    private var step: Int?
    /// The spaces cannot follow the recording any further.
    private var ended = false

    static func run(_ line: JSONObject) throws(InputError) -> CaseResult {
        try line.allowOnly(["case", "vm", "priv", "ext", "steps", "final"])
        let steps = try line.objects("steps")
        var runner = try VASpaceRunner(line, steps: steps)
        for (i, step) in steps.enumerated() where !runner.ended {
            runner.step = i
            try runner.run(step)
            runner.checkInvariants()
        }
        runner.step = nil
        if !runner.ended {
            try runner.compareState(try line.object("final"))
        }
        return runner.result
    }

    private init(_ line: JSONObject, steps: [JSONObject]) throws(InputError) {
        let vm = try line.object("vm")
        try vm.allowOnly(["flags", "start", "range", "rsv", "rsvr", "warn"])
        let (start, range) = (try vm.hex("start"), try vm.hex("range"))
        let (kernelStart, kernelRange) = (try vm.hex("rsv"), try vm.hex("rsvr"))
        var spaces: [VASpaceUnderTest] = []
        for form in VASpaceUnderTest.Form.allCases {
            do throws(KernelErrno) {
                spaces.append(
                    try VASpaceUnderTest(
                        form: form, start: start, range: range, kernelStart: kernelStart, kernelRange: kernelRange))
            } catch {
                throw line.place.error("no space of this shape can be made: \(error)")
            }
        }
        self.spaces = spaces
        externalCount = try Self.objectCount(line, "ext")
        objectCount = try Self.objectCount(line, "priv") + externalCount
        hasEvictions = try steps.map { step throws(InputError) in try step.string("q") }.contains("evict")
        result = CaseResult(id: try line.string("case"))
        // How lists are protected (flags 1 and 2) is not visible in the space itself.
        guard (0...2).contains(try vm.int("flags")) else { throw vm.error("flags", "is not 0, 1 or 2") }
        let warnings = try vm.int("warn")
        compare("warnings", expected: warnings) { $0.warningCount }
    }

    private static func objectCount(_ line: JSONObject, _ key: String) throws(InputError) -> Int {
        let count = try line.int(key)
        guard (0...1 << 16).contains(count) else { throw line.error(key, "is no number of objects") }
        return count
    }
}

// MARK: - Steps

extension VASpaceRunner {
    /// Fields of each step but `q`.
    private static let fields: [String: Set<String>] = [
        "map": ["a", "r", "b", "o", "rc", "ops", "n"], "map?": ["a", "r", "b", "o", "rc", "ops", "n"],
        "madvise": ["a", "r", "b", "o", "rc", "ops", "n"], "madvise?": ["a", "r", "b", "o", "rc", "ops", "n"],
        "unmap": ["a", "r", "rc", "ops", "n"], "unmap?": ["a", "r", "rc", "ops", "n"],
        "prefetch?": ["a", "r", "rc", "ops", "n"],
        "bounmap": ["b", "rc", "ops", "n"], "bounmap?": ["b", "rc", "ops", "n"],
        "mapcb": ["a", "r", "b", "o", "at", "frc", "rc", "ops", "n"],
        "unmapcb": ["a", "r", "at", "frc", "rc", "ops", "n"],
        "insert": ["a", "r", "b", "o", "rc", "n"], "remove": ["a", "r", "rc", "n"],
        "find": ["a", "r", "va"], "findfirst": ["a", "r", "va"], "findprev": ["a", "va"], "findnext": ["a", "va"],
        "valid": ["a", "r", "ok"], "empty": ["a", "r", "ok"],
        "obtain": ["b", "refs"], "put": ["b", "rc", "refs"], "cleanup": [],
        "evict": ["b", "on", "rc", "evl"], "validate": ["fail", "rc", "bos", "evl"],
        "lock": ["rc", "objs", "ext"], "lockrange": ["a", "r", "dup", "rc", "objs"],
        "maplock": ["a", "r", "b", "o", "rc", "objs"], "unmaplock": ["a", "r", "rc", "objs"],
        "state": ["vas", "bos", "ext", "evl"],
    ]

    private mutating func run(_ step: JSONObject) throws(InputError) {
        let name = try step.string("q")
        guard let fields = Self.fields[name] else { throw step.error("q", "is an unknown step \"\(name)\"") }
        try step.allowOnly(fields.union(["q"]))
        switch name {
        case "map?", "madvise?", "unmap?":
            let request = try request(step, name)
            try compareOutcome(step) { $0.ask(request) }
        case "map", "madvise", "unmap":
            let request = try request(step, name)
            try compareApplied(step, range: request.range) { $0.execute(request) }
        case "mapcb", "unmapcb":
            let request = try request(step, name)
            let failing = try failingCallback(step)
            try compareApplied(step, range: request.range) { $0.executeSteps(request, failing: failing) }
        case "prefetch?":
            let (addr, range) = (try step.hex("a"), try step.hex("r"))
            try compareOutcome(step) { $0.askPrefetch(addr, range) }
        case "bounmap?":
            let object = try object(step)
            try compareOutcome(step) { $0.askUnmap(of: object) }
        case "bounmap":
            let object = try object(step)
            try compareOutcome(step) { $0.unmapAll(of: object) }
        case "insert", "remove": try changeSingle(step, name)
        case "find", "findfirst", "findprev", "findnext": try look(step, name)
        case "valid", "empty": try ask(step, name)
        case "obtain", "put": try countReferences(step, name)
        case "state": try compareState(step)
        case "cleanup": result.skips.insert("vm_bo step \(name)")
        case "evict", "validate": result.skips.insert("eviction step \(name)")
        default: result.skips.insert("locking step \(name)")
        }
    }

    private func object(_ step: JSONObject) throws(InputError) -> Int {
        let object = try step.int("b")
        guard (0...objectCount).contains(object) else { throw step.error("b", "is not an object of the case") }
        return object
    }

    private func request(_ step: JSONObject, _ name: String) throws(InputError) -> RecordedRequest {
        var request = RecordedRequest(
            kind: name.hasPrefix("unmap") ? .unmap : name.hasPrefix("map") ? .map : .madvise,
            addr: try step.hex("a"), range: try step.hex("r"))
        if request.kind != .unmap {
            request.object = try object(step)
            request.offset = try step.hex("o")
        }
        return request
    }

    private func failingCallback(_ step: JSONObject) throws(InputError) -> (at: Int, errno: KernelErrno) {
        let rc = try step.int("frc")
        guard (-4095 ... -1).contains(rc) else { throw step.error("frc", "is not a negative errno") }
        return (try step.int("at"), KernelErrno(rawValue: Int32(-rc)))
    }

    private mutating func changeSingle(_ step: JSONObject, _ name: String) throws(InputError) {
        let (addr, range, rc) = (try step.hex("a"), try step.hex("r"), try step.int("rc"))
        if name == "insert" {
            let mapping = RecordedMapping(
                addr: addr, range: range, object: try object(step), offset: try step.hex("o"))
            guard !followsZeroRange(rc: rc, range: range, { $0.insert(mapping) }) else { return }
            compare("rc", expected: rc) { $0.insert(mapping) }
        } else {
            compare("rc", expected: rc) { $0.remove(addr, range) }
        }
        try compareCount(step)
    }

    private mutating func look(_ step: JSONObject, _ name: String) throws(InputError) {
        var expected: RecordedMapping?
        if !step.isNull("va") {
            let tuple = try step.array("va")
            try tuple.expectCount(4)
            expected = try RecordedMapping(tuple)
        }
        let addr = try step.hex("a")
        let range = name == "find" || name == "findfirst" ? try step.hex("r") : 0
        compare(name, expected: MappingText(expected)) { space in
            switch name {
            case "find": MappingText(space.find(addr, range))
            case "findfirst": MappingText(space.findFirst(addr, range))
            case "findprev": MappingText(space.findPrev(addr))
            default: MappingText(space.findNext(addr))
            }
        }
    }

    private mutating func ask(_ step: JSONObject, _ name: String) throws(InputError) {
        let (addr, range, ok) = (try step.hex("a"), try step.hex("r"), try step.flag("ok"))
        compare(name, expected: ok) { name == "valid" ? $0.isValid(addr, range) : $0.isEmpty(addr, range) }
    }

    /// The references are counted here, not by the library: a look at the links they imply, and skipped by name.
    private mutating func countReferences(_ step: JSONObject, _ name: String) throws(InputError) {
        let (object, refs) = (try object(step), try step.int("refs"))
        result.skips.insert("vm_bo step \(name)")
        if name == "put" {
            compare("rc", expected: try step.int("rc")) { $0.put(object) }
        } else {
            for space in spaces {
                do throws(KernelErrno) {
                    try space.obtain(object)
                } catch {
                    differ(space, "obtain", expected: "0", found: "\(error)")
                }
            }
        }
        compare("refs", expected: refs) { $0.references(object) }
    }
}

// MARK: - Comparing

extension VASpaceRunner {
    private mutating func differ(_ space: VASpaceUnderTest, _ what: String, expected: String, found: String) {
        result.differ(step: step, "\(what) (\(space.form.rawValue))", expected: expected, found: found)
    }

    private mutating func compare<T: Equatable>(
        _ what: String, expected: T, _ found: (VASpaceUnderTest) -> T
    ) {
        for space in spaces {
            let found = found(space)
            if found != expected {
                differ(space, what, expected: "\(expected)", found: "\(found)")
            }
        }
    }

    /// The recorded `rc` and `ops`, and `n` where it is given, against what `call` gives.
    private mutating func compareOutcome(
        _ step: JSONObject, _ call: (VASpaceUnderTest) -> Outcome
    ) throws(InputError) {
        let rc = try step.int("rc")
        let array = try step.array("ops")
        let operations = try array.map { array, i throws(InputError) in
            try RecordedOperation(try array.array(i))
        }
        for space in spaces {
            let outcome = call(space)
            if outcome.rc != rc {
                differ(space, "rc", expected: "\(rc)", found: "\(outcome.rc)")
            }
            if outcome.operations != operations {
                differ(space, "ops", expected: "\(operations)", found: "\(outcome.operations)")
            }
        }
        try compareCount(step)
    }

    private mutating func compareApplied(
        _ step: JSONObject, range: UInt64, _ call: (VASpaceUnderTest) -> Outcome
    ) throws(InputError) {
        guard !followsZeroRange(rc: try step.int("rc"), range: range, { call($0).rc }) else { return }
        try compareOutcome(step, call)
    }

    /// Where the kernel applied a range of zero, ours refuses it (ZERO-RANGE) and the case ends, as the spaces part.
    private mutating func followsZeroRange(rc: Int, range: UInt64, _ call: (VASpaceUnderTest) -> Int) -> Bool {
        guard range == 0, rc == 0 else { return false }
        compare("rc of a zero range", expected: -Int(KernelErrno.EINVAL.rawValue), call)
        result.deviations.insert(.zeroRange)
        ended = true
        return true
    }

    private mutating func compareCount(_ step: JSONObject) throws(InputError) {
        guard step.has("n") else { return }
        compare("n", expected: try step.int("n")) { $0.count }
    }

    private mutating func checkInvariants() {
        for space in spaces {
            if let broken = space.check() {
                differ(space, "invariants", expected: "all hold", found: broken)
            }
        }
    }

    /// The whole space, and which mappings each object has in link order.
    private mutating func compareState(_ state: JSONObject) throws(InputError) {
        if step == nil { try state.allowOnly(["vas", "bos", "ext", "evl"]) }
        let array = try state.array("vas")
        let mappings = try array.map { array, i throws(InputError) in
            let tuple = try array.array(i)
            try tuple.expectCount(4)
            return try RecordedMapping(tuple)
        }
        compare("vas", expected: mappings) { $0.mappings }
        try comparePairs(state)
        try compareLists(state)
    }

    private mutating func comparePairs(_ state: JSONObject) throws(InputError) {
        var linked = [[UInt64]](repeating: [], count: objectCount + 1)
        var refs = [Int](repeating: 0, count: objectCount + 1)
        var evicted: [Int] = []
        for bo in try state.objects("bos") {
            try bo.allowOnly(["b", "refs", "ev", "vas"])
            let object = try object(bo)
            linked[object] = try bo.array("vas").map { array, i throws(InputError) in try array.hex(i) }
            refs[object] = try bo.int("refs")
            if try bo.flag("ev") { evicted.append(object) }
        }
        for object in 0...objectCount {
            let starts = linked[object].map(Address.init)
            compare("links of object \(object)", expected: starts) { $0.linked(object).map(Address.init) }
            compare("refs of object \(object)", expected: refs[object]) { $0.references(object) }
        }
        skipUnlessEmpty("evicted marks", evicted, mayFill: hasEvictions)
    }

    private mutating func compareLists(_ state: JSONObject) throws(InputError) {
        for (key, name, mayFill) in [
            ("ext", "external object list", externalCount > 0), ("evl", "evict list", hasEvictions),
        ] {
            let list = try state.array(key).map { array, i throws(InputError) in try array.int(i) }
            skipUnlessEmpty(name, list, mayFill: mayFill)
        }
    }

    /// A list that nothing here keeps: skipped when the case may fill it, otherwise it must be empty.
    private mutating func skipUnlessEmpty(_ what: String, _ recorded: [Int], mayFill: Bool) {
        if mayFill {
            if !recorded.isEmpty { result.skips.insert(what) }
        } else {
            result.compare(step: step, what, expected: recorded, found: [])
        }
    }
}

/// Addresses read in hex.
private struct Address: Hashable, CustomStringConvertible {
    var value: UInt64
    var description: String { String(value, radix: 16) }
}

/// A mapping or none, as the vectors write it.
private struct MappingText: Hashable, CustomStringConvertible {
    var mapping: RecordedMapping?
    init(_ mapping: RecordedMapping?) { self.mapping = mapping }
    var description: String { mapping?.description ?? "null" }
}
