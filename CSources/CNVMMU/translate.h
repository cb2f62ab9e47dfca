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
    uint64_t valid, page_bit, sparse_pte, sparse_mask, sparse_pde, hidden, hidden_mask;
    uint64_t ro, priv;
    unsigned aperture_low; /* lowest bit of a PTE's aperture */
    unsigned block_low;    /* lowest bit of log2 of the pages of an entry's run; 0: no runs */
    struct nvmmu_next (*next)(uint64_t word);
    struct nvmmu_next (*big)(const uint64_t word[2]);
    struct nvmmu_next (*small)(const uint64_t word[2]);
    unsigned (*size)(uint64_t word); /* of the leaf tables (struct nvmmu_spot); NULL: always 0 */
    uint64_t (*address)(uint64_t pte, unsigned aperture);
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
NVMMU_INLINE void nvmmu__spot_at_pd0(const struct nvmmu_translator *t, const struct nvmmu_space *s,
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
    spot->word = word[0];
    spot->shift = l->shift;
    spot->leaf = (spot->big || spot->small) && !spot->big == !big.present;
    spot->fault = NVMMU_FAULT_PDE;
    spot->state = word[0] & t->sparse_pde && !big.present && !small.present ? NVMMU_SPARSE : NVMMU_UNMAPPED;
}

/* The PD0 table for va, or NULL: a directory above decides. */
NVMMU_INLINE const uint64_t *nvmmu__pd0_with(const struct nvmmu_translator *t, const struct nvmmu_space *s, uint64_t va,
                                            struct nvmmu_spot *spot)
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

NVMMU_INLINE void nvmmu__locate_with(const struct nvmmu_translator *t, const struct nvmmu_space *s, uint64_t va,
                                    struct nvmmu_spot *spot)
{
    const uint64_t *table = nvmmu__pd0_with(t, s, va, spot);

    if (__builtin_expect(table != NULL, 1))
        nvmmu__spot_at_pd0(t, s, table, va, spot);
    else
        spot->leaf = false;
}

NVMMU_INLINE void nvmmu__translation_is(const struct nvmmu_translator *t, uint64_t va, enum nvmmu_state state,
                                       enum nvmmu_fault fault, unsigned shift, uint64_t word,
                                       struct nvmmu_translation *out)
{
    uint64_t offset = va & (((uint64_t)1 << shift) - 1);
    unsigned aperture = word >> t->aperture_low & 3, block = t->block_low ? word >> t->block_low & 7 : 0;

    out->state = state;
    out->fault = fault;
    out->word = word;
    out->shift = (uint8_t)shift;
    out->limit = ((uint64_t)1 << shift) - offset;
    out->aperture = (uint8_t)aperture;
    out->pa = state == NVMMU_MAPPED ? t->address(word, aperture) + (va & (((uint64_t)1 << (shift + block)) - 1)) : 0;
    out->ro = (word & t->ro) != 0;
    out->priv = (word & t->priv) != 0;
}

NVMMU_INLINE void nvmmu__translate_entry(const struct nvmmu_translator *t, uint64_t va, unsigned shift, uint64_t pte,
                                         struct nvmmu_translation *out)
{
    nvmmu__translation_is(t, va,
                          pte & t->valid                                       ? NVMMU_MAPPED
                          : nvmmu__word_is(pte, t->sparse_mask, t->sparse_pte) ? NVMMU_SPARSE
                                                                               : NVMMU_UNMAPPED,
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
        if (!small || pte & t->valid || nvmmu__word_is(pte, t->sparse_mask, t->sparse_pte) ||
            nvmmu__word_is(pte, t->hidden_mask, t->hidden)) {
            nvmmu__translate_entry(t, va, l->shift, pte, out);
            return;
        }
    }
    l++;
    nvmmu__translate_entry(t, va, l->shift, nvmmu__load(small + nvmmu__index(l, va)), out);
}

NVMMU_INLINE void nvmmu__translate_with(const struct nvmmu_translator *t, const struct nvmmu_space *s, uint64_t va,
                                       struct nvmmu_translation *out)
{
    struct nvmmu_spot spot;

    nvmmu__locate_with(t, s, va, &spot);
    if (__builtin_expect(spot.leaf, 1))
        nvmmu__translate_leaf(t, spot.big, spot.small, va, out);
    else
        nvmmu__translation_is(t, va, spot.state, spot.fault, spot.shift, spot.word, out);
}

/* Looks above PD0 only where the cursor has not been, and at PD0 only outside the entry it is in. Short tables are
 * looked for every time. */
NVMMU_INLINE void nvmmu__cursor_with(const struct nvmmu_translator *t, struct nvmmu_cursor *c, uint64_t va,
                                    const uint64_t *(*pd0)(const struct nvmmu_space *, uint64_t, struct nvmmu_spot *),
                                    struct nvmmu_translation *out)
{
    const struct nvmmu_level_info *l = &t->level[t->level_count - 3];
    uint64_t leaf = va >> l->shift, directory = va >> (l->shift + l->index_bits);
    struct nvmmu_cursor_directory *d = &c->directory[directory % NVMMU_CURSOR_DIRECTORIES];
    struct nvmmu_spot spot;

    if (__builtin_expect(leaf == c->leaf, 1)) {
        nvmmu__translate_leaf(t, c->big, c->small, va, out);
        return;
    }
    if (__builtin_expect(d->va != directory, 0)) {
        const uint64_t *table = pd0(&c->space, va, &spot);

        if (!table) {
            nvmmu__translation_is(t, va, spot.state, spot.fault, spot.shift, spot.word, out);
            return;
        }
        *d = (struct nvmmu_cursor_directory){directory, table};
    }
    nvmmu__spot_at_pd0(t, &c->space, d->table, va, &spot);
    if (!spot.leaf) {
        nvmmu__translation_is(t, va, spot.state, spot.fault, spot.shift, spot.word, out);
        return;
    }
    c->leaf = spot.size ? ~0ull : leaf;
    c->big = spot.big;
    c->small = spot.small;
    nvmmu__translate_leaf(t, c->big, c->small, va, out);
}

#endif
