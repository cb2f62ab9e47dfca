/*
 * getxattr() and its kin, by path. What is ours has no extended attributes: `ls -l` looks for them.
 */
#include <sys/xattr.h>

#include "interpose.h"

/* false: libc's business; else `*error` is for the caller. */
static bool is_ours(const char *path, bool follow, int *error)
{
    const struct node *node;
    enum whose whose = paths_find(NULL, path, follow, &node);
    *error = whose == OURS ? -EOPNOTSUPP : -ENOENT;
    return whose != LIBCS;
}

#define GETXATTR(name, follow)                                                                                         \
    INTERPOSE ssize_t name(const char *path, const char *attribute, void *out, size_t n)                               \
    {                                                                                                                  \
        int error;                                                                                                     \
        return is_ours(path, follow, &error) ? returned(error) : libc()->name(path, attribute, out, n);                \
    }
GETXATTR(getxattr, true)
GETXATTR(lgetxattr, false)

#define LISTXATTR(name, follow)                                                                                        \
    INTERPOSE ssize_t name(const char *path, char *out, size_t n)                                                      \
    {                                                                                                                  \
        int error;                                                                                                     \
        return is_ours(path, follow, &error) ? returned(error) : libc()->name(path, out, n);                           \
    }
LISTXATTR(listxattr, true)
LISTXATTR(llistxattr, false)
