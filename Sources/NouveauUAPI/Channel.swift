internal import CNouveauUAPI
package import KernelErrno

/// GETPARAM. The value only goes out where the parameter is known.
package struct GetParam {
    package enum Name: UInt64, Sendable {
        case pciVendor = 3
        case pciDevice = 4
        case busType = 5
        case fbSize = 8
        case agpSize = 9
        case chipsetID = 11
        case vmVRAMBase = 12
        case graphUnits = 13
        case ptimerTime = 14
        case hasBOUsage = 15
        case hasPageflip = 16
        case execPushMax = 17
        case vramBARSize = 18
        case vramUsed = 19
        case hasVMATilemode = 20
    }

    /// `nil`: unknown.
    package let name: Name?

    package init(_ a: Argument) {
        name = Name(rawValue: a.load(nvu_getparam.self).param)
    }

    package static func store(_ value: UInt64, in a: Argument) {
        a.store(value, at: 8)
    }
}

/// CHANNEL_ALLOC.
package struct ChannelAlloc {
    package enum Engine: Sendable {
        case gr, copy
        /// An engine there are no run lists for since Maxwell: video decoding and the like.
        case video
    }

    private var c: nvu_channel_alloc

    package init(_ a: Argument) {
        c = a.load()
    }

    /// Which engine's channel is asked for; the handles that said so are 0 from then on, for the client too.
    /// - Parameter hasRunlists: from Kepler on, where there is a choice.
    /// - Throws: `ENOSYS`: no such engine; `EINVAL`: a context DMA handle of ~0.
    package mutating func takeEngine(hasRunlists: Bool, in a: Argument) throws(KernelErrno) -> Engine {
        var engine = Engine.gr
        if hasRunlists, c.fb_ctxdma_handle == ~0 {
            engine =
                switch c.tt_ctxdma_handle {
                case NVU_FIFO_ENGINE_GR: .gr
                case NVU_FIFO_ENGINE_VP, NVU_FIFO_ENGINE_PPP, NVU_FIFO_ENGINE_BSP: .video
                case NVU_FIFO_ENGINE_CE: .copy
                default: throw .ENOSYS
                }
            c.fb_ctxdma_handle = 0
            c.tt_ctxdma_handle = 0
            a.store(c)
        }
        guard c.fb_ctxdma_handle != ~0, c.tt_ctxdma_handle != ~0 else { throw .EINVAL }
        return engine
    }

    package mutating func store(channel: Int32, notifierHandle: UInt32, in a: Argument) {
        c.channel = channel
        c.pushbuf_domains = NVU_GEM_DOMAIN_VRAM | NVU_GEM_DOMAIN_GART
        c.notifier_handle = notifierHandle
        c.nr_subchan = 0
        a.store(c)
    }
}

/// CHANNEL_FREE's channel; also what GROBJ_ALLOC and GPUOBJ_FREE begin with.
package func channelID(_ a: Argument) -> Int32 {
    a.load()
}

/// GROBJ_ALLOC and GPUOBJ_FREE.
package struct Grobj {
    package let channel: Int32
    package let handle: UInt32
    /// Of GROBJ_ALLOC; 0 for GPUOBJ_FREE.
    package let oclass: Int32

    package init(alloc a: Argument) {
        let c = a.load(nvu_grobj_alloc.self)
        channel = c.channel
        handle = c.handle
        oclass = c.oclass
    }

    package init(free a: Argument) {
        let c = a.load(nvu_gpuobj_free.self)
        channel = c.channel
        handle = c.handle
        oclass = 0
    }
}
