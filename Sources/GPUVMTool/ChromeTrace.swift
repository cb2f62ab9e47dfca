/// Chrome's trace event format: what ui.perfetto.dev opens. Times are microseconds.
struct ChromeTrace: Encodable {
    struct Event: Encodable {
        var name: String
        var cat: String?
        /// "X": a slice; "i": a moment; "s" and "f": the ends of an arrow, in the slices that are there then; "M": a name.
        var ph: String
        var ts: Double?
        var dur: Double?
        var pid: Int
        var tid: Int?
        /// Of an arrow.
        var id: Int?
        /// "e": the arrow ends in the slice that is there, not in the next.
        var bp: String?
        /// How wide a moment is drawn: "t", its track.
        var s: String?
        var args: [String: String]?
    }

    /// A row of slices: a thread of a process.
    struct Track: Hashable {
        var pid, tid: Int
    }

    private(set) var traceEvents: [Event] = []

    mutating func name(process pid: Int, _ name: String) {
        traceEvents.append(Event(name: "process_name", ph: "M", pid: pid, args: ["name": name]))
    }

    mutating func name(_ track: Track, _ name: String) {
        traceEvents.append(Event(name: "thread_name", ph: "M", pid: track.pid, tid: track.tid, args: ["name": name]))
    }

    mutating func slice(_ track: Track, _ name: String, from start: Double, to end: Double, _ args: [String: String]) {
        traceEvents.append(
            Event(name: name, ph: "X", ts: start, dur: end - start, pid: track.pid, tid: track.tid, args: args))
    }

    mutating func moment(_ track: Track, _ name: String, at time: Double) {
        traceEvents.append(Event(name: name, ph: "i", ts: time, pid: track.pid, tid: track.tid, s: "t"))
    }

    mutating func arrow(
        _ name: String, id: Int, from start: (track: Track, time: Double), to end: (track: Track, time: Double)
    ) {
        traceEvents.append(
            Event(name: name, cat: "job", ph: "s", ts: start.time, pid: start.track.pid, tid: start.track.tid, id: id))
        traceEvents.append(
            Event(
                name: name, cat: "job", ph: "f", ts: end.time, pid: end.track.pid, tid: end.track.tid, id: id, bp: "e"))
    }

    /// In the order of time; at one time, slices before what lies in them.
    mutating func sort() {
        let ranks = ["M": 0, "X": 1]
        let order = traceEvents.indices.sorted { a, b in
            let (first, second) = (traceEvents[a], traceEvents[b])
            return (first.ts ?? -1, ranks[first.ph] ?? 2, a) < (second.ts ?? -1, ranks[second.ph] ?? 2, b)
        }
        traceEvents = order.map { traceEvents[$0] }
    }
}
