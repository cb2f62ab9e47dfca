/*
 * Laws of allocated addresses: get gives what a naive search over the gaps gives; every address shows what a flat list
 * of allocations and their mapped pieces says; a call that fails changes nothing, also at its n-th allocation of memory
 * for every n; when all is put, all tables but the root are gone.
 */
#include <nvmmu/vma.h>

#include "../../CSources/CNVMMU/format_private.h" /* to make a format with the rule of blocks */
#include "nvmmu_support.h"

#define WINDOW   ((1ull << 38) - 6 * MiB) /* a border between tables of every level but the root in it */
#define SIZE     (24 * MiB)
#define BLOCK    (2 * MiB)
#define MOST     64 /* allocations */
#define PIECES   16
#define OPS      1500/* a format; LONG=1: ten times as many */

struct piece {
    uint64_t va, size, pa; /* pa: of the first byte, where mapped */
    unsigned refd;
    bool mapped;
};

struct allocation {
    struct nvmmu_vma_request r;
    uint64_t va;
    struct piece piece[PIECES];
    unsigned pieces;
};

struct test {
    uint64_t rng;
    struct bank *bank;
    struct nvmmu_vmm *vmm;
    struct nvmmu_vmas *vmas;
    uint64_t block; /* 0: no rule */
    struct allocation list[MOST]; /* by address */
    unsigned count;
    uint64_t refused, failed;
};

/* ---- the naive search ------------------------------------------------------------------------------------------- */

static uint64_t up(uint64_t va, uint64_t unit)
{
    return (va + unit - 1) / unit * unit;
}

/* Where the request goes; 0: nowhere. `at` is its place in the list. */
static uint64_t search(const struct test *t, const struct nvmmu_vma_request *r, unsigned *at)
{
    unsigned align = r->shift ? r->shift : 12;
    uint64_t best = 0, best_gap = UINT64_MAX;

    if (r->align > align)
        align = r->align;
    for (unsigned i = 0; i <= t->count; i++) {
        const struct allocation *prev = i ? &t->list[i - 1] : NULL, *next = i < t->count ? &t->list[i] : NULL;
        uint64_t start = prev ? prev->va + prev->r.size : WINDOW, end = next ? next->va : WINDOW + SIZE;
        uint64_t gap = end - start;

        if (t->block && prev && prev->r.shift != r->shift)
            start = up(start, t->block);
        if (t->block && next && next->r.shift != r->shift)
            end = end / t->block * t->block;
        start = up(start, 1ull << align);
        if (gap >= best_gap || start > end || end - start < r->size)
            continue;
        best = start;
        best_gap = gap;
        *at = i;
    }
    return best;
}

/* ---- what is expected ------------------------------------------------------------------------------------------- */

static int page_expect(const struct test *t, uint64_t va, uint64_t *pa)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct allocation *a = &t->list[i];

        if (va < a->va || va >= a->va + a->r.size)
            continue;
        for (unsigned k = 0; k < a->pieces; k++) {
            const struct piece *p = &a->piece[k];

            if (p->mapped && va >= p->va && va < p->va + p->size) {
                *pa = p->pa + (va - p->va);
                return NVMMU_MAPPED;
            }
        }
        return a->r.sparse ? NVMMU_SPARSE : NVMMU_UNMAPPED;
    }
    return NVMMU_UNMAPPED;
}

static void compare(const struct test *t)
{
    struct nvmmu_space s = nvmmu_vmm_space(t->vmm);

    for (uint64_t va = WINDOW; va < WINDOW + SIZE; va += 4096) {
        struct nvmmu_translation found;
        uint64_t pa = 0;
        int state = page_expect(t, va, &pa);

        nvmmu_translate(&s, va, &found);
        REQUIRE((int)found.state == state && found.pa == pa, "va 0x%" PRIx64 ": state %d pa 0x%" PRIx64
                ", expected %d, 0x%" PRIx64, va, found.state, found.pa, state, pa);
    }
}

struct cursor {
    const struct test *t;
    unsigned i, k;
    uint64_t va;
};

/* The library's blocks are the list's pieces and the gaps between. */
static int block_compare(void *ctx, const struct nvmmu_vma_info *is)
{
    struct cursor *c = ctx;
    const struct allocation *a = c->i < c->t->count ? &c->t->list[c->i] : NULL;
    const struct piece *p = a ? &a->piece[c->k] : NULL;

    REQUIRE(is->va == c->va, "block at 0x%" PRIx64 ", expected 0x%" PRIx64, is->va, c->va);
    c->va += is->size;
    if (!p || is->va < p->va) {
        REQUIRE(!is->used && c->va == (p ? p->va : WINDOW + SIZE), "gap at 0x%" PRIx64, is->va);
        return 0;
    }
    REQUIRE(is->used && is->va == p->va && is->size == p->size && is->mapped == p->mapped && is->refd == p->refd &&
                is->part == (c->k > 0),
            "piece at 0x%" PRIx64, p->va);
    if (++c->k == a->pieces) {
        c->k = 0;
        c->i++;
    }
    return 0;
}

static void sound(const struct test *t)
{
    char why[256] = "";

    REQUIRE(nvmmu_vmas_check(t->vmas, why, sizeof(why)) == 0, "%s", why);
    nvmmu_vmas_visit(t->vmas, block_compare, &(struct cursor){.t = t, .va = WINDOW});
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

struct call {
    enum { GET, MAP, UNMAP, PUT } what;
    struct nvmmu_vma_request r;
    struct nvmmu_map map;
    uint64_t va;
    unsigned shift;
};

static int perform(struct test *t, struct call *c)
{
    switch (c->what) {
    case GET:
        return nvmmu_vma_get(t->vmas, &c->r, &c->va);
    case MAP:
        return nvmmu_vma_map(t->vmas, &c->map, &c->shift);
    case UNMAP:
        return nvmmu_vma_unmap(t->vmas, c->va);
    default:
        return nvmmu_vma_put(t->vmas, c->va);
    }
}

/* Lets the call fail at its first allocation, its second … until it does not. */
static int perform_failing(struct test *t, struct call *c)
{
    long *after = rnd(&t->rng) & 1 ? &t->bank->fail_after : &t->bank->alloc_after;

    for (long n = 0;; n++) {
        struct digest before = digest_of(t->vmm), now;
        int ret;

        *after = n;
        ret = perform(t, c);
        if (*after >= 0) {
            *after = -1;
            return ret;
        }
        if (ret != -ENOMEM)
            return ret; /* what failed was not needed */
        now = digest_of(t->vmm);
        REQUIRE(now.hash == before.hash && now.tables == before.tables, "a failed call changed the tables");
        sound(t);
        t->failed++;
    }
}

static int require_ret(struct test *t, struct call *c, int expected)
{
    int ret = below(&t->rng, 4) ? perform(t, c) : perform_failing(t, c);

    REQUIRE(ret == expected, "call %d: %d, expected %d", c->what, ret, expected);
    t->refused += ret != 0;
    return ret;
}

/* ---- get -------------------------------------------------------------------------------------------------------- */

static const uint8_t shifts[] = {0, 12, 16, 21, 13};

static struct nvmmu_vma_request request(struct test *t)
{
    struct nvmmu_vma_request r = {.shift = shifts[below(&t->rng, 32) ? below(&t->rng, 4) : 4]};
    uint64_t unit = 1ull << (r.shift ? r.shift : 12);

    r.align = shifts[below(&t->rng, 4)];
    r.size = unit * (unit == 2 * MiB ? 1 + below(&t->rng, 2) : 1 + below(&t->rng, 24));
    if (!below(&t->rng, 32))
        r.size = below(&t->rng, 2) ? 0 : r.size + 2048;
    r.getref = !below(&t->rng, 3);
    r.mapref = !r.getref && below(&t->rng, 3);
    r.sparse = !below(&t->rng, 3);
    return r;
}

static int get_expected(const struct test *t, const struct nvmmu_vma_request *r, uint64_t *va, unsigned *at)
{
    bool known = r->shift == 12 || r->shift == 16 || r->shift == 21;

    if (!r->size || (r->sparse && !r->getref && !r->mapref) || (!r->shift && (r->getref || t->block)))
        return -EINVAL;
    if (r->shift && (!known || r->size % (1ull << r->shift)))
        return -EINVAL;
    *va = search(t, r, at);
    if (!*va)
        return -ENOSPC;
    return r->sparse && r->size % 4096 ? -EINVAL : 0;
}

static void get(struct test *t)
{
    struct call c = {.what = GET, .r = request(t)};
    unsigned at = 0;
    uint64_t va = 0;
    int expected = get_expected(t, &c.r, &va, &at);

    if (t->count == MOST || (!expected && c.r.size % 4096) || require_ret(t, &c, expected))
        return; /* sizes that are no pages leave gaps that the flat picture cannot show */
    REQUIRE(c.va == va, "got 0x%" PRIx64 ", expected 0x%" PRIx64, c.va, va);
    memmove(&t->list[at + 1], &t->list[at], (t->count++ - at) * sizeof(t->list[0]));
    t->list[at] = (struct allocation){.r = c.r, .va = va, .pieces = 1};
    t->list[at].piece[0] = (struct piece){.va = va, .size = c.r.size, .refd = c.r.getref ? c.r.shift : 0};
}

/* ---- map -------------------------------------------------------------------------------------------------------- */

static unsigned map_shift(const struct allocation *a, const struct piece *p, const struct nvmmu_map *m)
{
    unsigned fixed = p->refd ? p->refd : a->r.shift;

    for (unsigned shift = 21; shift >= 12; shift -= shift == 21 ? 5 : 4)
        if ((!fixed || fixed == shift) && m->object_shift >= shift && !((m->va | m->size | m->offset) % (1ull << shift)))
            return shift;
    return 0;
}

/* Piece k becomes up to three, the one for [va, va + size) at the place that comes back. */
static struct piece *piece_cut(struct allocation *a, unsigned k, uint64_t va, uint64_t size)
{
    struct piece old = a->piece[k], part[3];
    unsigned n = 0, body;

    if (va > old.va)
        part[n++] = (struct piece){.va = old.va, .size = va - old.va, .refd = old.refd};
    body = k + n;
    part[n] = old;
    part[n].va = va;
    part[n++].size = size;
    if (va + size < old.va + old.size)
        part[n++] = (struct piece){.va = va + size, .size = old.va + old.size - va - size, .refd = old.refd};
    memmove(&a->piece[k + n], &a->piece[k + 1], (a->pieces - k - 1) * sizeof(old));
    memcpy(&a->piece[k], part, n * sizeof(old));
    a->pieces += n - 1;
    return &a->piece[body];
}

static void map(struct test *t)
{
    struct allocation *a = &t->list[below(&t->rng, t->count)];
    unsigned k = (unsigned)below(&t->rng, a->pieces);
    struct piece *p = &a->piece[k];
    uint8_t object = shifts[1 + below(&t->rng, 3)];
    uint64_t unit = 1ull << shifts[1 + below(&t->rng, 3)], pa = (16 + below(&t->rng, 64)) * 2 * MiB;
    struct nvmmu_piece memory[2];
    struct call c = {.what = MAP, .map = {.va = p->va, .size = p->size, .object_shift = object, .pieces = memory}};
    struct nvmmu_map *m = &c.map;
    bool whole;

    if (below(&t->rng, 2) && p->size > unit) {
        m->va += below(&t->rng, p->size / unit) * unit;
        m->size = (1 + below(&t->rng, (p->va + p->size - m->va) / unit)) * unit;
    }
    m->offset = below(&t->rng, 3) ? 0 : below(&t->rng, 64) << shifts[1 + below(&t->rng, 3)];
    memory[0] = (struct nvmmu_piece){pa, up(1 + below(&t->rng, m->offset + m->size), 1ull << object)};
    memory[1] = (struct nvmmu_piece){pa + memory[0].size, up(m->offset + m->size, 1ull << object)};
    m->piece_count = 2;
    whole = m->va == p->va && m->size == p->size;
    if (a->pieces + 2 > PIECES)
        return;
    if ((!whole && (p->mapped || (!p->refd && !(a->r.mapref)))) || !map_shift(a, p, m)) {
        require_ret(t, &c, -EINVAL);
        return;
    }
    require_ret(t, &c, 0);
    REQUIRE(c.shift == map_shift(a, p, m), "shift %u, expected %u", c.shift, map_shift(a, p, m));
    p = piece_cut(a, k, m->va, m->size);
    p->mapped = true;
    p->refd = c.shift;
    p->pa = pa + m->offset;
}

/* ---- unmap and put ---------------------------------------------------------------------------------------------- */

static void merge(struct allocation *a)
{
    for (unsigned k = 0; k + 1 < a->pieces;) {
        if (a->piece[k].mapped || a->piece[k + 1].mapped) {
            k++;
            continue;
        }
        a->piece[k].size += a->piece[k + 1].size;
        memmove(&a->piece[k + 1], &a->piece[k + 2], (a->pieces-- - k - 2) * sizeof(a->piece[0]));
    }
}

static void unmap(struct test *t)
{
    struct allocation *a = &t->list[below(&t->rng, t->count)];
    struct piece *p = &a->piece[below(&t->rng, a->pieces)];
    bool off = !below(&t->rng, 16);
    struct call c = {.what = UNMAP, .va = p->va + (off ? 2048 : 0)};

    if (require_ret(t, &c, off ? -ENOENT : p->mapped ? 0 : -EINVAL))
        return;
    p->mapped = false;
    if (a->r.mapref)
        p->refd = 0;
    merge(a);
}

static void put(struct test *t)
{
    unsigned i = (unsigned)below(&t->rng, t->count);
    struct allocation *a = &t->list[i];
    unsigned k = below(&t->rng, 4) ? 0 : (unsigned)below(&t->rng, a->pieces);
    struct call c = {.what = PUT, .va = a->piece[k].va};

    if (require_ret(t, &c, k ? -ENOENT : 0))
        return;
    memmove(a, a + 1, (t->count - i - 1) * sizeof(*a));
    t->count--;
}

/* ---- runs ------------------------------------------------------------------------------------------------------- */

static void run(const char *format, uint64_t block, uint64_t seed)
{
    struct test *t = calloc(1, sizeof(*t));
    struct nvmmu_format blocks = *nvmmu_format_find(format);
    struct nvmmu_vmm_config config;
    unsigned ops = getenv("LONG") ? 10 * OPS : OPS;

    REQUIRE(t, "memory");
    *t = (struct test){.rng = seed, .bank = bank_new(), .block = block};
    config = bank_config(t->bank, format);
    blocks.page_block = block;
    config.format = &blocks;
    REQUIRE(nvmmu_vmm_create(&config, &t->vmm) == 0, "vmm");
    REQUIRE(nvmmu_vmas_create(t->vmm, WINDOW, SIZE, &t->vmas) == 0, "vmas");

    for (unsigned n = 0; n < ops; n++) {
        uint64_t dice = below(&t->rng, 10);

        if (!t->count || dice < 3)
            get(t);
        else if (dice < 7)
            map(t);
        else if (dice < 9)
            unmap(t);
        else
            put(t);
        sound(t);
        if (n % 16 == 0 || n == ops - 1) {
            compare(t);
            vmm_require_sound(t->vmm);
        }
    }
    REQUIRE(t->refused && t->failed, "%" PRIu64 " refused, %" PRIu64 " failed", t->refused, t->failed);
    if (seed & 1) /* destroy puts what is left; otherwise all is put before */
        while (t->count)
            put(t);
    nvmmu_vmas_destroy(t->vmas);
    REQUIRE(digest_of(t->vmm).tables == 1, "tables left");
    nvmmu_vmm_destroy(t->vmm);
    bank_delete(t->bank);
    free(t);
}

/* Law: a window that leaves the space, wraps or meets the kernel's area is refused; 0 is all that is left. */
static void windows(void)
{
    struct bank *b = bank_new();
    struct nvmmu_vmm_config config = bank_config(b, "tu102");
    struct nvmmu_vmm *vmm;
    struct nvmmu_vmas *vmas;
    uint64_t end = 1ull << 49;

    config.kernel_addr = 1ull << 40;
    config.kernel_size = 4096;
    REQUIRE(nvmmu_vmm_create(&config, &vmm) == 0, "vmm");
    REQUIRE(nvmmu_vmas_create(vmm, end, 0, &vmas) == -EINVAL, "an empty window");
    REQUIRE(nvmmu_vmas_create(vmm, end - 4096, 8192, &vmas) == -EINVAL, "a window that leaves the space");
    REQUIRE(nvmmu_vmas_create(vmm, 4096, UINT64_MAX, &vmas) == -EINVAL, "a window that wraps");
    REQUIRE(nvmmu_vmas_create(vmm, 0, 0, &vmas) == -EINVAL, "the kernel's area");
    REQUIRE(nvmmu_vmas_create(vmm, 1ull << 41, 0, &vmas) == 0, "the rest");
    nvmmu_vmas_destroy(vmas);
    nvmmu_vmm_destroy(vmm);
    bank_delete(b);
}

int main(void)
{
    uint64_t seed = seed_choose("nvmmu_vma");

    windows();
    run("gp100", 0, seed);
    run("ga102", 0, seed + 1);
    run("tu102", BLOCK, seed + 2);
    return 0;
}
