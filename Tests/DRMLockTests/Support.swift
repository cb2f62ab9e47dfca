import DRMLock

/// What happened, in order. Guarded, for the threaded gate.
final class Log: @unchecked Sendable {
    private let spin = SpinLock()
    private var guarded: [String] = []

    func add(_ line: String) { spin.withLock { guarded.append(line) } }
    var lines: [String] { spin.withLock { guarded } }
    var count: Int { spin.withLock { guarded.count } }
}

final class ClosureWork: Work, @unchecked Sendable {
    let body: @Sendable () -> Void

    init(_ queue: WorkQueue, _ body: @escaping @Sendable () -> Void) {
        self.body = body
        super.init(queue: queue)
    }

    override func run() { body() }
}

extension Gate {
    /// Parks until a condition holds that others bring about without waking us.
    func wait(until condition: () -> Bool) {
        while !condition() { sleep(for: 100_000) }
    }
}
