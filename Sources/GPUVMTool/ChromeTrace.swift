internal import GPUVMTrace

/// Chrome's trace event format: what ui.perfetto.dev opens. Traces hold no time, so a line lasts one microsecond and
/// starts at its number; a file is a process, a thread a thread.
struct ChromeTrace: Encodable {
    struct Event: Encodable {
        var name, ph: String
        var ts: Int?
        var dur: Int?
        var pid: Int
        var tid: Int?
        var args: [String: String]
    }

    var traceEvents: [Event]
}

extension Trace {
    var chromeTrace: String {
        var events: [ChromeTrace.Event] = []
        for fd in Set(lines.map(\.fd)).sorted() {
            events.append(ChromeTrace.Event(name: "process_name", ph: "M", pid: fd, args: ["name": "file \(fd)"]))
        }
        for case .call(let call) in lines {
            events.append(
                ChromeTrace.Event(
                    name: call.op.rawValue, ph: "X", ts: call.place.line, dur: 1, pid: call.fd, tid: call.tid,
                    args: call.chromeArguments))
        }
        return encodeJSON(ChromeTrace(traceEvents: events)) + "\n"
    }
}

extension TraceCall {
    /// What a click on the event shows.
    fileprivate var chromeArguments: [String: String] {
        var args = ["n": "\(n)", "ret": "\(result)"]
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
