/// The one error of every call in gpuvm: a Linux errno.
///
/// The code is positive, as `errno` holds it; kernel code and our C core return it negated. Names and numbers are
/// those of Linux (asm-generic/errno.h), whatever the host says.
public struct KernelErrno: Error, RawRepresentable, Hashable, Sendable {
    public let rawValue: Int32

    @inlinable public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    public static let EPERM = KernelErrno(rawValue: 1)
    public static let ENOENT = KernelErrno(rawValue: 2)
    public static let ESRCH = KernelErrno(rawValue: 3)
    public static let EINTR = KernelErrno(rawValue: 4)
    public static let EIO = KernelErrno(rawValue: 5)
    public static let EBADF = KernelErrno(rawValue: 9)
    public static let ENOMEM = KernelErrno(rawValue: 12)
    public static let EACCES = KernelErrno(rawValue: 13)
    public static let EFAULT = KernelErrno(rawValue: 14)
    public static let EBUSY = KernelErrno(rawValue: 16)
    public static let EEXIST = KernelErrno(rawValue: 17)
    public static let ENODEV = KernelErrno(rawValue: 19)
    public static let EINVAL = KernelErrno(rawValue: 22)
    public static let EMFILE = KernelErrno(rawValue: 24)
    public static let ENOTTY = KernelErrno(rawValue: 25)
    public static let ENOSPC = KernelErrno(rawValue: 28)
    public static let ESPIPE = KernelErrno(rawValue: 29)
    public static let EDEADLK = KernelErrno(rawValue: 35)
    public static let ENOSYS = KernelErrno(rawValue: 38)
    public static let ETIME = KernelErrno(rawValue: 62)
    public static let EOPNOTSUPP = KernelErrno(rawValue: 95)
    public static let ETIMEDOUT = KernelErrno(rawValue: 110)
    public static let EALREADY = KernelErrno(rawValue: 114)
    public static let EUCLEAN = KernelErrno(rawValue: 117)
    public static let ECANCELED = KernelErrno(rawValue: 125)
    /// A signal ended a wait: the kernel's own number, which a client sees as `EINTR` or not at all (it tries again).
    public static let ERESTARTSYS = KernelErrno(rawValue: 512)

    private static let names: [Int32: String] = [
        1: "EPERM", 2: "ENOENT", 3: "ESRCH", 4: "EINTR", 5: "EIO", 9: "EBADF", 12: "ENOMEM", 13: "EACCES",
        14: "EFAULT", 16: "EBUSY", 17: "EEXIST", 19: "ENODEV", 22: "EINVAL", 24: "EMFILE", 25: "ENOTTY", 28: "ENOSPC",
        29: "ESPIPE", 35: "EDEADLK", 38: "ENOSYS", 62: "ETIME", 95: "EOPNOTSUPP", 110: "ETIMEDOUT", 114: "EALREADY",
        117: "EUCLEAN", 125: "ECANCELED", 512: "ERESTARTSYS",
    ]
}

extension KernelErrno: CustomStringConvertible {
    public var description: String {
        Self.names[rawValue] ?? "errno \(rawValue)"
    }
}

extension KernelErrno {
    /// For C: 0, or the negative errno of what `body` throws.
    package static func result(_ body: () throws(KernelErrno) -> Void) -> Int32 {
        do throws(KernelErrno) {
            try body()
            return 0
        } catch {
            return -error.rawValue
        }
    }

    /// Passes a C result on: a count, or the negative errno as an error.
    @discardableResult
    @inlinable package static func check(_ result: Int32) throws(KernelErrno) -> Int {
        guard result >= 0 else { throw KernelErrno(rawValue: -result) }
        return Int(result)
    }
}
