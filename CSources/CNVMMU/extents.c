/*
 * A range of addresses as physical extents. One call of run_at() finds what is at an address and how far it goes on
 * inside the tables at hand, by comparing words; runs that continue each other are merged.
 */
#include "format_private.h"

static uint64_t bytes_left(uint64_t va, unsigned shift)
{
    return (1ull << shift) - (va & ((1ull << shift) - 1));
}

/* ---- runs of words -------------------------------------------------------------------------------------- */

#define BLOCK 16

/* How many of n words continue word[0] with `step` between neighbours. At least 1. */
static size_t ramp_length(const uint64_t *word, size_t n, uint64_t step)
{
    uint64_t expected = nvmmu__load(&word[0]);
    size_t i = 0;

    for (; i + BLOCK <= n; i += BLOCK, expected += BLOCK * step) {
        uint64_t differs = 0;

        for (unsigned k = 0; k < BLOCK; k++)
            differs |= nvmmu__load(&word[i + k]) ^ (expected + k * step);
        if (differs)
            break;
    }
    while (i < n && nvmmu__load(&word[i]) == expected)
        i++, expected += step;
    return i ? i : 1;
}

/* How many of n words agree with `value` under `mask`. */
static size_t same_length(const uint64_t *word, size_t n, uint64_t mask, uint64_t value)
{
    size_t i = 0;

    while (i < n && (nvmmu__load(&word[i]) & mask) == value)
        i++;
    return i;
}

/* ---- one table -------------------------------------------------------------------------------------------- */

/* `count` pages whose words rise evenly. The run ends with the address field: beyond it a rising word carries into
 * its neighbour. */
static void page_run(const struct nvmmu_format *f, const struct nvmmu_level_info *l, uint64_t word, size_t count,
                     uint64_t va, struct nvmmu_extent *out)
{
    struct nvmmu_entry entry;
    uint64_t pages;

    f->decode(f, l->level, (uint64_t[2]){word, 0}, &entry);
    pages = ((1ull << f->address_bits[entry.page.aperture]) - entry.page.addr) >> l->shift;
    if (count > pages)
        count = pages ? pages : 1;
    out->state = NVMMU_MAPPED;
    out->page = entry.page;
    out->pa = entry.page.addr + (va & ((1ull << (l->shift + entry.page.block)) - 1));
    out->shift = l->shift;
    out->size = ((uint64_t)count << l->shift) - (va & ((1ull << l->shift) - 1));
}

/* How many of n entries from a valid one on continue it: those of its run, or those that rise with the address. */
static size_t pages_length(const struct nvmmu_format *f, const struct nvmmu_level_info *l, const uint64_t *entry,
                           size_t n, uint64_t va)
{
    uint64_t word = nvmmu__load(entry);
    unsigned block = nvmmu__block(f, word);
    size_t run = bytes_left(va, l->shift + block) >> l->shift;

    if (!block)
        return ramp_length(entry, n, (1ull << l->shift) >> f->address_shift);
    run += !run; /* the last, partial page */
    return same_length(entry, run < n ? run : n, ~0ull, word);
}

/* Entries of a leaf table from `va` on, no more than n. */
static void leaf_run(const struct nvmmu_format *f, const struct nvmmu_level_info *l, const uint64_t *entry, size_t n,
                     uint64_t va, struct nvmmu_extent *out)
{
    uint64_t word = nvmmu__load(entry), mask = f->valid | f->sparse_mask;

    if (word & f->valid) {
        page_run(f, l, word, pages_length(f, l, entry, n, va), va, out);
        return;
    }
    out->state = nvmmu__word_is(word, f->sparse_mask, f->sparse_pte) ? NVMMU_SPARSE : NVMMU_UNMAPPED;
    out->size = bytes_left(va, l->shift) +
                ((uint64_t)(same_length(entry + 1, n - 1, mask, word & mask)) << l->shift);
}

/* Leaf tables: the SPT's entries count where the LPT has none or says nothing. */
static void tables_run(const struct nvmmu_format *f, const struct nvmmu_spot *spot, uint64_t va,
                       struct nvmmu_extent *out)
{
    const struct nvmmu_level_info *lpt = &f->level[f->level_count - 2], *spt = lpt + 1;
    uint64_t big = nvmmu__index(lpt, va), small = nvmmu__index(spt, va);
    size_t bigs = (nvmmu__entries(lpt) >> spot->size) - big, smalls = (nvmmu__entries(spt) >> spot->size) - small;
    uint64_t word = spot->big ? nvmmu__load(spot->big + big) : 0;
    bool hidden = !(word & f->valid) && nvmmu__word_is(word, f->hidden_mask, f->hidden);
    bool decides = word & f->valid || hidden || nvmmu__word_is(word, f->sparse_mask, f->sparse_pte);

    if (spot->big && (decides || !spot->small)) {
        uint64_t mask = f->valid | f->sparse_mask | f->hidden_mask;

        /* Entries of one kind go on, except those that defer to the SPT. */
        if (spot->small && hidden)
            bigs = same_length(spot->big + big, bigs, mask, word & mask);
        leaf_run(f, lpt, spot->big + big, bigs, va, out);
        return;
    }
    if (spot->big)
        smalls = bytes_left(va, lpt->shift) >> spt->shift;
    smalls += !smalls; /* the last, partial page */
    leaf_run(f, spt, spot->small + small, smalls, va, out);
}

static void run_at(const struct nvmmu_space *s, uint64_t va, struct nvmmu_extent *out)
{
    const struct nvmmu_format *f = s->format;
    struct nvmmu_spot spot;

    const uint64_t *pd0 = f->walks->directory(s, va, &spot);

    if (pd0)
        f->walks->locate(s, pd0, va, &spot);
    *out = (struct nvmmu_extent){.va = va};
    if (spot.leaf) {
        tables_run(f, &spot, va, out);
        return;
    }
    out->state = spot.state;
    out->size = bytes_left(va, spot.shift);
    if (spot.state != NVMMU_MAPPED)
        return;
    for (unsigned i = 0; i < f->level_count; i++)
        if (f->level[i].shift == spot.shift)
            page_run(f, &f->level[i], spot.word, 1, va, out);
}

/* ---- the iteration ---------------------------------------------------------------------------------------- */

static bool same_attributes(const struct nvmmu_pte *a, const struct nvmmu_pte *b)
{
    return a->aperture == b->aperture && a->peer == b->peer && a->kind == b->kind && a->vol == b->vol &&
           a->comp == b->comp && a->priv == b->priv && a->ro == b->ro && a->atomic_disable == b->atomic_disable &&
           a->encrypted == b->encrypted;
}

static bool continues(const struct nvmmu_extent *a, const struct nvmmu_extent *b)
{
    if (a->state != b->state)
        return false;
    return a->state != NVMMU_MAPPED || (a->pa + a->size == b->pa && same_attributes(&a->page, &b->page));
}

void nvmmu_extents_init(struct nvmmu_extents *it, const struct nvmmu_space *s, uint64_t va, uint64_t size)
{
    uint64_t limit = 1ull << s->format->va_bits;

    *it = (struct nvmmu_extents){.space = *s, .va = va};
    if (va >= limit)
        it->end = va;
    else
        it->end = size < limit - va ? va + size : limit;
}

/* The run at it->va, cut at the end, into it->next. */
static bool fetch(struct nvmmu_extents *it)
{
    it->pending = it->va < it->end;
    if (!it->pending)
        return false;
    run_at(&it->space, it->va, &it->next);
    if (it->next.size > it->end - it->va)
        it->next.size = it->end - it->va;
    it->va += it->next.size;
    return true;
}

bool nvmmu_extents_next(struct nvmmu_extents *it, struct nvmmu_extent *out)
{
    if (!it->pending && !fetch(it))
        return false;
    *out = it->next;
    while (fetch(it) && continues(out, &it->next))
        out->size += it->next.size;
    return true;
}
