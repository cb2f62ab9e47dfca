/// The calls a trace may hold, by their names there.
public enum TraceOp: String, CaseIterable, Hashable, Sendable {
    case version = "VERSION"
    case getCap = "GET_CAP"
    case getParam = "GETPARAM"
    case nvif = "NVIF"
    case channelAlloc = "CHANNEL_ALLOC"
    case channelFree = "CHANNEL_FREE"
    case vmInit = "VM_INIT"
    case vmBind = "VM_BIND"
    case exec = "EXEC"
    case gemNew = "GEM_NEW"
    case gemInfo = "GEM_INFO"
    case gemClose = "GEM_CLOSE"
    case primeHandleToFD = "PRIME_HANDLE_TO_FD"
    case primeFDToHandle = "PRIME_FD_TO_HANDLE"
    case syncobjCreate = "SYNCOBJ_CREATE"
    case syncobjDestroy = "SYNCOBJ_DESTROY"
    case syncobjHandleToFD = "SYNCOBJ_HANDLE_TO_FD"
    case syncobjFDToHandle = "SYNCOBJ_FD_TO_HANDLE"
    case syncobjWait = "SYNCOBJ_WAIT"
    case syncobjTimelineWait = "SYNCOBJ_TIMELINE_WAIT"
    case syncobjReset = "SYNCOBJ_RESET"
    case syncobjSignal = "SYNCOBJ_SIGNAL"
    case syncobjQuery = "SYNCOBJ_QUERY"
    case syncobjTimelineSignal = "SYNCOBJ_TIMELINE_SIGNAL"
    case syncobjTransfer = "SYNCOBJ_TRANSFER"
    case mmap
    case close

    /// The number in the request word; `nil`: not an ioctl.
    public var number: UInt32? {
        switch self {
        case .version: 0x00
        case .gemClose: 0x09
        case .getCap: 0x0c
        case .primeHandleToFD: 0x2d
        case .primeFDToHandle: 0x2e
        case .getParam: 0x40
        case .channelAlloc: 0x42
        case .channelFree: 0x43
        case .nvif: 0x47
        case .vmInit: 0x50
        case .vmBind: 0x51
        case .exec: 0x52
        case .gemNew: 0x80
        case .gemInfo: 0x84
        case .syncobjCreate: 0xbf
        case .syncobjDestroy: 0xc0
        case .syncobjHandleToFD: 0xc1
        case .syncobjFDToHandle: 0xc2
        case .syncobjWait: 0xc3
        case .syncobjReset: 0xc4
        case .syncobjSignal: 0xc5
        case .syncobjTimelineWait: 0xca
        case .syncobjQuery: 0xcb
        case .syncobjTransfer: 0xcc
        case .syncobjTimelineSignal: 0xcd
        case .mmap, .close: nil
        }
    }
}
