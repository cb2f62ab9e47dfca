/*
 * The kernel peers' memory: free lists of objects of one size in chunks, as the kernel's slabs have them. A chunk's
 * head, found by its alignment, knows the size, so that freeing needs no more than the pointer. Chunks are never given
 * back.
 */
#include "base.h"

#include "../harness.h"

enum { CHUNK = 2 << 20, STEP = 32, STEPS = 32, POWERS = 8 /* beyond the steps: up to 256 KiB */ };

struct chunk {
    size_t class;
} __attribute__((aligned(64)));

struct object {
    struct object *next;
};

unsigned bench_kernel_warnings;

static struct object *objects[STEPS + POWERS];
static char *fresh[STEPS + POWERS], *fresh_end[STEPS + POWERS];

static inline size_t class_of(size_t size)
{
    return size <= STEP * STEPS ? (size - (size > 0)) / STEP
                                : STEPS - 1 + (64 - (size_t)__builtin_clzll((size - 1) / (STEP * STEPS)));
}

static inline size_t bytes_of(size_t class)
{
    return class < STEPS ? (class + 1) * STEP : (size_t)(STEP * STEPS) << (class - STEPS + 1);
}

static bool new_chunk(size_t class)
{
    struct chunk *c = bench_alloc(NULL, CHUNK, CHUNK);

    if (!c)
        return false;
    c->class = class;
    fresh[class] = (char *)(c + 1);
    fresh_end[class] = (char *)c + CHUNK;
    return true;
}

void *bench_kernel_alloc(size_t size)
{
    size_t class = class_of(size), whole;
    struct object *o;

    if (class >= STEPS + POWERS)
        return NULL;
    o = objects[class];
    if (o) {
        objects[class] = o->next;
        return o;
    }
    whole = bytes_of(class);
    if (fresh_end[class] - fresh[class] < (ptrdiff_t)whole && !new_chunk(class))
        return NULL;
    fresh[class] += whole;
    return fresh[class] - whole;
}

void bench_kernel_free(const void *p)
{
    struct object *o = (void *)(uintptr_t)p;
    struct chunk *c = (void *)((uintptr_t)p & ~(uintptr_t)(CHUNK - 1));

    if (!p)
        return;
    o->next = objects[c->class];
    objects[c->class] = o;
}
