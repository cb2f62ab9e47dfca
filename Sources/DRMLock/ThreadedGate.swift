/// The gate of real threads and the monotonic clock.
public final class ThreadedGate: Gate, @unchecked Sendable {
}
