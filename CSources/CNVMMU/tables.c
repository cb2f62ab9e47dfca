/*
 * Software and hardware tables: made, filled, linked, unlinked, freed.
 *
 * Order: a hardware table is filled before its parent's entry points at it; when it goes, the parent's entry changes
 * first, the memory is retired, and freed after the flush. Room in the list of retired tables is taken when a table
 * is made, so that dropping never allocates.
 */
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include "vmm_private.h"

#define TABLE_PAGE 4096u

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
        t->shape = sh;
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

static void pages_add(struct nvmmu_vmm *vmm, struct page *page)
{
    page->prev = NULL;
    page->next = vmm->pages;
    if (page->next)
        page->next->prev = page;
    vmm->pages = page;
}

static void pages_remove(struct nvmmu_vmm *vmm, struct page *page)
{
    if (page->next)
        page->next->prev = page->prev;
    if (page->prev)
        page->prev->next = page->next;
    else
        vmm->pages = page->next;
}

static int page_new(struct nvmmu_vmm *vmm, uint32_t size)
{
    struct page *page = gpuvm_mem_alloc(&vmm->alloc, sizeof(*page), alignof(struct page));
    int ret;

    if (!page)
        return -ENOMEM;
    *page = (struct page){.size = size, .all = ~0u >> (32 - TABLE_PAGE / size)};
    page->free = page->all;
    ret = vmm->hooks.alloc_table(vmm->hooks.ctx, TABLE_PAGE, TABLE_PAGE, &page->mem);
    if (ret) {
        gpuvm_mem_free(&vmm->alloc, page, sizeof(*page));
        return ret;
    }
    pages_add(vmm, page);
    return 0;
}

/* The content is undefined, unless it is known to be blank. */
static void content_init(struct hw *hw, bool blank, uint32_t entries)
{
    hw->first = blank ? UINT32_MAX : 0;
    hw->end = blank ? 0 : entries;
}

/* The lowest free piece of a page with room. */
static int piece_alloc(struct nvmmu_vmm *vmm, uint32_t size, uint32_t entries, struct hw *out)
{
    struct page *page = vmm->pages;
    unsigned slot;

    while (page && page->size != size)
        page = page->next;
    if (!page) {
        int ret = page_new(vmm, size);

        if (ret)
            return ret;
        page = vmm->pages;
    }
    slot = (unsigned)__builtin_ctz(page->free);
    page->free &= page->free - 1;
    if (!page->free)
        pages_remove(vmm, page);
    out->cpu = (char *)page->mem.cpu + slot * size;
    out->addr = page->mem.addr + slot * size;
    out->page = page;
    out->aperture = page->mem.aperture;
    content_init(out, page->blank >> slot & 1, entries);
    return 0;
}

static void piece_free(struct nvmmu_vmm *vmm, const struct hw *hw)
{
    struct page *page = hw->page;
    uint32_t piece = 1u << ((hw->addr - page->mem.addr) >> __builtin_ctz(page->size));

    if (!page->free)
        pages_add(vmm, page);
    page->free |= piece;
    page->blank = all_blank(hw) ? page->blank | piece : page->blank & ~piece;
    if (page->free != page->all)
        return;
    pages_remove(vmm, page);
    page->mem.zeroed = false; /* the pieces' content is not looked at */
    vmm->hooks.free_table(vmm->hooks.ctx, &page->mem, TABLE_PAGE);
    gpuvm_mem_free(&vmm->alloc, page, sizeof(*page));
}

static int memory_alloc(struct nvmmu_vmm *vmm, const struct shape *sh, unsigned h, struct hw *out)
{
    struct nvmmu_table_mem mem = {0};
    int ret;

    if (sh->level[h]->table_align < TABLE_PAGE)
        return piece_alloc(vmm, sh->table_bytes[h], sh->entries[h], out);
    ret = vmm->hooks.alloc_table(vmm->hooks.ctx, sh->table_bytes[h], sh->level[h]->table_align, &mem);
    if (ret)
        return ret;
    out->cpu = mem.cpu;
    out->addr = mem.addr;
    out->page = NULL;
    out->aperture = mem.aperture;
    content_init(out, mem.zeroed && !sh->blank[h], sh->entries[h]);
    return 0;
}

static void memory_free(struct nvmmu_vmm *vmm, const struct shape *sh, unsigned h, const struct hw *hw)
{
    struct nvmmu_table_mem mem = {hw->addr, hw->cpu, hw->aperture, all_blank(hw) && !sh->blank[h]};

    if (hw->page)
        piece_free(vmm, hw);
    else
        vmm->hooks.free_table(vmm->hooks.ctx, &mem, sh->table_bytes[h]);
}

void nvmmu__retired_free(struct nvmmu_vmm *vmm)
{
    for (size_t i = 0; i < vmm->retired_count; i++)
        memory_free(vmm, vmm->retired[i].sh, vmm->retired[i].h, &vmm->retired[i].hw);
    vmm->retired_count = 0;
}

/* Room to retire one table more than there are. */
static int retired_reserve(struct nvmmu_vmm *vmm)
{
    size_t room = vmm->retired_room ? 2 * vmm->retired_room : 64;
    struct retired *more;

    if (vmm->hw_count + vmm->retired_count < vmm->retired_room)
        return 0;
    more = gpuvm_mem_alloc(&vmm->alloc, room * sizeof(*more), alignof(struct retired));
    if (!more)
        return -ENOMEM;
    if (vmm->retired_count)
        memcpy(more, vmm->retired, vmm->retired_count * sizeof(*more));
    gpuvm_mem_free(&vmm->alloc, vmm->retired, vmm->retired_room * sizeof(*more));
    vmm->retired = more;
    vmm->retired_room = room;
    return 0;
}

/* Without an LPT nothing is shadowed. */
static void hw_retire(struct nvmmu_vmm *vmm, struct table *t, unsigned h)
{
    const struct shape *sh = shape_of(vmm, t);

    vmm->retired[vmm->retired_count++] = (struct retired){t->hw[h], sh, h};
    if (!t->child && h == LPT)
        bits_clear(t->bits + sh->shadowed, 0, sh->entries[LPT]);
    t->hw[h].cpu = NULL;
    vmm->hw_count--;
}

/* ---- links ------------------------------------------------------------------------------------------------ */

/* Fills *out, unless there is no table. */
static inline const struct nvmmu_pde *pointer_to(const struct nvmmu_format *f, const struct hw *hw,
                                                 struct nvmmu_pde *out)
{
    if (!hw->cpu)
        return NULL;
    *out = (struct nvmmu_pde){
        .addr = hw->addr,
        .aperture = hw->aperture,
        .present = true,
        .vol = hw->aperture == NVMMU_HOST,
        .no_ats = hw->aperture == NVMMU_VRAM && f->traits & NVMMU_TRAIT_PCF,
    };
    return out;
}

/* The parent's entry for what `t` has. -EINVAL: an address that does not fit. */
static inline int link_words(const struct nvmmu_vmm *vmm, const struct table *t, uint64_t word[2])
{
    const struct nvmmu_format *f = vmm->format;
    enum nvmmu_level level = t->parent->shape->level[0]->level;
    struct nvmmu_pde memory[2];
    const struct nvmmu_pde *first = pointer_to(f, &t->hw[0], &memory[0]);

    if (t->child)
        return f->pde_encode(f, level, NULL, first, word);
    return f->pde_encode(f, level, first, pointer_to(f, &t->hw[SPT], &memory[1]), word);
}

/* Entries of two words: the big half first, both every time, as nouveau does. */
static inline void parent_write(struct nvmmu_vmm *vmm, const struct table *t, const uint64_t word[2])
{
    struct table *p = t->parent;
    const struct shape *sh = shape_of(vmm, p);
    uint64_t *entry = entry_at(sh, p, 0, t->index);

    nvmmu__publish(entry, word[0]);
    if (sh->words == 2)
        nvmmu__publish(entry + 1, word[1]);
    if (!p->parent)
        nvmmu__directories_write(vmm, t->index, word[0]);
    wrote_directory(vmm, p, 0, t->index, 1);
    nvmmu__changed(vmm, p->depth, t->va, entry_bytes_of_va(sh, 0));
}

void nvmmu__table_link(struct nvmmu_vmm *vmm, const struct table *t)
{
    uint64_t word[2];

    link_words(vmm, t, word);
    parent_write(vmm, t, word);
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
    const struct shape *sh = shape_of(vmm, t);
    uint64_t word[2];
    int ret = retired_reserve(vmm);

    if (!ret)
        ret = memory_alloc(vmm, sh, h, &t->hw[h]);
    if (ret)
        return ret;
    if (t->parent && link_words(vmm, t, word)) {
        memory_free(vmm, sh, h, &t->hw[h]);
        t->hw[h].cpu = NULL;
        return -EINVAL;
    }
    vmm->hw_count++;
    table_fill(vmm, t, h);
    if (t->parent) {
        t->parent->refs[0]++;
        if (!under_page(vmm, t))
            parent_write(vmm, t, word);
    }
    return 0;
}

/* The parent's entry without hw[h]: the other table, or a page that was mapped over both, or nothing. */
static void unlink_from_parent(struct nvmmu_vmm *vmm, struct table *t)
{
    const struct shape *sh = shape_of(vmm, t->parent);
    uint64_t nothing[2] = {empty_word(vmm, t->parent, 0, t->sparse), 0};

    if (under_page(vmm, t))
        nvmmu__changed(vmm, t->parent->depth, t->va, entry_bytes_of_va(sh, 0));
    else if (t->hw[0].cpu || t->hw[1].cpu)
        nvmmu__table_link(vmm, t);
    else
        parent_write(vmm, t, nothing);
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
}
