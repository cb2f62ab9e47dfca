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

static struct table *table_alloc(struct nvmmu_vmm *vmm, unsigned depth)
{
    const struct shape *sh = &vmm->shape[depth];
    struct table *t = gpuvm_mem_alloc(&vmm->alloc, sh->bytes, 64);

    if (!t)
        return NULL;
    memset(t, 0, sh->bytes);
    t->depth = (uint8_t)depth;
    if (sh->tables == 1)
        t->child = (struct table **)((char *)t + sh->bytes) - sh->entries[0];
    return t;
}

/* One that nothing is in, or NULL. */
static inline struct table *table_new(struct nvmmu_vmm *vmm, unsigned depth)
{
    struct table *t = vmm->unused[depth];

    if (!t)
        return table_alloc(vmm, depth);
    vmm->unused[depth] = t->parent;
    return t;
}

static inline struct table *child_new(struct nvmmu_vmm *vmm, struct table *parent, unsigned shift, uint32_t index,
                                      bool sparse)
{
    struct table *t = table_new(vmm, parent->depth + 1u);

    if (!t)
        return NULL;
    t->parent = parent;
    t->index = index;
    t->va = parent->va + ((uint64_t)index << shift);
    t->sparse = sparse;
    parent->child[index] = t;
    parent->children++;
    return t;
}

static void extra_free(struct nvmmu_vmm *vmm, struct table *t)
{
    const struct shape *sh = shape_of(vmm, t);

    gpuvm_mem_free(&vmm->alloc, t->extra, (sh->entries[0] + sh->entries[1]) * sizeof(*t->extra));
    t->extra = NULL;
}

/* To the free list of its depth: spaces fill again what they emptied. It has no reference and no hardware table, so all of
 * its bits and children are 0. */
static inline void table_free(struct nvmmu_vmm *vmm, struct table *t)
{
    const unsigned depth = t->depth;

    if (t->extra)
        extra_free(vmm, t);
    if (vmm->recent[depth] == t)
        vmm->recent[depth] = NULL;
    t->parent = vmm->unused[depth];
    vmm->unused[depth] = t;
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

/* Bits of n pieces in a row; some, but not 32. */
static uint32_t pieces(unsigned first, unsigned n)
{
    return ((1u << n) - 1) << first;
}

static void page_unused(struct nvmmu_vmm *vmm, struct page *page)
{
    struct page **list = &vmm->unused_pages[page->depth][page->h];

    page->next = *list;
    *list = page;
}

/* Found free or emptied, it has nothing in it. */
static void page_free(struct nvmmu_vmm *vmm, struct page *page)
{
    page->mem.zeroed = page->zeros && page->blank == page->all;
    vmm->hooks.free_table(vmm->hooks.ctx, &page->mem, page->bytes);
    page_unused(vmm, page);
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
static int pointers_init(const struct nvmmu_vmm *vmm, struct page *page)
{
    const struct nvmmu_table_mem *mem = &page->mem;
    uint64_t second;
    int ret = pointer_encode(vmm, page->depth, page->h, mem->addr, mem->aperture, &page->pointer);

    if (ret || page->all == 1)
        return ret;
    ret = pointer_encode(vmm, page->depth, page->h, mem->addr + (1u << page->shift), mem->aperture, &second);
    page->step = second - page->pointer;
    return ret;
}

/* For tables hw[h] of `depth`, without memory. */
static struct page *page_alloc(struct nvmmu_vmm *vmm, unsigned depth, unsigned h)
{
    const struct shape *sh = &vmm->shape[depth];
    const uint32_t size = sh->table_bytes[h];
    struct page *page = gpuvm_mem_alloc(&vmm->alloc, sizeof(*page), alignof(struct page));

    if (!page)
        return NULL;
    *page = (struct page){
        .bytes = sh->small[h] ? TABLE_PAGE : size,
        .depth = (uint8_t)depth,
        .h = (uint8_t)h,
        .shift = (uint8_t)__builtin_ctz(size),
        .zeros = !sh->blank[h],
        .all = sh->small[h] ? pieces(0, TABLE_PAGE >> __builtin_ctz(size)) : 1,
    };
    return page;
}

/* The same with memory. Where that lies where it did before, the pointers still hold; a page whose mem is 0 has none. */
static int page_new(struct nvmmu_vmm *vmm, unsigned depth, unsigned h, struct page **out)
{
    const uint32_t align = vmm->shape[depth].level[h]->table_align;
    struct page **unused = &vmm->unused_pages[depth][h], *page = *unused;
    struct nvmmu_table_mem before;
    int ret;

    if (page)
        *unused = page->next;
    else
        page = page_alloc(vmm, depth, h);
    if (!page)
        return -ENOMEM;
    before = page->mem;
    page->mem = (struct nvmmu_table_mem){0};
    ret = vmm->hooks.alloc_table(vmm->hooks.ctx, page->bytes, align, &page->mem);
    if (ret) {
        page->mem = (struct nvmmu_table_mem){0};
        page_unused(vmm, page);
        return ret;
    }
    page->free = page->all;
    page->blank = page->mem.zeroed && page->zeros ? page->all : 0;
    if (depth && (!before.cpu || page->mem.addr != before.addr || page->mem.aperture != before.aperture) &&
        pointers_init(vmm, page)) {
        page_free(vmm, page);
        page->mem = (struct nvmmu_table_mem){0};
        return -EINVAL;
    }
    *out = page;
    return 0;
}

/* Free pieces in a row, from the lowest of a page with room on: one at least, `most` at most. Returns how many. */
static int pieces_take(struct nvmmu_vmm *vmm, unsigned depth, unsigned h, uint32_t most, struct page **out,
                       unsigned *first)
{
    const bool small = vmm->shape[depth].small[h];
    struct page *page = small ? vmm->pages : NULL;
    unsigned row;

    if (!page) {
        int ret = page_new(vmm, depth, h, &page);

        if (ret)
            return ret;
        if (small)
            rooms_add(vmm, page);
    }
    *out = page;
    *first = (unsigned)__builtin_ctz(page->free);
    row = (unsigned)__builtin_ctz(~(page->free >> *first));
    row = row < most ? row : most;
    page->free &= ~pieces(*first, row);
    if (small && !page->free)
        rooms_remove(vmm, page);
    return (int)row;
}

/* A piece that was taken and filled as hw[h]. */
static inline struct hw hw_of(const struct shape *sh, unsigned h, struct page *page, unsigned piece, uint64_t word)
{
    bool blank = word == sh->blank[h];

    return (struct hw){
        .cpu = (char *)page->mem.cpu + ((size_t)piece << page->shift),
        .page = page,
        .first = blank ? UINT32_MAX : 0,
        .end = blank ? 0 : sh->entries[h],
    };
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
    for (struct page *page = vmm->retired, *next; page; page = next) {
        uint32_t pieces = page->retired;

        next = page->next_retired;
        page->retired = 0;
        pieces_free(vmm, page, pieces);
    }
    vmm->retired = NULL;
    vmm->retired_end = &vmm->retired;
}

/* Unless a leaf has both tables nothing is shadowed. */
static inline void hw_retire(struct nvmmu_vmm *vmm, const struct shape *sh, struct table *t, unsigned h)
{
    struct page *page = t->hw[h].page;
    uint32_t piece = 1u << piece_of(&t->hw[h]);

    if (!page->retired) {
        page->next_retired = NULL;
        *vmm->retired_end = page;
        vmm->retired_end = &page->next_retired;
    }
    page->retired |= piece;
    page->blank = all_blank(&t->hw[h]) ? page->blank | piece : page->blank & ~piece;
    if (t->hw[!h].cpu)
        bits_clear(t->bits + sh->shadowed, 0, sh->entries[LPT]);
    t->hw[h].cpu = NULL;
}

/* ---- links ------------------------------------------------------------------------------------------------ */

/* 0: there is no such table. */
static inline uint64_t pointer_to(const struct hw *hw)
{
    return hw->cpu ? hw->page->pointer + piece_of(hw) * hw->page->step : 0;
}

/* The entry of `p` over `t` says what that has, its hw[h] being where `pointer` says (0: nowhere). Entries of two words: the
 * big half first, both every time, as nouveau does. */
__attribute__((always_inline)) static inline void entry_link(struct nvmmu_vmm *vmm, const struct shape *above,
                                                             struct table *p, uint64_t *entry, const struct table *t,
                                                             unsigned h, uint64_t pointer)
{
    const uint64_t other = pointer_to(&t->hw[!h]);
    uint64_t first = h == 0 ? pointer : other, second = h == 0 ? other : pointer;

    if (!(pointer | other)) {
        first = shape_empty_word(vmm->format, above, 0, t->sparse);
        if (first != above->blank[0])
            not_blank(&p->hw[0], t->index, 1);
    }
    if (above->words == 2) {
        nvmmu__publish(entry, first);
        nvmmu__publish(entry + 1, second);
    } else {
        nvmmu__publish(entry, first | second);
    }
    if (!p->parent)
        nvmmu__directories_write(vmm, t->index, *entry);
    wrote_directory(vmm, p, 0, t->index, 1);
}

/* n entries of `p` have changed. */
static void entries_changed(struct nvmmu_vmm *vmm, const struct table *p, uint32_t index, uint32_t n)
{
    unsigned shift = shape_of(vmm, p)->level[0]->shift;

    nvmmu__changed(vmm, p->depth, p->va + ((uint64_t)index << shift), (uint64_t)n << shift);
}

void nvmmu__table_link(struct nvmmu_vmm *vmm, const struct table *t)
{
    const struct shape *sh = shape_of(vmm, t->parent);

    entry_link(vmm, sh, t->parent, entry_at(sh, t->parent, 0, t->index), t, 0, pointer_to(&t->hw[0]));
    entries_changed(vmm, t->parent, t->index, 1);
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

/* Pieces that were taken say `word` all over. false: they did before. */
static bool pieces_fill(struct nvmmu_vmm *vmm, const struct shape *sh, unsigned h, struct page *page, unsigned first,
                        unsigned n, uint64_t word)
{
    uint64_t *at = (uint64_t *)((char *)page->mem.cpu + ((size_t)first << page->shift));
    uint32_t which = pieces(first, n);
    bool blank = word == sh->blank[h];

    if (blank && (page->blank & which) == which)
        return false;
    words_fill(vmm, sh, &at, 1, (size_t)n * sh->entries[h], word);
    page->blank = blank ? page->blank | which : page->blank & ~which;
    return true;
}

/* A page that was mapped over them stays. */
void nvmmu__tables_drop(struct nvmmu_vmm *vmm, struct table **slot, uint32_t n, unsigned h)
{
    struct table *p = slot[0]->parent;
    const struct shape *above, *sh;
    const uint64_t page_bit = vmm->format->page_bit;
    uint32_t index, first = n, end = 0, dropped = 0, freed = 0;
    uint64_t *entry;

    if (!p)
        return; /* the root stays */
    above = shape_of(vmm, p);
    sh = above + 1;
    index = (uint32_t)(slot - p->child);
    entry = entry_at(above, p, 0, index);
    for (uint32_t k = 0; k < n; k++, entry += above->words) {
        struct table *t = slot[k];

        if (t->refs[h])
            continue;
        first = end ? first : k;
        end = k + 1;
        dropped++;
        hw_retire(vmm, sh, t, h);
        if (!(*entry & page_bit))
            entry_link(vmm, above, p, entry, t, h, 0);
        if (t->hw[!h].cpu)
            continue;
        slot[k] = NULL;
        freed++;
        table_free(vmm, t);
    }
    if (!end)
        return;
    p->refs[0] -= dropped;
    p->children -= (uint16_t)freed;
    entries_changed(vmm, p, index + first, end - first);
    if (!p->refs[0])
        nvmmu__tables_drop(vmm, &p->parent->child[p->index], 1, 0);
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

void nvmmu__span_seek(struct nvmmu_vmm *vmm, struct span *s)
{
    const struct shape *sh = s->sh;
    const struct nvmmu_level_info *l = sh->level[s->h];
    const uint64_t left = (s->end - s->va) >> l->shift;
    const uint32_t all = sh->entries[s->h], index = (uint32_t)nvmmu__index(l, s->va), room = all - index;
    struct table *parent = NULL, **slot = &vmm->root;
    uint32_t count = left < room ? (uint32_t)left : room, tables = 1;

    if (s->depth) {
        parent = vmm->recent[s->depth - 1];
        if (!parent || s->va - parent->va >= (sh - 1)->covers)
            parent = nvmmu__table_find(vmm, s->va, s->depth - 1);
        slot = &s->none;
        s->none = NULL;
    }
    if (parent) {
        const struct nvmmu_level_info *above = (sh - 1)->level[0];
        uint32_t at = (uint32_t)nvmmu__index(above, s->va);

        slot = &parent->child[at];
        if (count == all && left > all) {
            uint64_t whole = left >> l->index_bits, more = (sh - 1)->entries[0] - at;

            more = more < SPAN_TABLES ? more : SPAN_TABLES;
            tables = (uint32_t)(whole < more ? whole : more);
        }
    }
    if (tables == 1 && *slot)
        vmm->recent[s->depth] = *slot;
    s->parent = parent;
    s->slot = slot;
    s->tables = tables;
    s->c = (struct chunk){index, count};
    s->size = ((uint64_t)count << l->shift) * tables;
}

/* Takes a directory back that was made and got no reference, and those above. */
static void prune(struct nvmmu_vmm *vmm, struct table *t)
{
    if (!t->refs[0])
        nvmmu__tables_drop(vmm, &t->parent->child[t->index], 1, 0);
}

/* How many slots from `index` on, `most` at most, are without a table and as sparse as the first; 1 if that has one. */
static uint32_t slots_alike(const struct shape *sh, const struct table *p, uint32_t index, uint32_t most)
{
    const bool sparse = entry_sparse(sh, p, 0, index), all = p->sparse || !bits_any(sparse_of(sh, p, 0), index, most);
    struct table *const *slot = &p->child[index];
    uint32_t n = 1;

    if (*slot)
        return 1;
    while (n < most && !slot[n] && (all || entry_sparse(sh, p, 0, index + n) == sparse))
        n++;
    return n;
}

/* Pieces of a page become hw[h] of the tables in slots from `index` on, of those that there is memory for: returns how many.
 * `under` of them are under a page. */
static inline uint32_t pieces_link(struct nvmmu_vmm *vmm, struct table *p, uint32_t index, uint32_t n, unsigned h,
                                   struct page *page, unsigned piece, bool sparse, uint32_t *under)
{
    const struct shape *above = shape_of(vmm, p), *sh = above + 1;
    const uint64_t word = shape_empty_word(vmm->format, sh, h, sparse), page_bit = vmm->format->page_bit;
    const bool filled = pieces_fill(vmm, sh, h, page, piece, n, word);
    const unsigned shift = above->level[0]->shift;
    const uint64_t step = page->step;
    uint64_t pointer = page->pointer + piece * step, *entry = entry_at(above, p, 0, index);
    struct table **slot = &p->child[index];

    for (uint32_t k = 0; k < n; k++, entry += above->words, pointer += step) {
        struct table *t = slot[k];

        if (!t)
            t = child_new(vmm, p, shift, index + k, sparse);
        if (!t)
            return k;
        t->hw[h] = hw_of(sh, h, page, piece + k, word);
        if (filled)
            wrote_directory(vmm, t, h, 0, sh->entries[h]);
        if (t->refs[SPT])
            fill_beside_small(vmm, t);
        if (*entry & page_bit)
            ++*under;
        else
            entry_link(vmm, above, p, entry, t, h, pointer);
    }
    return n;
}

/* Memory, content, links: of one table at least, and of those behind it as long as there are none and the same sparse. A
 * page that stands in an entry of `p` stays, so that a get that fails can be undone. */
static int children_make(struct nvmmu_vmm *vmm, struct table *p, uint32_t index, uint32_t most, unsigned h,
                         bool *covered)
{
    const struct shape *sh = shape_of(vmm, p);
    const struct table *t = p->child[index];
    const bool sparse = entry_sparse(sh, p, 0, index);
    uint32_t made = 0, under = 0, linked;
    int n = -EINVAL;

    if (t && t->hw[!h].cpu && vmm->format->traits & NVMMU_TRAIT_ONE_TABLE)
        most = 0;
    else
        most = slots_alike(sh, p, index, most);
    while (made < most) {
        struct page *page;
        unsigned piece;

        n = pieces_take(vmm, p->depth + 1u, h, most - made, &page, &piece);
        if (n < 0)
            break;
        linked = pieces_link(vmm, p, index + made, (uint32_t)n, h, page, piece, sparse, &under);
        made += linked;
        if (linked < (uint32_t)n) {
            pieces_free(vmm, page, pieces(piece + linked, (unsigned)n - linked));
            n = -ENOMEM;
            break;
        }
    }
    if (!made) {
        prune(vmm, p);
        return n;
    }
    p->refs[0] += made;
    *covered |= under;
    if (under < made)
        entries_changed(vmm, p, index, made);
    return (int)made;
}

int nvmmu__tables_make(struct nvmmu_vmm *vmm, struct span *s, uint32_t k, bool *covered)
{
    struct table *t = s->parent ? s->parent : vmm->root;
    int ret = 0;

    while (ret >= 0 && t->depth + 1u < s->depth) {
        uint32_t index = (uint32_t)nvmmu__index(shape_of(vmm, t)->level[0], s->va);

        if (!t->child[index])
            ret = children_make(vmm, t, index, 1, 0, covered);
        t = t->child[index];
    }
    if (ret < 0)
        return ret;
    if (!s->parent) {
        vmm->recent[t->depth] = t;
        nvmmu__span_seek(vmm, s);
    }
    for (const struct table *up = t; up->parent && holds_pages(vmm, up->parent); up = up->parent)
        *covered |= under_page(vmm, up);
    return children_make(vmm, t, (uint32_t)(s->slot - t->child) + k, s->tables - k, s->h, covered);
}

int nvmmu__root_create(struct nvmmu_vmm *vmm)
{
    const struct shape *sh = &vmm->shape[0];
    unsigned h = sh->tables == 1 ? 0 : SPT, piece = 0;
    const uint64_t word = shape_empty_word(vmm->format, sh, h, false);
    struct page *page = NULL;
    int ret;

    vmm->root = table_new(vmm, 0);
    if (!vmm->root)
        return -ENOMEM;
    vmm->root->parent = NULL;
    vmm->root->refs[h] = 1;
    ret = pieces_take(vmm, 0, h, 1, &page, &piece);
    if (ret < 0)
        return ret;
    if (!vmm->format->gart)
        pieces_fill(vmm, sh, h, page, piece, 1, word);
    vmm->root->hw[h] = hw_of(sh, h, page, piece, word);
    if (vmm->format->gart)
        gart_begin(vmm, vmm->root);
    return 0;
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

static void destroy_below(struct nvmmu_vmm *vmm, struct table *t)
{
    const struct shape *sh = shape_of(vmm, t);

    if (t->children)
        not_blank(&t->hw[0], 0, sh->entries[0]);
    for (uint32_t i = 0; t->child && i < sh->entries[0]; i++)
        if (t->child[i])
            destroy_below(vmm, t->child[i]);
    for (unsigned h = 0; h < sh->tables; h++)
        if (t->hw[h].cpu)
            hw_retire(vmm, sh, t, h);
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
        for (unsigned h = 0; h < 2; h++)
            while (vmm->unused_pages[depth][h]) {
                struct page *page = vmm->unused_pages[depth][h];

                vmm->unused_pages[depth][h] = page->next;
                gpuvm_mem_free(&vmm->alloc, page, sizeof(*page));
            }
    }
}
