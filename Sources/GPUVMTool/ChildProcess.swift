internal import ArgumentParser
internal import Glibc
internal import Synchronization

/// A program that takes this one's place, as far as who started it can see: it has the terminal, and gets the signals.
struct ChildProcess {
    private let pid: pid_t

    /// Ends this process the way env(1) does where the program cannot be started.
    init(_ command: [String], _ environment: [String: String]) throws {
        // What a terminal sends goes to both; the child's end is this one's. What was ignored before stays so for it too.
        let ignored = unsafeBitCast(SIG_IGN, to: Int.self)
        let taken = Self.ofTerminal.filter { unsafeBitCast(Glibc.signal($0, SIG_IGN), to: Int.self) != ignored }
        // What is to be passed on waits until there is somebody to pass it on to.
        var held = signals(Self.passedOn), mask = sigset_t()
        sigprocmask(SIG_BLOCK, &held, &mask)
        defer { sigprocmask(SIG_SETMASK, &mask, nil) }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var defaults = signals(taken)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setsigmask(&attributes, &mask)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))

        var pid: pid_t = 0
        let result = withCStrings(command) { arguments in
            withCStrings(environment.map { "\($0)=\($1)" }) { variables in
                posix_spawnp(&pid, arguments[0]!, nil, &attributes, arguments, variables)
            }
        }
        guard result == 0 else {
            complain("gpuvm: \(command[0]): \(String(cString: strerror(result)))")
            throw ExitCode(result == ENOENT ? 127 : 126)
        }
        self.pid = pid
        started.store(pid, ordering: .relaxed)
        for signal in Self.passedOn {
            Glibc.signal(signal) { number in
                let child = started.load(ordering: .relaxed)
                if child > 0 { kill(child, number) }
            }
        }
    }

    private static let ofTerminal = [SIGINT, SIGQUIT]
    private static let passedOn = [SIGTERM, SIGHUP, SIGUSR1, SIGUSR2]

    /// - Returns: its exit code, or 128 + the number of the signal that ended it.
    func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        started.store(0, ordering: .relaxed)
        let signal = status & 0x7f
        return signal == 0 ? status >> 8 & 0xff : 128 + signal
    }
}

/// The child, for the handler of signals; 0: it has ended.
private let started = Atomic<pid_t>(0)

private func signals(_ numbers: [Int32]) -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for number in numbers { sigaddset(&set, number) }
    return set
}

/// An array of C strings as exec takes it.
private func withCStrings<R>(_ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R) -> R {
    let strings = texts.map { strdup($0) } + [nil]
    defer { for string in strings { free(string) } }
    return strings.withUnsafeBufferPointer { body($0.baseAddress!) }
}
