/*
 * open() and its kin, fopen() and fclose().
 *
 * A descriptor of ours is one of the process like any other, so that numbers, limits and close-on-exec are the kernel's:
 * an eventfd for a render node (never readable, as one without events), an empty memfd for a folder; texts are memfds and
 * nothing else of ours.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "interpose.h"

static int open_text(const struct node *node, int flags)
{
    struct drmshim_identity identity;
    int result = device_identify(&identity);
    if (result)
        return result;
    char text[512];
    int length = node->print(&identity, text, sizeof(text));
    int fd = memfd_create(paths_name(node), flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
    if (fd < 0)
        return -errno;
    if (write(fd, text, (size_t)length) != length || lseek(fd, 0, SEEK_SET) != 0) {
        libc()->close(fd);
        return -EIO;
    }
    return fd;
}

static int open_device(const struct node *node, int flags)
{
    void *device, *object;
    int result = device_get(&device);
    if (result)
        return result;
    int fd = eventfd(0, (flags & O_CLOEXEC ? EFD_CLOEXEC : 0) | (flags & O_NONBLOCK ? EFD_NONBLOCK : 0));
    if (fd < 0)
        return -errno;

    char comm[17] = "", client[48];
    prctl(PR_GET_NAME, comm);
    snprintf(client, sizeof(client), "%s[%d]:%d", comm, (int)getpid(), fd);
    result = drmshim_ops.open(device, client, &object);
    if (result == 0) {
        result = files_add(fd, node, flags & O_ACCMODE, object, drmshim_ops.release);
        if (result)
            drmshim_ops.release(object);
    }
    if (result)
        libc()->close(fd);
    return result ? result : fd;
}

static int open_folder(const struct node *node, int flags)
{
    int fd = memfd_create(paths_name(node), flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
    if (fd < 0)
        return -errno;
    int result = files_add(fd, node, O_RDONLY, NULL, NULL);
    if (result)
        libc()->close(fd);
    return result ? result : fd;
}

int open_node(const struct node *node, int flags)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return returned(-EEXIST);
    switch (node->mode & S_IFMT) {
    case S_IFDIR:
        return returned(writes ? -EISDIR : open_folder(node, flags));
    case S_IFCHR:
        return returned(flags & O_DIRECTORY ? -ENOTDIR : open_device(node, flags));
    case S_IFREG:
        return returned(flags & O_DIRECTORY ? -ENOTDIR : writes ? -EACCES : open_text(node, flags));
    default: /* a link that leads out of the tree, or is not to be followed */
        return returned(flags & O_NOFOLLOW ? -ELOOP : -ENOENT);
    }
}

enum whose find_at(int dirfd, const char *path, bool follow, const struct node **out)
{
    struct drmshim_file *folder = path && path[0] != '/' ? files_get(dirfd) : NULL;
    enum whose whose = paths_find(folder ? folder->node : NULL, path, follow, out);
    files_put(folder);
    return whose;
}

static int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
    const struct node *node;
    switch (find_at(dirfd, path, !(flags & O_NOFOLLOW), &node)) {
    case OURS:
        return open_node(node, flags);
    case NOBODYS:
        return returned(-ENOENT);
    case LIBCS:
        break;
    }
    int fd = dirfd == AT_FDCWD ? libc()->open64(path, flags, mode) : libc()->openat64(dirfd, path, flags, mode);
    if (fd >= 0)
        files_set(fd, NULL);
    return fd;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name)                                                                                                     \
    INTERPOSE int name(const char *path, int flags, ...)                                                               \
    {                                                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode_t mode = mode_of(flags, arguments);                                                                       \
        va_end(arguments);                                                                                             \
        return open_at(AT_FDCWD, path, flags, mode);                                                                   \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                                   \
    INTERPOSE int name(int dirfd, const char *path, int flags, ...)                                                    \
    {                                                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode_t mode = mode_of(flags, arguments);                                                                       \
        va_end(arguments);                                                                                             \
        return open_at(dirfd, path, flags, mode);                                                                      \
    }
OPENAT(openat)
OPENAT(openat64)

/* What calls with two arguments become under _FORTIFY_SOURCE. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);

INTERPOSE int __open_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

INTERPOSE int __open64_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

INTERPOSE int __openat_2(int dirfd, const char *path, int flags)
{
    return open_at(dirfd, path, flags, 0);
}

INTERPOSE int __openat64_2(int dirfd, const char *path, int flags)
{
    return open_at(dirfd, path, flags, 0);
}

/* Only ever to read: there is nothing of ours to write with it. */
static FILE *open_stream(const char *path, const char *mode)
{
    const struct node *node;
    switch (paths_find(NULL, path, true, &node)) {
    case LIBCS:
        return libc()->fopen64(path, mode);
    case NOBODYS:
        errno = ENOENT;
        return NULL;
    case OURS:
        break;
    }
    int flags = strchr(mode, 'e') ? O_CLOEXEC : 0;
    bool writes = mode[0] != 'r' || strchr(mode, '+');
    int fd = open_node(node, flags | (writes ? O_RDWR : O_RDONLY));
    FILE *stream = fd < 0 ? NULL : fdopen(fd, mode);
    if (fd >= 0 && !stream) {
        int error = errno;
        close(fd);
        errno = error;
    }
    return stream;
}

INTERPOSE FILE *fopen(const char *path, const char *mode)
{
    return open_stream(path, mode);
}

INTERPOSE FILE *fopen64(const char *path, const char *mode)
{
    return open_stream(path, mode);
}

/* libc closes the descriptor without a call of close(). */
INTERPOSE int fclose(FILE *stream)
{
    int error = errno;
    struct drmshim_file *file = files_take(fileno(stream));
    errno = error; /* a stream in memory has no descriptor */
    int result = libc()->fclose(stream);
    error = errno;
    files_put(file);
    errno = error;
    return result;
}
