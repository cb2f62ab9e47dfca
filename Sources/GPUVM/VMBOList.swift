internal import DRMLock
internal import DRMSync
internal import KernelErrno

/// The external or the evicted pairs of a VM. Being on it is no reference.
///
/// Guarded by a spin lock of its own, or, in a VM with `resvProtected`, by the VM's reservation: then by whoever calls,
/// and the lock validator looks.
///
/// Invariant: nodes are on `local` only while somebody iterates.
final class VMBOList: @unchecked Sendable {
    private let spin: SpinLock
    private let reservation: Reservation?
    private let head = Ring.makeHead()
    /// What the one who iterates has seen (the kernel's `local_list`).
    private let local = Ring.makeHead()
    @exclusivity(unchecked) private var isIterated = false

    /// - Parameter reservation: guards the list; `nil`: it has a spin lock.
    init(_ gate: Gate, guardedBy reservation: Reservation?) {
        spin = SpinLock(gate)
        self.reservation = reservation
    }

    deinit {
        head.deallocate()
        local.deallocate()
    }

    /// That the caller has what guards the list, where it does not do so itself.
    func assertGuarded() {
        reservation?.lock.assertHeld()
    }

    private func lock() {
        if reservation == nil { spin.lock() } else { assertGuarded() }
    }

    private func unlock() {
        if reservation == nil { spin.unlock() }
    }

    /// Appends it, unless it is on the list.
    func add(_ node: Ring) {
        lock()
        if node.isAlone { head.append(node) }
        unlock()
    }

    func remove(_ node: Ring) {
        lock()
        node.leave()
        unlock()
    }

    var hasAny: Bool {
        lock()
        defer { unlock() }
        return !(head.isAlone && local.isAlone)
    }

    /// A copy in order, those whose last reference is gone left out. For tests and reports.
    var all: [VMBO] {
        var all: [VMBO] = []
        lock()
        for list in [local, head] {
            var node = list.pointee.next
            while node != list {
                let vmBO = node.pointee.owner.unsafelyUnwrapped.takeUnretainedValue()
                if !vmBO.isZombie { all.append(vmBO) }
                node = node.pointee.next
            }
        }
        unlock()
        return all
    }

    /// Calls `body` for each pair in order, up to the first error; zombies are passed over. Pairs may come and go
    /// meanwhile; nobody else may iterate.
    /// - Parameter overlapped: called when somebody else does.
    func forEach(
        overlapped: () -> Void, _ body: (VMBO) throws(KernelErrno) -> Void
    ) throws(KernelErrno) {
        begin(overlapped)
        var failure: KernelErrno?
        while failure == nil, let vmBO = takeNext() {
            vmBO._withUnsafeGuaranteedRef { vmBO in
                do throws(KernelErrno) { try body(vmBO) } catch { failure = error }
            }
            // With the last reference it may go while it lets go: only then it is worth being kept.
            if reservation == nil, !vmBO._withUnsafeGuaranteedRef({ $0.dropUnlessLast() }) {
                vmBO.takeUnretainedValue().letGo()
            }
        }
        end()
        if let failure { throw failure }
    }

    /// The same where a reservation guards the list, and `body` changes it no more than that it may add pairs.
    func forEachInPlace(_ body: (VMBO) throws(KernelErrno) -> Void) throws(KernelErrno) {
        assertGuarded()
        var failure: KernelErrno?
        var node = head.pointee.next
        while failure == nil, node != head {
            node.pointee.owner.unsafelyUnwrapped._withUnsafeGuaranteedRef { vmBO in
                if vmBO.isZombie { return }
                do throws(KernelErrno) { try body(vmBO) } catch { failure = error }
            }
            node = node.pointee.next
        }
        if let failure { throw failure }
    }

    private func begin(_ overlapped: () -> Void) {
        lock()
        let other = isIterated
        isIterated = true
        unlock()
        if other { overlapped() }
    }

    /// The next pair that lives, moved to `local`; what guards the list keeps it, or the reference it has instead.
    private func takeNext() -> Unmanaged<VMBO>? {
        lock()
        defer { unlock() }
        while !head.isAlone {
            let node = head.pointee.next
            let vmBO = node.pointee.owner.unsafelyUnwrapped
            let lives = vmBO._withUnsafeGuaranteedRef { reservation != nil ? !$0.isZombie : $0.getUnlessZombie() }
            node.leave()
            // Zombies stay on a list that a reservation guards until their end.
            if reservation != nil || lives { local.append(node) }
            if lives { return vmBO }
        }
        return nil
    }

    private func end() {
        lock()
        head.prepend(all: local)
        isIterated = false
        unlock()
    }
}
