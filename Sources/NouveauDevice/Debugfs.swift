internal import GPUVM

extension Device {
    /// The text of debugfs' `gpuvas`: every client's address space, newest client first.
    ///
    /// Where the kernel prints an object's address, an address made of the object's id stands.
    public func gpuvas() -> String {
        spaces.map { $0.gpuvas() }.joined()
    }

    /// What ``gpuvas()`` tells, and by which handle and with which kind and pages objects are mapped, as JSON: one object a
    /// line, one line a client, newest client first. 64-bit numbers are texts, "0x…"; ends are exclusive.
    ///
    ///     {"name", "start", "end", "kernel": {"start", "end"},
    ///      "mappings": [{"start", "end", "object", "offset", "handle", "kind", "page_size", "sparse"}],
    ///      "regions": [{"start", "end"}]}
    ///
    /// `object` is what the text has; `page_size` is in bytes; `sparse`: the mapping lies in a sparse region.
    public func gpuvasJSON() -> String {
        spaces.map { String(decoding: $0.gpuvasJSON().bytes, as: UTF8.self) + "\n" }.joined()
    }
}

extension UVMM {
    fileprivate func gpuvas() -> String {
        var text = "DRM GPU VA space (\(name)) [0x\(digits(0));0x\(digits(Self.end))]\n"
        text += "Kernel reserved node [0x\(digits(kernelAddr));0x\(digits(kernelAddr + kernelSize))]\n\n"
        text += " VAs | start              | range              | end                | object             | object offset\n"
        text += String(repeating: "-", count: 109) + "\n"
        mutex.lock()
        defer { mutex.unlock() }
        vm.space.forEach { (mapping: Mapping) in
            guard mapping.id != .kernel else { return }
            let object = object(behind: mapping).address
            text += "     " + row([mapping.addr, mapping.range, mapping.end, object, mapping.offset])
        }
        text += "\n VA regions  | start              | range              | end                \n"
        text += String(repeating: "-", count: 76) + "\n"
        for region in regions {
            text += "             " + row([region.addr, region.range, region.end])
        }
        return text
    }

    fileprivate func gpuvasJSON() -> JSONText {
        let snapshot = SpaceSnapshot(self)
        return JSONText { space in
            space.text("name", name)
            space.hex("start", 0)
            space.hex("end", Self.end)
            space.object("kernel", JSONText { $0.range(kernelAddr..<kernelAddr + kernelSize) })
            space.array("mappings", snapshot.extents) { list, extent in list.object { $0.mapping(extent) } }
            space.array("regions", snapshot.regions) { list, region in list.object { $0.range(region) } }
        }
    }
}

extension JSONText {
    fileprivate mutating func range(_ range: Range<UInt64>) {
        hex("start", range.lowerBound)
        hex("end", range.upperBound)
    }

    fileprivate mutating func mapping(_ extent: SpaceSnapshot.Extent) {
        range(extent.addr..<extent.end)
        hex("object", extent.object.address)
        hex("offset", extent.offset)
        number("handle", extent.handle)
        number("kind", extent.kind)
        number("page_size", 1 << extent.pageShift)
        number("sparse", extent.isInRegion ? 1 : 0)
    }
}

extension BufferObject {
    /// What stands for its address.
    fileprivate var address: UInt64 { 0xffff_8880_0000_0000 + id << 10 }
}

private func row(_ numbers: [UInt64]) -> String {
    numbers.map { "| 0x\(digits($0))" }.joined(separator: " ") + "\n"
}

/// 16 digits.
private func digits(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
}
