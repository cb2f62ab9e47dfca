/*
 * Page tables (Turing format): map, the whole life of a mapping, translation, extents. Each row stands beside a
 * limit measured in the same rounds: storing, or reading, the same bytes in a plain loop.
 *
 *   cc -O2 -std=gnu17 -I CSources/CGPUVMBase/include -I CSources/CNVMMU/include bench/mmu.c (and the sources of CNVMMU)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <nvmmu/vmm.h>

#define GiB     (1ull << 30)
#define VA      (8 * GiB)
#define MEMORY  (64ull << 20) /* of tables */
#define ROUNDS  41
#define LOOKUPS 262144

#if defined(__x86_64__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- memory of tables: a stack of pages ----------------------------------------------------------------------- */

struct bank {
    char *memory;
    uint32_t free[MEMORY / 4096];
    size_t free_count;
    struct nvmmu_window window;
    uint64_t flushes;
};

static int alloc_table(void *ctx, size_t size, size_t align, struct nvmmu_table_mem *out)
{
    struct bank *b = ctx;
    uint32_t page;

    (void)size, (void)align;
    if (!b->free_count)
        return -1;
    page = b->free[--b->free_count];
    *out = (struct nvmmu_table_mem){.addr = page * 4096ull, .cpu = b->memory + page * 4096ull};
    return 0;
}

static void free_table(void *ctx, const struct nvmmu_table_mem *mem, size_t size)
{
    struct bank *b = ctx;

    (void)size;
    b->free[b->free_count++] = (uint32_t)(mem->addr / 4096);
}

static void flush(void *ctx, const struct nvmmu_flush *what)
{
    (void)what;
    ((struct bank *)ctx)->flushes++;
}

/* ---- workloads ------------------------------------------------------------------------------------------------- */

struct state {
    struct bank *bank;
    struct nvmmu_vmm *vmm;
    struct nvmmu_space space;
    uint64_t *limit;     /* memory for the limit loops */
    uint64_t *addresses; /* of 4K pages, scattered */
    uint64_t *order;     /* random numbers */
    uint64_t sink;
};

enum { SMALL = 12, BIG = 16, HUGE = 21 };

static void map(struct state *s, uint64_t size, unsigned shift, bool list)
{
    struct nvmmu_piece piece = {1 * GiB, size};
    struct nvmmu_map m = {
        .va = VA,
        .size = size,
        .shift = shift,
        .target = list ? NVMMU_HOST : NVMMU_VRAM,
        .object_shift = (uint8_t)shift,
    };

    if (list) {
        m.pages = s->addresses;
        m.page_count = size >> 12;
    } else {
        m.pieces = &piece;
        m.piece_count = 1;
    }
    if (nvmmu_vmm_map(s->vmm, &m))
        abort();
}

static void get(struct state *s, uint64_t size, unsigned shift)
{
    if (nvmmu_vmm_get(s->vmm, VA, size, shift))
        abort();
}

static void put(struct state *s, uint64_t size, unsigned shift)
{
    if (nvmmu_vmm_unmap(s->vmm, VA, size, shift, false) || nvmmu_vmm_put(s->vmm, VA, size, shift))
        abort();
}

static double map_run(struct state *s, unsigned shift, bool list)
{
    double t;

    get(s, GiB, shift);
    map(s, GiB, shift, list);
    t = now();
    for (unsigned i = 0; i < 4; i++)
        map(s, GiB, shift, list);
    t = (now() - t) / 4;
    put(s, GiB, shift);
    return t;
}

static double life_run(struct state *s, unsigned shift)
{
    double t = now();

    for (unsigned i = 0; i < 2; i++) {
        nvmmu_vmm_begin(s->vmm);
        get(s, GiB, shift);
        map(s, GiB, shift, false);
        put(s, GiB, shift);
        nvmmu_vmm_end(s->vmm);
    }
    return (now() - t) / 2;
}

/* One pass through the same number of words, as often as the row makes one. */
WIDE static void store_words(uint64_t *at, size_t n, uint64_t word, uint64_t step)
{
    for (size_t i = 0; i < n; i++)
        at[i] = word + i * step;
    __asm__ volatile("" ::: "memory");
}

WIDE static void store_list(uint64_t *at, size_t n, uint64_t word, const uint64_t *address)
{
    for (size_t i = 0; i < n; i++)
        at[i] = word | address[i] >> 4;
    __asm__ volatile("" ::: "memory");
}

WIDE static uint64_t read_words(const uint64_t *at, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += at[i];
    __asm__ volatile("" ::: "memory");
    return sum;
}

static double store_run(struct state *s, size_t words, unsigned passes)
{
    double t;

    store_words(s->limit, words, 1, 0x100);
    t = now();
    for (unsigned i = 0; i < 4 * passes; i++)
        store_words(s->limit, words, i, 0x100);
    return (now() - t) / 4;
}

static double list_run(struct state *s, size_t words)
{
    double t = now();

    for (unsigned i = 0; i < 4; i++)
        store_list(s->limit, words, i, s->addresses);
    return (now() - t) / 4;
}

static uint64_t address(const struct state *s, uint64_t i, uint64_t size, bool random)
{
    return (random ? s->order[i] : i << 12) & (size - 1);
}

static uint64_t translate_all(const struct state *s, uint64_t size, bool random)
{
    struct nvmmu_translation t;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < LOOKUPS; i++) {
        nvmmu_translate(&s->space, VA + address(s, i, size, random), &t);
        sum += t.state == NVMMU_MAPPED ? t.pa : 0;
    }
    return sum;
}

static uint64_t cursor_all(const struct state *s, uint64_t size, bool random)
{
    struct nvmmu_translation t;
    struct nvmmu_cursor c;
    uint64_t sum = 0;

    nvmmu_cursor_init(&c, &s->space);
    for (uint64_t i = 0; i < LOOKUPS; i++) {
        nvmmu_cursor_translate(&c, VA + address(s, i, size, random), &t);
        sum += t.state == NVMMU_MAPPED ? t.pa : 0;
    }
    return sum;
}

static double translate_run(struct state *s, uint64_t size, unsigned shift, bool random, bool cursor)
{
    double t;

    get(s, size, shift);
    map(s, size, shift, false);
    t = now();
    s->sink += cursor ? cursor_all(s, size, random) : translate_all(s, size, random);
    t = (now() - t) / LOOKUPS;
    put(s, size, shift);
    return t;
}

/* Independent reads of a word a page, in the same order. */
static double lookup_run(struct state *s, uint64_t size, unsigned shift, bool random)
{
    uint64_t sum = 0, va;
    double at = now();

    for (uint64_t i = 0; i < LOOKUPS; i++) {
        va = random ? s->order[i] & (size - 1) : (i << 12) & (size - 1);
        sum += s->limit[va >> shift];
    }
    at = (now() - at) / LOOKUPS;
    s->sink += sum;
    return at;
}

static double extents_run(struct state *s, unsigned shift)
{
    struct nvmmu_extents it;
    struct nvmmu_extent e;
    double t;

    get(s, GiB, shift);
    map(s, GiB, shift, false);
    t = now();
    for (unsigned i = 0; i < 4; i++) {
        nvmmu_extents_init(&it, &s->space, VA, GiB);
        while (nvmmu_extents_next(&it, &e))
            s->sink += e.size;
    }
    t = (now() - t) / 4;
    put(s, GiB, shift);
    return t;
}

static double read_run(struct state *s, size_t words)
{
    double t = now();

    for (unsigned i = 0; i < 4; i++)
        s->sink += read_words(s->limit, words);
    return (now() - t) / 4;
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

enum what { MAP, LIST, LIFE, EXTENTS, SEQUENTIAL, RANDOM, CURSOR_SEQUENTIAL, CURSOR_RANDOM };

static const struct row {
    const char *name;
    enum what what;
    unsigned shift;
    uint64_t size;
    size_t words;    /* of the limit loop */
    unsigned passes; /* over them */
} rows[] = {
    {"map 1 GiB, 4K contiguous", MAP, SMALL, GiB, 262144, 1},
    {"map 1 GiB, 4K scattered", LIST, SMALL, GiB, 262144, 1},
    {"map 1 GiB, 64K", MAP, BIG, GiB, 16384, 1},
    {"map 1 GiB, 2M", MAP, HUGE, GiB, 1024, 1},
    {"get+map+unmap+put 1 GiB, 4K", LIFE, SMALL, GiB, 262144, 3},
    {"get+map+unmap+put 1 GiB, 64K", LIFE, BIG, GiB, 16384, 3},
    {"get+map+unmap+put 1 GiB, 2M", LIFE, HUGE, GiB, 1024, 3},
    {"extents of 1 GiB, 4K", EXTENTS, SMALL, GiB, 262144, 1},
    {"extents of 1 GiB, 64K", EXTENTS, BIG, GiB, 16384, 1},
    {"extents of 1 GiB, 2M", EXTENTS, HUGE, GiB, 1024, 1},
    {"translate, 1 GiB of 4K, sequential", SEQUENTIAL, SMALL, GiB, 0, 0},
    {"translate, 1 GiB of 4K, random", RANDOM, SMALL, GiB, 0, 0},
    {"translate, 4 GiB of 64K, sequential", SEQUENTIAL, BIG, 4 * GiB, 0, 0},
    {"translate, 4 GiB of 64K, random", RANDOM, BIG, 4 * GiB, 0, 0},
    {"translate, 16 GiB of 2M, sequential", SEQUENTIAL, HUGE, 16 * GiB, 0, 0},
    {"translate, 16 GiB of 2M, random", RANDOM, HUGE, 16 * GiB, 0, 0},
    {"cursor, 1 GiB of 4K, sequential", CURSOR_SEQUENTIAL, SMALL, GiB, 0, 0},
    {"cursor, 1 GiB of 4K, random", CURSOR_RANDOM, SMALL, GiB, 0, 0},
    {"cursor, 4 GiB of 64K, sequential", CURSOR_SEQUENTIAL, BIG, 4 * GiB, 0, 0},
    {"cursor, 4 GiB of 64K, random", CURSOR_RANDOM, BIG, 4 * GiB, 0, 0},
    {"cursor, 16 GiB of 2M, sequential", CURSOR_SEQUENTIAL, HUGE, 16 * GiB, 0, 0},
    {"cursor, 16 GiB of 2M, random", CURSOR_RANDOM, HUGE, 16 * GiB, 0, 0},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static double measure(struct state *s, const struct row *r)
{
    switch (r->what) {
    case MAP:
    case LIST:
        return map_run(s, r->shift, r->what == LIST);
    case LIFE:
        return life_run(s, r->shift);
    case EXTENTS:
        return extents_run(s, r->shift);
    default:
        return translate_run(s, r->size, r->shift, r->what == RANDOM || r->what == CURSOR_RANDOM,
                             r->what >= CURSOR_SEQUENTIAL);
    }
}

static double measure_limit(struct state *s, const struct row *r)
{
    switch (r->what) {
    case MAP:
    case LIFE:
        return store_run(s, r->words, r->passes);
    case LIST:
        return list_run(s, r->words);
    case EXTENTS:
        return read_run(s, r->words);
    default:
        return lookup_run(s, r->size, r->shift, r->what == RANDOM || r->what == CURSOR_RANDOM);
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void *memory(size_t size)
{
    void *p = aligned_alloc(2u << 20, size);

    if (!p)
        abort();
    madvise(p, size, MADV_HUGEPAGE);
    memset(p, 0, size);
    return p;
}

static void state_init(struct state *s)
{
    struct nvmmu_vmm_config config = {.size = sizeof(config), .format = nvmmu_format_find("tu102"), .window_count = 1};
    uint64_t random = 1;

    s->bank = calloc(1, sizeof(*s->bank));
    s->bank->memory = memory(MEMORY);
    while (s->bank->free_count < MEMORY / 4096) {
        s->bank->free[s->bank->free_count] = (uint32_t)(MEMORY / 4096 - 1 - s->bank->free_count);
        s->bank->free_count++;
    }
    s->bank->window = (struct nvmmu_window){0, MEMORY, s->bank->memory, NVMMU_VRAM};
    config.windows = &s->bank->window;
    config.hooks = (struct nvmmu_vmm_hooks){.ctx = s->bank, .alloc_table = alloc_table, .free_table = free_table,
                                            .flush = flush};
    if (nvmmu_vmm_create(&config, &s->vmm))
        abort();
    s->space = nvmmu_vmm_space(s->vmm);
    s->limit = memory(4u << 20);
    s->addresses = memory(4u << 20);
    s->order = memory(4u << 20);
    for (unsigned i = 0; i < LOOKUPS; i++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        s->addresses[i] = (random >> 20 & 0xffffff) << 12;
        s->order[i] = random >> 24;
    }
}

int main(void)
{
    static double ns[ROWS][ROUNDS], limit[ROWS][ROUNDS];
    static struct state s;

    state_init(&s);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < ROWS; i++) {
            ns[i][round] = measure(&s, &rows[i]);
            limit[i][round] = measure_limit(&s, &rows[i]);
        }
    printf("%-38s %12s %12s %8s\n", "page tables (tu102), median", "ns", "limit ns", "ratio");
    for (unsigned i = 0; i < ROWS; i++) {
        qsort(ns[i], ROUNDS, sizeof(double), ascending);
        qsort(limit[i], ROUNDS, sizeof(double), ascending);
        printf("%-38s %12.2f %12.2f %8.2f\n", rows[i].name, ns[i][ROUNDS / 2], limit[i][ROUNDS / 2],
               ns[i][ROUNDS / 2] / limit[i][ROUNDS / 2]);
    }
    nvmmu_vmm_destroy(s.vmm);
    return s.sink == 42;
}
