/*
 * nvmmu formats: NVIDIA's GPU page tables as words. Encodes and decodes entries, walks tables in memory, turns a
 * range of addresses into extents of physical memory. Stateless: it reads tables through memory windows that the
 * caller gives, and never outside them; it works the same on a simulated GPU's memory and on a memory image.
 *
 * Units. Virtual and physical addresses and sizes are bytes; ranges exclude their end.
 * Levels are named as NVIDIA does: PD0 is the lowest directory, LPT the table of big-page entries, SPT the table
 * of 4 KiB entries. Entries are little-endian 64-bit words; at PD0 of Pascal and later two of them, low word first;
 * before Tesla 32-bit words. nv44 packs four into 16 bytes: an entry is then 26:0 the frame, 31 the group's valid bit.
 *
 * Facts: NVIDIA open-gpu-doc (gp100-mmu-format, gv100/tu104/ga100 dev_mmu), NVIDIA open-gpu-kernel-modules (dev_mmu
 * of Fermi to Maxwell, Hopper, Blackwell), Linux 7.2 nvkm/subdev/mmu.
 */
#ifndef NVMMU_FORMAT_H
#define NVMMU_FORMAT_H

#include <gpuvm/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where memory is, seen from the GPU. The values are those of a page table entry's aperture field. */
enum nvmmu_aperture {
    NVMMU_VRAM = 0,
    NVMMU_PEER = 1, /* another GPU's VRAM */
    NVMMU_HOST = 2, /* system memory, coherent (snooped) */
    NVMMU_NCOH = 3, /* system memory, not coherent */
};

/* ---- formats and chips -------------------------------------------------------------------------------- */

/* What a page size may be used for (nvkm's page flags). */
#define NVMMU_PAGE_SPARSE (1u << 0)
#define NVMMU_PAGE_VRAM   (1u << 1)
#define NVMMU_PAGE_HOST   (1u << 2)
#define NVMMU_PAGE_COMP   (1u << 3)

struct nvmmu_page_size {
    uint8_t shift; /* log2 of the bytes */
    uint8_t flags; /* NVMMU_PAGE_* */
};

/* A page table format as one nouveau class drives it. Static and constant. */
struct nvmmu_format;

/* By nouveau's name of the class ("gf100", "gk104", "gk20a", "gm200", "gm20b", "gp100", "gp10b", "gv100", "tu102",
 * "gh100"; "nv04", "nv41", "nv44", "nv50", "g84", "mcp77") or of a chip that shares one ("ga100", "ga102", "ad102":
 * the tu102 class without compression tags).
 * Fermi to Maxwell have big pages of 128 KiB; "-64k" behind the name is their mode with 64 KiB. What the hardware has
 * and nouveau does not offer: "ga100-512m" (512 MiB pages), "gb100" (takes 256 GiB pages). NULL: unknown. */
const struct nvmmu_format *nvmmu_format_find(const char *name);
const char *nvmmu_format_name(const struct nvmmu_format *f);
/* Bits of a virtual address. */
unsigned nvmmu_format_va_bits(const struct nvmmu_format *f);
/* The page sizes nouveau offers, largest first. Returns their number. */
size_t nvmmu_format_pages(const struct nvmmu_format *f, const struct nvmmu_page_size **out);

/* A chip: NV_PMC_BOOT_0 style id, names, the format of its MMU. */
struct nvmmu_chip {
    uint16_t chipset;
    const char *name;   /* "GA102" */
    const char *family; /* "Ampere" */
    const struct nvmmu_format *format;
};
/* All chips known, ascending by id. Returns their number. */
size_t nvmmu_chips(const struct nvmmu_chip **out);
/* NULL: no such chip, or its format is not supported. */
const struct nvmmu_chip *nvmmu_chip_find(unsigned chipset);

/* ---- kinds: the storage layout of a page -------------------------------------------------------------- */

/* The uncompressed kind of the same layout (the kind itself when it is plain). -EINVAL: nouveau refuses it. */
int nvmmu_kind_uncompressed(const struct nvmmu_format *f, unsigned kind);
/* Tesla: the order over the banks of VRAM that memory of this kind must have been allocated for, 1 or 2. 0 on other
 * formats. -EINVAL: nouveau refuses the kind. */
int nvmmu_kind_storage(const struct nvmmu_format *f, unsigned kind);
/* "pitch", "generic", "Z16" …; NULL where it has no name here. */
const char *nvmmu_kind_name(const struct nvmmu_format *f, unsigned kind);

/* ---- entries ------------------------------------------------------------------------------------------ */

/* The levels of all formats, leaf first. */
enum nvmmu_level {
    NVMMU_SPT = 0, /* 4 KiB entries */
    NVMMU_LPT = 1, /* big-page entries */
    NVMMU_PD0 = 2,
    NVMMU_PD1 = 3,
    NVMMU_PD2 = 4,
    NVMMU_PD3 = 5,
    NVMMU_PD4 = 6,
};
const char *nvmmu_level_name(enum nvmmu_level level);
/* "pte" (a page at the smallest level), "spt", "lpt", "pd0" …, any case; -EINVAL: no such level in the format. */
int nvmmu_level_find(const struct nvmmu_format *f, const char *name);

/* Geometry of one level. */
struct nvmmu_level_info {
    enum nvmmu_level level;
    uint8_t index_bits;  /* log2 of the entries of a table */
    uint8_t shift;       /* log2 of the bytes of VA that one entry covers */
    uint8_t entry_bytes; /* 4 (before Tesla), 8 or 16 */
    uint8_t table_header; /* bytes before the first entry (nv04) */
    uint32_t table_align;
};
/* Levels root first; LPT before SPT. Returns their number. */
size_t nvmmu_format_levels(const struct nvmmu_format *f, const struct nvmmu_level_info **out);

/* A page table entry that maps a page. */
struct nvmmu_pte {
    uint64_t addr; /* physical, a multiple of 4 KiB */
    uint32_t comptag;
    uint16_t kind;
    uint8_t aperture; /* enum nvmmu_aperture */
    uint8_t peer;     /* peer id, for NVMMU_PEER */
    bool vol, priv, ro, atomic_disable, encrypted;
    bool lock, read_disable, write_disable; /* Fermi to Maxwell; the disables (of the L1 and GCC) not on Fermi */
    bool acd;                               /* Hopper and later: no access counters */
    uint8_t block; /* Tesla: one of an aligned run of 1 << block equal entries; addr is that of the run's first page */
    uint8_t comp;  /* Tesla: compression mode, 0 to 3 */
};
/* A pointer to a table. */
struct nvmmu_pde {
    uint64_t addr;
    uint8_t aperture; /* enum nvmmu_aperture of the table's memory; never NVMMU_PEER */
    uint8_t size;     /* Fermi to Maxwell: the table has only its first entries >> size (0 to 3; one for both tables);
                       * Tesla: an SPT (0, 2 to 4) */
    bool present, vol, no_ats;
};

/*
 * Encodes a page at `level` into out[0] (out[1] = 0, for PD0). -EINVAL: the level cannot hold a page, or a value
 * (address, kind, tag, peer) does not fit its field, or two share bits.
 */
int nvmmu_pte_encode(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pte *pte,
                     uint64_t out[2]);
/* Encodes a directory entry. `big` is the LPT at PD0 (elsewhere NULL), `next` the SPT or the next directory; NULL
 * or not present: none; not present but vol: sparse. -EINVAL: not a directory level, or an address that does not
 * fit. */
int nvmmu_pde_encode(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pde *big,
                     const struct nvmmu_pde *next, uint64_t out[2]);

/* What an entry is. */
enum nvmmu_entry_state {
    NVMMU_ENTRY_INVALID = 0,
    NVMMU_ENTRY_PAGE,
    NVMMU_ENTRY_TABLE,  /* directory: at least one table pointer */
    NVMMU_ENTRY_SPARSE,
    NVMMU_ENTRY_HIDDEN, /* LPT: no small entry below is valid */
};
struct nvmmu_entry {
    enum nvmmu_entry_state state;
    struct nvmmu_pte page;        /* PAGE */
    struct nvmmu_pde big, next; /* TABLE: `big` the LPT at PD0, `next` the SPT or the next directory */
};
/* Decodes an entry; any word is taken. word[1] only matters at PD0. */
void nvmmu_entry_decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                        struct nvmmu_entry *out);

/* One named field of an entry, for people who read words. */
struct nvmmu_field {
    const char *name;
    const char *text;   /* the value's meaning ("vram", "sparse"), or NULL: show the number */
    uint64_t value;     /* addresses as bytes, everything else as it stands in the field */
    uint8_t word;       /* 0 or 1 */
    uint8_t high, low;  /* bits, inclusive */
    bool is_address;
};
#define NVMMU_FIELDS_MAX 24
/* Every field of the entry, bits no field covers but that are set included (named "unknown"), highest bit last.
 * Returns their number, at most NVMMU_FIELDS_MAX. */
size_t nvmmu_entry_fields(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                          struct nvmmu_field out[NVMMU_FIELDS_MAX]);

/* ---- memory and spaces -------------------------------------------------------------------------------- */

/* Memory the GPU addresses [base, base + size) of an aperture stand for. `base` and `cpu` are multiples of 8. */
struct nvmmu_window {
    uint64_t base, size;
    void *cpu;
    uint8_t aperture; /* enum nvmmu_aperture */
};

/* What a walk needs to know. The windows must outlive it. */
struct nvmmu_space {
    const struct nvmmu_format *format;
    const struct nvmmu_window *windows;
    size_t window_count;
    uint64_t root;         /* address of the root directory (Tesla: the entries in an instance block), or only table */
    uint8_t root_aperture; /* enum nvmmu_aperture */
};

/* Why an access faults; values of the fault buffer's type field (gv100 dev_fault). */
enum nvmmu_fault {
    NVMMU_FAULT_PDE = 0x00,      /* no table at some level (or outside every window) */
    NVMMU_FAULT_PDE_SIZE = 0x01, /* an entry that its level cannot hold, or beyond a short table */
    NVMMU_FAULT_PTE = 0x02,      /* entry not valid, or hidden */
    NVMMU_FAULT_VA_LIMIT = 0x03, /* address above the VA bits */
};
const char *nvmmu_fault_name(enum nvmmu_fault fault);

/* What is at an address. */
enum nvmmu_state {
    NVMMU_UNMAPPED = 0, /* an access faults */
    NVMMU_MAPPED = 1,
    NVMMU_SPARSE = 2, /* reads give zero, writes vanish */
};

/* One step down. */
struct nvmmu_step {
    enum nvmmu_level level;
    uint8_t aperture;   /* of the table */
    uint64_t table;     /* address of the table */
    uint32_t index;
    uint64_t word[2];
    struct nvmmu_entry entry;
};
#define NVMMU_STEPS_MAX 7

struct nvmmu_walk {
    enum nvmmu_state state;
    enum nvmmu_fault fault;  /* UNMAPPED */
    enum nvmmu_level level;  /* level of the entry that decided */
    unsigned shift;          /* log2 of the bytes that entry covers */
    uint64_t pa;             /* MAPPED: address of the byte */
    struct nvmmu_pte page;   /* MAPPED */
    size_t step_count;
    struct nvmmu_step step[NVMMU_STEPS_MAX];
};
/* Walks one address, level by level, and keeps every step. For people; nvmmu_translate() is for engines. */
void nvmmu_walk(const struct nvmmu_space *s, uint64_t va, struct nvmmu_walk *out);

/* The quick translation. `limit`: bytes from va to the end of the page (or of the hole that one entry makes). */
struct nvmmu_translation {
    enum nvmmu_state state;
    enum nvmmu_fault fault; /* UNMAPPED */
    uint64_t pa;
    uint64_t limit;
    uint64_t word; /* the entry; MAPPED and SPARSE */
    uint8_t aperture;
    uint8_t shift;
    bool ro, priv;
};
void nvmmu_translate(const struct nvmmu_space *s, uint64_t va, struct nvmmu_translation *out);

/* How the entry of a page reads in a format. Private. */
struct nvmmu_reading {
    uint64_t valid;
    uint64_t address[2]; /* its bits, of local and of system memory; the address is these times address_unit */
    uint64_t system;     /* the aperture's bit that says which */
    uint64_t address_unit;
    uint64_t ro, priv;
    uint64_t block;       /* log2 of the pages of its run; 0: it has none */
    uint8_t aperture_low; /* lowest bit of the aperture */
    uint8_t block_low;
};

/* The tables in a space's first window, as directory entries point at them: where (word & mask) - first, turned until
 * the lowest bit of its address is bit 0, is no more than `last`, it is a table's place at `cpu`. Private. */
struct nvmmu_view {
    uint64_t mask, first, last;
    uintptr_t cpu;
};
struct nvmmu_views {
    struct nvmmu_view next, big; /* directories and SPTs; LPTs */
};

/* The entry of a page and the address that it gives. An entry that is not valid: none. Private. */
struct nvmmu_leaf {
    uint64_t word, pa;
};

/*
 * The same for many addresses: remembers tables, as a TLB does, and must forget them when one would (the flush hook of
 * a vmm). Entries themselves are read every time. Embeddable; one user at a time; no clean-up.
 */
#define NVMMU_CURSOR_DIRECTORIES 32
struct nvmmu_cursor {
    struct nvmmu_space space;
    /* Private, as all that follows. The one table that decides about [first, first + span), if there is one. */
    uint64_t first, span;
    const char *table;
    uint64_t offsets;    /* the bits of an address that are inside a page of it */
    uint8_t entry_shift; /* offset from `first` >> this: offset into the table, but for the bits inside an entry */
    uint64_t tell, like; /* of entries that agree with `like` in these bits … */
    uint64_t address;    /* … the bits of the address … */
    uint64_t run;        /* … and the offsets inside the run of pages */
    uint64_t last;       /* address that another table decided about … */
    uint64_t found;      /* … and the offsets in its page */
    struct nvmmu_reading reading;
    struct nvmmu_views views;
    struct nvmmu_leaf (*seek)(struct nvmmu_cursor *c, uint64_t va); /* where another table decides */
    struct nvmmu_cursor_directory {
        uint64_t va;
        const uint64_t *table;
    } directory[NVMMU_CURSOR_DIRECTORIES];
};
void nvmmu_cursor_init(struct nvmmu_cursor *c, const struct nvmmu_space *s);
/* Tables may have changed. */
void nvmmu_cursor_forget(struct nvmmu_cursor *c);

/* What the entry of a page with these offsets says about va, beside its address. Private. */
static inline void nvmmu__page_read(const struct nvmmu_reading *r, struct nvmmu_leaf leaf, uint64_t offsets, uint64_t va,
                                    struct nvmmu_translation *out)
{
    out->state = NVMMU_MAPPED;
    out->fault = NVMMU_FAULT_PDE;
    out->pa = leaf.pa;
    out->limit = offsets + 1 - (va & offsets);
    out->word = leaf.word;
    out->aperture = (uint8_t)(leaf.word >> r->aperture_low & 3);
    out->shift = (uint8_t)__builtin_ctzll(offsets + 1);
    out->ro = (leaf.word & r->ro) != 0;
    out->priv = (leaf.word & r->priv) != 0;
}

/* Answers as nvmmu_translate(). Inline as far as the table at hand goes: what the caller does not look at costs
 * nothing. */
static inline void nvmmu_cursor_translate(struct nvmmu_cursor *c, uint64_t va, struct nvmmu_translation *out)
{
    struct nvmmu_translation found; /* not *out, which may then stay in registers */
    struct nvmmu_leaf leaf;
    uint64_t offset = va - c->first;

    if (__builtin_expect(offset < c->span, 1)) {
        leaf.word = __atomic_load_n((const uint64_t *)(c->table + (offset >> c->entry_shift & ~7ull)), __ATOMIC_RELAXED);
        if (__builtin_expect((leaf.word & c->tell) == c->like, 1)) {
            leaf.pa = (leaf.word & c->address) * c->reading.address_unit + (va & c->run);
            nvmmu__page_read(&c->reading, leaf, c->offsets, va, out);
            return;
        }
    }
    leaf = c->seek(c, va);
    if (__builtin_expect((leaf.word & c->reading.valid) != 0, 1)) {
        nvmmu__page_read(&c->reading, leaf, c->found, va, out);
        return;
    }
    nvmmu_translate(&c->space, va, &found);
    *out = found;
}

/*
 * Iteration over [va, va + size) as extents: neighbouring pages that are physically contiguous and equal in
 * aperture, peer, kind and attributes; neighbouring sparse or unmapped addresses. Together they cover the range
 * exactly. A range beyond the VA bits is cut there. Remembers tables, as a cursor does: none may go before the last
 * call. Embeddable; no clean-up.
 */
struct nvmmu_extent {
    enum nvmmu_state state;
    uint64_t va, size;
    uint64_t pa;            /* MAPPED: physical address of the first byte */
    struct nvmmu_pte page;  /* MAPPED: attributes (addr is that of the first entry) */
    uint8_t shift;          /* MAPPED: of the first page */
};
struct nvmmu_extents {
    struct nvmmu_space space;
    uint64_t va, end;
    /* Private, as all that follows. */
    struct nvmmu_views views;
    struct nvmmu_run { /* what one table says in a row */
        uint64_t va, size;
        enum nvmmu_state state;
        uint8_t level;        /* MAPPED: index into the format's levels */
        uint64_t word, after; /* MAPPED: the first entry, and the one that would go on behind the last; 0: none would */
    } next;
    bool pending;
    struct nvmmu_row { /* entries of a leaf table that alone decide, from va on */
        const uint64_t *entry;
        uint64_t left;
        uint8_t level;
    } row;
    struct nvmmu_tables { /* leaf tables: both decide about [va, va + size) */
        uint64_t va, size;
        const uint64_t *big, *small;
        uint8_t shrink; /* they have their first entries >> this only */
    } leaf;
    struct { /* the PD0 table of [va, va + size) */
        uint64_t va, size;
        const uint64_t *table;
    } pd0;
    struct { /* the entry last decoded */
        uint64_t word;
        uint8_t level;
        struct nvmmu_pte pte;
    } page;
};
void nvmmu_extents_init(struct nvmmu_extents *it, const struct nvmmu_space *s, uint64_t va, uint64_t size);
bool nvmmu_extents_next(struct nvmmu_extents *it, struct nvmmu_extent *out);

#ifdef __cplusplus
}
#endif
#endif
