internal import GPUVM
internal import KernelErrno

/// A request of the vectors: objects by number, 0 is none.
struct RecordedRequest {
    enum Kind { case map, unmap, madvise }
    var kind: Kind
    var addr, range: UInt64
    var object = 0
    var offset: UInt64 = 0
}

/// What a call gave: 0 or a negative errno, and the operations.
struct Outcome: Hashable {
    var rc: Int
    var operations: [RecordedOperation]
}

/// One of the spaces that go through a case side by side. Each has its own way of carrying out requests; all must
/// give the same.
final class VASpaceUnderTest {
    enum Form: String, CaseIterable {
        /// Ask for a list of operations, then apply it.
        case list
        /// One call that does it all.
        case fused
        /// Step by step through callbacks.
        case steps
    }

    let form: Form
    private var space: AddressSpace
    private var list = OperationList()
    /// Pairs that exist, by object.
    private var pairs: [Int: Pair] = [:]
    private var objects: [PairID: Int] = [:]

    private struct Pair {
        let id: PairID
        /// References taken by obtain, as against those of linked mappings.
        var held = 0
    }

    init(
        form: Form, start: UInt64, range: UInt64, kernelStart: UInt64, kernelRange: UInt64
    ) throws(KernelErrno) {
        self.form = form
        space = try AddressSpace(start: start, range: range, kernelStart: kernelStart, kernelRange: kernelRange)
    }
}

// MARK: - Pairs

extension VASpaceUnderTest {
    /// References on the pair of an object: what was obtained, and one for each linked mapping. 0: no pair.
    func references(_ object: Int) -> Int {
        pairs[object].map { $0.held + space.linkCount($0.id) } ?? 0
    }

    /// Takes a reference, making the pair when there is none.
    @discardableResult
    func obtain(_ object: Int) throws(KernelErrno) -> PairID? {
        guard object != 0 else { return nil }
        if pairs[object] == nil {
            let id = try space.makePair(cookie: UInt64(object))
            pairs[object] = Pair(id: id)
            objects[id] = object
        }
        pairs[object]!.held += 1
        return pairs[object]!.id
    }

    /// Drops a reference taken by ``obtain(_:)``. The result is the kernel's: 1 the pair is gone, 0 it is not, or
    /// -2 when there was none.
    @discardableResult
    func put(_ object: Int) -> Int {
        guard let held = pairs[object]?.held, held > 0 else { return -2 }
        pairs[object]!.held -= 1
        dropUnreferencedPairs()
        return pairs[object] == nil ? 1 : 0
    }

    private func dropUnreferencedPairs() {
        for (object, pair) in pairs where references(object) == 0 {
            // A pair without mappings can always be destroyed; if it cannot, check() speaks of it.
            try? space.destroyPair(pair.id)
            pairs[object] = nil
            objects[pair.id] = nil
        }
    }

    private func object(_ pair: PairID?) -> Int {
        pair.flatMap { objects[$0] } ?? 0
    }
}

// MARK: - Requests

extension VASpaceUnderTest {
    /// What a request would do.
    func ask(_ request: RecordedRequest) -> Outcome {
        outcome { () throws(KernelErrno) in
            try self.withRequest(request) { request throws(KernelErrno) in
                try self.space.ask(request, into: &self.list)
            }
        }
    }

    func askPrefetch(_ addr: UInt64, _ range: UInt64) -> Outcome {
        outcome { () throws(KernelErrno) in try self.space.askPrefetch(addr, range, into: &self.list) }
    }

    func askUnmap(of object: Int) -> Outcome {
        outcome { () throws(KernelErrno) in
            guard let pair = self.pairs[object] else { throw .ENOENT }
            try self.space.askUnmap(of: pair.id, into: &self.list)
        }
    }

    /// Carries out a request in the space's own form.
    func execute(_ request: RecordedRequest) -> Outcome {
        switch form {
        case .list:
            outcome { () throws(KernelErrno) in
                try self.withRequest(request) { request throws(KernelErrno) in
                    try self.space.ask(request, into: &self.list)
                    try self.space.apply(&self.list)
                }
            }
        case .fused:
            outcome { () throws(KernelErrno) in
                try self.withRequest(request) { request throws(KernelErrno) in
                    try self.space.execute(request, into: &self.list)
                }
            }
        case .steps: executeSteps(request)
        }
    }

    /// Carries out a request through callbacks. Callback number `failing.at` returns `failing.errno`; its operation
    /// is the last one told.
    func executeSteps(_ request: RecordedRequest, failing: (at: Int, errno: KernelErrno)? = nil) -> Outcome {
        var operations: [RecordedOperation] = []
        let objectOf = object
        let rc = Self.result { () throws(KernelErrno) in
            try self.withRequest(request) { request throws(KernelErrno) in
                try self.space.execute(request) { operation throws(KernelErrno) in
                    operations.append(RecordedOperation(operation, object: objectOf))
                    if let failing, operations.count - 1 == failing.at { throw failing.errno }
                }
            }
        }
        dropUnreferencedPairs()
        return Outcome(rc: rc, operations: operations)
    }

    /// Unmaps all mappings of an object: by the list, or, in the form of steps, one by one.
    func unmapAll(of object: Int) -> Outcome {
        guard form == .steps else {
            return outcome { () throws(KernelErrno) in
                guard let pair = self.pairs[object] else { throw .ENOENT }
                try self.space.askUnmap(of: pair.id, into: &self.list)
                try self.space.apply(&self.list)
            }
        }
        var asked = askUnmap(of: object)
        if asked.rc == 0, let pair = pairs[object] {
            var linked: [MappingID] = []
            space.forEachLinked(pair.id) { linked.append($0.id) }
            asked.rc = Self.result { () throws(KernelErrno) in
                for id in linked { try self.space.remove(id) }
            }
            dropUnreferencedPairs()
        }
        return asked
    }

    /// Runs a call that fills `list` and reads the list; a failed call gives no operations.
    private func outcome(_ call: () throws(KernelErrno) -> Void) -> Outcome {
        let rc = Self.result(call)
        var operations: [RecordedOperation] = []
        if rc == 0 {
            list.forEach { operations.append(RecordedOperation($0, object: object)) }
        }
        space.commit(&list)
        dropUnreferencedPairs()
        return Outcome(rc: rc, operations: operations)
    }

    /// Holds a reference on the request's object while `body` runs.
    private func withRequest(
        _ r: RecordedRequest, _ body: (Request) throws(KernelErrno) -> Void
    ) throws(KernelErrno) {
        let pair = try obtain(r.object)
        // Not put(): operations still name the pair, which goes when they have been read.
        defer { pairs[r.object]?.held -= 1 }
        switch r.kind {
        case .map: try body(.map(addr: r.addr, range: r.range, pair: pair, offset: r.offset))
        case .unmap: try body(.unmap(addr: r.addr, range: r.range))
        case .madvise: try body(.madvise(addr: r.addr, range: r.range, pair: pair, offset: r.offset))
        }
    }

    private static func result(_ call: () throws(KernelErrno) -> Void) -> Int {
        do throws(KernelErrno) {
            try call()
            return 0
        } catch {
            return -Int(error.rawValue)
        }
    }
}

// MARK: - Single mappings

extension VASpaceUnderTest {
    func insert(_ mapping: RecordedMapping) -> Int {
        defer { dropUnreferencedPairs() }
        return Self.result { () throws(KernelErrno) in
            let pair = try self.obtain(mapping.object)
            defer { self.pairs[mapping.object]?.held -= 1 }
            try self.space.insert(mapping.addr, mapping.range, pair: pair, offset: mapping.offset)
        }
    }

    /// Finds exactly and removes; -2 when not found, as the vectors have it also for the reserved mapping.
    func remove(_ addr: UInt64, _ range: UInt64) -> Int {
        guard let found = space.find(addr, range) else { return -2 }
        let rc = Self.result { () throws(KernelErrno) in try self.space.remove(found.id) }
        dropUnreferencedPairs()
        return rc == -Int(KernelErrno.EPERM.rawValue) && found.id == .kernel ? -2 : rc
    }

    func find(_ addr: UInt64, _ range: UInt64) -> RecordedMapping? { recorded(space.find(addr, range)) }
    func findFirst(_ addr: UInt64, _ range: UInt64) -> RecordedMapping? { recorded(space.findFirst(addr, range)) }
    func findPrev(_ addr: UInt64) -> RecordedMapping? { recorded(space.findPrev(addr)) }
    func findNext(_ addr: UInt64) -> RecordedMapping? { recorded(space.findNext(addr)) }
    func isValid(_ addr: UInt64, _ range: UInt64) -> Bool { space.isValid(addr, range) }
    func isEmpty(_ addr: UInt64, _ range: UInt64) -> Bool { space.isEmpty(addr, range) }

    private func recorded(_ mapping: Mapping?) -> RecordedMapping? {
        mapping.map { RecordedMapping($0, object: object) }
    }
}

// MARK: - The state

extension VASpaceUnderTest {
    var count: Int { space.count }
    var warningCount: Int { space.warningCount }
    func check() -> String? { space.check() }

    /// All mappings in address order, the reserved one included.
    var mappings: [RecordedMapping] {
        var all: [RecordedMapping] = []
        space.forEach { all.append(RecordedMapping($0, object: object)) }
        return all
    }

    /// Start addresses of an object's mappings in link order.
    func linked(_ object: Int) -> [UInt64] {
        var starts: [UInt64] = []
        if let pair = pairs[object] {
            space.forEachLinked(pair.id) { starts.append($0.addr) }
        }
        return starts
    }
}
