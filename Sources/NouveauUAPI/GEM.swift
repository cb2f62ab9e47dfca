internal import CNouveauUAPI
package import KernelErrno

/// Where a buffer may live and how it is used; GEM_NEW's and GEM_INFO's `domain`.
package struct Domain: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    package static let cpu = Domain(rawValue: NVU_GEM_DOMAIN_CPU)
    package static let vram = Domain(rawValue: NVU_GEM_DOMAIN_VRAM)
    package static let gart = Domain(rawValue: NVU_GEM_DOMAIN_GART)
    package static let noShare = Domain(rawValue: NVU_GEM_DOMAIN_NO_SHARE)
}

/// What GEM_NEW and GEM_INFO say of a buffer.
package struct GEMDescription {
    package var handle: UInt32
    package var domain: Domain
    package var size, offset, mapHandle: UInt64
    package var tileMode, tileFlags: UInt32

    package init(
        handle: UInt32, domain: Domain, size: UInt64, offset: UInt64, mapHandle: UInt64, tileMode: UInt32,
        tileFlags: UInt32
    ) {
        self.handle = handle
        self.domain = domain
        self.size = size
        self.offset = offset
        self.mapHandle = mapHandle
        self.tileMode = tileMode
        self.tileFlags = tileFlags
    }

    /// Both GEM_INFO and GEM_NEW begin with it.
    package func store(in a: Argument) {
        a.store(
            nvu_gem_info(
                handle: handle, domain: domain.rawValue, size: size, offset: offset, map_handle: mapHandle,
                tile_mode: tileMode, tile_flags: tileFlags))
    }
}

/// GEM_NEW.
package struct GEMNew {
    package let domain: Domain
    package let size: UInt64
    package let align: UInt32
    package let tileMode, tileFlags: UInt32

    package init(_ a: Argument) {
        let c = a.load(nvu_gem_new.self)
        domain = Domain(rawValue: c.info.domain)
        size = c.info.size
        align = c.align
        tileMode = c.info.tile_mode
        tileFlags = c.info.tile_flags
    }

    /// A plain buffer of the kernel's own.
    package init(domain: Domain, size: UInt64) {
        self.domain = domain
        self.size = size
        align = 0
        tileMode = 0
        tileFlags = 0
    }

    /// The storage layout, as from Fermi on.
    package var kind: Int { Int((tileFlags & NVU_GEM_TILE_LAYOUT_MASK) >> 8) }
    package var isContiguous: Bool { tileFlags & NVU_GEM_TILE_NONCONTIG == 0 }

    /// `tile_flags` as GEM_INFO gives them back, from Fermi on.
    package static func tileFlags(kind: Int, isContiguous: Bool) -> UInt32 {
        UInt32(kind) << 8 | (isContiguous ? 0 : NVU_GEM_TILE_NONCONTIG)
    }
}

/// The first of all mmap offsets.
package let mapHandleBase = UInt64(NVU_MAP_HANDLE_BASE)

/// The handle that GEM_INFO, GEM_CPU_PREP, GEM_CPU_FINI and GEM_CLOSE begin with.
package func gemHandle(_ a: Argument) -> UInt32 {
    a.load()
}

/// GEM_CPU_PREP.
package struct GEMCPUPrep {
    package let handle: UInt32
    private let flags: UInt32

    package init(_ a: Argument) {
        let c = a.load(nvu_gem_cpu_prep.self)
        handle = c.handle
        flags = c.flags
    }

    package var waits: Bool { flags & NVU_GEM_CPU_PREP_NOWAIT == 0 }
    package var isWrite: Bool { flags & NVU_GEM_CPU_PREP_WRITE != 0 }
}

/// GEM_PUSHBUF, as far as it is checked before anything is submitted.
package struct GEMPushbuf {
    private var c: nvu_gem_pushbuf

    package init(_ a: Argument) {
        c = a.load()
    }

    package var channel: Int32 { Int32(bitPattern: c.channel) }
    package var pushCount: UInt32 { c.nr_push }

    /// - Throws: `EINVAL`: more pushes, buffers or relocations than there may be.
    package func checkCounts() throws(KernelErrno) {
        guard c.nr_push <= NVU_GEM_MAX_PUSH, c.nr_buffers <= NVU_GEM_MAX_BUFFERS, c.nr_relocs <= NVU_GEM_MAX_RELOCS
        else { throw .EINVAL }
    }

    /// The suffixes are 0 since NV50.
    package mutating func store(vramAvailable: UInt64, gartAvailable: UInt64, in a: Argument) {
        c.vram_available = vramAvailable
        c.gart_available = gartAvailable
        c.suffix0 = 0
        c.suffix1 = 0
        a.store(c)
    }
}
