/*
 * nvmmu vmm: the tree of page tables of one address space, with nouveau's policy. Keeps references per page size,
 * makes and frees tables, writes entries, and says when TLBs must be flushed. Behaves as nvkm's raw operations do
 * (Linux 7.2 nvkm/subdev/mmu/vmm.c, uvmm.c), the ones VM_BIND uses; deviations are in docs/deviations.md.
 *
 * Life of a mapping: get (tables, references) -> map (entries) -> unmap (entries) -> put (references, tables).
 * Sparse ranges are taken and dropped with sparse; entries below them are sparse when nothing is mapped.
 *
 * Locking. The caller serialises all calls on one vmm. Walks through <nvmmu/format.h> may run meanwhile: a table is
 * complete before an entry points at it, entries change by single 64-bit stores, and memory of a table is freed
 * only after the flush that follows its unlinking.
 *
 * Failure. A call that fails leaves tables, references and entries as they were; of parts, those before the one that is
 * refused stay mapped. map and unmap allocate nothing.
 */
#ifndef NVMMU_VMM_H
#define NVMMU_VMM_H

#include <nvmmu/format.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nvmmu_vmm;

/* Memory of one hardware table (or of a page shared by small ones), in a window of the vmm's. */
struct nvmmu_table_mem {
    uint64_t addr;
    void *cpu;
    uint8_t aperture; /* NVMMU_VRAM, NVMMU_HOST or NVMMU_NCOH */
    bool zeroed;      /* every byte is known to be 0 */
};

/* A TLB flush: everything in [va, va + size) may have changed. */
struct nvmmu_flush {
    uint64_t root;
    uint8_t root_aperture;
    uint8_t depth; /* how far from the root the highest changed table is (nvkm's depth) */
    bool bar;      /* the space belongs to the BARs */
    uint64_t va, size;
};

struct nvmmu_vmm_hooks {
    void *ctx;
    /* Memory for tables, `size` bytes aligned to `align`; content undefined unless the hook sets `zeroed`, which saves
     * clearing it (*out comes zeroed itself). 0 or -ENOMEM. Must be inside a window. */
    int (*alloc_table)(void *ctx, size_t size, size_t align, struct nvmmu_table_mem *out);
    /* mem->zeroed: all entries have gone back to 0, and these `size` bytes may be handed out again as they are. */
    void (*free_table)(void *ctx, const struct nvmmu_table_mem *mem, size_t size);
    /* TLBs must forget now. Tables unlinked before are freed when it returns. NULL: nobody caches. */
    void (*flush)(void *ctx, const struct nvmmu_flush *flush);
    /* `count` entries from `index` of the table at `table` were written. For tests of the order. NULL: nobody asks. */
    void (*wrote)(void *ctx, uint64_t table, uint32_t index, uint32_t count);
};

/* Zero it, set `size` to sizeof(struct nvmmu_vmm_config), fill the rest. */
struct nvmmu_vmm_config {
    size_t size;
    const struct nvmmu_format *format;
    const struct nvmmu_window *windows; /* all memory tables may lie in; copied */
    size_t window_count;
    uint64_t kernel_addr, kernel_size; /* not for the raw operations: [kernel_addr, + kernel_size) */
    bool gsp_rm; /* GSP firmware is in charge: compressible kinds are kept */
    /* References on smaller pages (or sparse entries) below leave a page that is mapped as it is, hiding them, until it
     * is unmapped. false: it gives way at once, as nouveau has it. For references that are taken ahead of the job that
     * unmaps the page. */
    bool keep_large;
    uint64_t start, limit; /* the space has the addresses [start, limit); both 0: all of the format */
    uint64_t stolen; /* mcp77: address in system memory where VRAM begins; 0: there is VRAM */
    uint64_t dummy;  /* nv44: address of 16 KiB that unmapped addresses may show */
    struct nvmmu_vmm_hooks hooks;
    struct gpuvm_alloc alloc; /* for software state */
};

/*
 * Makes a space with an empty root directory (nvkm_vmm_new_, type RAW).
 * -EINVAL: config->size unknown, no format, kernel area wraps or exceeds the VA bits, or limit does, or start is not
 * below it. -ENOMEM.
 */
int nvmmu_vmm_create(const struct nvmmu_vmm_config *config, struct nvmmu_vmm **out);
/* Frees the space with all its tables, whatever is still referenced. NULL ok. */
void nvmmu_vmm_destroy(struct nvmmu_vmm *vmm);

/* What a walk of this space needs. Holds as long as the vmm. */
struct nvmmu_space nvmmu_vmm_space(const struct nvmmu_vmm *vmm);

/* Verifies every invariant (counters, entries, links). 0, or -EUCLEAN with one line in why[n]. Slow; for tests. */
int nvmmu_vmm_check(const struct nvmmu_vmm *vmm, char *why, size_t n);

/*
 * Batches: between begin and end flushes are collected into one, and tables that were unlinked wait for it
 * (FLUSH-MERGE). Nestable. Each call outside a batch is a batch of its own.
 */
void nvmmu_vmm_begin(struct nvmmu_vmm *vmm);
void nvmmu_vmm_end(struct nvmmu_vmm *vmm);

/* The space is (no longer) that of the BARs: its flushes say so. */
void nvmmu_vmm_set_bar(struct nvmmu_vmm *vmm, bool bar);
/* Flushes the whole space, as for a change `depth` below the root; at the end of the batch, if one is open. */
void nvmmu_vmm_flush(struct nvmmu_vmm *vmm, unsigned depth);

/*
 * The raw operations. For all: [va, va + size) must lie in one of the client's areas (below or above the kernel's),
 * `shift` must be one of the format's page sizes, size a non-zero multiple of it: otherwise -EINVAL.
 */

/* References the entries, building tables. va a multiple of the page (deviation RAW-ALIGN). -ENOMEM. Tesla: -EINVAL
 * where a block of 512 MiB has pages of the other size (PAGE-BLOCK). */
int nvmmu_vmm_get(struct nvmmu_vmm *vmm, uint64_t va, uint64_t size, unsigned shift);
/* Drops references, freeing tables that lose their last one. -EINVAL: an entry without a reference (DOUBLE-PUT). */
int nvmmu_vmm_put(struct nvmmu_vmm *vmm, uint64_t va, uint64_t size, unsigned shift);

/* Physical memory of an object: pieces in object order; all addr and size are multiples of 4 KiB. */
struct nvmmu_piece {
    uint64_t addr, size;
};

struct nvmmu_map {
    uint64_t va, size; /* bytes */
    unsigned shift;    /* page size to use */
    /* The object. */
    uint8_t target;      /* NVMMU_VRAM, NVMMU_HOST, NVMMU_NCOH */
    uint8_t object_shift; /* smallest page that its pieces are contiguous and aligned for */
    uint64_t offset;     /* into the object */
    /* Exactly one of: pieces, or addresses of 4 KiB pages (shift must be 12). */
    const struct nvmmu_piece *pieces;
    size_t piece_count;
    const uint64_t *pages;
    size_t page_count;
    /* Attributes. */
    uint8_t kind;
    bool vol, ro, priv;
    bool defaults; /* nouveau's empty arguments: vol where the target is coherent host memory, the rest 0 */
    /* Fermi to Maxwell: keep a compressible kind; the pages have the tag lines from `comptag` on, the line of the
     * object's first byte (nouveau without no_comp). Without it the uncompressed kind of the same layout is written. */
    bool comptags;
    uint32_t comptag;
    /* Tesla: the order over the banks that an object in VRAM was allocated for, 1 (also as 0) or 2. */
    uint8_t storage;
    /* Tesla: compression mode, 1 to 3; the object has `comp` tags for each 64 KiB, from `comptag` on. 0: none. */
    uint8_t comp;
};

/*
 * Writes the entries of referenced pages. Allocates nothing. -EINVAL: the page size does not suit the target, va,
 * size or offset are not multiples of the page, the object's pages are smaller or it is too short, the kind is
 * refused, (Fermi to Maxwell) compressible and the page size or the aperture is not, (Tesla) not for the object's
 * storage, or compression is asked for where the page size or the aperture has none, an address does not fit its field
 * (ADDR-WIDTH), or an entry has no reference (MAP-UNREFERENCED). Before Tesla a map has no attributes.
 */
int nvmmu_vmm_map(struct nvmmu_vmm *vmm, const struct nvmmu_map *map);
/* A part of an object, and where and how it is mapped: as these are in struct nvmmu_map. */
struct nvmmu_part {
    uint64_t va, size, offset; /* bytes */
    unsigned shift;
    uint8_t kind;
};
/*
 * Maps parts of one object, in order and in one batch: each as nvmmu_vmm_map() does with its values in place of
 * `map`'s. What they have in common is found out once, and a part that goes to the table of the one before finds it.
 * Allocates nothing. Returns how many were mapped: n, or the index of the first that is refused (-EINVAL there), from
 * which on nothing was written.
 */
size_t nvmmu_vmm_map_parts(struct nvmmu_vmm *vmm, const struct nvmmu_map *map, const struct nvmmu_part *parts,
                           size_t n);
/* Clears entries of referenced pages, to sparse or to not valid. Allocates nothing. -EINVAL: as above. */
int nvmmu_vmm_unmap(struct nvmmu_vmm *vmm, uint64_t va, uint64_t size, unsigned shift, bool sparse);

/*
 * Makes [va, va + size) sparse with the largest pages that fit, or undoes exactly that. Pages mapped in the range
 * stay until they are unmapped, and its entries then become sparse, whatever unmap says (UNMAP-THEN-SPARSE). -EINVAL: the format has no
 * sparse pages, size is not a multiple of 4 KiB, it overlaps a sparse range (SPARSE-OVERLAP), or (ref false) no
 * sparse range has these bounds. -ENOMEM.
 */
int nvmmu_vmm_sparse(struct nvmmu_vmm *vmm, uint64_t va, uint64_t size, bool ref);

/* ---- pfn maps (shared virtual memory) ------------------------------------------------------------------- */

/* A page as pfn maps take it: bits 63:12 of its address, and: */
#define NVMMU_PFN_VALID  (1ull << 0)
#define NVMMU_PFN_WRITE  (1ull << 1) /* otherwise read-only */
#define NVMMU_PFN_ATOMIC (1ull << 2)
#define NVMMU_PFN_VRAM   (1ull << 4) /* bits 7:4; 0: coherent system memory */

/*
 * Makes [va, va + size) what pfn[] says, one word a page: valid pages are referenced and mapped, or mapped anew; the
 * others unmapped and their references dropped. A page that cannot be mapped (out of memory, an address or bits 7:4
 * that fit no entry, held by a raw reference) stays as it was, and its word becomes 0: look at the words, not only at
 * the result. The raw operations refuse pages mapped this way.
 * -EINVAL: shift is no size for pfn maps (Pascal and later: 12, 21), the range is not whole pages of a client's area.
 */
int nvmmu_vmm_pfn_map(struct nvmmu_vmm *vmm, unsigned shift, uint64_t va, uint64_t size, uint64_t *pfn);
/* Unmaps every pfn page that touches [va, va + size). -EINVAL: empty, or not in a client's area. */
int nvmmu_vmm_pfn_clear(struct nvmmu_vmm *vmm, uint64_t va, uint64_t size);

/* ---- looking inside ----------------------------------------------------------------------------------- */

/* A hardware table, for dumps and tests. */
struct nvmmu_table_info {
    enum nvmmu_level level;
    uint64_t va;       /* first address it covers */
    uint64_t addr;     /* where it is */
    uint8_t aperture;
    uint32_t entries;
    const void *cpu;   /* entries * entry_bytes */
};
/* Calls `visit` for every hardware table, root first, in address order, a directory before what is below it; a
 * non-zero result ends it and is returned. */
int nvmmu_vmm_tables(const struct nvmmu_vmm *vmm, int (*visit)(void *ctx, const struct nvmmu_table_info *), void *ctx);

/* A software table (nvkm's counters): one leaf stands for LPT and SPT of one PD0 entry. */
struct nvmmu_counters {
    unsigned depth_from_leaf; /* nvkm's level: 0 is the leaf */
    uint64_t va;
    uint32_t refs[2]; /* [0] directory or big, [1] small */
    bool sparse;
};
/* Calls `visit` for every software table, root first, a directory before what is below it; a non-zero result ends it
 * and is returned. */
int nvmmu_vmm_counters(const struct nvmmu_vmm *vmm, int (*visit)(void *ctx, const struct nvmmu_counters *), void *ctx);

#ifdef __cplusplus
}
#endif
#endif
