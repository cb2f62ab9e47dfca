/*
 * What every gpuvm C library shares: the version, the allocator hooks and the error convention.
 *
 * Errors: functions return 0 or a count on success and a negative errno value on failure. They never print,
 * never set errno and never abort on bad input.
 *
 * Threads: no library function takes a lock or starts a thread, and there is no global state. The caller
 * serialises all calls on one object; calls on distinct objects are independent.
 */
#ifndef GPUVM_BASE_H
#define GPUVM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define GPUVM_VERSION_MAJOR 0
#define GPUVM_VERSION_MINOR 1
#define GPUVM_VERSION_PATCH 0
#define GPUVM_VERSION (GPUVM_VERSION_MAJOR << 16 | GPUVM_VERSION_MINOR << 8 | GPUVM_VERSION_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Allocator hooks of one object. All of the object's memory comes from here. `alloc` returns memory of `size`
 * bytes aligned to `align` (a power of two), or NULL; `free` gets the same `size` back. Both NULL: the C
 * library's allocator. Copied into the object; `ctx` must outlive it.
 */
struct gpuvm_alloc {
    void *ctx;
    void *(*alloc)(void *ctx, size_t size, size_t align);
    void (*free)(void *ctx, void *ptr, size_t size);
};

/* Allocates through the hooks. Returns NULL when out of memory. */
static inline void *gpuvm_mem_alloc(const struct gpuvm_alloc *a, size_t size, size_t align)
{
    if (a->alloc)
        return a->alloc(a->ctx, size, align);
    return aligned_alloc(align, (size + align - 1) & ~(align - 1));
}

/* Frees what gpuvm_mem_alloc() gave with the same hooks and size. NULL is allowed. */
static inline void gpuvm_mem_free(const struct gpuvm_alloc *a, void *ptr, size_t size)
{
    if (!ptr)
        return;
    if (a->free)
        a->free(a->ctx, ptr, size);
    else
        free(ptr);
}

#ifdef __cplusplus
}
#endif
#endif
