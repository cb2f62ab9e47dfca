/* What the interposers share. Each file of them says which functions of libc it stands in front of. */
#ifndef DRMSHIM_INTERPOSE_H
#define DRMSHIM_INTERPOSE_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "device.h"
#include "files.h"
#include "libc.h"
#include "paths.h"

/* Functions that the library shows. */
#define INTERPOSE __attribute__((visibility("default")))

/* -1 with errno from a negative errno; other results as they are. */
static inline int returned(int result)
{
    if (result >= 0)
        return result;
    errno = -result;
    return -1;
}

/* As paths_find(), relative to the folder that `dirfd` is open on. */
enum whose find_at(int dirfd, const char *path, bool follow, const struct node **out);

/* A descriptor on what stands at a path; -1 with errno. */
int open_node(const struct node *node, int flags);

/* Around fork(). */
void folders_before_fork(void);
void folders_after_fork(void);
void messages_before_fork(void);
void messages_after_fork(void);

#endif
