/*
 * References on the entries of pages: get and put, and how LPT and SPT share the addresses of a PD0 entry.
 *
 * nvkm's rules for the pair: referencing small entries takes the big entry over them away at once (it becomes 0, so
 * that the SPT is looked into), whether or not it was valid; when the last small reference below goes, the big
 * entry hides them again, or is sparse, unless a big page has been referenced since. Without a hiding pattern (Fermi),
 * and where the space keeps large pages, a valid big entry stays until it is unmapped; it then becomes 0 if there are
 * small references below.
 */
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include "vmm_private.h"

/* ---- LPT and SPT ------------------------------------------------------------------------------------------ */

static void big_entry_write(struct nvmmu_vmm *vmm, struct table *t, uint32_t i, uint64_t word)
{
    entries_fill(vmm, t, LPT, i, 1, word);
}

/* The SPT entries under a sparse LPT entry, before the SPT is looked into. */
static void small_fill_sparse(struct nvmmu_vmm *vmm, struct table *t, uint32_t big)
{
    const struct shape *sh = shape_of(vmm, t);
    uint32_t first = big << sh->group, n = 1u << sh->group;

    for (uint32_t i = first; i < first + n; i++)
        if (!entry_is_page(vmm, sh, t, SPT, i))
            nvmmu__store(entry_at(sh, t, SPT, i), vmm->format->sparse_pte);
    wrote(vmm, t, SPT, first, n);
}

void nvmmu__small_taken(struct nvmmu_vmm *vmm, struct table *t, uint32_t i, uint32_t n)
{
    const struct shape *sh = shape_of(vmm, t);
    uint64_t *shadowed = t->bits + sh->shadowed;

    if (!t->hw[LPT].cpu)
        return;
    for (uint32_t big = i >> sh->group; big <= (i + n - 1) >> sh->group; big++) {
        if (bits_get(shadowed, big))
            continue;
        bits_set(shadowed, big, 1);
        bits_clear(t->bits + sh->holds, big, 1);
        if (bits_get(sparse_of(sh, t, LPT), big))
            small_fill_sparse(vmm, t, big);
        if (vmm->format->hidden && !(vmm->keep_large && entry_is_page(vmm, sh, t, LPT, big)))
            big_entry_write(vmm, t, big, 0);
    }
}

void nvmmu__small_dropped(struct nvmmu_vmm *vmm, struct table *t, uint32_t i, uint32_t n)
{
    const struct shape *sh = shape_of(vmm, t);

    if (!t->hw[LPT].cpu)
        return;
    for (uint32_t big = i >> sh->group; big <= (i + n - 1) >> sh->group; big++) {
        bool sparse = entry_sparse(sh, t, LPT, big);

        if (small_in_use(sh, t, big))
            continue;
        bits_clear(t->bits + sh->shadowed, big, 1);
        if (!entry_is_page(vmm, sh, t, LPT, big) && (sparse || !bits_get(t->bits + sh->holds, big)))
            big_entry_write(vmm, t, big, empty_word(vmm, t, LPT, sparse));
    }
}

void nvmmu__table_show(struct nvmmu_vmm *vmm, const struct table *t)
{
    if (vmm->keep_large)
        return;
    for (; t->parent && holds_pages(vmm, t->parent); t = t->parent)
        if (under_page(vmm, t))
            nvmmu__table_link(vmm, t);
}

/* ---- counting --------------------------------------------------------------------------------------------- */

static uint32_t *extra_of(const struct shape *sh, const struct table *t, unsigned h)
{
    return t->extra + (h ? sh->entries[0] : 0);
}

/* Room to count second references. */
static int extra_make(struct nvmmu_vmm *vmm, struct table *t)
{
    const struct shape *sh = shape_of(vmm, t);
    size_t bytes = (sh->entries[0] + sh->entries[1]) * sizeof(*t->extra);

    if (t->extra)
        return 0;
    t->extra = gpuvm_mem_alloc(&vmm->alloc, bytes, alignof(uint64_t));
    if (!t->extra)
        return -ENOMEM;
    memset(t->extra, 0, bytes);
    return 0;
}

/* References on entries that have none. */
static inline void entries_first(const struct shape *sh, struct table *t, unsigned h, uint32_t i, uint32_t n)
{
    bits_set(refs_of(sh, t, h), i, n);
    t->held[h] += n;
    t->refs[h] += n;
}

static int entries_ref(struct nvmmu_vmm *vmm, const struct shape *sh, struct table *t, unsigned h, uint32_t i, uint32_t n)
{
    uint64_t *refs = refs_of(sh, t, h);
    uint32_t again = 0;

    if (t->held[h] && bits_any(refs, i, n)) {
        if (extra_make(vmm, t))
            return -ENOMEM;
        for (uint32_t k = i; k < i + n; k++)
            if (bits_get(refs, k))
                extra_of(sh, t, h)[k]++, again++;
    }
    entries_first(sh, t, h, i, n);
    t->held[h] -= again;
    return 0;
}

/* What new references mean for the entries above and beside. Cannot fail: done once all tables are there. */
static void entries_settle(struct nvmmu_vmm *vmm, struct table *t, unsigned h, uint32_t i, uint32_t n)
{
    const struct shape *sh = shape_of(vmm, t);

    nvmmu__table_show(vmm, t);
    if (t->child)
        return;
    if (h == SPT) {
        nvmmu__small_taken(vmm, t, i, n);
    } else {
        bits_clear(t->bits + sh->shadowed, i, n);
        bits_set(t->bits + sh->holds, i, n);
    }
}

/* The table may have none left. */
static inline void entries_unref(struct nvmmu_vmm *vmm, const struct shape *sh, struct table *t, unsigned h, uint32_t i,
                                 uint32_t n)
{
    uint64_t *refs = refs_of(sh, t, h);

    for (uint32_t k = i; t->extra && k < i + n; k++) {
        if (!extra_of(sh, t, h)[k])
            bits_clear(refs, k, 1), t->held[h]--;
        else
            extra_of(sh, t, h)[k]--;
    }
    if (!t->extra) {
        bits_clear(refs, i, n);
        t->held[h] -= n;
    }
    t->refs[h] -= n;
    if (h == SPT && t->hw[LPT].cpu)
        nvmmu__small_dropped(vmm, t, i, n);
    else if (h == LPT && !t->child)
        bits_clear_unless(t->bits + sh->holds, refs, i, n);
}

bool nvmmu__entries_held(const struct nvmmu_vmm *vmm, const struct shape *sh, const struct table *t, unsigned h,
                         struct chunk c)
{
    return bits_all(refs_of(sh, t, h), c.index, c.count) &&
           (!vmm->pfn_count || !sh->pfn[h] || !bits_any(pfn_of(sh, t, h), c.index, c.count));
}

bool nvmmu__rest_referenced(struct nvmmu_vmm *vmm, const struct span *s)
{
    struct span rest;

    span_start(&rest, vmm, s->va + s->size, s->end, s->depth, s->h);
    while (span_next(vmm, &rest))
        if (!step_held(vmm, &rest))
            return false;
    return true;
}

/* ---- get and put ------------------------------------------------------------------------------------------ */

/* From where the span is. */
static void span_unref(struct nvmmu_vmm *vmm, struct span *s)
{
    const struct shape *sh = s->sh;
    const unsigned h = s->h;

    do {
        const struct chunk c = s->c;
        struct table **slot = s->slot;
        uint32_t tables = s->tables;
        bool last = false;

        for (uint32_t k = 0; k < tables; k++) {
            entries_unref(vmm, sh, slot[k], h, c.index, c.count);
            last |= !slot[k]->refs[h];
        }
        if (last)
            nvmmu__tables_drop(vmm, slot, tables, h);
    } while (span_next(vmm, s));
}

/* References on the entries of this step, from its first table on; *done: of how many. A table that was just made has
 * nothing beside it to settle. */
static int step_ref(struct nvmmu_vmm *vmm, struct span *s, uint32_t *done, bool *settle)
{
    const struct shape *sh = s->sh;
    const struct chunk c = s->c;
    const unsigned h = s->h;
    const bool big = sh->tables == 2 && h == LPT;

    for (*done = 0; *done < s->tables;) {
        const struct table *there = s->slot[*done];
        int made = there && there->hw[h].cpu ? 1 : nvmmu__tables_make(vmm, s, *done, settle);
        struct table **slot = s->slot + *done;

        if (made < 0)
            return made;
        if (there) {
            *settle = true;
            if (entries_ref(vmm, sh, slot[0], h, c.index, c.count))
                return -ENOMEM;
        }
        for (uint32_t k = 0; !there && k < (uint32_t)made; k++) {
            entries_first(sh, slot[k], h, c.index, c.count);
            if (big)
                bits_set(slot[k]->bits + sh->holds, c.index, c.count);
        }
        *done += (uint32_t)made;
    }
    return 0;
}

/* Over a whole span, from its first step on; it is at its end then. *settle: something is left to settle. */
static int span_ref(struct nvmmu_vmm *vmm, struct span *s, bool *settle)
{
    const uint64_t start = s->va;
    uint32_t done;
    int ret;

    *settle = false;
    do {
        ret = step_ref(vmm, s, &done, settle);
    } while (!ret && span_next(vmm, s));
    if (ret) {
        span_start(s, vmm, start, s->va + done * s->sh->covers, s->depth, s->h);
        if (span_next(vmm, s))
            span_unref(vmm, s);
    }
    return ret;
}

/* The same span, which need not be looked up again if it has one step only. */
static void span_settle(struct nvmmu_vmm *vmm, struct span *s, uint64_t start)
{
    s->va -= s->size;
    if (s->va != start) {
        span_start(s, vmm, start, s->end, s->depth, s->h);
        span_next(vmm, s);
    }
    do {
        for (uint32_t k = 0; k < s->tables; k++)
            entries_settle(vmm, s->slot[k], s->h, s->c.index, s->c.count);
    } while (span_next(vmm, s));
}

int nvmmu_vmm_get(struct nvmmu_vmm *vmm, uint64_t va, uint64_t size, unsigned shift)
{
    struct span s;
    bool settle;
    unsigned depth, h;
    int ret = nvmmu__pages_check(vmm, va, size, shift, &depth, &h);

    if (ret)
        return ret;
    span_first(vmm, &s, va, va + size, depth, h);
    nvmmu_vmm_begin(vmm);
    ret = span_ref(vmm, &s, &settle);
    if (!ret && settle)
        span_settle(vmm, &s, va);
    nvmmu_vmm_end(vmm);
    return ret;
}

int nvmmu_vmm_put(struct nvmmu_vmm *vmm, uint64_t va, uint64_t size, unsigned shift)
{
    struct span s;
    unsigned depth, h;
    int ret = nvmmu__pages_check(vmm, va, size, shift, &depth, &h);

    if (ret)
        return ret;
    span_first(vmm, &s, va, va + size, depth, h);
    if (!nvmmu__referenced(vmm, &s))
        return -EINVAL;
    nvmmu_vmm_begin(vmm);
    span_unref(vmm, &s);
    nvmmu_vmm_end(vmm);
    return 0;
}
