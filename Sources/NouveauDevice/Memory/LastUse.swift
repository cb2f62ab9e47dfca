internal import Synchronization

/// When something was used last, as ``DeviceMemory/nextUse()`` counts.
final class LastUse: Sendable {
    private let use: Atomic<UInt64>

    init(_ use: UInt64) { self.use = Atomic(use) }

    var value: UInt64 { use.load(ordering: .relaxed) }

    func set(_ use: UInt64) { self.use.store(use, ordering: .relaxed) }
}
