/*
 * Memory behind GPU addresses: pages that were translated and may be used until the next begin().
 */
#ifndef NVENGINE_MEMORY_H
#define NVENGINE_MEMORY_H

#include <nvengine/channel.h>

#include <string.h>

#define PAGE       4096u
#define PAGES_BITS 8 /* log2 of the pages remembered for each direction */
#define SPAN_BYTES (2ull << 20) /* most of a span: looking ahead is not for nothing, and a step ends in time */

struct page {
    uint64_t number;
    uint64_t generation;
    uint8_t *cpu;
};

struct memory {
    struct nvengine_memory is;
    uint64_t generation; /* pages of others are forgotten */
    struct page page[2][1 << PAGES_BITS]; /* by enum nvengine_access: to read, to write */
    struct {
        uint64_t va;
        uint8_t type;
        enum nvengine_access access;
    } fault; /* of the last call that failed */
    _Alignas(16) uint8_t sink[PAGE]; /* what is written to sparse addresses */
};

/* Contiguous memory. */
struct span {
    uint8_t *cpu; /* NULL: sparse */
    uint64_t size;
};

/* Page tables may have changed since. */
void nvengine__memory_begin(struct memory *m);

/* The page with va, whatever it takes; sparse ones read as zeros and are written to the sink. NULL: fault. */
uint8_t *nvengine__page(struct memory *m, uint64_t va, bool write);

/* Where a page is remembered. */
static inline struct page *nvengine__slot(struct memory *m, uint64_t va, bool write)
{
    return &m->page[write][(va >> 12) * 0x9e3779b97f4a7c15u >> (64 - PAGES_BITS)];
}

/* n bytes that lie in a page. NULL: they cross its end, or fault; read and write tell which. */
static inline uint8_t *nvengine__touch(struct memory *m, uint64_t va, unsigned n, bool write)
{
    const struct page *p = nvengine__slot(m, va, write);
    unsigned offset = va & (PAGE - 1);
    uint8_t *cpu;

    if (offset + n > PAGE)
        return NULL;
    if (p->number == va >> 12 && p->generation == m->generation)
        return p->cpu + offset;
    cpu = nvengine__page(m, va, write);
    return cpu ? cpu + offset : NULL;
}

/* Half a KiB from cpu on will be used soon. Always inline: gcc takes what only prefetches for without effect. */
__attribute__((always_inline)) static inline void nvengine__fetch(const uint8_t *cpu)
{
    for (unsigned i = 0; i < 512; i += 64)
        __builtin_prefetch(cpu + i);
}

/* Some of `want` bytes from va on, as many as lie in a row. -EFAULT. */
int nvengine__span(struct memory *m, uint64_t va, uint64_t want, bool write, struct span *out);

/* n bytes, wherever they lie. -EFAULT: m->fault says where; what came before is done. */
int nvengine__read(struct memory *m, uint64_t va, void *to, uint64_t n);
int nvengine__write(struct memory *m, uint64_t va, const void *from, uint64_t n);

#endif
