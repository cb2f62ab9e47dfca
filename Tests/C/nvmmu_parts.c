/*
 * Laws of parts that are mapped in a row (nvmmu_vmm_map_parts): each is mapped or refused, and written, as if it were
 * mapped alone; the first that is refused ends the row; nothing is allocated, and there is one flush.
 */
#include "nvmmu_support.h"

enum { PARTS = 24, PIECES = 6, ROWS = 800 };

#define VRAM 0x10000000ull

/* ---- one row ------------------------------------------------------------------------------------------------ */

static const struct nvmmu_piece large = {VRAM, 64 * MiB};
static const struct nvmmu_map buffer = {
    .va = 1, .size = 1, .shift = 99, .offset = 1, .kind = 0xff, /* the parts have these themselves */
    .target = NVMMU_VRAM, .object_shift = 21, .pieces = &large, .piece_count = 1,
};

static void require_shown(struct nvmmu_vmm *v, uint64_t va, uint64_t pa)
{
    struct nvmmu_walk w = walk_at(v, va);

    REQUIRE(pa ? w.state == NVMMU_MAPPED && w.pa == pa : w.state != NVMMU_MAPPED, "0x%" PRIx64 ": state %d, 0x%" PRIx64, va,
            (int)w.state, w.pa);
}

/* Of both page sizes, over borders of tables and of directories. */
static void a_row_goes_over_tables_and_directories_and_allocates_nothing(void)
{
    const uint64_t va = (1ull << 38) - 2 * MiB;
    const struct nvmmu_part parts[] = {
        {va, 0x10000, 0, 16, 0},
        {va + 2 * MiB - 0x30000, 0x60000, 0x10000, 16, 6},
        {va + 2 * MiB + 0x30000, 0x10000, 0x70000, 16, 6},
        {va + 0x10000, 0x1000, 0x3000, 12, 0},
        {va + 4 * MiB, 2 * MiB, 2 * MiB, 21, 0},
        {va, 0x10000, 0x40000, 16, 0},
    };
    const size_t n = sizeof(parts) / sizeof(parts[0]);
    struct bank *b = bank_new();
    struct nvmmu_vmm *v = vmm_new(b, "tu102");

    for (size_t i = 0; i + 1 < n; i++)
        REQUIRE(nvmmu_vmm_get(v, parts[i].va, parts[i].size, parts[i].shift) == 0, "get %zu", i);
    b->fail_after = b->alloc_after = 0;
    b->flushes = 0;
    REQUIRE(nvmmu_vmm_map_parts(v, &buffer, parts, n) == n, "refused");
    REQUIRE(nvmmu_vmm_map_parts(v, &buffer, parts, 0) == 0, "parts there are not");
    b->fail_after = b->alloc_after = -1;
    REQUIRE(b->flushes == 1, "%u flushes", b->flushes);
    REQUIRE(b->last.va == va && b->last.size == 6 * MiB, "flushed 0x%" PRIx64 ", 0x%" PRIx64, b->last.va, b->last.size);
    vmm_require_sound(v);
    require_shown(v, va, VRAM + 0x40000);
    require_shown(v, va + 0x10000, VRAM + 0x3000);
    for (uint64_t at = 0; at < 0x70000; at += 0x10000)
        require_shown(v, va + 2 * MiB - 0x30000 + at, VRAM + 0x10000 + at);
    require_shown(v, va + 6 * MiB - 0x1000, VRAM + 4 * MiB - 0x1000);
    nvmmu_vmm_destroy(v);
    bank_delete(b);
}

static void the_first_that_is_refused_ends_a_row(void)
{
    const uint64_t va = 1ull << 33, page = 0x10000;
    static const struct {
        const char *what;
        struct nvmmu_part part;
    } refused[] = {
        {"has no reference", {(1ull << 33) + 0x200000, 0x10000, 0, 16, 0}},
        {"has a page without one", {(1ull << 33) + 0x1f0000, 0x20000, 0, 16, 0}},
        {"is empty", {(1ull << 33) + 0x10000, 0, 0, 16, 0}},
        {"begins inside a page", {(1ull << 33) + 0x11000, 0x10000, 0, 16, 0}},
        {"ends inside a page", {(1ull << 33) + 0x10000, 0x11000, 0, 16, 0}},
        {"shows what begins inside a page", {(1ull << 33) + 0x10000, 0x10000, 0x1000, 16, 0}},
        {"is longer than the object", {(1ull << 33) + 0x10000, 0x20000, 64 * MiB - 0x10000, 16, 0}},
        {"lies behind the object", {(1ull << 33) + 0x10000, 0x10000, 64 * MiB, 16, 0}},
        {"has a kind that is refused", {(1ull << 33) + 0x10000, 0x10000, 0, 16, 7}},
        {"has pages of a size that is not referenced", {(1ull << 33) + 0x10000, 0x10000, 0, 12, 0}},
        {"has pages of no size", {(1ull << 33) + 0x10000, 0x10000, 0, 16 + 256, 0}},
        {"has pages that are larger than the object's", {(1ull << 33), 1ull << 29, 0, 29, 0}},
        {"wraps", {~0ull << 16, 0x20000, 0, 16, 0}},
        {"lies beyond the addresses", {1ull << 63, 0x10000, 0, 16, 0}},
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct bank *b = bank_new();
        struct nvmmu_vmm *v = vmm_new(b, "tu102");
        const struct nvmmu_part parts[] = {
            {va, page, page, 16, 0}, {va + page, page, 2 * page, 16, 0}, refused[i].part, {va + 2 * page, page, 0, 16, 0}};

        REQUIRE(nvmmu_vmm_get(v, va, 2 * MiB, 16) == 0, "get");
        REQUIRE(nvmmu_vmm_map_parts(v, &buffer, parts, 4) == 2, "a part that %s", refused[i].what);
        require_shown(v, va, VRAM + page);
        require_shown(v, va + page, VRAM + 2 * page);
        require_shown(v, va + 2 * page, 0);
        REQUIRE(nvmmu_vmm_map_parts(v, &buffer, parts + 3, 1) == 1, "after one that %s", refused[i].what);
        require_shown(v, va + 2 * page, VRAM);
        vmm_require_sound(v);
        nvmmu_vmm_destroy(v);
        bank_delete(b);
    }
}

/* The memory's addresses, with what is added to them, and its tags fit in the first part and not in the second. */
static void the_last_part_of_a_row_must_fit_too(void)
{
    static const struct {
        const char *format;
        uint64_t stolen, end; /* where VRAM begins in system memory, and the first of its addresses that is refused */
        unsigned shift;
        bool compressed;
    } cases[] = {
        {"tu102", 0, (64ull << 30) - 0x10000, 16, true}, /* 20 bits of tags, from 1 on */
        {"tu102", 0, 128ull << 30, 16, false},
        {"mcp77", 1ull << 38, (1ull << 40) - (1ull << 38), 12, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct nvmmu_format *f = nvmmu_format_find(cases[i].format);
        const uint64_t va = 1ull << 33, page = 1ull << cases[i].shift;
        const struct nvmmu_piece piece = {cases[i].end - page, 4 * page};
        struct bank *b = bank_new();
        struct nvmmu_vmm_config config = bank_config(b, cases[i].format);
        struct nvmmu_map m = {.target = NVMMU_VRAM, .object_shift = 21, .pieces = &piece, .piece_count = 1};
        struct nvmmu_part parts[] = {{va, page, 0, cases[i].shift, 0}, {va + page, page, page, cases[i].shift, 0}};
        struct nvmmu_vmm *v;

        for (int plain = 0; cases[i].compressed && (plain < 0 || plain == parts[0].kind);)
            plain = nvmmu_kind_uncompressed(f, ++parts[0].kind);
        parts[1].kind = parts[0].kind;
        config.gsp_rm = true; /* keeps compressed kinds */
        config.stolen = cases[i].stolen;
        REQUIRE(nvmmu_vmm_create(&config, &v) == 0, "create");
        REQUIRE(nvmmu_vmm_get(v, va, 2 * MiB, cases[i].shift) == 0, "get");
        REQUIRE(nvmmu_vmm_map_parts(v, &m, parts, 2) == 1, "%s, to 0x%" PRIx64, cases[i].format, cases[i].end);
        require_shown(v, va, piece.addr + cases[i].stolen);
        require_shown(v, va + page, 0);
        vmm_require_sound(v);
        nvmmu_vmm_destroy(v);
        bank_delete(b);
    }
}

/* ---- rows beside single maps ---------------------------------------------------------------------------------- */

struct twin {
    struct bank *bank;
    struct nvmmu_vmm *vmm;
    uint64_t written; /* a sum of what was written where, in order */
};

struct test {
    const struct nvmmu_format *format;
    const struct nvmmu_page_size *sizes;
    size_t size_count;
    uint64_t rng, base;
    struct twin twin[2];
    uint64_t mapped, refused, seen;
};

static void note_written(struct bank *b, uint64_t table, uint32_t index, uint32_t count)
{
    struct twin *t = b->watcher;

    t->written = (t->written ^ table ^ index ^ (uint64_t)count << 32) * 0x9e3779b97f4a7c15ull;
}

static void require_alike(const struct test *t, const char *after)
{
    const struct bank *a = t->twin[0].bank, *b = t->twin[1].bank;

    for (uint32_t page = 0; page < BANK_PAGES; page++)
        REQUIRE(a->used[page] == b->used[page] &&
                    (!a->used[page] || !memcmp(a->memory + page * 512ull, b->memory + page * 512ull, 4096)),
                "tables differ after %s, page %u", after, page);
    REQUIRE(t->twin[0].written == t->twin[1].written, "order of writes differs after %s", after);
    REQUIRE(a->flushes == b->flushes && a->last.va == b->last.va && a->last.size == b->last.size &&
                a->last.depth == b->last.depth, "flushes differ after %s", after);
}

static uint64_t pick(struct test *t, const uint64_t *of, size_t n)
{
    return of[below(&t->rng, n)];
}

#define PICK(t, ...) pick(t, (const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static unsigned any_shift(struct test *t)
{
    if (below(&t->rng, 2))
        return 12;
    return t->sizes[t->size_count - 1 - below(&t->rng, t->size_count < 3 ? t->size_count : 3)].shift;
}

/* Whole pages around a border of tables. */
static void any_range(struct test *t, unsigned shift, uint64_t *va, uint64_t *size)
{
    const uint64_t page = 1ull << shift, all = 8 * MiB;

    *size = page * PICK(t, 1, 1, 1, 2, 7, 40);
    *size = *size < all ? *size : all;
    *va = t->base + (below(&t->rng, all - *size + 1) & ~(page - 1));
}

static void change_references(struct test *t)
{
    const unsigned shift = any_shift(t), what = (unsigned)below(&t->rng, 8);
    const bool sparse = below(&t->rng, 2);
    uint64_t va, size;
    int ret[2];

    any_range(t, shift, &va, &size);
    for (unsigned i = 0; i < 2; i++) {
        struct nvmmu_vmm *v = t->twin[i].vmm;

        ret[i] = what < 5 ? nvmmu_vmm_get(v, va, size, shift) : nvmmu_vmm_unmap(v, va, size, shift, sparse);
        if (what == 7 && !ret[i])
            ret[i] = nvmmu_vmm_put(v, va, size, shift);
    }
    REQUIRE(ret[0] == ret[1], "%d, %d", ret[0], ret[1]);
    require_alike(t, "a get, unmap or put");
}

static void any_object(struct test *t, struct nvmmu_map *m, struct nvmmu_piece *pieces, uint64_t *pages, size_t n)
{
    const bool list = below(&t->rng, 6) == 0;
    const uint64_t high = below(&t->rng, 8) ? 0 : PICK(t, 1ull << 32, 1ull << 36, 1ull << 37, 1ull << 40, 1ull << 47, 1ull << 62);
    uint64_t begin = 0;

    *m = (struct nvmmu_map){
        .target = (uint8_t)PICK(t, NVMMU_VRAM, NVMMU_VRAM, NVMMU_HOST, NVMMU_NCOH),
        .object_shift = below(&t->rng, 8) ? 21 : (uint8_t)PICK(t, 16, 17, 12),
        .vol = below(&t->rng, 4) == 0, .ro = below(&t->rng, 8) == 0, .priv = below(&t->rng, 8) == 0,
        .defaults = below(&t->rng, 4) == 0, .comptags = below(&t->rng, 2),
        .comptag = (uint32_t)PICK(t, 0, 1, 5, 0x1fff0), .comp = below(&t->rng, 8) ? 0 : (uint8_t)below(&t->rng, 4),
    };
    if (list) {
        for (size_t i = 0; i < n; i++)
            pages[i] = (below(&t->rng, 1ull << 18) << 12) + (below(&t->rng, 200) ? 0 : 0x800);
        m->shift = 12;
        m->pages = pages;
        m->page_count = n;
        return;
    }
    m->pieces = pieces;
    m->piece_count = 1 + below(&t->rng, PIECES);
    for (size_t i = 0; i < m->piece_count; i++) {
        const uint64_t addr = below(&t->rng, 64) * (below(&t->rng, 12) ? 2 * MiB : PICK(t, 0x10000, 0x1000));

        pieces[i].addr = high ? high - 4 * MiB + addr % (8 * MiB) : addr;
        pieces[i].addr += below(&t->rng, 4) ? 0 : begin % 0x10000; /* large pages fit though no piece begins with one */
        pieces[i].size = below(&t->rng, 4) ? PICK(t, 2 * MiB, 64 * MiB) : PICK(t, 0x40000, 0x11000, 0x1000, 0);
        begin += pieces[i].size;
    }
    if (!below(&t->rng, 20))
        pieces[m->piece_count - 1].size = PICK(t, 1ull << 50, 0 - (1ull << 21));
}

static uint8_t any_kind(struct test *t)
{
    uint8_t kind = (uint8_t)below(&t->rng, 256);

    while (nvmmu_kind_uncompressed(t->format, kind) < 0 && below(&t->rng, 16))
        kind = (uint8_t)below(&t->rng, 256);
    return kind;
}

/* Mostly what goes on where `last` ended, which it becomes. Some are spoilt. */
static struct nvmmu_part any_part(struct test *t, struct nvmmu_part *last)
{
    struct nvmmu_part p = {.shift = any_shift(t)};

    if (last->size && below(&t->rng, 8)) {
        p = *last;
        p.va += p.size * (below(&t->rng, 4) ? 1 : below(&t->rng, 5));
        p.offset += p.size * (below(&t->rng, 4) ? 1 : below(&t->rng, 5));
        if (!below(&t->rng, 8))
            p.offset = 0;
    } else {
        any_range(t, p.shift, &p.va, &p.size);
        p.offset = below(&t->rng, 16) << p.shift;
        p.kind = below(&t->rng, 3) ? 0 : any_kind(t);
    }
    *last = p;
    switch (below(&t->rng, 64)) {
    case 0: p.va += 0x800; break;
    case 1: p.offset += 0x800; break;
    case 2: p.size = PICK(t, 0, 0x1800, 0x12000); break;
    case 3: p.shift = (unsigned)PICK(t, 13, 29, 63, 64, 64 + 12, 256 + 16); break;
    case 4: p.va = 0 - p.size; break;
    case 5: p.offset = 0 - p.size; break;
    case 6: p.kind ^= 1; break;
    case 7: p.offset += 1ull << 40; break;
    default: break;
    }
    return p;
}

/* Of the byte at `offset` into an object. */
static uint64_t address_at(const struct nvmmu_map *m, uint64_t offset)
{
    const struct nvmmu_piece *piece = m->pieces;

    if (m->pages)
        return m->pages[offset >> 12] + (offset & 0xfff);
    for (; offset >= piece->size; piece++)
        offset -= piece->size;
    return piece->addr + offset;
}

/* The first byte of its last page, unless pages of another size are seen there. */
static void require_mapped(struct test *t, const struct nvmmu_map *m, const struct nvmmu_part *p)
{
    const uint64_t at = p->size - (1ull << p->shift);
    const struct nvmmu_walk w = walk_at(t->twin[0].vmm, p->va + at);

    if (w.state != NVMMU_MAPPED || w.shift != p->shift)
        return;
    REQUIRE(w.pa == address_at(m, p->offset + at), "0x%" PRIx64 " shows 0x%" PRIx64, p->va + at, w.pa);
    t->seen++;
}

/* In a batch, so that what is flushed is compared too. */
static void map_row(struct test *t, const struct nvmmu_map *m, const struct nvmmu_part *parts, size_t n)
{
    bool mapped[PARTS] = {false};
    struct nvmmu_vmm *v = t->twin[0].vmm;

    nvmmu_vmm_begin(v);
    for (size_t i = 0, done; i < n; i += done + 1) {
        done = nvmmu_vmm_map_parts(v, m, parts + i, n - i);
        memset(mapped + i, true, done);
    }
    nvmmu_vmm_end(v);
    for (size_t i = n; i-- > 0;)
        if (mapped[i]) {
            require_mapped(t, m, &parts[i]);
            break;
        }
    v = t->twin[1].vmm;
    nvmmu_vmm_begin(v);
    for (size_t i = 0; i < n; i++) {
        const struct nvmmu_part *p = &parts[i];
        struct nvmmu_map one = *m;
        int ret;

        one.va = p->va, one.size = p->size, one.offset = p->offset, one.shift = p->shift, one.kind = p->kind;
        ret = nvmmu_vmm_map(v, &one);
        REQUIRE(ret == (mapped[i] ? 0 : -EINVAL), "part %zu of %zu: %d", i, n, ret);
        *(mapped[i] ? &t->mapped : &t->refused) += 1;
    }
    nvmmu_vmm_end(v);
    require_alike(t, "a row");
}

static void any_row(struct test *t)
{
    struct nvmmu_part parts[PARTS], last = {0};
    struct nvmmu_piece pieces[PIECES];
    struct nvmmu_map m;
    uint64_t pages[512];
    size_t n = 1 + below(&t->rng, PARTS);

    any_object(t, &m, pieces, pages, sizeof(pages) / sizeof(pages[0]));
    for (size_t i = 0; i < n; i++)
        parts[i] = any_part(t, &last);
    map_row(t, &m, parts, n);
}

static void rows_are_so_many_maps(const char *format, bool keeps, uint64_t seed)
{
    struct test t = {.format = nvmmu_format_find(format), .rng = seed};
    const unsigned bits = nvmmu_format_va_bits(t.format);

    t.base = (1ull << (bits < 30 ? bits - 1 : 29)) - 4 * MiB;
    t.size_count = nvmmu_format_pages(t.format, &t.sizes);
    for (unsigned i = 0; i < 2; i++) {
        struct twin *twin = &t.twin[i];
        struct nvmmu_vmm_config config;

        twin->bank = bank_new();
        twin->bank->watcher = twin;
        twin->bank->on_wrote = note_written;
        config = bank_config(twin->bank, format);
        config.keep_large = config.gsp_rm = keeps;
        config.kernel_addr = t.base + 7 * MiB;
        config.kernel_size = MiB;
        REQUIRE(nvmmu_vmm_create(&config, &twin->vmm) == 0, "create");
    }
    for (size_t i = 0; i < 4 * t.size_count; i++) {
        /* Tesla has pages of one size on either side of the border. */
        const uint64_t va = t.base + (i / 2 + i / 2 / t.size_count) % 2 * (4 * MiB);

        if (t.sizes[i / 2 % t.size_count].shift <= 21)
            nvmmu_vmm_get(t.twin[i % 2].vmm, va, va == t.base ? 4 * MiB : 2 * MiB, t.sizes[i / 2 % t.size_count].shift);
    }
    for (unsigned i = 0; i < ROWS; i++) {
        change_references(&t);
        any_row(&t);
    }
    for (unsigned i = 0; i < 2; i++) {
        vmm_require_sound(t.twin[i].vmm);
        nvmmu_vmm_destroy(t.twin[i].vmm);
        bank_delete(t.twin[i].bank);
    }
    printf("  %s%s: %" PRIu64 " parts mapped, %" PRIu64 " refused, %" PRIu64 " looked at\n", format,
           keeps ? ", large pages and compression kept" : "", t.mapped, t.refused, t.seen);
    REQUIRE(t.mapped > ROWS / 4 && t.refused > ROWS / 4 && t.seen > 4, "too few");
}

int main(void)
{
    static const char *const formats[] = {"nv04",  "nv41",  "nv44",  "nv50",  "g84",   "gf100",      "gk104", "gm200",
                                          "gp100", "gp10b", "gv100", "tu102", "ga102", "ga100-512m", "gh100", "gb100"};
    const uint64_t seed = seed_choose("nvmmu_parts");

    a_row_goes_over_tables_and_directories_and_allocates_nothing();
    the_first_that_is_refused_ends_a_row();
    the_last_part_of_a_row_must_fit_too();
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        rows_are_so_many_maps(formats[i], false, seed + i);
        rows_are_so_many_maps(formats[i], true, seed + i);
    }
    return 0;
}
