/*
 * A range of addresses as physical extents. run_at() finds what is at an address and how far it goes on in the table at
 * hand, by comparing words; runs that continue each other are merged, without decoding where the words go on evenly.
 * The PD0 table and the leaf tables last seen are remembered, and the attributes of the entry last decoded.
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
    uint64_t field = nvmmu__address_bits(r, word);

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
        count = ramp_length(entry, run < n ? run : n, 0, 1);
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

/* A table that alone decides. */
static void row_run(struct nvmmu_extents *it, struct nvmmu_run *out)
{
    const struct nvmmu_level_info *l = &it->space.format->level[it->row.level];
    uint64_t n;

    leaf_run(it->space.format, l, it->row.entry, it->row.left, out);
    n = (out->size + ((1ull << l->shift) - 1)) >> l->shift;
    it->row.entry += n;
    it->row.left -= n;
}

/* Both leaf tables: the SPT's entries count where the LPT's says nothing. */
static void tables_run(const struct nvmmu_format *f, const struct nvmmu_tables *leaf, struct nvmmu_run *out)
{
    const struct nvmmu_level_info *lpt = &f->level[f->level_count - 2], *spt = lpt + 1;
    uint64_t big = nvmmu__index(lpt, out->va), small = nvmmu__index(spt, out->va);
    size_t bigs = (nvmmu__entries(lpt) >> leaf->shrink) - big, smalls;
    uint64_t word = nvmmu__load(leaf->big + big), mask = f->valid | f->sparse_mask | f->hidden_mask;
    bool hidden = !(word & f->valid) && nvmmu__word_is(word, f->hidden_mask, f->hidden);

    if (word & f->valid || hidden || nvmmu__word_is(word, f->sparse_mask, f->sparse_pte)) {
        /* Entries of one kind go on, except those that defer to the SPT. */
        if (hidden)
            bigs = same_length(leaf->big + big, bigs, mask, word & mask);
        leaf_run(f, lpt, leaf->big + big, bigs, out);
        return;
    }
    smalls = bytes_left(out->va, lpt->shift) >> spt->shift;
    smalls += !smalls; /* the last, partial page */
    leaf_run(f, spt, leaf->small + small, smalls, out);
}

/* ---- directories ------------------------------------------------------------------------------------------ */

static const uint64_t *pd0_at(struct nvmmu_extents *it, uint64_t va, struct nvmmu_spot *spot)
{
    const struct nvmmu_format *f = it->space.format;

    if (va - it->pd0.va < it->pd0.size)
        return it->pd0.table;
    it->pd0.size = 0;
    it->pd0.table = f->walks->directory(&it->space, &it->views, va, spot);
    if (it->pd0.table) {
        const struct nvmmu_level_info *l = &f->level[f->level_count - 3];

        it->pd0.size = 1ull << (l->shift + l->index_bits);
        it->pd0.va = va & ~(it->pd0.size - 1);
    }
    return it->pd0.table;
}

/* The entry of a directory decides. */
static void entry_run(const struct nvmmu_format *f, const struct nvmmu_spot *spot, struct nvmmu_run *out)
{
    out->state = spot->state;
    out->size = bytes_left(out->va, spot->shift);
    out->word = spot->word;
    for (unsigned i = 0; spot->state == NVMMU_MAPPED && i < f->level_count; i++)
        if (f->level[i].shift == spot->shift)
            out->level = (uint8_t)i;
}

/* The tables that a PD0 entry points at. */
static void leaf_at(struct nvmmu_extents *it, const struct nvmmu_spot *spot, struct nvmmu_run *out)
{
    const struct nvmmu_format *f = it->space.format;
    const struct nvmmu_level_info *pd0 = &f->level[f->level_count - 3], *l = pd0 + (spot->big ? 1 : 2);
    uint64_t index = nvmmu__index(l, out->va);

    if (spot->big && spot->small) {
        it->leaf = (struct nvmmu_tables){out->va >> pd0->shift << pd0->shift, 1ull << pd0->shift >> spot->size,
                                         spot->big, spot->small, (uint8_t)spot->size};
        tables_run(f, &it->leaf, out);
        return;
    }
    it->row = (struct nvmmu_row){(spot->big ? spot->big : spot->small) + index,
                                 (nvmmu__entries(l) >> spot->size) - index, (uint8_t)(l - f->level)};
    row_run(it, out);
}

static void run_at(struct nvmmu_extents *it, struct nvmmu_run *out)
{
    const struct nvmmu_format *f = it->space.format;
    struct nvmmu_spot spot;
    const uint64_t *pd0 = pd0_at(it, out->va, &spot);

    if (pd0) {
        const struct nvmmu_level_info *l = &f->level[f->level_count - 3];
        uint64_t index = nvmmu__index(l, out->va);
        const uint64_t *entry = pd0 + index * (l->entry_bytes / 8u);

        if (nvmmu__load(entry) & f->page_bit) {
            pages_run(f, l, entry, nvmmu__entries(l) - index, out);
            return;
        }
        f->walks->locate(&it->space, &it->views, pd0, out->va, &spot);
        if (spot.leaf) {
            leaf_at(it, &spot, out);
            return;
        }
    }
    entry_run(f, &spot, out);
}

/* ---- the iteration ---------------------------------------------------------------------------------------- */

static bool same_attributes(const struct nvmmu_pte *a, const struct nvmmu_pte *b)
{
    return a->aperture == b->aperture && a->peer == b->peer && a->kind == b->kind && a->vol == b->vol &&
           a->comp == b->comp && a->priv == b->priv && a->ro == b->ro && a->atomic_disable == b->atomic_disable &&
           a->encrypted == b->encrypted;
}

/* The page of an entry. What only differs in its address from the entry last decoded is not decoded. */
static void page_of(struct nvmmu_extents *it, unsigned level, uint64_t word, struct nvmmu_pte *out)
{
    const struct nvmmu_format *f = it->space.format;
    const struct nvmmu_reading *r = &f->walks->reading;
    uint64_t address = nvmmu__address_bits(r, word);
    struct nvmmu_entry entry;

    if (level != it->page.level || (word ^ it->page.word) & ~address) {
        f->decode(f, f->level[level].level, (uint64_t[2]){word, 0}, &entry);
        it->page.pte = entry.page;
        it->page.word = word;
        it->page.level = (uint8_t)level;
    }
    *out = it->page.pte;
    if (word != it->page.word)
        out->addr = (word & address) * r->address_unit;
}

static uint64_t pa_of(const struct nvmmu_format *f, const struct nvmmu_run *run, const struct nvmmu_pte *page)
{
    return page->addr + (run->va & ((1ull << (f->level[run->level].shift + page->block)) - 1));
}

/* A run on its own. */
static void describe(struct nvmmu_extents *it, const struct nvmmu_run *run, struct nvmmu_extent *out)
{
    const struct nvmmu_format *f = it->space.format;

    *out = (struct nvmmu_extent){.state = run->state, .va = run->va, .size = run->size};
    if (run->state != NVMMU_MAPPED)
        return;
    page_of(it, run->level, run->word, &out->page);
    out->pa = pa_of(f, run, &out->page);
    out->shift = f->level[run->level].shift;
}

/* `entry` is of a page that lies elsewhere than that of `after`, which would go on evenly. */
static bool is_apart(const struct nvmmu_reading *r, uint64_t entry, uint64_t after)
{
    return !((entry ^ after) & (r->valid | r->system | r->block)) && entry & r->valid &&
           (entry ^ after) & nvmmu__address_bits(r, entry);
}

/* The next entry of the row is of a page on its own. */
static bool lone_page(struct nvmmu_extents *it, struct nvmmu_extent *out)
{
    const struct nvmmu_format *f = it->space.format;
    const struct nvmmu_reading *r = &f->walks->reading;
    const unsigned shift = f->level[it->row.level].shift;
    uint64_t offset = it->va & ((1ull << shift) - 1), left = it->end - it->va, word;

    if (it->row.left < 2 || !left)
        return false;
    word = nvmmu__load(it->row.entry);
    if (word & r->block || !is_apart(r, nvmmu__load(it->row.entry + 1), word + ((1ull << shift) >> f->address_shift)))
        return false;
    page_of(it, it->row.level, word, &out->page);
    out->state = NVMMU_MAPPED;
    out->va = it->va;
    out->size = (1ull << shift) - offset < left ? (1ull << shift) - offset : left;
    out->pa = (word & nvmmu__address_bits(r, word)) * r->address_unit + offset;
    out->shift = (uint8_t)shift;
    it->va += out->size;
    it->row.entry++;
    it->row.left--;
    return true;
}

/* The run at hand goes on where `extent` ends, behind a run at `level` that would be continued by `after`. */
static bool continues(struct nvmmu_extents *it, const struct nvmmu_extent *extent, unsigned level, uint64_t after)
{
    const struct nvmmu_run *next = &it->next;
    struct nvmmu_pte page;

    if (extent->state != next->state || extent->state != NVMMU_MAPPED)
        return extent->state == next->state;
    if (next->level == level && next->word == after)
        return true;
    page_of(it, next->level, next->word, &page);
    return extent->pa + extent->size == pa_of(it->space.format, next, &page) && same_attributes(&extent->page, &page);
}

void nvmmu_extents_init(struct nvmmu_extents *it, const struct nvmmu_space *s, uint64_t va, uint64_t size)
{
    uint64_t limit = 1ull << s->format->va_bits;

    *it = (struct nvmmu_extents){.space = *s, .va = va};
    s->format->walks->look(s, &it->views);
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
    it->next = (struct nvmmu_run){.va = it->va};
    if (it->row.left)
        row_run(it, &it->next);
    else if (it->va - it->leaf.va < it->leaf.size)
        tables_run(it->space.format, &it->leaf, &it->next);
    else
        run_at(it, &it->next);
    if (it->next.size > it->end - it->va)
        it->next.size = it->end - it->va;
    it->va += it->next.size;
    return true;
}

bool nvmmu_extents_next(struct nvmmu_extents *it, struct nvmmu_extent *out)
{
    if (!it->pending && lone_page(it, out))
        return true;
    if (!it->pending && !fetch(it))
        return false;
    describe(it, &it->next, out);
    for (;;) {
        unsigned level = it->next.level;
        uint64_t after = it->next.after;

        it->pending = false;
        if (after && it->row.left && is_apart(&it->space.format->walks->reading, nvmmu__load(it->row.entry), after))
            return true;
        if (!fetch(it) || !continues(it, out, level, after))
            return true;
        out->size += it->next.size;
    }
}
