public import DRMLock

extension Fence {
    /// The plain fences it is made of: of a timeline's link those of all pending links, of an array its members, else
    /// itself (`dma_fence_unwrap_for_each`).
    package final func forEachUnwrapped(_ body: (Fence) -> Void) {
        if let chain = self as? FenceChain {
            chain.forEachContained {
                $0.forEachMember(body)
                return true
            }
        } else {
            forEachMember(body)
        }
    }

    private final func forEachMember(_ body: (Fence) -> Void) {
        guard let array = self as? FenceArray else { return body(self) }
        array.fences.forEach(body)
    }

    /// One fence for several, as sync files are merged (`dma_fence_unwrap_merge`): of what they are made of, the
    /// pending ones, of each context the latest, in the order of contexts. A single one is itself; none is a stub
    /// that signalled when the last of them did.
    public static func merge(_ fences: [Fence], gate: Gate) -> Fence {
        var pending: [Fence] = []
        var latest: UInt64 = 0
        for fence in fences {
            fence.forEachUnwrapped { part in
                if part.isSignaled { latest = max(latest, part.timestamp) } else { pending.append(part) }
            }
        }
        pending.sort { a, b in a.context != b.context ? a.context < b.context : a.isLater(than: b) }
        var kept: [Fence] = []
        for fence in pending where kept.last?.context != fence.context { kept.append(fence) }
        return switch kept.count {
        case 0: stub(gate: gate, signaledAt: latest)
        case 1: kept[0]
        default: FenceArray(gate: gate, fences: kept)
        }
    }
}
