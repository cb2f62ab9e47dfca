/*
 * Nodes of one size, carved from chunks that come from the space's allocator. Freed nodes go back to the pool, so
 * what was reserved stays at hand: gpuvm__pool_get() cannot fail up to pool.spare times.
 */
#ifndef GPUVM_POOL_H
#define GPUVM_POOL_H

#include "node.h"

struct pool_chunk {
    struct pool_chunk *next;
    size_t size;
    size_t nodes;
};

struct pool {
    size_t node_size;
    size_t spare; /* nodes that can be had without allocating */
    size_t total;
    void *freed;               /* list of freed nodes, linked by their first word */
    char *bump;                /* the first never used node of used->… */
    size_t bump_left;
    struct pool_chunk *used;   /* chunks that nodes were taken from, the current one first */
    struct pool_chunk *fresh;  /* untouched ones */
};

void gpuvm__pool_init(struct pool *p, size_t node_size);
void gpuvm__pool_fini(struct gpuvm *vm, struct pool *p);
/* Makes sure of `n` spare nodes. -ENOMEM. */
int gpuvm__pool_reserve(struct gpuvm *vm, struct pool *p, size_t n);
/* Gives back untouched chunks beyond a share of what is in use. */
void gpuvm__pool_trim(struct gpuvm *vm, struct pool *p);
void *gpuvm__pool_get(struct pool *p);
void gpuvm__pool_put(struct pool *p, void *node);
/* Takes all nodes back. */
void gpuvm__pool_reset(struct pool *p);

#endif
