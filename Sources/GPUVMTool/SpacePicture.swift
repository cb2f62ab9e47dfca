internal import GPUVMTrace
internal import NVMMU

/// The address spaces of a session over time, as SVG: lines of the trace to the right, addresses upwards, unused
/// addresses left out. An object keeps its colour; sparse regions are hatched.
struct SpacePicture {
    private let trace: Trace
    private let chip: Chip
    private let spans: [SpaceTimeline.Span]
    private let execs: [Int: [Int]]

    private static let width = 1200.0, left = 150.0, right = 24.0, top = 74.0

    init(trace: Trace, chip: Chip, timeline: SpaceTimeline) {
        self.trace = trace
        self.chip = chip
        spans = timeline.allSpans(endingAt: trace.lineCount)
        execs = timeline.execs
    }

    var svg: String {
        var body = ""
        var y = Self.top
        for fd in Set(spans.map(\.fd)).sorted() {
            body += panel(fd, &y)
        }
        if spans.isEmpty {
            body += text(Self.left, y + 20, "nothing was mapped", "label")
            y += 40
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(number(Self.width))" height="\(number(y + 20))" \
            viewBox="0 0 \(number(Self.width)) \(number(y + 20))" font-family="sans-serif">
            \(Self.definitions)
            <rect width="100%" height="100%" fill="#fff"/>
            \(text(Self.left, 26, baseName(trace.file), "title"))
            \(text(Self.left, 44, "\(trace.header.program), on \(chip.name)", "label"))
            \(legend)
            \(body)</svg>

            """
    }

    private static let definitions = """
        <style>
        .title{font-size:16px;font-weight:bold;fill:#222}.label{font-size:11px;fill:#555}
        .addr{font-size:9px;fill:#555;font-family:monospace;text-anchor:end}.tick{font-size:9px;fill:#777;text-anchor:middle}
        .grid{stroke:#e4e4e4;stroke-width:1}.cut{stroke:#bbb;stroke-width:1;stroke-dasharray:2 3}
        .map{stroke:#fff;stroke-width:.4}.kind{stroke:#222;stroke-width:.8}.exec{stroke:#c33;stroke-width:1}
        </style>
        <defs><pattern id="sparse" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
        <rect width="6" height="6" fill="#f4f4f4"/><line x1="0" y1="0" x2="0" y2="6" stroke="#bbb" stroke-width="2"/>\
        </pattern></defs>
        """

    private var legend: String {
        let y = 60.0
        var out = rect(Self.left, y - 9, 14, 10, "fill=\"\(colour(of: 1))\" class=\"map\"", nil)
        out += text(Self.left + 20, y, "an object, in a colour of its own", "label")
        out += rect(Self.left + 210, y - 9, 14, 10, "fill=\"\(colour(of: 2))\" class=\"kind\"", nil)
        out += text(Self.left + 230, y, "with a kind (tiled)", "label")
        out += rect(Self.left + 350, y - 9, 14, 10, "fill=\"url(#sparse)\"", nil)
        out += text(Self.left + 370, y, "sparse", "label")
        out += line(Self.left + 427, y - 10, Self.left + 427, y + 2, "exec")
        return out + text(Self.left + 434, y, "EXEC", "label")
    }

    // MARK: One address space

    private func panel(_ fd: Int, _ y: inout Double) -> String {
        let mine = spans.filter { $0.fd == fd }
        let scale = AddressScale(mine, top: y + 20)
        var out = text(Self.left, y + 12, "file \(fd)", "label")
        out += ticks(scale.top, scale.bottom)
        out += mine.filter { $0.content == .sparse }.map { draw($0, scale) }.joined()
        out += mine.filter { $0.content != .sparse }.map { draw($0, scale) }.joined()
        for cut in scale.cuts {
            out += line(Self.left, cut, Self.width - Self.right, cut, "cut")
        }
        for mark in scale.labels {
            out += text(Self.left - 6, mark.y + 3, hex(mark.address), "addr")
        }
        for exec in execs[fd] ?? [] {
            out += line(x(exec), scale.bottom + 1, x(exec), scale.bottom + 7, "exec")
        }
        y = scale.bottom + 34
        return out
    }

    private func draw(_ span: SpaceTimeline.Span, _ scale: AddressScale) -> String {
        let low = scale.y(span.end), high = scale.y(span.start)
        let from = x(span.from), to = x(span.to)
        let place = "\(hex(span.start)) + \(hex(span.end - span.start)) (\(size(span.end - span.start)))"
        let life = "lines \(span.from) to \(span.to)"
        switch span.content {
        case .sparse:
            return rect(from, low, to - from, high - low, "fill=\"url(#sparse)\"", "sparse\n\(place)\n\(life)")
        case .object(let id, let handle, let kind, let offset):
            let name = "handle \(handle)" + (offset == 0 ? "" : " from \(hex(offset))") + (kind == 0 ? "" : ", kind \(hex(kind))")
            return rect(
                from, low, to - from, high - low,
                "fill=\"\(colour(of: id))\" class=\"\(kind == 0 ? "map" : "kind")\"", "\(name)\n\(place)\n\(life)")
        }
    }

    private func ticks(_ top: Double, _ bottom: Double) -> String {
        let step = niceStep(trace.lineCount)
        return stride(from: 0, through: trace.lineCount, by: step).map { at in
            line(x(at), top, x(at), bottom, "grid") + text(x(at), bottom + 18, "\(at)", "tick")
        }.joined()
    }

    private func x(_ line: Int) -> Double {
        Self.left + (Self.width - Self.left - Self.right) * Double(line) / Double(trace.lineCount)
    }

    /// Hues far apart for neighbouring objects.
    private func colour(of id: UInt64) -> String {
        "hsl(\(id * 137 % 360),\(45 + id * 13 % 30)%,\(52 + id * 7 % 18)%)"
    }
}

/// Steps of 1, 2 or 5 times a power of ten: about ten of them.
private func niceStep(_ total: Int) -> Int {
    var step = 1
    while true {
        for factor in [1, 2, 5] where total / (step * factor) <= 12 {
            return step * factor
        }
        step *= 10
    }
}

/// Addresses to heights: what is used, each part between two borders as high as the logarithm of its size says.
private struct AddressScale {
    struct Label {
        var y: Double
        var address: UInt64
    }

    let top: Double
    private(set) var bottom: Double
    private(set) var cuts: [Double] = []
    private(set) var labels: [Label] = []
    /// Ascending addresses and their heights.
    private var borders: [(address: UInt64, y: Double)] = []

    private static let plotHeight = 700.0, largestUnit = 12.0, cutHeight = 10.0, cutHeights = 200.0
    private static let labelDistance = 11.0

    init(_ spans: [SpaceTimeline.Span], top: Double) {
        self.top = top
        let addresses = Set(spans.flatMap { [$0.start, $0.end] }).sorted()
        let weights = Self.weights(addresses, spans)
        let used = weights.compactMap { $0 }
        let unit = min(Self.largestUnit, Self.plotHeight / max(used.reduce(0, +), 1))
        let cut = min(Self.cutHeight, Self.cutHeights / Double(max(weights.count - used.count, 1)))
        let heights = weights.map { $0.map { $0 * unit } ?? cut }
        bottom = top + heights.reduce(0, +)
        var y = bottom
        for (i, address) in addresses.enumerated() {
            borders.append((address, y))
            guard i < heights.count else { break }
            if weights[i] == nil { cuts.append(y - cut / 2) }
            y -= heights[i]
        }
        for border in borders where labels.last.map({ $0.y - border.y >= Self.labelDistance }) ?? true {
            labels.append(Label(y: border.y, address: border.address))
        }
    }

    /// For each stretch between neighbouring borders how high it is to be; `nil`: never used.
    private static func weights(_ addresses: [UInt64], _ spans: [SpaceTimeline.Span]) -> [Double?] {
        guard addresses.count > 1 else { return [] }
        let index = Dictionary(uniqueKeysWithValues: addresses.enumerated().map { ($1, $0) })
        var changes = [Int](repeating: 0, count: addresses.count)
        for span in spans {
            changes[index[span.start]!] += 1
            changes[index[span.end]!] -= 1
        }
        var open = 0
        return (0..<(addresses.count - 1)).map { i in
            open += changes[i]
            guard open > 0 else { return nil }
            let pages = (addresses[i + 1] - addresses[i]) / 4096
            return Double(UInt64.bitWidth - pages.leadingZeroBitCount)
        }
    }

    /// The height of a border.
    func y(_ address: UInt64) -> Double {
        var (low, high) = (0, borders.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if borders[middle].address < address { low = middle + 1 } else { high = middle }
        }
        return borders[low].y
    }
}

// MARK: - SVG

private func number(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(abs(tenths % 10))"
}

private func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
}

private func text(_ x: Double, _ y: Double, _ content: String, _ style: String) -> String {
    "<text x=\"\(number(x))\" y=\"\(number(y))\" class=\"\(style)\">\(escaped(content))</text>\n"
}

private func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String) -> String {
    "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\" class=\"\(style)\"/>\n"
}

private func rect(
    _ x: Double, _ y: Double, _ width: Double, _ height: Double, _ attributes: String, _ title: String?
) -> String {
    let head = "<rect x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(max(width, 0.5)))\" "
        + "height=\"\(number(height))\" \(attributes)"
    return title.map { "\(head)><title>\(escaped($0))</title></rect>\n" } ?? "\(head)/>\n"
}
