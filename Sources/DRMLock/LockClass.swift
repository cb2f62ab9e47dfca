/// What sort of lock it is: all locks of a class are taken in the same order with respect to other classes, and two
/// of one class at once only where they are ``WWMutex``es.
///
/// One constant for each, where the locks are declared. The lock validator reasons about classes, not about single
/// locks; without it a class is only a name.
public final class LockClass: Sendable, CustomStringConvertible {
    public let name: StaticString

    public init(_ name: StaticString) {
        self.name = name
    }

    public var description: String { "\(name)" }

    /// What waits for fences to signal (``Gate/mightWait(_:_:)``).
    public static let fenceWait = LockClass("a wait for a fence")
    /// What waits for memory (``Gate/mightAllocate(_:_:)``).
    public static let allocation = LockClass("an allocation")
    /// The fence-signalling section (``Gate/beginSignalling(_:_:)``).
    public static let signalling = LockClass("a fence-signalling section")
}
