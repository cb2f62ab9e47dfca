import DRMLock

/// A value that several actors may touch.
public final class Shared<T>: @unchecked Sendable {
    private let spin = SpinLock()
    private var guarded: T

    public init(_ value: T) { guarded = value }

    public var value: T {
        get { spin.withLock { guarded } }
        set { spin.withLock { guarded = newValue } }
    }

    public func change<R>(_ body: (inout T) -> R) -> R { spin.withLock { body(&guarded) } }
}
