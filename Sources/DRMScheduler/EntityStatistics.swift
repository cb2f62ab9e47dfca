/// How long an entity's jobs took, in nanoseconds of the gate's clock (`drm_sched_entity_stats`).
struct EntityStatistics {
    /// On the hardware, over all jobs freed.
    private(set) var runtime: UInt64 = 0
    /// Of it, what ``takeRuntime()`` has given out.
    private var taken: UInt64 = 0
    private(set) var average = RunningAverage()

    mutating func add(_ nanoseconds: UInt64) {
        runtime &+= nanoseconds
        average.add(nanoseconds / 1000)
    }

    /// - Returns: the runtime since the last call.
    mutating func takeRuntime() -> UInt64 {
        defer { taken = runtime }
        return runtime &- taken
    }
}

/// An exponentially weighted moving average of microseconds: 6 fraction bits, a new value counts for a quarter.
struct RunningAverage {
    private var sum: UInt64 = 0

    mutating func add(_ value: UInt64) {
        sum = sum == 0 ? value << 6 : (3 * sum + value << 6) >> 2
    }

    var value: UInt64 { sum >> 6 }
}
