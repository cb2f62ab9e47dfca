/* Which descriptors of the process stand for what of ours. */
#ifndef DRMSHIM_FILES_H
#define DRMSHIM_FILES_H

#include "drmshim/device.h"

struct node;

/* An open file, that several descriptors may share. */
struct drmshim_file {
    unsigned refs;                  /* descriptors and calls under way; under the table's lock */
    uint64_t serial;                /* no other file of the process has ever had it */
    int access;                     /* O_RDONLY, O_WRONLY or O_RDWR */
    void (*release)(void *object);
    void *object;                   /* of the device's: NULL in a child after fork */
    const struct node *node;        /* what was opened by its path; NULL: an exported object */
};

/* The file behind `fd`, for files_put(); NULL: none of ours. */
struct drmshim_file *files_get(int fd);
void files_put(struct drmshim_file *file);

/* The serial number of the file behind `fd`; 0: none of ours. */
uint64_t files_serial(int fd);

/* Makes `fd` stand for a new file, open for `access`; `object` belongs to it from then on. -ENOMEM, -EMFILE: nothing was
 * done. */
int files_add(int fd, const struct node *node, int access, void *object, void (*release)(void *object));

/* `fd` is a new descriptor for what `file` is, or, NULL, for something that is not ours. -ENOMEM, -EMFILE. */
int files_set(int fd, struct drmshim_file *file);

/* Takes `fd` out of the table, before it is closed; the file is to be put after that. NULL: nothing to put. */
struct drmshim_file *files_take(int fd);

/* The end of what is in the table, exclusive. */
int files_end(void);

/* Around fork(). A child has the parent's descriptors, but not its device. */
void files_before_fork(void);
void files_after_fork(bool in_child);

#endif
