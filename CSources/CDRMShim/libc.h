/*
 * libc's own functions, those that this library stands in front of. Callable at any time, also before constructors ran.
 */
#ifndef DRMSHIM_LIBC_H
#define DRMSHIM_LIBC_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define LIBC_FUNCTIONS(X)                                                                                              \
    X(int, open64, (const char *, int, ...))                                                                           \
    X(int, openat64, (int, const char *, int, ...))                                                                    \
    X(FILE *, fopen64, (const char *, const char *))                                                                   \
    X(int, fclose, (FILE *))                                                                                           \
    X(int, close, (int))                                                                                               \
    X(int, close_range, (unsigned, unsigned, int))                                                                     \
    X(void, closefrom, (int))                                                                                          \
    X(int, dup, (int))                                                                                                 \
    X(int, dup2, (int, int))                                                                                           \
    X(int, dup3, (int, int, int))                                                                                      \
    X(int, fcntl64, (int, int, ...))                                                                                   \
    X(int, ioctl, (int, unsigned long, ...))                                                                           \
    X(void *, mmap64, (void *, size_t, int, int, int, off64_t))                                                        \
    X(int, munmap, (void *, size_t))                                                                                   \
    X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                                             \
    X(ssize_t, recvmsg, (int, struct msghdr *, int))                                                                   \
    X(int, stat64, (const char *, struct stat64 *))                                                                    \
    X(int, lstat64, (const char *, struct stat64 *))                                                                   \
    X(int, fstat64, (int, struct stat64 *))                                                                            \
    X(int, fstatat64, (int, const char *, struct stat64 *, int))                                                       \
    X(int, statx, (int, const char *, int, unsigned, struct statx *))                                                  \
    X(int, access, (const char *, int))                                                                                \
    X(int, faccessat, (int, const char *, int, int))                                                                   \
    X(ssize_t, readlink, (const char *, char *, size_t))                                                               \
    X(ssize_t, readlinkat, (int, const char *, char *, size_t))                                                        \
    X(char *, realpath, (const char *, char *))                                                                        \
    X(char *, canonicalize_file_name, (const char *))                                                                  \
    X(ssize_t, getxattr, (const char *, const char *, void *, size_t))                                                 \
    X(ssize_t, lgetxattr, (const char *, const char *, void *, size_t))                                                \
    X(ssize_t, listxattr, (const char *, char *, size_t))                                                              \
    X(ssize_t, llistxattr, (const char *, char *, size_t))                                                             \
    X(DIR *, opendir, (const char *))                                                                                  \
    X(DIR *, fdopendir, (int))                                                                                         \
    X(struct dirent64 *, readdir64, (DIR *))                                                                           \
    X(int, readdir64_r, (DIR *, struct dirent64 *, struct dirent64 **))                                                \
    X(int, closedir, (DIR *))                                                                                          \
    X(void, rewinddir, (DIR *))                                                                                        \
    X(long, telldir, (DIR *))                                                                                          \
    X(void, seekdir, (DIR *, long))                                                                                    \
    X(int, dirfd, (DIR *))

struct libc {
    _Atomic(bool) is_loaded;
#define X(result, name, parameters) result(*name) parameters;
    LIBC_FUNCTIONS(X)
#undef X
};

/* The table, filled. */
const struct libc *libc(void);

#endif
