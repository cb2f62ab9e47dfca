/*
 * A range of addresses as physical extents. run_at() finds what is at an address and how far it goes on in the table at
 * hand, by comparing words; runs that continue each other are merged, without decoding where the words go on evenly.
 * A PD0 table is remembered for one call and no longer.
 */
#include "format_private.h"
#include "store.h"

static uint64_t bytes_left(uint64_t va, unsigned shift)
{
    return (1ull << shift) - (va & ((1ull << shift) - 1));
}

/* ---- runs of words -------------------------------------------------------------------------------------- */

/* How many of n entries of `words` words each continue the first with `step` between neighbours. At least 1. */
static size_t ramp_length(const uint64_t *entry, size_t n, uint64_t step, unsigned words)
{
    uint64_t word = nvmmu__load(entry);
    size_t i = 1;

    if (n < 2 || nvmmu__load(&entry[words]) != word + step)
        return 1;
    if (words == 1)
        i = nvmmu__stores_choose()->ramp_length(entry, n, word, step);
    while (words == 2 && i < n && nvmmu__load(&entry[2 * i]) == word + i * step)
        i++;
    return i ? i : 1; /* the first may have changed meanwhile */
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

/* How many pages from the one of `word` on have an address that fits: beyond, a rising word carries into a neighbour of
 * the address field. */
static uint64_t pages_left(const struct nvmmu_reading *r, uint64_t word, unsigned shift)
{
    uint64_t field = r->address[word >> r->aperture_low & 3];

    return ((field - (word & field)) * r->address_unit >> shift) + 1;
}

/* Entries that hold pages, from the one for va on, no more than n. */
static void pages_run(const struct nvmmu_format *f, const struct nvmmu_level_info *l, const uint64_t *entry, size_t n,
                      struct nvmmu_run *out)
{
    uint64_t word = nvmmu__load(entry), step = (1ull << l->shift) >> f->address_shift, fit;
    unsigned block = nvmmu__block(f, word);
    size_t count, run;

    out->state = NVMMU_MAPPED;
    out->level = (uint8_t)(l - f->level);
    out->word = word;
    if (block) { /* entries of a run are equal */
        run = bytes_left(out->va, l->shift + block) >> l->shift;
        run += !run; /* the last, partial page */
        count = same_length(entry, run < n ? run : n, ~0ull, word);
    } else {
        count = ramp_length(entry, n, step, l->entry_bytes / 8u);
        fit = pages_left(&f->walks->reading, word, l->shift);
        out->after = count < fit ? word + count * step : 0;
        count = count < fit ? count : (size_t)fit;
    }
    out->size = ((uint64_t)count << l->shift) - (out->va & ((1ull << l->shift) - 1));
}

/* Entries of a leaf table from the one for va on, no more than n. */
static void leaf_run(const struct nvmmu_format *f, const struct nvmmu_level_info *l, const uint64_t *entry, size_t n,
                     struct nvmmu_run *out)
{
    uint64_t word = nvmmu__load(entry), mask = f->valid | f->sparse_mask;

    if (word & f->valid) {
        pages_run(f, l, entry, n, out);
        return;
    }
    out->state = nvmmu__word_is(word, f->sparse_mask, f->sparse_pte) ? NVMMU_SPARSE : NVMMU_UNMAPPED;
    out->size = bytes_left(out->va, l->shift) +
                ((uint64_t)(same_length(entry + 1, n - 1, mask, word & mask)) << l->shift);
}

/* Leaf tables: the SPT's entries count where the LPT has none or says nothing. */
static void tables_run(const struct nvmmu_format *f, const struct nvmmu_spot *spot, struct nvmmu_run *out)
{
    const struct nvmmu_level_info *lpt = &f->level[f->level_count - 2], *spt = lpt + 1;
    uint64_t big = nvmmu__index(lpt, out->va), small = nvmmu__index(spt, out->va);
    size_t bigs = (nvmmu__entries(lpt) >> spot->size) - big, smalls = (nvmmu__entries(spt) >> spot->size) - small;
    uint64_t word = spot->big ? nvmmu__load(spot->big + big) : 0;
    bool hidden = !(word & f->valid) && nvmmu__word_is(word, f->hidden_mask, f->hidden);
    bool decides = word & f->valid || hidden || nvmmu__word_is(word, f->sparse_mask, f->sparse_pte);

    if (spot->big && (decides || !spot->small)) {
        uint64_t mask = f->valid | f->sparse_mask | f->hidden_mask;

        /* Entries of one kind go on, except those that defer to the SPT. */
        if (spot->small && hidden)
            bigs = same_length(spot->big + big, bigs, mask, word & mask);
        leaf_run(f, lpt, spot->big + big, bigs, out);
        return;
    }
    if (spot->big)
        smalls = bytes_left(out->va, lpt->shift) >> spt->shift;
    smalls += !smalls; /* the last, partial page */
    leaf_run(f, spt, spot->small + small, smalls, out);
}

/* ---- directories ------------------------------------------------------------------------------------------ */

/* The PD0 table last seen. */
struct memory {
    const struct nvmmu_space *space;
    const uint64_t *pd0; /* NULL: none */
    uint64_t va, size;   /* it covers [va, va + size) */
};

static const uint64_t *pd0_at(struct memory *m, uint64_t va, struct nvmmu_spot *spot)
{
    const struct nvmmu_format *f = m->space->format;

    if (m->pd0 && va - m->va < m->size)
        return m->pd0;
    m->pd0 = f->walks->directory(m->space, va, spot);
    if (m->pd0) {
        const struct nvmmu_level_info *l = &f->level[f->level_count - 3];

        m->size = 1ull << (l->shift + l->index_bits);
        m->va = va & ~(m->size - 1);
    }
    return m->pd0;
}

static void run_at(struct memory *m, struct nvmmu_run *out)
{
    const struct nvmmu_format *f = m->space->format;
    struct nvmmu_spot spot;
    const uint64_t *pd0 = pd0_at(m, out->va, &spot);

    if (pd0)
        f->walks->locate(m->space, pd0, out->va, &spot);
    if (spot.leaf) {
        tables_run(f, &spot, out);
        return;
    }
    out->state = spot.state;
    out->size = bytes_left(out->va, spot.shift);
    out->word = spot.word;
    for (unsigned i = 0; spot.state == NVMMU_MAPPED && i < f->level_count; i++) {
        const struct nvmmu_level_info *l = &f->level[i];
        uint64_t index = nvmmu__index(l, out->va);

        if (l->shift != spot.shift)
            continue;
        out->level = (uint8_t)i;
        if (pd0)
            pages_run(f, l, pd0 + index * (l->entry_bytes / 8u), nvmmu__entries(l) - index, out);
    }
}

/* ---- the iteration ---------------------------------------------------------------------------------------- */

static bool same_attributes(const struct nvmmu_pte *a, const struct nvmmu_pte *b)
{
    return a->aperture == b->aperture && a->peer == b->peer && a->kind == b->kind && a->vol == b->vol &&
           a->comp == b->comp && a->priv == b->priv && a->ro == b->ro && a->atomic_disable == b->atomic_disable &&
           a->encrypted == b->encrypted;
}

/* A run on its own. */
static void describe(const struct nvmmu_format *f, const struct nvmmu_run *run, struct nvmmu_extent *out)
{
    const struct nvmmu_level_info *l = &f->level[run->level];
    struct nvmmu_entry entry;

    *out = (struct nvmmu_extent){.state = run->state, .va = run->va, .size = run->size};
    if (run->state != NVMMU_MAPPED)
        return;
    f->decode(f, l->level, (uint64_t[2]){run->word, 0}, &entry);
    out->page = entry.page;
    out->pa = entry.page.addr + (run->va & ((1ull << (l->shift + entry.page.block)) - 1));
    out->shift = l->shift;
}

/* `next` goes on where `extent` ends, the last run of which is `last`. */
static bool continues(const struct nvmmu_format *f, const struct nvmmu_extent *extent, const struct nvmmu_run *last,
                      const struct nvmmu_run *next)
{
    const struct nvmmu_reading *r = &f->walks->reading;
    struct nvmmu_translation t;
    struct nvmmu_extent other;

    if (extent->state != next->state || extent->state != NVMMU_MAPPED)
        return extent->state == next->state;
    if (next->level == last->level && next->word == last->after)
        return true;
    if (r->valid) { /* else all has to be decoded (before Tesla) */
        nvmmu__page_read(r, next->word, 1ull << f->level[next->level].shift, 0, next->va, &t);
        if (extent->pa + extent->size != t.pa)
            return false;
    }
    describe(f, next, &other);
    return extent->pa + extent->size == other.pa && same_attributes(&extent->page, &other.page);
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
static bool fetch(struct nvmmu_extents *it, struct memory *m)
{
    it->pending = it->va < it->end;
    if (!it->pending)
        return false;
    it->next = (struct nvmmu_run){.va = it->va};
    run_at(m, &it->next);
    if (it->next.size > it->end - it->va)
        it->next.size = it->end - it->va;
    it->va += it->next.size;
    return true;
}

bool nvmmu_extents_next(struct nvmmu_extents *it, struct nvmmu_extent *out)
{
    const struct nvmmu_format *f = it->space.format;
    struct memory m = {.space = &it->space};
    struct nvmmu_run last;

    if (!it->pending && !fetch(it, &m))
        return false;
    last = it->next;
    describe(f, &last, out);
    while (fetch(it, &m) && continues(f, out, &last, &it->next)) {
        last = it->next;
        out->size += last.size;
    }
    return true;
}
