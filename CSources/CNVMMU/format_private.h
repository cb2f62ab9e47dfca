/*
 * What a page table format is to the rest of the library: constants and small functions. Walker, extents, fields and
 * the tree of tables are written once over this; a format is one file that fills it.
 *
 * A format is a chain of directories that ends in a pair of leaf tables, LPT and SPT, hanging from one PD0 entry.
 */
#ifndef NVMMU_FORMAT_PRIVATE_H
#define NVMMU_FORMAT_PRIVATE_H

#include <nvmmu/format.h>

/* What chips of one format differ in. */
#define NVMMU_TRAIT_TAGS        (1u << 0) /* with GSP firmware, compressible pages of VRAM get tag lines */
#define NVMMU_TRAIT_ENCRYPTED   (1u << 1) /* PTEs have an encryption bit */
#define NVMMU_TRAIT_NO_ATS      (1u << 2) /* directory entries have NO_ATS */
#define NVMMU_TRAIT_WIDE_PEER   (1u << 3) /* addresses of peers reach into the comptag field */
#define NVMMU_TRAIT_OBJECT_TAGS (1u << 4) /* compressible kinds need pages with COMP, and tag lines of the object's */
#define NVMMU_TRAIT_TAG_HALVES  (1u << 5) /* a tag line serves two 64 KiB pages; its upper bit says which half */
#define NVMMU_TRAIT_DISABLE     (1u << 6) /* PTEs have read and write disable bits */
#define NVMMU_TRAIT_PCF         (1u << 7) /* vol by target, no access counters, any kind, ATS but for VRAM tables */

#define NVMMU_TRAIT_NO_VOL      (1u << 8) /* entries do not say how the GPU may cache */
#define NVMMU_TRAIT_ONE_TABLE   (1u << 9) /* a PD0 entry points at an LPT or at an SPT, not at both */

#define NVMMU_REFUSED 0xff /* aperture[]: the format cannot map this memory */

struct nvmmu_kind_name {
    uint8_t kind;
    const char *name;
};

/* plain[k] is the uncompressed kind of the same layout; `invalid` where nouveau refuses k. Tesla has storage[k] in its
 * place, the order over the banks of VRAM, and no kind for compression. */
struct nvmmu_kinds {
    const uint8_t *plain, *storage;
    uint16_t count;
    uint8_t invalid;
    const struct nvmmu_kind_name *name;
    size_t name_count;
};

/* A field of an entry, its bits inclusive. */
struct nvmmu_field_layout {
    const char *name;
    uint8_t high, low;
    uint8_t address_bit;     /* non-zero: an address, and this is its bit that lies at `low` */
    const char *const *text; /* meanings of the values 0, 1, …, or NULL */
    uint16_t traits;         /* only on formats with one of these; 0: on all */
};
struct nvmmu_field_set {
    const struct nvmmu_field_layout *field;
    size_t count;
};

/* What the directories say about an address. */
struct nvmmu_spot {
    enum nvmmu_state state; /* of the whole entry, unless leaf */
    enum nvmmu_fault fault;
    uint64_t word;          /* the lowest directory entry read */
    unsigned shift;         /* log2 of the bytes it covers */
    unsigned size;          /* leaf: the tables have their first entries >> size only */
    bool leaf;              /* it points at leaf tables */
    const uint64_t *big, *small; /* leaf: they, where present and inside a window; at least one */
};

/* The quick walks of a format. */
struct nvmmu_walks {
    struct nvmmu_reading reading;
    /* The views that the others want; of a space as it is. */
    void (*look)(const struct nvmmu_space *s, struct nvmmu_views *out);
    /* The PD0 table for va, or NULL: `out` says why, or what decides instead. */
    const uint64_t *(*directory)(const struct nvmmu_space *s, const struct nvmmu_views *v, uint64_t va,
                                 struct nvmmu_spot *out);
    /* What the entry for va of that table says. */
    void (*locate)(const struct nvmmu_space *s, const struct nvmmu_views *v, const uint64_t *table, uint64_t va,
                   struct nvmmu_spot *out);
    void (*translate)(const struct nvmmu_space *s, uint64_t va, struct nvmmu_translation *out);
    struct nvmmu_leaf (*seek)(struct nvmmu_cursor *c, uint64_t va);
};

/* seek() where the cursor has not been: first looks above PD0. */
struct nvmmu_leaf nvmmu__cursor_far(struct nvmmu_cursor *c, uint64_t va);

/* What differs between chips in how a driver tells them about page tables (control.c). */
struct nvmmu_flush;
struct nvmmu_register;
struct nvmmu_control {
    uint32_t pdb;     /* bits of the instance block's PDB word beside target and address */
    uint32_t replay;  /* more of them when faults are to wait; 0: faults cannot be replayed */
    bool subcontexts; /* the block has a PDB for every subcontext */
    bool upper_pdb;   /* PDB bits 40 and up have a register */
    uint16_t directory; /* Tesla: where the instance block has the directory; 0: it has its address */
    size_t (*flush)(const struct nvmmu_control *c, const struct nvmmu_flush *flush, struct nvmmu_register *out);
};

/* gf100: Fermi, Kepler, Maxwell; gm200_64k: where 64 KiB big pages are a choice of the space. */
extern const struct nvmmu_control nvmmu__control_gf100, nvmmu__control_gm200_64k, nvmmu__control_gp100,
    nvmmu__control_gv100, nvmmu__control_tu102;
extern const struct nvmmu_control nvmmu__control_nv04, nvmmu__control_nv41, nvmmu__control_nv44, nvmmu__control_nv50,
    nvmmu__control_g84;

/* The table of formats before Tesla: their entries are not 64-bit words in a row. An entry reads 0 or `valid` is set. */
struct nvmmu_gart {
    void (*begin)(void *table); /* after all is zero; NULL: nothing more */
    uint64_t (*load)(const void *table, uint32_t index);
    void (*store)(void *table, uint32_t index, uint64_t word);
    /* Unmaps entries. `dummy`: address of memory they may show. */
    void (*clear)(void *table, uint32_t index, uint32_t count, uint64_t dummy);
};

struct nvmmu_format {
    const char *name;
    const struct nvmmu_level_info *level; /* root first; the last two are LPT and SPT */
    const struct nvmmu_page_size *page;   /* largest first */
    uint8_t level_count;
    uint8_t page_count;
    uint8_t va_bits;
    uint8_t page_levels;                  /* bit n: a table of enum nvmmu_level n can hold pages */
    uint8_t aperture[4];                  /* PTE aperture of memory NVMMU_VRAM … NVMMU_NCOH, or NVMMU_REFUSED */
    uint16_t traits;                      /* NVMMU_TRAIT_* */
    uint8_t address_shift;                /* PTE address field = address >> address_shift, all apertures */
    uint8_t address_bits[4];              /* by PTE aperture: width of a physical address */

    /* Special words. A leaf entry with `valid` set is a page. */
    uint64_t valid;
    uint64_t page_bit;               /* in a directory: the entry is a page; 0: directories hold none */
    uint64_t sparse_pte, sparse_pde; /* 0: no sparse pages */
    uint64_t hidden;                 /* LPT: do not look into the SPT; 0: no such word */
    uint64_t sparse_mask, hidden_mask; /* the bits by which sparse_pte and hidden are told */
    uint64_t unused_pde;             /* a directory entry without tables */
    uint8_t block_low;               /* leaf entry: lowest of three bits, log2 of the pages of its run; 0: no runs */

    const struct nvmmu_kinds *kinds;

    uint64_t page_block;              /* addresses in a block of this size have one page size; 0: no such rule */
    uint8_t pfn_levels;               /* bit n: nvkm has pfn maps at enum nvmmu_level n */
    const struct nvmmu_control *control;
    const struct nvmmu_gart *gart;    /* the format has one table, of these; NULL: directories and 64-bit words */

    int (*pte_encode)(const struct nvmmu_format *f, const struct nvmmu_pte *pte, uint64_t *word);
    int (*pde_encode)(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pde *big,
                      const struct nvmmu_pde *next, uint64_t out[2]);
    void (*decode)(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                   struct nvmmu_entry *out);
    /* The layout of word[i] of an entry; it may depend on what the entry is. */
    struct nvmmu_field_set (*fields)(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                                     unsigned i);
    const struct nvmmu_walks *walks;
};

extern const struct nvmmu_format nvmmu__nv04, nvmmu__nv41, nvmmu__nv44, nvmmu__nv50, nvmmu__g84, nvmmu__mcp77;
extern const struct nvmmu_format nvmmu__gf100, nvmmu__gk104, nvmmu__gk20a, nvmmu__gm200, nvmmu__gm20b;
extern const struct nvmmu_format nvmmu__gf100_64k, nvmmu__gk104_64k, nvmmu__gk20a_64k, nvmmu__gm200_64k;
extern const struct nvmmu_format nvmmu__gm20b_64k;
extern const struct nvmmu_format nvmmu__gp100, nvmmu__gp10b, nvmmu__gv100, nvmmu__tu102, nvmmu__ga100;
extern const struct nvmmu_format nvmmu__ga100_512m, nvmmu__gh100, nvmmu__gb100;

static inline uint64_t nvmmu__entries(const struct nvmmu_level_info *l)
{
    return (uint64_t)1 << l->index_bits;
}

static inline uint64_t nvmmu__table_bytes(const struct nvmmu_level_info *l)
{
    return l->table_header + ((uint64_t)l->entry_bytes << l->index_bits);
}

static inline uint64_t nvmmu__index(const struct nvmmu_level_info *l, uint64_t va)
{
    return va >> l->shift & (nvmmu__entries(l) - 1);
}

/* A valid leaf entry is one of a run of this many pages, as log2. */
static inline unsigned nvmmu__block(const struct nvmmu_format *f, uint64_t word)
{
    return f->block_low ? word >> f->block_low & 7 : 0;
}

/* The bits of the address in the entry of a page. */
static inline uint64_t nvmmu__address_bits(const struct nvmmu_reading *r, uint64_t word)
{
    return word & r->system ? r->address[1] : r->address[0];
}

/* The offsets inside the run of pages that it is one of; those inside a page if there is none. */
static inline uint64_t nvmmu__run_offsets(const struct nvmmu_reading *r, uint64_t word, uint64_t offsets)
{
    return word & r->block ? ((offsets + 1) << ((word & r->block) >> r->block_low)) - 1 : offsets;
}

/* What the entry of a page with these offsets says about va. */
static inline struct nvmmu_leaf nvmmu__leaf(const struct nvmmu_reading *r, uint64_t word, uint64_t offsets, uint64_t va)
{
    return (struct nvmmu_leaf){
        word, (word & nvmmu__address_bits(r, word)) * r->address_unit + (va & nvmmu__run_offsets(r, word, offsets))};
}

/* `word` is the special word `pattern`, told by the bits of `mask`; 0: the format has no such word. */
static inline bool nvmmu__word_is(uint64_t word, uint64_t mask, uint64_t pattern)
{
    return pattern && (word & mask) == pattern;
}

/* Entries are read while others write them. */
static inline uint64_t nvmmu__load(const uint64_t *entry)
{
    return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

/* [addr, addr + size) of an aperture in one window, or NULL. */
static inline const uint64_t *nvmmu__window_holds(const struct nvmmu_window *w, unsigned aperture, uint64_t addr,
                                                 uint64_t size)
{
    uint64_t offset = addr - w->base;

    if (w->aperture != aperture || offset >= w->size || w->size - offset < size || addr & 7)
        return NULL;
    return (const uint64_t *)((const char *)w->cpu + offset);
}

/* The same in any window. */
const uint64_t *nvmmu__window_search(const struct nvmmu_space *s, unsigned aperture, uint64_t addr, uint64_t size);

/* The same; most lie in the first. */
static inline const uint64_t *nvmmu__window_at(const struct nvmmu_space *s, unsigned aperture, uint64_t addr,
                                              uint64_t size)
{
    const uint64_t *at = s->window_count ? nvmmu__window_holds(s->windows, aperture, addr, size) : NULL;

    return __builtin_expect(at != NULL, 1) ? at : nvmmu__window_search(s, aperture, addr, size);
}

#endif
