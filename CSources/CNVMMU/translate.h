/*
 * The quick walk, written once: each format instantiates it with constants that the compiler folds in. Reads nothing
 * outside the space's windows.
 *
 * Nearly all tables are whole and in the first window. Where a directory entry points at such a one is seen by one
 * comparison (struct nvmmu_view); on any doubt the functions named _any start again, which take tables of all windows and
 * sizes and find out what is wrong. They are no format's own: little that is slow is compiled for each.
 */
#ifndef NVMMU_TRANSLATE_H
#define NVMMU_TRANSLATE_H

#include "format_private.h"

/* Where a directory entry points. */
struct nvmmu_next {
    uint64_t addr;
    unsigned aperture; /* enum nvmmu_aperture */
    bool present;
};

/* How a directory entry points at a table: below the bits of the address some that say where that is. */
struct nvmmu_pointer {
    uint64_t tell;            /* the bits that say where */
    uint64_t where[4];        /* their value, by enum nvmmu_aperture, or NVMMU_NOWHERE; with any other there is no table */
    uint64_t none_mask, none; /* quick to see that there is none: these bits have this value. Not the only way */
    uint64_t address[4];      /* the bits of the address, by enum nvmmu_aperture */
    uint8_t low, shift;       /* the lowest of them; the address is they << shift */
};
#define NVMMU_NOWHERE (~0ull) /* tables cannot lie there */

/* Compile-time constants of a format. */
struct nvmmu_translator {
    const struct nvmmu_level_info *level;
    unsigned level_count, va_bits;
    struct nvmmu_reading reading;
    uint64_t page_bit, sparse_pte, sparse_mask, sparse_pde, hidden, hidden_mask;
    const struct nvmmu_pointer *next, *big; /* to the next directory and the SPT; to the LPT */
    uint8_t small_word, small_low;          /* PD0: the SPT's begins at this bit of this word */
    unsigned (*size)(uint64_t word);        /* of the leaf tables (struct nvmmu_spot); NULL: always 0 */
};

#define NVMMU_INLINE static inline __attribute__((always_inline))

/* ---- pointers at tables --------------------------------------------------------------------------------- */

NVMMU_INLINE struct nvmmu_next nvmmu__pointer_read(const struct nvmmu_pointer *p, uint64_t word)
{
    struct nvmmu_next next = {0};

#pragma GCC unroll 4
    for (unsigned a = NVMMU_VRAM; a <= NVMMU_NCOH; a++)
        if ((word & p->tell) == p->where[a])
            next = (struct nvmmu_next){(word & p->address[a]) << p->shift, a, true};
    return next;
}

/* What `p` points at in the first window, for tables of so many bytes. */
NVMMU_INLINE struct nvmmu_view nvmmu__view(const struct nvmmu_pointer *p, uint64_t page_bit,
                                          const struct nvmmu_space *s, uint64_t bytes)
{
    const struct nvmmu_window *w = s->windows;
    const unsigned unit = p->low + p->shift;

    if (!s->window_count || w->size < bytes || w->base & ((1ull << unit) - 1))
        return (struct nvmmu_view){.first = 1}; /* no word is */
    return (struct nvmmu_view){
        .mask = p->address[w->aperture & 3] | p->tell | page_bit,
        .first = p->where[w->aperture & 3] | w->base >> p->shift,
        .last = (w->size - bytes) >> unit,
        .cpu = (uintptr_t)w->cpu,
    };
}

/* The table in the first window that `word` points at. What tells where lies below the address: unless it is as it
 * should be, it turns up as the highest bits of the place, beyond the last. */
NVMMU_INLINE bool nvmmu__view_at(const struct nvmmu_view *v, const struct nvmmu_pointer *p, uint64_t word,
                                const uint64_t **at)
{
    uint64_t apart = (word & v->mask) - v->first;

    *at = (const uint64_t *)(v->cpu + (uintptr_t)(apart << p->shift));
    return __builtin_expect((apart >> p->low | apart << (64 - p->low)) <= v->last, 1);
}

NVMMU_INLINE bool nvmmu__points_nowhere(const struct nvmmu_pointer *p, uint64_t word)
{
    return (word & p->none_mask) == p->none;
}

/* The table of entries >> size behind `next`, or NULL. */
NVMMU_INLINE const uint64_t *nvmmu__next_table(const struct nvmmu_space *s, struct nvmmu_next next,
                                              const struct nvmmu_level_info *l, unsigned size)
{
    return next.present ? nvmmu__window_at(s, next.aperture, next.addr, nvmmu__table_bytes(l) >> size) : NULL;
}

NVMMU_INLINE struct nvmmu_view nvmmu__next_view(const struct nvmmu_translator *t, const struct nvmmu_space *s)
{
    const struct nvmmu_level_info *spt = &t->level[t->level_count - 1];
    uint64_t bytes = nvmmu__table_bytes(spt);

#pragma GCC unroll 8
    for (const struct nvmmu_level_info *l = t->level + 1; l < spt - 1; l++)
        bytes = nvmmu__table_bytes(l) > bytes ? nvmmu__table_bytes(l) : bytes;
    return nvmmu__view(t->next, t->page_bit, s, bytes);
}

NVMMU_INLINE struct nvmmu_view nvmmu__big_view(const struct nvmmu_translator *t, const struct nvmmu_space *s)
{
    return nvmmu__view(t->big, t->page_bit, s, nvmmu__table_bytes(&t->level[t->level_count - 2]));
}

/* ---- directories ---------------------------------------------------------------------------------------- */

/* The entry at hand covers 1 << shift bytes and decides. */
NVMMU_INLINE void nvmmu__spot_is(struct nvmmu_spot *spot, enum nvmmu_state state, enum nvmmu_fault fault,
                                unsigned shift, uint64_t word)
{
    *spot = (struct nvmmu_spot){.state = state, .fault = fault, .shift = shift, .word = word};
}

NVMMU_INLINE const struct nvmmu_level_info *nvmmu__pd0(const struct nvmmu_translator *t)
{
    return &t->level[t->level_count - 3];
}

NVMMU_INLINE const uint64_t *nvmmu__pd0_entry(const struct nvmmu_translator *t, const uint64_t *table, uint64_t va)
{
    const struct nvmmu_level_info *l = nvmmu__pd0(t);

    return table + nvmmu__index(l, va) * (l->entry_bytes / 8);
}

/* What PD0's entry says of the SPT. */
NVMMU_INLINE uint64_t nvmmu__small_half(const struct nvmmu_translator *t, const uint64_t *entry, uint64_t word)
{
    return (t->small_word ? nvmmu__load(entry + t->small_word) : word) >> t->small_low;
}

/* The table in the first window that PD0's word for the LPT points at, or NULL. */
NVMMU_INLINE const uint64_t *nvmmu__big_table(const struct nvmmu_translator *t, const struct nvmmu_space *s,
                                             uint64_t word)
{
    const struct nvmmu_next big = nvmmu__pointer_read(t->big, word);

    if (!big.present)
        return NULL;
    return nvmmu__window_holds(s->windows, big.aperture, big.addr, nvmmu__table_bytes(nvmmu__pd0(t) + 1));
}

/* The leaf tables that PD0's entry points at, where that is seen at once: they are whole and in the first window. `big`
 * NULL: its view is not worth to be made for one address. */
NVMMU_INLINE bool nvmmu__leaves(const struct nvmmu_translator *t, const struct nvmmu_space *s,
                               const struct nvmmu_view *next, const struct nvmmu_view *big, const uint64_t *entry,
                               uint64_t word, const uint64_t **lpt, const uint64_t **spt)
{
    uint64_t small = nvmmu__small_half(t, entry, word);

    *lpt = *spt = NULL;
    if (t->size && __builtin_expect(t->size(word) != 0, 0))
        return false;
    if (!nvmmu__points_nowhere(t->big, word)) {
        if (big ? !nvmmu__view_at(big, t->big, word, lpt) : !(*lpt = nvmmu__big_table(t, s, word)))
            return false;
        if (nvmmu__points_nowhere(t->next, small))
            return true;
    }
    return nvmmu__view_at(next, t->next, small, spt);
}

/* What PD0's entry says. A table outside every window is one that is not there. */
static __attribute__((noinline, unused)) void nvmmu__locate_any(const struct nvmmu_translator *t,
                                                               const struct nvmmu_space *s, const uint64_t *table,
                                                               uint64_t va, struct nvmmu_spot *spot)
{
    const struct nvmmu_level_info *l = nvmmu__pd0(t);
    const uint64_t *entry = nvmmu__pd0_entry(t, table, va);
    uint64_t word = nvmmu__load(entry);
    struct nvmmu_next big, small;

    if (word & t->page_bit) {
        nvmmu__spot_is(spot, NVMMU_MAPPED, 0, l->shift, word);
        return;
    }
    big = nvmmu__pointer_read(t->big, word);
    small = nvmmu__pointer_read(t->next, nvmmu__small_half(t, entry, word));
    spot->size = t->size ? t->size(word) : 0;
    if (spot->size && (big.present || small.present) && (va & ((1ull << l->shift) - 1)) >> (l->shift - spot->size)) {
        nvmmu__spot_is(spot, NVMMU_UNMAPPED, NVMMU_FAULT_PDE_SIZE, l->shift, word);
        return;
    }
    spot->big = nvmmu__next_table(s, big, l + 1, spot->size);
    spot->small = nvmmu__next_table(s, small, l + 2, spot->size);
    spot->leaf = (spot->big || spot->small) && !spot->big == !big.present;
    if (!spot->leaf)
        nvmmu__spot_is(spot, word & t->sparse_pde && !big.present && !small.present ? NVMMU_SPARSE : NVMMU_UNMAPPED,
                      NVMMU_FAULT_PDE, l->shift, word);
}

NVMMU_INLINE void nvmmu__locate_with(const struct nvmmu_translator *t, const struct nvmmu_space *s,
                                    const struct nvmmu_views *v, const uint64_t *table, uint64_t va,
                                    struct nvmmu_spot *spot)
{
    const uint64_t *entry = nvmmu__pd0_entry(t, table, va), *big, *small;
    uint64_t word = nvmmu__load(entry);

    if (!(word & t->page_bit) && nvmmu__leaves(t, s, &v->next, &v->big, entry, word, &big, &small))
        *spot = (struct nvmmu_spot){.leaf = true, .big = big, .small = small};
    else
        nvmmu__locate_any(t, s, table, va, spot);
}

/* The PD0 table for va where all directories are in the first window, or NULL. */
NVMMU_INLINE const uint64_t *nvmmu__chain(const struct nvmmu_translator *t, const struct nvmmu_space *s,
                                         const struct nvmmu_view *v, uint64_t va)
{
    const uint64_t *table;

    if (va >> t->va_bits || !s->window_count)
        return NULL;
    table = nvmmu__window_holds(s->windows, s->root_aperture, s->root, nvmmu__table_bytes(&t->level[0]));
    if (!table)
        return NULL;
#pragma GCC unroll 8 /* so that every level is constants */
    for (unsigned i = 0; i < t->level_count - 3; i++)
        if (!nvmmu__view_at(v, t->next, nvmmu__load(table + nvmmu__index(&t->level[i], va)), &table))
            return NULL;
    return table;
}

/* The PD0 table for va, or NULL: a directory above decides. */
static __attribute__((noinline, unused)) const uint64_t *nvmmu__directory_any(const struct nvmmu_translator *t,
                                                                             const struct nvmmu_space *s, uint64_t va,
                                                                             struct nvmmu_spot *spot)
{
    struct nvmmu_next next = {s->root, s->root_aperture, true};
    unsigned above = t->va_bits; /* bytes that the table at hand covers */
    const uint64_t *table;
    uint64_t word = 0;

    if (va >> t->va_bits) {
        nvmmu__spot_is(spot, NVMMU_UNMAPPED, NVMMU_FAULT_VA_LIMIT, t->va_bits, 0);
        return NULL;
    }
    for (const struct nvmmu_level_info *l = t->level; (table = nvmmu__next_table(s, next, l, 0)); l++) {
        if (l == nvmmu__pd0(t))
            return table;
        word = nvmmu__load(table + nvmmu__index(l, va));
        above = l->shift;
        if (word & t->page_bit) {
            bool page = s->format->page_levels & 1u << l->level;

            nvmmu__spot_is(spot, page ? NVMMU_MAPPED : NVMMU_UNMAPPED, page ? 0 : NVMMU_FAULT_PDE_SIZE, above, word);
            return NULL;
        }
        next = nvmmu__pointer_read(t->next, word);
    }
    nvmmu__spot_is(spot, word & t->sparse_pde && !next.present ? NVMMU_SPARSE : NVMMU_UNMAPPED, NVMMU_FAULT_PDE, above,
                  word);
    return NULL;
}

/* ---- one address ---------------------------------------------------------------------------------------- */

/* The answer of the entry of a page of 1 << shift bytes. */
NVMMU_INLINE void nvmmu__page(const struct nvmmu_translator *t, uint64_t va, unsigned shift, uint64_t word,
                             struct nvmmu_translation *out)
{
    const uint64_t offsets = (1ull << shift) - 1;

    nvmmu__page_read(&t->reading, nvmmu__leaf(&t->reading, word, offsets, va), offsets, va, out);
}

/* The answer of an entry of 1 << shift bytes that is no page. */
NVMMU_INLINE void nvmmu__no_page(uint64_t va, enum nvmmu_state state, enum nvmmu_fault fault, unsigned shift,
                                uint64_t word, struct nvmmu_translation *out)
{
    uint64_t size = (uint64_t)1 << shift;

    *out = (struct nvmmu_translation){
        .state = state, .fault = fault, .limit = size - (va & (size - 1)), .word = word, .shift = (uint8_t)shift};
}

NVMMU_INLINE void nvmmu__translate_entry(const struct nvmmu_translator *t, uint64_t va, unsigned shift, uint64_t pte,
                                         struct nvmmu_translation *out)
{
    if (__builtin_expect((pte & t->reading.valid) != 0, 1))
        nvmmu__page(t, va, shift, pte, out);
    else
        nvmmu__no_page(va, nvmmu__word_is(pte, t->sparse_mask, t->sparse_pte) ? NVMMU_SPARSE : NVMMU_UNMAPPED,
                      NVMMU_FAULT_PTE, shift, pte, out);
}

/* The leaf tables' answer. The LPT's entry decides, unless it leaves it to the SPT. */
NVMMU_INLINE void nvmmu__translate_leaf(const struct nvmmu_translator *t, const uint64_t *big, const uint64_t *small,
                                       uint64_t va, struct nvmmu_translation *out)
{
    const struct nvmmu_level_info *l = &t->level[t->level_count - 2];
    uint64_t pte;

    if (big) {
        pte = nvmmu__load(big + nvmmu__index(l, va));
        if (!small || pte & t->reading.valid || nvmmu__word_is(pte, t->sparse_mask, t->sparse_pte) ||
            nvmmu__word_is(pte, t->hidden_mask, t->hidden)) {
            nvmmu__translate_entry(t, va, l->shift, pte, out);
            return;
        }
    }
    l++;
    nvmmu__translate_entry(t, va, l->shift, nvmmu__load(small + nvmmu__index(l, va)), out);
}

/* Of tables that may lie, and end, anywhere. */
static __attribute__((noinline, unused)) void nvmmu__translate_any(const struct nvmmu_translator *t,
                                                                  const struct nvmmu_space *s, uint64_t va,
                                                                  struct nvmmu_translation *out)
{
    struct nvmmu_spot spot;
    const uint64_t *table = nvmmu__directory_any(t, s, va, &spot);

    if (table)
        nvmmu__locate_any(t, s, table, va, &spot);
    if (spot.leaf)
        nvmmu__translate_leaf(t, spot.big, spot.small, va, out);
    else if (spot.state == NVMMU_MAPPED)
        nvmmu__page(t, va, spot.shift, spot.word, out);
    else
        nvmmu__no_page(va, spot.state, spot.fault, spot.shift, spot.word, out);
}

NVMMU_INLINE void nvmmu__translate_with(const struct nvmmu_translator *t, const struct nvmmu_space *s, uint64_t va,
                                       struct nvmmu_translation *out)
{
    const struct nvmmu_view view = nvmmu__next_view(t, s);
    const uint64_t *table = nvmmu__chain(t, s, &view, va), *entry, *big, *small;
    uint64_t word;

    if (__builtin_expect(table != NULL, 1)) {
        entry = nvmmu__pd0_entry(t, table, va);
        word = nvmmu__load(entry);
        if (word & t->page_bit) {
            nvmmu__page(t, va, nvmmu__pd0(t)->shift, word, out);
            return;
        }
        if (nvmmu__leaves(t, s, &view, NULL, entry, word, &big, &small)) {
            nvmmu__translate_leaf(t, big, small, va, out);
            return;
        }
    }
    nvmmu__translate_any(t, s, va, out);
}

/* ---- the cursor ----------------------------------------------------------------------------------------- */

/* From now on `table` alone decides about the first bytes of what the PD0 entry of va covers. `word`: one of its entries,
 * of pages with these offsets. */
static __attribute__((noinline, unused)) void nvmmu__cursor_take(const struct nvmmu_translator *t,
                                                                struct nvmmu_cursor *c, uint64_t va, uint64_t bytes,
                                                                const uint64_t *table, uint64_t word, uint64_t offsets)
{
    const unsigned shift = nvmmu__pd0(t)->shift;

    c->first = va >> shift << shift;
    c->span = bytes;
    c->table = (const char *)table;
    c->offsets = offsets;
    c->entry_shift = (uint8_t)(__builtin_ctzll(offsets + 1) - 3);
    c->like = word & t->reading.valid ? word & c->tell : t->reading.valid;
    c->address = nvmmu__address_bits(&t->reading, c->like);
    c->run = nvmmu__run_offsets(&t->reading, c->like, offsets);
}

/* The entry of the page at va in a table that alone decides about so many bytes, which is taken if it was asked before:
 * so that an address here and there costs little. */
NVMMU_INLINE struct nvmmu_leaf nvmmu__leaf_in(const struct nvmmu_translator *t, struct nvmmu_cursor *c, uint64_t va,
                                             uint64_t bytes, const uint64_t *table, const uint64_t *entry,
                                             unsigned shift)
{
    const uint64_t word = nvmmu__load(entry);

    c->found = (1ull << shift) - 1;
    if ((c->last ^ va) >> nvmmu__pd0(t)->shift == 0)
        nvmmu__cursor_take(t, c, va, bytes, table, word, (1ull << shift) - 1);
    c->last = va;
    return nvmmu__leaf(&t->reading, word, (1ull << shift) - 1, va);
}

NVMMU_INLINE struct nvmmu_leaf nvmmu__leaf_of(const struct nvmmu_translator *t, struct nvmmu_cursor *c, uint64_t va,
                                             const uint64_t *big, const uint64_t *small, unsigned size)
{
    const struct nvmmu_level_info *lpt = nvmmu__pd0(t) + 1, *spt = lpt + 1;
    const uint64_t bytes = 1ull << nvmmu__pd0(t)->shift >> size;

    if (!big)
        return nvmmu__leaf_in(t, c, va, bytes, small, small + nvmmu__index(spt, va), spt->shift);
    if (!small)
        return nvmmu__leaf_in(t, c, va, bytes, big, big + nvmmu__index(lpt, va), lpt->shift);
    c->found = (1ull << lpt->shift) - 1;
    /* If it is not valid, the SPT's may be. */
    return nvmmu__leaf(&t->reading, nvmmu__load(big + nvmmu__index(lpt, va)), c->found, va);
}

static __attribute__((noinline, unused)) struct nvmmu_leaf nvmmu__seek_any(const struct nvmmu_translator *t,
                                                                          struct nvmmu_cursor *c,
                                                                          const uint64_t *table, uint64_t va)
{
    struct nvmmu_spot spot;

    nvmmu__locate_any(t, &c->space, table, va, &spot);
    return spot.leaf ? nvmmu__leaf_of(t, c, va, spot.big, spot.small, spot.size) : (struct nvmmu_leaf){0};
}

/* The entry of the page at va, whose table the cursor takes if no other has a say. */
NVMMU_INLINE struct nvmmu_leaf nvmmu__seek_with(const struct nvmmu_translator *t, struct nvmmu_cursor *c, uint64_t va)
{
    const struct nvmmu_level_info *l = nvmmu__pd0(t);
    uint64_t directory = va >> (l->shift + l->index_bits), word;
    const struct nvmmu_cursor_directory *d = &c->directory[directory % NVMMU_CURSOR_DIRECTORIES];
    const uint64_t *entry, *big, *small;

    if (__builtin_expect(d->va != directory, 0))
        return nvmmu__cursor_far(c, va);
    entry = nvmmu__pd0_entry(t, d->table, va);
    word = nvmmu__load(entry);
    if (word & t->page_bit)
        return nvmmu__leaf_in(t, c, va, 1ull << l->shift, entry, entry, l->shift);
    if (nvmmu__leaves(t, &c->space, &c->views.next, &c->views.big, entry, word, &big, &small))
        return nvmmu__leaf_of(t, c, va, big, small, 0);
    return nvmmu__seek_any(t, c, d->table, va);
}

/* ---- a format's ----------------------------------------------------------------------------------------- */

/* The functions of struct nvmmu_walks for a translator, and their initialiser. */
#define NVMMU_WALK_FUNCTIONS(name, translator) \
    static void look_##name(const struct nvmmu_space *s, struct nvmmu_views *out) \
    { \
        *out = (struct nvmmu_views){nvmmu__next_view(&translator, s), nvmmu__big_view(&translator, s)}; \
    } \
    static const uint64_t *directory_##name(const struct nvmmu_space *s, const struct nvmmu_views *v, uint64_t va, \
                                            struct nvmmu_spot *out) \
    { \
        const uint64_t *table = nvmmu__chain(&translator, s, &v->next, va); \
\
        return table ? table : nvmmu__directory_any(&translator, s, va, out); \
    } \
    static void locate_##name(const struct nvmmu_space *s, const struct nvmmu_views *v, const uint64_t *table, \
                              uint64_t va, struct nvmmu_spot *out) \
    { \
        nvmmu__locate_with(&translator, s, v, table, va, out); \
    } \
    static void translate_##name(const struct nvmmu_space *s, uint64_t va, struct nvmmu_translation *out) \
    { \
        nvmmu__translate_with(&translator, s, va, out); \
    } \
    static struct nvmmu_leaf seek_##name(struct nvmmu_cursor *c, uint64_t va) \
    { \
        return nvmmu__seek_with(&translator, c, va); \
    }
#define NVMMU_WALKS(name, reading) \
    {reading, look_##name, directory_##name, locate_##name, translate_##name, seek_##name}

#endif
