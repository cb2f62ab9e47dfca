/*
 * The paths by which programs find a GPU: /dev/dri, the other name of a node in /dev/char, and what /sys tells of its
 * render node. They are the device's; other GPUs of the machine are hidden. No other path is touched.
 */
#ifndef DRMSHIM_PATHS_H
#define DRMSHIM_PATHS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "drmshim/device.h"

enum { DRM_MAJOR = 226, RENDER_MINOR = 128 };

struct node {
    const char *path; /* '@' at its start: the folder of the device in /sys */
    mode_t mode;      /* with the type */
    /* The text of a file, the target of a link. */
    int (*print)(const struct drmshim_identity *, char *out, size_t n);
};

enum whose {
    LIBCS,  /* no path of ours: libc's business */
    OURS,
    NOBODYS /* hidden, or not there */
};

/* What stands at a path of the process, absolute or relative to `folder`, NULL: to what libc knows. With `follow`, a link
 * at its end is followed. */
enum whose paths_find(const struct node *folder, const char *path, bool follow, const struct node **out);

/* "", what AT_EMPTY_PATH goes with. */
bool paths_is_empty(const char *path);

/* The path without links, as realpath() gives it. */
void paths_print(const struct node *node, const struct drmshim_identity *identity, char out[PATH_MAX]);

/* The i-th of what is in a folder, by its name; NULL: there are no more. */
const struct node *paths_child(const struct node *folder, size_t i);
const char *paths_name(const struct node *node);

void paths_stat(const struct node *node, struct stat64 *out);

#endif
