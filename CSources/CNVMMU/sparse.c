/*
 * Sparse ranges: taken with the largest pages that fit (nvkm's greedy cut), undone by the same cut.
 *
 * Taking first makes every table and counts (which can fail and is undone), then writes. Entries that hold a page
 * stay, and so do tables below; what is empty there becomes sparse as well, so that a range may be taken while
 * mappings in it wait to be unmapped.
 */
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include "vmm_private.h"

/* ---- the cut ---------------------------------------------------------------------------------------------- */

struct block {
    uint64_t va, size;
    unsigned depth, h;
};

/* The next block of [va, end), beginning at va. -EINVAL: it would need a page size that cannot be sparse. */
static int block_at(const struct nvmmu_vmm *vmm, uint64_t va, uint64_t end, struct block *out)
{
    const struct nvmmu_page_size *page = vmm->format->page;
    unsigned count = vmm->format->page_count, largest = 0, i;
    uint64_t size = end - va, unit;

    while (largest < count && size < 1ull << page[largest].shift)
        largest++;
    for (i = largest; i < count && va & ((1ull << page[i].shift) - 1);)
        i++;
    if (i >= count || !(page[i].flags & NVMMU_PAGE_SPARSE))
        return -EINVAL;

    unit = 1ull << page[i].shift;
    out->va = va;
    out->size = size & ~(unit - 1);
    if (i != largest) {
        uint64_t larger = 1ull << page[i - 1].shift, part = -va & (larger - 1);

        if (size - part >= larger)
            out->size = part;
    }
    return nvmmu__place(vmm, page[i].shift, &out->depth, &out->h) ? 0 : -EINVAL;
}

static int cut_check(const struct nvmmu_vmm *vmm, uint64_t va, uint64_t end)
{
    struct block b;

    for (; va < end; va += b.size)
        if (block_at(vmm, va, end, &b))
            return -EINVAL;
    return 0;
}

/* ---- what is below an entry that becomes sparse, or no longer is ------------------------------------------- */

/* The empty entries [i, i + n) say what they must. Pages and pointers stay. */
static void entries_update(struct nvmmu_vmm *vmm, struct table *t, unsigned h, uint32_t i, uint32_t n)
{
    const struct shape *sh = shape_of(vmm, t);

    for (uint32_t k = i; k < i + n; k++) {
        uint64_t word = empty_word(vmm, t, h, entry_sparse(sh, t, h, k));

        if (entry_is_page(vmm, sh, t, h, k) || (t->child && t->child[k]))
            continue;
        if (!t->child && h == LPT && small_in_use(sh, t, k))
            continue;
        nvmmu__store(entry_at(sh, t, h, k), word);
    }
    wrote(vmm, t, h, i, n);
    nvmmu__changed(vmm, t->depth, t->va + ((uint64_t)i << sh->level[h]->shift), (uint64_t)n << sh->level[h]->shift);
}

static void table_set_sparse(struct nvmmu_vmm *vmm, struct table *t, bool sparse)
{
    const struct shape *sh = shape_of(vmm, t);

    t->sparse = sparse;
    for (unsigned h = 0; h < sh->tables; h++)
        if (t->hw[h].cpu)
            entries_update(vmm, t, h, 0, sh->entries[h]);
    for (uint32_t i = 0; t->child && i < sh->entries[0]; i++)
        if (t->child[i])
            table_set_sparse(vmm, t->child[i], sparse);
}

/* The sparse bits of entries [i, i + n) have changed: what lies below them follows. */
static void below_settle(struct nvmmu_vmm *vmm, struct table *t, unsigned h, uint32_t i, uint32_t n, bool sparse)
{
    const struct shape *sh = shape_of(vmm, t);

    for (uint32_t k = i; t->child && k < i + n; k++)
        if (t->child[k])
            table_set_sparse(vmm, t->child[k], sparse);
    if (t->child || h != LPT || !t->hw[SPT].cpu)
        return;
    for (uint32_t k = i; k < i + n; k++)
        if (!sparse || small_in_use(sh, t, k)) /* unused ones become sparse when they are referenced */
            entries_update(vmm, t, SPT, k << sh->group, 1u << sh->group);
}

/* ---- blocks ------------------------------------------------------------------------------------------------ */

static void chunk_drop(struct nvmmu_vmm *vmm, struct table *t, unsigned h, const struct chunk *c, bool settle)
{
    bits_clear(sparse_of(shape_of(vmm, t), t, h), c->index, c->count);
    t->refs[h] -= c->count;
    if (!settle)
        return;
    if (!t->child && h == SPT)
        nvmmu__small_dropped(vmm, t, c->index, c->count);
    below_settle(vmm, t, h, c->index, c->count, false);
    if (t->refs[h])
        entries_update(vmm, t, h, c->index, c->count);
}

static void block_drop(struct nvmmu_vmm *vmm, const struct block *b, uint64_t end, bool settle)
{
    struct span s;

    span_start(&s, vmm, b->va, end, b->depth, b->h);
    while (span_next(vmm, &s)) {
        for (uint32_t k = 0; k < s.tables; k++)
            chunk_drop(vmm, s.slot[k], b->h, &s.c, settle);
        nvmmu__tables_drop(vmm, s.slot, s.tables, b->h);
    }
}

/* Tables and counts. What fails half-way is undone. */
static int block_take(struct nvmmu_vmm *vmm, const struct block *b)
{
    struct span s;
    bool covered = false;

    span_start(&s, vmm, b->va, b->va + b->size, b->depth, b->h);
    while (span_next(vmm, &s)) {
        for (uint32_t k = 0; k < s.tables; k++) {
            struct table *t = s.slot[k];
            int ret = t && t->hw[b->h].cpu ? 0 : nvmmu__tables_make(vmm, &s, k, &covered);

            if (ret < 0) {
                block_drop(vmm, b, s.va + k * s.sh->covers, false);
                return ret;
            }
            t = s.slot[k];
            bits_set(sparse_of(s.sh, t, b->h), s.c.index, s.c.count);
            t->refs[b->h] += s.c.count;
        }
    }
    return 0;
}

static void block_settle(struct nvmmu_vmm *vmm, const struct block *b)
{
    struct span s;

    span_start(&s, vmm, b->va, b->va + b->size, b->depth, b->h);
    while (span_next(vmm, &s)) {
        for (uint32_t k = 0; k < s.tables; k++) {
            struct table *t = s.slot[k];

            nvmmu__table_show(vmm, t);
            if (!t->child && b->h == SPT)
                nvmmu__small_taken(vmm, t, s.c.index, s.c.count);
            below_settle(vmm, t, b->h, s.c.index, s.c.count, true);
            entries_update(vmm, t, b->h, s.c.index, s.c.count);
        }
    }
}

static void range_drop(struct nvmmu_vmm *vmm, uint64_t va, uint64_t reached, uint64_t end, bool settle)
{
    struct block b;

    for (; va < reached; va += b.size) {
        block_at(vmm, va, end, &b);
        block_drop(vmm, &b, b.va + b.size, settle);
    }
}

static int range_take(struct nvmmu_vmm *vmm, uint64_t start, uint64_t end)
{
    struct block b;

    for (uint64_t va = start; va < end; va += b.size) {
        int ret = block_at(vmm, va, end, &b);

        if (!ret)
            ret = block_take(vmm, &b);
        if (ret) {
            range_drop(vmm, start, va, end, false);
            return ret;
        }
    }
    for (uint64_t va = start; va < end; va += b.size) {
        block_at(vmm, va, end, &b);
        block_settle(vmm, &b);
    }
    return 0;
}

/* ---- the list of ranges ------------------------------------------------------------------------------------ */

/* Index of the first range that ends above va. */
static size_t range_find(const struct nvmmu_vmm *vmm, uint64_t va)
{
    size_t low = 0, high = vmm->sparse_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (vmm->sparse[middle].end <= va)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int ranges_reserve(struct nvmmu_vmm *vmm)
{
    size_t room = vmm->sparse_room ? 2 * vmm->sparse_room : 16;
    struct range *more;

    if (vmm->sparse_count < vmm->sparse_room)
        return 0;
    more = gpuvm_mem_alloc(&vmm->alloc, room * sizeof(*more), alignof(struct range));
    if (!more)
        return -ENOMEM;
    if (vmm->sparse_count)
        memcpy(more, vmm->sparse, vmm->sparse_count * sizeof(*more));
    gpuvm_mem_free(&vmm->alloc, vmm->sparse, vmm->sparse_room * sizeof(*more));
    vmm->sparse = more;
    vmm->sparse_room = room;
    return 0;
}

static int sparse_take(struct nvmmu_vmm *vmm, uint64_t va, uint64_t end)
{
    size_t at = range_find(vmm, va);
    int ret;

    if (at < vmm->sparse_count && vmm->sparse[at].va < end)
        return -EINVAL;
    ret = ranges_reserve(vmm);
    if (!ret)
        ret = range_take(vmm, va, end);
    if (ret)
        return ret;
    memmove(&vmm->sparse[at + 1], &vmm->sparse[at], (vmm->sparse_count - at) * sizeof(*vmm->sparse));
    vmm->sparse[at] = (struct range){va, end};
    vmm->sparse_count++;
    return 0;
}

static int sparse_drop(struct nvmmu_vmm *vmm, uint64_t va, uint64_t end)
{
    size_t at = range_find(vmm, va);

    if (at == vmm->sparse_count || vmm->sparse[at].va != va || vmm->sparse[at].end != end)
        return -EINVAL;
    range_drop(vmm, va, end, end, true);
    vmm->sparse_count--;
    memmove(&vmm->sparse[at], &vmm->sparse[at + 1], (vmm->sparse_count - at) * sizeof(*vmm->sparse));
    return 0;
}

int nvmmu_vmm_sparse(struct nvmmu_vmm *vmm, uint64_t va, uint64_t size, bool ref)
{
    int ret = nvmmu__range_check(vmm, va, size);

    if (!ret)
        ret = cut_check(vmm, va, va + size);
    if (ret)
        return ret;
    nvmmu_vmm_begin(vmm);
    ret = ref ? sparse_take(vmm, va, va + size) : sparse_drop(vmm, va, va + size);
    nvmmu_vmm_end(vmm);
    return ret;
}
