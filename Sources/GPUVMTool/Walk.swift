internal import ArgumentParser
internal import GPUVMTrace
internal import JSONLines
internal import NVMMU
internal import NouveauDevice

struct Walk: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Walks the page tables of a replayed session for one address, level by level.",
        discussion: """
            Shows every bit of every entry on the way, and whose memory it is. Without --at, after the last line at \
            which something was mapped there. Status 1: nothing ever was.
            """)

    @Argument(help: "A trace.")
    var trace: String

    @Argument(help: "The GPU address.")
    var va: Number

    @OptionGroup var moment: MomentOptions
    @OptionGroup var target: TargetOptions

    func run() throws {
        try failingOnBadInput {
            let trace = try Trace(path: trace)
            try moment.validate(for: trace)
            let found = try moment.at == nil ? Survey(trace, target).lastUse(of: va.value, moment.fd) : nil
            let line = try moment.at ?? found?.line ?? Survey(trace, target).busiest(moment.fd).line
            let replayer = Replayer(trace, on: try target.makeDevice(for: trace))
            let format = replayer.device.chip.format
            guard va.value >> UInt64(format.vaBits) == 0 else {
                throw ValidationError(
                    "\(hex(va.value)) is outside the \(format.vaBits)-bit address space of \(replayer.device.chip.name)")
            }
            try replayer.run(through: line)
            guard let file = replayer.file(moment.fd ?? found?.fd, holding: va.value) else {
                throw moment.noSpace(at: line)
            }
            print(WalkText(va: va.value, line: line, file: file, replayer: replayer).lines.joined(separator: "\n"))
            if moment.at == nil, found == nil {
                print("\nNothing was ever mapped there; this is after line \(line), with most mappings.")
                throw ExitCode(1)
            }
        }
    }
}

extension Replayer {
    /// The named file, or else the one where something is mapped at an address, else the one with most mappings.
    fileprivate func file(_ fd: Int?, holding va: UInt64) -> ReplayFile? {
        let open = openFiles(fd)
        return open.first { $0.uvmm.map { SpaceSnapshot($0).extent(at: va) != nil } ?? false }
            ?? open.max { ($0.uvmm?.vm.space.count ?? 0) < ($1.uvmm?.vm.space.count ?? 0) }
    }
}

/// A walk as text.
private struct WalkText {
    let va: UInt64
    let line: Int
    let file: ReplayFile
    let replayer: Replayer
    private let style = Style.standardOutput

    var lines: [String] {
        guard let uvmm = file.uvmm else { return [] }
        let walk = uvmm.tables.walk(va)
        let format = uvmm.tables.format
        let chip = replayer.device.chip
        var out = [
            style.bold(hex(va)) + " in file \(file.fd) after line \(line)",
            style.faint("\(chip.name) (\(hex(chip.chipset))), page table format \(format.name)"),
        ]
        for step in walk.steps {
            out += [""] + lines(of: step, format)
        }
        out += ["", style.bold(verdict(walk, format))]
        out += ownerLines(SpaceSnapshot(uvmm))
        return out
    }

    private func lines(of step: NVMMU.Walk.Step, _ format: Format) -> [String] {
        let bytes = format.levels.first { $0.level == step.level }?.entryBytes ?? 8
        return [
            style.blue("\(step.level.name)[\(hex(step.index))]") + " of the table at \(step.aperture) \(hex(step.table)): "
                + step.words.text(bytes),
            "  " + format.summary(step.words, at: step.level),
        ] + format.fieldLines(step.words, at: step.level).map { "    " + $0 }
    }

    private func verdict(_ walk: NVMMU.Walk, _ format: Format) -> String {
        let page = size(1 << UInt64(walk.shift))
        switch walk.result {
        case .page(let pa, let pte):
            var at = pte
            at.addr = pa
            return "= \(format.pageText(at)), in a page of \(page)"
        case .sparse: return "= sparse (\(page) by this entry): reads give zero, writes vanish"
        case .fault(let fault): return "= not mapped: an access faults with \(fault.name) at level \(walk.level.name)"
        }
    }

    // MARK: Whose it is

    private func ownerLines(_ snapshot: SpaceSnapshot) -> [String] {
        var out: [String] = []
        if let extent = snapshot.extent(at: va) {
            let object = extent.object
            out.append(
                "  \(name(extent)), byte \(hex(va - extent.addr + extent.offset)) of \(hex(object.size)) in "
                    + (object.placement.target == .vram ? "VRAM" : "host memory"))
            out.append("  mapping \(range(extent.addr, extent.end)), from \(hex(extent.offset)) of the object on")
            out += bindLines(extent)
        } else {
            out.append("  no object is mapped here")
            out += neighbourLines(snapshot)
        }
        if let region = snapshot.regions.first(where: { $0.contains(va) }) {
            out.append("  in the sparse region \(range(region.lowerBound, region.upperBound))")
        }
        return out
    }

    private func bindLines(_ extent: SpaceSnapshot.Extent) -> [String] {
        guard let line = file.line(of: extent) else { return [] }
        var out = ["  made by the VM_BIND in line \(line)"]
        for case .call(let call) in replayer.trace.lines where call.place.line == line {
            guard case .vmBind(let bind) = call.arguments else { continue }
            let mode = bind.flags & 1 == 0 ? "synchronous" : "asynchronous"
            out[0] += " (\(mode), thread \(call.tid), \(count(bind.ops.count, "operation")))"
            if let op = bind.ops.last(where: { $0.usesObject && $0.addr <= va && va - $0.addr < $0.range }) {
                out.append("    " + op.text)
            }
        }
        return out
    }

    private func neighbourLines(_ snapshot: SpaceSnapshot) -> [String] {
        let below = snapshot.extents.last { $0.end <= va }
        let above = snapshot.extents.first { $0.addr > va }
        return [
            below.map { "  below: \(range($0.addr, $0.end)), \(name($0)), ends \(hex(va - $0.end)) before" },
            above.map { "  above: \(range($0.addr, $0.end)), \(name($0)), starts \(hex($0.addr - va)) after" },
        ].compactMap { $0 }
    }

    private func name(_ extent: SpaceSnapshot.Extent) -> String {
        "handle \(file.handle(of: extent)) (object \(extent.object.id))"
    }

    private func range(_ start: UInt64, _ end: UInt64) -> String {
        "\(hex(start)) + \(hex(end - start)) (\(size(end - start)))"
    }
}
