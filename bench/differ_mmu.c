/*
 * nouveau as an oracle of the page tables: random raw operations go to this library's tree and to nouveau's own, and
 * every result and every word of every table must be the same, but for where tables lie; and a flush must be given
 * when nouveau gives one (FLUSH-MERGE: one of ours for several of its).
 *
 *     differ_mmu [OPERATIONS [FORMAT…]]     default 20,000 of each format; GPUVM_SEED=N replays a run
 *
 * Operations are a client's: references are taken and dropped, pages mapped and unmapped below them, sparse ranges
 * taken and dropped, and requests that both refuse. What nouveau would corrupt memory with, or where a named
 * deviation (docs/deviations.md) says that we do otherwise, is left out: references of two page sizes on one address
 * (SIZE-OVERLAP, PAGE-BLOCK), dropping what is not held (DOUBLE-PUT), entries without references (MAP-UNREFERENCED),
 * sparse ranges that overlap (SPARSE-OVERLAP) or hold pages (UNMAP-THEN-SPARSE), pages in sparse ranges but of one size
 * in whole directory entries, pages where a part of a table was sparse (BIG-COUNT, SPARSE-FORGOTTEN, SMALL-SPARSE),
 * addresses too wide (ADDR-WIDTH), empty, unaligned or wrapping ranges (ZERO-RANGE, RAW-ALIGN, RANGE-WRAP), parts of
 * Tesla's runs (RUN-CUT), 512 MiB pages (GH100-512M), sparse directories of the 64 KiB mode (SPARSE27-64K). Vol, which
 * nouveau's arguments do not have on Tesla, must be refused there and change nothing.
 */
#include "harness.h"
#include "mmu.h"

#include <errno.h>
#include <stdbool.h>

enum { RANGES = 24, SPARSES = 3, REGIONS = 4 /* of pages; one more is of sparse ranges */, PIECES = 8, PAGES_MOST = 1200 };

#define MiB    (1ull << 20)
#define REGION (16 * MiB)

/* References taken with one page size; or a sparse range and the page size that may be used in it, 0: none. */
struct range {
    uint64_t va, size;
    unsigned shift;
    bool sparse; /* inside a sparse range */
};

static const struct family {
    const char *formats;
    uint64_t address[2]; /* bits of an entry that points at tables that are addresses; [0]: of the first word */
    bool tesla;
} families[] = {
    {" nv50 g84 ", {0xfffffff000, 0}, true},
    {" gf100 gf100-64k gk104 gk104-64k gm200 gm200-64k ", {0xfffffff0fffffff0, 0}, false},
    {" gp100 gv100 tu102 ", {0x003ffffffffffff0, 0x003fffffffffff00}, false},
    {" gh100 ", {0x000fffffffffff00, 0x000ffffffffff000}, false},
};

static struct differ {
    uint64_t seed, random;
    const char *format;
    const struct family *family;
    struct mmu_space *ours, *theirs;
    size_t number, refused;
    char what[200];

    uint64_t region[REGIONS + 1];
    uint8_t shift[8];
    size_t shifts;
    struct range range[RANGES], sparse[SPARSES];
    size_t ranges, sparses;
    struct nvmmu_piece pieces[PIECES];
    uint64_t pages[PAGES_MOST];
} d;

static uint64_t pick(uint64_t n)
{
    return bench_random(&d.random) % n;
}

static void differ(const char *how)
{
    printf("DIFFERENT: %s\n  %s, GPUVM_SEED=%llu, operation %zu: %s\n", how, d.format, (unsigned long long)d.seed,
           d.number, d.what);
    exit(1);
}

/* ---- tables, word by word ---- */

struct sides {
    struct nvmmu_space ours, theirs;
    const struct nvmmu_level_info *level;
    size_t levels;
};

static const uint64_t *memory(const struct nvmmu_space *s, uint64_t addr)
{
    if (addr - s->windows[0].base >= s->windows[0].size)
        differ("a table outside memory");
    return (const uint64_t *)(const void *)((const char *)s->windows[0].cpu + (addr - s->windows[0].base));
}

static void differ_word(const struct nvmmu_level_info *l, uint64_t va, uint64_t ours, uint64_t theirs)
{
    printf("%s entry of 0x%llx: ours %016llx, nouveau's %016llx\n", nvmmu_level_name(l->level), (unsigned long long)va,
           (unsigned long long)ours, (unsigned long long)theirs);
    differ("word");
}

static void same_leaf(const struct nvmmu_level_info *l, const uint64_t *a, const uint64_t *b, uint64_t va, size_t n)
{
    if (memcmp(a, b, n * sizeof *a) == 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            differ_word(l, va + ((uint64_t)i << l->shift), a[i], b[i]);
}

static void same_table(const struct sides *s, size_t depth, uint64_t a, uint64_t b, uint64_t va, uint64_t first,
                       uint64_t last);

/* A pointer to tables: the same but for addresses, and so are the tables. */
static void same_pointer(const struct sides *s, size_t depth, const uint64_t *a, const uint64_t *b, uint64_t va,
                         uint64_t first, uint64_t last)
{
    const struct nvmmu_level_info *l = &s->level[depth];
    uint64_t wa[2] = {a[0], l->entry_bytes == 16 ? a[1] : 0}, wb[2] = {b[0], l->entry_bytes == 16 ? b[1] : 0};
    struct nvmmu_entry ea, eb;

    nvmmu_entry_decode(s->ours.format, l->level, wa, &ea);
    nvmmu_entry_decode(s->ours.format, l->level, wb, &eb);
    for (int i = 0; i < 2; i++) {
        uint64_t mask = ea.state == NVMMU_ENTRY_TABLE ? d.family->address[i] : 0;

        if ((wa[i] ^ wb[i]) & ~mask)
            differ_word(l, va, wa[i], wb[i]);
    }
    if (ea.state != eb.state)
        differ_word(l, va, wa[0], wb[0]);
    if (ea.state != NVMMU_ENTRY_TABLE)
        return;
    if (ea.big.present)
        same_table(s, s->levels - 2, ea.big.addr, eb.big.addr, va, first, last);
    if (ea.next.present)
        same_table(s, l->level == NVMMU_PD0 ? s->levels - 1 : depth + 1, ea.next.addr, eb.next.addr, va, first, last);
}

/* The tables at a and b, which begin at va, as far as they reach into [first, last]. */
static void same_table(const struct sides *s, size_t depth, uint64_t a, uint64_t b, uint64_t va, uint64_t first,
                       uint64_t last)
{
    const struct nvmmu_level_info *l = &s->level[depth];
    const uint64_t *ma = memory(&s->ours, a), *mb = memory(&s->theirs, b);
    uint64_t from = first > va ? (first - va) >> l->shift : 0, n = 1ull << l->index_bits;
    uint64_t to = last < va ? 0 : ((last - va) >> l->shift) + 1;

    to = to > n ? n : to;
    if (l->level < NVMMU_PD0) {
        same_leaf(l, ma, mb, va, n);
        return;
    }
    for (uint64_t i = from; i < to; i++) {
        size_t word = i * (l->entry_bytes / 8);

        if (ma[word] || mb[word] || (l->entry_bytes == 16 && (ma[word + 1] || mb[word + 1])))
            same_pointer(s, depth, ma + word, mb + word, va + (i << l->shift), first, last);
    }
}

static void same_tables(uint64_t first, uint64_t last)
{
    struct sides s = {.ours = mmu_ours.walk(d.ours), .theirs = mmu_kernel.walk(d.theirs)};

    s.levels = nvmmu_format_levels(s.ours.format, &s.level);
    same_table(&s, 0, s.ours.root, s.theirs.root, 0, first, last);
}

/* ---- operations ---- */

struct flushes {
    unsigned long ours, theirs;
};

static struct flushes flushes(void)
{
    return (struct flushes){mmu_ours.flushes(), mmu_kernel.flushes()};
}

/* After an operation: results, flushes, and all tables that cover its range. */
static int same(int ours, int theirs, struct flushes before, uint64_t va, uint64_t size)
{
    struct flushes now = flushes();

    if (ours != theirs) {
        printf("ours %d, nouveau's %d\n", ours, theirs);
        differ("result");
    }
    if ((now.ours != before.ours) != (now.theirs != before.theirs)) {
        printf("flushes: ours %lu, nouveau's %lu\n", now.ours - before.ours, now.theirs - before.theirs);
        differ("flush");
    }
    d.refused += ours < 0;
    if (d.number % 1024 == 0)
        same_tables(0, UINT64_MAX);
    else if (ours == 0)
        same_tables(va, va + size - 1);
    return ours;
}

static void say(const char *what, uint64_t va, uint64_t size, unsigned shift)
{
    snprintf(d.what, sizeof d.what, "%s [%llx +%llx] shift %u", what, (unsigned long long)va, (unsigned long long)size,
             shift);
}

#define BOTH(va, size, call, ...)                                                                                     \
    ({                                                                                                                 \
        struct flushes before_ = flushes();                                                                            \
        int ours_ = mmu_ours.call(d.ours, __VA_ARGS__);                                                                \
        same(ours_, mmu_kernel.call(d.theirs, __VA_ARGS__), before_, va, size);                                        \
    })

static bool meets(const struct range *r, uint64_t va, uint64_t size)
{
    return va < r->va + r->size && r->va < va + size;
}

/* A place for a range of pages of one size; false: something is there that may not be. */
static bool a_place(unsigned shift, uint64_t pages, struct range *out)
{
    uint64_t size = pages << shift, region = d.region[pick(REGIONS)];

    if (d.family->tesla) /* one page size a block */
        region = (shift == 12 ? 0 : 4ull << 29) + (pick(2) << 29);
    if (size > REGION)
        return false;
    *out = (struct range){region + (pick((REGION - size) / (1ull << shift) + 1) << shift), size, shift, false};
    for (size_t i = 0; i < d.ranges; i++)
        if ((d.range[i].shift != shift || d.family->tesla) && meets(&d.range[i], out->va, out->size))
            return false;
    for (size_t i = 0; i < d.sparses; i++) {
        const struct range *s = &d.sparse[i];

        if (!meets(s, out->va, out->size))
            continue;
        if (shift != s->shift || out->va < s->va || out->va + out->size > s->va + s->size)
            return false;
        out->sparse = true;
    }
    return true;
}

static uint64_t some_pages(unsigned shift)
{
    return 1 + pick(pick(4) == 0 ? (shift == 12 ? PAGES_MOST : shift == 21 ? 6 : 90) : 4);
}

static void try_get(void)
{
    struct range r;
    unsigned shift = d.shift[pick(d.shifts)];

    if (d.ranges == RANGES || !a_place(shift, some_pages(shift), &r))
        return;
    say("get", r.va, r.size, r.shift);
    if (BOTH(r.va, r.size, get, r.va, r.size, r.shift) == 0)
        d.range[d.ranges++] = r;
}

/* A part of r, or, on Tesla, all of it. */
static struct range a_part(const struct range *r)
{
    struct range part = *r;
    uint64_t pages = r->size >> r->shift, from = pick(pages);

    if (d.family->tesla || pick(3) == 0)
        return part;
    part.va += from << r->shift;
    part.size = (1 + pick(pages - from)) << r->shift;
    return part;
}

static bool unmap(const struct range *r)
{
    say("unmap", r->va, r->size, r->shift);
    return BOTH(r->va, r->size, unmap, r->va, r->size, r->shift, r->sparse) == 0;
}

static void try_unmap(void)
{
    struct range part;

    if (!d.ranges)
        return;
    part = a_part(&d.range[pick(d.ranges)]);
    unmap(&part);
}

/* Unmaps and drops a range or one end of it. */
static void try_put(void)
{
    size_t i;
    struct range *r, end;

    if (!d.ranges)
        return;
    i = pick(d.ranges);
    r = &d.range[i];
    end = *r;
    if (pick(4) == 0 && !d.family->tesla) {
        end.size = (1 + pick(r->size >> r->shift)) << r->shift;
        end.va += pick(2) ? r->size - end.size : 0;
    }
    unmap(&end);
    say("put", end.va, end.size, end.shift);
    BOTH(end.va, end.size, put, end.va, end.size, end.shift);
    r->va += end.va == r->va ? end.size : 0;
    r->size -= end.size;
    if (!r->size)
        *r = d.range[--d.ranges];
}

static uint64_t an_address(unsigned shift)
{
    return pick(1ull << (36 - shift)) << shift;
}

/* An object for the map, mostly one that suits it. */
static void an_object(struct nvmmu_map *m)
{
    unsigned shift = m->shift + (pick(16) == 0 ? 0 : (unsigned)pick(3));
    uint64_t need = m->offset + m->size;

    shift -= pick(64) == 0 && shift > 12 ? 1 : 0;
    m->object_shift = (uint8_t)shift;
    if (m->target != NVMMU_VRAM && m->shift == 12 && pick(32)) {
        m->pages = d.pages;
        m->page_count = need >> 12;
        m->object_shift = 12;
        for (size_t i = 0; i < m->page_count; i++)
            d.pages[i] = an_address(12);
        return;
    }
    m->pieces = d.pieces;
    while (m->piece_count < PIECES && need) {
        bool rest = m->piece_count + 1 == PIECES || need < 2ull << m->shift || pick(2);
        uint64_t size = rest ? need : (1 + pick(need >> m->shift)) << m->shift;

        size = size > need ? need : size;
        d.pieces[m->piece_count++] = (struct nvmmu_piece){an_address(m->shift), size};
        need -= size;
    }
    if (pick(64) == 0)
        d.pieces[m->piece_count - 1].size += 4096;
    if (pick(64) == 0 && m->piece_count > 1)
        m->piece_count--; /* too short */
}

static void an_attribute(struct nvmmu_map *m)
{
    int storage;

    m->defaults = pick(4) == 0;
    if (m->defaults)
        return;
    m->vol = pick(d.family->tesla ? 16 : 2) == 0;
    m->ro = pick(2);
    m->priv = pick(2);
    m->kind = (uint16_t)(pick(2) ? 0 : pick(d.family->tesla ? 128 : 256));
    storage = nvmmu_kind_storage(nvmmu_format_find(d.format), m->kind);
    m->storage = (uint8_t)(storage > 0 && pick(16) ? storage : 1);
}

static void try_map(void)
{
    struct range part;
    struct nvmmu_map m;

    if (!d.ranges)
        return;
    part = a_part(&d.range[pick(d.ranges)]);
    if (d.family->tesla && !unmap(&part)) /* what is there may be a run that this cuts */
        return;
    m = (struct nvmmu_map){.va = part.va, .size = part.size, .shift = part.shift};
    m.target = (uint8_t)(part.shift == 12 ? (uint8_t[]){NVMMU_VRAM, NVMMU_HOST, NVMMU_NCOH}[pick(3)]
                         : pick(32)       ? NVMMU_VRAM
                                          : NVMMU_HOST);
    m.offset = pick(4) == 0 && (part.size >> 12) < PAGES_MOST - 4 ? pick(3) << part.shift : 0;
    m.offset += pick(64) == 0 && part.shift > 12 ? 4096 : 0;
    if (part.shift == 12 && (m.offset + m.size) >> 12 > PAGES_MOST)
        m.offset = 0;
    an_object(&m);
    an_attribute(&m);
    say("map", m.va, m.size, m.shift);
    snprintf(d.what + strlen(d.what), sizeof d.what - strlen(d.what),
             " target %u object shift %u offset %llx %zu pieces %zu pages kind %u defaults %d vol %d ro %d priv %d",
             m.target, m.object_shift, (unsigned long long)m.offset, m.piece_count, m.page_count, m.kind, m.defaults,
             m.vol, m.ro, m.priv);
    if (m.vol && d.family->tesla) {
        if (mmu_ours.map(d.ours, &m) != -EINVAL)
            differ("vol is not refused");
        same_tables(m.va, m.va + m.size - 1);
        return;
    }
    BOTH(m.va, m.size, map, &m);
}

/* Takes or drops a sparse range; nothing else is in it then. */
static void try_sparse(void)
{
    struct range r;

    if (d.sparses && pick(2)) {
        size_t i = pick(d.sparses);

        r = d.sparse[i];
        for (size_t k = 0; k < d.ranges; k++)
            if (meets(&d.range[k], r.va, r.size))
                return;
        say("drop sparse", r.va, r.size, 0);
        BOTH(r.va, r.size, sparse, r.va, r.size, false);
        d.sparse[i] = d.sparse[--d.sparses];
        return;
    }
    r = (struct range){.va = d.region[REGIONS], .size = (1 + pick(pick(2) ? 64 : 4096)) << 12};
    r.va += pick(2) ? pick(4096) << 12 : 0;
    if (pick(8) == 0 && strcmp(d.format, "gm200-64k")) { /* whole directories */
        r.va = d.region[pick(REGIONS)] & ~((1ull << 30) - 1);
        r.size = (1 + pick(4)) << 29;
        r.shift = d.shift[pick(d.shifts)];
    }
    for (size_t k = 0; k < d.ranges; k++)
        if (meets(&d.range[k], r.va, r.size))
            return;
    for (size_t k = 0; k < d.sparses; k++)
        if (meets(&d.sparse[k], r.va, r.size))
            return;
    if (d.sparses == SPARSES)
        return;
    say("sparse", r.va, r.size, 0);
    if (BOTH(r.va, r.size, sparse, r.va, r.size, true) == 0)
        d.sparse[d.sparses++] = r;
}

/* What both refuse before they do anything. */
static void try_wrong(void)
{
    uint64_t va = d.region[pick(REGIONS)], size = 1ull << 21;
    unsigned shift = d.shift[pick(d.shifts)];

    switch (pick(3)) {
    case 0: shift = 13 + (unsigned)pick(3); break;             /* no such page size */
    case 1: size += 4096 >> pick(2); shift = shift == 12 ? 16 : shift; break; /* not whole pages */
    default: va = d.region[3] + REGION - (pick(2) ? size / 2 : 0); break; /* beyond the end */
    }
    size += shift == 12 && size & 4095 ? 2048 : 0;
    say("wrong get", va, size, shift);
    if (BOTH(va, size, get, va, size, shift) == 0)
        differ("a wrong get succeeds");
}

static void a_try(void)
{
    unsigned n = (unsigned)pick(32);

    if (n < 7)
        try_get();
    else if (n < 18)
        try_map();
    else if (n < 23)
        try_unmap();
    else if (n < 29)
        try_put();
    else if (n < 31)
        try_sparse();
    else
        try_wrong();
}

/* ---- formats ---- */

/* Around the borders of directories: what ranges there cross is several tables. */
static void make_regions(unsigned va_bits)
{
    uint64_t end = 1ull << va_bits;

    d.region[0] = 0;
    d.region[1] = (1ull << 38) - REGION / 2;
    d.region[2] = (1ull << 29) - REGION / 2;
    d.region[3] = end - REGION;
    d.region[4] = (end / 8) * 3 + (1ull << 29) - REGION / 2;
    if (d.region[1] + REGION > end)
        d.region[1] = end / 2;
}

static void try_format(const char *format, size_t operations)
{
    const struct nvmmu_page_size *sizes;
    size_t n;
    char name[32];

    d = (struct differ){.seed = d.seed, .random = d.seed, .format = format};
    snprintf(name, sizeof name, " %s ", format);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strstr(families[i].formats, name))
            d.family = &families[i];
    d.theirs = d.family ? mmu_kernel.open(format) : NULL;
    if (!d.theirs) {
        printf("%-10s left out\n", format);
        return;
    }
    d.ours = mmu_ours.open(format);
    n = nvmmu_format_pages(nvmmu_format_find(format), &sizes);
    for (size_t i = 0; i < n; i++)
        if (sizes[i].shift <= 21)
            d.shift[d.shifts++] = sizes[i].shift;
    make_regions(nvmmu_format_va_bits(nvmmu_format_find(format)));
    for (d.number = 1; d.number <= operations; d.number++)
        a_try();
    same_tables(0, UINT64_MAX);
    printf("%-10s %zu operations, %zu refused by both: no differences\n", format, operations, d.refused);
    mmu_ours.close(d.ours);
    mmu_kernel.close(d.theirs);
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"nv50",      "g84",   "gf100",     "gf100-64k", "gk104", "gk104-64k",
                                      "gm200",     "gm200-64k", "gp100", "gv100",     "tu102", "gh100"};
    size_t operations = argc > 1 ? strtoull(argv[1], NULL, 0) : 20000;
    const char *seed = getenv("GPUVM_SEED");

    d.seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    printf("operations on page tables of this library and of nouveau, GPUVM_SEED=%llu\n", (unsigned long long)d.seed);
    for (size_t i = 0; argc <= 2 && i < sizeof all / sizeof *all; i++)
        try_format(all[i], operations);
    for (int i = 2; i < argc; i++)
        try_format(argv[i], operations);
    return 0;
}
