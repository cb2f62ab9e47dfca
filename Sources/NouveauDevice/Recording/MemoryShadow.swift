internal import CMemfd
internal import DRMLock
internal import Glibc
internal import NouveauUAPI

/// What a file's buffers held when it was last asked, to tell which pages have changed.
final class MemoryShadow {
    fileprivate struct Known {
        /// The object that the handle stood for.
        var object: UInt64
        /// Pages that are not zero, by their offset.
        var pages: [Int: [UInt8]] = [:]
    }
    /// By handle.
    private var known: [UInt32: Known] = [:]

    typealias Page = (offset: Int, bytes: UnsafeRawBufferPointer)

    /// The pages that differ from what they were at the last call, by handle. Buffers begin as zeros.
    func changes(_ file: DeviceFile) -> [(handle: UInt32, pages: [Page])] {
        var live: [UInt32: Known] = [:]
        var changed: [(handle: UInt32, pages: [Page])] = []
        for (handle, object) in file.objects.all {
            var old = Known(object: object.id)
            if let same = known[handle], same.object == object.id { old = same }
            let pages = old.changes(object, file.device.storeDescriptor)
            if !pages.isEmpty { changed.append((handle, pages)) }
            live[handle] = old
        }
        known = live
        return changed
    }
}

extension MemoryShadow.Known {
    /// The pages that differ from what is known of them, which is brought up to date.
    fileprivate mutating func changes(_ object: BufferObject, _ store: Int32) -> [MemoryShadow.Page] {
        var changed: [MemoryShadow.Page] = []
        for offset in object.touchedPages(store) {
            let bytes = UnsafeRawBufferPointer(rebasing: object.bytes[offset..<offset + page])
            let isSame = (pages[offset] ?? zeros).withUnsafeBytes { known in
                memcmp(known.baseAddress!, bytes.baseAddress!, page) == 0
            }
            guard !isSame else { continue }
            pages[offset] = Array(bytes)
            changed.append((offset, bytes))
        }
        return changed
    }
}

private let page = 4096
private let zeros = [UInt8](repeating: 0, count: page)

extension BufferObject {
    /// Offsets of the pages that somebody has touched: reading others would give them memory.
    fileprivate func touchedPages(_ store: Int32) -> [Int] {
        let start = Int(mapHandle - mapHandleBase), end = start + Int(size)
        var offsets: [Int] = []
        var at = start
        while case let data = lseek(store, at, Int32(LSEEK_DATA)), data >= 0, data < end {
            let hole = min(lseek(store, data, Int32(LSEEK_HOLE)), end)
            offsets += stride(from: data & ~(page - 1), to: hole, by: page).map { $0 - start }
            at = hole
        }
        return offsets
    }
}

extension DeviceFile {
    /// Lets the device work until nothing of this file is left to do.
    /// - Returns: whether that is so: it has not waited for longer than a second.
    func settle() -> Bool {
        mutex.lock()
        let queues = jobQueues
        mutex.unlock()
        device.runUntilIdle()
        let gate = device.gate
        let deadline = gate.now + (gate is SteppedGate ? 0 : 1_000_000_000)
        while queues.contains(where: { !$0.pending.isEmpty }) {
            guard gate.now < deadline else { return false }
            gate.sleep(for: 50_000)
        }
        return true
    }
}
