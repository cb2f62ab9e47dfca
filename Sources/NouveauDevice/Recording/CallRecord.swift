internal import CNouveauUAPI
internal import KernelErrno
internal import NouveauUAPI

/// One ioctl on its way into the trace.
final class CallRecord {
    private let file: DeviceFile
    private let record: FileRecord
    private let request: Request
    private var isLocked = false
    private var command: Command?
    private var input: JSONText?
    private var output: JSONText?

    init(_ request: Request, _ file: DeviceFile, _ record: FileRecord) {
        self.request = request
        self.file = file
        self.record = record
    }

    /// The argument is there, and will now be looked at. What traces have no name for is none of ours.
    func begin(_ command: Command, _ argument: Argument) {
        guard command.traceName != nil, request.hasDRMType else { return }
        self.command = command
        record.writer.mutex.lock()
        input = try? argument.input(of: command, file, request)
        switch command {
        case .vmBind: record.beginBind()
        case .exec, .gemClose: record.noteClientPages(file)
        default: break
        }
        isLocked = !argument.mayWait(command)
        if !isLocked { record.writer.mutex.unlock() }
    }

    /// The argument is what it comes back as.
    func end(_ argument: Argument) {
        guard let command, input != nil else { return }
        output = argument.output(of: command, file)
    }

    /// The call returns.
    func finish(_ result: Int32) {
        guard let command else { return }
        if !isLocked { record.writer.mutex.lock() }
        defer { record.writer.mutex.unlock() }
        if let input, result != -KernelErrno.EFAULT.rawValue {
            record.writer.writeCall(command.traceName!, fd: record.fd) { line in
                line.hex("req", request.word)
                line.object("in", input)
                if result == 0, let output { line.object("out", output) }
                line.result(result)
            }
        }
        switch command {
        case .vmBind: record.endBind(file.uvmm)
        case .exec: record.endExec(file)
        default: break
        }
    }
}

extension Argument {
    /// Whether a call may wait for what other calls do.
    fileprivate func mayWait(_ command: Command) -> Bool {
        switch command {
        case .syncobjWait, .syncobjTimelineWait, .channelFree: true
        case .syncobjTransfer: load(nvu_syncobj_transfer.self).flags & NVU_SYNCOBJ_WAIT_FOR_SUBMIT != 0
        case .vmBind: load(nvu_vm_bind.self).flags & NVU_VM_BIND_RUN_ASYNC == 0
        default: false
        }
    }
}

extension Command {
    /// Its name in traces; `nil`: they have none for it.
    var traceName: StaticString? {
        switch self {
        case .version: "VERSION"
        case .getCap: "GET_CAP"
        case .getParam: "GETPARAM"
        case .nvif: "NVIF"
        case .channelAlloc: "CHANNEL_ALLOC"
        case .channelFree: "CHANNEL_FREE"
        case .vmInit: "VM_INIT"
        case .vmBind: "VM_BIND"
        case .exec: "EXEC"
        case .gemNew: "GEM_NEW"
        case .gemInfo: "GEM_INFO"
        case .gemClose: "GEM_CLOSE"
        case .primeHandleToFD: "PRIME_HANDLE_TO_FD"
        case .primeFDToHandle: "PRIME_FD_TO_HANDLE"
        case .syncobjCreate: "SYNCOBJ_CREATE"
        case .syncobjDestroy: "SYNCOBJ_DESTROY"
        case .syncobjHandleToFD: "SYNCOBJ_HANDLE_TO_FD"
        case .syncobjFDToHandle: "SYNCOBJ_FD_TO_HANDLE"
        case .syncobjWait: "SYNCOBJ_WAIT"
        case .syncobjTimelineWait: "SYNCOBJ_TIMELINE_WAIT"
        case .syncobjReset: "SYNCOBJ_RESET"
        case .syncobjSignal: "SYNCOBJ_SIGNAL"
        case .syncobjQuery: "SYNCOBJ_QUERY"
        case .syncobjTimelineSignal: "SYNCOBJ_TIMELINE_SIGNAL"
        case .syncobjTransfer: "SYNCOBJ_TRANSFER"
        default: nil
        }
    }
}
