/* This library's tree of page tables, with tables in free lists by size, those of zeros apart. */
#include <errno.h>

#include "../harness.h"
#include "../mmu.h"

struct mmu_space {
    struct nvmmu_vmm *vmm;
    char *memory;
    uint64_t used;
    uint64_t *free[32][2]; /* [1]: all zero, but that the first word of a free block points at the next one */
    struct nvmmu_window window;
};

static unsigned long flushes;

static unsigned order_of(size_t size)
{
    return 63 - (unsigned)__builtin_clzll(2 * (size > 4096 ? size : 4096) - 1);
}

static int alloc_table(void *ctx, size_t size, size_t align, struct nvmmu_table_mem *out)
{
    struct mmu_space *s = ctx;
    unsigned order = order_of(size > align ? size : align);
    bool zeroed = s->free[order][1];
    uint64_t *block = s->free[order][zeroed];

    if (block) {
        s->free[order][zeroed] = (uint64_t *)(uintptr_t)*block;
        *block = 0;
    } else {
        uint64_t at = (s->used + (1ull << order) - 1) & ~((1ull << order) - 1);

        if (at + (1ull << order) > MMU_TABLES)
            return -ENOMEM;
        s->used = at + (1ull << order);
        block = (uint64_t *)(void *)(s->memory + at);
    }
    *out = (struct nvmmu_table_mem){.addr = (uint64_t)((char *)block - s->memory), .cpu = block, .zeroed = zeroed};
    return 0;
}

static void free_table(void *ctx, const struct nvmmu_table_mem *mem, size_t size)
{
    struct mmu_space *s = ctx;
    unsigned order = order_of(size);
    bool zeroed = mem->zeroed && size == 1ull << order; /* of a smaller one the rest of its page is not known */

    *(uint64_t *)mem->cpu = (uint64_t)(uintptr_t)s->free[order][zeroed];
    s->free[order][zeroed] = mem->cpu;
}

static void flush(void *ctx, const struct nvmmu_flush *f)
{
    (void)ctx, (void)f;
    flushes++;
}

static struct mmu_space *ours_open(const char *format)
{
    struct mmu_space *s = calloc(1, sizeof *s);
    struct nvmmu_vmm_config config = {
        .size = sizeof config, .format = nvmmu_format_find(format), .windows = &s->window, .window_count = 1,
        .hooks = {.ctx = s, .alloc_table = alloc_table, .free_table = free_table, .flush = flush},
    };

    s->memory = bench_alloc(NULL, MMU_TABLES, 2u << 20);
    if (!s->memory)
        abort();
    memset(s->memory, 0, MMU_TABLES);
    s->window = (struct nvmmu_window){0, MMU_TABLES, s->memory, NVMMU_VRAM};
    if (nvmmu_vmm_create(&config, &s->vmm))
        abort();
    return s;
}

static void ours_close(struct mmu_space *s)
{
    nvmmu_vmm_destroy(s->vmm);
    bench_free(NULL, s->memory, MMU_TABLES);
    free(s);
}

static int ours_get(struct mmu_space *s, uint64_t va, uint64_t size, unsigned shift)
{
    return nvmmu_vmm_get(s->vmm, va, size, shift);
}

static int ours_put(struct mmu_space *s, uint64_t va, uint64_t size, unsigned shift)
{
    return nvmmu_vmm_put(s->vmm, va, size, shift);
}

static int ours_map(struct mmu_space *s, const struct nvmmu_map *m)
{
    return nvmmu_vmm_map(s->vmm, m);
}

static size_t ours_map_parts(struct mmu_space *s, const struct nvmmu_map *m, const struct nvmmu_part *parts, size_t n)
{
    return nvmmu_vmm_map_parts(s->vmm, m, parts, n);
}

static int ours_unmap(struct mmu_space *s, uint64_t va, uint64_t size, unsigned shift, bool sparse)
{
    return nvmmu_vmm_unmap(s->vmm, va, size, shift, sparse);
}

static int ours_sparse(struct mmu_space *s, uint64_t va, uint64_t size, bool ref)
{
    return nvmmu_vmm_sparse(s->vmm, va, size, ref);
}

static void ours_begin(struct mmu_space *s)
{
    nvmmu_vmm_begin(s->vmm);
}

static void ours_end(struct mmu_space *s)
{
    nvmmu_vmm_end(s->vmm);
}

static struct nvmmu_space ours_walk(struct mmu_space *s)
{
    return nvmmu_vmm_space(s->vmm);
}

static unsigned long ours_flushes(void)
{
    return flushes;
}

const struct mmu_peer mmu_ours = {
    .name = "gpuvm", .open = ours_open, .close = ours_close, .get = ours_get, .put = ours_put, .map = ours_map,
    .map_parts = ours_map_parts, .unmap = ours_unmap, .sparse = ours_sparse, .begin = ours_begin, .end = ours_end, .walk = ours_walk,
    .flushes = ours_flushes,
};
