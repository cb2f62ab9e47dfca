/*
 * The quick walk, written once: each format instantiates it with constants and small functions that the compiler
 * folds in. Reads nothing outside the space's windows.
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

/* Compile-time constants of a format. */
struct nvmmu_translator {
    const struct nvmmu_level_info *level;
    unsigned level_count, va_bits;
    struct nvmmu_reading reading;
    uint64_t page_bit, sparse_pte, sparse_mask, sparse_pde, hidden, hidden_mask;
    struct nvmmu_next (*next)(uint64_t word);
    struct nvmmu_next (*big)(const uint64_t word[2]);
    struct nvmmu_next (*small)(const uint64_t word[2]);
    unsigned (*size)(uint64_t word); /* of the leaf tables (struct nvmmu_spot); NULL: always 0 */
};

#define NVMMU_INLINE static inline __attribute__((always_inline))

/* A table of entries >> size. */
NVMMU_INLINE const uint64_t *nvmmu__next_table(const struct nvmmu_space *s, struct nvmmu_next next,
                                               const struct nvmmu_level_info *l, unsigned size)
{
    return next.present ? nvmmu__window_at(s, next.aperture, next.addr, nvmmu__table_bytes(l) >> size) : NULL;
}

/* The entry at hand covers 1 << shift bytes and decides. */
NVMMU_INLINE void nvmmu__spot_is(struct nvmmu_spot *spot, enum nvmmu_state state, enum nvmmu_fault fault,
                                unsigned shift, uint64_t word)
{
    *spot = (struct nvmmu_spot){.state = state, .fault = fault, .shift = shift, .word = word};
}

/* What PD0's entry says. A table outside every window is one that is not there. */
NVMMU_INLINE void nvmmu__locate_with(const struct nvmmu_translator *t, const struct nvmmu_space *s,
                                    const uint64_t *table, uint64_t va, struct nvmmu_spot *spot)
{
    const struct nvmmu_level_info *l = &t->level[t->level_count - 3];
    const uint64_t *entry = table + nvmmu__index(l, va) * (l->entry_bytes / 8);
    uint64_t word[2] = {nvmmu__load(entry), 0};
    struct nvmmu_next big, small;

    if (word[0] & t->page_bit) {
        nvmmu__spot_is(spot, NVMMU_MAPPED, 0, l->shift, word[0]);
        return;
    }
    if (l->entry_bytes == 16)
        word[1] = nvmmu__load(entry + 1);
    big = t->big(word);
    small = t->small(word);
    spot->size = t->size ? t->size(word[0]) : 0;
    if (spot->size && (big.present || small.present) && (va & ((1ull << l->shift) - 1)) >> (l->shift - spot->size)) {
        nvmmu__spot_is(spot, NVMMU_UNMAPPED, NVMMU_FAULT_PDE_SIZE, l->shift, word[0]);
        return;
    }
    spot->big = nvmmu__next_table(s, big, l + 1, spot->size);
    spot->small = nvmmu__next_table(s, small, l + 2, spot->size);
    spot->leaf = (spot->big || spot->small) && !spot->big == !big.present;
    if (__builtin_expect(!spot->leaf, 0))
        nvmmu__spot_is(spot, word[0] & t->sparse_pde && !big.present && !small.present ? NVMMU_SPARSE : NVMMU_UNMAPPED,
                      NVMMU_FAULT_PDE, l->shift, word[0]);
}

/* The PD0 table for va, or NULL: a directory above decides. */
NVMMU_INLINE const uint64_t *nvmmu__directory_with(const struct nvmmu_translator *t, const struct nvmmu_space *s,
                                                  uint64_t va, struct nvmmu_spot *spot)
{
    const unsigned pd0 = t->level_count - 3;
    struct nvmmu_next next = {s->root, s->root_aperture, true};
    unsigned above = t->va_bits; /* bytes that the table at hand covers */
    const uint64_t *table;
    uint64_t word = 0;

    if (__builtin_expect(va >> t->va_bits != 0, 0)) {
        nvmmu__spot_is(spot, NVMMU_UNMAPPED, NVMMU_FAULT_VA_LIMIT, t->va_bits, 0);
        return NULL;
    }
#pragma GCC unroll 8 /* so that every level is constants */
    for (unsigned i = 0; i < pd0; i++) {
        const struct nvmmu_level_info *l = &t->level[i];

        table = nvmmu__next_table(s, next, l, 0);
        if (__builtin_expect(!table, 0))
            break;
        word = nvmmu__load(table + nvmmu__index(l, va));
        above = l->shift;
        if (__builtin_expect((word & t->page_bit) != 0, 0)) {
            bool page = s->format->page_levels & 1u << l->level;

            nvmmu__spot_is(spot, page ? NVMMU_MAPPED : NVMMU_UNMAPPED, page ? 0 : NVMMU_FAULT_PDE_SIZE, above, word);
            return NULL;
        }
        next = t->next(word);
    }
    table = nvmmu__next_table(s, next, &t->level[pd0], 0);
    if (__builtin_expect(!table, 0))
        nvmmu__spot_is(spot, word & t->sparse_pde && !next.present ? NVMMU_SPARSE : NVMMU_UNMAPPED, NVMMU_FAULT_PDE,
                      above, word);
    return table;
}

/* The answer of the entry of a page of 1 << shift bytes. */
NVMMU_INLINE void nvmmu__page(const struct nvmmu_translator *t, uint64_t va, unsigned shift, uint64_t word,
                             struct nvmmu_translation *out)
{
    nvmmu__page_read(&t->reading, word, (uint64_t)1 << shift, shift, va, out);
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

NVMMU_INLINE void nvmmu__translate_spot(const struct nvmmu_translator *t, const struct nvmmu_spot *spot, uint64_t va,
                                       struct nvmmu_translation *out)
{
    if (__builtin_expect(spot->leaf, 1))
        nvmmu__translate_leaf(t, spot->big, spot->small, va, out);
    else if (spot->state == NVMMU_MAPPED)
        nvmmu__page(t, va, spot->shift, spot->word, out);
    else
        nvmmu__no_page(va, spot->state, spot->fault, spot->shift, spot->word, out);
}

NVMMU_INLINE void nvmmu__translate_with(const struct nvmmu_translator *t, const struct nvmmu_space *s, uint64_t va,
                                       struct nvmmu_translation *out)
{
    struct nvmmu_spot spot;
    const uint64_t *table = nvmmu__directory_with(t, s, va, &spot);

    if (__builtin_expect(table != NULL, 1))
        nvmmu__locate_with(t, s, table, va, &spot);
    nvmmu__translate_spot(t, &spot, va, out);
}

/* ---- the cursor ----------------------------------------------------------------------------------------- */

/* `table` alone decides about the first `covered` bytes of the aligned 1 << above bytes around va. */
NVMMU_INLINE void nvmmu__cursor_take(struct nvmmu_cursor *c, uint64_t va, unsigned above, uint64_t covered,
                                    const uint64_t *table, const struct nvmmu_level_info *l)
{
    c->first = va >> above << above;
    c->span = covered;
    c->table = (const char *)table;
    c->page = 1ull << l->shift;
    c->page_shift = l->shift;
    c->offset_shift = l->shift - (l->entry_bytes == 16 ? 4 : 3);
    c->entries = ~(l->entry_bytes - 1ull);
}

/* The cursor's place for the PD0 table of va. */
NVMMU_INLINE struct nvmmu_cursor_directory *nvmmu__cursor_directory(const struct nvmmu_translator *t,
                                                                   struct nvmmu_cursor *c, uint64_t va, bool *known)
{
    const struct nvmmu_level_info *l = &t->level[t->level_count - 3];
    uint64_t directory = va >> (l->shift + l->index_bits);
    struct nvmmu_cursor_directory *d = &c->directory[directory % NVMMU_CURSOR_DIRECTORIES];

    *known = d->va == directory;
    return d;
}

NVMMU_INLINE bool nvmmu__seek_with(const struct nvmmu_translator *t, struct nvmmu_cursor *c, uint64_t va,
                                  bool (*far)(struct nvmmu_cursor *, uint64_t))
{
    const struct nvmmu_level_info *l = &t->level[t->level_count - 3];
    unsigned covers = l->shift + l->index_bits;
    bool known;
    const struct nvmmu_cursor_directory *d = nvmmu__cursor_directory(t, c, va, &known);
    struct nvmmu_spot spot;

    if (__builtin_expect(!known, 0))
        return far(c, va);
    nvmmu__locate_with(t, &c->space, d->table, va, &spot);
    if (t->page_bit && !spot.leaf && spot.state == NVMMU_MAPPED)
        nvmmu__cursor_take(c, va, covers, 1ull << covers, d->table, l);
    else if (spot.leaf && !spot.small)
        nvmmu__cursor_take(c, va, l->shift, 1ull << l->shift >> spot.size, spot.big, l + 1);
    else if (spot.leaf && !spot.big)
        nvmmu__cursor_take(c, va, l->shift, 1ull << l->shift >> spot.size, spot.small, l + 2);
    else
        return false;
    return true;
}

/* seek() where the cursor has not been: first looks above PD0. */
NVMMU_INLINE bool nvmmu__seek_far_with(const struct nvmmu_translator *t, struct nvmmu_cursor *c, uint64_t va)
{
    const struct nvmmu_level_info *l = &t->level[t->level_count - 3];
    bool known;
    struct nvmmu_cursor_directory *d = nvmmu__cursor_directory(t, c, va, &known);
    struct nvmmu_spot spot;
    const uint64_t *table = nvmmu__directory_with(t, &c->space, va, &spot);

    if (!table)
        return false;
    *d = (struct nvmmu_cursor_directory){va >> (l->shift + l->index_bits), table};
    return c->seek(c, va);
}

NVMMU_INLINE void nvmmu__find_with(const struct nvmmu_translator *t, struct nvmmu_cursor *c, uint64_t va,
                                  struct nvmmu_translation *out)
{
    bool known;
    const struct nvmmu_cursor_directory *d = nvmmu__cursor_directory(t, c, va, &known);
    struct nvmmu_spot spot;

    if (!known) {
        nvmmu_translate(&c->space, va, out);
        return;
    }
    nvmmu__locate_with(t, &c->space, d->table, va, &spot);
    nvmmu__translate_spot(t, &spot, va, out);
}

/* ---- a format's ----------------------------------------------------------------------------------------- */

/* The functions of struct nvmmu_walks for a translator, and their initialiser. */
#define NVMMU_WALK_FUNCTIONS(name, translator) \
    static const uint64_t *directory_##name(const struct nvmmu_space *s, uint64_t va, struct nvmmu_spot *out) \
    { \
        return nvmmu__directory_with(&translator, s, va, out); \
    } \
    static void locate_##name(const struct nvmmu_space *s, const uint64_t *table, uint64_t va, \
                              struct nvmmu_spot *out) \
    { \
        nvmmu__locate_with(&translator, s, table, va, out); \
    } \
    static void translate_##name(const struct nvmmu_space *s, uint64_t va, struct nvmmu_translation *out) \
    { \
        nvmmu__translate_with(&translator, s, va, out); \
    } \
    static __attribute__((noinline)) bool seek_far_##name(struct nvmmu_cursor *c, uint64_t va) \
    { \
        return nvmmu__seek_far_with(&translator, c, va); \
    } \
    static bool seek_##name(struct nvmmu_cursor *c, uint64_t va) \
    { \
        return nvmmu__seek_with(&translator, c, va, seek_far_##name); \
    } \
    static void find_##name(struct nvmmu_cursor *c, uint64_t va, struct nvmmu_translation *out) \
    { \
        nvmmu__find_with(&translator, c, va, out); \
    }
#define NVMMU_WALKS(name, reading) {reading, directory_##name, locate_##name, translate_##name, seek_##name, find_##name}

#endif
