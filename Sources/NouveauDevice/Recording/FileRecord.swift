internal import KernelErrno
internal import NouveauUAPI

/// What the trace needs to know of an open file. Guarded by the writer's mutex.
final class FileRecord: @unchecked Sendable {
    let writer: TraceWriter
    /// In the trace; `nil`: no line yet.
    private var number: Int?
    private var bindsUnderWay = 0
    /// Those that returned.
    private var binds = 0
    private let shadow: MemoryShadow?

    /// So many VM_BINDs lie between two `vm_state` lines.
    private static let stateInterval = 16

    init(_ writer: TraceWriter) {
        self.writer = writer
        shadow = writer.recordsMemory ? MemoryShadow() : nil
    }

    /// Its number in the trace; from now on it has one.
    var fd: Int {
        if number == nil { number = writer.takeNumber() }
        return number!
    }

    // MARK: VM_BIND

    func beginBind() { bindsUnderWay += 1 }

    /// After a VM_BIND's line. While others are under way nobody can say which of them the state has.
    func endBind(_ uvmm: UVMM?) {
        bindsUnderWay -= 1
        binds += 1
        guard binds % Self.stateInterval == 0, bindsUnderWay == 0, let uvmm else { return }
        writeState(uvmm, whole: false)
    }

    private func writeState(_ uvmm: UVMM, whole: Bool) {
        let state = CanonicalState(SpaceSnapshot(uvmm))
        writer.file.write(
            JSONText { line in
                line.text("op", "vm_state")
                line.number("fd", fd)
                line.number("after", writer.file.next - 1)
                line.number("maps", state.maps.count)
                line.number("sparse", state.sparse.count)
                line.hex("hash", state.hash)
                if whole { line.lists(of: state) }
            })
    }

    // MARK: Memory

    /// Writes down what the client wrote to its buffers: before an EXEC, and before it lets a handle go.
    func noteClientPages(_ file: DeviceFile) { writePages(file, "mem") { $0.content($1) } }

    /// After an EXEC's line: waits for its end and writes down what the device wrote.
    func endExec(_ file: DeviceFile) {
        guard shadow != nil, file.settle() else { return }
        writePages(file, "mem_after") { $0.hash(of: $1) }
    }

    private func writePages(
        _ file: DeviceFile, _ op: StaticString, _ body: (inout JSONText, UnsafeRawBufferPointer) -> Void
    ) {
        guard let shadow else { return }
        for (handle, pages) in shadow.changes(file) {
            writer.file.writeNumbered { n in
                JSONText { line in
                    line.number("n", n)
                    line.number("fd", fd)
                    line.text("op", op)
                    line.number("handle", handle)
                    line.array("pages", pages) { list, page in
                        list.array { entry in
                            entry.append(hex: UInt64(page.offset))
                            body(&entry, page.bytes)
                        }
                    }
                }
            }
        }
    }

    // MARK: Closing

    func willClose(_ uvmm: UVMM?) {
        writer.mutex.lock()
        defer { writer.mutex.unlock() }
        guard number != nil, bindsUnderWay == 0, let uvmm else { return }
        writeState(uvmm, whole: true)
    }

    func didClose() {
        writer.mutex.lock()
        defer { writer.mutex.unlock() }
        guard let number else { return }
        writer.writeCall("close", fd: number) { _ in }
        writer.giveNumber(number)
        self.number = nil
    }

    // MARK: mmap

    func mmap(_ result: Int32, offset: UInt64, length: UInt64, writable: Bool, shared: Bool) {
        writer.mutex.lock()
        defer { writer.mutex.unlock() }
        guard let number else { return }
        writer.writeCall("mmap", fd: number) { line in
            line.object(
                "in",
                JSONText { call in
                    call.hex("off", offset)
                    call.hex("len", length)
                    // PROT_READ, PROT_WRITE; MAP_SHARED, MAP_PRIVATE.
                    call.number("prot", writable ? 3 : 1)
                    call.number("flags", shared ? 1 : 2)
                    call.number("fixed", 0)
                })
            line.result(result)
        }
    }
}

extension JSONText {
    /// The extents behind a state's hash.
    fileprivate mutating func lists(of state: CanonicalState) {
        array("map_list", state.maps) { list, map in
            list.array { entry in
                entry.append(hex: map.start)
                entry.append(hex: map.end)
                entry.append(decimal: Int64(map.handle))
                entry.append(hex: map.offset)
                entry.append(decimal: Int64(map.flags))
            }
        }
        array("sparse_list", state.sparse) { list, region in
            list.array { entry in
                entry.append(hex: region.lowerBound)
                entry.append(hex: region.upperBound)
            }
        }
    }

    /// A page: its bytes, or that they are all zero.
    fileprivate mutating func content(_ page: UnsafeRawBufferPointer) {
        if page.allSatisfy({ $0 == 0 }) { append("z") } else { append(data: page) }
    }

    fileprivate mutating func hash(of page: UnsafeRawBufferPointer) {
        var hash = FNV1a()
        hash.add(page)
        append(hex: hash.value)
    }
}
