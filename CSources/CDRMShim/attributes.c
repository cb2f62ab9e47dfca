/*
 * stat() and its kin, access(), readlink(), realpath().
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "interpose.h"

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "both kinds of stat are one on 64-bit hosts");

static int stat_at(int dirfd, const char *path, struct stat64 *out, int flags)
{
    const struct node *node;
    switch (find_at(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &node)) {
    case OURS:
        paths_stat(node, out);
        return 0;
    case NOBODYS:
        return returned(-ENOENT);
    default:
        return libc()->fstatat64(dirfd, path, out, flags);
    }
}

/* Of what was opened by its path; exported objects are what their descriptors are. */
static int stat_fd(int fd, struct stat64 *out)
{
    struct drmshim_file *file = files_get(fd);
    const struct node *node = file ? file->node : NULL;
    files_put(file);
    if (!node)
        return libc()->fstat64(fd, out);
    paths_stat(node, out);
    return 0;
}

INTERPOSE int stat(const char *path, struct stat *out)
{
    return stat_at(AT_FDCWD, path, (struct stat64 *)out, 0);
}

INTERPOSE int stat64(const char *path, struct stat64 *out)
{
    return stat_at(AT_FDCWD, path, out, 0);
}

INTERPOSE int lstat(const char *path, struct stat *out)
{
    return stat_at(AT_FDCWD, path, (struct stat64 *)out, AT_SYMLINK_NOFOLLOW);
}

INTERPOSE int lstat64(const char *path, struct stat64 *out)
{
    return stat_at(AT_FDCWD, path, out, AT_SYMLINK_NOFOLLOW);
}

INTERPOSE int fstat(int fd, struct stat *out)
{
    return stat_fd(fd, (struct stat64 *)out);
}

INTERPOSE int fstat64(int fd, struct stat64 *out)
{
    return stat_fd(fd, out);
}

INTERPOSE int fstatat64(int dirfd, const char *path, struct stat64 *out, int flags)
{
    if (flags & AT_EMPTY_PATH && paths_is_empty(path) && dirfd != AT_FDCWD)
        return stat_fd(dirfd, out);
    return stat_at(dirfd, path, out, flags);
}

INTERPOSE int fstatat(int dirfd, const char *path, struct stat *out, int flags)
{
    return fstatat64(dirfd, path, (struct stat64 *)out, flags);
}

/* What programs built before glibc 2.33 call. Their version of the struct is the only one of 64-bit hosts. */
int __xstat(int version, const char *path, struct stat *out);
int __xstat64(int version, const char *path, struct stat64 *out);
int __lxstat(int version, const char *path, struct stat *out);
int __lxstat64(int version, const char *path, struct stat64 *out);
int __fxstat(int version, int fd, struct stat *out);
int __fxstat64(int version, int fd, struct stat64 *out);
int __fxstatat(int version, int dirfd, const char *path, struct stat *out, int flags);
int __fxstatat64(int version, int dirfd, const char *path, struct stat64 *out, int flags);

INTERPOSE int __xstat(int version, const char *path, struct stat *out)
{
    (void)version;
    return stat(path, out);
}

INTERPOSE int __xstat64(int version, const char *path, struct stat64 *out)
{
    (void)version;
    return stat64(path, out);
}

INTERPOSE int __lxstat(int version, const char *path, struct stat *out)
{
    (void)version;
    return lstat(path, out);
}

INTERPOSE int __lxstat64(int version, const char *path, struct stat64 *out)
{
    (void)version;
    return lstat64(path, out);
}

INTERPOSE int __fxstat(int version, int fd, struct stat *out)
{
    (void)version;
    return fstat(fd, out);
}

INTERPOSE int __fxstat64(int version, int fd, struct stat64 *out)
{
    (void)version;
    return fstat64(fd, out);
}

INTERPOSE int __fxstatat(int version, int dirfd, const char *path, struct stat *out, int flags)
{
    (void)version;
    return fstatat(dirfd, path, out, flags);
}

INTERPOSE int __fxstatat64(int version, int dirfd, const char *path, struct stat64 *out, int flags)
{
    (void)version;
    return fstatat64(dirfd, path, out, flags);
}

INTERPOSE int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *out)
{
    struct drmshim_file *file = flags & AT_EMPTY_PATH && paths_is_empty(path) ? files_get(dirfd) : NULL;
    const struct node *node = file ? file->node : NULL;
    files_put(file);
    enum whose whose = node ? OURS : find_at(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &node);
    if (whose == NOBODYS)
        return returned(-ENOENT);
    if (whose == LIBCS)
        return libc()->statx(dirfd, path, flags, mask, out);
    struct stat64 s;
    paths_stat(node, &s);
    *out = (struct statx){
        .stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_INO | STATX_SIZE,
        .stx_blksize = (uint32_t)s.st_blksize,
        .stx_nlink = (uint32_t)s.st_nlink,
        .stx_mode = (uint16_t)s.st_mode,
        .stx_ino = s.st_ino,
        .stx_size = (uint64_t)s.st_size,
        .stx_rdev_major = major(s.st_rdev),
        .stx_rdev_minor = minor(s.st_rdev),
        .stx_dev_major = major(s.st_dev),
        .stx_dev_minor = minor(s.st_dev),
    };
    return 0;
}

INTERPOSE int faccessat(int dirfd, const char *path, int mode, int flags)
{
    const struct node *node;
    switch (find_at(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &node)) {
    case OURS:
        return returned((node->mode & (mode_t)mode) == (mode_t)mode ? 0 : -EACCES);
    case NOBODYS:
        return returned(-ENOENT);
    default:
        return dirfd == AT_FDCWD && flags == 0 ? libc()->access(path, mode) : libc()->faccessat(dirfd, path, mode, flags);
    }
}

INTERPOSE int access(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, 0);
}

/* At most `n` bytes of a link's text, without a terminator. */
static ssize_t read_link(const struct node *node, char *out, size_t n)
{
    struct drmshim_identity identity;
    char text[PATH_MAX];
    if (!S_ISLNK(node->mode))
        return returned(-EINVAL);
    int result = device_identify(&identity);
    if (result)
        return returned(result);
    size_t length = (size_t)node->print(&identity, text, sizeof(text));
    length = length < n ? length : n;
    memcpy(out, text, length);
    return (ssize_t)length;
}

INTERPOSE ssize_t readlinkat(int dirfd, const char *path, char *out, size_t n)
{
    const struct node *node;
    switch (find_at(dirfd, path, false, &node)) {
    case OURS:
        return read_link(node, out, n);
    case NOBODYS:
        return returned(-ENOENT);
    default:
        return dirfd == AT_FDCWD ? libc()->readlink(path, out, n) : libc()->readlinkat(dirfd, path, out, n);
    }
}

INTERPOSE ssize_t readlink(const char *path, char *out, size_t n)
{
    return readlinkat(AT_FDCWD, path, out, n);
}

/* What calls become under _FORTIFY_SOURCE; the compiler has looked at what it could know. */
ssize_t __readlink_chk(const char *path, char *out, size_t n, size_t size);
ssize_t __readlinkat_chk(int dirfd, const char *path, char *out, size_t n, size_t size);
char *__realpath_chk(const char *path, char *out, size_t size);

INTERPOSE ssize_t __readlink_chk(const char *path, char *out, size_t n, size_t size)
{
    return n > size ? (abort(), -1) : readlink(path, out, n);
}

INTERPOSE ssize_t __readlinkat_chk(int dirfd, const char *path, char *out, size_t n, size_t size)
{
    return n > size ? (abort(), -1) : readlinkat(dirfd, path, out, n);
}

INTERPOSE char *realpath(const char *path, char *out)
{
    const struct node *node;
    struct drmshim_identity identity;
    char text[PATH_MAX];
    int result = 0;
    switch (paths_find(NULL, path, true, &node)) {
    case LIBCS:
        return libc()->realpath(path, out);
    case NOBODYS:
        result = -ENOENT;
        break;
    case OURS:
        result = node->path[0] == '@' ? device_identify(&identity) : 0;
    }
    if (result) {
        errno = -result;
        return NULL;
    }
    if (S_ISLNK(node->mode)) /* out of the tree */
        node->print(&identity, text, sizeof(text));
    else
        paths_print(node, &identity, text);
    return out ? strcpy(out, text) : strdup(text);
}

INTERPOSE char *__realpath_chk(const char *path, char *out, size_t size)
{
    return size < PATH_MAX ? (abort(), NULL) : realpath(path, out);
}

INTERPOSE char *canonicalize_file_name(const char *path)
{
    return realpath(path, NULL);
}
