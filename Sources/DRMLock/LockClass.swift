/// What sort of lock it is: all locks of a class are taken in the same order with respect to other classes.
///
/// One constant for each, where the locks are declared. The lock validator reasons about classes, not about single
/// locks; without it a class is only a name.
public final class LockClass: Sendable, CustomStringConvertible {
    public let name: StaticString

    public init(_ name: StaticString) {
        self.name = name
    }

    public var description: String { "\(name)" }
}
