internal import KernelErrno

/// What a syncobj holds. Everything submitted completes at once, so each fence there is has signalled; what is left
/// of one is whether it is a link of a timeline.
enum Fence {
    /// A binary payload.
    case plain
    /// The newest link of a timeline (the kernel's `dma_fence_chain`); `previous` is the point it follows on.
    case link(point: UInt64, previous: UInt64)
}

/// A synchronisation object: one fence or none. Nothing marks it as binary or timeline but what it holds.
final class Syncobj {
    var fence: Fence?

    init(fence: Fence?) {
        self.fence = fence
    }

    /// The fence that covers a point; point 0: what there is. `nil`: not there yet.
    func find(_ point: UInt64) -> Fence? {
        guard point > 0, let fence else { return fence }
        guard case .link(let newest, let previous) = fence, newest >= point else { return nil }
        // Older links have signalled and are gone; a signalled stub stands for them.
        return previous < point ? fence : .plain
    }

    /// Adds a point. One that is not above the newest starts anew and takes the newest's number.
    func add(_ point: UInt64) {
        guard case .link(let newest, _)? = fence else {
            fence = .link(point: point, previous: 0)
            return
        }
        fence = point > newest ? .link(point: point, previous: newest) : .link(point: newest, previous: 0)
    }

    /// QUERY's answer: the newest point, since all are signalled; 0 for a binary payload or none.
    var point: UInt64 {
        if case .link(let point, _)? = fence { point } else { 0 }
    }
}
