// Swift objects as C holds them: pointers that own a reference.

package func retain(_ object: some AnyObject) -> UnsafeMutableRawPointer {
    Unmanaged.passRetained(object).toOpaque()
}

package func object<T: AnyObject>(_ pointer: UnsafeRawPointer, _ type: T.Type) -> T {
    Unmanaged<T>.fromOpaque(pointer).takeUnretainedValue()
}

package func release<T: AnyObject>(_ pointer: UnsafeRawPointer, _ type: T.Type) {
    Unmanaged<T>.fromOpaque(pointer).release()
}
