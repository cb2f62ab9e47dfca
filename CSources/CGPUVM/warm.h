/*
 * Fetching ahead in trees beyond the caches: what will be touched is asked for at once, so that the waits overlap.
 * In small trees that costs more than it gains. The cells that this finds are handed over to the requests; they hold
 * until a request changes the shape of the tree.
 */
#ifndef GPUVM_WARM_H
#define GPUVM_WARM_H

#include "space.h"

enum {
    WARM_HEIGHT = 2, /* from this height on */
    WARM_LEAST = 4,
    WARM_MOST = 16,  /* requests side by side */
    VICTIMS_MOST = 6 * WARM_MOST,
};

/* All always inline: what does nothing but prefetch gcc takes for a function without effect, and drops its calls. */
__attribute__((always_inline)) static inline void gpuvm__fetch(const void *p, size_t size)
{
#pragma GCC unroll 16
    for (size_t i = 0; i < size; i += LINE)
        __builtin_prefetch((const char *)p + i);
}

__attribute__((always_inline)) static inline void gpuvm__fetch_record(const struct gpuvm *vm, gpuvm_va va)
{
    __builtin_prefetch(gpuvm__record(vm, va), 1);
}

/* Where the next few requests begin: looked up once for fetching them and for carrying them out. */
struct ahead {
    struct cell cell[WARM_MOST];
    uint64_t shape; /* the space's, of which these are the cells */
};

static inline void gpuvm__unknown(const struct gpuvm *vm, struct ahead *ahead)
{
    ahead->shape = vm->shape - 1;
}

/* Remembers the cell of the i-th request, if that is known still. */
static inline void gpuvm__hand_over(struct gpuvm *vm, const struct ahead *ahead, size_t i)
{
    if (ahead->shape == vm->shape)
        vm->recent = ahead->cell[i];
}

/* Starts loading what the next requests, WARM_MOST or fewer, will touch. */
void gpuvm__warm(const struct gpuvm *vm, const struct gpuvm_req *reqs, size_t n, struct ahead *ahead);

/* The same for mappings, which may be ids of any kind: their records and what unlinking writes. */
void gpuvm__warm_records(const struct gpuvm *vm, const gpuvm_va *va, size_t n);
/* The same for the next of some live mappings: their leaves. */
void gpuvm__warm_leaves(const struct gpuvm *vm, const gpuvm_va *va, size_t n, struct ahead *ahead);

/* gpuvm__look() for at most WARM_MOST keys, none of them KEY_NONE; what a look-up reads there is being loaded. */
void gpuvm__look_many(const struct gpuvm *vm, const uint64_t *key, unsigned n, struct place *out);

#endif
