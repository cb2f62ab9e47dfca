internal import GPUVM
internal import Glibc
internal import JSONLines
internal import NouveauDevice

// MARK: - Lines with memory

extension Replayer {
    private static let page: UInt64 = 4096

    /// Does what the client did before an EXEC: writes pages of an object.
    func write(_ pages: RecordedPages) throws(InputError) {
        guard let memory = try memory(of: pages) else { return }
        for (offset, content) in pages.pages {
            let page = try Self.page(at: offset, of: memory, pages.place)
            if case .bytes(let bytes) = content {
                page.copyBytes(from: bytes)
            } else {
                memset(page.baseAddress!, 0, page.count)
            }
        }
    }

    /// Compares the pages of an object that the device changed in the EXEC above.
    func check(_ pages: RecordedPages) throws(InputError) {
        settle()
        guard let memory = try memory(of: pages) else { return }
        var findings: [String] = []
        for case (let offset, .hash(let recorded)) in pages.pages {
            var hash = FNV1a()
            hash.add(UnsafeRawBufferPointer(try Self.page(at: offset, of: memory, pages.place)))
            guard hash.value != recorded else { continue }
            findings.append(
                "handle \(pages.handle), page at \(hexText(offset)): hash \(hexText(hash.value)), "
                    + "recorded \(hexText(recorded))")
        }
        report.pagesChecked += pages.pages.count
        if !findings.isEmpty { report.addPages(pages.place, findings) }
    }

    /// The memory of a line's object; `nil`: our device did not make it.
    private func memory(of pages: RecordedPages) throws(InputError) -> UnsafeMutableRawBufferPointer? {
        guard let file = files[pages.fd],
            let object = file.file.object(handle: try file.objects.find(pages.handle, pages.place))
        else {
            report.pagesSkipped += pages.pages.count
            return nil
        }
        return object.bytes
    }

    private static func page(
        at offset: UInt64, of memory: UnsafeMutableRawBufferPointer, _ place: Place
    ) throws(InputError) -> UnsafeMutableRawBufferPointer {
        guard offset < UInt64(memory.count) else {
            throw place.error("the page at \(hexText(offset)) is beyond the object's end")
        }
        return UnsafeMutableRawBufferPointer(rebasing: memory[Int(offset)..<Int(offset + page)])
    }
}

// MARK: - Words of pushes

extension Replayer {
    /// The pushes to make. Where the trace does not have the memory they are in, their words are put there, and those
    /// of which it has only a part are left out.
    func pushes(of exec: TraceCall.Exec, _ call: TraceCall, _ file: ReplayFile) -> [TraceCall.Push] {
        guard !recordsMemory, call.result == 0 else { return exec.pushes }
        let whole = exec.pushes.filter { $0.truncated == 0 }
        report.pushesSkipped += exec.pushes.count - whole.count
        for push in whole { write(push, call, file) }
        return whole
    }

    /// Puts a push's words where its address leads.
    private func write(_ push: TraceCall.Push, _ call: TraceCall, _ file: ReplayFile) {
        push.dwords.withUnsafeBytes { words in
            var done = 0
            while done < words.count {
                let va = push.va + UInt64(done)
                guard let memory = file.memory(at: va), !memory.isEmpty else {
                    return report.addAnswer(call, "nothing is mapped at \(hexText(va)), where a push is")
                }
                let part = words[done..<min(words.count, done + memory.count)]
                memory.copyBytes(from: part)
                done += part.count
            }
        }
    }
}

extension ReplayFile {
    /// The memory behind an address, up to the end of its mapping.
    fileprivate func memory(at va: UInt64) -> UnsafeMutableRawBufferPointer? {
        guard let uvmm else { return nil }
        return uvmm.withLock {
            guard let mapping = uvmm.vm.space.findFirst(va, 1), mapping.id != .kernel else { return nil }
            let start = Int(mapping.offset + (va - mapping.addr))
            return UnsafeMutableRawBufferPointer(
                rebasing: uvmm.object(behind: mapping).bytes[start..<(start + Int(mapping.end - va))])
        }
    }
}
