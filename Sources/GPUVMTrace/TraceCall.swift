public import JSONLines

/// One recorded call: what was asked, what the recorded device answered.
public struct TraceCall: Sendable {
    public var place: Place
    /// Position among the calls, from 0.
    public var n: Int
    /// Small number of the thread that called; 1 is the main thread.
    public var tid: Int
    /// The recorded number of the device file.
    public var fd: Int
    public var op: TraceOp
    /// The request word of an ioctl, else 0.
    public var request: UInt32
    public var arguments: Arguments
    /// 0, or the negative errno.
    public var result: Int32

    /// What the caller passed. Values that the device made (`made…`, points, first_signaled) are there when the call
    /// succeeded, else 0 or empty.
    public enum Arguments: Sendable {
        case version(nameLength: UInt32, dateLength: UInt32, descLength: UInt32)
        case getCap(UInt64)
        case getParam(UInt64)
        case nvif(NVIF)
        case channelAlloc(fbHandle: UInt32, ttHandle: UInt32, madeChannel: Int32, madeNotifier: UInt32)
        case channelFree(Int32)
        case vmInit(kernelAddr: UInt64, kernelSize: UInt64)
        case vmBind(VMBind)
        case exec(Exec)
        case gemNew(GEMNew)
        case gemInfo(handle: UInt32, mapHandle: UInt64)
        case gemClose(UInt32)
        case primeHandleToFD(handle: UInt32, flags: UInt32, madeFD: Int)
        case primeFDToHandle(fd: Int, madeHandle: UInt32)
        case syncobjCreate(flags: UInt32, madeHandle: UInt32)
        case syncobjDestroy(UInt32)
        case syncobjHandleToFD(handle: UInt32, fd: Int, flags: UInt32, point: UInt64, madeFD: Int)
        case syncobjFDToHandle(handle: UInt32, fd: Int, flags: UInt32, point: UInt64, madeHandle: UInt32)
        /// SYNCOBJ_WAIT has no points.
        case syncobjWait(SyncobjWait)
        /// RESET and SIGNAL.
        case syncobjArray([UInt32])
        case syncobjQuery(handles: [UInt32], flags: UInt32, points: [UInt64])
        case syncobjTimelineSignal(handles: [UInt32], points: [UInt64], flags: UInt32)
        case syncobjTransfer(SyncobjTransfer)
        case mmap(MMap)
        case close
    }

    public struct NVIF: Sendable {
        public enum Operation: Sendable {
            case nop
            /// `classes` is what the recorded device offers.
            case sclass(count: UInt8, classes: [UInt32])
            case new(route: UInt8, handle: UInt32, oclass: UInt32, data: [UInt8])
            case del
            case method(UInt8)
        }
        public var operation: Operation
        public var owner, route: UInt8
        /// The channel, where the route is 255.
        public var channel: Int32
        public var hasToken, hasObject: Bool
        /// Bytes of the whole argument.
        public var size: Int
    }

    public struct Sync: Sendable {
        public var flags: UInt32
        public var handle: UInt32
        public var value: UInt64
    }

    public struct BindOp: Sendable {
        public var isMap: Bool
        /// Bit 8 sparse, bits 7:0 the kind.
        public var flags: UInt32
        public var handle: UInt32
        public var addr, offset, range: UInt64

        public var isSparse: Bool { flags & 0x100 != 0 }
        /// The op names an object.
        public var usesObject: Bool { isMap && !isSparse }
        public var kind: Int { Int(flags & 0xff) }
    }

    public struct VMBind: Sendable {
        /// 1: asynchronous.
        public var flags: UInt32
        public var ops: [BindOp]
        public var waits, sigs: [Sync]
    }

    public struct Push: Sendable {
        public var va: UInt64
        /// Bytes.
        public var length: UInt32
        public var flags: UInt32
        /// The method stream at recording time, and how many of its dwords were left out.
        public var dwords: [UInt32]
        public var truncated: Int
    }

    public struct Exec: Sendable {
        public var channel: Int32
        public var pushes: [Push]
        public var waits, sigs: [Sync]
    }

    public struct GEMNew: Sendable {
        public var domain: UInt32
        public var size: UInt64
        public var align: UInt32
        public var tileMode, tileFlags, channelHint: UInt32
        public var madeHandle: UInt32
        public var madeMapHandle: UInt64
    }

    public struct SyncobjWait: Sendable {
        public var handles: [UInt32]
        public var points: [UInt64]
        public var timeout: Int64
        public var flags: UInt32
        public var firstSignaled: UInt32
    }

    public struct SyncobjTransfer: Sendable {
        public var source, destination: UInt32
        public var sourcePoint, destinationPoint: UInt64
        public var flags: UInt32
    }

    public struct MMap: Sendable {
        public var offset, length: UInt64
        public var prot, flags: Int
        /// The caller gave the address.
        public var fixed: Bool
    }
}
