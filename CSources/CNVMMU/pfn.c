/*
 * pfn maps: pages of shared virtual memory, mapped and unmapped one by one as the kernel's page tables change. Every
 * mapped page holds one reference of its own and has its bit in the table's `pfn`. Runs of pages that need the same
 * are done as one; a run that fails is reported in its words and leaves the others alone.
 */
#include <errno.h>
#include <string.h>

#include "vmm_private.h"

/* Where the entry of a page is. */
struct where {
    struct table *t; /* NULL: no table */
    uint32_t index;
};

/* Pages in a row that are in the same state and are to become the same. */
struct run {
    uint64_t va, size;
    unsigned shift, depth, h;
    enum {
        PAGES_FREE,    /* nothing references them */
        PAGES_HELD,    /* mapped by a pfn map */
        PAGES_REFUSED, /* referenced by somebody else, or their words fit no entry */
    } state;
    bool valid; /* what their words ask for */
};

static struct where where_of(struct nvmmu_vmm *vmm, const struct run *r, uint64_t va)
{
    return (struct where){nvmmu__table_at(vmm, va, r->depth),
                          (uint32_t)nvmmu__index(vmm->shape[r->depth].level[r->h], va)};
}

/* The entry of a page. -EINVAL: it does not fit. */
static int word_of(const struct nvmmu_format *f, uint64_t pfn, uint64_t *word)
{
    struct nvmmu_pte pte = {
        .addr = pfn & ~0xfffull,
        .aperture = pfn & NVMMU_PFN_VRAM ? NVMMU_VRAM : NVMMU_HOST,
        .vol = !(pfn & NVMMU_PFN_VRAM),
        .ro = !(pfn & NVMMU_PFN_WRITE),
        .atomic_disable = !(pfn & NVMMU_PFN_ATOMIC),
    };

    return pfn & 0xf0 & ~NVMMU_PFN_VRAM ? -EINVAL : f->pte_encode(f, &pte, word);
}

/* ---- runs --------------------------------------------------------------------------------------------------- */

static int run_map(struct nvmmu_vmm *vmm, const struct run *r, const uint64_t *pfn)
{
    int ret = r->state == PAGES_FREE ? nvmmu_vmm_get(vmm, r->va, r->size, r->shift) : 0;
    const struct shape *sh = &vmm->shape[r->depth];
    uint64_t word = 0;

    if (ret)
        return ret;
    for (uint64_t va = r->va; va < r->va + r->size; va += 1ull << r->shift) {
        struct where s = where_of(vmm, r, va);

        word_of(vmm->format, *pfn++, &word);
        entry_write(entry_at(sh, s.t, r->h, s.index), sh->words, word);
        vmm->pfn_count += !bits_get(pfn_of(sh, s.t, r->h), s.index);
        bits_set(pfn_of(sh, s.t, r->h), s.index, 1);
        wrote(vmm, s.t, r->h, s.index, 1);
        nvmmu__changed(vmm, s.t->depth, va, 1ull << r->shift);
    }
    return 0;
}

static void run_unmap(struct nvmmu_vmm *vmm, const struct run *r)
{
    for (uint64_t va = r->va; va < r->va + r->size; va += 1ull << r->shift) {
        struct where s = where_of(vmm, r, va);

        bits_clear(pfn_of(&vmm->shape[r->depth], s.t, r->h), s.index, 1);
        vmm->pfn_count--;
    }
    nvmmu_vmm_unmap(vmm, r->va, r->size, r->shift, false);
    nvmmu_vmm_put(vmm, r->va, r->size, r->shift);
}

/* ---- map ---------------------------------------------------------------------------------------------------- */

/* The run of one page. */
static void page_ask(struct nvmmu_vmm *vmm, struct run *r, uint64_t pfn)
{
    const struct shape *sh = &vmm->shape[r->depth];
    struct where s = where_of(vmm, r, r->va);
    uint64_t word;

    r->size = 1ull << r->shift;
    r->valid = pfn & NVMMU_PFN_VALID;
    r->state = PAGES_FREE;
    if (s.t && bits_get(pfn_of(sh, s.t, r->h), s.index))
        r->state = PAGES_HELD;
    else if (s.t && bits_get(refs_of(sh, s.t, r->h), s.index))
        r->state = PAGES_REFUSED;
    if (r->valid && (pfn & (r->size - 1) & ~0xfffull || word_of(vmm->format, pfn, &word)))
        r->state = PAGES_REFUSED;
}

/* The run that begins at r->va, with pfn[0], of at most `count` pages. Returns their number. */
static size_t run_find(struct nvmmu_vmm *vmm, struct run *r, const uint64_t *pfn, size_t count)
{
    struct run next = *r;
    size_t n;

    page_ask(vmm, r, pfn[0]);
    for (n = 1; n < count; n++) {
        next.va = r->va + r->size;
        page_ask(vmm, &next, pfn[n]);
        if (next.state != r->state || next.valid != r->valid)
            break;
        r->size += next.size;
    }
    return n;
}

/* -EINVAL, -ENOMEM: the run's pages stay as they were. */
static int run_apply(struct nvmmu_vmm *vmm, const struct run *r, const uint64_t *pfn)
{
    if (r->valid)
        return r->state == PAGES_REFUSED ? -EINVAL : run_map(vmm, r, pfn);
    if (r->state == PAGES_HELD)
        run_unmap(vmm, r);
    return 0;
}

int nvmmu_vmm_pfn_map(struct nvmmu_vmm *vmm, unsigned shift, uint64_t va, uint64_t size, uint64_t *pfn)
{
    struct run r = {.shift = shift};
    int ret = nvmmu__pages_check(vmm, va, size, shift, &r.depth, &r.h);
    size_t count, n;

    if (ret || !vmm->shape[r.depth].pfn[r.h])
        return -EINVAL;
    nvmmu_vmm_begin(vmm);
    for (r.va = va, count = size >> shift; count; r.va += r.size, pfn += n, count -= n) {
        n = run_find(vmm, &r, pfn, count);
        if (run_apply(vmm, &r, pfn))
            memset(pfn, 0, n * sizeof(*pfn));
    }
    nvmmu_vmm_end(vmm);
    return 0;
}

/* ---- clear -------------------------------------------------------------------------------------------------- */

/* The first pages in a row of a pfn map that touch [va, end), in `t` or below. */
static bool find_held(const struct nvmmu_vmm *vmm, const struct table *t, uint64_t va, uint64_t end, struct run *out)
{
    const struct shape *sh = shape_of(vmm, t);

    for (unsigned h = 0; h < sh->tables; h++) {
        unsigned shift = sh->level[h]->shift;
        uint64_t first = va > t->va ? (va - t->va) >> shift : 0;

        for (uint64_t i = first; i < sh->entries[h] && t->va + (i << shift) < end; i++) {
            if (sh->pfn[h] && t->hw[h].cpu && bits_get(pfn_of(sh, t, h), (uint32_t)i)) {
                *out = (struct run){t->va + (i << shift), 1ull << shift, shift, t->depth, h, PAGES_HELD, false};
                while (++i < sh->entries[h] && bits_get(pfn_of(sh, t, h), (uint32_t)i) && t->va + (i << shift) < end)
                    out->size += 1ull << shift;
                return true;
            }
            if (t->child && t->child[i] && find_held(vmm, t->child[i], va, end, out))
                return true;
        }
    }
    return false;
}

int nvmmu_vmm_pfn_clear(struct nvmmu_vmm *vmm, uint64_t va, uint64_t size)
{
    struct run r;
    int ret = nvmmu__range_check(vmm, va, size);

    if (ret)
        return ret;
    nvmmu_vmm_begin(vmm);
    while (find_held(vmm, vmm->root, va, va + size, &r))
        run_unmap(vmm, &r);
    nvmmu_vmm_end(vmm);
    return 0;
}
