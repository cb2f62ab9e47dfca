/// A place in a ring of pairs (the kernel's `list_head`): the list's head, or one for each list in a pair's memory.
/// Off every list it is linked to itself. Plain memory: nothing is counted or allocated when a list changes.
struct RingNode {
    var next, previous: UnsafeMutablePointer<RingNode>
    /// `nil`: a head.
    var owner: Unmanaged<VMBO>?
}

typealias Ring = UnsafeMutablePointer<RingNode>

extension Ring {
    static func makeHead() -> Ring {
        let head = Ring.allocate(capacity: 1)
        head.initialize(owner: nil)
        return head
    }

    func initialize(owner: Unmanaged<VMBO>?) {
        initialize(to: RingNode(next: self, previous: self, owner: owner))
    }

    var isAlone: Bool { pointee.next == self }

    /// Puts a node, which is on no list, at the tail of the list whose head this is.
    func append(_ node: Ring) {
        let last = pointee.previous
        node.pointee.next = self
        node.pointee.previous = last
        last.pointee.next = node
        pointee.previous = node
    }

    /// Takes it off its list, if it is on one.
    func leave() {
        pointee.next.pointee.previous = pointee.previous
        pointee.previous.pointee.next = pointee.next
        pointee.next = self
        pointee.previous = self
    }

    /// Moves all nodes of another head's list to the front of this one's, in their order.
    func prepend(all other: Ring) {
        guard !other.isAlone else { return }
        let (first, last) = (other.pointee.next, other.pointee.previous)
        last.pointee.next = pointee.next
        pointee.next.pointee.previous = last
        pointee.next = first
        first.pointee.previous = self
        other.pointee.next = other
        other.pointee.previous = other
    }
}
