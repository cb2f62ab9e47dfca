/*
 * The tree of tables behind <nvmmu/vmm.h>.
 *
 * A software table stands for one hardware table, or, at the bottom, for the LPT and SPT of one PD0 entry; hw[0] is
 * the directory or LPT, hw[1] the SPT, and each comes and goes by itself. refs[h] counts, as nvkm does: for a
 * directory its children's hardware tables and the references on its own entries (pages and sparse ones), for a leaf
 * the references on the entries of hw[h]. A hardware table exists exactly while refs[h] is not 0; the root has one
 * reference of its own. Before Tesla the root is a leaf.
 *
 * Which entries are referenced stands in bitmaps, further references of the same entry in `extra`. An entry is
 * effectively sparse if a sparse range was taken on it, on an entry above it (`sparse` of the table), or for an SPT
 * entry on the LPT entry over it. Invariant: child->sparse == the parent's entry is effectively sparse. No page outside
 * the clients' areas is referenced: get() checks that, so that what asks for references need not.
 */
#ifndef NVMMU_VMM_PRIVATE_H
#define NVMMU_VMM_PRIVATE_H

#include <errno.h>

#include <nvmmu/vmm.h>

#include "bits.h"
#include "format_private.h"
#include "store.h"

#define TABLE_PAGE 4096u

enum { LPT = 0, SPT = 1 }; /* the two hardware tables of a leaf; a directory has only [0] */

/* Memory of a hardware table, or of as many as fit where they are smaller than a page: its pieces. */
struct page {
    struct nvmmu_table_mem mem;
    uint32_t bytes;
    uint8_t depth, h; /* of its tables */
    uint8_t shift;    /* log2 of a piece, where there are several */
    bool zeros;       /* blank words are 0 */
    uint32_t all;     /* bit n: piece n */
    uint32_t free;
    uint32_t retired; /* they may go after the flush */
    uint32_t blank;   /* of those not in use: they hold nothing but blank words */
    uint64_t pointer; /* what a directory's entry says that points at the first piece … */
    uint64_t step;    /* … and what each further piece adds to that */
    struct page *next, *prev; /* among those with room. On the free list: the next one */
    struct page *next_retired;
};

struct hw {
    void *cpu; /* NULL: no table */
    struct page *page; /* it is in */
    /* Entries that may not be blank, but for pointers at tables, are in [first, end); all are: first is UINT32_MAX, end 0.
     * With the tables the pointers go. */
    uint32_t first, end;
};

/* What map and unmap look at comes first, in one cache line. */
struct table {
    uint32_t refs[2];
    uint32_t held[2]; /* entries that are referenced for pages */
    struct hw hw[2];
    struct table *parent; /* NULL: root. On the free list: the next one */
    uint64_t va;
    uint32_t index;    /* in the parent */
    uint16_t children; /* how many there are */
    uint8_t depth;     /* 0: root */
    bool sparse;
    struct table **child; /* directories */
    uint32_t *extra;      /* references beyond the first, by entry, hw[1] behind hw[0]; NULL: none yet */
    uint64_t bits[];      /* see struct shape */
};

/* What tables of one depth look like. */
struct shape {
    const struct nvmmu_level_info *level[2];
    uint32_t entries[2];
    uint32_t table_bytes[2]; /* of a hardware table */
    uint64_t blank[2]; /* what a leaf's entries say when nothing is in them and nothing is sparse; a directory's: 0 */
    uint8_t tables;    /* 1, leaf 2 */
    uint8_t words;     /* 64-bit words of an entry; 0: it is none (struct nvmmu_gart) */
    bool pages;        /* entries of level[0] can be pages */
    bool small[2];     /* hardware tables are smaller than a page, which they share */
    uint8_t group;     /* log2 of the SPT entries below an LPT entry */
    uint32_t bytes;    /* of a software table, children included */
    uint64_t covers;   /* bytes of VA of a table */
    uint16_t refs[2];  /* where in bits[]: referenced for pages */
    uint16_t sparse[2]; /* taken by a sparse range */
    uint16_t pfn[2];   /* mapped by a pfn map, which holds one reference; 0: the level has none */
    uint16_t shadowed; /* LPT: the SPT entries below hold (nvkm's spte_valid) */
    uint16_t holds;    /* LPT: the LPT entry holds (nvkm's lpte_valid) */
};

struct range {
    uint64_t va, end;
};

/* A run of entries in one table. */
struct chunk {
    uint32_t index, count;
};

/* Where pages of one size live, and what they are good for. */
struct pages_of {
    uint8_t depth, h;
    uint8_t flags; /* NVMMU_PAGE_*; 0: the format has no such pages */
};

/* What entries of an object's pages say, but for the addresses, as map was asked for it. */
struct source {
    uint64_t asked; /* the attributes; 0: none yet */
    struct nvmmu_pte pte; /* addr and comptag are missing */
    uint64_t base; /* added to every address */
    unsigned shift;
    uint32_t comptag; /* of the object's first page */
    enum { UNTAGGED, TAGS_BY_ADDRESS, TAGS_BY_OFFSET } tags; /* what comptags follow */
    uint64_t word; /* of the page at address 0, which is the object's first */
    uint64_t step; /* what each further page adds to a word */
    bool even; /* words are word + page number * step wherever in the object the page is */
    bool plain; /* even, and the entries are these words, of any page whose address fits its field */
    bool each; /* they do not rise by steps, or are not 64-bit words */
};

struct nvmmu_vmm {
    const struct nvmmu_format *format;
    const struct nvmmu_stores *stores;
    struct nvmmu_vmm_hooks hooks;
    struct gpuvm_alloc alloc;
    struct nvmmu_window *windows;
    size_t window_count;
    uint64_t start, limit; /* addresses of the space */
    uint64_t kernel_addr, kernel_end;
    uint64_t stolen; /* where VRAM lies in system memory; 0: it is VRAM */
    uint64_t dummy;  /* nv44: what entries that are unmapped may show */
    bool gsp_rm;
    bool keep_large; /* pages stay over what comes below them until they are unmapped */
    bool bar; /* the space is the BARs' */

    unsigned depths; /* of software tables: level_count - 1 */
    struct shape shape[NVMMU_STEPS_MAX - 1];
    struct pages_of pages_of[64]; /* by shift */
    struct source source;         /* of the last map: the next one is often alike */
    struct table *root;
    struct table *recent[NVMMU_STEPS_MAX - 1]; /* by depth: a table of the tree that is likely to be asked for next, or NULL */
    struct table *unused[NVMMU_STEPS_MAX - 1]; /* free lists of software tables, by depth */
    struct page *unused_pages[NVMMU_STEPS_MAX - 1][2]; /* and of pages, by depth and h: mem is what they had */
    struct page *pages;                        /* with room for small tables */
    struct page *retired, **retired_end;       /* with pieces that may go after the flush, in order */

    uint64_t **directories; /* Tesla: copies of the root's entries in instance blocks */
    size_t directory_count, directory_room;

    unsigned batch;
    bool changed; /* a flush is due, as in `flush` */
    struct nvmmu_flush flush;
    size_t pfn_count; /* pages of pfn maps */

    struct range *sparse; /* ranges taken, ascending */
    size_t sparse_count, sparse_room;
};

/* ---- tables.c ------------------------------------------------------------------------------------------- */

/* Where pages of a size live: depth of the software table and which of its hardware tables. */
bool nvmmu__place(const struct nvmmu_vmm *vmm, unsigned shift, unsigned *depth, unsigned *h);
int nvmmu__root_create(struct nvmmu_vmm *vmm);
/* Frees every table; retired ones too. */
void nvmmu__tables_destroy(struct nvmmu_vmm *vmm);
/* The software table of `depth` that covers va, or NULL. */
static inline struct table *nvmmu__table_at(struct nvmmu_vmm *vmm, uint64_t va, unsigned depth);
struct table *nvmmu__table_find(struct nvmmu_vmm *vmm, uint64_t va, unsigned depth);
/* Takes a span to the tables at its `va`. */
struct span;
void nvmmu__span_seek(struct nvmmu_vmm *vmm, struct span *s);
/* Makes hw[h] of a span's tables from the k-th on, which has none, and what is missing above: as many at once as it can,
 * whose number it returns. They must be referenced next. *covered becomes true if a page stands over one. -ENOMEM, or
 * -EINVAL for table memory no entry can point at. */
int nvmmu__tables_make(struct nvmmu_vmm *vmm, struct span *s, uint32_t k, bool *covered);
/* Of n tables side by side: those whose hw[h] has lost its last reference are unlinked, and what becomes empty above. They
 * may be gone afterwards. */
void nvmmu__tables_drop(struct nvmmu_vmm *vmm, struct table **slot, uint32_t n, unsigned h);
/* Points the parent's entry at what `t` has. */
void nvmmu__table_link(struct nvmmu_vmm *vmm, const struct table *t);
/* Gives retired memory back. */
void nvmmu__retired_free(struct nvmmu_vmm *vmm);

/* ---- control.c ------------------------------------------------------------------------------------------ */

/* Entry `index` of the root has become `word`: so do its copies in instance blocks. */
void nvmmu__directories_write(struct nvmmu_vmm *vmm, uint32_t index, uint64_t word);

/* ---- vmm.c ---------------------------------------------------------------------------------------------- */

/* Entries of tables of `depth` in [va, va + size) were written: a flush is due. */
static inline void nvmmu__changed(struct nvmmu_vmm *vmm, unsigned depth, uint64_t va, uint64_t size);
void nvmmu__changed_elsewhere(struct nvmmu_vmm *vmm, unsigned depth, uint64_t va, uint64_t size);
/* -EINVAL unless the range lies in a client's area, and is whole pages of a size that exists. */
static inline int nvmmu__range_check(const struct nvmmu_vmm *vmm, uint64_t va, uint64_t size);
static inline int nvmmu__pages_check(const struct nvmmu_vmm *vmm, uint64_t va, uint64_t size, unsigned shift,
                                     unsigned *depth, unsigned *h);

/* ---- refs.c --------------------------------------------------------------------------------------------- */

/* Every entry from this step of a span on is referenced for a page, and none is a pfn map's. */
static inline bool nvmmu__referenced(struct nvmmu_vmm *vmm, const struct span *s);
bool nvmmu__rest_referenced(struct nvmmu_vmm *vmm, const struct span *s);
/* Entries of one table are, where not all of its entries are or there are pfn maps. */
bool nvmmu__entries_held(const struct nvmmu_vmm *vmm, const struct shape *sh, const struct table *t, unsigned h,
                         struct chunk c);
/* SPT entries [i, i + n) came into use, or (already unreferenced) maybe out of it: what the LPT must say. */
void nvmmu__small_taken(struct nvmmu_vmm *vmm, struct table *t, uint32_t i, uint32_t n);
void nvmmu__small_dropped(struct nvmmu_vmm *vmm, struct table *t, uint32_t i, uint32_t n);
/* Pages that stand over the tables of `t` give way to them, unless they are kept. */
void nvmmu__table_show(struct nvmmu_vmm *vmm, const struct table *t);

/* ---- map.c ---------------------------------------------------------------------------------------------- */

/* What nvmmu_vmm_map() would answer if the entries were referenced. */
int nvmmu__map_check(struct nvmmu_vmm *vmm, const struct nvmmu_map *m);

/* ---- shared small things --------------------------------------------------------------------------------- */

enum { SPAN_TABLES = 64 }; /* of one step of a span, so that they are still in the cache when it goes over them again */

static inline const struct shape *shape_of(const struct nvmmu_vmm *vmm, const struct table *t)
{
    return &vmm->shape[t->depth];
}

/* Which piece of its page a hardware table is. */
static inline unsigned piece_of(const struct hw *hw)
{
    return (unsigned)((const char *)hw->cpu - (const char *)hw->page->mem.cpu) >> hw->page->shift;
}

static inline uint64_t address_of(const struct hw *hw)
{
    return hw->page->mem.addr + (uint64_t)((const char *)hw->cpu - (const char *)hw->page->mem.cpu);
}

/* The root directory, or the only table. */
static inline const struct hw *root_of(const struct nvmmu_vmm *vmm)
{
    return &vmm->root->hw[vmm->root->child ? 0 : SPT];
}

static inline uint64_t *refs_of(const struct shape *sh, const struct table *t, unsigned h)
{
    return (uint64_t *)t->bits + sh->refs[h];
}

static inline uint64_t *sparse_of(const struct shape *sh, const struct table *t, unsigned h)
{
    return (uint64_t *)t->bits + sh->sparse[h];
}

static inline uint64_t *pfn_of(const struct shape *sh, const struct table *t, unsigned h)
{
    return (uint64_t *)t->bits + sh->pfn[h];
}

static inline struct table *nvmmu__table_at(struct nvmmu_vmm *vmm, uint64_t va, unsigned depth)
{
    struct table *t = vmm->recent[depth];

    return t && va - t->va < vmm->shape[depth].covers ? t : nvmmu__table_find(vmm, va, depth);
}

static inline int nvmmu__range_check(const struct nvmmu_vmm *vmm, uint64_t va, uint64_t size)
{
    if (!size || va < vmm->start || va > vmm->limit || size > vmm->limit - va)
        return -EINVAL;
    return va + size <= vmm->kernel_addr || va >= vmm->kernel_end ? 0 : -EINVAL;
}

static inline int nvmmu__pages_check(const struct nvmmu_vmm *vmm, uint64_t va, uint64_t size, unsigned shift,
                                     unsigned *depth, unsigned *h)
{
    const struct pages_of *pages = &vmm->pages_of[shift & 63];

    if (shift > 63 || !pages->flags || (va | size) & ((1ull << shift) - 1))
        return -EINVAL;
    *depth = pages->depth;
    *h = pages->h;
    return nvmmu__range_check(vmm, va, size);
}

/* SPT entries under LPT entry `big` that something references. */
static inline bool small_in_use(const struct shape *sh, const struct table *t, uint32_t big)
{
    uint32_t i = big << sh->group, n = 1u << sh->group;

    return t->refs[SPT] && (bits_any(refs_of(sh, t, SPT), i, n) || bits_any(sparse_of(sh, t, SPT), i, n));
}

/* Mostly changes go upward. */
static inline void nvmmu__changed(struct nvmmu_vmm *vmm, unsigned depth, uint64_t va, uint64_t size)
{
    struct nvmmu_flush *fl = &vmm->flush;

    if (!vmm->changed || depth < fl->depth || va < fl->va)
        nvmmu__changed_elsewhere(vmm, depth, va, size);
    else if (va - fl->va + size > fl->size)
        fl->size = va - fl->va + size;
}

/* An entry's sparseness without that of its own table's `sparse`. */
static inline bool entry_sparse(const struct shape *sh, const struct table *t, unsigned h, uint32_t i)
{
    return t->sparse || bits_get(sparse_of(sh, t, h), i) ||
           (h == SPT && bits_get(sparse_of(sh, t, LPT), i >> sh->group));
}

static inline uint64_t *entry_at(const struct shape *sh, const struct table *t, unsigned h, uint32_t i)
{
    return (uint64_t *)t->hw[h].cpu + (size_t)i * sh->words;
}

/* Entries of the table can hold pages. */
static inline bool holds_pages(const struct nvmmu_vmm *vmm, const struct table *t)
{
    return shape_of(vmm, t)->pages;
}

/* An entry, or the low word of one. */
static inline uint64_t entry_word(const struct nvmmu_vmm *vmm, const struct shape *sh, const struct table *t,
                                  unsigned h, uint32_t i)
{
    return sh->words ? *entry_at(sh, t, h, i) : vmm->format->gart->load(t->hw[h].cpu, i);
}

/* The entry holds a page. */
static inline bool entry_is_page(const struct nvmmu_vmm *vmm, const struct shape *sh, const struct table *t,
                                 unsigned h, uint32_t i)
{
    return entry_word(vmm, sh, t, h, i) & (t->child ? vmm->format->page_bit : vmm->format->valid);
}

/* A page stands in the parent's entry, over the tables of `t`. */
static inline bool under_page(const struct nvmmu_vmm *vmm, const struct table *t)
{
    return *entry_at(shape_of(vmm, t->parent), t->parent, 0, t->index) & vmm->format->page_bit;
}

static inline bool all_blank(const struct hw *hw)
{
    return !hw->end;
}

/* Entries [i, i + n) may not be blank. */
static inline void not_blank(struct hw *hw, uint32_t i, uint32_t n)
{
    hw->first = i < hw->first ? i : hw->first;
    hw->end = i + n > hw->end ? i + n : hw->end;
}

/* Entries [i, i + n) were written … */
static inline void wrote_directory(const struct nvmmu_vmm *vmm, const struct table *t, unsigned h, uint32_t i,
                                   uint32_t n)
{
    if (vmm->hooks.wrote)
        vmm->hooks.wrote(vmm->hooks.ctx, address_of(&t->hw[h]), i, n);
}

/* … with what may not be blank … */
static inline void wrote(const struct nvmmu_vmm *vmm, struct table *t, unsigned h, uint32_t i, uint32_t n)
{
    not_blank(&t->hw[h], i, n);
    wrote_directory(vmm, t, h, i, n);
}

/* … and with blank words. */
static inline void wrote_blank(const struct nvmmu_vmm *vmm, struct table *t, unsigned h, uint32_t i, uint32_t n)
{
    struct hw *hw = &t->hw[h];

    if (i <= hw->first && i + n >= hw->end)
        hw->first = UINT32_MAX, hw->end = 0;
    else if (i <= hw->first && i + n > hw->first)
        hw->first = i + n;
    else if (i < hw->end && i + n >= hw->end)
        hw->end = i;
    wrote_directory(vmm, t, h, i, n);
}

/* An entry becomes `word`, and 0 behind it where entries have two. */
static inline void entry_write(uint64_t *entry, unsigned words, uint64_t word)
{
    nvmmu__store(entry, word);
    if (words == 2)
        nvmmu__store(entry + 1, 0);
}

/* What an entry without a page, and without a table below, says. */
static inline uint64_t shape_empty_word(const struct nvmmu_format *f, const struct shape *sh, unsigned h, bool sparse)
{
    bool directory = sh->tables == 1;

    if (sparse)
        return directory ? f->sparse_pde : f->sparse_pte;
    return directory ? f->unused_pde : sh->blank[h];
}

static inline uint64_t empty_word(const struct nvmmu_vmm *vmm, const struct table *t, unsigned h, bool sparse)
{
    return shape_empty_word(vmm->format, shape_of(vmm, t), h, sparse);
}

/* Rows of n entries in memory become `word`, and 0 behind it where entries have two. */
static inline void words_fill(const struct nvmmu_vmm *vmm, const struct shape *sh, uint64_t *const *at, size_t rows,
                              size_t n, uint64_t word)
{
    if (n > 1 && sh->words == 1) {
        vmm->stores->fill(at, rows, n, word);
        return;
    }
    for (size_t r = 0; r < rows; r++) {
        if (n == 1)
            entry_write(at[r], sh->words, word);
        else
            vmm->stores->ramp_pairs(at[r], n, word, 0);
    }
}

/* Where the entries from i on of some tables are. */
static inline void rows_at(const struct shape *sh, struct table *const *t, uint32_t tables, unsigned h, uint32_t i,
                           uint64_t *at[SPAN_TABLES])
{
    const size_t offset = (size_t)i * sh->words;

    for (uint32_t r = 0; r < tables; r++)
        at[r] = (uint64_t *)t[r]->hw[h].cpu + offset;
}

/* Entries [i, i + n) of some tables become `word` (and 0 where entries have two words). */
static inline void rows_fill(const struct nvmmu_vmm *vmm, const struct shape *sh, struct table *const *t, uint32_t tables,
                             unsigned h, uint32_t i, uint32_t n, uint64_t word)
{
    const bool blank = word == sh->blank[h] && sh->words;
    uint64_t *at[SPAN_TABLES];

    rows_at(sh, t, tables, h, i, at);
    if (sh->words)
        words_fill(vmm, sh, at, tables, n, word);
    for (uint32_t r = 0; r < tables; r++) {
        if (!sh->words)
            vmm->format->gart->clear(t[r]->hw[h].cpu, i, n, vmm->dummy); /* no other word than 0 fills its entries */
        if (blank)
            wrote_blank(vmm, t[r], h, i, n);
        else
            wrote(vmm, t[r], h, i, n);
    }
}

static inline void entries_fill(const struct nvmmu_vmm *vmm, struct table *t, unsigned h, uint32_t i, uint32_t n,
                                uint64_t word)
{
    rows_fill(vmm, shape_of(vmm, t), &t, 1, h, i, n, word);
}

static inline uint64_t entry_bytes_of_va(const struct shape *sh, unsigned h)
{
    return 1ull << sh->level[h]->shift;
}

/* A range of addresses, step by step: the same entries of some tables side by side in one directory. */
struct span {
    const struct shape *sh;
    unsigned depth, h;
    uint64_t end;
    uint64_t va, size;    /* of this step */
    struct table *parent; /* NULL: there is none, or it is the root's */
    struct table **slot;  /* of the first table in it. What is NULL is not there; a table may be without hw[h] */
    uint32_t tables;
    struct chunk c;       /* of each */
    struct table *none;
};

/* Before its first step. */
static inline void span_start(struct span *s, const struct nvmmu_vmm *vmm, uint64_t va, uint64_t end, unsigned depth,
                              unsigned h)
{
    s->sh = &vmm->shape[depth];
    s->depth = depth;
    s->h = h;
    s->end = end;
    s->va = va;
    s->size = 0;
}

/* At its first step: nothing is looked up where that is all, and in the table that was asked for last. */
static inline void span_first(struct nvmmu_vmm *vmm, struct span *s, uint64_t va, uint64_t end, unsigned depth, unsigned h)
{
    const struct table *t = vmm->recent[depth];
    const struct shape *sh = &vmm->shape[depth];

    span_start(s, vmm, va, end, depth, h);
    if (t && t->parent && va - t->va < sh->covers && end - va <= sh->covers - (va - t->va)) {
        const unsigned shift = sh->level[h]->shift;

        s->parent = t->parent;
        s->slot = &t->parent->child[t->index];
        s->tables = 1;
        s->c = (struct chunk){(uint32_t)((va - t->va) >> shift), (uint32_t)((end - va) >> shift)};
        s->size = end - va;
    } else {
        nvmmu__span_seek(vmm, s);
    }
}

static inline bool span_next(struct nvmmu_vmm *vmm, struct span *s)
{
    s->va += s->size;
    if (s->va == s->end)
        return false;
    nvmmu__span_seek(vmm, s);
    return true;
}

/* Entries of some tables side by side are referenced for pages that are no pfn map's. */
static inline bool held(const struct nvmmu_vmm *vmm, const struct shape *sh, struct table *const *slot, uint32_t tables,
                        unsigned h, struct chunk c)
{
    const uint32_t all = vmm->pfn_count ? UINT32_MAX : sh->entries[h];

    for (uint32_t k = 0; k < tables; k++)
        if (!slot[k] || (slot[k]->held[h] != all && !nvmmu__entries_held(vmm, sh, slot[k], h, c)))
            return false;
    return true;
}

static inline bool step_held(const struct nvmmu_vmm *vmm, const struct span *s)
{
    return held(vmm, s->sh, s->slot, s->tables, s->h, s->c);
}

static inline bool nvmmu__referenced(struct nvmmu_vmm *vmm, const struct span *s)
{
    return step_held(vmm, s) && (s->va + s->size == s->end || nvmmu__rest_referenced(vmm, s));
}

#endif
