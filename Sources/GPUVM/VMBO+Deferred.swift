internal import DRMLock
internal import Synchronization

// What fence-signalling sections may do: immediate mode.
extension VMBO {
    /// One reference less. With the last one it can no longer be found, and waits for ``VM/cleanUpDeferred()``
    /// (`drm_gpuvm_bo_put_deferred`). Only in immediate mode; takes ``MappableObject/gpuvaLock``.
    /// - Returns: whether it was the last.
    @discardableResult
    public func putDeferred() -> Bool {
        vm.warn(if: !vm.flags.contains(.immediateMode), "a deferred put without immediate mode")
        guard !dropUnlessLast() else { return false }
        object.gpuvaLock.lock()
        let isLast = drop()
        if isLast {
            object.remove(self)
            if !vm.flags.contains(.resvProtected) { leaveLists() }
        }
        // Given back before anybody knows of the zombie: its end may be that of the object.
        object.gpuvaLock.unlock()
        if isLast { vm.push(zombie: self) }
        return isLast
    }
}

extension VM {
    func push(zombie: VMBO) {
        let new = Unmanaged.passUnretained(zombie)
        var top = zombies.load(ordering: .relaxed)
        while true {
            zombie.nextZombie = top
            let (done, seen) = zombies.weakCompareExchange(expected: top, desired: new, ordering: .releasing)
            if done { return }
            top = seen
        }
    }

    /// Ends all pairs whose last reference was dropped deferred, the youngest first
    /// (`drm_gpuvm_bo_deferred_cleanup`). Takes the VM's reservation where that guards the VM's lists.
    public func cleanUpDeferred() {
        guard let all = zombies.exchange(nil, ordering: .acquiring) else { return }
        if flags.contains(.resvProtected) {
            try! reservation.lock.lock(nil)
            forEach(zombie: all) { $0.leaveLists() }
            reservation.unlock()
        }
        // The last of them may be what keeps the VM.
        withExtendedLifetime(self) { forEach(zombie: all) { $0.end() } }
    }

    private func forEach(zombie first: Unmanaged<VMBO>, _ body: (VMBO) -> Void) {
        var next: Unmanaged<VMBO>? = first
        while let zombie = next?.takeUnretainedValue() {
            next = zombie.nextZombie
            body(zombie)
        }
    }
}
