/*
 * The kernel peers' memory: free lists of objects of one size in chunks, as the kernel's slabs have them. A chunk's
 * head, found by its alignment, knows the size, so that freeing needs no more than the pointer. Chunks are never given
 * back. What is too large comes from the C library, aligned so that it cannot be taken for an object in a chunk.
 */
#include "base.h"

#include <sys/mman.h>

enum { CHUNK = 2 << 20, STEP = 32, LARGEST = 1024, CLASSES = LARGEST / STEP };

struct chunk {
    size_t class;
} __attribute__((aligned(64)));

struct object {
    struct object *next;
};

unsigned bench_kernel_warnings;

static struct object *objects[CLASSES];
static char *fresh[CLASSES], *fresh_end[CLASSES];
static size_t chunks;

static bool new_chunk(size_t class)
{
    struct chunk *c = aligned_alloc(CHUNK, CHUNK);

    if (!c)
        return false;
    madvise(c, CHUNK, MADV_HUGEPAGE);
    c->class = class;
    fresh[class] = (char *)(c + 1);
    fresh_end[class] = (char *)c + CHUNK;
    chunks++;
    return true;
}

void *bench_kernel_alloc(size_t size)
{
    size_t class = (size + STEP - 1) / STEP - 1, whole = (class + 1) * STEP;

    if (!size || size > LARGEST)
        return aligned_alloc(CHUNK, (size + CHUNK - 1) / CHUNK * CHUNK);
    if (objects[class]) {
        struct object *o = objects[class];

        objects[class] = o->next;
        return o;
    }
    if (fresh_end[class] - fresh[class] < (ptrdiff_t)whole && !new_chunk(class))
        return NULL;
    fresh[class] += whole;
    return fresh[class] - whole;
}

void bench_kernel_free(const void *p)
{
    struct object *o = (void *)(uintptr_t)p;
    struct chunk *c = (void *)((uintptr_t)p & ~(uintptr_t)(CHUNK - 1));

    if ((void *)c == (void *)o) {
        free(o);
        return;
    }
    o->next = objects[c->class];
    objects[c->class] = o;
}

size_t bench_kernel_memory(void)
{
    return chunks * CHUNK;
}
