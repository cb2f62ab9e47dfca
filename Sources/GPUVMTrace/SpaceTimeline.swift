internal import NouveauDevice

/// Who was mapped where, and from which line to which.
package struct SpaceTimeline {
    /// One mapping or sparse region during its life.
    package struct Span: Hashable {
        package enum Content: Hashable {
            case object(id: UInt64, handle: UInt32, kind: Int, offset: UInt64)
            case sparse
        }

        package var fd: Int
        /// Addresses.
        package var start, end: UInt64
        package var content: Content
        /// Lines of the file: there after `from`, gone after `to`.
        package var from, to: Int
    }

    /// Those that ended, by the line in which they did.
    package private(set) var spans: [Span] = []
    /// Lines of EXECs, by file.
    package private(set) var execs: [Int: [Int]] = [:]
    private var living: [Int: Set<Span>] = [:]

    package init() {}

    /// To be told each line after it was replayed.
    package mutating func observe(_ line: TraceLine, _ replayer: Replayer) {
        guard case .call(let call) = line else { return }
        switch call.op {
        case .exec: execs[call.fd, default: []].append(call.place.line)
        case .vmBind, .close: update(call.fd, call.place.line, replayer.files[call.fd])
        default: break
        }
    }

    private mutating func update(_ fd: Int, _ line: Int, _ file: ReplayFile?) {
        let before = living[fd] ?? []
        var now: Set<Span> = []
        if let file, let uvmm = file.uvmm {
            let snapshot = SpaceSnapshot(uvmm)
            for extent in snapshot.extents {
                let content = Span.Content.object(
                    id: extent.object.id, handle: file.handle(of: extent), kind: extent.kind, offset: extent.offset)
                now.insert(Span(fd: fd, start: extent.addr, end: extent.end, content: content, from: 0, to: 0))
            }
            for region in snapshot.regions {
                now.insert(
                    Span(fd: fd, start: region.lowerBound, end: region.upperBound, content: .sparse, from: 0, to: 0))
            }
        }
        living[fd] = keep(before, now, line)
    }

    /// Ends what is gone, gives what is new its first line, leaves the rest.
    private mutating func keep(_ before: Set<Span>, _ now: Set<Span>, _ line: Int) -> Set<Span> {
        var fresh = now
        var kept: Set<Span> = []
        for span in before {
            var timeless = span
            timeless.from = 0
            if fresh.remove(timeless) != nil {
                kept.insert(span)
            } else {
                var ended = span
                ended.to = line
                spans.append(ended)
            }
        }
        for var span in fresh {
            span.from = line
            kept.insert(span)
        }
        return kept
    }

    /// All spans, those still alive ending at `line`; ordered by file, address and time.
    package func allSpans(endingAt line: Int) -> [Span] {
        let alive = living.values.joined().map { span in
            var span = span
            span.to = line
            return span
        }
        return (spans + alive).sorted { ($0.fd, $0.start, $0.from, $0.end) < ($1.fd, $1.start, $1.from, $1.end) }
    }
}
