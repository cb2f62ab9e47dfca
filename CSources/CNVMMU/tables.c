/*
 * Software and hardware tables: made, filled, linked, unlinked, freed.
 *
 * Order: a hardware table is filled before its parent's entry points at it; when it goes, the parent's entry changes
 * first, the memory is retired, and freed after the flush. Dropping never allocates.
 */
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include "vmm_private.h"

bool nvmmu__place(const struct nvmmu_vmm *vmm, unsigned shift, unsigned *depth, unsigned *h)
{
    const struct nvmmu_format *f = vmm->format;

    for (unsigned i = 0; i < f->level_count; i++) {
        if (f->level[i].shift != shift)
            continue;
        *h = i == f->level_count - 1u ? SPT : 0;
        *depth = i - *h;
        return true;
    }
    return false;
}

/* ---- software tables -------------------------------------------------------------------------------------- */

static struct table *table_new(struct nvmmu_vmm *vmm, struct table *parent, uint32_t index)
{
    unsigned depth = parent ? parent->depth + 1u : 0;
    const struct shape *sh = &vmm->shape[depth];
    struct table *t = vmm->unused[depth];

    if (t) {
        vmm->unused[depth] = t->parent;
    } else {
        t = gpuvm_mem_alloc(&vmm->alloc, sh->bytes, 64);
        if (!t)
            return NULL;
        memset(t, 0, sh->bytes);
        t->depth = (uint8_t)depth;
        if (sh->tables == 1)
            t->child = (struct table **)((char *)t + sh->bytes) - sh->entries[0];
    }
    t->parent = parent;
    t->index = index;
    if (parent) {
        t->va = parent->va + ((uint64_t)index << shape_of(vmm, parent)->level[0]->shift);
        t->sparse = entry_sparse(shape_of(vmm, parent), parent, 0, index);
        parent->child[index] = t;
        parent->children++;
    }
    return t;
}

static void extra_free(struct nvmmu_vmm *vmm, struct table *t)
{
    const struct shape *sh = shape_of(vmm, t);

    gpuvm_mem_free(&vmm->alloc, t->extra, (sh->entries[0] + sh->entries[1]) * sizeof(*t->extra));
    t->extra = NULL;
}

/* To the free list: spaces fill again what they emptied. It has no reference and no hardware table, so all of its bits
 * and children are 0. */
static void table_free(struct nvmmu_vmm *vmm, struct table *t)
{
    if (t->extra)
        extra_free(vmm, t);
    if (t->parent) {
        t->parent->child[t->index] = NULL;
        t->parent->children--;
    }
    if (vmm->recent[t->depth] == t)
        vmm->recent[t->depth] = NULL;
    t->parent = vmm->unused[t->depth];
    vmm->unused[t->depth] = t;
}

/* ---- memory of hardware tables ---------------------------------------------------------------------------- */

static void rooms_add(struct nvmmu_vmm *vmm, struct page *page)
{
    page->prev = NULL;
    page->next = vmm->pages;
    if (page->next)
        page->next->prev = page;
    vmm->pages = page;
}

static void rooms_remove(struct nvmmu_vmm *vmm, struct page *page)
{
    if (page->next)
        page->next->prev = page->prev;
    if (page->prev)
        page->prev->next = page->next;
    else
        vmm->pages = page->next;
}

/* Found free or emptied, it has nothing in it. */
static void page_free(struct nvmmu_vmm *vmm, struct page *page)
{
    page->mem.zeroed = page->zeros && page->blank == page->all;
    vmm->hooks.free_table(vmm->hooks.ctx, &page->mem, page->bytes);
    page->next = vmm->unused_pages;
    vmm->unused_pages = page;
}

/* What the directory's entry says that points at a table of these at `addr`. -EINVAL: it cannot. */
static int pointer_encode(const struct nvmmu_vmm *vmm, unsigned depth, unsigned h, uint64_t addr, unsigned aperture,
                          uint64_t *out)
{
    const struct nvmmu_format *f = vmm->format;
    const struct shape *above = &vmm->shape[depth - 1];
    bool big = h == LPT && vmm->shape[depth].tables == 2;
    uint64_t word[2];
    struct nvmmu_pde to = {
        .addr = addr,
        .aperture = (uint8_t)aperture,
        .present = true,
        .vol = aperture == NVMMU_HOST,
        .no_ats = aperture == NVMMU_VRAM && f->traits & NVMMU_TRAIT_PCF,
    };
    int ret = f->pde_encode(f, above->level[0]->level, big ? &to : NULL, big ? NULL : &to, word);

    *out = word[above->words == 2 && h == SPT];
    return ret;
}

/* All pieces have pointers if the first has: it begins a page. */
static int pointers_init(const struct nvmmu_vmm *vmm, struct page *page, unsigned depth, unsigned h)
{
    const struct nvmmu_table_mem *mem = &page->mem;
    uint64_t second;
    int ret = pointer_encode(vmm, depth, h, mem->addr, mem->aperture, &page->pointer);

    if (ret || page->all == 1)
        return ret;
    ret = pointer_encode(vmm, depth, h, mem->addr + (1u << page->shift), mem->aperture, &second);
    page->step = second - page->pointer;
    return ret;
}

/* Memory for tables hw[h] of `depth`, which has room from now on. */
static int page_new(struct nvmmu_vmm *vmm, unsigned depth, unsigned h)
{
    const struct shape *sh = &vmm->shape[depth];
    uint32_t size = sh->table_bytes[h], bytes = sh->small[h] ? TABLE_PAGE : size;
    struct page *page = vmm->unused_pages;
    int ret;

    if (page)
        vmm->unused_pages = page->next;
    else
        page = gpuvm_mem_alloc(&vmm->alloc, sizeof(*page), alignof(struct page));
    if (!page)
        return -ENOMEM;
    *page = (struct page){
        .bytes = bytes,
        .shift = (uint8_t)__builtin_ctz(size),
        .zeros = !sh->blank[h],
        .all = ~0u >> (32 - bytes / size),
    };
    page->free = page->all;
    ret = vmm->hooks.alloc_table(vmm->hooks.ctx, bytes, sh->level[h]->table_align, &page->mem);
    if (ret) {
        page->next = vmm->unused_pages;
        vmm->unused_pages = page;
        return ret;
    }
    page->blank = page->mem.zeroed && page->zeros ? page->all : 0;
    if (depth && pointers_init(vmm, page, depth, h)) {
        page_free(vmm, page);
        return -EINVAL;
    }
    rooms_add(vmm, page);
    return 0;
}

/* The lowest free piece of a page with room. */
static int memory_alloc(struct nvmmu_vmm *vmm, struct table *t, unsigned h)
{
    const struct shape *sh = shape_of(vmm, t);
    struct hw *hw = &t->hw[h];
    struct page *page;
    unsigned piece;

    if (!sh->small[h] || !vmm->pages) {
        int ret = page_new(vmm, t->depth, h);

        if (ret)
            return ret;
    }
    page = vmm->pages;
    piece = (unsigned)__builtin_ctz(page->free);
    page->free &= page->free - 1;
    if (!page->free)
        rooms_remove(vmm, page);
    hw->cpu = (char *)page->mem.cpu + ((size_t)piece << page->shift);
    hw->page = page;
    if (page->blank >> piece & 1)
        hw->first = UINT32_MAX, hw->end = 0;
    else
        hw->first = 0, hw->end = sh->entries[h]; /* the content is undefined */
    return 0;
}

static void pieces_free(struct nvmmu_vmm *vmm, struct page *page, uint32_t pieces)
{
    bool room = page->free;

    page->free |= pieces;
    if (page->free == page->all) {
        if (room)
            rooms_remove(vmm, page);
        page_free(vmm, page);
    } else if (!room) {
        rooms_add(vmm, page);
    }
}

void nvmmu__retired_free(struct nvmmu_vmm *vmm)
{
    while (vmm->retired) {
        struct page *page = vmm->retired;
        uint32_t pieces = page->retired;

        vmm->retired = page->next_retired;
        page->retired = 0;
        pieces_free(vmm, page, pieces);
    }
}

/* Without an LPT nothing is shadowed. */
static void hw_retire(struct nvmmu_vmm *vmm, struct table *t, unsigned h)
{
    const struct shape *sh = shape_of(vmm, t);
    struct page *page = t->hw[h].page;
    uint32_t piece = 1u << piece_of(&t->hw[h]);

    if (!page->retired) {
        page->next_retired = vmm->retired;
        vmm->retired = page;
    }
    page->retired |= piece;
    page->blank = all_blank(&t->hw[h]) ? page->blank | piece : page->blank & ~piece;
    if (h == LPT && !t->child)
        bits_clear(t->bits + sh->shadowed, 0, sh->entries[LPT]);
    t->hw[h].cpu = NULL;
}

/* ---- links ------------------------------------------------------------------------------------------------ */

static inline uint64_t pointer_to(const struct hw *hw)
{
    return hw->cpu ? hw->page->pointer + piece_of(hw) * hw->page->step : 0;
}

/* Entries of two words: the big half first, both every time, as nouveau does. */
void nvmmu__table_link(struct nvmmu_vmm *vmm, const struct table *t)
{
    struct table *p = t->parent;
    const struct shape *sh = shape_of(vmm, p);
    uint64_t *entry = entry_at(sh, p, 0, t->index);
    uint64_t first = pointer_to(&t->hw[0]), second = pointer_to(&t->hw[1]);

    if (!t->hw[0].cpu && !t->hw[1].cpu)
        first = empty_word(vmm, p, 0, t->sparse);
    if (sh->words == 2) {
        nvmmu__publish(entry, first);
        nvmmu__publish(entry + 1, second);
    } else {
        nvmmu__publish(entry, first | second);
    }
    if (!p->parent)
        nvmmu__directories_write(vmm, t->index, *entry);
    wrote_directory(vmm, p, 0, t->index, 1);
    nvmmu__changed(vmm, p->depth, t->va, entry_bytes_of_va(sh, 0));
}

/* ---- hardware tables -------------------------------------------------------------------------------------- */

/* An LPT that comes while SPT entries below it are in use leaves those to the SPT. */
static void fill_beside_small(struct nvmmu_vmm *vmm, struct table *t)
{
    const struct shape *sh = shape_of(vmm, t);

    for (uint32_t i = 0; i < sh->entries[LPT]; i++) {
        bool shadowed = small_in_use(sh, t, i);

        nvmmu__store(entry_at(sh, t, LPT, i), shadowed ? 0 : empty_word(vmm, t, LPT, t->sparse));
        if (shadowed)
            bits_set(t->bits + sh->shadowed, i, 1);
    }
    wrote(vmm, t, LPT, 0, sh->entries[LPT]);
}

static void gart_begin(const struct nvmmu_vmm *vmm, struct table *t)
{
    const struct nvmmu_gart *gart = vmm->format->gart;

    memset(t->hw[SPT].cpu, 0, nvmmu__table_bytes(shape_of(vmm, t)->level[SPT]));
    if (gart->begin)
        gart->begin(t->hw[SPT].cpu);
    wrote(vmm, t, SPT, 0, shape_of(vmm, t)->entries[SPT]);
}

/* All entries become empty ones. */
static void table_fill(struct nvmmu_vmm *vmm, struct table *t, unsigned h)
{
    uint64_t word = empty_word(vmm, t, h, t->sparse);

    if (vmm->format->gart)
        gart_begin(vmm, t);
    else if (!t->child && h == LPT && t->refs[SPT])
        fill_beside_small(vmm, t);
    else if (word != shape_of(vmm, t)->blank[h] || !all_blank(&t->hw[h]))
        entries_fill(vmm, t, h, 0, shape_of(vmm, t)->entries[h], word);
    if (t->child) /* it goes with its last pointers in it */
        t->hw[0].first = 0, t->hw[0].end = shape_of(vmm, t)->entries[0];
}

/* Memory, content, link. A page that stands in the parent's entry stays, so that a get that fails can be undone. */
static int hw_make(struct nvmmu_vmm *vmm, struct table *t, unsigned h)
{
    int ret;

    if (vmm->format->traits & NVMMU_TRAIT_ONE_TABLE && t->hw[!h].cpu)
        return -EINVAL;
    ret = memory_alloc(vmm, t, h);
    if (ret)
        return ret;
    table_fill(vmm, t, h);
    if (t->parent) {
        t->parent->refs[0]++;
        if (!under_page(vmm, t))
            nvmmu__table_link(vmm, t);
    }
    return 0;
}

/* The parent's entry without hw[h]: the other table, or a page that was mapped over both, or nothing. */
static void unlink_from_parent(struct nvmmu_vmm *vmm, struct table *t)
{
    if (under_page(vmm, t))
        nvmmu__changed(vmm, t->parent->depth, t->va, entry_bytes_of_va(shape_of(vmm, t->parent), 0));
    else
        nvmmu__table_link(vmm, t);
}

void nvmmu__table_drop(struct nvmmu_vmm *vmm, struct table *t, unsigned h)
{
    struct table *parent = t->parent;

    hw_retire(vmm, t, h);
    if (--parent->refs[0])
        unlink_from_parent(vmm, t);
    if (!t->hw[0].cpu && !t->hw[1].cpu)
        table_free(vmm, t);
    if (!parent->refs[0])
        nvmmu__table_drop(vmm, parent, 0);
}

/* ---- finding and making ----------------------------------------------------------------------------------- */

struct table *nvmmu__table_find(struct nvmmu_vmm *vmm, uint64_t va, unsigned depth)
{
    struct table *t = vmm->root;

    while (t && t->depth < depth)
        t = t->child[nvmmu__index(shape_of(vmm, t)->level[0], va)];
    if (t)
        vmm->recent[depth] = t;
    return t;
}

void nvmmu__span_seek(struct nvmmu_vmm *vmm, struct span *s, uint64_t va)
{
    struct table *parent = s->depth ? nvmmu__table_at(vmm, va, s->depth - 1) : NULL;
    const struct nvmmu_level_info *l = s->sh->level[s->h];
    uint32_t first = (uint32_t)nvmmu__index(l, va), room = s->sh->entries[s->h] - first;
    uint64_t left = (s->end - va) >> l->shift;
    uint32_t count = left < room ? (uint32_t)left : room;

    chunk_set(&s->c, first, count, va, (uint64_t)count << l->shift);
    s->t = s->depth ? NULL : vmm->root;
    s->parent = parent;
    if (parent) {
        const struct shape *sh = shape_of(vmm, parent);
        uint32_t index = (uint32_t)nvmmu__index(sh->level[0], va);

        s->slot = &parent->child[index];
        s->slots = sh->entries[0] - 1 - index;
        s->t = *s->slot;
    }
}

/* Takes back tables that were made and got no reference, from `t` upward. */
static void prune(struct nvmmu_vmm *vmm, struct table *t)
{
    if (!t->hw[0].cpu && !t->hw[1].cpu) {
        struct table *parent = t->parent;

        table_free(vmm, t);
        t = parent;
    }
    if (!t->refs[0] && t->hw[0].cpu)
        nvmmu__table_drop(vmm, t, 0);
}

/* The child for va of `t`, with hw[h]. */
static int child_make(struct nvmmu_vmm *vmm, struct table *t, uint64_t va, unsigned h, struct table **out)
{
    uint32_t index = (uint32_t)nvmmu__index(shape_of(vmm, t)->level[0], va);
    struct table *child = t->child[index];
    int ret = 0;

    if (!child)
        child = table_new(vmm, t, index);
    if (!child) {
        prune(vmm, t);
        return -ENOMEM;
    }
    if (!child->hw[h].cpu)
        ret = hw_make(vmm, child, h);
    if (ret)
        prune(vmm, child);
    else
        *out = child;
    return ret;
}

int nvmmu__table_make(struct nvmmu_vmm *vmm, struct table *t, uint64_t va, unsigned depth, unsigned h,
                      struct table **out)
{
    int ret = 0;

    while (!ret && t->depth < depth)
        ret = child_make(vmm, t, va, t->depth + 1u == depth ? h : 0, &t);
    *out = t;
    return ret;
}

int nvmmu__root_create(struct nvmmu_vmm *vmm)
{
    unsigned h;

    vmm->root = table_new(vmm, NULL, 0);
    if (!vmm->root)
        return -ENOMEM;
    h = vmm->root->child ? 0 : SPT;
    vmm->root->refs[h] = 1;
    return hw_make(vmm, vmm->root, h);
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

static void destroy_below(struct nvmmu_vmm *vmm, struct table *t)
{
    const struct shape *sh = shape_of(vmm, t);

    for (uint32_t i = 0; t->child && i < sh->entries[0]; i++)
        if (t->child[i])
            destroy_below(vmm, t->child[i]);
    for (unsigned h = 0; h < sh->tables; h++)
        if (t->hw[h].cpu)
            hw_retire(vmm, t, h);
    table_free(vmm, t);
}

void nvmmu__tables_destroy(struct nvmmu_vmm *vmm)
{
    if (vmm->root)
        destroy_below(vmm, vmm->root);
    nvmmu__retired_free(vmm);
    for (unsigned depth = 0; depth < vmm->depths; depth++) {
        while (vmm->unused[depth]) {
            struct table *t = vmm->unused[depth];

            vmm->unused[depth] = t->parent;
            gpuvm_mem_free(&vmm->alloc, t, vmm->shape[depth].bytes);
        }
    }
    while (vmm->unused_pages) {
        struct page *page = vmm->unused_pages;

        vmm->unused_pages = page->next;
        gpuvm_mem_free(&vmm->alloc, page, sizeof(*page));
    }
}
