/* What the page table tests share: table memory behind hooks, failing allocators, random numbers, a loud check. */
#ifndef NVMMU_SUPPORT_H
#define NVMMU_SUPPORT_H

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nvmmu/vmm.h>

#define REQUIRE(cond, ...)                                                                                             \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                                                 \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define MiB (1ull << 20)

/* ---- random ------------------------------------------------------------------------------------------------- */

static inline uint64_t seed_choose(const char *test)
{
    const char *s = getenv("GPUVM_SEED");
    uint64_t seed = s ? strtoull(s, NULL, 0) : 0;
    FILE *f;

    if (!s && (f = fopen("/dev/urandom", "rb"))) {
        if (fread(&seed, sizeof(seed), 1, f) != 1)
            seed = 1;
        fclose(f);
    }
    printf("%s: GPUVM_SEED=0x%" PRIx64 "\n", test, seed);
    return seed;
}

static inline uint64_t rnd(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static inline uint64_t below(uint64_t *state, uint64_t n)
{
    return rnd(state) % n;
}

/* ---- memory of tables ---------------------------------------------------------------------------------------- */

#define BANK_PAGES 4096
#define BANK_BASE  0x40000000ull

/* A window of VRAM that hands out runs of pages. What is freed is poisoned, unless it is all zero: the next table there
 * gets it as it is. */
struct bank {
    uint64_t *memory;
    struct nvmmu_window window;
    bool used[BANK_PAGES], zero[BANK_PAGES];
    uint32_t free_count;
    long fail_after;  /* table allocations until one fails; negative: never */
    long alloc_after; /* the same for software state */
    long software;    /* allocations of software state outstanding */
    unsigned flushes;
    struct nvmmu_flush last;
    void *watcher; /* of the test */
    void (*on_wrote)(struct bank *, uint64_t table, uint32_t index, uint32_t count);
    void (*on_free)(struct bank *, uint64_t addr);
};

static inline bool fails_now(long *after)
{
    return *after >= 0 && (*after)-- == 0;
}

static inline bool all_zero(const void *memory, size_t size)
{
    const uint64_t *word = memory;

    for (size_t i = 0; i < size / 8; i++)
        if (word[i])
            return false;
    return true;
}

/* What memory that is given out has in it: zeros, which it then says, or poison. */
static inline void bank_content(const struct bank *b, uint32_t page, uint32_t pages, struct nvmmu_table_mem *out)
{
    out->zeroed = true;
    for (uint32_t i = page; i < page + pages; i++)
        out->zeroed &= b->zero[i];
    if (out->zeroed)
        REQUIRE(all_zero(out->cpu, pages * 4096ull), "written to after it was freed");
    else
        memset(out->cpu, 0xa5, pages * 4096ull);
}

static inline int bank_alloc_table(void *ctx, size_t size, size_t align, struct nvmmu_table_mem *out)
{
    struct bank *b = ctx;
    uint32_t pages = (uint32_t)((size + 4095) / 4096), step = (uint32_t)((align + 4095) / 4096), first = 0, n = 0;

    if (fails_now(&b->fail_after))
        return -ENOMEM;
    for (uint32_t i = 0; i < BANK_PAGES && n < pages; i++) {
        n = b->used[i] || (!n && i % step) ? 0 : n + 1;
        first = i + 1 - n;
    }
    if (n < pages)
        return -ENOMEM;
    memset(&b->used[first], true, pages);
    b->free_count -= pages;
    out->addr = BANK_BASE + first * 4096ull;
    out->cpu = b->memory + first * 512ull;
    out->aperture = NVMMU_VRAM;
    bank_content(b, first, pages, out);
    return 0;
}

static inline void bank_free_table(void *ctx, const struct nvmmu_table_mem *mem, size_t size)
{
    struct bank *b = ctx;
    uint32_t page = (uint32_t)((mem->addr - BANK_BASE) / 4096), pages = (uint32_t)((size + 4095) / 4096);

    REQUIRE(mem->cpu == b->memory + page * 512ull, "freed memory was never given out");
    for (uint32_t i = page; i < page + pages; i++)
        REQUIRE(b->used[i], "freed twice");
    if (b->on_free)
        b->on_free(b, mem->addr);
    REQUIRE(!mem->zeroed || all_zero(mem->cpu, size), "said to be zero");
    if (!mem->zeroed)
        memset(mem->cpu, 0xdb, size);
    memset(&b->zero[page], mem->zeroed && size == pages * 4096ull, pages);
    memset(&b->used[page], false, pages);
    b->free_count += pages;
}

static inline void bank_flush(void *ctx, const struct nvmmu_flush *flush)
{
    struct bank *b = ctx;

    b->flushes++;
    b->last = *flush;
}

static inline void bank_wrote(void *ctx, uint64_t table, uint32_t index, uint32_t count)
{
    struct bank *b = ctx;

    if (b->on_wrote)
        b->on_wrote(b, table, index, count);
}

static inline void *bank_alloc(void *ctx, size_t size, size_t align)
{
    struct bank *b = ctx;

    if (fails_now(&b->alloc_after))
        return NULL;
    b->software++;
    return aligned_alloc(align, (size + align - 1) & ~(align - 1));
}

static inline void bank_release(void *ctx, void *ptr, size_t size)
{
    struct bank *b = ctx;

    (void)size;
    b->software--;
    free(ptr);
}

static inline struct bank *bank_new(void)
{
    struct bank *b = calloc(1, sizeof(*b));

    REQUIRE(b, "memory");
    b->memory = aligned_alloc(4096, BANK_PAGES * 4096ull);
    REQUIRE(b->memory, "memory");
    b->window = (struct nvmmu_window){BANK_BASE, BANK_PAGES * 4096ull, b->memory, NVMMU_VRAM};
    b->fail_after = b->alloc_after = -1;
    b->free_count = BANK_PAGES;
    return b;
}

/* Nothing may be left. */
static inline void bank_delete(struct bank *b)
{
    REQUIRE(b->free_count == BANK_PAGES, "%u table pages leaked", BANK_PAGES - b->free_count);
    REQUIRE(b->software == 0, "%ld software allocations leaked", b->software);
    free(b->memory);
    free(b);
}

static inline struct nvmmu_vmm_config bank_config(struct bank *b, const char *format)
{
    return (struct nvmmu_vmm_config){
        .size = sizeof(struct nvmmu_vmm_config),
        .format = nvmmu_format_find(format),
        .windows = &b->window,
        .window_count = 1,
        .hooks = {b, bank_alloc_table, bank_free_table, bank_flush, bank_wrote},
        .alloc = {b, bank_alloc, bank_release},
    };
}

static inline struct nvmmu_vmm *vmm_new(struct bank *b, const char *format)
{
    struct nvmmu_vmm_config config = bank_config(b, format);
    struct nvmmu_vmm *vmm = NULL;
    int ret = nvmmu_vmm_create(&config, &vmm);

    REQUIRE(ret == 0, "create: %d", ret);
    return vmm;
}

static inline void vmm_require_sound(const struct nvmmu_vmm *vmm)
{
    char why[256] = "";

    REQUIRE(nvmmu_vmm_check(vmm, why, sizeof(why)) == 0, "%s", why);
}

/* One contiguous piece. */
static inline int map_piece(struct nvmmu_vmm *vmm, uint64_t va, uint64_t size, unsigned shift, uint8_t target,
                            uint64_t pa)
{
    struct nvmmu_piece piece = {pa, size};
    struct nvmmu_map map = {
        .va = va,
        .size = size,
        .shift = shift,
        .target = target,
        .object_shift = (uint8_t)shift,
        .pieces = &piece,
        .piece_count = 1,
    };

    return nvmmu_vmm_map(vmm, &map);
}

static inline struct nvmmu_walk walk_at(const struct nvmmu_vmm *vmm, uint64_t va)
{
    struct nvmmu_space s = nvmmu_vmm_space(vmm);
    struct nvmmu_walk w;

    nvmmu_walk(&s, va, &w);
    return w;
}

/* ---- pictures of the whole state -------------------------------------------------------------------------------- */

/* Tables, words and counters as one number; where memory lies does not count. */
struct digest {
    const struct nvmmu_format *format;
    uint64_t hash;
    unsigned tables;
};

static inline void digest_mix(struct digest *d, uint64_t v)
{
    d->hash = (d->hash ^ v) * 0x100000001b3ull;
    d->hash ^= d->hash >> 29;
}

static inline unsigned level_words(const struct nvmmu_format *f, enum nvmmu_level level)
{
    const struct nvmmu_level_info *l;
    size_t n = nvmmu_format_levels(f, &l);

    for (size_t i = 0; i < n; i++)
        if (l[i].level == level)
            return l[i].entry_bytes / 8;
    return 1;
}

static inline int digest_table(void *ctx, const struct nvmmu_table_info *t)
{
    struct digest *d = ctx;
    unsigned words = level_words(d->format, t->level);

    d->tables++;
    digest_mix(d, t->level);
    digest_mix(d, t->va);
    for (uint32_t i = 0; i < t->entries; i++) {
        const uint64_t *w = (const uint64_t *)t->cpu + i * words;
        struct nvmmu_entry e = {.state = NVMMU_ENTRY_INVALID};

        if (t->level >= NVMMU_PD0)
            nvmmu_entry_decode(d->format, t->level, (uint64_t[2]){w[0], words == 2 ? w[1] : 0}, &e);
        if (e.state == NVMMU_ENTRY_TABLE)
            digest_mix(d, 1u + e.big.present + 2u * e.next.present);
        for (unsigned k = 0; k < words && e.state != NVMMU_ENTRY_TABLE; k++)
            digest_mix(d, w[k]);
    }
    return 0;
}

static inline int digest_counter(void *ctx, const struct nvmmu_counters *c)
{
    struct digest *d = ctx;

    digest_mix(d, c->depth_from_leaf);
    digest_mix(d, c->va);
    digest_mix(d, c->refs[0]);
    digest_mix(d, c->refs[1]);
    digest_mix(d, c->sparse);
    return 0;
}

static inline struct digest digest_of(const struct nvmmu_vmm *vmm)
{
    struct digest d = {nvmmu_vmm_space(vmm).format, 0xcbf29ce484222325ull, 0};

    nvmmu_vmm_tables(vmm, digest_table, &d);
    nvmmu_vmm_counters(vmm, digest_counter, &d);
    return d;
}

#endif
