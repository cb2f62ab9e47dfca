internal import Glibc

/// Starts a thread; somebody is to join or detach it.
func startJoinableThread(_ body: @escaping () -> Void) -> pthread_t {
    final class Box {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body))
    let result = pthread_create(&thread, nil, { argument in
        Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
    }, box.toOpaque())
    precondition(result == 0, "no thread: error \(result)")
    return thread
}

/// Starts a detached thread.
func startThread(_ body: @escaping () -> Void) {
    pthread_detach(startJoinableThread(body))
}
