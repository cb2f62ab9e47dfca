internal import GPUVMTrace
internal import NVMMU

extension ReplayReport {
    /// The whole report, for people.
    func text(seconds: Double?, style: Style = .standardOutput) -> String {
        var out = headline(style)
        out += section("calls", style, callLines(style))
        out += section("binds", style, bindLines)
        out += section("address space", style, spaceLines)
        out += section("page tables", style, tableLines)
        out += section("command submission", style, submissionLines)
        out += section("checks", style, checkLines(style))
        out += findingLines(style)
        out += ["", verdict(style) + (seconds.map { style.faint("   \(milliseconds($0))") } ?? "")]
        return out.joined(separator: "\n")
    }

    private func headline(_ style: Style) -> [String] {
        let same = chip.chipset == header.chipset
        return [
            style.bold(baseName(trace)),
            "\(header.program)",
            style.faint("recorded from \(header.driver) on chipset \(hex(header.chipset))"),
            style.faint("replayed on \(chip.name) (\(hex(chip.chipset)), \(chip.family)), page table format \(chip.format.name)")
                + (same ? "" : style.red("  not the recorded chip")),
        ]
    }

    private func section(_ name: String, _ style: Style, _ lines: [String]) -> [String] {
        ["", style.bold(name.uppercased())] + lines.map { "  " + $0 }
    }

    // MARK: Sections

    private func callLines(_ style: Style) -> [String] {
        let total = calls.values.reduce(0, +)
        let most = calls.values.max() ?? 0
        let rows = calls.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }.map { op, n in
            op.rawValue.padded(24) + "\(n)".aligned(6) + "  " + style.blue(bar(n, of: most))
        }
        return rows + ["total".padded(24) + "\(total)".aligned(6) + style.faint("  in \(lines) lines")]
    }

    /// At most 30 characters wide; one eighth of a character at least.
    private func bar(_ n: Int, of most: Int) -> String {
        let eighths = max(1, n * 240 / max(1, most))
        let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
        return String(repeating: "█", count: eighths / 8) + parts[eighths % 8]
    }

    private var bindLines: [String] {
        let calls = binds.synchronous + binds.asynchronous
        guard calls > 0 else { return ["none"] }
        return [
            "\(count(binds.ops, "operation")) in \(count(calls, "call")): "
                + "\(binds.synchronous) synchronous, \(binds.asynchronous) asynchronous",
            "map \(binds.maps), unmap \(binds.unmaps), sparse map \(binds.sparseMaps), sparse unmap \(binds.sparseUnmaps)",
            "largest call: \(count(binds.largest.ops, "operation")), line \(binds.largest.line)",
        ]
    }

    private var spaceLines: [String] {
        guard mostMappings.count > 0, let range = binds.range else { return ["nothing was mapped"] }
        return [
            "most mappings at once: \(mostMappings.count), in file \(mostMappings.fd) after line \(mostMappings.line)",
            "addresses used: \(hex(range.lowerBound)) to \(hex(range.upperBound)), "
                + "a stretch of \(size(range.upperBound - range.lowerBound + 1))",
        ]
    }

    private var tableLines: [String] {
        let levels = chip.format.levels.filter { pageTables[$0.level] != nil }
        guard !levels.isEmpty else { return ["none"] }
        var total: UInt64 = 0
        let rows = levels.map { level in
            let tables = pageTables[level.level] ?? 0
            let bytes = UInt64(tables * level.entryBytes) << UInt64(level.indexBits)
            total += bytes
            return level.level.name.padded(6) + "\(tables)".aligned(6) + size(bytes).aligned(8)
                + "   an entry covers \(size(1 << UInt64(level.shift)))"
        }
        return rows + [
            "all".padded(6) + "\(pageTables.values.reduce(0, +))".aligned(6) + size(total).aligned(8)
                + "   at most at once, over all files",
            count(device.flushes, "TLB flush", "TLB flushes"),
        ]
    }

    private var submissionLines: [String] {
        let execs = calls[.exec] ?? 0
        guard execs > 0 else { return ["none"] }
        var lines = [
            "\(count(execs, "EXEC")), \(count(device.pushes, "push", "pushes")), \(count(device.pushDwords, "dword"))",
            "copied: \(size(device.bytesCopied))",
        ]
        if pushesSkipped > 0 {
            lines.append("\(count(pushesSkipped, "push", "pushes")) recorded only in part: not run")
        }
        lines.append(count(faults.count, "fault"))
        return lines + faults.prefix(8).map { "  \($0)" }
    }

    private func checkLines(_ style: Style) -> [String] {
        let answers = calls.values.reduce(0, +)
        var rows = [
            row("answers", answers - answerMismatches, of: answers, "return values, errno, timeline points", style),
            row(
                "vm_state", statesChecked - stateMismatches, of: statesChecked,
                "address space and page tables, every client address", style),
        ]
        if pagesChecked > 0 {
            rows.append(
                row("memory", pagesChecked - pageMismatches, of: pagesChecked, "pages that the device wrote", style))
        }
        if pagesSkipped > 0 {
            rows.append("".padded(10) + "\(count(pagesSkipped, "page")) of objects that could not be made")
        }
        return rows
    }

    private func row(_ name: String, _ good: Int, of all: Int, _ what: String, _ style: Style) -> String {
        let text = "\(good)/\(all) equal".padded(18)
        return name.padded(10) + (good == all ? style.green(text) : style.red(text)) + style.faint(what)
    }

    private func findingLines(_ style: Style) -> [String] {
        guard !findings.isEmpty else { return [] }
        var out = ["", style.red("DIFFERENCES")]
        for finding in findings {
            out.append("  \(finding.place.file):\(finding.place.line):")
            out += finding.text.prefix(8).map { "    " + $0 }
            if finding.text.count > 8 { out.append("    and \(finding.text.count - 8) more") }
        }
        if findings.count == Self.findingLimit { out.append("  and perhaps more: these are the first") }
        return out
    }

    private func verdict(_ style: Style) -> String {
        mismatches == 0
            ? style.green("0 mismatches") + ": the device answered as recorded"
            : style.red(count(mismatches, "mismatch", "mismatches"))
    }
}

/// "14 ms"
private func milliseconds(_ seconds: Double) -> String {
    "\(Int((seconds * 1000).rounded())) ms"
}

/// Several traces, one a row.
struct ReplayTable {
    private var totals = Row()
    private var traces = 0
    private let style = Style.standardOutput

    private struct Row {
        var lines = 0, binds = 0, execs = 0, mappings = 0, tables = 0, states = 0, wrongStates = 0, answers = 0
        var wrongAnswers = 0, pages = 0, wrongPages = 0

        var text: String {
            [lines, binds, execs, mappings, tables].map { "\($0)".aligned(9) }.joined()
                + "\(answers - wrongAnswers)/\(answers)".aligned(12) + "\(states - wrongStates)/\(states)".aligned(10)
                + "\(pages - wrongPages)/\(pages)".aligned(12)
        }

        mutating func add(_ row: Self) {
            lines += row.lines
            binds += row.binds
            execs += row.execs
            mappings = max(mappings, row.mappings)
            tables = max(tables, row.tables)
            states += row.states
            wrongStates += row.wrongStates
            answers += row.answers
            wrongAnswers += row.wrongAnswers
            pages += row.pages
            wrongPages += row.wrongPages
        }
    }

    mutating func show(_ report: ReplayReport) {
        if traces == 0 {
            print(
                style.bold(
                    "trace".padded(34) + ["lines", "bind ops", "EXECs", "mappings", "tables"].map { $0.aligned(9) }.joined()
                        + "answers".aligned(12) + "vm_state".aligned(10) + "pages".aligned(12)))
        }
        traces += 1
        let row = Row(
            lines: report.lines, binds: report.binds.ops, execs: report.calls[.exec] ?? 0,
            mappings: report.mostMappings.count, tables: report.pageTables.values.reduce(0, +),
            states: report.statesChecked, wrongStates: report.stateMismatches,
            answers: report.calls.values.reduce(0, +), wrongAnswers: report.answerMismatches,
            pages: report.pagesChecked, wrongPages: report.pageMismatches)
        print(
            baseName(report.trace).padded(34) + row.text + "  "
                + (report.isEqual ? style.green("equal") : style.red("DIFFERENT")))
        totals.add(row)
        if !report.isEqual { print("\n" + report.text(seconds: nil) + "\n") }
    }

    func showTotals() {
        print(style.bold("\(count(traces, "trace"))".padded(34) + totals.text))
        let wrong = totals.wrongAnswers + totals.wrongStates + totals.wrongPages
        print(wrong == 0 ? style.green("0 mismatches") : style.red(count(wrong, "mismatch", "mismatches")))
    }
}
