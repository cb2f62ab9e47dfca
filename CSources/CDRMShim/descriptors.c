/*
 * close(), the dups, fcntl(), ioctl().
 */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "interpose.h"

/* A descriptor goes out of the table before its number can be another's, and its file after it. */
INTERPOSE int close(int fd)
{
    struct drmshim_file *file = files_take(fd);
    int result = libc()->close(fd);
    int error = errno;
    files_put(file);
    errno = error;
    return result;
}

static void close_ours(unsigned first, unsigned last)
{
    for (unsigned fd = first; fd <= last && fd < (unsigned)files_end(); fd++) {
        struct drmshim_file *file = files_get((int)fd);
        if (file)
            close((int)fd);
        files_put(file);
    }
}

INTERPOSE int close_range(unsigned first, unsigned last, int flags)
{
    if (!(flags & ~(int)CLOSE_RANGE_UNSHARE)) /* others close nothing */
        close_ours(first, last);
    return libc()->close_range(first, last, flags);
}

INTERPOSE void closefrom(int first)
{
    close_ours(first < 0 ? 0 : (unsigned)first, ~0u);
    libc()->closefrom(first);
}

/* `fd` is the duplicate that libc made of `file`'s descriptor, or -1. */
static int duplicated(int fd, struct drmshim_file *file)
{
    int result = fd < 0 ? 0 : files_set(fd, file);
    if (result < 0) {
        libc()->close(fd);
        fd = returned(result);
    }
    int error = errno;
    files_put(file);
    errno = error;
    return fd;
}

INTERPOSE int dup(int fd)
{
    struct drmshim_file *file = files_get(fd);
    return duplicated(libc()->dup(fd), file);
}

INTERPOSE int dup2(int fd, int new)
{
    if (fd == new)
        return libc()->dup2(fd, new);
    struct drmshim_file *file = files_get(fd);
    return duplicated(libc()->dup2(fd, new), file);
}

INTERPOSE int dup3(int fd, int new, int flags)
{
    struct drmshim_file *file = files_get(fd);
    return duplicated(libc()->dup3(fd, new, flags), file);
}

static int control(int fd, int command, long argument)
{
    if (command != F_DUPFD && command != F_DUPFD_CLOEXEC)
        return libc()->fcntl64(fd, command, argument);
    struct drmshim_file *file = files_get(fd);
    return duplicated(libc()->fcntl64(fd, command, argument), file);
}

#define FCNTL(name)                                                                                                    \
    INTERPOSE int name(int fd, int command, ...)                                                                       \
    {                                                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, command);                                                                                  \
        long argument = va_arg(arguments, long);                                                                       \
        va_end(arguments);                                                                                             \
        return control(fd, command, argument);                                                                         \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

INTERPOSE int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);

    struct drmshim_file *file = files_get(fd);
    bool is_generic = _IOC_TYPE(request) == 'T'; /* FIONBIO and the like, which the kernel does for all files */
    if (!file || is_generic || (file->node && S_ISDIR(file->node->mode))) {
        int result = libc()->ioctl(fd, request, argument);
        files_put(file);
        return result;
    }
    int result = file->object ? drmshim_ops.ioctl(file->object, fd, (uint32_t)request, argument) : -ENODEV;
    files_put(file);
    return returned(result);
}
