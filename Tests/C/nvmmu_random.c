/*
 * Law: after any calls, every address shows what a flat model of pages, references and sparse ranges says, through
 * nvmmu_walk, nvmmu_translate and nvmmu_extents; failed calls change nothing; no table is leaked.
 *
 * The model knows nothing of tables, but of nvkm's rules for references of two sizes on one address: small ones take
 * a big page away, tables take a page of the directory away, and what is below shows again when a page goes. Or, where
 * a space keeps large pages: nothing takes a page away.
 */
#include "nvmmu_support.h"

#define REGION  (8 * MiB) /* of addresses, around a border between tables */
#define REGIONS 4
#define SMALL   2048u /* 4 KiB pages of a region */
#define BIGS    128u
#define OPS     100352 /* a format */

/* What of a format the model must know. */
struct geometry {
    unsigned shift[3]; /* 4 KiB and big pages; what an entry of PD0 covers */
    unsigned sizes;    /* of pages: 2 where PD0 holds none */
    bool sparse;
    bool hides;     /* small references take a big page away */
    bool keeps;     /* nothing takes a page away */
    bool by_target; /* vol is that of the memory */
    bool tegra;     /* system memory only, as VRAM */
};

struct unit {
    uint32_t refs;
    bool valid;
    uint64_t pa;
    uint8_t kind, target;
    bool vol, ro, priv;
};

struct region {
    const struct geometry *g;
    uint64_t base;
    struct unit unit[3][SMALL]; /* by page size */
    bool shadowed[BIGS];        /* small references hold the big slot */
    bool sparse[SMALL];
    bool sparse_small[SMALL];   /* … taken by a 4 KiB sparse entry */
};

struct range {
    uint64_t va, size;
};

struct test {
    uint64_t rng;
    struct bank *bank;
    struct nvmmu_vmm *vmm;
    const struct nvmmu_format *format;
    struct geometry g;
    struct region region[REGIONS];
    struct range sparse[256];
    unsigned sparse_count;
    uint64_t ops, refused, failed;
    struct nvmmu_cursor cursor; /* forgets at every flush, and only then */
    unsigned forgotten;         /* flushes at that time */
    bool in_batch;
};

/* ---- the model ----------------------------------------------------------------------------------------------- */

/* The page of a larger size over one of a smaller one. */
static uint32_t over(const struct region *r, uint32_t page, unsigned from, unsigned to)
{
    return page >> (r->g->shift[to] - r->g->shift[from]);
}

static const struct unit *visible(const struct region *r, uint32_t page, unsigned *size)
{
    const struct unit *u[3] = {&r->unit[0][page], &r->unit[1][over(r, page, 0, 1)], &r->unit[2][over(r, page, 0, 2)]};

    for (unsigned k = 3; k-- > 0;) {
        *size = k;
        if (u[k]->valid)
            return u[k];
    }
    return NULL;
}

static bool small_in_use(const struct region *r, uint32_t big)
{
    uint32_t n = 1u << (r->g->shift[1] - 12);

    for (uint32_t p = big * n; p < (big + 1) * n; p++)
        if (r->unit[0][p].refs || r->sparse_small[p])
            return true;
    return false;
}

static void model_tables_taken(struct region *r, uint32_t page, unsigned k)
{
    if (!r->g->keeps)
        r->unit[2][over(r, page, k, 2)].valid = false;
}

static void model_small_taken(struct region *r, uint32_t page)
{
    uint32_t big = over(r, page, 0, 1);

    model_tables_taken(r, page, 0);
    if (!r->shadowed[big] && r->g->hides && !r->g->keeps)
        r->unit[1][big].valid = false;
    r->shadowed[big] = true;
}

static void model_small_dropped(struct region *r, uint32_t page)
{
    if (!small_in_use(r, over(r, page, 0, 1)))
        r->shadowed[over(r, page, 0, 1)] = false;
}

static void model_get(struct region *r, unsigned k, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++) {
        r->unit[k][i].refs++;
        if (k == 0)
            model_small_taken(r, i);
        if (k == 1) {
            r->shadowed[i] = false;
            model_tables_taken(r, i, 1);
        }
    }
}

static void model_put(struct region *r, unsigned k, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++) {
        r->unit[k][i].refs--;
        if (k == 0)
            model_small_dropped(r, i);
    }
}

/* PD0's blocks wholly inside are sparse in the directory, big ones in the LPT, the rest in the SPT. */
static void model_sparse(struct region *r, uint32_t first, uint32_t n, bool take)
{
    const uint32_t bigs = 1u << (r->g->shift[1] - 12), huges = 1u << (r->g->shift[2] - 12);

    for (uint32_t p = first; p < first + n; p++) {
        uint32_t big = p & ~(bigs - 1), huge = p & ~(huges - 1);

        r->sparse[p] = take;
        if (huge >= first && huge + huges <= first + n)
            continue;
        if (take)
            model_tables_taken(r, p, 0);
        if (big >= first && big + bigs <= first + n)
            continue;
        r->sparse_small[p] = take;
        if (take)
            model_small_taken(r, p);
        else
            model_small_dropped(r, p);
    }
}

/* ---- what is seen -------------------------------------------------------------------------------------------- */

static void require_page(struct test *t, const struct region *r, uint32_t page, uint64_t offset)
{
    struct nvmmu_space s = nvmmu_vmm_space(t->vmm);
    uint64_t va = r->base + page * 4096ull + offset;
    struct nvmmu_translation tr;
    struct nvmmu_walk w;
    unsigned k;
    const struct unit *u = visible(r, page, &k);
    enum nvmmu_state state = u ? NVMMU_MAPPED : r->sparse[page] ? NVMMU_SPARSE : NVMMU_UNMAPPED;

    nvmmu_walk(&s, va, &w);
    if (t->bank->flushes != t->forgotten)
        nvmmu_cursor_init(&t->cursor, &s);
    t->forgotten = t->bank->flushes;
    if (offset & 1 || t->in_batch) /* a flush may be due */
        nvmmu_translate(&s, va, &tr);
    else
        nvmmu_cursor_translate(&t->cursor, va, &tr);
    REQUIRE(w.state == state && tr.state == state, "op %" PRIu64 " va 0x%" PRIx64 ": model %d, walk %d, translate %d",
            t->ops, va, state, w.state, tr.state);
    if (u) {
        uint64_t pa = u->pa + (va & ((1ull << t->g.shift[k]) - 1));

        REQUIRE(w.pa == pa && tr.pa == pa, "va 0x%" PRIx64 ": pa 0x%" PRIx64 " walk 0x%" PRIx64 " translate 0x%" PRIx64,
                va, pa, w.pa, tr.pa);
        REQUIRE(w.shift == t->g.shift[k] && tr.shift == t->g.shift[k], "va 0x%" PRIx64 ": page size", va);
        REQUIRE(tr.limit == u->pa + (1ull << t->g.shift[k]) - pa, "va 0x%" PRIx64 ": limit", va);
        REQUIRE(w.page.kind == u->kind && w.page.vol == u->vol && w.page.ro == u->ro && w.page.priv == u->priv &&
                    tr.ro == u->ro && tr.priv == u->priv,
                "va 0x%" PRIx64 ": attributes", va);
        REQUIRE(w.page.aperture == (t->g.tegra ? NVMMU_VRAM : u->target), "va 0x%" PRIx64 ": aperture", va);
    }
    REQUIRE(state != NVMMU_UNMAPPED || w.fault == tr.fault, "va 0x%" PRIx64 ": fault %d, %d", va, w.fault, tr.fault);
}

/* The extent the model has at a page, as far as it goes. */
static struct nvmmu_extent model_extent(const struct test *t, const struct region *r, uint32_t page)
{
    struct nvmmu_extent e = {.va = r->base + page * 4096ull};
    const struct unit *first = NULL;

    for (uint32_t p = page; p < SMALL; p++) {
        unsigned k = 0;
        const struct unit *u = visible(r, p, &k);
        enum nvmmu_state state = u ? NVMMU_MAPPED : r->sparse[p] ? NVMMU_SPARSE : NVMMU_UNMAPPED;
        uint64_t pa = u ? u->pa + (p * 4096ull & ((1ull << t->g.shift[k]) - 1)) : 0;

        if (p == page) {
            e.state = state;
            e.pa = pa;
            e.shift = u ? (uint8_t)t->g.shift[k] : 0;
            first = u;
        } else if (state != e.state || (u && (pa != e.pa + e.size || u->kind != first->kind || u->vol != first->vol ||
                                              u->ro != first->ro || u->priv != first->priv ||
                                              (!t->g.tegra && u->target != first->target)))) {
            break;
        }
        e.size += 4096;
    }
    return e;
}

static void require_region(struct test *t, const struct region *r)
{
    struct nvmmu_space s = nvmmu_vmm_space(t->vmm);
    struct nvmmu_extents it;
    struct nvmmu_extent e;
    uint32_t page = 0;

    nvmmu_extents_init(&it, &s, r->base, REGION);
    while (nvmmu_extents_next(&it, &e)) {
        struct nvmmu_extent m = model_extent(t, r, page);

        REQUIRE(e.va == m.va && e.size == m.size && e.state == m.state && e.pa == m.pa && e.shift == m.shift,
                "op %" PRIu64 " extent 0x%" PRIx64 "+0x%" PRIx64 " %d pa 0x%" PRIx64 " shift %u, model 0x%" PRIx64
                "+0x%" PRIx64 " %d pa 0x%" PRIx64 " shift %u",
                t->ops, e.va, e.size, e.state, e.pa, e.shift, m.va, m.size, m.state, m.pa, m.shift);
        page += (uint32_t)(e.size >> 12);
    }
    REQUIRE(page == SMALL, "extents cover %u pages", page);
}

static void require_everything(struct test *t)
{
    for (unsigned i = 0; i < REGIONS; i++)
        require_region(t, &t->region[i]);
    vmm_require_sound(t->vmm);
}

/* ---- the calls ------------------------------------------------------------------------------------------------ */

struct pick {
    struct region *r;
    unsigned k; /* page size */
    uint32_t first, n;
    uint64_t va, size;
};

static struct pick pick(struct test *t)
{
    struct pick p;
    uint32_t count;

    p.k = (unsigned)below(&t->rng, 8);
    p.k = p.k < 4 ? 0 : p.k < 7 || t->g.sizes == 2 ? 1 : 2;
    count = SMALL >> (t->g.shift[p.k] - 12);
    p.r = &t->region[below(&t->rng, REGIONS)];
    p.first = (uint32_t)below(&t->rng, count);
    p.n = 1 + (uint32_t)below(&t->rng, below(&t->rng, 4) ? 8 : count);
    if (p.n > count - p.first)
        p.n = count - p.first;
    p.va = p.r->base + ((uint64_t)p.first << t->g.shift[p.k]);
    p.size = (uint64_t)p.n << t->g.shift[p.k];
    return p;
}

static bool all_referenced(const struct pick *p)
{
    for (uint32_t i = p->first; i < p->first + p->n; i++)
        if (!p->r->unit[p->k][i].refs)
            return false;
    return true;
}

/* Moves the pick to the next referenced run. */
static void pick_referenced(struct test *t, struct pick *p)
{
    uint32_t n = 0;

    if (below(&t->rng, 8) == 0)
        return; /* let some be refused */
    while (p->first + 1 < SMALL >> (p->r->g->shift[p->k] - 12) && !p->r->unit[p->k][p->first].refs)
        p->first++;
    while (p->first + n < SMALL >> (p->r->g->shift[p->k] - 12) && p->r->unit[p->k][p->first + n].refs)
        n++;
    if (!n)
        n = 1;
    p->va = p->r->base + ((uint64_t)p->first << p->r->g->shift[p->k]);
    p->n = n;
    p->size = (uint64_t)n << p->r->g->shift[p->k];
}

static void do_get(struct test *t)
{
    struct pick p = pick(t);
    bool short_of_memory = below(&t->rng, 16) == 0;
    int ret;

    if (short_of_memory)
        *(below(&t->rng, 2) ? &t->bank->fail_after : &t->bank->alloc_after) = (long)below(&t->rng, 6);
    ret = nvmmu_vmm_get(t->vmm, p.va, p.size, t->g.shift[p.k]);
    REQUIRE(ret == 0 || (short_of_memory && ret == -ENOMEM), "get 0x%" PRIx64 ": %d", p.va, ret);
    t->bank->fail_after = t->bank->alloc_after = -1;
    if (ret)
        t->failed++;
    else
        model_get(p.r, p.k, p.first, p.n);
}

static void unmap_checked(struct test *t, const struct pick *p)
{
    bool allowed = all_referenced(p), sparse = below(&t->rng, 2);
    int ret;

    for (uint64_t q = (p->va - p->r->base) >> 12; q < (p->va + p->size - p->r->base) >> 12; q++)
        sparse &= p->r->sparse[q]; /* the flag only where it is true, but not always there */
    ret = nvmmu_vmm_unmap(t->vmm, p->va, p->size, p->r->g->shift[p->k], sparse);
    REQUIRE(ret == (allowed ? 0 : -EINVAL), "unmap 0x%" PRIx64 ": %d", p->va, ret);
    t->refused += !allowed;
    for (uint32_t i = p->first; allowed && i < p->first + p->n; i++)
        p->r->unit[p->k][i].valid = false;
}

static void do_unmap(struct test *t)
{
    struct pick p = pick(t);

    pick_referenced(t, &p);
    unmap_checked(t, &p);
}

static void do_put(struct test *t)
{
    struct pick p = pick(t);
    bool allowed;
    int ret;

    pick_referenced(t, &p);
    allowed = all_referenced(&p);
    if (allowed)
        unmap_checked(t, &p);
    ret = nvmmu_vmm_put(t->vmm, p.va, p.size, t->g.shift[p.k]);
    REQUIRE(ret == (allowed ? 0 : -EINVAL), "put 0x%" PRIx64 ": %d", p.va, ret);
    t->refused += !allowed;
    if (allowed)
        model_put(p.r, p.k, p.first, p.n);
}

/* Memory that pages of this size may be in. */
static uint8_t target(struct test *t, unsigned k)
{
    const struct nvmmu_page_size *page;
    uint8_t chosen = NVMMU_NCOH;

    nvmmu_format_pages(t->format, &page);
    while (page->shift != t->g.shift[k])
        page++;
    if (t->g.tegra)
        return chosen;
    do
        chosen = (uint8_t[]){NVMMU_VRAM, NVMMU_HOST, NVMMU_NCOH}[below(&t->rng, 3)];
    while (!(page->flags & (chosen == NVMMU_VRAM ? NVMMU_PAGE_VRAM : NVMMU_PAGE_HOST)));
    return chosen;
}

/* An object of a few pieces, or a list of pages, that the range lies in from `offset` on. */
static void do_map(struct test *t)
{
    static const uint8_t kinds[] = {0x00, 0x01, 0x06};
    struct pick p = pick(t);
    struct nvmmu_piece pieces[SMALL];
    uint64_t pages[SMALL], unit, offset = 0;
    struct nvmmu_map m = {0};
    bool list, allowed;
    uint32_t skip, n = 0;
    int ret;

    pick_referenced(t, &p);
    unit = 1ull << t->g.shift[p.k];
    list = p.k == 0 && below(&t->rng, 2);
    skip = list ? 0 : (uint32_t)below(&t->rng, 2);
    m.target = target(t, p.k);
    m.kind = kinds[below(&t->rng, nvmmu_kind_uncompressed(t->format, 6) == 6 ? 3 : 2)];
    m.vol = below(&t->rng, 2);
    m.ro = below(&t->rng, 4) == 0;
    m.priv = below(&t->rng, 4) == 0;
    allowed = all_referenced(&p);

    if (skip)
        pieces[n++] = (struct nvmmu_piece){0, unit};
    for (uint32_t i = 0; i < p.n;) {
        uint32_t run = 1 + (uint32_t)below(&t->rng, p.n - i);
        uint64_t pa = (below(&t->rng, 1ull << 36) & ~(2 * MiB - 1)) + below(&t->rng, 512) % (2 * MiB / unit) * unit;

        if (!list)
            pieces[n++] = (struct nvmmu_piece){pa, run * unit};
        for (uint32_t k = 0; k < run; k++, i++, pa += unit) {
            struct unit *u = &p.r->unit[p.k][p.first + i];

            if (list)
                pages[i] = pa;
            if (!allowed)
                continue;
            u->valid = true;
            u->pa = pa;
            u->kind = m.kind;
            u->target = m.target;
            u->vol = t->g.by_target ? m.target == NVMMU_HOST : m.vol;
            u->ro = m.ro;
            u->priv = m.priv;
        }
    }
    offset = skip * unit;
    m.va = p.va;
    m.size = p.size;
    m.shift = t->g.shift[p.k];
    m.object_shift = (uint8_t)t->g.shift[p.k];
    m.offset = offset;
    if (list) {
        m.pages = pages;
        m.page_count = p.n;
    } else {
        m.pieces = pieces;
        m.piece_count = n;
    }
    ret = nvmmu_vmm_map(t->vmm, &m);
    REQUIRE(ret == (allowed ? 0 : -EINVAL), "map 0x%" PRIx64 ": %d", p.va, ret);
    t->refused += !allowed;
}

static bool sparse_overlaps(const struct test *t, uint64_t va, uint64_t size)
{
    for (unsigned i = 0; i < t->sparse_count; i++)
        if (t->sparse[i].va < va + size && va < t->sparse[i].va + t->sparse[i].size)
            return true;
    return false;
}

static void do_sparse(struct test *t)
{
    struct region *r = &t->region[below(&t->rng, REGIONS)];
    uint32_t first = (uint32_t)below(&t->rng, SMALL), n = 1 + (uint32_t)below(&t->rng, SMALL - first);
    uint64_t va, size;
    bool short_of_memory = below(&t->rng, 8) == 0;
    int ret, expected;

    if (below(&t->rng, 2))
        first &= ~31u, n = (n + 31) & ~31u;
    if (below(&t->rng, 4))
        n = n > 64 ? 64 : n;
    va = r->base + first * 4096ull;
    size = n * 4096ull;
    expected = sparse_overlaps(t, va, size) || !t->g.sparse ? -EINVAL : 0;
    if (t->sparse_count == 256)
        return;
    if (short_of_memory)
        *(below(&t->rng, 2) ? &t->bank->fail_after : &t->bank->alloc_after) = (long)below(&t->rng, 6);
    ret = nvmmu_vmm_sparse(t->vmm, va, size, true);
    t->bank->fail_after = t->bank->alloc_after = -1;
    REQUIRE(ret == expected || (short_of_memory && ret == -ENOMEM), "sparse 0x%" PRIx64 ": %d", va, ret);
    t->refused += ret == -EINVAL;
    t->failed += ret == -ENOMEM;
    if (ret)
        return;
    t->sparse[t->sparse_count++] = (struct range){va, size};
    model_sparse(r, first, n, true);
}

static void do_unsparse(struct test *t)
{
    unsigned i;
    struct range s;
    int ret;

    if (!t->sparse_count)
        return;
    i = (unsigned)below(&t->rng, t->sparse_count);
    s = t->sparse[i];
    if (below(&t->rng, 16) == 0 && s.size > 4096) {
        ret = nvmmu_vmm_sparse(t->vmm, s.va, s.size - 4096, false);
        REQUIRE(ret == -EINVAL, "unsparse of a part: %d", ret);
        t->refused++;
        return;
    }
    ret = nvmmu_vmm_sparse(t->vmm, s.va, s.size, false);
    REQUIRE(ret == 0, "unsparse 0x%" PRIx64 ": %d", s.va, ret);
    t->sparse[i] = t->sparse[--t->sparse_count];
    for (unsigned k = 0; k < REGIONS; k++)
        if (s.va - t->region[k].base < REGION)
            model_sparse(&t->region[k], (uint32_t)((s.va - t->region[k].base) >> 12), (uint32_t)(s.size >> 12), false);
}

/* Spaces fill and empty in turn, so that tables come and go. */
static void do_something(struct test *t)
{
    static const uint8_t limit[2][6] = {{40, 70, 74, 94, 98, 100}, {3, 8, 12, 92, 93, 100}};
    static void (*const call[6])(struct test *) = {do_get, do_map, do_unmap, do_put, do_sparse, do_unsparse};
    const uint8_t *l = limit[t->ops / 128 % 3 == 2];
    uint64_t what = below(&t->rng, 100);
    unsigned i = 0;

    while (what >= l[i])
        i++;
    call[i](t);
    t->ops++;
}

/* ---- the end -------------------------------------------------------------------------------------------------- */

static void drop_region(struct test *t, struct region *r)
{
    for (unsigned k = 0; k < 3; k++) {
        for (uint32_t u = 0; u < SMALL >> (t->g.shift[k] - 12); u++) {
            struct unit *unit = &r->unit[k][u];
            uint64_t va = r->base + ((uint64_t)u << t->g.shift[k]);

            if (unit->refs)
                REQUIRE(nvmmu_vmm_unmap(t->vmm, va, 1ull << t->g.shift[k], t->g.shift[k], false) == 0, "unmap");
            unit->valid = false;
            for (; unit->refs; model_put(r, k, u, 1))
                REQUIRE(nvmmu_vmm_put(t->vmm, va, 1ull << t->g.shift[k], t->g.shift[k]) == 0, "put");
        }
    }
}

static void drop_everything(struct test *t)
{
    for (unsigned i = 0; i < REGIONS; i++)
        drop_region(t, &t->region[i]);
    require_everything(t);
    while (t->sparse_count)
        do_unsparse(t);
    require_everything(t);
    REQUIRE(digest_of(t->vmm).tables == 1, "tables left: %u", digest_of(t->vmm).tables);
}

static struct geometry geometry_of(const char *name)
{
    const struct nvmmu_format *f = nvmmu_format_find(name);
    const struct nvmmu_page_size *page;
    const struct nvmmu_level_info *level;
    size_t pages = nvmmu_format_pages(f, &page), levels = nvmmu_format_levels(f, &level);
    bool two_levels = levels == 3;

    return (struct geometry){
        .shift = {level[levels - 1].shift, level[levels - 2].shift, level[levels - 3].shift},
        .sizes = two_levels ? 2 : 3,
        .sparse = page[pages - 1].flags & NVMMU_PAGE_SPARSE,
        .hides = strncmp(name, "gf100", 5) != 0,
        .by_target = !strncmp(name, "gh", 2) || !strncmp(name, "gb", 2),
        .tegra = !strcmp(name, "gp10b") || !strncmp(name, "gm20b", 5),
    };
}

/* Around borders of tables, and the end of the addresses. */
static uint64_t base_of(const struct nvmmu_format *f, unsigned i)
{
    const unsigned top = nvmmu_format_va_bits(f);

    return (uint64_t[REGIONS]){
        (1ull << 29) - 4 * MiB, (1ull << 38) - 4 * MiB, (1ull << (top - 1)) - 4 * MiB, (1ull << top) - 8 * MiB}[i];
}

static void run(const char *format, bool keeps, uint64_t seed, uint64_t ops)
{
    struct nvmmu_vmm_config config;
    struct test *t = calloc(1, sizeof(*t));

    REQUIRE(t, "memory");
    t->rng = seed;
    t->bank = bank_new();
    t->format = nvmmu_format_find(format);
    t->g = geometry_of(format);
    t->g.keeps = keeps;
    config = bank_config(t->bank, format);
    config.keep_large = keeps;
    REQUIRE(nvmmu_vmm_create(&config, &t->vmm) == 0, "create");
    t->forgotten = ~0u;
    for (unsigned i = 0; i < REGIONS; i++)
        t->region[i] = (struct region){.g = &t->g, .base = base_of(t->format, i)};

    for (uint64_t i = 0; i < ops; i++) {
        struct region *r = &t->region[below(&t->rng, REGIONS)];

        if (i % 64 == 0)
            nvmmu_vmm_begin(t->vmm);
        t->in_batch = i % 64 < 9;
        do_something(t);
        if (i % 64 == 9)
            nvmmu_vmm_end(t->vmm);
        for (unsigned k = 0; k < 2; k++)
            require_page(t, r, (uint32_t)below(&t->rng, SMALL), below(&t->rng, 4096));
        if (i % 512 == 0)
            require_region(t, r);
        if (i % 1024 == 0)
            drop_region(t, r);
        if (i % 4096 == 0)
            require_everything(t);
        if (i % 16384 == 16383)
            drop_everything(t);
    }
    drop_everything(t);
    printf("  %s%s: %" PRIu64 " operations, %" PRIu64 " refused, %" PRIu64 " short of memory, %u flushes\n", format,
           keeps ? ", large pages kept" : "", t->ops, t->refused, t->failed, t->bank->flushes);
    nvmmu_vmm_destroy(t->vmm);
    bank_delete(t->bank);
    free(t);
}

int main(void)
{
    static const char *const formats[] = {
        "gf100", "gf100-64k", "gk104",     "gk104-64k", "gk20a", "gk20a-64k", "gm200",      "gm200-64k", "gm20b",
        "gm20b-64k", "gp100", "gp10b", "gv100", "tu102", "ga102", "ga100-512m", "gh100",     "gb100",
    };
    uint64_t seed = seed_choose("nvmmu_random"), ops = getenv("LONG") ? 10 * OPS : OPS;

    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        run(formats[i], false, seed + i, ops);
        run(formats[i], true, seed + i, ops / 4);
    }
    return 0;
}
