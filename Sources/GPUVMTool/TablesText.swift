internal import GPUVMTrace
internal import NVMMU

extension Replayer {
    /// The page tables of all open files, in order of their numbers.
    var tablesText: String {
        files.keys.sorted().map { tablesText(of: $0) }.joined(separator: "\n")
    }

    /// The page tables of one file.
    func tablesText(of fd: Int) -> String {
        guard let uvmm = files[fd]?.uvmm else { return "file \(fd): no address space\n" }
        let format = uvmm.tables.format
        var out = "file \(fd): page tables, format \(format.name)\n"
        for table in uvmm.tables.tables() {
            guard let geometry = format.levels.first(where: { $0.level == table.level }) else { continue }
            out += "\(table.level.name) at \(table.aperture) \(hex(table.addr)), from va \(hex(table.va))\n"
            for run in table.runs(geometry, format) {
                out += "  " + run.text(geometry, table, format) + "\n"
            }
        }
        return out
    }
}

/// Entries of a table that continue each other.
private struct EntryRun {
    var first, count: Int
    var words: EntryWords
    var entry: Entry

    /// The entry `words` at `index` goes on where this run ends.
    func continues(_ entry: Entry, at index: Int, pageSize: UInt64) -> Bool {
        guard first + count == index else { return false }
        switch (self.entry, entry) {
        case (.sparse, .sparse), (.hidden, .hidden): return true
        case (.page(var page), .page(let next)):
            page.addr += UInt64(count) * pageSize
            return page == next
        default: return false
        }
    }

    func text(_ geometry: LevelGeometry, _ table: TableInfo, _ format: Format) -> String {
        let last = first + count - 1
        let index = count == 1 ? "[\(hex(first))]" : "[\(hex(first))..\(hex(last))]"
        let va = table.va + UInt64(first) << UInt64(geometry.shift)
        let bytes = UInt64(count) << UInt64(geometry.shift)
        return index.padded(16) + " \(hex(va)) + \(hex(bytes))".padded(30) + "  " + format.summary(words, at: table.level)
    }
}

extension TableInfo {
    /// All entries that are not empty.
    fileprivate func runs(_ geometry: LevelGeometry, _ format: Format) -> [EntryRun] {
        var runs: [EntryRun] = []
        for index in 0..<entries {
            let words = words(index, entryBytes: geometry.entryBytes)
            let entry = format.decode(words, at: level)
            guard entry != .invalid else { continue }
            if let run = runs.last, run.continues(entry, at: index, pageSize: 1 << UInt64(geometry.shift)) {
                runs[runs.count - 1].count += 1
            } else {
                runs.append(EntryRun(first: index, count: 1, words: words, entry: entry))
            }
        }
        return runs
    }
}
