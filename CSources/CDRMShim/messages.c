/*
 * sendmsg() and recvmsg(): descriptors that a process sends to itself, as tests of exports do. A descriptor of ours that is
 * sent stays open here, as a copy, until it comes back under another number; the kernel tells that it is the same file.
 * What goes to another process is a placeholder there. Where the kernel does not say that it does, the copy is closed when
 * there are too many.
 *
 * Locking: one lock for the list, held over kcmp() alone.
 */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "interpose.h"

enum { MOST = 64 };

struct copy {
    int fd;
    uint64_t serial; /* of its file */
};

static struct copy copies[MOST]; /* the oldest first */
static size_t count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Takes the i-th out. */
static struct copy take_at(size_t i)
{
    struct copy copy = copies[i];
    memmove(&copies[i], &copies[i + 1], (--count - i) * sizeof(*copies));
    return copy;
}

/* A program that closes descriptors it does not know of closes copies too, and their numbers may be its own by now. */
static bool is_there(struct copy copy)
{
    return copy.serial && files_serial(copy.fd) == copy.serial;
}

static void close_copy(struct copy copy)
{
    if (is_there(copy))
        close(copy.fd);
}

/* With the copy of a descriptor that is sent. */
static void keep(int fd)
{
    struct copy oldest = {0}, copy = {.fd = files_serial(fd) ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1};
    if (copy.fd < 0)
        return;
    copy.serial = files_serial(copy.fd);
    pthread_mutex_lock(&lock);
    if (count == MOST)
        oldest = take_at(0);
    copies[count++] = copy;
    pthread_mutex_unlock(&lock);
    close_copy(oldest);
}

static bool is_same_file(int a, int b)
{
    long pid = getpid();
    return syscall(SYS_kcmp, pid, pid, KCMP_FILE, a, b) == 0;
}

/* The copy of what `fd` is open on, which is the caller's from then on; serial 0: none. */
static struct copy take(int fd)
{
    struct copy copy = {0};
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count && !copy.serial; i++) {
        if (is_same_file(fd, copies[i].fd))
            copy = take_at(i);
    }
    pthread_mutex_unlock(&lock);
    return copy;
}

static void forget(int fd)
{
    close_copy(take(fd));
}

static void receive(int fd)
{
    struct copy copy = take(fd);
    struct drmshim_file *file = is_there(copy) ? files_get(copy.fd) : NULL;
    files_set(fd, file);
    files_put(file);
    close_copy(copy);
}

/* As far as the kernel knows: who was at the other end when the two were connected. */
static bool goes_to_another(int socket)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid != 0 && peer.pid != getpid();
}

/* Up to the first part whose length cannot be: the kernel answers EINVAL. */
static void for_each(const struct msghdr *message, void (*body)(int fd))
{
    struct msghdr *m = (struct msghdr *)message;
    const char *end = (const char *)m->msg_control + m->msg_controllen;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_len > (size_t)(end - (const char *)c))
            return;
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
            body(fd);
        }
    }
}

INTERPOSE ssize_t sendmsg(int socket, const struct msghdr *message, int flags)
{
    bool keeps = message && message->msg_controllen && !goes_to_another(socket);
    if (keeps)
        for_each(message, keep);
    ssize_t result = libc()->sendmsg(socket, message, flags);
    int error = errno;
    if (result < 0 && keeps)
        for_each(message, forget);
    errno = error;
    return result;
}

INTERPOSE ssize_t recvmsg(int socket, struct msghdr *message, int flags)
{
    ssize_t result = libc()->recvmsg(socket, message, flags);
    int error = errno;
    if (result >= 0 && message->msg_controllen)
        for_each(message, receive);
    errno = error;
    return result;
}

void messages_before_fork(void)
{
    pthread_mutex_lock(&lock);
}

void messages_after_fork(void)
{
    pthread_mutex_unlock(&lock);
}
