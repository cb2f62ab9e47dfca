/*
 * nvmmu_vmm_check(): every invariant of the tree (vmm_private.h), slowly.
 */
#include <errno.h>
#include <stdio.h>

#include "vmm_private.h"

struct report {
    char *why;
    size_t n;
};

static int broken(const struct report *r, const struct table *t, const char *what, uint64_t i)
{
    if (r->n)
        snprintf(r->why, r->n, "table at depth %u, va 0x%llx: %s (entry %llu)", t->depth, (unsigned long long)t->va,
                 what, (unsigned long long)i);
    return -EUCLEAN;
}

/* ---- counters --------------------------------------------------------------------------------------------- */

static uint32_t hw_tables(const struct table *t)
{
    return (t->hw[0].cpu != NULL) + (t->hw[1].cpu != NULL);
}

static uint64_t references(const struct shape *sh, const struct table *t, unsigned h)
{
    uint64_t sum = !t->parent && h == (t->child ? 0 : SPT); /* the root's own */

    for (uint32_t i = 0; i < sh->entries[h]; i++) {
        sum += bits_get(refs_of(sh, t, h), i) + bits_get(sparse_of(sh, t, h), i);
        if (t->extra)
            sum += t->extra[(h ? sh->entries[0] : 0) + i];
        if (t->child && t->child[i])
            sum += hw_tables(t->child[i]);
    }
    return sum;
}

static int check_counters(const struct nvmmu_vmm *vmm, const struct table *t, const struct report *r)
{
    const struct shape *sh = shape_of(vmm, t);

    for (unsigned h = 0; h < sh->tables; h++) {
        uint32_t held = 0;

        for (uint32_t i = 0; i < sh->entries[h]; i++)
            held += bits_get(refs_of(sh, t, h), i);
        if (held != t->held[h])
            return broken(r, t, "number of referenced entries", held);
        if (references(sh, t, h) != t->refs[h])
            return broken(r, t, "reference counter is not the sum of its references", h);
        if (!t->refs[h] != !t->hw[h].cpu)
            return broken(r, t, "hardware table without references, or none with", h);
        for (uint32_t i = 0; t->extra && i < sh->entries[h]; i++)
            if (t->extra[(h ? sh->entries[0] : 0) + i] && !bits_get(refs_of(sh, t, h), i))
                return broken(r, t, "second reference without a first", i);
        for (uint32_t i = 0; sh->pfn[h] && i < sh->entries[h]; i++)
            if (bits_get(pfn_of(sh, t, h), i) && !bits_get(refs_of(sh, t, h), i))
                return broken(r, t, "pfn map without a reference", i);
    }
    return 0;
}

/* ---- entries ---------------------------------------------------------------------------------------------- */

static bool points_at(const struct nvmmu_pde *to, const struct hw *hw)
{
    return to->addr == address_of(hw) && to->aperture == hw->page->mem.aperture;
}

static int check_pointer(const struct nvmmu_vmm *vmm, const struct table *t, uint32_t i, const struct report *r)
{
    const struct shape *sh = shape_of(vmm, t);
    const struct table *child = t->child[i];
    const uint64_t *entry = entry_at(sh, t, 0, i);
    const struct hw *next = &child->hw[child->child ? 0 : SPT];
    struct nvmmu_entry e;

    if (child->parent != t || child->index != i || child->depth != t->depth + 1 ||
        child->va != t->va + ((uint64_t)i << sh->level[0]->shift))
        return broken(r, t, "child in the wrong place", i);
    if (child->sparse != entry_sparse(sh, t, 0, i))
        return broken(r, t, "child's sparse flag differs from its entry's", i);
    if (!hw_tables(child))
        return broken(r, t, "child without hardware tables", i);
    if (entry_is_page(vmm, sh, t, 0, i))
        return 0; /* a page mapped over the tables: they show again when it goes */

    vmm->format->decode(vmm->format, sh->level[0]->level, (uint64_t[2]){entry[0], sh->words == 2 ? entry[1] : 0}, &e);
    if (e.next.present != (next->cpu != NULL) ||
        (next->cpu && !points_at(&e.next, next)))
        return broken(r, t, "entry does not point at its table", i);
    if (!child->child && (e.big.present != (child->hw[LPT].cpu != NULL) ||
                          (child->hw[LPT].cpu && !points_at(&e.big, &child->hw[LPT]))))
        return broken(r, t, "entry does not point at its big table", i);
    return 0;
}

/* An entry that nothing references holds no page and says sparse or nothing. */
static int check_unreferenced(const struct nvmmu_vmm *vmm, const struct table *t, unsigned h, uint32_t i,
                              const struct report *r)
{
    const struct shape *sh = shape_of(vmm, t);
    uint64_t word = entry_word(vmm, sh, t, h, i);
    bool sparse = entry_sparse(sh, t, h, i);

    if (!t->child && h == LPT && small_in_use(sh, t, i))
        return word && bits_get(t->bits + sh->shadowed, i) ? broken(r, t, "big entry hides small ones in use", i) : 0;
    /* What the LPT decides, the SPT need not say. */
    if (h == SPT && t->hw[LPT].cpu && *entry_at(sh, t, LPT, i >> sh->group))
        return 0;
    if (sparse && word != empty_word(vmm, t, h, true))
        return broken(r, t, "entry of a sparse range is not sparse", i);
    return 0;
}

/* All entries of a run are equal. */
static int check_block(const struct nvmmu_vmm *vmm, const struct table *t, unsigned h, uint32_t i,
                       const struct report *r)
{
    const struct shape *sh = shape_of(vmm, t);
    uint64_t word = entry_word(vmm, sh, t, h, i);
    uint32_t n = 1u << nvmmu__block(vmm->format, word), first = i & ~(n - 1);

    for (uint32_t k = first; k < first + n; k++)
        if (entry_word(vmm, sh, t, h, k) != word)
            return broken(r, t, "entry differs from others of its run", i);
    return 0;
}

static int check_entries(const struct nvmmu_vmm *vmm, const struct table *t, unsigned h, const struct report *r)
{
    const struct shape *sh = shape_of(vmm, t);
    int ret = 0;

    for (uint32_t i = 0; i < sh->entries[h] && !ret; i++) {
        if (t->child && t->child[i])
            ret = check_pointer(vmm, t, i, r);
        else if (vmm->format->block_low && entry_is_page(vmm, sh, t, h, i))
            ret = check_block(vmm, t, h, i, r);
        else if (!bits_get(refs_of(sh, t, h), i) && !entry_is_page(vmm, sh, t, h, i))
            ret = check_unreferenced(vmm, t, h, i, r);
    }
    return ret;
}

static bool in_window(const struct nvmmu_vmm *vmm, const struct hw *hw, uint64_t size)
{
    struct nvmmu_space s = nvmmu_vmm_space(vmm);

    return (const void *)nvmmu__window_at(&s, hw->page->mem.aperture, address_of(hw), size) == hw->cpu;
}

/* Entries outside [first, end) are blank, or point at tables. */
static int check_blanks(const struct nvmmu_vmm *vmm, const struct table *t, unsigned h, const struct report *r)
{
    const struct shape *sh = shape_of(vmm, t);

    if (t->hw[h].end > sh->entries[h])
        return broken(r, t, "entries that may not be blank end behind the table", t->hw[h].end);
    for (uint32_t i = 0; i < sh->entries[h]; i++) {
        const uint64_t *entry = entry_at(sh, t, h, i);

        if ((i >= t->hw[h].first && i < t->hw[h].end) || (t->child && t->child[i]))
            continue;
        if (entry[0] != sh->blank[h] || (sh->words == 2 && entry[1]))
            return broken(r, t, "entry is not blank although it is said to be", i);
    }
    return 0;
}

/* The piece that a hardware table is is in use. */
static bool in_use(const struct hw *hw)
{
    const struct page *page = hw->page;

    return page->all >> piece_of(hw) & 1 && !((page->free | page->retired) >> piece_of(hw) & 1);
}

static int check_table(const struct nvmmu_vmm *vmm, const struct table *t, const struct report *r)
{
    const struct shape *sh = shape_of(vmm, t);
    int ret = check_counters(vmm, t, r);

    for (unsigned h = 0; h < sh->tables && !ret; h++) {
        if (!t->hw[h].cpu)
            continue;
        if (!in_use(&t->hw[h]))
            return broken(r, t, "hardware table in memory that is free or retired", h);
        if (!in_window(vmm, &t->hw[h], nvmmu__table_bytes(sh->level[h])))
            return broken(r, t, "hardware table outside the windows", h);
        ret = check_entries(vmm, t, h, r);
        if (!ret && !vmm->format->gart)
            ret = check_blanks(vmm, t, h, r);
    }
    for (uint32_t i = 0; t->child && i < sh->entries[0] && !ret; i++)
        if (t->child[i])
            ret = check_table(vmm, t->child[i], r);
    return ret;
}

/* What a table that is taken from a free list must be. */
static int check_unused(const struct nvmmu_vmm *vmm, const struct report *r)
{
    for (unsigned depth = 0; depth < vmm->depths; depth++) {
        const struct shape *sh = &vmm->shape[depth];

        for (const struct table *t = vmm->unused[depth]; t; t = t->parent) {
            const char *bits = (const char *)t->bits, *end = (const char *)t + sh->bytes;

            if (t->depth != depth || hw_tables(t) || t->refs[0] || t->refs[1] || t->extra)
                return broken(r, t, "unused table has something", 0);
            while (bits < end && !*bits)
                bits++;
            if (bits < end)
                return broken(r, t, "unused table with bits or children", (uint64_t)(bits - (const char *)t->bits));
        }
    }
    return 0;
}

/* Pages with room, and what is known of the pieces that are free. */
static int check_pages(const struct nvmmu_vmm *vmm, const struct report *r)
{
    uint64_t word = vmm->shape[vmm->depths - 1].blank[LPT];

    for (const struct page *page = vmm->pages; page; page = page->next) {
        uint32_t blank = page->free & page->blank;

        if (!page->free || page->free == page->all || page->free & (~page->all | page->retired))
            return broken(r, vmm->root, "page without room, or empty, among those with room", page->mem.addr);
        for (uint32_t i = 0; i < page->bytes / sizeof(word); i++)
            if (blank >> (i * sizeof(word) >> page->shift) & 1 && ((const uint64_t *)page->mem.cpu)[i] != word)
                return broken(r, vmm->root, "free piece is not blank although it is said to be", i);
    }
    return 0;
}

/* The tables that are remembered are of the tree. */
static int check_recent(const struct nvmmu_vmm *vmm, const struct report *r)
{
    for (unsigned depth = 0; depth < vmm->depths; depth++) {
        const struct table *t = vmm->recent[depth], *there = vmm->root;

        for (unsigned d = 0; t && there && d < depth; d++)
            there = there->child[nvmmu__index(vmm->shape[d].level[0], t->va)];
        if (t && t != there)
            return broken(r, vmm->root, "remembered table is not of the tree", depth);
    }
    return 0;
}

int nvmmu_vmm_check(const struct nvmmu_vmm *vmm, char *why, size_t n)
{
    struct report r = {why, n};
    int ret = check_table(vmm, vmm->root, &r);

    if (!ret)
        ret = check_unused(vmm, &r);
    if (!ret)
        ret = check_pages(vmm, &r);
    if (!ret)
        ret = check_recent(vmm, &r);
    for (size_t i = 1; i < vmm->sparse_count && !ret; i++)
        if (vmm->sparse[i - 1].end > vmm->sparse[i].va)
            ret = broken(&r, vmm->root, "sparse ranges overlap", i);
    return ret;
}
