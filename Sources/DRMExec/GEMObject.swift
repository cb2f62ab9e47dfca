public import DRMLock
public import DRMSync

/// A buffer, as far as its lock and its fences go (`drm_gem_object`): what ``Exec`` locks.
///
/// Several may share one ``Reservation``; they are then locked, and carry fences, as one.
open class GEMObject: @unchecked Sendable {
    public final let gate: Gate
    public final let reservation: Reservation

    /// - Parameter reservation: shared with other objects; `nil`: one of its own.
    public init(gate: Gate, sharing reservation: Reservation? = nil) {
        self.gate = gate
        self.reservation = reservation ?? Reservation(gate: gate)
    }
}
