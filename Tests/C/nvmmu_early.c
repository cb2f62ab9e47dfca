/*
 * Tesla and the GART formats before it. Laws: after any calls every address shows what a flat model of pages says,
 * through nvmmu_walk, nvmmu_translate and nvmmu_extents; a block of addresses has one page size; joined instance
 * blocks have the directory, parted ones keep what they had; failed calls change nothing; no table is leaked;
 * whatever tables hold, walks read nothing outside the windows and agree.
 */
#include <nvmmu/control.h>

#include "nvmmu_support.h"

#define REGION  (8 * MiB) /* of addresses, around a border between blocks of 512 MiB where the format has one */
#define REGIONS 3
#define SMALL   2048u /* 4 KiB pages of a region */
#define BLOCKS  4
#define OPS     160000 /* a format */
#define DUMMY   0x7ff00000ull
#define STOLEN  0x44000000ull

struct subject {
    const char *name;
    bool tesla, packed;
    uint64_t base[REGIONS];
    unsigned pa_bits;
};

static const struct subject subjects[] = {
    {"nv50", true, false, {(1ull << 29) - 4 * MiB, (2ull << 29) - 4 * MiB, (1ull << 40) - 8 * MiB}, 40},
    {"g84", true, false, {(1ull << 29) - 4 * MiB, (2ull << 29) - 4 * MiB, (1ull << 40) - 8 * MiB}, 40},
    {"mcp77", true, false, {(1ull << 29) - 4 * MiB, (2ull << 29) - 4 * MiB, (1ull << 40) - 8 * MiB}, 40},
    {"nv04", false, false, {0, 64 * MiB, 120 * MiB}, 32},
    {"nv41", false, false, {0, 256 * MiB, 504 * MiB}, 39},
    {"nv44", false, true, {0, 256 * MiB, 504 * MiB}, 39},
};

struct unit {
    uint32_t refs;
    bool valid;
    uint64_t pa;
    uint8_t aperture, kind, comp;
    uint32_t comptag;
    bool ro, priv;
};

struct test {
    const struct subject *is;
    uint64_t rng, stolen;
    struct bank *bank;
    struct nvmmu_vmm *vmm;
    const struct nvmmu_format *format;
    struct unit unit[REGIONS][2][SMALL]; /* by page size: 4K, 64K */
    uint32_t users[BLOCKS][2];           /* references in a block, by page size */
    uint64_t *instance[2], *parted;
    bool joined[2];
    uint64_t ops, refused, failed;
};

static const unsigned shifts[2] = {12, 16};

/* ---- the model --------------------------------------------------------------------------------------------- */

/* Blocks that the regions touch, numbered; the GART formats have one. */
static unsigned block_of(const struct test *t, unsigned region, uint32_t page)
{
    uint64_t block = (t->is->base[region] + page * 4096ull) >> 29;

    return !t->is->tesla ? 0 : block < 3 ? (unsigned)block : 3;
}

static const struct unit *visible(const struct test *t, unsigned region, uint32_t page, unsigned *k)
{
    for (*k = 0; *k < 2; ++*k)
        if (t->unit[region][*k][page >> 4 * *k].valid)
            return &t->unit[region][*k][page >> 4 * *k];
    return NULL;
}

/* ---- what is seen ------------------------------------------------------------------------------------------ */

/* What an entry of a packed group shows when nothing is mapped there, but beside it. */
static bool shows_nothing(const struct test *t, const struct nvmmu_translation *tr)
{
    uint64_t frame = tr->pa & ~0xfffull;

    return tr->state == NVMMU_UNMAPPED || (t->is->packed && (frame == DUMMY || frame == 0));
}

static void require_page(struct test *t, unsigned region, uint32_t page, uint64_t offset)
{
    struct nvmmu_space s = nvmmu_vmm_space(t->vmm);
    uint64_t va = t->is->base[region] + page * 4096ull + offset, mask;
    struct nvmmu_translation tr;
    struct nvmmu_walk w;
    unsigned k;
    const struct unit *u = visible(t, region, page, &k);

    nvmmu_walk(&s, va, &w);
    nvmmu_translate(&s, va, &tr);
    REQUIRE(w.state == tr.state && w.pa == tr.pa && (w.state == NVMMU_MAPPED || w.fault == tr.fault),
            "va 0x%" PRIx64 ": walk and translate differ", va);
    if (!u) {
        REQUIRE(shows_nothing(t, &tr), "op %" PRIu64 " va 0x%" PRIx64 ": mapped to 0x%" PRIx64, t->ops, va, tr.pa);
        return;
    }
    mask = (1ull << shifts[k]) - 1;
    REQUIRE(tr.state == NVMMU_MAPPED && tr.pa == u->pa + (va & mask), "op %" PRIu64 " va 0x%" PRIx64 ": 0x%" PRIx64
            ", model 0x%" PRIx64, t->ops, va, tr.pa, u->pa + (va & mask));
    REQUIRE(tr.shift == shifts[k] && w.shift == shifts[k] && tr.limit == mask + 1 - (va & mask), "page size");
    REQUIRE(w.page.aperture == u->aperture && tr.aperture == u->aperture && w.page.kind == u->kind &&
                w.page.comp == u->comp && w.page.ro == u->ro && w.page.priv == u->priv && tr.ro == u->ro &&
                tr.priv == u->priv,
            "va 0x%" PRIx64 ": attributes", va);
    REQUIRE(!u->comp || w.page.comptag + ((va & ((1ull << (16 + w.page.block)) - 1)) >> 16) * u->comp == u->comptag,
            "va 0x%" PRIx64 ": tag %u, model %u", va, w.page.comptag, u->comptag);
}

static void require_region(struct test *t, unsigned region)
{
    struct nvmmu_space s = nvmmu_vmm_space(t->vmm);
    uint64_t va = t->is->base[region], end = va + REGION;
    struct nvmmu_extents it;
    struct nvmmu_extent e, before = {0};

    nvmmu_extents_init(&it, &s, va, REGION);
    for (; nvmmu_extents_next(&it, &e); va += e.size, before = e) {
        REQUIRE(e.va == va && e.size && e.size <= end - va && !(e.size & 0xfff), "extent 0x%" PRIx64, e.va);
        for (uint64_t at = 0; at < e.size; at += 4096) {
            struct nvmmu_translation tr;

            nvmmu_translate(&s, va + at, &tr);
            REQUIRE(tr.state == e.state && (e.state != NVMMU_MAPPED || tr.pa == e.pa + at), "extent, 0x%" PRIx64,
                    va + at);
            require_page(t, region, (uint32_t)((va + at - t->is->base[region]) >> 12), 0);
        }
        REQUIRE(!before.size || before.state != e.state ||
                    (e.state == NVMMU_MAPPED &&
                     (before.pa + before.size != e.pa || before.page.aperture != e.page.aperture ||
                      before.page.kind != e.page.kind || before.page.comp != e.page.comp ||
                      before.page.ro != e.page.ro || before.page.priv != e.page.priv)),
                "extents at 0x%" PRIx64 " could be one", va);
    }
    REQUIRE(va == end, "extents end at 0x%" PRIx64, va);
}

static int find_root(void *ctx, const struct nvmmu_table_info *table)
{
    *(const void **)ctx = table->cpu;
    return 1;
}

static void require_instances(struct test *t)
{
    size_t bytes = nvmmu_instance_bytes(t->format), first = bytes - 2048 * 8;
    const uint64_t *root = NULL;

    nvmmu_vmm_tables(t->vmm, find_root, &root);
    for (unsigned i = 0; i < 2048; i++)
        REQUIRE(root[i] & 1 || root[i] == 0xdeadcafe00000000, "unused entry %u is 0x%" PRIx64, i, root[i]);
    for (unsigned i = 0; i < 2; i++)
        if (t->joined[i])
            REQUIRE(!memcmp((const char *)t->instance[i] + first, root, 2048 * 8), "instance block %u", i);
        else
            REQUIRE(!memcmp(t->instance[i], t->parted + i * bytes / 8, bytes), "parted instance block %u changed", i);
}

static void require_everything(struct test *t)
{
    for (unsigned i = 0; i < REGIONS; i++)
        require_region(t, i);
    vmm_require_sound(t->vmm);
    if (t->is->tesla)
        require_instances(t);
}

/* ---- the calls --------------------------------------------------------------------------------------------- */

struct pick {
    unsigned region, k;
    uint32_t first, n;
    uint64_t va, size;
};

static void pick_range(const struct test *t, struct pick *p)
{
    p->va = t->is->base[p->region] + ((uint64_t)p->first << shifts[p->k]);
    p->size = (uint64_t)p->n << shifts[p->k];
}

static struct pick pick(struct test *t)
{
    struct pick p = {.region = (unsigned)below(&t->rng, REGIONS), .k = t->is->tesla && below(&t->rng, 3) == 0};
    const uint32_t *users = t->users[block_of(t, p.region, 0)];
    uint32_t count;

    if (below(&t->rng, 8) && (users[0] || users[1])) /* mostly what the block has */
        p.k = users[1] != 0;
    count = SMALL >> 4 * p.k;
    p.first = (uint32_t)below(&t->rng, count);
    p.n = 1 + (uint32_t)below(&t->rng, below(&t->rng, 3) ? 12 : count);
    if (p.n > count - p.first)
        p.n = count - p.first;
    pick_range(t, &p);
    return p;
}

static struct unit *unit_of(struct test *t, const struct pick *p, uint32_t i)
{
    return &t->unit[p->region][p->k][p->first + i];
}

static bool all_referenced(struct test *t, const struct pick *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (!unit_of(t, p, i)->refs)
            return false;
    return true;
}

/* Moves the pick to a referenced run, or to a piece of one. */
static void pick_referenced(struct test *t, struct pick *p)
{
    uint32_t n = 0, count = SMALL >> 4 * p->k;

    if (below(&t->rng, 8) == 0)
        return; /* let some be refused */
    while (p->first + 1 < count && !t->unit[p->region][p->k][p->first].refs)
        p->first++;
    while (p->first + n < count && t->unit[p->region][p->k][p->first + n].refs)
        n++;
    p->n = n ? n : 1;
    if (n > 1 && below(&t->rng, 2)) {
        uint32_t skip = (uint32_t)below(&t->rng, n);

        p->first += skip;
        p->n = 1 + (uint32_t)below(&t->rng, n - skip);
    }
    pick_range(t, p);
}

static bool suits_blocks(const struct test *t, const struct pick *p)
{
    uint32_t pages = p->n << 4 * p->k, first = p->first << 4 * p->k;

    return !t->users[block_of(t, p->region, first)][!p->k] &&
           !t->users[block_of(t, p->region, first + pages - 1)][!p->k];
}

static void reference(struct test *t, const struct pick *p, int by)
{
    for (uint32_t i = 0; i < p->n; i++) {
        unit_of(t, p, i)->refs += (uint32_t)by;
        t->users[block_of(t, p->region, (p->first + i) << 4 * p->k)][p->k] += (uint32_t)by;
    }
}

static void do_get(struct test *t)
{
    struct pick p = pick(t);
    bool short_of_memory = below(&t->rng, 16) == 0;
    int ret, expected = suits_blocks(t, &p) ? 0 : -EINVAL;

    if (short_of_memory)
        *(below(&t->rng, 2) ? &t->bank->fail_after : &t->bank->alloc_after) = (long)below(&t->rng, 3);
    ret = nvmmu_vmm_get(t->vmm, p.va, p.size, shifts[p.k]);
    t->bank->fail_after = t->bank->alloc_after = -1;
    REQUIRE(ret == expected || (short_of_memory && ret == -ENOMEM), "get 0x%" PRIx64 ": %d", p.va, ret);
    t->failed += ret == -ENOMEM;
    t->refused += ret == -EINVAL;
    if (!ret)
        reference(t, &p, 1);
}

static void unmap_checked(struct test *t, const struct pick *p)
{
    bool allowed = all_referenced(t, p);
    int ret = nvmmu_vmm_unmap(t->vmm, p->va, p->size, shifts[p->k], false);

    REQUIRE(ret == (allowed ? 0 : -EINVAL), "unmap 0x%" PRIx64 ": %d", p->va, ret);
    t->refused += !allowed;
    for (uint32_t i = 0; allowed && i < p->n; i++)
        unit_of(t, p, i)->valid = false;
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
    allowed = all_referenced(t, &p);
    if (allowed)
        unmap_checked(t, &p);
    ret = nvmmu_vmm_put(t->vmm, p.va, p.size, shifts[p.k]);
    REQUIRE(ret == (allowed ? 0 : -EINVAL), "put 0x%" PRIx64 ": %d", p.va, ret);
    t->refused += !allowed;
    if (allowed)
        reference(t, &p, -1);
}

/* Attributes; false: the space refuses them. */
static bool attributes(struct test *t, const struct pick *p, struct nvmmu_map *m)
{
    static const struct {
        uint8_t kind, storage;
    } kinds[] = {{0x00, 1}, {0x10, 1}, {0x7d, 1}, {0x18, 2}, {0x7b, 2}, {0x30, 0}, {0x80, 0}};
    unsigned i = (unsigned)below(&t->rng, below(&t->rng, 16) ? 5 : 7);
    bool vram;

    m->target = p->k ? NVMMU_VRAM : (uint8_t[]){NVMMU_VRAM, NVMMU_HOST, NVMMU_NCOH}[below(&t->rng, 3)];
    vram = m->target == NVMMU_VRAM;
    if (!t->is->tesla) {
        m->ro = below(&t->rng, 32) == 0;
        m->defaults = below(&t->rng, 2);
        return !vram && (m->defaults || !m->ro);
    }
    m->kind = kinds[i].kind;
    m->storage = below(&t->rng, 16) ? kinds[i].storage : 2;
    m->ro = below(&t->rng, 4) == 0;
    m->priv = below(&t->rng, 4) == 0;
    if (below(&t->rng, p->k && !t->stolen && m->target == NVMMU_VRAM ? 2 : 32) == 0) {
        m->comp = 1 + (uint8_t)below(&t->rng, 2);
        m->comptag = (uint32_t)below(&t->rng, below(&t->rng, 8) ? 0xe00 : 0x1000);
    }
    return kinds[i].storage && (!vram || (m->storage ? m->storage : 1) == kinds[i].storage) &&
           (!m->comp || (p->k && !t->stolen));
}

/* An object of a few pieces, or a list of pages. */
static void do_map(struct test *t)
{
    static struct nvmmu_piece pieces[SMALL];
    static uint64_t pages[SMALL];
    struct pick p = pick(t);
    struct nvmmu_map m = {0};
    uint64_t unit, base;
    bool list, allowed;
    uint32_t n = 0, run;
    int ret;

    pick_referenced(t, &p);
    unit = 1ull << shifts[p.k];
    list = p.k == 0 && below(&t->rng, 2);
    allowed = attributes(t, &p, &m) && all_referenced(t, &p);
    base = t->stolen && m.target == NVMMU_VRAM ? t->stolen : 0;
    if (m.comp && m.comptag + (p.n - 1) * m.comp > 0xfff)
        allowed = false;
    for (uint32_t i = 0; i < p.n; i += run) {
        uint64_t pa = (1 + below(&t->rng, (1ull << (t->is->pa_bits - 24)) - (base ? 256 : 4))) << 24;

        pa += (below(&t->rng, 16) << 16) + (p.k ? 0 : below(&t->rng, 16) << 12);
        if (t->is->packed && pa == DUMMY)
            pa += unit;
        run = 1 + (uint32_t)below(&t->rng, p.n - i);
        pieces[n++] = (struct nvmmu_piece){pa, run * unit};
        for (uint32_t k = 0; k < run; k++) {
            struct unit *u = unit_of(t, &p, i + k);

            pages[i + k] = pa + k * unit;
            if (!allowed)
                continue;
            *u = (struct unit){.refs = u->refs, .valid = true, .pa = pa + k * unit + base, .kind = m.kind,
                               .comp = m.comp, .comptag = m.comptag + (i + k) * m.comp, .ro = m.ro && !m.defaults,
                               .priv = m.priv};
            u->aperture = base ? NVMMU_NCOH : t->is->tesla ? m.target : NVMMU_HOST;
        }
    }
    m.va = p.va;
    m.size = p.size;
    m.shift = m.object_shift = (uint8_t)shifts[p.k];
    m.pages = list ? pages : NULL;
    m.page_count = list ? p.n : 0;
    m.pieces = list ? NULL : pieces;
    m.piece_count = list ? 0 : n;
    ret = nvmmu_vmm_map(t->vmm, &m);
    REQUIRE(ret == (allowed ? 0 : -EINVAL), "op %" PRIu64 " map 0x%" PRIx64 ": %d", t->ops, p.va, ret);
    t->refused += !allowed;
}

static void do_instance(struct test *t)
{
    size_t bytes = nvmmu_instance_bytes(t->format);
    unsigned i = (unsigned)below(&t->rng, 2);

    if (below(&t->rng, 64) || !t->is->tesla)
        return;
    if (t->joined[i]) {
        nvmmu_instance_part(t->vmm, t->instance[i]);
        memcpy(t->parted + i * bytes / 8, t->instance[i], bytes);
    } else {
        int ret;

        t->bank->alloc_after = below(&t->rng, 2) ? 0 : -1;
        ret = nvmmu_instance_join(t->vmm, t->instance[i], false);
        t->failed += ret == -ENOMEM;
        REQUIRE(ret == 0 || (ret == -ENOMEM && t->bank->alloc_after < 0), "join: %d", ret);
        t->bank->alloc_after = -1;
        if (ret)
            return;
    }
    t->joined[i] = !t->joined[i];
}

/* Spaces fill and empty in turn, so that blocks change their page size. */
static void do_something(struct test *t)
{
    static const uint8_t limit[2][5] = {{30, 70, 80, 98, 100}, {3, 8, 14, 98, 100}};
    static void (*const call[5])(struct test *) = {do_get, do_map, do_unmap, do_put, do_instance};
    const uint8_t *l = limit[t->ops / 128 % 3 == 2];
    uint64_t what = below(&t->rng, 100);
    unsigned i = 0;

    while (what >= l[i])
        i++;
    call[i](t);
    t->ops++;
}

/* ---- a run ------------------------------------------------------------------------------------------------- */

static int count_table(void *ctx, const struct nvmmu_table_info *table)
{
    (void)table;
    ++*(unsigned *)ctx;
    return 0;
}

static void drop_region(struct test *t, unsigned region)
{
    struct pick p = {.region = region, .n = 1};

    for (p.k = 0; p.k < 2; p.k++) {
        for (p.first = 0; p.first < SMALL >> 4 * p.k; p.first++) {
            pick_range(t, &p);
            if (unit_of(t, &p, 0)->refs)
                unmap_checked(t, &p);
            for (; unit_of(t, &p, 0)->refs; reference(t, &p, -1))
                REQUIRE(nvmmu_vmm_put(t->vmm, p.va, p.size, shifts[p.k]) == 0, "put");
        }
    }
}

static void drop_everything(struct test *t)
{
    unsigned tables = 0;

    for (unsigned i = 0; i < REGIONS; i++)
        drop_region(t, i);
    require_everything(t);
    nvmmu_vmm_tables(t->vmm, count_table, &tables);
    REQUIRE(tables == 1, "%u tables left", tables);
}

static void run(const struct subject *subject, uint64_t seed, uint64_t ops)
{
    struct test *t = calloc(1, sizeof(*t));
    struct nvmmu_vmm_config config;
    size_t bytes;

    REQUIRE(t, "memory");
    t->is = subject;
    t->rng = seed;
    t->stolen = strcmp(subject->name, "mcp77") ? 0 : STOLEN;
    t->bank = bank_new();
    config = bank_config(t->bank, subject->name);
    config.stolen = t->stolen;
    config.dummy = DUMMY;
    t->format = config.format;
    REQUIRE(nvmmu_vmm_create(&config, &t->vmm) == 0, "create");
    bytes = nvmmu_instance_bytes(t->format);
    t->parted = calloc(3, bytes + 8);
    t->instance[0] = calloc(1, bytes + 8);
    t->instance[1] = calloc(1, bytes + 8);
    REQUIRE(t->parted && t->instance[0] && t->instance[1], "memory");

    for (uint64_t i = 0; i < ops; i++) {
        do_something(t);
        for (unsigned k = 0; k < 2; k++)
            require_page(t, (unsigned)below(&t->rng, REGIONS), (uint32_t)below(&t->rng, SMALL), below(&t->rng, 4096));
        if (i % 1024 == 0)
            require_region(t, (unsigned)below(&t->rng, REGIONS));
        if (i % 256 == 255)
            drop_region(t, (unsigned)below(&t->rng, REGIONS));
        if (i % 4096 == 0)
            require_everything(t);
        if (i % 16384 == 16383)
            drop_everything(t);
    }
    drop_everything(t);
    printf("  %s: %" PRIu64 " operations, %" PRIu64 " refused, %" PRIu64 " short of memory\n", subject->name, t->ops,
           t->refused, t->failed);
    nvmmu_vmm_destroy(t->vmm);
    bank_delete(t->bank);
    free(t->instance[0]);
    free(t->instance[1]);
    free(t->parted);
    free(t);
}

/* ---- corrupt tables ---------------------------------------------------------------------------------------- */

static void require_agreement(const struct nvmmu_space *s, uint64_t va)
{
    struct nvmmu_translation tr;
    struct nvmmu_extents it;
    struct nvmmu_extent e;
    struct nvmmu_walk w;

    nvmmu_walk(s, va, &w);
    nvmmu_translate(s, va, &tr);
    REQUIRE(w.state == tr.state && w.pa == tr.pa && (w.state != NVMMU_UNMAPPED || w.fault == tr.fault),
            "%s va 0x%" PRIx64 ": walk %d 0x%" PRIx64 " %d, translate %d 0x%" PRIx64 " %d",
            nvmmu_format_name(s->format), va, w.state, w.pa, w.fault, tr.state, tr.pa, tr.fault);
    nvmmu_extents_init(&it, s, va, 64 * 4096);
    if (va >> nvmmu_format_va_bits(s->format))
        return;
    REQUIRE(nvmmu_extents_next(&it, &e) && e.va == va && e.state == tr.state &&
                (e.state != NVMMU_MAPPED || e.pa == tr.pa), "extent at 0x%" PRIx64, va);
    for (uint64_t at = 0; at < e.size; at += 4096) {
        nvmmu_translate(s, va + at, &tr);
        REQUIRE(tr.state == e.state && (e.state != NVMMU_MAPPED || tr.pa == e.pa + at), "extent, at 0x%" PRIx64,
                va + at);
    }
}

/* Random tables behind random pointers, in windows that end in the middle of tables. */
static void random_tables_are_walked_safely(const struct subject *subject, uint64_t seed)
{
    static const uint64_t size[2] = {16384 + 8192, 3 * 65536 + 4096};
    struct nvmmu_window window[2];
    struct nvmmu_space s = {nvmmu_format_find(subject->name), window, 2, MiB, NVMMU_VRAM};
    uint64_t rng = seed;

    for (unsigned i = 0; i < 2; i++) {
        window[i] = (struct nvmmu_window){(i + 1) * MiB, size[i], malloc(size[i]), i ? NVMMU_HOST : NVMMU_VRAM};
        REQUIRE(window[i].cpu, "memory");
    }
    for (unsigned n = 0; n < 60; n++) {
        for (unsigned i = 0; i < 2; i++)
            for (uint64_t k = 0; k < size[i] / 8; k++)
                ((uint64_t *)window[i].cpu)[k] = rnd(&rng) >> below(&rng, 64);
        for (uint64_t k = 0; k < 2048; k++)
            ((uint64_t *)window[0].cpu)[k] = (2 * MiB + below(&rng, 60) * 4096) | below(&rng, 4) << 5 |
                                             (below(&rng, 4) ? 2 : below(&rng, 4)) << 2 | below(&rng, 4);
        s.root = below(&rng, 8) ? MiB : rnd(&rng);
        for (unsigned k = 0; k < 2000; k++)
            require_agreement(&s, rnd(&rng) >> (62 - below(&rng, 40)));
    }
    for (unsigned i = 0; i < 2; i++)
        free(window[i].cpu);
}

static void every_field_has_a_name_once(const struct subject *subject, uint64_t seed)
{
    const struct nvmmu_format *f = nvmmu_format_find(subject->name);
    const struct nvmmu_level_info *l;
    size_t levels = nvmmu_format_levels(f, &l);
    struct nvmmu_field field[NVMMU_FIELDS_MAX];
    uint64_t rng = seed;

    for (unsigned n = 0; n < 4000; n++) {
        uint64_t word[2] = {rnd(&rng) >> below(&rng, 64), 0}, seen = 0;
        size_t count = nvmmu_entry_fields(f, l[n % levels].level, word, field);

        for (size_t i = 0; i < count; i++) {
            uint64_t mask = ~0ull >> (63 - (field[i].high - field[i].low)) << field[i].low;

            REQUIRE(!(seen & mask) && field[i].word == 0, "field %s", field[i].name);
            seen |= mask;
        }
        REQUIRE(!(word[0] & ~seen), "bits without a name in 0x%" PRIx64, word[0]);
    }
}

/* What encodes decodes to the same, and what does not fit is refused. */
static void pages_survive_encoding(const struct subject *subject, uint64_t seed)
{
    const struct nvmmu_format *f = nvmmu_format_find(subject->name);
    uint64_t rng = seed, word[2];
    unsigned encoded = 0;

    for (unsigned n = 0; n < 40000; n++) {
        struct nvmmu_pte p = {.addr = (rnd(&rng) >> below(&rng, 52)) & ~0xfffull,
                              .aperture = subject->tesla ? (uint8_t)below(&rng, 5) : NVMMU_HOST};
        struct nvmmu_entry e;
        bool fits = !(p.addr >> subject->pa_bits);

        if (subject->tesla) {
            p.kind = (uint16_t)below(&rng, 0x84);
            p.comp = (uint8_t)below(&rng, 5);
            p.block = (uint8_t)below(&rng, 9);
            p.comptag = (uint32_t)below(&rng, 0x1010);
            p.ro = below(&rng, 2);
            p.priv = below(&rng, 2);
            p.vol = below(&rng, 16) == 0;
            fits &= p.aperture != NVMMU_PEER && p.aperture <= NVMMU_NCOH && p.kind < 0x80 && p.comp < 4 &&
                    p.block < 8 && p.comptag < 0x1000 && !p.vol;
        } else if (below(&rng, 8) == 0) {
            p.kind = 1;
            fits = false;
        }
        REQUIRE(nvmmu_pte_encode(f, NVMMU_SPT, &p, word) == (fits ? 0 : -EINVAL), "page 0x%" PRIx64, p.addr);
        if (!fits)
            continue;
        encoded++;
        nvmmu_entry_decode(f, NVMMU_SPT, word, &e);
        REQUIRE(e.state == NVMMU_ENTRY_PAGE && e.page.addr == p.addr && e.page.aperture == p.aperture &&
                    e.page.kind == p.kind && e.page.comp == p.comp && e.page.block == p.block &&
                    e.page.comptag == p.comptag && e.page.ro == p.ro && e.page.priv == p.priv,
                "word 0x%" PRIx64, word[0]);
    }
    REQUIRE(encoded > 1000, "%u", encoded);
}

static void directory_entries_say_size_and_page(void)
{
    const struct nvmmu_format *f = nvmmu_format_find("g84");
    struct nvmmu_pde table = {.addr = 0x1234567000, .aperture = NVMMU_HOST, .present = true};
    uint64_t w[2];
    struct nvmmu_entry e;

    REQUIRE(nvmmu_pde_encode(f, NVMMU_PD0, NULL, NULL, w) == 0 && w[0] == 0xdeadcafe00000000, "0x%" PRIx64, w[0]);
    REQUIRE(nvmmu_pde_encode(f, NVMMU_PD0, &table, NULL, w) == 0 && w[0] == 0x1234567009, "0x%" PRIx64, w[0]);
    REQUIRE(nvmmu_pde_encode(f, NVMMU_PD0, &table, &table, w) == -EINVAL, "two page sizes");
    table.size = 4;
    REQUIRE(nvmmu_pde_encode(f, NVMMU_PD0, &table, NULL, w) == -EINVAL, "a short LPT");
    REQUIRE(nvmmu_pde_encode(f, NVMMU_PD0, NULL, &table, w) == 0 && w[0] == 0x123456706b, "0x%" PRIx64, w[0]);
    nvmmu_entry_decode(f, NVMMU_PD0, w, &e);
    REQUIRE(e.next.present && e.next.size == 4 && e.next.addr == table.addr && !e.big.present, "decode");
    table.size = 1;
    REQUIRE(nvmmu_pde_encode(f, NVMMU_PD0, NULL, &table, w) == -EINVAL, "half of an SPT");
    REQUIRE(nvmmu_pde_encode(nvmmu_format_find("nv41"), NVMMU_PD0, NULL, NULL, w) == -EINVAL, "no directories");
}

int main(void)
{
    uint64_t seed = seed_choose("nvmmu_early"), ops = getenv("LONG") ? 7 * OPS : OPS;

    directory_entries_say_size_and_page();
    for (unsigned i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
        every_field_has_a_name_once(&subjects[i], seed + i);
        pages_survive_encoding(&subjects[i], seed + i);
        random_tables_are_walked_safely(&subjects[i], seed + i);
        run(&subjects[i], seed + i, ops);
    }
    return 0;
}
