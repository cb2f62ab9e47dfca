/*
 * The seam of the preload library: above it C that stands in for libc's functions, below it the device, in Swift.
 *
 * The C side calls through a table that drmshim_start() fills; nothing of the device runs before somebody asks for
 * /dev/dri or what /sys says of it. The device calls back for descriptors, which are the process's own.
 */
#ifndef DRMSHIM_DEVICE_H
#define DRMSHIM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What /sys tells of the device. */
struct drmshim_identity {
    uint16_t vendor, device; /* of PCI; 0: it is part of a system on chip */
    char compatible[32];     /* of a system on chip: "nvidia,gm20b" */
};

/* A part of the file behind a device's memory. */
struct drmshim_memory {
    int fd;
    uint64_t offset;
    void *mapping; /* for unmapped() */
};

/* Those that return something return 0 or a negative errno. Any thread may call any of them, with no lock held. */
struct drmshim_ops {
    /* Makes the process's device, or says on standard error why there is none. Called by one thread at a time, with the
     * lock of its making. */
    int (*create)(void **device);
    void (*identify)(void *device, struct drmshim_identity *out);
    /* Opens its render node. `client` is "comm[pid]:fd", so that reports tell which of a process's files it is. */
    int (*open)(void *device, const char *client, void **object);
    /* On what an open descriptor stands for. */
    int (*ioctl)(void *object, int fd, uint32_t request, void *arg);
    int (*map)(void *object, uint64_t offset, uint64_t length, bool writable, bool shared, struct drmshim_memory *out);
    void (*unmapped)(void *mapping);
    /* The last descriptor of it is closed, and nobody is in a call on it. */
    void (*release)(void *object);
};

/* Fills the table. Once, before anything else of it. */
void drmshim_start(struct drmshim_ops *ops);

struct drmshim_file;

/* Makes `fd`, a descriptor of the process, stand for an object of the device's; without `writable` its memory can only be
 * mapped to be read. -ENOMEM, -EMFILE. */
int drmshim_add(int fd, bool writable, void *object);
/* What stands behind `fd`, kept until it is put; NULL: nothing of ours. */
struct drmshim_file *drmshim_get(int fd);
/* NULL: the parent's, before a fork. */
void *drmshim_object(const struct drmshim_file *file);
void drmshim_put(struct drmshim_file *file);

#endif
