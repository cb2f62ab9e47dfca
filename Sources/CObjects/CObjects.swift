// Swift objects as C holds them: pointers that own a reference.
internal import KernelErrno

package func retain(_ object: some AnyObject) -> UnsafeMutableRawPointer {
    Unmanaged.passRetained(object).toOpaque()
}

package func object<T: AnyObject>(_ pointer: UnsafeRawPointer, _ type: T.Type) -> T {
    Unmanaged<T>.fromOpaque(pointer).takeUnretainedValue()
}

package func release<T: AnyObject>(_ pointer: UnsafeRawPointer, _ type: T.Type) {
    Unmanaged<T>.fromOpaque(pointer).release()
}

/// 0, or the negative errno of what `body` throws.
package func result(_ body: () throws(KernelErrno) -> Void) -> Int32 {
    do throws(KernelErrno) {
        try body()
        return 0
    } catch {
        return -error.rawValue
    }
}
