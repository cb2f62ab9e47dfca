/* Where the device's memory is mapped in the process: a buffer lives as long as a mapping of it does. */
#ifndef DRMSHIM_RANGES_H
#define DRMSHIM_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* mmap() that is told what it maps: `mapping` of the device's, NULL: nothing of it. What was mapped there before has
 * gone. On failure MAP_FAILED, errno, and `mapping` is still the caller's. */
void *ranges_map(void *addr, size_t length, int prot, int flags, int fd, off64_t offset, void *mapping,
                 void (*unmapped)(void *mapping));

/* munmap(). */
int ranges_unmap(void *addr, size_t length);

/* Around fork(). A child's memory stays mapped, but it has no device that would keep anything for it. */
void ranges_before_fork(void);
void ranges_after_fork(bool in_child);

#endif
