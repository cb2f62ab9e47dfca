internal import DRMLock
internal import GPUVMTrace
internal import NouveauDevice

/// The calls of a replay, and what became of the jobs they submitted, as a timeline.
///
/// A file is a process. Its threads make calls; each of its queues (its binds, each channel) has two rows: where its first
/// job waits for its turn and its dependencies, and where jobs run. Arrows lead from a call to its job, and from a job to
/// those that waited for it.
///
/// Traces hold no time, and a stepped device does its work in none: moments are counted then, a microsecond each. With
/// threads time is the clock's.
struct JobTimeline {
    private struct Call {
        var call: TraceCall
        var start, end: UInt64
    }

    private let log: JobLog
    /// Units of the log's clock in a microsecond.
    private let unit: Double
    private let start: UInt64
    /// When the last line ended.
    private var now: UInt64
    private var calls: [Call] = []
    /// Recorded numbers of the files, by their serials.
    private var files: [Int: Int] = [:]

    init(_ device: Device) {
        let isTimed = device.gate is ThreadedGate
        log = JobLog(clock: isTimed ? device.gate : nil)
        unit = isTimed ? 1000 : 1
        start = log.moment()
        now = start
        device.jobLog = log
    }

    /// To be told each line after it was replayed.
    mutating func observe(_ line: TraceLine, _ replayer: Replayer) {
        let begin = now
        now = log.moment()
        guard case .call(let call) = line else { return }
        calls.append(Call(call: call, start: begin, end: now))
        if let file = replayer.files[call.fd] { files[file.file.serial] = call.fd }
    }
}

// MARK: - Drawing

extension JobTimeline {
    private typealias Place = (track: ChromeTrace.Track, time: Double)

    var chromeTrace: ChromeTrace {
        var chrome = ChromeTrace()
        for fd in Set(calls.map(\.call.fd)).sorted() { chrome.name(process: fd, "file \(fd)") }
        drawCalls(&chrome)
        drawJobs(&chrome)
        for incident in log.incidents {
            chrome.moment(track(incident.queue, .runs), incident.text, at: time(incident.time))
        }
        chrome.sort()
        return chrome
    }

    private func time(_ moment: UInt64) -> Double { Double(moment - start) / unit }

    private func track(_ call: TraceCall) -> ChromeTrace.Track { ChromeTrace.Track(pid: call.fd, tid: call.tid) }

    private enum Row: Int { case waits, runs }

    private func track(_ queue: Int, _ row: Row) -> ChromeTrace.Track {
        // Beyond the numbers of threads.
        ChromeTrace.Track(pid: files[log.queues[queue].file] ?? 0, tid: 1000 + 2 * queue + row.rawValue)
    }

    private func drawCalls(_ chrome: inout ChromeTrace) {
        for track in Set(calls.map { track($0.call) }).sorted(by: { ($0.pid, $0.tid) < ($1.pid, $1.tid) }) {
            chrome.name(track, "thread \(track.tid)")
        }
        for call in calls {
            chrome.slice(
                track(call.call), call.call.op.rawValue, from: time(call.start), to: time(call.end),
                call.call.chromeArguments)
        }
    }

    private func drawJobs(_ chrome: inout ChromeTrace) {
        let queues = log.queues, jobs = log.all
        for queue in Set(jobs.map(\.queue)).sorted() {
            chrome.name(track(queue, .waits), "\(queues[queue].name): waiting")
            chrome.name(track(queue, .runs), "\(queues[queue].name): running")
        }
        /// Up to where a row is drawn.
        var drawn: [ChromeTrace.Track: UInt64] = [:]
        /// Where each job was seen last.
        var places: [Place] = []
        for (number, job) in jobs.enumerated() {
            let args = job.arguments(number)
            let (waits, runs) = (track(job.queue, .waits), track(job.queue, .runs))
            let end = job.done ?? calls.last?.end ?? job.submitted
            let waited = drawSlice(
                &chrome, &drawn, waits, job.title, from: job.submitted, to: job.ran ?? end, args)
            let ran = job.ran.map { drawSlice(&chrome, &drawn, runs, job.title, from: $0, to: end, args) }
            let begin: Place = ran.map { (runs, $0.start) } ?? (waits, waited.start)
            places.append(ran.map { (runs, max($0.start, $0.end - 1)) } ?? (waits, waited.start))
            if let call = call(at: job.submitted) {
                chrome.arrow("submit", id: number, from: (track(call.call), time(job.submitted)), to: begin)
            }
            for (i, other) in job.waits.enumerated() {
                chrome.arrow("dependency", id: (number + 1) << 20 | i, from: places[other], to: begin)
            }
        }
    }

    /// Rows hold one slice at a time, so a slice begins where the one before ended: a queue's jobs go one by one.
    private func drawSlice(
        _ chrome: inout ChromeTrace, _ drawn: inout [ChromeTrace.Track: UInt64], _ track: ChromeTrace.Track,
        _ title: String, from start: UInt64, to end: UInt64, _ args: [String: String]
    ) -> (start: Double, end: Double) {
        let start = max(start, drawn[track] ?? 0)
        let end = max(start, end)
        drawn[track] = end
        chrome.slice(track, title, from: time(start), to: time(end), args)
        return (time(start), time(end))
    }

    /// The call during which something happened.
    private func call(at moment: UInt64) -> Call? {
        var (low, high) = (0, calls.count)
        while low < high {
            let middle = (low + high) / 2
            if calls[middle].end < moment { low = middle + 1 } else { high = middle }
        }
        return low < calls.count && calls[low].start <= moment ? calls[low] : nil
    }
}

extension JobLog.Entry {
    fileprivate func arguments(_ number: Int) -> [String: String] {
        var args = ["job": "\(number)"]
        if !waits.isEmpty { args["waits for"] = waits.map(String.init).joined(separator: ", ") }
        if let error { args["error"] = "\(error)" }
        if done == nil { args["done"] = "no" } else if ran == nil { args["ran"] = "no" }
        return args
    }
}

extension TraceCall {
    /// What a click on the call shows.
    fileprivate var chromeArguments: [String: String] {
        var args = ["n": "\(n)", "line": "\(place.line)", "ret": "\(result)"]
        switch arguments {
        case .vmBind(let bind):
            args["mode"] = bind.flags & 1 == 0 ? "synchronous" : "asynchronous"
            args["waits"] = "\(bind.waits.count)"
            args["sigs"] = "\(bind.sigs.count)"
            for (i, op) in bind.ops.enumerated() {
                args["op \(i)"] = op.text
            }
        case .exec(let exec):
            for (i, push) in exec.pushes.enumerated() {
                args["push \(i)"] = "\(hex(push.va)) + \(hex(push.length))"
            }
        case .gemNew(let new):
            args["handle"] = "\(new.madeHandle)"
            args["size"] = hex(new.size)
            args["domain"] = hex(new.domain)
        default: break
        }
        return args
    }
}

extension TraceCall.BindOp {
    /// "MAP 0x1000 + 0x1000, handle 3, offset 0x0, kind 0x6"
    var text: String {
        let what = "\(isSparse ? "sparse " : "")\(isMap ? "MAP" : "UNMAP") \(hex(addr)) + \(hex(range))"
        guard usesObject else { return what }
        return what + ", handle \(handle), offset \(hex(offset))" + (kind == 0 ? "" : ", kind \(hex(kind))")
    }
}
