internal import DRMLock
internal import DRMSync

extension Gate {
    /// Tells the lock validator in which order the device's locks are taken, the outermost first, before anybody has
    /// taken them: so the first call that does it otherwise is reported, whoever came before.
    ///
    /// All that a submission takes is held over waits for fences, so nothing that a fence depends on may take it: a
    /// running job has the tables' mutex alone. Locks that nothing is taken in are not in the order (`prime.lock`).
    ///
    /// Source: jobs.md 12.
    func declareDeviceLocks() {
        declareOrder([
            DeviceFile.lockClass, JobQueue.lockClass, Evictor.lockClass, UVMM.lockClass, Reservation.lockClass,
            UVMM.tablesLockClass,
        ])
        declareOrder([Reservation.lockClass, .fenceWait])
        declareOrder([.signalling, UVMM.tablesLockClass])
    }
}
