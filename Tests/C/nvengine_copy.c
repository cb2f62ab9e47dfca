/*
 * The copy engine against a naive model, byte by byte: random launches on every class, each side pitch or block-linear,
 * with and without remap, over memory that is contiguous, scattered and sparse. Laws: the destination has what the
 * model says and nothing else has changed; a copy that stops and goes on gives the same; stale registers do not count;
 * semaphores come after the data.
 */
#include "nvengine_support.h"

#define REGION_PAGES 64u
#define REGION       (REGION_PAGES * PAGE)
#define HOLE         0x40000000u
#define ROUNDS       200 /* a class */

static const uint64_t region_va[2] = {0x300000000ull, 0x400000000ull}; /* source, destination */
static const uint64_t semaphore_va = 0x500000000ull, hole_va = 0x600000000ull;

struct test {
    struct machine *m;
    uint16_t class_id;
    bool sparse; /* the page table format has holes */
    uint64_t rng;
    uint8_t *page[2][REGION_PAGES]; /* NULL: sparse */
    uint8_t expected[REGION], before[REGION];
    uint8_t *semaphore;
};

static uint32_t pick(struct test *t, uint32_t n)
{
    return (uint32_t)below(&t->rng, n);
}

static uint8_t *byte_at(struct test *t, unsigned region, uint64_t offset)
{
    static uint8_t zero;
    uint8_t *page;

    REQUIRE(offset < REGION, "the test leaves its region: 0x%" PRIx64, offset);
    page = t->page[region][offset / PAGE];
    zero = 0;
    return page ? page + offset % PAGE : &zero;
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* Sparse below, and pieces of it mapped: in a row, or page by page. */
static void map_region(struct test *t, unsigned region)
{
    if (t->sparse)
        REQUIRE(!nvmmu_vmm_sparse(t->m->vmm, region_va[region], REGION, true), "sparse");
    for (uint32_t i = 0, n; i < REGION_PAGES; i += n) {
        uint32_t order[REGION_PAGES], how = pick(t, 8);
        uint64_t va = region_va[region] + i * (uint64_t)PAGE;

        n = 1 + pick(t, REGION_PAGES - i < 24 ? REGION_PAGES - i : 24);
        if (t->sparse && how == 0 && n < 4)
            continue;
        if (how < 4) {
            uint8_t *memory = machine_map(t->m, va, n, false);

            for (uint32_t k = 0; k < n; k++)
                t->page[region][i + k] = memory + k * PAGE;
        } else {
            uint8_t *memory = machine_map_scattered(t->m, va, n, &t->rng, order);

            for (uint32_t k = 0; k < n; k++)
                t->page[region][i + k] = memory + order[k] * PAGE;
        }
    }
}

static void fill(struct test *t, unsigned region)
{
    for (uint32_t i = 0; i < REGION; i += 8) {
        uint64_t r = rnd(&t->rng);

        for (uint32_t k = 0; k < 8; k++)
            *byte_at(t, region, i + k) = (uint8_t)(r >> 8 * k);
    }
}

static void snapshot(struct test *t, unsigned region, uint8_t *to)
{
    for (uint32_t i = 0; i < REGION_PAGES; i++)
        if (t->page[region][i])
            memcpy(to + i * PAGE, t->page[region][i], PAGE);
        else
            memset(to + i * PAGE, 0, PAGE);
}

/* ---- the model ------------------------------------------------------------------------------------------------- */

struct side {
    uint64_t base;
    bool tiled;
    uint32_t pitch;
    uint32_t height, depth;         /* of a block, log2 */
    uint32_t width, rows, slices;   /* elements, rows */
    uint32_t x, y, layer;
    uint32_t element;               /* bytes */
};

struct launch {
    struct side side[2];
    uint32_t length, lines, components, constant[2];
    bool multi, remap;
};

static uint64_t tiled_offset(const struct side *s, uint64_t x, uint64_t y, uint64_t z)
{
    uint64_t block_rows = 8ull << s->height, block_slices = 1ull << s->depth;
    uint64_t columns = (s->width * (uint64_t)s->element + 63) / 64, rows = (s->rows + block_rows - 1) / block_rows;
    uint64_t block = ((z / block_slices) * rows + y / block_rows) * columns + x / 64;
    uint64_t gob = block * block_slices * (1u << s->height) + z % block_slices * (1u << s->height) + y % block_rows / 8;

    return gob * 512 + (x / 32 % 2) * 256 + (y / 4 % 2) * 128 + (x / 16 % 2) * 64 + (y % 4) * 16 + x % 16;
}

static uint64_t place(const struct side *s, uint64_t x, uint64_t line)
{
    if (!s->tiled)
        return s->base + line * s->pitch + x;
    return s->base + tiled_offset(s, x + s->x * (uint64_t)s->element, s->y + line, s->layer);
}

static void model(struct test *t, const struct launch *l)
{
    unsigned size = l->remap ? (l->components >> 16 & 3) + 1 : 1, from = l->remap ? (l->components >> 20 & 3) + 1 : 1;
    unsigned to = l->remap ? (l->components >> 24 & 3) + 1 : 1;

    snapshot(t, 1, t->expected);
    for (uint32_t line = 0; line < (l->multi ? l->lines : 1); line++)
        for (uint32_t i = 0; i < l->length; i++)
            for (unsigned k = 0; k < to * size; k++) {
                unsigned select = l->remap ? l->components >> 4 * (k / size) & 7 : 0, b = k % size;
                uint64_t at = place(&l->side[1], (uint64_t)i * to * size + k, line);
                uint8_t value = 0;

                if (select == 6)
                    continue;
                if (select >= 4)
                    value = (uint8_t)(l->constant[select - 4] >> 8 * b);
                else if (select < from)
                    value = *byte_at(t, 0, place(&l->side[0], (uint64_t)i * from * size + select * size + b, line));
                if (t->page[1][at / PAGE])
                    t->expected[at] = value;
            }
}

/* ---- launches -------------------------------------------------------------------------------------------------- */

static void random_tiled(struct test *t, struct side *s)
{
    s->height = pick(t, 4);
    s->depth = pick(t, 3);
    s->width = 1 + pick(t, 512 / s->element);
    s->rows = 1 + pick(t, 64);
    s->slices = 1 + pick(t, 4);
    s->layer = pick(t, s->slices);
    s->x = pick(t, 3) ? 0 : pick(t, s->width);
    s->y = pick(t, 3) ? 0 : pick(t, s->rows);
    s->base = pick(t, 8) ? pick(t, 64) * 512ull : pick(t, 20000);
    if (pick(t, 3) || 64 % s->element)
        return;
    /* Whole GOBs, from edge to edge. */
    s->width = 64 / s->element * (1 + pick(t, 8));
    s->rows = 8 * (1 + pick(t, 8));
    s->x = s->y = 0;
    s->base &= ~511ull;
}

static void random_launch(struct test *t, struct launch *l)
{
    uint32_t length = pick(t, 8) ? 1 + pick(t, 512) : pick(t, 60000), lines = 1 + pick(t, 64);

    *l = (struct launch){.multi = pick(t, 8), .remap = pick(t, 2), .components = (uint32_t)rnd(&t->rng)};
    l->constant[0] = (uint32_t)rnd(&t->rng);
    l->constant[1] = (uint32_t)rnd(&t->rng);
    for (unsigned i = 0; i < 4; i++)
        if ((l->components >> 4 * i & 7) == 7)
            l->components ^= 1u << 4 * i;
    if (!pick(t, 3)) /* the same bytes */
        l->components = 0x3210 | pick(t, 4) << 16 | pick(t, 4) * 0x1100000u;
    l->side[0].element = l->side[1].element = 1;
    if (l->remap) {
        l->side[0].element = ((l->components >> 16 & 3) + 1) * ((l->components >> 20 & 3) + 1);
        l->side[1].element = ((l->components >> 16 & 3) + 1) * ((l->components >> 24 & 3) + 1);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct side *s = &l->side[i];

        s->tiled = pick(t, 2);
        if (!s->tiled)
            continue;
        random_tiled(t, s);
        length = length > s->width - s->x ? s->width - s->x : length;
        lines = lines > s->rows - s->y ? s->rows - s->y : lines;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct side *s = &l->side[i];
        uint32_t bytes, spare = 2000;

        if (s->tiled)
            continue;
        if (length * s->element > 100000)
            length = 100000 / s->element;
        bytes = length * s->element;
        if (bytes > 2000)
            lines = lines > 4 ? 4 : lines, spare = 30000;
        /* Lines that are written must not overlap; those that are read may. */
        s->pitch = pick(t, 3) ? bytes + (i ? 0 : pick(t, 2) * 8) : i ? bytes + pick(t, spare) : pick(t, spare);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct side *s = &l->side[i];
        uint64_t size = length * (uint64_t)s->element + (lines - 1) * (uint64_t)s->pitch;

        if (!s->tiled && size < REGION)
            s->base = pick(t, REGION - (uint32_t)size);
        else if (!s->tiled)
            lines = 1;
    }
    l->length = length;
    l->lines = pick(t, 20) ? lines : 0;
}

static void send_side(struct test *t, const struct launch *l, unsigned i)
{
    struct machine *m = t->m;
    const struct side *s = &l->side[i];
    uint32_t block = i ? 0x70c : 0x728, origin = i ? 0x74c : 0x744;

    address(m, COPY, i ? 0x408 : 0x400, region_va[i] + s->base);
    method(m, COPY, i ? 0x414 : 0x410, s->tiled ? (uint32_t)rnd(&t->rng) : s->pitch);
    if (!s->tiled)
        return;
    method(m, COPY, block, 1 << 12 | s->depth << 8 | s->height << 4);
    method(m, COPY, block + 4, s->width);
    method(m, COPY, block + 8, s->rows);
    method(m, COPY, block + 12, s->slices);
    method(m, COPY, block + 16, s->layer);
    if (t->class_id >= 0xc1b5 && pick(t, 2)) {
        method(m, COPY, origin, s->x);
        method(m, COPY, origin + 4, s->y);
        return;
    }
    method(m, COPY, block + 20, s->y << 16 | s->x);
    if (t->class_id < 0xc1b5) /* no such methods: they change nothing */
        method(m, COPY, origin, 77);
}

static void send(struct test *t, const struct launch *l)
{
    struct machine *m = t->m;
    uint32_t launch = 6 | !l->side[0].tiled << 7 | !l->side[1].tiled << 8 | l->multi << 9 | l->remap << 10;

    send_side(t, l, 0);
    send_side(t, l, 1);
    method(m, COPY, 0x418, l->length);
    method(m, COPY, 0x41c, l->lines);
    if (l->remap) {
        method(m, COPY, 0x700, l->constant[0]);
        method(m, COPY, 0x704, l->constant[1]);
        method(m, COPY, 0x708, l->components);
    }
    method(m, COPY, 0x300, launch);
}

static void set_line(struct test *t, uint64_t from, uint64_t to, uint32_t length)
{
    address(t->m, COPY, 0x400, from);
    address(t->m, COPY, 0x408, to);
    method(t->m, COPY, 0x418, length);
}

/* Copies much where there is nothing, so that the step ends in the next launch, somewhere. */
static void use_up_the_step(struct test *t)
{
    set_line(t, hole_va, hole_va, (32u << 20) - pick(t, 60000) - 4000);
    method(t->m, COPY, 0x300, 0x182);
}

static void require_same(struct test *t, const struct launch *l)
{
    static uint8_t now[REGION];

    snapshot(t, 1, now);
    for (uint32_t i = 0; i < REGION && memcmp(now, t->expected, REGION); i++)
        REQUIRE(now[i] == t->expected[i],
                "class %x, byte 0x%x is %02x, not %02x: length %u lines %u multi %d remap %d components %x, "
                "%s base %" PRIx64 " -> %s base %" PRIx64,
                t->class_id, i, now[i], t->expected[i], l->length, l->lines, l->multi, l->remap, l->components,
                l->side[0].tiled ? "tiled" : "pitch", l->side[0].base, l->side[1].tiled ? "tiled" : "pitch",
                l->side[1].base);
    snapshot(t, 0, now);
    REQUIRE(!memcmp(now, t->before, REGION), "the source has changed");
}

static void random_copies(struct test *t)
{
    struct launch l;

    for (unsigned round = 0; round < ROUNDS; round++) {
        if (round % 50 == 0) {
            fill(t, 0);
            fill(t, 1);
            snapshot(t, 0, t->before);
        }
        t->m->run_most = pick(t, 3) ? 0 : 1 + pick(t, 8);
        random_launch(t, &l);
        model(t, &l);
        if (t->sparse && !pick(t, 3))
            use_up_the_step(t);
        send(t, &l);
        run_to_idle(t->m);
        require_same(t, &l);
    }
}

/* ---- single laws ----------------------------------------------------------------------------------------------- */

/* What a fill leaves stale must not be read: no component comes from the source, which is not mapped. */
static void stale_source(struct test *t)
{
    set_line(t, 0x7700000000ull & ((1ull << 40) - 1), region_va[1] + 8, 3);
    method(t->m, COPY, 0x700, 0x11223344);
    method(t->m, COPY, 0x708, 0x00034444);
    method(t->m, COPY, 0x300, 0x586);
    if (t->page[1][0]) {
        run_to_idle(t->m);
        for (unsigned i = 0; i < 3; i++)
            REQUIRE(!memcmp(t->page[1][0] + 8 + 4 * i, "\x44\x33\x22\x11", 4), "filled");
    }
    run_to_idle(t->m);
}

static uint32_t word_at(const uint8_t *at)
{
    uint32_t word;

    memcpy(&word, at, 4);
    return word;
}

static void semaphores(struct test *t)
{
    uint64_t time = t->m->time;

    memset(t->semaphore, 0xee, 64);
    address(t->m, COPY, 0x240, semaphore_va);
    method(t->m, COPY, 0x248, 0xabcd);
    method(t->m, COPY, 0x300, 1 << 3);
    run_to_idle(t->m);
    REQUIRE(word_at(t->semaphore) == 0xabcd && word_at(t->semaphore + 4) == 0xeeeeeeee, "one word");
    REQUIRE(t->m->time == time, "no timestamp");
    method(t->m, COPY, 0x248, 0xabce);
    method(t->m, COPY, 0x300, 2 << 3);
    run_to_idle(t->m);
    REQUIRE(word_at(t->semaphore) == 0xabce && word_at(t->semaphore + 4) == 0 && word_at(t->semaphore + 8) == time &&
                word_at(t->semaphore + 12) == 0 && word_at(t->semaphore + 16) == 0xeeeeeeee,
            "four words");
    method(t->m, COPY, 0x248, 1);
    method(t->m, COPY, 0x300, 1 << 3 | 1 << 19 | 5 << 14);
    run_to_idle(t->m);
    REQUIRE(word_at(t->semaphore) == 0xabcf, "sum");
    method(t->m, COPY, 0x24c, 5);
    method(t->m, COPY, 0x300, 1 << 3 | 1 << 27);
    run_to_idle(t->m);
    REQUIRE(word_at(t->semaphore + 4) == (t->class_id == 0xc7b5 ? 5 : 0), "long payload");
}

/* A GiB of sparse memory: a step does some of it, and the copy goes on. */
static void long_copy(struct test *t)
{
    const uint64_t hole = hole_va, size = HOLE;
    uint64_t before = nvengine_channel_statistics(t->m->channel).bytes;
    unsigned steps = 0;
    int state;

    set_line(t, hole, hole, (uint32_t)size);
    method(t->m, COPY, 0x248, 0x5555);
    method(t->m, COPY, 0x300, 0x186 | 1 << 3);
    submit(t->m);
    while ((state = nvengine_channel_step(t->m->channel)) == NVENGINE_READY && ++steps < 1000)
        REQUIRE(word_at(t->semaphore) != 0x5555 || nvengine_channel_statistics(t->m->channel).bytes - before == size,
                "the semaphore waits for the data");
    REQUIRE(state == NVENGINE_IDLE && steps >= 16, "state %d, %u steps", state, steps);
    REQUIRE(word_at(t->semaphore) == 0x5555, "the semaphore");
    t->m->words = t->m->begun = 0;
}

/* A page of 512 MiB, with memory in a row behind it: a step does some 32 MiB of it, no more. */
static void huge_page(void)
{
    static struct test t;
    const uint64_t va = 1ull << 40, size = FRAMES * (uint64_t)PAGE;
    struct nvmmu_piece piece = {FRAME_BASE, 512u << 20};
    struct nvmmu_map map = {.va = va, .size = piece.size, .shift = 29, .target = NVMMU_VRAM, .object_shift = 29,
                            .pieces = &piece, .piece_count = 1};
    uint64_t done = 0;
    int state;

    t.m = machine_new("ga100-512m", 0xc7b5);
    REQUIRE(!nvmmu_vmm_get(t.m->vmm, va, piece.size, 29) && !nvmmu_vmm_map(t.m->vmm, &map), "map");
    set_line(&t, va, va, (uint32_t)size);
    method(t.m, COPY, 0x300, 0x186);
    submit(t.m);
    do {
        uint64_t before = done;

        state = nvengine_channel_step(t.m->channel);
        done = nvengine_channel_statistics(t.m->channel).bytes;
        REQUIRE(done - before <= 34 << 20, "0x%" PRIx64 " bytes in a step", done - before);
    } while (state == NVENGINE_READY);
    REQUIRE(state == NVENGINE_IDLE && done == size, "state %d, 0x%" PRIx64 " bytes", state, done);
    machine_delete(t.m);
}

/* Megabytes in one line and in many, from the frames' start, over the ends of what the hook gives at once. */
static void big_copies(struct test *t)
{
    const uint64_t from = 0x700000000ull, to = 0x710000000ull;
    enum { PAGES = 600, SIZE = PAGES * PAGE };
    uint8_t *a = machine_map(t->m, from, PAGES, false), *b = machine_map(t->m, to, PAGES, false);

    t->m->run_most = 0;
    for (unsigned round = 0; round < 12; round++) {
        uint32_t skip = pick(t, 5000), line = round < 4 ? SIZE - skip : 1 + pick(t, 9000);
        uint32_t lines = (SIZE - skip) / line;

        for (uint32_t i = 0; i < SIZE; i += 8) {
            uint64_t r = rnd(&t->rng);

            memcpy(a + i, &r, 8);
        }
        memset(b, 0, SIZE);
        set_line(t, from + skip, to + skip / 2, line);
        method(t->m, COPY, 0x410, line);
        method(t->m, COPY, 0x414, line);
        method(t->m, COPY, 0x41c, lines);
        method(t->m, COPY, 0x300, 0x386);
        run_to_idle(t->m);
        REQUIRE(!memcmp(a + skip, b + skip / 2, line * (size_t)lines), "bytes");
        for (uint32_t i = 0; i < SIZE; i++)
            if (i < skip / 2 || i >= skip / 2 + line * lines)
                REQUIRE(!b[i], "byte 0x%x", i);
    }
}

static void refused(struct test *t)
{
    static const uint32_t block[] = {0, 1 << 12 | 1, 1 << 12 | 6 << 4, 1 << 12 | 6 << 8, 1 << 12 | 0xe};
    static const uint32_t launch[] = {0x183 | 0x1000, 0x183, 0x182 | 0x2000, 0x18 | 0x180, 8 | 1 << 19 | 10 << 14};

    for (unsigned i = 0; i < 5; i++) {
        method(t->m, COPY, 0x70c, block[i]);
        method(t->m, COPY, 0x300, 2 | 1 << 7);
        run_to_fault(t->m, NVENGINE_ERROR_LAUNCH);
        machine_channel(t->m, t->class_id);
        t->m->words = t->m->begun = 0;
        method(t->m, COPY, 0x300, launch[i]);
        run_to_fault(t->m, NVENGINE_ERROR_LAUNCH);
        machine_channel(t->m, t->class_id);
        t->m->words = t->m->begun = 0;
    }
    method(t->m, COPY, 0x708, 0x7);
    method(t->m, COPY, 0x300, 0x582);
    run_to_fault(t->m, NVENGINE_ERROR_LAUNCH);
    machine_channel(t->m, t->class_id);
    t->m->words = t->m->begun = 0;
}

static void class_of(uint64_t *rng, uint16_t class_id, const char *format)
{
    static struct test t;

    t = (struct test){.class_id = class_id, .sparse = class_id != 0xa0b5, .rng = rnd(rng)};
    t.m = machine_new(format, class_id);
    map_region(&t, 0);
    map_region(&t, 1);
    if (t.sparse)
        REQUIRE(!nvmmu_vmm_sparse(t.m->vmm, hole_va, HOLE, true), "sparse");
    t.semaphore = machine_map(t.m, semaphore_va, 1, false);
    random_copies(&t);
    stale_source(&t);
    semaphores(&t);
    if (t.sparse)
        long_copy(&t);
    big_copies(&t);
    refused(&t);
    machine_delete(t.m);
}

int main(void)
{
    uint64_t rng = seed_choose("nvengine_copy");

    class_of(&rng, 0xa0b5, "gk104");
    class_of(&rng, 0xb0b5, "gm200");
    class_of(&rng, 0xc0b5, "gp100");
    class_of(&rng, 0xc1b5, "gp100");
    class_of(&rng, 0xc3b5, "gv100");
    class_of(&rng, 0xc5b5, "tu102");
    class_of(&rng, 0xc6b5, "ga100");
    class_of(&rng, 0xc7b5, "ga100");
    huge_page();
    return 0;
}
