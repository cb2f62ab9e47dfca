internal import CMemfd
internal import DRMLock
internal import Glibc
internal import NouveauUAPI

/// What a file's buffers held when it was last asked, to tell which pages have changed.
final class MemoryShadow {
    private struct Known {
        /// The object that the handle stood for.
        var object: UInt64
        /// Pages that are not zero, by their offset.
        var pages: [Int: [UInt8]] = [:]
    }
    /// By handle.
    private var known: [UInt32: Known] = [:]

    typealias Page = (offset: Int, bytes: UnsafeRawBufferPointer)
    private static let page = 4096
    private static let zeros = [UInt8](repeating: 0, count: page)

    /// The pages that differ from what they were at the last call, by handle. Buffers begin as zeros.
    func changes(_ file: DeviceFile) -> [(handle: UInt32, pages: [Page])] {
        let objects = file.objects.all
        let live = Dictionary(uniqueKeysWithValues: objects.map { ($0.handle, $0.object.id) })
        known = known.filter { live[$0.key] == $0.value.object }
        return objects.compactMap { handle, object in
            let pages = changes(handle, object, file.device.storeDescriptor)
            return pages.isEmpty ? nil : (handle, pages)
        }
    }

    private func changes(_ handle: UInt32, _ object: BufferObject, _ store: Int32) -> [Page] {
        var old = known[handle] ?? Known(object: object.id)
        var changed: [Page] = []
        for offset in Self.touched(object, store) {
            let bytes = UnsafeRawBufferPointer(rebasing: object.bytes[offset..<offset + Self.page])
            let isSame = (old.pages[offset] ?? Self.zeros).withUnsafeBytes {
                memcmp($0.baseAddress!, bytes.baseAddress!, Self.page) == 0
            }
            guard !isSame else { continue }
            old.pages[offset] = Array(bytes)
            changed.append((offset, bytes))
        }
        known[handle] = old
        return changed
    }

    /// Offsets of the pages that somebody has touched: reading others would give them memory.
    private static func touched(_ object: BufferObject, _ store: Int32) -> [Int] {
        let start = Int(object.mapHandle - mapHandleBase), end = start + Int(object.size)
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
