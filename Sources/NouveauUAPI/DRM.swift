internal import CNouveauUAPI
package import KernelErrno

/// VERSION: writes the texts to the client's buffers and the lengths to the argument.
package struct Version {
    private var c: nvu_version

    package init(_ a: Argument) {
        c = a.load()
    }

    /// Texts are cut to the client's length and have no terminator; the lengths that come out are the full ones.
    /// - Throws: `EFAULT`.
    package mutating func answer(
        number: (Int32, Int32, Int32), name: StaticString, date: StaticString, desc: StaticString,
        _ memory: any UserMemory, _ a: Argument
    ) throws(KernelErrno) {
        (c.version_major, c.version_minor, c.version_patchlevel) = number
        let room = c
        c.name_len = UInt64(name.utf8CodeUnitCount)
        c.date_len = UInt64(date.utf8CodeUnitCount)
        c.desc_len = UInt64(desc.utf8CodeUnitCount)
        a.store(c)
        try memory.write(name, at: room.name, length: room.name_len)
        try memory.write(date, at: room.date, length: room.date_len)
        try memory.write(desc, at: room.desc, length: room.desc_len)
    }
}

/// GET_CAP. The value is zeroed first.
package struct GetCap {
    package enum Name: Sendable {
        case prime, timestampMonotonic, syncobj, syncobjTimeline
        /// Of displays, which need mode setting.
        case display
    }

    /// `nil`: unknown.
    package let name: Name?

    package init(_ a: Argument) {
        let capability = a.load(nvu_cap_value.self).capability
        name =
            switch UInt32(exactly: capability).map({ nvu_cap($0) }) {
            case NVU_CAP_PRIME: .prime
            case NVU_CAP_TIMESTAMP_MONOTONIC: .timestampMonotonic
            case NVU_CAP_SYNCOBJ: .syncobj
            case NVU_CAP_SYNCOBJ_TIMELINE: .syncobjTimeline
            case NVU_CAP_DUMB_BUFFER, NVU_CAP_VBLANK_HIGH_CRTC, NVU_CAP_DUMB_PREFERRED_DEPTH,
                NVU_CAP_DUMB_PREFER_SHADOW, NVU_CAP_ASYNC_PAGE_FLIP, NVU_CAP_CURSOR_WIDTH, NVU_CAP_CURSOR_HEIGHT,
                NVU_CAP_ADDFB2_MODIFIERS, NVU_CAP_PAGE_FLIP_TARGET, NVU_CAP_CRTC_IN_VBLANK_EVENT,
                NVU_CAP_ATOMIC_ASYNC_PAGE_FLIP:
                .display
            default: nil
            }
        Self.store(0, in: a)
    }

    package static func store(_ value: UInt64, in a: Argument) {
        a.store(value, at: 8)
    }

    package static let primeBoth = UInt64(NVU_PRIME_CAP_IMPORT | NVU_PRIME_CAP_EXPORT)
}

/// SET_CLIENT_NAME's name; empty clears it.
/// - Throws: `EINVAL`: too long, or a character that is not printing ASCII; `EFAULT`.
package func clientName(_ a: Argument, _ memory: any UserMemory) throws(KernelErrno) -> String {
    let c = a.load(nvu_set_client_name.self)
    guard c.name_len <= NVU_CLIENT_NAME_MAX else { throw .EINVAL }
    let bytes = try memory.array(of: UInt8.self, at: c.name, count: UInt32(c.name_len))
    guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { throw .EINVAL }
    return String(decoding: bytes, as: UTF8.self)
}

/// PRIME_HANDLE_TO_FD and PRIME_FD_TO_HANDLE.
package struct Prime {
    private var c: nvu_prime_handle

    package init(_ a: Argument) {
        c = a.load()
    }

    package var handle: UInt32 { c.handle }
    package var fd: Int32 { c.fd }
    package var hasGoodFlags: Bool { c.flags & ~(NVU_PRIME_CLOEXEC | NVU_PRIME_RDWR) == 0 }
    package var isWritable: Bool { c.flags & NVU_PRIME_RDWR != 0 }

    package mutating func store(fd: Int32, in a: Argument) {
        c.fd = fd
        a.store(c)
    }

    package mutating func store(handle: UInt32, in a: Argument) {
        c.handle = handle
        a.store(c)
    }
}
