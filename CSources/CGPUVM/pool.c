/*
 * Node pools. Small spaces get small chunks; a chunk is at most a sixteenth of what is there, and from a
 * megabyte on it is two, aligned to two, so that huge pages can back it.
 */
#include "pool.h"
#include "space.h"

#include <errno.h>

enum { LEAST_NODES = 2, SPARE_NODES = 32 };

void gpuvm__pool_init(struct pool *p, size_t node_size)
{
    *p = (struct pool){.node_size = node_size};
}

static void free_chunks(struct gpuvm *vm, struct pool_chunk *c)
{
    while (c) {
        struct pool_chunk *next = c->next;
        gpuvm__free(vm, c, c->size);
        c = next;
    }
}

void gpuvm__pool_fini(struct gpuvm *vm, struct pool *p)
{
    free_chunks(vm, p->used);
    free_chunks(vm, p->fresh);
}

static int add_chunk(struct gpuvm *vm, struct pool *p, size_t want)
{
    size_t nodes = p->total / 16 > LEAST_NODES ? p->total / 16 : LEAST_NODES;
    size_t most = (HUGE_BYTES - LINE) / p->node_size;
    if (nodes < want)
        nodes = want;
    bool huge = nodes > most / 2;
    if (huge)
        nodes = most;
    size_t size = huge ? HUGE_BYTES : LINE + nodes * p->node_size;
    struct pool_chunk *c = huge ? gpuvm__alloc_huge(vm) : gpuvm__alloc(vm, size, LINE);
    if (!c)
        return -ENOMEM;
    *c = (struct pool_chunk){.next = p->fresh, .size = size, .nodes = nodes};
    p->fresh = c;
    p->spare += nodes;
    p->total += nodes;
    return 0;
}

int gpuvm__pool_reserve(struct gpuvm *vm, struct pool *p, size_t n)
{
    while (p->spare < n) {
        int rc = add_chunk(vm, p, n - p->spare);
        if (rc)
            return rc;
    }
    return 0;
}

void gpuvm__pool_trim(struct gpuvm *vm, struct pool *p)
{
    while (p->fresh) {
        struct pool_chunk *c = p->fresh;
        size_t used = p->total - p->spare;
        if (p->spare - c->nodes < used / 8 + SPARE_NODES)
            return;
        p->fresh = c->next;
        p->spare -= c->nodes;
        p->total -= c->nodes;
        gpuvm__free(vm, c, c->size);
    }
}

void *gpuvm__pool_get(struct pool *p)
{
    p->spare--;
    if (p->freed) {
        void *node = p->freed;
        p->freed = *(void **)node;
        return node;
    }
    if (!p->bump_left) {
        struct pool_chunk *c = p->fresh;
        p->fresh = c->next;
        c->next = p->used;
        p->used = c;
        p->bump = (char *)c + LINE;
        p->bump_left = c->nodes;
    }
    void *node = p->bump;
    p->bump += p->node_size;
    p->bump_left--;
    return node;
}

void gpuvm__pool_put(struct pool *p, void *node)
{
    *(void **)node = p->freed;
    p->freed = node;
    p->spare++;
}

void gpuvm__pool_reset(struct pool *p)
{
    while (p->used) {
        struct pool_chunk *c = p->used;
        p->used = c->next;
        c->next = p->fresh;
        p->fresh = c;
    }
    p->freed = NULL;
    p->bump_left = 0;
    p->spare = p->total;
}
