import CNouveauUAPI

/// What a word of a struct stands for, so that a generator can choose values that mean something.
enum Field {
    /// Of a buffer, of a syncobj; a descriptor; a channel's number.
    case handle, syncobj, descriptor, channel
    /// A GPU address, a length of GPU addresses, an offset into a buffer, the size of a buffer.
    case address, length, offset, size
    /// A moment of the device's clock.
    case moment
    case below(UInt64), oneOf([UInt64])
    /// The address of an array of these, whose count is to be written at that offset.
    case array(Shape, countAt: Int)
}

/// A struct of the UAPI: its fields by offset and width. What is not named is 0, until it is mutated.
struct Shape {
    let size: Int
    var fields: [(at: Int, width: Int, is: Field)] = []
    var isBindOp = false
}

extension Shape {
    private static let byte = Shape(size: 1, fields: [(0, 1, .below(128))])
    private static let syncobj = Shape(size: 4, fields: [(0, 4, .syncobj)])
    private static let point = Shape(size: 8, fields: [(0, 8, .below(20))])
    private static let sync = Shape(size: 16, fields: [(0, 4, .oneOf([0, 1])), (4, 4, .syncobj), (8, 8, .below(20))])
    private static let push = Shape(size: 16, fields: [(0, 8, .address), (8, 4, .below(2000)), (12, 4, .below(2))])
    private static let bindOp = Shape(
        size: 40,
        fields: [
            (0, 4, .oneOf([0, 0, 0, 1, 1, 2, 3])), (4, 4, .oneOf([0, 0, 0, 0, 0x100, 6, 0xdb])), (8, 4, .handle),
            (16, 8, .address), (24, 8, .offset), (32, 8, .length),
        ], isBindOp: true)
    private static let gemInfo: [(Int, Int, Field)] = [
        (4, 4, .oneOf([2, 4, 6, 0x22, 0x24, 0, 1])), (8, 8, .size), (32, 4, .below(4)), (36, 4, .oneOf([0, 8, 0x600, 0xdb00])),
    ]
    private static let nvifHeader: [(Int, Int, Field)] = [
        (1, 1, .below(5)), (7, 1, .oneOf([0, 0xff])), (8, 8, .channel), (16, 8, .below(3)),
    ]

    /// All requests, with those of older clients; the likelier the more often.
    static let requests: [(word: UInt32, shape: Shape)] = [
        (NVU_VM_INIT, Shape(size: 16, fields: [(0, 8, .oneOf([1 << 39, 1 << 30])), (8, 8, .oneOf([1 << 38, 1 << 20]))])),
    ] + Array(repeating: (NVU_VM_BIND, bind), count: 12) + Array(repeating: (NVU_EXEC, exec), count: 5)
        + Array(repeating: (NVU_GEM_NEW, Shape(size: 48, fields: gemInfo + [(44, 4, .oneOf([0, 1, 4096, 5000]))])), count: 4)
        + buffers + channels + device + syncobjs

    private static let bind = Shape(
        size: 40,
        fields: [
            (4, 4, .oneOf([0, 1, 1, 1, 1])), (16, 8, .array(sync, countAt: 8)), (24, 8, .array(sync, countAt: 12)),
            (32, 8, .array(bindOp, countAt: 0)),
        ])
    private static let exec = Shape(
        size: 40,
        fields: [
            (0, 4, .channel), (16, 8, .array(sync, countAt: 8)), (24, 8, .array(sync, countAt: 12)),
            (32, 8, .array(push, countAt: 4)),
        ])

    private static let buffers: [(UInt32, Shape)] = [
        (NVU_GEM_INFO, Shape(size: 40, fields: [(0, 4, .handle)])),
        (NVU_GEM_CLOSE, Shape(size: 8, fields: [(0, 4, .handle)])),
        (NVU_GEM_CPU_PREP, Shape(size: 8, fields: [(0, 4, .handle), (4, 4, .below(8))])),
        (NVU_GEM_CPU_FINI, Shape(size: 4, fields: [(0, 4, .handle)])),
        (NVU_GEM_PUSHBUF, Shape(size: 64, fields: [(0, 4, .channel), (4, 4, .below(3)), (16, 4, .below(2)), (20, 4, .below(2))])),
        (NVU_GEM_FLINK, Shape(size: 8)), (NVU_GEM_OPEN, Shape(size: 16)), (NVU_GEM_CHANGE_HANDLE, Shape(size: 8)),
        (NVU_PRIME_HANDLE_TO_FD, Shape(size: 12, fields: [(0, 4, .handle), (4, 4, .oneOf([0, 2, 0x80000]))])),
        (NVU_PRIME_FD_TO_HANDLE, Shape(size: 12, fields: [(8, 4, .descriptor)])),
    ]

    private static let channels: [(UInt32, Shape)] = [
        (NVU_CHANNEL_ALLOC, Shape(size: 88)),
        (NVU_CHANNEL_ALLOC, Shape(size: 88, fields: [(0, 4, .oneOf([0xffff_ffff])), (4, 4, .oneOf([1, 0x30, 2]))])),
        (NVU_CHANNEL_FREE, Shape(size: 4, fields: [(0, 4, .channel)])),
        (NVU_GROBJ_ALLOC, Shape(size: 12, fields: [(0, 4, .channel), (4, 4, .below(4)), (8, 4, .oneOf([0xc597, 0xc5b5, 0xb06f]))])),
        (NVU_NOTIFIEROBJ_ALLOC, Shape(size: 16, fields: [(0, 4, .channel)])),
        (NVU_GPUOBJ_FREE, Shape(size: 8, fields: [(0, 4, .channel), (4, 4, .below(4))])),
        (nvif(size: 24), Shape(size: 24, fields: nvifHeader)),
        (nvif(size: 56), Shape(size: 56, fields: nvifHeader + [(32, 8, .below(3)), (40, 8, .below(3)), (52, 4, .oneOf([0x80, 0xc597, 0xc5b5]))])),
        (nvif(size: 32 + 8 * 16), Shape(size: 32 + 8 * 16, fields: nvifHeader + [(25, 1, .below(17))])),
        (nvif(size: 32 + 104), Shape(size: 32 + 104, fields: nvifHeader)),
    ]

    private static func nvif(size: UInt32) -> UInt32 { NVU_NVIF | size << 16 }

    private static let device: [(UInt32, Shape)] = [
        (NVU_VERSION, Shape(size: 64, fields: [(24, 8, .array(byte, countAt: 16)), (40, 8, .array(byte, countAt: 32)), (56, 8, .array(byte, countAt: 48))])),
        (NVU_GET_CAP, Shape(size: 16, fields: [(0, 8, .below(0x17))])),
        (NVU_GETPARAM, Shape(size: 16, fields: [(0, 8, .below(24))])),
        (NVU_SET_CLIENT_NAME, Shape(size: 16, fields: [(8, 8, .array(byte, countAt: 0))])),
        (NVU_SETPARAM, Shape(size: 16)), (NVU_GET_ZCULL_INFO, Shape(size: 48)), (NVU_SVM_INIT, Shape(size: 16)),
        (NVU_SVM_BIND, Shape(size: 64)), (NVU_GET_UNIQUE, Shape(size: 16)), (NVU_GET_MAGIC, Shape(size: 4)),
        (NVU_SET_CLIENT_CAP, Shape(size: 16)), (NVU_AUTH_MAGIC, Shape(size: 4)),
    ]

    private static let syncobjs: [(UInt32, Shape)] = [
        (NVU_SYNCOBJ_CREATE, Shape(size: 8, fields: [(4, 4, .below(2))])),
        (NVU_SYNCOBJ_CREATE, Shape(size: 8)),
        (NVU_SYNCOBJ_DESTROY, Shape(size: 8, fields: [(0, 4, .syncobj)])),
        (NVU_SYNCOBJ_HANDLE_TO_FD, Shape(size: 24, fields: [(0, 4, .syncobj), (4, 4, .below(4)), (16, 8, .oneOf([0, 0, 3]))])),
        (NVU_SYNCOBJ_FD_TO_HANDLE, Shape(size: 24, fields: [(0, 4, .syncobj), (4, 4, .below(4)), (8, 4, .descriptor), (16, 8, .oneOf([0, 0, 3]))])),
        (NVU_SYNCOBJ_WAIT, Shape(size: 40, fields: [(0, 8, .array(syncobj, countAt: 16)), (8, 8, .moment), (20, 4, .oneOf([0, 1, 2, 3, 8]))])),
        (0xc020_64c3, Shape(size: 32, fields: [(0, 8, .array(syncobj, countAt: 16)), (8, 8, .moment), (20, 4, .below(4))])),
        (NVU_SYNCOBJ_TIMELINE_WAIT, timelineWait(size: 48)), (0xc028_64ca, timelineWait(size: 40)),
        (NVU_SYNCOBJ_RESET, Shape(size: 16, fields: [(0, 8, .array(syncobj, countAt: 8))])),
        (NVU_SYNCOBJ_SIGNAL, Shape(size: 16, fields: [(0, 8, .array(syncobj, countAt: 8))])),
        (NVU_SYNCOBJ_QUERY, points), (NVU_SYNCOBJ_TIMELINE_SIGNAL, points),
        (NVU_SYNCOBJ_TRANSFER, Shape(size: 32, fields: [(0, 4, .syncobj), (4, 4, .syncobj), (8, 8, .below(4)), (16, 8, .below(20)), (24, 4, .oneOf([0, 2]))])),
        (NVU_SYNCOBJ_EVENTFD, Shape(size: 24, fields: [(0, 4, .syncobj), (4, 4, .oneOf([0, 4])), (8, 8, .below(20)), (16, 4, .descriptor)])),
    ]

    private static func timelineWait(size: Int) -> Shape {
        Shape(
            size: size,
            fields: [
                (8, 8, .array(point, countAt: 24)), (0, 8, .array(syncobj, countAt: 24)), (16, 8, .moment),
                (28, 4, .below(16)),
            ])
    }

    private static let points = Shape(
        size: 24, fields: [(8, 8, .array(point, countAt: 16)), (0, 8, .array(syncobj, countAt: 16)), (20, 4, .oneOf([0, 0, 1]))])

    /// Of descriptors.
    static let descriptorRequests: [(word: UInt32, shape: Shape)] = [
        (NVU_SYNC_MERGE, Shape(size: 48, fields: [(0, 4, .below(256)), (32, 4, .descriptor)])),
        (NVU_SYNC_FILE_INFO, Shape(size: 56, fields: [(48, 8, .array(Shape(size: 80), countAt: 40))])),
        (NVU_SYNC_SET_DEADLINE, Shape(size: 16, fields: [(0, 8, .moment)])),
        (NVU_DMA_BUF_SYNC, Shape(size: 8, fields: [(0, 8, .below(8))])),
        (NVU_DMA_BUF_EXPORT_SYNC_FILE, Shape(size: 8, fields: [(0, 4, .below(4))])),
        (NVU_DMA_BUF_IMPORT_SYNC_FILE, Shape(size: 8, fields: [(0, 4, .below(4)), (4, 4, .descriptor)])),
    ]
}
