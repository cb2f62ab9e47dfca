internal import Glibc

/// Starts a thread, which takes none of the process's signals; somebody is to join or detach it.
/// - Parameter end: what the thread does last: nothing that only `body` kept is left then.
func startJoinableThread(_ body: @escaping () -> Void, end: @escaping () -> Void = {}) -> pthread_t {
    var thread = pthread_t()
    let start = Unmanaged.passRetained(ThreadStart(body: body, end: end))
    var all = sigset_t(), before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    let result = pthread_create(&thread, nil, { argument in
        Unmanaged<ThreadStart>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
    }, start.toOpaque())
    pthread_sigmask(SIG_SETMASK, &before, nil)
    precondition(result == 0, "no thread: error \(result)")
    return thread
}

/// Starts a detached thread.
func startThread(_ body: @escaping () -> Void, end: @escaping () -> Void = {}) {
    pthread_detach(startJoinableThread(body, end: end))
}

private final class ThreadStart {
    private var body: (() -> Void)?
    private let end: () -> Void

    init(body: @escaping () -> Void, end: @escaping () -> Void) {
        self.body = body
        self.end = end
    }

    func run() {
        runBody()
        end()
    }

    /// A function of its own, so that the body is gone when it returns.
    @inline(never) private func runBody() {
        body.take()!()
    }
}
