internal import DRMLock
internal import Glibc
internal import KernelErrno
internal import NouveauUAPI

/// Writes what a device's clients ask for, and what they are answered, as a trace that `gpuvm replay` runs.
///
/// The order of the lines is that in which the device performed the calls: each is performed and written under one mutex.
/// Those that may wait for others are performed without it, and written when they return; so is CHANNEL_FREE, VM_BIND
/// where it is synchronous, and closing.
///
/// Left out is what a line cannot say: calls that traces have no name for, those that ended with `EFAULT`, padding that is
/// not zero.
///
/// Locks: its mutex is the outermost; it guards all that is here and the files' records.
final class TraceWriter: @unchecked Sendable {
    let file: TraceFile
    let mutex: SleepingMutex
    private static let lockClass = LockClass("trace")
    /// Pages of buffers are recorded too.
    let recordsMemory: Bool
    private var numbers: Set<Int> = []
    private var threads: [pthread_t: Int] = [:]

    init(
        _ path: String, chipset: Int, gate: Gate, options: RecordingOptions
    ) throws(RecordingError) {
        file = try TraceFile(path: path, complain: options.complain)
        mutex = SleepingMutex(Self.lockClass, gate: gate)
        recordsMemory = options.memory
        file.write(
            JSONText { line in
                line.text("op", "header")
                line.number("format", 1)
                line.text("driver", options.driver)
                line.hex("chipset", chipset)
                line.text("program", options.program)
                line.text("device", "gpuvm")
            })
    }

    // The rest with the mutex.

    /// The small number of the calling thread, from 1.
    private var thread: Int {
        let me = pthread_self()
        if let known = threads[me] { return known }
        threads[me] = threads.count + 1
        return threads.count
    }

    /// The lowest number that no open file has; below are standard input, output and error.
    func takeNumber() -> Int {
        let number = (3...).first { !numbers.contains($0) }!
        numbers.insert(number)
        return number
    }

    func giveNumber(_ number: Int) { numbers.remove(number) }

    /// A call's line: what all have in common, and what `fields` adds.
    func writeCall(_ op: StaticString, fd: Int, _ fields: (inout JSONText) -> Void) {
        let thread = thread
        file.writeNumbered { n in
            JSONText { line in
                line.number("n", n)
                line.number("tid", thread)
                line.number("fd", fd)
                line.text("op", op)
                fields(&line)
            }
        }
    }
}

extension JSONText {
    /// How a call ended.
    mutating func result(_ result: Int32) {
        number("ret", result == 0 ? 0 : -1)
        if result != 0 { number("errno", -result) }
    }
}
