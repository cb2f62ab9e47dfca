internal import CNouveauUAPI

/// The ioctls of a nouveau device, by their number: the number alone selects the handler.
package enum Command: UInt8, CaseIterable, Sendable {
    case version = 0x00
    case getUnique = 0x01
    case getMagic = 0x02
    case gemClose = 0x09
    case gemFlink = 0x0a
    case gemOpen = 0x0b
    case getCap = 0x0c
    case setClientCap = 0x0d
    case authMagic = 0x11
    case primeHandleToFD = 0x2d
    case primeFDToHandle = 0x2e

    case getParam = 0x40
    case setParam = 0x41
    case channelAlloc = 0x42
    case channelFree = 0x43
    case grobjAlloc = 0x44
    case notifierobjAlloc = 0x45
    case gpuobjFree = 0x46
    case nvif = 0x47
    case svmInit = 0x48
    case svmBind = 0x49
    case vmInit = 0x50
    case vmBind = 0x51
    case exec = 0x52
    case getZcullInfo = 0x53
    case gemNew = 0x80
    case gemPushbuf = 0x81
    case gemCPUPrep = 0x82
    case gemCPUFini = 0x83
    case gemInfo = 0x84

    case syncobjCreate = 0xbf
    case syncobjDestroy = 0xc0
    case syncobjHandleToFD = 0xc1
    case syncobjFDToHandle = 0xc2
    case syncobjWait = 0xc3
    case syncobjReset = 0xc4
    case syncobjSignal = 0xc5
    case syncobjTimelineWait = 0xca
    case syncobjQuery = 0xcb
    case syncobjTransfer = 0xcc
    case syncobjTimelineSignal = 0xcd
    case syncobjEventfd = 0xcf
    case setClientName = 0xd1
    case gemChangeHandle = 0xd2

    /// The kernel's definition, with its size and direction.
    package var definition: Request { Request(word: Self.words[Int(rawValue)]) }

    /// Open to render nodes; the rest answers `EACCES` there.
    package var isRenderAllowed: Bool {
        switch self {
        case .getUnique, .getMagic, .gemFlink, .gemOpen, .setClientCap, .authMagic, .setParam: false
        default: true
        }
    }

    /// By number.
    private static let words: [UInt32] = {
        let all: [UInt32] = [
            NVU_VERSION, NVU_GET_UNIQUE, NVU_GET_MAGIC, NVU_GEM_CLOSE, NVU_GEM_FLINK, NVU_GEM_OPEN, NVU_GET_CAP,
            NVU_SET_CLIENT_CAP, NVU_AUTH_MAGIC, NVU_PRIME_HANDLE_TO_FD, NVU_PRIME_FD_TO_HANDLE, NVU_GETPARAM,
            NVU_SETPARAM, NVU_CHANNEL_ALLOC, NVU_CHANNEL_FREE, NVU_GROBJ_ALLOC, NVU_NOTIFIEROBJ_ALLOC,
            NVU_GPUOBJ_FREE, NVU_NVIF, NVU_SVM_INIT, NVU_SVM_BIND, NVU_VM_INIT, NVU_VM_BIND, NVU_EXEC,
            NVU_GET_ZCULL_INFO, NVU_GEM_NEW, NVU_GEM_PUSHBUF, NVU_GEM_CPU_PREP, NVU_GEM_CPU_FINI, NVU_GEM_INFO,
            NVU_SYNCOBJ_CREATE, NVU_SYNCOBJ_DESTROY, NVU_SYNCOBJ_HANDLE_TO_FD, NVU_SYNCOBJ_FD_TO_HANDLE,
            NVU_SYNCOBJ_WAIT, NVU_SYNCOBJ_RESET, NVU_SYNCOBJ_SIGNAL, NVU_SYNCOBJ_TIMELINE_WAIT, NVU_SYNCOBJ_QUERY,
            NVU_SYNCOBJ_TRANSFER, NVU_SYNCOBJ_TIMELINE_SIGNAL, NVU_SYNCOBJ_EVENTFD, NVU_SET_CLIENT_NAME,
            NVU_GEM_CHANGE_HANDLE,
        ]
        var words = [UInt32](repeating: 0, count: 256)
        for word in all { words[Int(word & 0xff)] = word }
        return words
    }()
}

/// A request word: direction, size, type and number of an ioctl.
package struct Request: Sendable {
    package let word: UInt32

    package init(word: UInt32) {
        self.word = word
    }

    package var number: UInt8 { UInt8(truncatingIfNeeded: word) }
    package var hasDRMType: Bool { (word >> 8) & 0xff == NVU_IOC_TYPE }
    package var size: Int { Int((word >> 16) & 0x3fff) }
    /// Bytes that go in, and that come out.
    package var sizeIn: Int { (word >> 30) & NVU_IOC_WRITE != 0 ? size : 0 }
    package var sizeOut: Int { (word >> 30) & NVU_IOC_READ != 0 ? size : 0 }
}
