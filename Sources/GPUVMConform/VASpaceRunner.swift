internal import DRMExec
internal import GPUVM
internal import JSONLines
internal import KernelErrno

/// Runs a recorded case of the VA manager: every step on three VMs, one a form (``VASpaceUnderTest/Form``).
struct VASpaceRunner {
    private let spaces: [VASpaceUnderTest]
    private let objectCount: Int
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
        runner.compare("what is left at the end", expected: "nothing") { $0.end() ?? "nothing" }
        return runner.result
    }

    private init(_ line: JSONObject, steps: [JSONObject]) throws(InputError) {
        let vm = try line.object("vm")
        try vm.allowOnly(["flags", "start", "range", "rsv", "rsvr", "warn"])
        let flags = try vm.int("flags")
        guard (0...3).contains(flags) else { throw vm.error("flags", "is not 0 to 3") }
        let shape = RecordedShape(
            flags: VM.Flags(rawValue: UInt32(flags)), start: try vm.hex("start"), range: try vm.hex("range"),
            kernelStart: try vm.hex("rsv"), kernelRange: try vm.hex("rsvr"),
            privateCount: try Self.objectCount(line, "priv"), externalCount: try Self.objectCount(line, "ext"))
        objectCount = shape.objectCount
        var spaces: [VASpaceUnderTest] = []
        for form in VASpaceUnderTest.Form.allCases {
            do throws(KernelErrno) {
                spaces.append(try VASpaceUnderTest(form: form, shape))
            } catch {
                throw line.place.error("no space of this shape can be made: \(error)")
            }
        }
        self.spaces = spaces
        result = CaseResult(id: try line.string("case"))
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
        case "cleanup": for space in spaces { space.cleanUp() }
        case "evict", "validate": try changeEvictions(step, name)
        default: try lock(step, name)
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

    private mutating func countReferences(_ step: JSONObject, _ name: String) throws(InputError) {
        let (object, refs) = (try pairObject(step), try step.int("refs"))
        if name == "put" {
            compare("rc", expected: try step.int("rc")) { $0.put(object) }
        } else {
            compare("rc", expected: 0) { $0.obtain(object) }
        }
        compare("refs", expected: refs) { $0.references(object) }
    }

    private mutating func changeEvictions(_ step: JSONObject, _ name: String) throws(InputError) {
        var expected = LockOutcome(rc: try step.int("rc"), objects: [], list: try Self.numbers(step, "evl"))
        if name == "evict" {
            let (object, evicted) = (try pairObject(step), try step.flag("on"))
            compare("evict", expected: expected) { $0.evict(object, evicted) }
        } else {
            let failing = try step.int("fail")
            expected.objects = try Self.numbers(step, "bos")
            compare("validate", expected: expected) { $0.validate(failing: failing) }
        }
    }

    private mutating func lock(_ step: JSONObject, _ name: String) throws(InputError) {
        var expected = LockOutcome(rc: try step.int("rc"), objects: try Self.numbers(step, "objs"))
        switch name {
        case "lock":
            expected.list = try Self.numbers(step, "ext")
            compare(name, expected: expected) { $0.lock() }
        case "lockrange":
            let (addr, range) = (try step.hex("a"), try step.hex("r"))
            let flags: Exec.Flags = try step.flag("dup") ? .ignoreDuplicates : []
            compare(name, expected: expected) { $0.lockRange(addr, range, flags) }
        default:
            let request = try request(step, name)
            compare(name, expected: expected) { $0.lock(request) }
        }
    }

    /// An object that has pairs: not none.
    private func pairObject(_ step: JSONObject) throws(InputError) -> Int {
        let object = try object(step)
        guard object > 0 else { throw step.error("b", "is not an object of the case") }
        return object
    }

    private static func numbers(_ json: JSONObject, _ key: String) throws(InputError) -> [Int] {
        try json.array(key).map { array, i throws(InputError) in try array.int(i) }
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
        compare("external objects", expected: try Self.numbers(state, "ext")) { $0.externalObjects }
        compare("evicted objects", expected: try Self.numbers(state, "evl")) { $0.evictedObjects }
    }

    private mutating func comparePairs(_ state: JSONObject) throws(InputError) {
        var linked = [[UInt64]](repeating: [], count: objectCount + 1)
        var refs = [Int](repeating: 0, count: objectCount + 1)
        var evicted = [Bool](repeating: false, count: objectCount + 1)
        for bo in try state.objects("bos") {
            try bo.allowOnly(["b", "refs", "ev", "vas"])
            let object = try object(bo)
            linked[object] = try bo.array("vas").map { array, i throws(InputError) in try array.hex(i) }
            refs[object] = try bo.int("refs")
            evicted[object] = try bo.flag("ev")
        }
        for object in 0...objectCount {
            let starts = linked[object].map(Address.init)
            compare("links of object \(object)", expected: starts) { $0.linked(object).map(Address.init) }
            compare("refs of object \(object)", expected: refs[object]) { $0.references(object) }
            compare("evicted mark of object \(object)", expected: evicted[object]) { $0.isEvicted(object) }
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
