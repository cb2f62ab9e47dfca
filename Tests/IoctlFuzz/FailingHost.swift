import CGPUVMBase
import NouveauDevice

/// A host that has no memory at the n-th request: for VRAM, GART, tables, pairs, and what the C libraries keep. For
/// stepped devices.
package final class FailingHost: @unchecked Sendable {
    private var requests = 0
    private var failsAt: Int?
    /// Allocations of the C libraries that are not freed.
    package private(set) var outstanding = 0

    package init() {}

    /// From now on the n-th request fails, from 0; `nil`: none does.
    package func fail(at n: Int?) {
        requests = 0
        failsAt = n
    }

    package var hasFailed: Bool { failsAt.map { requests > $0 } ?? false }

    private func grants() -> Bool {
        defer { requests += 1 }
        return requests != failsAt
    }

    /// What a device takes. The host is to outlive it.
    package var memory: HostMemory {
        var memory = HostMemory()
        memory.maySpare = { self.grants() }
        memory.allocator = gpuvm_alloc(
            ctx: Unmanaged.passUnretained(self).toOpaque(),
            alloc: { context, size, align in
                let host = Unmanaged<FailingHost>.fromOpaque(context!).takeUnretainedValue()
                guard host.grants() else { return nil }
                host.outstanding += 1
                return .allocate(byteCount: size, alignment: align)
            },
            free: { context, memory, _ in
                Unmanaged<FailingHost>.fromOpaque(context!).takeUnretainedValue().outstanding -= 1
                memory?.deallocate()
            })
        return memory
    }
}
