/*
 * Page tables (spec/performance.md section 2): map, unmap, references, translation and range walks, by format and page
 * size, beside nouveau's own code and beside a limit: a plain loop that stores, or loads, the same bytes as often. All
 * run in turns in the same rounds. What both sides have written must read the same.
 *
 *     mmu [part of a row's name]     QUICK=1: few rounds
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* so that the limit loops are vectors too */
#endif

#include "mmu.h"

#include "report.h"

#define GiB     (1ull << 30)
#define VA      (8 * GiB)
#define LOOKUPS 262144u /* as many as there are 4K pages in a GiB */
#define REPEATS 4

#if defined(__x86_64__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default"), noinline))
#else
#define WIDE __attribute__((noinline))
#endif

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
    {"tu102", "4K", 12, 1, GiB}, {"tu102", "64K", 16, 1, 4 * GiB}, {"tu102", "2M", 21, 2, 16 * GiB},
    {"gp100", "4K", 12, 1, GiB}, {"gp100", "64K", 16, 1, 4 * GiB}, {"gp100", "2M", 21, 2, 16 * GiB},
    {"gk104", "4K", 12, 1, GiB}, {"gk104", "128K", 17, 1, 4 * GiB},
    {"g84", "4K", 12, 1, GiB},   {"g84", "64K", 16, 1, 4 * GiB},
};
enum { PAGES = sizeof pages / sizeof *pages };

struct state {
    const struct pages *p;
    const struct mmu_peer *peer;
    struct mmu_space *space;
};

static struct {
    uint64_t *limit;            /* memory for the limit loops */
    uint64_t *list;             /* addresses of 4K pages, scattered */
    struct nvmmu_piece *pieces[64]; /* the same as pieces of a larger page, by its shift */
    uint64_t *order;            /* random numbers */
    uint64_t sink;
} shared;

static size_t count(const struct state *s)
{
    return GiB >> s->p->shift;
}

static void must(int ret)
{
    if (ret) {
        fprintf(stderr, "mmu: call failed: %d\n", ret);
        exit(1);
    }
}

static void get(struct state *s, uint64_t size)
{
    must(s->peer->get(s->space, VA, size, s->p->shift));
}

static void put(struct state *s, uint64_t size)
{
    must(s->peer->put(s->space, VA, size, s->p->shift));
}

static void unmap(struct state *s, uint64_t size)
{
    must(s->peer->unmap(s->space, VA, size, s->p->shift, false));
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

    must(s->peer->map(s->space, &m));
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
        .pieces = list ? NULL : shared.pieces[s->p->shift],
        .piece_count = list ? 0 : count(s),
    };

    must(s->peer->map(s->space, &m));
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
    map_scattered(s, GiB);
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
    s->peer->begin(s->space);
    get(s, size);
    map(s, size);
    unmap(s, size);
    put(s, size);
    s->peer->end(s->space);
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
    const struct nvmmu_space space = s->peer->walk(s->space);
    struct nvmmu_translation t;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < LOOKUPS; i++) {
        nvmmu_translate(&space, VA + address(s, i, random), &t);
        sum += t.state == NVMMU_MAPPED ? t.pa : 0;
    }
    return sum;
}

static uint64_t cursor_all(const struct state *s, bool random)
{
    const struct nvmmu_space space = s->peer->walk(s->space);
    struct nvmmu_translation t;
    struct nvmmu_cursor c;
    uint64_t sum = 0;

    nvmmu_cursor_init(&c, &space);
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
    const struct nvmmu_space space = s->peer->walk(s->space);
    struct nvmmu_extents it;
    struct nvmmu_extent e;

    nvmmu_extents_init(&it, &space, VA, size);
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

/* `kernel`: nouveau has it too. Targets, times the kernel, for 4K pages, big pages, 2M pages. */
static const struct work {
    const char *name;
    double (*run)(struct state *), (*limit)(struct state *);
    bool kernel;
    double target[3];
    double most; /* times the limit: enough at 4K, whatever the kernel takes */
} works[] = {
    {"map, contiguous", map_run, store_limit, true, {19, 10, 8}, 1.5},
    {"map, scattered", scatter_run, list_limit, true, {12, 0, 0}, 1.5},
    {"unmap", unmap_run, store_limit, true, {0}, 0},
    {"get + put", refs_run, store_limit, true, {0}, 0},
    {"get + map + unmap + put", life_run, life_limit, true, {12, 10, 5}, 0},
    {"range walk, contiguous", walk_run, load_limit, false, {0}, 0},
    {"range walk, scattered", walk_scattered_run, load_limit, false, {0}, 0},
    {"translate, in order", translate_run, next_limit, false, {0}, 0},
    {"translate, random", translate_random_run, random_limit, false, {0}, 0},
    {"cursor, in order", cursor_run, next_limit, false, {0}, 0},
    {"cursor, random", cursor_random_run, random_limit, false, {0}, 0},
};
enum { WORKS = sizeof works / sizeof *works };

/* ---- both sides write the same ------------------------------------------------------------------------------------ */

static uint64_t reading(struct state *s, change *how)
{
    uint64_t sum = 0;
    struct nvmmu_extents it;
    struct nvmmu_extent e;

    get(s, GiB);
    how(s, GiB);
    const struct nvmmu_space space = s->peer->walk(s->space);
    nvmmu_extents_init(&it, &space, 0, 2 * VA);
    while (nvmmu_extents_next(&it, &e))
        sum = (sum ^ e.va ^ e.pa ^ e.size ^ e.state ^ e.page.aperture ^ e.shift) * 0x9e3779b97f4a7c15u;
    unmap(s, GiB);
    put(s, GiB);
    return sum;
}

static int differences(struct state *ours, struct state *kernel)
{
    int n = 0;

    for (int p = 0; p < PAGES; p++)
        for (int scattered = 0; kernel[p].space && scattered < 2; scattered++) {
            change *how = scattered ? map_scattered : map;

            if (reading(&ours[p], how) != reading(&kernel[p], how)) {
                printf("  DIFFERENT TABLES: %s %s%s\n", pages[p].format, pages[p].name, scattered ? ", scattered" : "");
                n++;
            }
        }
    return n;
}

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
    for (unsigned i = 0; i < LOOKUPS; i++) {
        shared.list[i] = (bench_random(&seed) & 0xffffff) << 12;
        shared.order[i] = bench_random(&seed);
    }
    for (unsigned shift = 13; shift <= 21; shift++) {
        shared.pieces[shift] = malloc((GiB >> shift) * sizeof(struct nvmmu_piece));
        for (unsigned i = 0; i < GiB >> shift; i++)
            shared.pieces[shift][i] = (struct nvmmu_piece){(bench_random(&seed) & 0x7fff) << 21, 1ull << shift};
    }
}

static void row_name(const struct pages *p, const struct work *w, char name[64])
{
    snprintf(name, 64, "%s %s %s", p->format, p->name, w->name);
}

struct times {
    double ours[BENCH_ROUNDS_MOST], kernel[BENCH_ROUNDS_MOST], limit[BENCH_ROUNDS_MOST];
};

static void print_row(const struct pages *p, const struct work *w, struct times *t, bool kernel, int rounds)
{
    char name[64];
    struct bench_row_result r = {.name = name, .best_name = "limit"};
    double ratio[BENCH_ROUNDS_MOST];

    row_name(p, w, name);
    for (int i = 0; kernel && i < rounds; i++)
        ratio[i] = t->kernel[i] / t->ours[i];
    r.spread = kernel ? bench_spread(ratio, rounds) : bench_spread(t->ours, rounds);
    r.ratio = kernel ? bench_median(ratio, rounds) : 0;
    r.kernel = kernel ? bench_median(t->kernel, rounds) : 0;
    r.ours = bench_median(t->ours, rounds);
    r.best = bench_median(t->limit, rounds);
    r.target = w->target[p->shift == 12 ? 0 : p->shift == 21 ? 2 : 1];
    r.most = p->shift == 12 ? w->most : 0;
    bench_table_row("page tables", &r);
}

int main(int argc, char **argv)
{
    static struct times times[PAGES * WORKS];
    static struct state ours[PAGES], kernel[PAGES];
    const struct mmu_peer *peer = &mmu_kernel;
    const char *part = argc > 1 ? argv[1] : "";
    int rounds = getenv("QUICK") ? 5 : 21, differ;
    char name[64], title[64];

    shared_init();
    for (unsigned p = 0; p < PAGES; p++) {
        ours[p] = (struct state){&pages[p], &mmu_ours, mmu_ours.open(pages[p].format)};
        kernel[p] = (struct state){&pages[p], peer, peer ? peer->open(pages[p].format) : NULL};
    }
    differ = differences(ours, kernel);
    for (int r = 0; r < rounds; r++)
        for (unsigned i = 0; i < PAGES * WORKS; i++) {
            unsigned p = i / WORKS, w = i % WORKS;

            row_name(&pages[p], &works[w], name);
            if (!strstr(name, part))
                continue;
            times[i].ours[r] = works[w].run(&ours[p]);
            if (kernel[p].space && works[w].kernel)
                times[i].kernel[r] = works[w].run(&kernel[p]);
            times[i].limit[r] = works[w].limit(&ours[p]);
        }
    snprintf(title, sizeof title, "page tables, ns a page or look-up, %d rounds", rounds);
    bench_table_head(title, "limit ns");
    for (unsigned i = 0; i < PAGES * WORKS; i++) {
        unsigned p = i / WORKS, w = i % WORKS;

        row_name(&pages[p], &works[w], name);
        if (strstr(name, part))
            print_row(&pages[p], &works[w], &times[i], kernel[p].space && works[w].kernel, rounds);
    }
    for (unsigned p = 0; p < PAGES; p++) {
        mmu_ours.close(ours[p].space);
        if (kernel[p].space)
            peer->close(kernel[p].space);
    }
    return differ != 0 || shared.sink == 42;
}
