/// The objects that an ``Exec`` has locked, in the order of locking (`drm_exec_for_each_locked_object`; `reversed()`
/// gives `drm_exec_for_each_locked_object_reverse`). Neither allocates.
///
/// It is a view: objects that are locked or unlocked meanwhile come and go. Not in it is what ``Exec`` holds because
/// it was contended, until it is asked for again.
public struct LockedObjects: RandomAccessCollection {
    let exec: Exec

    public var startIndex: Int { 0 }
    public var endIndex: Int { exec.count }
    public subscript(position: Int) -> GEMObject { exec.object(at: position) }
}
