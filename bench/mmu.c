/*
 * Page tables (spec/performance.md section 2): map, unmap, references, translation and range walks, by format and page
 * size, beside nouveau's own code and beside a limit: a plain loop that stores, or loads, the same bytes as often.
 * nouveau does not translate: there the peer is a walk in plain C that checks neither bounds nor apertures and returns an
 * address only. All run in turns in the same rounds. What both sides have written must read the same.
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
#define REPEATS 4 /* of a GiB of 4K pages */

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

/* ---- peers: walks in plain C, over VRAM that begins at address 0 --------------------------------------------------- */

static inline const uint64_t *table(const char *vram, uint64_t address)
{
    return (const uint64_t *)(const void *)(vram + address);
}

static inline uint64_t pascal_page(uint64_t entry, uint64_t va, unsigned shift)
{
    return entry & 1 ? ((entry & 0x1ffffff00) << 4) + (va & ((1ull << shift) - 1)) : 0;
}

static inline uint64_t pascal_walk(const char *vram, uint64_t root, uint64_t va)
{
    const uint64_t *at = table(vram, root);

#pragma GCC unroll 3
    for (unsigned shift = 47; shift > 21; shift -= 9) {
        uint64_t entry = at[va >> shift & (shift == 47 ? 3 : 511)];

        if (!(entry & 6))
            return 0;
        at = table(vram, (entry & 0x1ffffff00) << 4);
    }
    at += 2 * (va >> 21 & 255);
    if (at[0] & 1)
        return pascal_page(at[0], va, 21);
    if (at[0] & 6) {
        uint64_t entry = table(vram, (at[0] & 0x1fffffff0) << 4)[va >> 16 & 31];

        if (entry & 0x29) /* valid, sparse or hidden */
            return pascal_page(entry, va, 16);
    }
    return at[1] & 6 ? pascal_page(table(vram, (at[1] & 0x1ffffff00) << 4)[va >> 12 & 511], va, 12) : 0;
}

static inline uint64_t kepler_page(uint64_t entry, uint64_t va, unsigned shift)
{
    return entry & 1 ? ((entry & (entry >> 34 & 1 ? 0xfffffff0 : 0x1ffffff0)) << 8) + (va & ((1ull << shift) - 1)) : 0;
}

static inline uint64_t kepler_walk(const char *vram, uint64_t root, uint64_t va)
{
    uint64_t pd0 = table(vram, root)[va >> 27], entry;

    if (pd0 & 3) {
        entry = table(vram, (pd0 & 0x1ffffff0) << 8)[va >> 17 & 1023];
        if (entry & 3) /* valid or hidden */
            return kepler_page(entry, va, 17);
    }
    return pd0 >> 32 & 3 ? kepler_page(table(vram, (pd0 >> 32 & 0x1ffffff0) << 8)[va >> 12 & 32767], va, 12) : 0;
}

static inline uint64_t tesla_walk(const char *vram, uint64_t root, uint64_t va)
{
    uint64_t pd0 = table(vram, root)[va >> 29];
    unsigned shift = (pd0 & 3) == 1 ? 16 : 12;
    uint64_t entry = pd0 & 1 ? table(vram, pd0 & 0xfffffff000)[(va & 0x1fffffff) >> shift] : 0;

    return entry & 1 ? (entry & 0xfffffff000) + (va & ((1ull << shift << (entry >> 7 & 7)) - 1)) : 0;
}

/* The sum of what is found at the addresses: n from VA on, no further than `reach`. */
struct addresses {
    const uint64_t *at;
    uint64_t n, reach;
};

static inline uint64_t address(const struct addresses *a, uint64_t i)
{
    return VA + (a->at[i] & (a->reach - 1));
}

#define PLAIN(name) \
    __attribute__((noinline)) static uint64_t name##_all(const struct nvmmu_space *s, struct addresses a) \
    { \
        uint64_t sum = 0; \
\
        for (uint64_t i = 0; i < a.n; i++) \
            sum += name(s->windows->cpu, s->root, address(&a, i)); \
        return sum; \
    }
PLAIN(pascal_walk)
PLAIN(kepler_walk)
PLAIN(tesla_walk)

/* ---- rows: a page size of a format, and what is done with it ---------------------------------------------------- */

static const struct pages {
    const char *format, *name;
    uint8_t shift, words; /* of an entry */
    uint64_t reach;       /* of the translations, bytes */
    uint64_t (*plain)(const struct nvmmu_space *, struct addresses);
} pages[] = {
    {"tu102", "4K", 12, 1, GiB, pascal_walk_all},      {"tu102", "64K", 16, 1, 4 * GiB, pascal_walk_all},
    {"tu102", "2M", 21, 2, 16 * GiB, pascal_walk_all}, {"gp100", "4K", 12, 1, GiB, pascal_walk_all},
    {"gp100", "64K", 16, 1, 4 * GiB, pascal_walk_all}, {"gp100", "2M", 21, 2, 16 * GiB, pascal_walk_all},
    {"gk104", "4K", 12, 1, GiB, kepler_walk_all},      {"gk104", "128K", 17, 1, 4 * GiB, kepler_walk_all},
    {"g84", "4K", 12, 1, GiB, tesla_walk_all},         {"g84", "64K", 16, 1, 4 * GiB, tesla_walk_all},
};
enum { PAGES = sizeof pages / sizeof *pages };

struct state {
    const struct pages *p;
    const struct mmu_peer *peer;
    struct mmu_space *space;
    double plain; /* ns a look-up of the walk in plain C that ran last */
};

static struct {
    uint64_t *limit;            /* memory for the limit loops */
    uint64_t *list;             /* addresses of 4K pages, scattered */
    struct nvmmu_piece *pieces[64]; /* the same as pieces of a larger page, by its shift */
    uint64_t *pages, *random;   /* multiples of 4096, random numbers */
    uint64_t sink;
} shared;

static size_t count(const struct state *s)
{
    return GiB >> s->p->shift;
}

/* Larger pages are done soon, and the clock takes a while itself. */
static unsigned repeats(const struct state *s)
{
    size_t times = REPEATS * LOOKUPS / count(s);

    return times < 256 ? (unsigned)times : 256;
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

/* `before` is not timed. */
static double time_change(struct state *s, change *before, change *timed)
{
    double sum = 0, t = before ? 0 : bench_now();

    for (unsigned i = 0; i < repeats(s); i++) {
        if (before) {
            before(s, GiB);
            t = bench_now();
        }
        timed(s, GiB);
        if (before)
            sum += bench_now() - t;
    }
    return (before ? sum : bench_now() - t) / repeats(s) / (double)count(s);
}

static double map_run(struct state *s)
{
    double ns;

    get(s, GiB);
    map(s, GiB);
    ns = time_change(s, NULL, map);
    unmap(s, GiB);
    put(s, GiB);
    return ns;
}

static double scatter_run(struct state *s)
{
    double ns;

    get(s, GiB);
    map_scattered(s, GiB);
    ns = time_change(s, NULL, map_scattered);
    unmap(s, GiB);
    put(s, GiB);
    return ns;
}

static double unmap_run(struct state *s)
{
    double ns;

    get(s, GiB);
    ns = time_change(s, map, unmap);
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
    return time_change(s, NULL, get_put);
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
    return time_change(s, NULL, life);
}

static struct addresses addresses(const struct state *s, bool random)
{
    return (struct addresses){random ? shared.random : shared.pages, LOOKUPS, s->p->reach};
}

__attribute__((noinline)) static uint64_t translate_all(const struct nvmmu_space *s, struct addresses a)
{
    struct nvmmu_translation t;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < a.n; i++) {
        nvmmu_translate(s, address(&a, i), &t);
        sum += t.state == NVMMU_MAPPED ? t.pa : 0;
    }
    return sum;
}

__attribute__((noinline)) static uint64_t cursor_all(const struct nvmmu_space *s, struct addresses a)
{
    struct nvmmu_translation t;
    struct nvmmu_cursor c;
    uint64_t sum = 0;

    nvmmu_cursor_init(&c, s);
    for (uint64_t i = 0; i < a.n; i++) {
        nvmmu_cursor_translate(&c, address(&a, i), &t);
        sum += t.state == NVMMU_MAPPED ? t.pa : 0;
    }
    return sum;
}

/* A walk and its peer one after the other over the same tables, each warm; both must find the same. Instructions are
 * ours. */
static double look_up(struct state *s, uint64_t (*all)(const struct nvmmu_space *, struct addresses), bool random)
{
    const struct addresses a = addresses(s, random);
    uint64_t sum[2] = {0, 0};
    double ours, plain;

    get(s, s->p->reach);
    map(s, s->p->reach);
    const struct nvmmu_space space = s->peer->walk(s->space);
    shared.sink += s->p->plain(&space, a);
    ours = bench_now();
    sum[0] = all(&space, a);
    ours = bench_now() - ours;
    plain = bench_clock();
    sum[1] = s->p->plain(&space, a);
    plain = bench_clock() - plain;
    unmap(s, s->p->reach);
    put(s, s->p->reach);
    must(sum[0] != sum[1]);
    s->plain = plain / LOOKUPS;
    return ours / LOOKUPS;
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

/* As often as in all reads enough entries to be timed. */
static double walk(struct state *s, change *how)
{
    double ns;

    get(s, GiB);
    how(s, GiB);
    walk_range(s, GiB);
    ns = time_change(s, NULL, walk_range);
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
    for (unsigned i = 0; i < repeats(s); i++)
        store_words(shared.limit, words, i, 0x100);
    return (bench_now() - t) / repeats(s) / (double)count(s);
}

/* Empty, mapped, empty again. */
static double life_limit(struct state *s) { return 3 * store_limit(s); }

static double list_limit(struct state *s)
{
    size_t words = count(s) * s->p->words;
    double t = bench_now();

    for (unsigned i = 0; i < repeats(s); i++)
        store_list(shared.limit, words, i, shared.list);
    return (bench_now() - t) / repeats(s) / (double)count(s);
}

static double load_limit(struct state *s)
{
    size_t words = count(s) * s->p->words;
    double t = bench_now();

    for (unsigned i = 0; i < repeats(s); i++)
        shared.sink += load_words(shared.limit, words);
    return (bench_now() - t) / repeats(s) / (double)count(s);
}

/* Independent loads of a page's entry, in the same order. */
static double entry_limit(struct state *s, bool random)
{
    const struct addresses a = addresses(s, random);
    const unsigned shift = s->p->shift, words = s->p->words;
    uint64_t sum = 0;
    double t = bench_now();

    for (uint64_t i = 0; i < LOOKUPS; i++)
        sum += shared.limit[((address(&a, i) - VA) >> shift) * words];
    shared.sink += sum;
    return (bench_now() - t) / LOOKUPS;
}

static double next_limit(struct state *s) { return entry_limit(s, false); }
static double random_limit(struct state *s) { return entry_limit(s, true); }

/*
 * Targets for 4K pages, big pages, 2M pages: times the kernel; for translations times the walk in plain C, on the formats
 * the spec has numbers for. Those are ns of another machine (section 2): what it takes there for that walk, in the middle
 * of the range given, by what it is to come to.
 */
static const struct work {
    const char *name;
    double (*run)(struct state *), (*limit)(struct state *);
    enum { NO_PEER, KERNEL, PLAIN_WALK } peer;
    double target[3];
    double most; /* times the limit: enough at 4K, whatever the peer takes */
} works[] = {
    {"map, contiguous", map_run, store_limit, KERNEL, {19, 10, 8}, 1.5},
    {"map, scattered", scatter_run, list_limit, KERNEL, {12, 0, 0}, 1.5},
    {"unmap", unmap_run, store_limit, KERNEL, {0}, 0},
    {"get + put", refs_run, store_limit, KERNEL, {0}, 0},
    {"get + map + unmap + put", life_run, life_limit, KERNEL, {12, 10, 5}, 0},
    {"range walk, contiguous", walk_run, load_limit, NO_PEER, {0}, 3},
    {"range walk, scattered", walk_scattered_run, load_limit, NO_PEER, {0}, 0},
    {"translate, in order", translate_run, next_limit, PLAIN_WALK, {0}, 0},
    {"translate, random", translate_random_run, random_limit, PLAIN_WALK, {0}, 0},
    {"cursor, in order", cursor_run, next_limit, PLAIN_WALK, {4.3 / 1.5, 4.0 / 1.5, 2.3 / 1.5}, 0},
    {"cursor, random", cursor_random_run, random_limit, PLAIN_WALK, {7.7 / 5, 5.7 / 4, 2.9 / 2.5}, 0},
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
    shared.pages = memory(LOOKUPS * sizeof *shared.pages);
    shared.random = memory(LOOKUPS * sizeof *shared.random);
    for (unsigned i = 0; i < LOOKUPS; i++) {
        shared.list[i] = (bench_random(&seed) & 0xffffff) << 12;
        shared.pages[i] = (uint64_t)i << 12;
        shared.random[i] = bench_random(&seed);
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
    double ours[BENCH_ROUNDS_MOST], peer[BENCH_ROUNDS_MOST], limit[BENCH_ROUNDS_MOST];
};

static void print_row(const struct pages *p, const struct work *w, struct times *t, bool peer, int rounds)
{
    char name[64];
    struct bench_row_result r = {.name = name, .best_name = "limit"};
    double ratio[BENCH_ROUNDS_MOST];

    row_name(p, w, name);
    for (int i = 0; peer && i < rounds; i++)
        ratio[i] = t->peer[i] / t->ours[i];
    r.spread = peer ? bench_spread(ratio, rounds) : bench_spread(t->ours, rounds);
    r.ratio = peer ? bench_median(ratio, rounds) : 0;
    r.kernel = peer ? bench_median(t->peer, rounds) : 0;
    r.ours = bench_median(t->ours, rounds);
    r.best = bench_median(t->limit, rounds);
    if (w->peer == PLAIN_WALK)
        r.peer_name = "plain C walk";
    if (w->peer == KERNEL || p->plain == pascal_walk_all)
        r.target = w->target[p->shift == 12 ? 0 : p->shift == 21 ? 2 : 1];
    r.most = p->shift == 12 ? w->most : 0;
    bench_table_row("page tables", &r);
}

/* A row once, on either side. */
static void run_row(const struct work *w, const char *name, struct state *ours, struct state *kernel,
                    struct times *t, int round)
{
    size_t operations = w->peer == PLAIN_WALK ? LOOKUPS : repeats(ours) * count(ours);

    t->ours[round] = w->run(ours);
    bench_counted(name, "gpuvm", operations);
    if (w->peer == KERNEL && kernel->space) {
        t->peer[round] = w->run(kernel);
        bench_counted(name, "kernel", operations);
    }
    if (w->peer == PLAIN_WALK)
        t->peer[round] = ours->plain;
    t->limit[round] = w->limit(ours);
    bench_counted(name, "limit", operations);
}

int main(int argc, char **argv)
{
    static struct times times[PAGES * WORKS];
    static struct state ours[PAGES], kernel[PAGES];
    const struct mmu_peer *peer = &mmu_kernel;
    const char *part = argc > 1 ? argv[1] : "";
    int rounds = RUNNING_ON_VALGRIND ? 1 : getenv("QUICK") ? 5 : 21, differ;
    char name[64], title[64];

    shared_init();
    for (unsigned p = 0; p < PAGES; p++) {
        ours[p] = (struct state){&pages[p], &mmu_ours, mmu_ours.open(pages[p].format), 0};
        kernel[p] = (struct state){&pages[p], peer, peer ? peer->open(pages[p].format) : NULL, 0};
    }
    differ = differences(ours, kernel);
    for (int r = 0; r < rounds; r++)
        for (unsigned i = 0; i < PAGES * WORKS; i++) {
            unsigned p = i / WORKS, w = i % WORKS;

            row_name(&pages[p], &works[w], name);
            if (!strstr(name, part))
                continue;
            bench_progress("page tables", r + 1, rounds, name);
            run_row(&works[w], name, &ours[p], &kernel[p], &times[i], r);
        }
    snprintf(title, sizeof title, "page tables, ns a page or look-up, %d rounds", rounds);
    bench_table_head(title, "limit ns");
    for (unsigned i = 0; i < PAGES * WORKS; i++) {
        unsigned p = i / WORKS, w = i % WORKS;

        row_name(&pages[p], &works[w], name);
        if (strstr(name, part))
            print_row(&pages[p], &works[w], &times[i],
                      works[w].peer == KERNEL ? kernel[p].space != NULL : works[w].peer == PLAIN_WALK, rounds);
    }
    for (unsigned p = 0; p < PAGES; p++) {
        mmu_ours.close(ours[p].space);
        if (kernel[p].space)
            peer->close(kernel[p].space);
    }
    return differ != 0 || shared.sink == 42;
}
