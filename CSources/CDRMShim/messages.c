/*
 * sendmsg() and recvmsg(): descriptors that a process sends to itself, as tests of exports do. A descriptor of ours that is
 * sent stays open here, as a copy, until it comes back under another number; the kernel tells that it is the same file.
 * What goes to another process is a placeholder there, and its copy is closed when there are too many.
 *
 * Locking: one lock for the list, held over nothing else.
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

static int copies[MOST]; /* the oldest first */
static size_t count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Takes the i-th out. */
static int take_at(size_t i)
{
    int copy = copies[i];
    memmove(&copies[i], &copies[i + 1], (--count - i) * sizeof(*copies));
    return copy;
}

/* With the copy of a descriptor that is sent. */
static void keep(int fd)
{
    struct drmshim_file *file = files_get(fd);
    int copy = file ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    files_put(file);
    if (copy < 0)
        return;
    pthread_mutex_lock(&lock);
    int oldest = count == MOST ? take_at(0) : -1;
    copies[count++] = copy;
    pthread_mutex_unlock(&lock);
    if (oldest >= 0)
        close(oldest);
}

static bool is_same_file(int a, int b)
{
    long pid = getpid();
    return syscall(SYS_kcmp, pid, pid, KCMP_FILE, a, b) == 0;
}

/* The copy of what `fd` is open on, which is the caller's from then on; -1: none. */
static int take(int fd)
{
    int copy = -1;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count && copy < 0; i++) {
        if (is_same_file(fd, copies[i]))
            copy = take_at(i);
    }
    pthread_mutex_unlock(&lock);
    return copy;
}

static void forget(int fd)
{
    int copy = take(fd);
    if (copy >= 0)
        close(copy);
}

static void receive(int fd)
{
    int copy = take(fd);
    struct drmshim_file *file = copy < 0 ? NULL : files_get(copy);
    files_set(fd, file);
    files_put(file);
    if (copy >= 0)
        close(copy);
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
    if (message)
        for_each(message, keep);
    ssize_t result = libc()->sendmsg(socket, message, flags);
    int error = errno;
    if (result < 0 && message)
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
