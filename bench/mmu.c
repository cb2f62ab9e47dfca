/*
 * Page tables: map, unmap, references, translation and range walks, by format and page size. Each row stands beside a
 * limit measured in the same rounds: a plain loop that stores, or loads, the same bytes as often.
 *
 *   build/bench/mmu [part of a row's name]     QUICK=1: few rounds
 *
 *   cc -O2 -std=gnu17 -I CSources/CGPUVMBase/include -I CSources/CNVMMU/include bench/mmu.c (and the sources of CNVMMU)
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* so that the limit loops are vectors too */
#endif

#include <nvmmu/vmm.h>

#include "harness.h"

#define GiB     (1ull << 30)
#define VA      (8 * GiB)
#define MEMORY  (64ull << 20) /* of tables */
#define LOOKUPS 262144u       /* as many as there are 4K pages in a GiB */
#define REPEATS 4

#if defined(__x86_64__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default"), noinline))
#else
#define WIDE __attribute__((noinline))
#endif

/* ---- memory of tables: stacks of free blocks, by size, those of zeros apart -------------------------------------- */

struct bank {
    char *memory;
    uint64_t used;
    uint64_t *free[32][2]; /* [1]: all zero, but that the first word of a free block points at the next one */
    struct nvmmu_window window;
};

static int alloc_table(void *ctx, size_t size, size_t align, struct nvmmu_table_mem *out)
{
    struct bank *b = ctx;
    unsigned order = 63 - (unsigned)__builtin_clzll(2 * (size > align ? size : align) - 1);
    bool zeroed = b->free[order][1];
    uint64_t *block = b->free[order][zeroed];

    if (block) {
        b->free[order][zeroed] = (uint64_t *)(uintptr_t)*block;
        *block = 0;
    } else {
        uint64_t at = (b->used + (1ull << order) - 1) & ~((1ull << order) - 1);

        b->used = at + (1ull << order);
        if (b->used > MEMORY)
            abort();
        block = (uint64_t *)(void *)(b->memory + at);
    }
    *out = (struct nvmmu_table_mem){.addr = (uint64_t)((char *)block - b->memory), .cpu = block, .zeroed = zeroed};
    return 0;
}

static void free_table(void *ctx, const struct nvmmu_table_mem *mem, size_t size)
{
    struct bank *b = ctx;
    unsigned order = 63 - (unsigned)__builtin_clzll(2 * (size > 4096 ? size : 4096) - 1);

    *(uint64_t *)mem->cpu = (uint64_t)(uintptr_t)b->free[order][mem->zeroed];
    b->free[order][mem->zeroed] = mem->cpu;
}

/* ---- limits: plain loops ---------------------------------------------------------------------------------------- */

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

WIDE static uint64_t load_words(const uint64_t *at, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += at[i];
    __asm__ volatile("" ::: "memory");
    return sum;
}

/* ---- rows: a page size of a format, and what is done with it ---------------------------------------------------- */

static const struct pages {
    const char *format, *name;
    uint8_t shift, words; /* of an entry */
    uint64_t reach;       /* of the translations, bytes */
} pages[] = {
    {"tu102", "4K", 12, 1, GiB},   {"tu102", "64K", 16, 1, 4 * GiB}, {"tu102", "2M", 21, 2, 16 * GiB},
    {"gk104", "4K", 12, 1, GiB},   {"gk104", "128K", 17, 1, 4 * GiB},
    {"g84", "4K", 12, 1, GiB},     {"g84", "64K", 16, 1, 4 * GiB},
};
enum { PAGES = sizeof pages / sizeof *pages };

struct state {
    const struct pages *p;
    struct bank *bank;
    struct nvmmu_vmm *vmm;
    struct nvmmu_space space;
};

static struct {
    uint64_t *limit;            /* memory for the limit loops */
    uint64_t *list;             /* addresses of 4K pages, scattered */
    struct nvmmu_piece *pieces; /* the same as pieces of a larger page */
    uint64_t *order;            /* random numbers */
    uint64_t sink;
} shared;

static size_t count(const struct state *s)
{
    return GiB >> s->p->shift;
}

static void get(struct state *s, uint64_t size)
{
    if (nvmmu_vmm_get(s->vmm, VA, size, s->p->shift))
        abort();
}

static void put(struct state *s, uint64_t size)
{
    if (nvmmu_vmm_put(s->vmm, VA, size, s->p->shift))
        abort();
}

static void unmap(struct state *s, uint64_t size)
{
    if (nvmmu_vmm_unmap(s->vmm, VA, size, s->p->shift, false))
        abort();
}

static void map(struct state *s, uint64_t size)
{
    const struct nvmmu_piece piece = {GiB, size};
    const struct nvmmu_map m = {
        .va = VA,
        .size = size,
        .shift = s->p->shift,
        .target = NVMMU_VRAM,
        .object_shift = s->p->shift,
        .pieces = &piece,
        .piece_count = 1,
    };

    if (nvmmu_vmm_map(s->vmm, &m))
        abort();
}

/* 4K pages as a list of addresses, larger ones as pieces. */
static void map_scattered(struct state *s, uint64_t size)
{
    bool list = s->p->shift == 12;
    struct nvmmu_map m = {
        .va = VA,
        .size = size,
        .shift = s->p->shift,
        .target = list ? NVMMU_HOST : NVMMU_VRAM,
        .object_shift = s->p->shift,
        .pages = list ? shared.list : NULL,
        .page_count = list ? count(s) : 0,
        .pieces = list ? NULL : shared.pieces,
        .piece_count = list ? 0 : count(s),
    };

    for (size_t i = 0; !list && i < count(s); i++)
        shared.pieces[i].size = 1ull << s->p->shift;
    if (nvmmu_vmm_map(s->vmm, &m))
        abort();
}

/* ---- what is done: ns a page ------------------------------------------------------------------------------------ */

typedef void change(struct state *, uint64_t size);

/* One call of `change` between others that are not timed. */
static double time_change(struct state *s, change *before, change *timed, change *after)
{
    double sum = 0;

    for (unsigned i = 0; i < REPEATS; i++) {
        double t;

        if (before)
            before(s, GiB);
        t = bench_now();
        timed(s, GiB);
        sum += bench_now() - t;
        if (after)
            after(s, GiB);
    }
    return sum / REPEATS / (double)count(s);
}

static double map_run(struct state *s)
{
    double ns;

    get(s, GiB);
    map(s, GiB);
    ns = time_change(s, NULL, map, NULL);
    unmap(s, GiB);
    put(s, GiB);
    return ns;
}

static double scatter_run(struct state *s)
{
    double ns;

    get(s, GiB);
    ns = time_change(s, NULL, map_scattered, NULL);
    unmap(s, GiB);
    put(s, GiB);
    return ns;
}

static double unmap_run(struct state *s)
{
    double ns;

    get(s, GiB);
    ns = time_change(s, map, unmap, NULL);
    put(s, GiB);
    return ns;
}

static void get_put(struct state *s, uint64_t size)
{
    get(s, size);
    put(s, size);
}

static double refs_run(struct state *s)
{
    return time_change(s, NULL, get_put, NULL);
}

static void life(struct state *s, uint64_t size)
{
    nvmmu_vmm_begin(s->vmm);
    get(s, size);
    map(s, size);
    unmap(s, size);
    put(s, size);
    nvmmu_vmm_end(s->vmm);
}

static double life_run(struct state *s)
{
    return time_change(s, NULL, life, NULL);
}

static uint64_t address(const struct state *s, uint64_t i, bool random)
{
    return (random ? shared.order[i] : i << 12) & (s->p->reach - 1);
}

static uint64_t translate_all(const struct state *s, bool random)
{
    struct nvmmu_translation t;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < LOOKUPS; i++) {
        nvmmu_translate(&s->space, VA + address(s, i, random), &t);
        sum += t.state == NVMMU_MAPPED ? t.pa : 0;
    }
    return sum;
}

static uint64_t cursor_all(const struct state *s, bool random)
{
    struct nvmmu_translation t;
    struct nvmmu_cursor c;
    uint64_t sum = 0;

    nvmmu_cursor_init(&c, &s->space);
    for (uint64_t i = 0; i < LOOKUPS; i++) {
        nvmmu_cursor_translate(&c, VA + address(s, i, random), &t);
        sum += t.state == NVMMU_MAPPED ? t.pa : 0;
    }
    return sum;
}

static double look_up(struct state *s, uint64_t (*all)(const struct state *, bool), bool random)
{
    double t;

    get(s, s->p->reach);
    map(s, s->p->reach);
    t = bench_now();
    shared.sink += all(s, random);
    t = bench_now() - t;
    unmap(s, s->p->reach);
    put(s, s->p->reach);
    return t / LOOKUPS;
}

static double translate_run(struct state *s) { return look_up(s, translate_all, false); }
static double translate_random_run(struct state *s) { return look_up(s, translate_all, true); }
static double cursor_run(struct state *s) { return look_up(s, cursor_all, false); }
static double cursor_random_run(struct state *s) { return look_up(s, cursor_all, true); }

static void walk_range(struct state *s, uint64_t size)
{
    struct nvmmu_extents it;
    struct nvmmu_extent e;

    nvmmu_extents_init(&it, &s->space, VA, size);
    while (nvmmu_extents_next(&it, &e))
        shared.sink += e.size;
}

static double walk(struct state *s, change *how)
{
    double ns;

    get(s, GiB);
    how(s, GiB);
    ns = time_change(s, NULL, walk_range, NULL);
    unmap(s, GiB);
    put(s, GiB);
    return ns;
}

static double walk_run(struct state *s) { return walk(s, map); }
static double walk_scattered_run(struct state *s) { return walk(s, map_scattered); }

/* ---- their limits, ns a page ------------------------------------------------------------------------------------ */

static double store_limit(struct state *s)
{
    size_t words = count(s) * s->p->words;
    double t;

    store_words(shared.limit, words, 1, 0x100);
    t = bench_now();
    for (unsigned i = 0; i < REPEATS; i++)
        store_words(shared.limit, words, i, 0x100);
    return (bench_now() - t) / REPEATS / (double)count(s);
}

/* Empty, mapped, empty again. */
static double life_limit(struct state *s) { return 3 * store_limit(s); }

static double list_limit(struct state *s)
{
    size_t words = count(s) * s->p->words;
    double t = bench_now();

    for (unsigned i = 0; i < REPEATS; i++)
        store_list(shared.limit, words, i, shared.list);
    return (bench_now() - t) / REPEATS / (double)count(s);
}

static double load_limit(struct state *s)
{
    size_t words = count(s) * s->p->words;
    double t = bench_now();

    for (unsigned i = 0; i < REPEATS; i++)
        shared.sink += load_words(shared.limit, words);
    return (bench_now() - t) / REPEATS / (double)count(s);
}

/* Independent loads of a page's entry, in the same order. */
static double entry_limit(struct state *s, bool random)
{
    uint64_t sum = 0;
    double t = bench_now();

    for (uint64_t i = 0; i < LOOKUPS; i++)
        sum += shared.limit[(address(s, i, random) >> s->p->shift) * s->p->words];
    shared.sink += sum;
    return (bench_now() - t) / LOOKUPS;
}

static double next_limit(struct state *s) { return entry_limit(s, false); }
static double random_limit(struct state *s) { return entry_limit(s, true); }

static const struct work {
    const char *name;
    double (*run)(struct state *), (*limit)(struct state *);
} works[] = {
    {"map, contiguous", map_run, store_limit},
    {"map, scattered", scatter_run, list_limit},
    {"unmap", unmap_run, store_limit},
    {"get + put", refs_run, store_limit},
    {"get + map + unmap + put", life_run, life_limit},
    {"range walk, contiguous", walk_run, load_limit},
    {"range walk, scattered", walk_scattered_run, load_limit},
    {"translate, in order", translate_run, next_limit},
    {"translate, random", translate_random_run, random_limit},
    {"cursor, in order", cursor_run, next_limit},
    {"cursor, random", cursor_random_run, random_limit},
};
enum { WORKS = sizeof works / sizeof *works };

/* ---- running ---------------------------------------------------------------------------------------------------- */

static void *memory(size_t size)
{
    void *p = bench_alloc(NULL, size, 2u << 20);

    if (!p)
        abort();
    return memset(p, 0, size);
}

static void shared_init(void)
{
    uint64_t seed = 1;

    shared.limit = memory(4u << 20);
    shared.list = memory(LOOKUPS * sizeof *shared.list);
    shared.order = memory(LOOKUPS * sizeof *shared.order);
    shared.pieces = memory(LOOKUPS * sizeof *shared.pieces);
    for (unsigned i = 0; i < LOOKUPS; i++) {
        shared.list[i] = (bench_random(&seed) & 0xffffff) << 12;
        shared.order[i] = bench_random(&seed);
        shared.pieces[i].addr = (bench_random(&seed) & 0x7fff) << 21;
    }
}

static void state_init(struct state *s, const struct pages *p)
{
    struct nvmmu_vmm_config config = {
        .size = sizeof config, .format = nvmmu_format_find(p->format), .window_count = 1,
    };

    *s = (struct state){.p = p, .bank = calloc(1, sizeof *s->bank)};
    s->bank->memory = memory(MEMORY);
    s->bank->window = (struct nvmmu_window){0, MEMORY, s->bank->memory, NVMMU_VRAM};
    config.windows = &s->bank->window;
    config.hooks = (struct nvmmu_vmm_hooks){.ctx = s->bank, .alloc_table = alloc_table, .free_table = free_table};
    if (nvmmu_vmm_create(&config, &s->vmm))
        abort();
    s->space = nvmmu_vmm_space(s->vmm);
}

static void row_name(const struct pages *p, const struct work *w, char name[64])
{
    snprintf(name, 64, "%s %s %s", p->format, p->name, w->name);
}

int main(int argc, char **argv)
{
    static double ns[PAGES][WORKS][BENCH_ROUNDS_MOST], limit[PAGES][WORKS][BENCH_ROUNDS_MOST];
    static struct state state[PAGES];
    const char *part = argc > 1 ? argv[1] : "";
    int rounds = getenv("QUICK") ? 3 : 21;
    char name[64];

    shared_init();
    for (unsigned p = 0; p < PAGES; p++)
        state_init(&state[p], &pages[p]);
    for (int r = 0; r < rounds; r++)
        for (unsigned i = 0; i < PAGES * WORKS; i++) {
            unsigned p = i / WORKS, w = i % WORKS;

            row_name(&pages[p], &works[w], name);
            if (!strstr(name, part))
                continue;
            ns[p][w][r] = works[w].run(&state[p]);
            limit[p][w][r] = works[w].limit(&state[p]);
        }
    printf("page tables, %d rounds, medians: ns a page or look-up, beside plain loops over the same bytes\n", rounds);
    for (unsigned i = 0; i < PAGES * WORKS; i++) {
        unsigned p = i / WORKS, w = i % WORKS;
        double ours = bench_median(ns[p][w], rounds), plain = bench_median(limit[p][w], rounds);

        row_name(&pages[p], &works[w], name);
        if (strstr(name, part))
            printf("  %-38s %9.3f ns  limit %7.3f ns  %6.2f x\n", name, ours, plain, ours / plain);
    }
    for (unsigned p = 0; p < PAGES; p++)
        nvmmu_vmm_destroy(state[p].vmm);
    return shared.sink == 42;
}
