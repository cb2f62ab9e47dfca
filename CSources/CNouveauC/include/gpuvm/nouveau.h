/*
 * gpuvm nouveau: a simulated NVIDIA GPU under Linux's nouveau driver, in this process. What a client of nouveau does
 * with a device file (open, ioctl, mmap, close) it does here with functions; what it submits really happens.
 *
 *     struct gpuvm_nouveau_config config = { .size = sizeof(config), .chipset = 0x172 };
 *     gpuvm_nouveau_create(&config, &device);
 *     gpuvm_nouveau_open(device, "client", &file);
 *     gpuvm_nouveau_ioctl(file, DRM_IOCTL_NOUVEAU_VM_INIT, &init);
 *
 * Functions return 0 or a count, and a negative errno on failure. They never set errno.
 *
 * Threads. A stepped device (the default) does nothing by itself: calls that wait have it go on, as have the functions
 * at the end of this file; it is used from one thread, the one that made it. A threaded device works by itself on
 * threads of its own and may be used from any thread.
 *
 * Environment. GPUVM_RECORD=PATH has a device write what is asked of it, and what it answers, as a trace, which `gpuvm
 * replay` runs; "%p" stands for the process's number, and a PATH that ends in ".gz" is gzipped. It is whole when the device
 * is destroyed or the process exits. GPUVM_RECORD_MEMORY=1 has the contents of buffers written too: an EXEC then returns
 * when it is done or, on a threaded device, after a second. What cannot be written is said once on standard error, the one thing that is ever printed.
 *
 * Requests and structs are those of the kernel's <drm/drm.h> and <drm/nouveau_drm.h>.
 */
#ifndef GPUVM_NOUVEAU_H
#define GPUVM_NOUVEAU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gpuvm_nouveau;         /* a device */
struct gpuvm_nouveau_file;    /* an open file of it */
struct gpuvm_nouveau_mapping; /* a buffer's memory */

#define GPUVM_NOUVEAU_THREADED (1u << 0)

/* Zero it, set `size` to sizeof(struct gpuvm_nouveau_config), fill the rest. */
struct gpuvm_nouveau_config {
    size_t size;
    uint32_t chipset; /* as nouveau numbers them: 0x172 is a GA102 */
    uint32_t flags;   /* GPUVM_NOUVEAU_THREADED */
    uint64_t vram;    /* bytes, a multiple of 4096, 32 MiB to 128 GiB; 0: 3 GiB */
    uint64_t gart;    /* bytes of system memory that the GPU may see, a multiple of 4096, up to 512 GiB; 0: 8 GiB */
    uint64_t seed;    /* stepped: not 0: what could go first does in an order drawn from this; 0: in turn */
};

/* Makes a device. -EINVAL: config->size or flags unknown, a bad memory size, a NULL argument, or the host's pages are larger
 * than 4096 bytes; -ENODEV: no such chipset, or one older than Fermi; -ENOMEM. */
int gpuvm_nouveau_create(const struct gpuvm_nouveau_config *config, struct gpuvm_nouveau **out);
/* Its files and mappings must be gone. NULL ok. */
void gpuvm_nouveau_destroy(struct gpuvm_nouveau *device);

/* Opens its render node. `name` is the client's, as debugfs shows it; NULL: none. Always 0. */
int gpuvm_nouveau_open(struct gpuvm_nouveau *device, const char *name, struct gpuvm_nouveau_file **out);
/* Waits for what is submitted. NULL ok. */
void gpuvm_nouveau_close(struct gpuvm_nouveau_file *file);

/* One ioctl: 0 or a negative errno, as the kernel's. `arg` points to the struct that `request` says the size of. */
int gpuvm_nouveau_ioctl(struct gpuvm_nouveau_file *file, uint32_t request, void *arg);

/* A buffer's memory, by the map_handle of GEM_NEW or GEM_INFO; readable and writable at *memory until it is unmapped,
 * whatever becomes of the handle and of the file. -EINVAL: no buffer begins there, or it is shorter than `length`, or
 * that is 0; -EACCES: the file has no handle of it. */
int gpuvm_nouveau_mmap(struct gpuvm_nouveau_file *file, uint64_t offset, uint64_t length, void **memory,
                       struct gpuvm_nouveau_mapping **out);
/* NULL ok. */
void gpuvm_nouveau_munmap(struct gpuvm_nouveau_mapping *mapping);

/* Closes a descriptor number that PRIME_HANDLE_TO_FD or SYNCOBJ_HANDLE_TO_FD gave: they are the device's own, not the
 * process's. Others are ignored. */
void gpuvm_nouveau_close_fd(struct gpuvm_nouveau *device, int fd);

/* Has a stepped device do one thing: run or free a job, go on with a push, fire a timer that is due. 1: it did; 0: there
 * is nothing to do. Always 0 for a threaded one. */
int gpuvm_nouveau_step(struct gpuvm_nouveau *device);
/* Steps until there is nothing to do, then lets so many nanoseconds of the device's clock pass, with what comes due.
 * Nothing for a threaded one. */
void gpuvm_nouveau_advance(struct gpuvm_nouveau *device, uint64_t nanoseconds);
/* The device's clock in nanoseconds; waits take deadlines of it. Threaded: CLOCK_MONOTONIC. */
uint64_t gpuvm_nouveau_now(struct gpuvm_nouveau *device);

/* How many faults stopped channels so far. */
size_t gpuvm_nouveau_fault_count(struct gpuvm_nouveau *device);
/* Fault number `i`, from 0, in one line: up to n - 1 bytes and a terminator, nothing where `text` is NULL or `n` 0. The
 * length it has, as snprintf; -EINVAL: no such fault. */
int gpuvm_nouveau_fault(struct gpuvm_nouveau *device, size_t i, char *text, size_t n);

#ifdef __cplusplus
}
#endif
#endif
