internal import CNouveauUAPI
internal import KernelErrno
internal import NouveauUAPI

/// The call asks for something that a line has no words for.
private let unsayable = KernelErrno.EOPNOTSUPP

// MARK: - Before the call

extension Argument {
    /// The `in` of a call's line.
    /// - Throws: a line cannot say it: an array cannot be read, padding is set, a field is wider than the trace's.
    func input(of command: Command, _ file: DeviceFile, _ request: Request) throws(KernelErrno) -> JSONText {
        let memory = file.userMemory
        return switch command {
        case .version: try versionInput()
        case .getCap: try number("capability", load(nvu_cap_value.self).capability)
        case .getParam: try number("param", load(nvu_getparam.self).param)
        case .nvif: try nvifInput(request)
        case .channelAlloc:
            pair("fb_ctxdma_handle", load(nvu_channel_alloc.self).fb_ctxdma_handle,
                "tt_ctxdma_handle", load(nvu_channel_alloc.self).tt_ctxdma_handle)
        case .channelFree: JSONText { $0.number("channel", load(nvu_channel_free.self).channel) }
        case .vmInit: vmInitInput()
        case .vmBind: try bindInput(memory)
        case .exec: try execInput(file, memory)
        case .gemNew: gemNewInput()
        case .gemInfo: JSONText { $0.number("handle", load(nvu_gem_info.self).handle) }
        case .gemClose: JSONText { $0.number("handle", load(nvu_gem_close.self).handle) }
        case .primeHandleToFD:
            pair("handle", load(nvu_prime_handle.self).handle, "flags", load(nvu_prime_handle.self).flags)
        case .primeFDToHandle: JSONText { $0.number("fd", load(nvu_prime_handle.self).fd) }
        default: try syncobjInput(command, memory)
        }
    }

    private func pair(_ a: StaticString, _ first: UInt32, _ b: StaticString, _ second: UInt32) -> JSONText {
        JSONText { call in
            call.number(a, first)
            call.number(b, second)
        }
    }

    private func number(_ key: StaticString, _ value: UInt64) throws(KernelErrno) -> JSONText {
        guard let value = UInt32(exactly: value) else { throw unsayable }
        return JSONText { $0.number(key, value) }
    }

    private func versionInput() throws(KernelErrno) -> JSONText {
        let c = load(nvu_version.self)
        guard max(c.name_len, c.date_len, c.desc_len) <= UInt32.max else { throw unsayable }
        return JSONText { call in
            call.number("name_len", c.name_len)
            call.number("date_len", c.date_len)
            call.number("desc_len", c.desc_len)
        }
    }

    private func vmInitInput() -> JSONText {
        let c = load(nvu_vm_init.self)
        return JSONText { call in
            call.hex("kernel_managed_addr", c.kernel_managed_addr)
            call.hex("kernel_managed_size", c.kernel_managed_size)
        }
    }

    private func gemNewInput() -> JSONText {
        let c = load(nvu_gem_new.self)
        return JSONText { call in
            call.number("domain", c.info.domain)
            call.hex("size", c.info.size)
            call.hex("align", c.align)
            call.number("tile_mode", c.info.tile_mode)
            call.number("tile_flags", c.info.tile_flags)
            call.number("channel_hint", c.channel_hint)
        }
    }
}

// MARK: - After a call that succeeded

extension Argument {
    /// The `out` of a call's line; `nil`: it has none.
    func output(of command: Command, _ file: DeviceFile) -> JSONText? {
        switch command {
        case .version: versionOutput()
        case .getCap: JSONText { $0.number("value", load(nvu_cap_value.self).value) }
        case .getParam: JSONText { $0.hex("value", load(nvu_getparam.self).value) }
        case .nvif: nvifOutput()
        case .channelAlloc: channelAllocOutput()
        case .gemNew, .gemInfo: gemOutput()
        case .primeHandleToFD: JSONText { $0.number("fd", load(nvu_prime_handle.self).fd) }
        case .primeFDToHandle: JSONText { $0.number("handle", load(nvu_prime_handle.self).handle) }
        default: syncobjOutput(command, file.userMemory)
        }
    }

    private func versionOutput() -> JSONText {
        let c = load(nvu_version.self)
        return JSONText { out in
            out.number("major", c.version_major)
            out.number("minor", c.version_minor)
            out.number("patch", c.version_patchlevel)
            out.number("name_len", c.name_len)
            out.number("date_len", c.date_len)
            out.number("desc_len", c.desc_len)
        }
    }

    private func channelAllocOutput() -> JSONText {
        let c = load(nvu_channel_alloc.self)
        return JSONText { out in
            out.number("channel", c.channel)
            out.number("pushbuf_domains", c.pushbuf_domains)
            out.number("notifier_handle", c.notifier_handle)
            out.number("nr_subchan", c.nr_subchan)
        }
    }

    private func gemOutput() -> JSONText {
        let c = load(nvu_gem_info.self)
        return JSONText { out in
            out.number("handle", c.handle)
            out.number("domain", c.domain)
            out.hex("size", c.size)
            out.hex("offset", c.offset)
            out.hex("map_handle", c.map_handle)
            out.number("tile_mode", c.tile_mode)
            out.number("tile_flags", c.tile_flags)
        }
    }
}
