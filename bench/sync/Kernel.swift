import Glibc
import Peers

/// The kernel's own code, from the library that make builds where its sources are (`swift_peer` in bench/Makefile).
enum Kernel {
    nonisolated(unsafe) private static let library = dlopen("build/bench/opened/kernel.so", RTLD_LAZY | RTLD_LOCAL)

    /// `nil`: it is not there, and neither are its numbers.
    static let bind: bind_peer? = peer("bind_kernel")
    static let exec: exec_peer? = peer("exec_kernel")

    private static func peer<Peer>(_ name: String) -> Peer? {
        library.flatMap { dlsym($0, name) }?.load(as: Peer.self)
    }
}
