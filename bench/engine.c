/*
 * The copy engine (Turing class) beside memcpy of the same bytes in the same rounds: linear copies of several sizes,
 * pages that lie in a row and pages that do not, images between pitch and block-linear, fills, and what a method costs.
 *
 *     engine      QUICK=1: few rounds
 */
#include "report.h"

#include <nvengine/channel.h>
#include <nvmmu/vmm.h>

#define MiB    (1ull << 20)
#define PAGE   4096ull
#define TABLES (8 * MiB)
#define DATA   (64 * MiB) /* each side */
#define PUSH   (8 * MiB)
#define ROUNDS 15

#define TABLE_BASE  0ull
#define FRAME_BASE  0x100000000ull
#define PUSH_VA     0x100000000ull
#define FROM_VA     0x200000000ull
#define TO_VA       0x300000000ull
#define SCATTERED   0x100000000000ull /* + FROM_VA or TO_VA: the same frames in 4 KiB pages in any order */

struct state {
    char *tables, *memory;
    uint64_t tables_used;
    struct nvmmu_window window;
    struct nvmmu_vmm *vmm;
    struct nvengine_channel *channel;
    uint32_t *push, words;
    char *from, *to;
};

/* ---- the GPU --------------------------------------------------------------------------------------------------- */

static int alloc_table(void *ctx, size_t size, size_t align, struct nvmmu_table_mem *out)
{
    struct state *s = ctx;
    uint64_t at = (s->tables_used + align - 1) & ~(uint64_t)(align - 1);

    if (at + size > TABLES)
        return -12;
    s->tables_used = at + size;
    *out = (struct nvmmu_table_mem){.addr = TABLE_BASE + at, .cpu = s->tables + at};
    return 0;
}

static void free_table(void *ctx, const struct nvmmu_table_mem *mem, size_t size)
{
    (void)ctx, (void)mem, (void)size;
}

static void *resolve(void *ctx, uint8_t aperture, uint64_t address, uint64_t *length)
{
    struct state *s = ctx;

    (void)aperture;
    if (address - FRAME_BASE >= PUSH + 2 * DATA)
        return NULL;
    *length = FRAME_BASE + PUSH + 2 * DATA - address;
    return s->memory + (address - FRAME_BASE);
}

static void map(struct state *s, uint64_t va, uint64_t offset, uint64_t size, bool scattered)
{
    struct nvmmu_piece piece = {FRAME_BASE + offset, size};
    struct nvmmu_map m = {.va = va, .size = size, .shift = 12, .target = NVMMU_VRAM, .object_shift = 12};
    uint32_t *order = bench_shuffled(size / PAGE, 1, offset + 1);
    uint64_t *page = malloc(size / PAGE * sizeof *page);

    for (size_t i = 0; i < size / PAGE; i++)
        page[i] = FRAME_BASE + offset + order[i] * PAGE;
    if (scattered)
        m.target = NVMMU_HOST, m.pages = page, m.page_count = size / PAGE;
    else
        m.pieces = &piece, m.piece_count = 1;
    if (nvmmu_vmm_get(s->vmm, va, size, 12) || nvmmu_vmm_map(s->vmm, &m))
        abort();
    free(page);
    free(order);
}

static void init(struct state *s)
{
    struct nvmmu_vmm_config config = {.size = sizeof config, .format = nvmmu_format_find("tu102"), .window_count = 1};
    static const uint16_t classes[] = {0xc5b5};
    struct nvengine_config engine = {.size = sizeof engine, .host_class = 0xc46f, .classes = classes,
                                     .class_count = 1, .bound = {[4] = 0xc5b5}};

    s->tables = bench_alloc(NULL, TABLES, 2 * MiB);
    s->memory = bench_alloc(NULL, PUSH + 2 * DATA, 2 * MiB);
    memset(s->memory, 1, PUSH + 2 * DATA);
    s->window = (struct nvmmu_window){TABLE_BASE, TABLES, s->tables, NVMMU_VRAM};
    config.windows = &s->window;
    config.hooks = (struct nvmmu_vmm_hooks){.ctx = s, .alloc_table = alloc_table, .free_table = free_table};
    if (nvmmu_vmm_create(&config, &s->vmm))
        abort();
    engine.memory = (struct nvengine_memory){.space = nvmmu_vmm_space(s->vmm), .ctx = s, .resolve = resolve};
    if (nvengine_channel_create(&engine, &s->channel))
        abort();
    map(s, PUSH_VA, 0, PUSH, false);
    map(s, FROM_VA, PUSH, DATA, false);
    map(s, TO_VA, PUSH + DATA, DATA, false);
    map(s, SCATTERED + FROM_VA, PUSH, DATA, true);
    map(s, SCATTERED + TO_VA, PUSH + DATA, DATA, true);
    s->push = (uint32_t *)(void *)s->memory;
    s->from = s->memory + PUSH;
    s->to = s->from + DATA;
}

static void method(struct state *s, uint32_t address, uint32_t data)
{
    s->push[s->words++] = 1u << 29 | 1 << 16 | 4 << 13 | address >> 2;
    s->push[s->words++] = data;
}

static void address(struct state *s, uint32_t upper, uint64_t va)
{
    method(s, upper, (uint32_t)(va >> 32));
    method(s, upper + 4, (uint32_t)va);
}

static double run(struct state *s)
{
    double t = bench_now();

    if (nvengine_channel_push(s->channel, PUSH_VA, s->words * 4ull, 0) ||
        nvengine_channel_run(s->channel) != NVENGINE_IDLE)
        abort();
    t = bench_now() - t;
    s->words = 0;
    return t;
}

/* ---- workloads, all of TOTAL bytes ----------------------------------------------------------------------------- */

#define TOTAL DATA

struct row {
    const char *name;
    uint64_t piece; /* bytes of a launch */
    uint64_t where; /* added to both addresses */
    unsigned kind;
};

enum { LINEAR, TO_TILED, FROM_TILED, TILED, REMAPPED, FILL };

static const struct row rows[] = {
    {"linear, 4 KiB a launch", 4096, 0, LINEAR},
    {"linear, 128 KiB a launch", 128 << 10, 0, LINEAR},
    {"linear, 64 MiB", DATA, 0, LINEAR},
    {"linear, 128 KiB, scattered pages", 128 << 10, SCATTERED, LINEAR},
    {"linear, 64 MiB, scattered pages", DATA, SCATTERED, LINEAR},
    {"pitch to block-linear, 4 MiB images", 4 << 20, 0, TO_TILED},
    {"block-linear to pitch, 4 MiB images", 4 << 20, 0, FROM_TILED},
    {"pitch to block-linear, scattered pages", 4 << 20, SCATTERED, TO_TILED},
    {"block-linear to pitch, scattered pages", 4 << 20, SCATTERED, FROM_TILED},
    {"block-linear to block-linear", 4 << 20, 0, TILED},
    {"swizzled: four 1-byte components", 4 << 20, 0, REMAPPED},
    {"fill, 128 KiB a launch (beside memset)", 128 << 10, 0, FILL},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* 1024 x 1024 of 4 bytes, blocks of 16 GOBs. */
static void image(struct state *s, uint32_t launch)
{
    for (uint32_t at = 0x70c; at <= 0x728; at += 0x1c) {
        method(s, at, 1 << 12 | 4 << 4);
        method(s, at + 4, 1024);
        method(s, at + 8, 1024);
    }
    method(s, 0x708, launch == 0x582 ? 0 : 0x03303012);
    method(s, 0x410, 4096);
    method(s, 0x414, 4096);
    method(s, 0x418, 1024);
    method(s, 0x41c, 1024);
}

static double measure(struct state *s, const struct row *r)
{
    static const uint32_t launch[] = {0x182, 0x682, 0x702, 0x602, 0x782, 0x582};

    if (r->kind != LINEAR && r->kind != FILL)
        image(s, launch[r->kind]);
    if (r->kind == TO_TILED || r->kind == FROM_TILED || r->kind == TILED)
        method(s, 0x708, 0x03303210);
    if (r->kind == FILL)
        method(s, 0x708, 0x00034444);
    for (uint64_t at = 0; at < TOTAL; at += r->piece) {
        address(s, 0x400, r->where + FROM_VA + at);
        address(s, 0x408, r->where + TO_VA + at);
        if (r->kind == LINEAR || r->kind == FILL)
            method(s, 0x418, (uint32_t)(r->kind == FILL ? r->piece / 4 : r->piece));
        method(s, 0x300, launch[r->kind]);
    }
    return run(s);
}

static double limit(struct state *s, const struct row *r)
{
    double t = bench_now();

    for (uint64_t at = 0; at < TOTAL; at += r->piece)
        if (r->kind == FILL)
            memset(s->to + at, (int)at, r->piece);
        else
            memcpy(s->to + at, s->from + at, r->piece);
    __asm__ volatile("" ::: "memory");
    return bench_now() - t;
}

/* ns a method: registers of the copy engine, eight to a header. */
static double methods(struct state *s)
{
    enum { HEADERS = 100000 };

    for (unsigned i = 0; i < HEADERS; i++) {
        s->push[s->words++] = 1u << 29 | 8 << 16 | 4 << 13 | 0x400 >> 2;
        for (unsigned k = 0; k < 8; k++)
            s->push[s->words++] = i;
    }
    return run(s) / (HEADERS * 8.0);
}

/* ns a launch of no bytes. */
static double launches(struct state *s)
{
    enum { LAUNCHES = 100000 };

    method(s, 0x418, 0);
    for (unsigned i = 0; i < LAUNCHES; i++)
        method(s, 0x300, 0x182);
    return run(s) / LAUNCHES;
}

int main(void)
{
    static double ns[ROWS][ROUNDS], least[ROWS][ROUNDS], method_ns[ROUNDS], launch_ns[ROUNDS];
    static struct state s;
    int rounds = getenv("QUICK") ? 3 : ROUNDS;

    init(&s);
    for (int round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < ROWS; i++) {
            bench_progress("copy engine", round + 1, rounds, rows[i].name);
            ns[i][round] = measure(&s, &rows[i]);
            least[i][round] = limit(&s, &rows[i]);
        }
        method_ns[round] = methods(&s);
        launch_ns[round] = launches(&s);
    }
    bench_progress_end();
    printf("%-40s %10s %12s %10s\n", "copy engine (c5b5), median", "GB/s", "memcpy GB/s", "of memcpy");
    for (unsigned i = 0; i < ROWS; i++) {
        double t = bench_median(ns[i], rounds), l = bench_median(least[i], rounds);

        struct bench_row_result r = {.name = rows[i].name, .ours = t * 1024 / TOTAL, .best = l * 1024 / TOTAL,
                                     .spread = bench_spread(ns[i], rounds),
                                     .best_name = rows[i].kind == FILL ? "memset" : "memcpy"};

        printf("%-40s %10.2f %12.2f %10.2f\n", rows[i].name, TOTAL / t, TOTAL / l, l / t);
        bench_json_row("copy engine, ns a KiB", &r);
    }
    printf("%-40s %10.2f ns\n", "a method", bench_median(method_ns, rounds));
    printf("%-40s %10.2f ns\n", "a launch of no bytes", bench_median(launch_ns, rounds));
    nvengine_channel_destroy(s.channel);
    nvmmu_vmm_destroy(s.vmm);
    return 0;
}
