/* Laws of the page tables, each by its name. */
#include "nvmmu_support.h"

#define VA     0x6a28000000ull /* a PD0 entry's first address */
#define VRAM   0x10000000ull
#define POISON 0xa5a5a5a5a5a5a5a5ull

struct fixture {
    struct bank *b;
    struct nvmmu_vmm *v;
};

static struct fixture open_as(const char *format)
{
    struct fixture f = {.b = bank_new()};

    f.v = vmm_new(f.b, format);
    return f;
}

static void close_all(struct fixture f)
{
    vmm_require_sound(f.v);
    nvmmu_vmm_destroy(f.v);
    bank_delete(f.b);
}

static void get_and_map(struct fixture f, uint64_t va, uint64_t size, unsigned shift, uint64_t pa)
{
    REQUIRE(nvmmu_vmm_get(f.v, va, size, shift) == 0, "get");
    REQUIRE(map_piece(f.v, va, size, shift, NVMMU_VRAM, pa) == 0, "map");
}

static void unmap_and_put(struct fixture f, uint64_t va, uint64_t size, unsigned shift, bool sparse)
{
    REQUIRE(nvmmu_vmm_unmap(f.v, va, size, shift, sparse) == 0, "unmap");
    REQUIRE(nvmmu_vmm_put(f.v, va, size, shift) == 0, "put");
}

struct find {
    enum nvmmu_level level;
    uint64_t va;
    const uint64_t *entry;
};

static int find_visit(void *ctx, const struct nvmmu_table_info *t)
{
    struct find *f = ctx;

    if (t->level == f->level && t->va == f->va)
        f->entry = t->cpu;
    return f->entry != NULL;
}

/* The entries of the table at (level, va); NULL: no such table. */
static const uint64_t *entries_of(struct fixture f, enum nvmmu_level level, uint64_t va)
{
    struct find find = {level, va, NULL};

    nvmmu_vmm_tables(f.v, find_visit, &find);
    return find.entry;
}

static const uint64_t *pd0_entry(struct fixture f, uint64_t va)
{
    return entries_of(f, NVMMU_PD0, va & ~(512 * MiB - 1)) + 2 * (va >> 21 & 255);
}

static enum nvmmu_state state_at(struct fixture f, uint64_t va)
{
    return walk_at(f.v, va).state;
}

/* `call` gives -EINVAL and changes nothing. */
#define REFUSED(f, call)                                                                                               \
    do {                                                                                                               \
        struct digest before_ = digest_of((f).v);                                                                      \
        unsigned flushes_ = (f).b->flushes;                                                                            \
        int ret_ = (call);                                                                                             \
        REQUIRE(ret_ == -EINVAL, "%d", ret_);                                                                          \
        REQUIRE(digest_of((f).v).hash == before_.hash, "state changed");                                               \
        REQUIRE((f).b->flushes == flushes_, "flushed");                                                                \
    } while (0)

/* ---- order ------------------------------------------------------------------------------------------------------ */

struct order {
    unsigned written, flushed, freed;
};

static void note_written(struct bank *b, uint64_t table, uint32_t index, uint32_t count)
{
    struct order *o = b->watcher;

    (void)table, (void)index, (void)count;
    o->written++;
    o->flushed = b->flushes;
}

static void require_flushed(struct bank *b, uint64_t addr)
{
    struct order *o = b->watcher;

    o->freed++;
    REQUIRE(b->flushes > o->flushed, "table 0x%" PRIx64 " freed before the flush", addr);
}

static void tables_are_freed_after_the_flush_that_follows_their_unlinking(void)
{
    struct fixture f = open_as("tu102");
    struct order o = {0};

    f.b->watcher = &o;
    f.b->on_wrote = note_written;
    f.b->on_free = require_flushed;
    get_and_map(f, VA, 64 * MiB, 12, VRAM);
    unmap_and_put(f, VA, 64 * MiB, 12, false);
    REQUIRE(o.freed == 32 + 3, "%u freed", o.freed);

    nvmmu_vmm_begin(f.v);
    for (unsigned i = 0; i < 4; i++) {
        get_and_map(f, VA, 4 * MiB, 16, VRAM);
        unmap_and_put(f, VA, 4 * MiB, 16, false);
        REQUIRE(o.freed == 32 + 3, "freed within a batch");
    }
    nvmmu_vmm_end(f.v);
    REQUIRE(o.freed > 32 + 3, "nothing freed after the batch");
    f.b->on_wrote = NULL;
    close_all(f);
}

static void require_complete(struct bank *b, const struct nvmmu_pde *to, enum nvmmu_level level)
{
    unsigned words = level == NVMMU_LPT ? 32 : 512;

    for (unsigned i = 0; to->present && i < words; i++)
        REQUIRE(b->memory[(to->addr - BANK_BASE) / 8 + i] != POISON, "an entry points at a table whose word %u was never written", i);
}

/* Looks at what the written entry points at. The level of a table is not known here: only PD0's are asked. */
static void require_target_complete(struct bank *b, uint64_t table, uint32_t index, uint32_t count)
{
    const struct nvmmu_format *tu102 = nvmmu_format_find("tu102");
    const uint64_t *word = b->memory + (table - BANK_BASE) / 8;
    uint64_t *pd0 = b->watcher;
    struct nvmmu_entry e;

    if (table == *pd0 && count == 1) {
        nvmmu_entry_decode(tu102, NVMMU_PD0, word + 2 * index, &e);
        require_complete(b, &e.big, NVMMU_LPT);
        require_complete(b, &e.next, NVMMU_SPT);
    }
}

static int pd0_address(void *ctx, const struct nvmmu_table_info *t)
{
    if (t->level == NVMMU_PD0)
        *(uint64_t *)ctx = t->addr;
    return 0;
}

static void a_table_is_complete_before_an_entry_points_at_it(void)
{
    struct fixture f = open_as("tu102");
    uint64_t pd0 = 0;

    REQUIRE(nvmmu_vmm_get(f.v, VA + 256 * MiB, 2 * MiB, 21) == 0, "get"); /* so that PD0 is known */
    nvmmu_vmm_tables(f.v, pd0_address, &pd0);
    f.b->watcher = &pd0;
    f.b->on_wrote = require_target_complete;
    get_and_map(f, VA, 8 * MiB, 12, VRAM);
    get_and_map(f, VA + 4 * MiB, 8 * MiB, 16, VRAM);
    REQUIRE(nvmmu_vmm_sparse(f.v, VA + 32 * MiB + 0x1000, 8 * MiB, true) == 0, "sparse");
    REQUIRE(nvmmu_vmm_get(f.v, VA + 36 * MiB, 4 * MiB, 12) == 0, "get");
    f.b->on_wrote = NULL;
    close_all(f);
}

static void one_call_or_batch_flushes_once_and_only_if_entries_changed(void)
{
    struct fixture f = open_as("tu102");

    REQUIRE(nvmmu_vmm_get(f.v, VA, 64 * MiB, 16) == 0, "get");
    REQUIRE(f.b->flushes == 1, "%u", f.b->flushes);
    REQUIRE(f.b->last.depth == 0 && f.b->last.bar == false, "depth %u", f.b->last.depth);
    REQUIRE(nvmmu_vmm_get(f.v, VA, 64 * MiB, 16) == 0, "get again");
    REQUIRE(f.b->flushes == 1, "a get that makes no table flushed");
    REQUIRE(map_piece(f.v, VA, 64 * MiB, 16, NVMMU_VRAM, VRAM) == 0, "map");
    REQUIRE(f.b->flushes == 2 && f.b->last.depth == 4 && f.b->last.va == VA && f.b->last.size == 64 * MiB,
            "depth %u va 0x%" PRIx64 " size 0x%" PRIx64, f.b->last.depth, f.b->last.va, f.b->last.size);
    REQUIRE(nvmmu_vmm_put(f.v, VA, 64 * MiB, 16) == 0, "put");
    REQUIRE(f.b->flushes == 2, "a put that frees no table flushed");
    nvmmu_vmm_begin(f.v);
    nvmmu_vmm_begin(f.v);
    unmap_and_put(f, VA, 64 * MiB, 16, false);
    nvmmu_vmm_end(f.v);
    REQUIRE(f.b->flushes == 2, "flushed inside a batch");
    nvmmu_vmm_end(f.v);
    REQUIRE(f.b->flushes == 3, "%u", f.b->flushes);
    close_all(f);
}

/* ---- what is refused ---------------------------------------------------------------------------------------------- */

static void a_reference_is_dropped_once(void)
{
    struct fixture f = open_as("gp100");

    REQUIRE(nvmmu_vmm_get(f.v, VA, 0x8000, 12) == 0, "get");
    REFUSED(f, nvmmu_vmm_put(f.v, VA, 0x9000, 12));
    REFUSED(f, nvmmu_vmm_put(f.v, VA, 0x10000, 16));
    REFUSED(f, nvmmu_vmm_put(f.v, VA + 2 * MiB, 0x1000, 12));
    REQUIRE(nvmmu_vmm_get(f.v, VA + 0x4000, 0x1000, 12) == 0, "second reference");
    REQUIRE(nvmmu_vmm_put(f.v, VA, 0x8000, 12) == 0, "put");
    REFUSED(f, nvmmu_vmm_put(f.v, VA, 0x8000, 12));
    REQUIRE(nvmmu_vmm_put(f.v, VA + 0x4000, 0x1000, 12) == 0, "put of the second reference");
    REFUSED(f, nvmmu_vmm_put(f.v, VA + 0x4000, 0x1000, 12));
    REQUIRE(digest_of(f.v).tables == 1, "tables left");
    close_all(f);
}

static void only_referenced_entries_are_mapped_and_unmapped(void)
{
    struct fixture f = open_as("gp100");

    REFUSED(f, map_piece(f.v, VA, 0x1000, 12, NVMMU_VRAM, VRAM));
    REQUIRE(nvmmu_vmm_get(f.v, VA, 4 * MiB - 0x1000, 12) == 0, "get");
    REFUSED(f, map_piece(f.v, VA, 4 * MiB, 12, NVMMU_VRAM, VRAM));
    REFUSED(f, map_piece(f.v, VA, 2 * MiB, 16, NVMMU_VRAM, VRAM));
    REFUSED(f, nvmmu_vmm_unmap(f.v, VA, 4 * MiB, 12, false));
    REQUIRE(nvmmu_vmm_sparse(f.v, VA + 8 * MiB, 0x10000, true) == 0, "sparse");
    REFUSED(f, map_piece(f.v, VA + 8 * MiB, 0x10000, 16, NVMMU_VRAM, VRAM));
    close_all(f);
}

static void sparse_ranges_do_not_overlap_and_go_as_they_came(void)
{
    struct fixture f = open_as("tu102");

    REQUIRE(nvmmu_vmm_sparse(f.v, VA, 4 * MiB, true) == 0, "sparse");
    REFUSED(f, nvmmu_vmm_sparse(f.v, VA + 4 * MiB - 0x1000, 0x2000, true));
    REFUSED(f, nvmmu_vmm_sparse(f.v, VA - 0x1000, 0x2000, true));
    REFUSED(f, nvmmu_vmm_sparse(f.v, VA + MiB, 0x1000, true));
    REFUSED(f, nvmmu_vmm_sparse(f.v, VA, 2 * MiB, false));
    REFUSED(f, nvmmu_vmm_sparse(f.v, VA + 8 * MiB, 4 * MiB, false));
    REFUSED(f, nvmmu_vmm_sparse(f.v, VA + 16 * MiB, 0x1800, true));
    REQUIRE(nvmmu_vmm_sparse(f.v, VA + 4 * MiB, 0x1000, true) == 0, "neighbour");
    REQUIRE(nvmmu_vmm_sparse(f.v, VA, 4 * MiB, false) == 0, "undo");
    REQUIRE(state_at(f, VA + 4 * MiB) == NVMMU_SPARSE && state_at(f, VA) == NVMMU_UNMAPPED, "neighbour went too");
    REQUIRE(nvmmu_vmm_sparse(f.v, VA + 4 * MiB, 0x1000, false) == 0, "undo");
    REQUIRE(digest_of(f.v).tables == 1, "tables left");
    close_all(f);
}

static void addresses_fit_their_fields(void)
{
    struct fixture f = open_as("tu102");
    struct nvmmu_piece pieces[2] = {{VRAM, 0x10000}, {(1ull << 37) - 0x10000, 0x20000}};
    uint64_t pages[2] = {0x1000, 1ull << 58};
    struct nvmmu_map map = {.va = VA, .size = 0x20000, .shift = 16, .target = NVMMU_VRAM, .object_shift = 16,
                            .pieces = pieces, .piece_count = 2};
    struct nvmmu_map list = {.va = VA + 4 * MiB, .size = 0x2000, .shift = 12, .target = NVMMU_HOST,
                             .object_shift = 12, .pages = pages, .page_count = 2};

    REQUIRE(nvmmu_vmm_get(f.v, VA, 0x30000, 16) == 0, "get");
    REQUIRE(nvmmu_vmm_get(f.v, VA + 4 * MiB, 0x2000, 12) == 0, "get");
    REQUIRE(nvmmu_vmm_map(f.v, &map) == 0, "the part that fits");
    map.size = 0x30000;
    REFUSED(f, nvmmu_vmm_map(f.v, &map));
    REFUSED(f, nvmmu_vmm_map(f.v, &list));
    pages[1] = 0x1800;
    REFUSED(f, nvmmu_vmm_map(f.v, &list));
    pages[1] = (1ull << 58) - 0x1000;
    REQUIRE(nvmmu_vmm_map(f.v, &list) == 0, "the last host page");
    list.target = NVMMU_VRAM;
    REFUSED(f, nvmmu_vmm_map(f.v, &list));
    close_all(f);
}

static int wide_alloc(void *ctx, size_t size, size_t align, struct nvmmu_table_mem *out)
{
    int ret = bank_alloc_table(ctx, size, align, out);

    if (!ret && ((struct bank *)ctx)->watcher)
        out->addr += 1ull << 37;
    return ret;
}

static void wide_free(void *ctx, const struct nvmmu_table_mem *mem, size_t size)
{
    struct nvmmu_table_mem narrow = *mem;

    narrow.addr &= (1ull << 37) - 1;
    bank_free_table(ctx, &narrow, size);
}

static void memory_of_tables_fits_the_entries_that_point_at_it(void)
{
    struct fixture f = {.b = bank_new()};
    struct nvmmu_vmm_config config = bank_config(f.b, "tu102");

    config.hooks.alloc_table = wide_alloc;
    config.hooks.free_table = wide_free;
    REQUIRE(nvmmu_vmm_create(&config, &f.v) == 0, "create");
    f.b->watcher = &config;
    REFUSED(f, nvmmu_vmm_get(f.v, VA, 0x1000, 12));
    REFUSED(f, nvmmu_vmm_get(f.v, VA, 0x10000, 16));
    f.b->watcher = NULL;
    close_all(f);
}

struct zeros {
    unsigned given, back; /* tables that were said to be zero */
};

static int zeros_alloc(void *ctx, size_t size, size_t align, struct nvmmu_table_mem *out)
{
    struct bank *b = ctx;
    struct zeros *z = b->watcher;
    int ret = bank_alloc_table(b, size, align, out);

    z->given += !ret && out->zeroed;
    return ret;
}

static void zeros_free(void *ctx, const struct nvmmu_table_mem *mem, size_t size)
{
    struct bank *b = ctx;
    struct zeros *z = b->watcher;

    z->back += mem->zeroed;
    bank_free_table(b, mem, size);
}

/* That it is true is looked at by every test's bank. */
static void a_table_that_was_emptied_to_zeros_says_so_and_is_not_cleared_again(void)
{
    struct fixture f = {.b = bank_new()};
    struct nvmmu_vmm_config config = bank_config(f.b, "tu102");
    struct zeros z = {0};

    config.hooks.alloc_table = zeros_alloc;
    config.hooks.free_table = zeros_free;
    f.b->watcher = &z;
    REQUIRE(nvmmu_vmm_create(&config, &f.v) == 0, "create");
    for (unsigned i = 0; i < 2; i++) {
        get_and_map(f, VA, 2 * MiB, 12, VRAM);
        REQUIRE(nvmmu_vmm_unmap(f.v, VA, MiB, 12, false) == 0, "unmap");
        unmap_and_put(f, VA, 2 * MiB, 12, false);
        /* The SPT and three directories. */
        REQUIRE(z.back == 4 * i + 4 && z.given == 4 * i, "%u came back, %u were given", z.back, z.given);
    }
    z.back = 0;
    get_and_map(f, VA, 0x10000, 16, VRAM);
    unmap_and_put(f, VA, 0x10000, 16, false);
    REQUIRE(z.back == 3, "the LPT has hiding entries: %u", z.back);
    get_and_map(f, VA, 0x2000, 12, VRAM);
    REQUIRE(nvmmu_vmm_unmap(f.v, VA, 0x1000, 12, true) == 0, "unmap to sparse");
    REQUIRE(nvmmu_vmm_unmap(f.v, VA + 0x1000, 0x1000, 12, false) == 0, "unmap");
    REQUIRE(nvmmu_vmm_put(f.v, VA, 0x2000, 12) == 0, "put");
    REQUIRE(z.back == 6, "an entry of the SPT is sparse: %u", z.back);
    get_and_map(f, VA, 0x2000, 12, VRAM);
    REQUIRE(nvmmu_vmm_put(f.v, VA, 0x2000, 12) == 0, "put without unmap");
    REQUIRE(z.back == 9, "entries of the SPT are pages: %u", z.back);
    get_and_map(f, VA, 4 * MiB, 21, VRAM);
    unmap_and_put(f, VA, 4 * MiB, 21, false);
    REQUIRE(z.back == 12, "pages of a directory: %u", z.back);
    get_and_map(f, VA, 4 * MiB, 21, VRAM);
    REQUIRE(nvmmu_vmm_put(f.v, VA, 4 * MiB, 21) == 0, "put without unmap");
    REQUIRE(z.back == 14, "entries of the directory are pages: %u", z.back);
    close_all(f);
}

static void what_entries_cannot_say_is_refused(void)
{
    static const struct nvmmu_piece piece = {VRAM, 0x2000};
    static const uint64_t pages[] = {VRAM, VRAM + 0x1000};
    struct fixture f = open_as("nv50");
    struct nvmmu_map map = {.va = VA, .size = 0x2000, .shift = 12, .target = NVMMU_VRAM, .object_shift = 12, .vol = true};

    REQUIRE(nvmmu_vmm_get(f.v, VA, 0x2000, 12) == 0, "get");
    map.pieces = &piece;
    map.piece_count = 1;
    REFUSED(f, nvmmu_vmm_map(f.v, &map));
    map.pieces = NULL;
    map.pages = pages;
    map.page_count = 2;
    REFUSED(f, nvmmu_vmm_map(f.v, &map));
    map.vol = false;
    REQUIRE(nvmmu_vmm_map(f.v, &map) == 0, "without");
    REQUIRE(nvmmu_vmm_unmap(f.v, VA, 0x2000, 12, false) == 0, "unmap");
    REQUIRE(nvmmu_vmm_put(f.v, VA, 0x2000, 12) == 0, "put");
    close_all(f);
}

static void requests_are_whole_pages_in_a_clients_area(void)
{
    struct fixture f = {.b = bank_new()};
    struct nvmmu_vmm_config config = bank_config(f.b, "tu102");
    const uint64_t top = 1ull << 49;

    config.kernel_addr = 0x1000000000ull;
    config.kernel_size = 0x40000000ull;
    REQUIRE(nvmmu_vmm_create(&config, &f.v) == 0, "create");
    REFUSED(f, nvmmu_vmm_get(f.v, 0x1000000000ull, 0x1000, 12));
    REFUSED(f, nvmmu_vmm_get(f.v, 0xffffff000ull, 0x2000, 12));
    REFUSED(f, nvmmu_vmm_get(f.v, 0xfffff0000ull, 0x100000000ull, 16));
    REFUSED(f, nvmmu_vmm_sparse(f.v, 0x1000000000ull, 0x1000, true));
    REFUSED(f, nvmmu_vmm_get(f.v, top, 0x1000, 12));
    REFUSED(f, nvmmu_vmm_get(f.v, top - 0x1000, 0x2000, 12));
    REFUSED(f, nvmmu_vmm_get(f.v, VA, -VA, 12));
    REFUSED(f, nvmmu_vmm_get(f.v, VA, 0, 12));
    REFUSED(f, nvmmu_vmm_get(f.v, VA, 0x1800, 12));
    REFUSED(f, nvmmu_vmm_get(f.v, VA + 0x1000, 0x10000, 16));
    REFUSED(f, nvmmu_vmm_get(f.v, VA, 0x2000, 13));
    REFUSED(f, nvmmu_vmm_get(f.v, VA, 0x1000, 0));
    REFUSED(f, nvmmu_vmm_get(f.v, VA, 0x1000, 64));
    REQUIRE(nvmmu_vmm_get(f.v, 0xffffff000ull, 0x1000, 12) == 0, "below the kernel's area");
    REQUIRE(nvmmu_vmm_get(f.v, 0x1040000000ull, 0x1000, 12) == 0, "above it");
    REQUIRE(nvmmu_vmm_get(f.v, top - 0x1000, 0x1000, 12) == 0, "the last page");
    close_all(f);

    f.b = bank_new();
    config = bank_config(f.b, "tu102");
    config.kernel_addr = top - 0x1000;
    config.kernel_size = 0x2000;
    REQUIRE(nvmmu_vmm_create(&config, &f.v) == -EINVAL, "kernel area beyond the space");
    config.kernel_addr = ~0xfffull;
    REQUIRE(nvmmu_vmm_create(&config, &f.v) == -EINVAL, "kernel area that wraps");
    config = bank_config(f.b, "tu102");
    config.size--;
    REQUIRE(nvmmu_vmm_create(&config, &f.v) == -EINVAL, "unknown size");
    bank_delete(f.b);
}

static void memory_suits_the_page_size_and_the_kind_is_known(void)
{
    struct fixture f = open_as("tu102");
    struct nvmmu_piece piece = {VRAM, 0x20000};
    struct nvmmu_map good = {.va = VA, .size = 0x10000, .shift = 16, .target = NVMMU_VRAM, .object_shift = 16,
                             .pieces = &piece, .piece_count = 1, .kind = 6};
    struct nvmmu_map m;

    REQUIRE(nvmmu_vmm_get(f.v, VA, 0x20000, 16) == 0, "get");
    REQUIRE(nvmmu_vmm_map(f.v, &good) == 0, "good");
    m = good, m.target = NVMMU_HOST; /* system memory comes in 4 KiB pages */
    REFUSED(f, nvmmu_vmm_map(f.v, &m));
    m = good, m.target = NVMMU_PEER;
    REFUSED(f, nvmmu_vmm_map(f.v, &m));
    m = good, m.object_shift = 12;
    REFUSED(f, nvmmu_vmm_map(f.v, &m));
    m = good, m.offset = 0x1000;
    REFUSED(f, nvmmu_vmm_map(f.v, &m));
    m = good, m.offset = 0x20000;
    REFUSED(f, nvmmu_vmm_map(f.v, &m));
    m = good, m.offset = 0x10000, m.size = 0x20000;
    REFUSED(f, nvmmu_vmm_map(f.v, &m));
    m = good, m.kind = 7;
    REFUSED(f, nvmmu_vmm_map(f.v, &m));
    m = good, m.kind = 16;
    REFUSED(f, nvmmu_vmm_map(f.v, &m));
    m = good, m.pieces = NULL;
    REFUSED(f, nvmmu_vmm_map(f.v, &m));
    piece.addr += 0x1000;
    REFUSED(f, nvmmu_vmm_map(f.v, &good));
    close_all(f);
}

/* ---- sparse --------------------------------------------------------------------------------------------------------- */

static void a_page_in_a_sparse_2m_hole_leaves_the_hole_as_it_was(void)
{
    struct fixture f = open_as("tu102");
    const uint64_t *spt;

    REQUIRE(nvmmu_vmm_sparse(f.v, VA, 2 * MiB, true) == 0, "sparse");
    REQUIRE(pd0_entry(f, VA)[0] == 0x8 && pd0_entry(f, VA)[1] == 0, "PD0 entry");
    REQUIRE(walk_at(f.v, VA + 0x5000).level == NVMMU_PD0, "level");
    get_and_map(f, VA + 0x5000, 0x1000, 12, VRAM);
    spt = entries_of(f, NVMMU_SPT, VA);
    for (unsigned i = 0; i < 512; i++)
        REQUIRE(spt[i] == (i == 5 ? VRAM >> 4 | 1 : 0x8), "SPT entry %u: 0x%" PRIx64, i, spt[i]);
    REQUIRE(state_at(f, VA + 0x4fff) == NVMMU_SPARSE && state_at(f, VA + 0x5000) == NVMMU_MAPPED, "neighbours");
    unmap_and_put(f, VA + 0x5000, 0x1000, 12, true);
    REQUIRE(pd0_entry(f, VA)[0] == 0x8 && pd0_entry(f, VA)[1] == 0, "PD0 entry afterwards");
    close_all(f);
}

static void an_entry_of_a_sparse_range_is_sparse_again_whatever_unmap_says(void)
{
    static const unsigned shift[] = {12, 16, 21};
    struct fixture f = open_as("tu102");

    /* 2M + 64K + 4K of sparse entries of all three sizes. */
    REQUIRE(nvmmu_vmm_sparse(f.v, VA, 2 * MiB + 0x11000, true) == 0, "sparse");
    for (unsigned k = 0; k < 3; k++) {
        uint64_t size = 1ull << shift[k];

        for (unsigned flag = 0; flag < 2; flag++) {
            get_and_map(f, VA, size, shift[k], 2 * MiB);
            REQUIRE(state_at(f, VA) == NVMMU_MAPPED, "mapped");
            REQUIRE(nvmmu_vmm_unmap(f.v, VA, size, shift[k], flag) == 0, "unmap");
            REQUIRE(state_at(f, VA) == NVMMU_SPARSE, "shift %u flag %u", shift[k], flag);
            REQUIRE(nvmmu_vmm_put(f.v, VA, size, shift[k]) == 0, "put");
            REQUIRE(state_at(f, VA) == NVMMU_SPARSE, "after put: shift %u flag %u", shift[k], flag);
        }
    }
    close_all(f);
}

static void a_range_may_become_sparse_while_its_pages_wait_to_be_unmapped(void)
{
    static const unsigned shift[] = {12, 16, 21};

    for (unsigned k = 0; k < 3; k++) {
        struct fixture f = open_as("tu102");

        get_and_map(f, VA, 2 * MiB, shift[k], 2 * MiB);
        REQUIRE(nvmmu_vmm_sparse(f.v, VA, 4 * MiB, true) == 0, "sparse");
        REQUIRE(state_at(f, VA + MiB) == NVMMU_MAPPED && state_at(f, VA + 3 * MiB) == NVMMU_SPARSE, "before");
        unmap_and_put(f, VA, 2 * MiB, shift[k], false);
        REQUIRE(state_at(f, VA) == NVMMU_SPARSE && state_at(f, VA + 2 * MiB - 1) == NVMMU_SPARSE, "shift %u", shift[k]);
        REQUIRE(nvmmu_vmm_sparse(f.v, VA, 4 * MiB, false) == 0, "undo");
        REQUIRE(state_at(f, VA) == NVMMU_UNMAPPED && digest_of(f.v).tables == 1, "undone");
        close_all(f);
    }
}

static void unmap_to_sparse_holds_outside_sparse_ranges_too(void)
{
    struct fixture f = open_as("tu102");

    get_and_map(f, VA, 0x20000, 16, VRAM);
    REQUIRE(nvmmu_vmm_unmap(f.v, VA, 0x10000, 16, true) == 0, "unmap");
    REQUIRE(state_at(f, VA) == NVMMU_SPARSE && state_at(f, VA + 0x10000) == NVMMU_MAPPED, "sparse");
    close_all(f);
}

/* ---- two sizes under one PD0 entry ------------------------------------------------------------------------------------ */

static void require_lpt(struct fixture f, uint32_t zero, const char *when)
{
    const uint64_t *lpt = entries_of(f, NVMMU_LPT, VA);

    for (unsigned i = 0; i < 32; i++)
        REQUIRE(lpt[i] == (zero >> i & 1 ? 0 : 0x20), "%s: LPT entry %u is 0x%" PRIx64, when, i, lpt[i]);
}

static void the_lpt_hides_all_but_the_slots_of_small_pages(void)
{
    struct fixture f = open_as("gp100");

    REQUIRE(nvmmu_vmm_get(f.v, VA + 0x10000, 0x10000, 16) == 0, "get 64K");
    REQUIRE(nvmmu_vmm_get(f.v, VA + 0x31000, 0x2000, 12) == 0, "get 4K");
    require_lpt(f, 1 << 3, "64K first");
    REQUIRE(nvmmu_vmm_put(f.v, VA + 0x31000, 0x2000, 12) == 0, "put 4K");
    require_lpt(f, 0, "4K gone");
    REQUIRE(pd0_entry(f, VA)[1] == 0, "SPT still linked");
    REQUIRE(nvmmu_vmm_put(f.v, VA + 0x10000, 0x10000, 16) == 0, "put 64K");

    REQUIRE(nvmmu_vmm_get(f.v, VA + 0x31000, 0x2000, 12) == 0, "get 4K");
    REQUIRE(nvmmu_vmm_get(f.v, VA + 0x10000, 0x10000, 16) == 0, "get 64K");
    require_lpt(f, 1 << 3, "4K first");
    close_all(f);
}

static void referencing_small_pages_takes_the_big_page_away_at_once(void)
{
    struct fixture f = open_as("tu102");

    get_and_map(f, VA, 0x20000, 16, VRAM);
    REQUIRE(nvmmu_vmm_get(f.v, VA + 0x3000, 0x1000, 12) == 0, "get 4K");
    REQUIRE(entries_of(f, NVMMU_LPT, VA)[0] == 0, "big entry");
    REQUIRE(state_at(f, VA) == NVMMU_UNMAPPED && state_at(f, VA + 0x10000) == NVMMU_MAPPED, "seen");
    close_all(f);
}

/* A space that keeps large pages, a page of a larger size in it, and what lies below. */
struct kept {
    struct fixture f;
    unsigned shift;
    bool sparse; /* the addresses are a sparse range */
};

enum { BIG_PA = 0x8000000, SMALL_PA = 0x400000, SMALL_AT = 0x3000 };

static struct kept kept_open(const char *format, unsigned shift, bool sparse)
{
    struct kept k = {{.b = bank_new()}, shift, sparse};
    struct nvmmu_vmm_config config = bank_config(k.f.b, format);

    config.keep_large = true;
    REQUIRE(nvmmu_vmm_create(&config, &k.f.v) == 0, "create");
    if (sparse)
        REQUIRE(nvmmu_vmm_sparse(k.f.v, VA, 1ull << shift, true) == 0, "sparse");
    return k;
}

static void kept_close(struct kept k)
{
    if (k.sparse)
        REQUIRE(nvmmu_vmm_sparse(k.f.v, VA, 1ull << k.shift, false) == 0, "not sparse");
    REQUIRE(digest_of(k.f.v).tables == 1, "tables left");
    close_all(k.f);
}

/* The large page is what every address shows. */
static void require_large(struct kept k, const char *when)
{
    for (uint64_t at = 0; at < 1ull << k.shift; at += 0x1000)
        REQUIRE(walk_at(k.f.v, VA + at).pa == BIG_PA + at, "%s: 0x%" PRIx64, when, at);
    vmm_require_sound(k.f.v);
}

/* Two small pages, or none, and nothing beside them. */
static void require_small(struct kept k, bool mapped, const char *when)
{
    const enum nvmmu_state empty = k.sparse ? NVMMU_SPARSE : NVMMU_UNMAPPED;

    for (uint64_t at = 0; at < 1ull << k.shift; at += 0x1000) {
        bool here = mapped && at - SMALL_AT < 0x2000;
        struct nvmmu_walk w = walk_at(k.f.v, VA + at);

        REQUIRE(w.state == (here ? NVMMU_MAPPED : empty) && (!here || w.pa == SMALL_PA + at - SMALL_AT),
                "%s: state %d at 0x%" PRIx64, when, w.state, at);
    }
    vmm_require_sound(k.f.v);
}

/* A bind that replaces the large page: its references first, its job later. */
static void small_pages_replace_a_kept_one(struct kept k, bool mapped_below, bool flag, bool small_goes_first)
{
    struct fixture f = k.f;
    const uint64_t size = 1ull << k.shift;

    get_and_map(f, VA, size, k.shift, BIG_PA);
    REQUIRE(nvmmu_vmm_get(f.v, VA + SMALL_AT, 0x2000, 12) == 0, "get");
    require_large(k, "references below");
    if (mapped_below)
        REQUIRE(map_piece(f.v, VA + SMALL_AT, 0x2000, 12, NVMMU_VRAM, SMALL_PA) == 0, "map");
    require_large(k, "pages below");
    REQUIRE(nvmmu_vmm_unmap(f.v, VA, size, k.shift, flag && k.sparse) == 0, "unmap");
    require_small(k, mapped_below, "large page unmapped");
    if (!mapped_below)
        REQUIRE(map_piece(f.v, VA + SMALL_AT, 0x2000, 12, NVMMU_VRAM, SMALL_PA) == 0, "map");
    require_small(k, true, "small pages mapped");
    if (!small_goes_first)
        REQUIRE(nvmmu_vmm_put(f.v, VA, size, k.shift) == 0, "put");
    require_small(k, true, "before the small pages go");
    unmap_and_put(f, VA + SMALL_AT, 0x2000, 12, flag && k.sparse);
    require_small(k, false, "all unmapped");
    if (small_goes_first)
        REQUIRE(nvmmu_vmm_put(f.v, VA, size, k.shift) == 0, "put");
    require_small(k, false, "all gone");
}

/* The other way: small pages are there first. */
static void a_kept_page_hides_small_ones_until_it_goes(struct kept k, bool flag)
{
    struct fixture f = k.f;
    const uint64_t size = 1ull << k.shift;

    get_and_map(f, VA + SMALL_AT, 0x2000, 12, SMALL_PA);
    REQUIRE(nvmmu_vmm_get(f.v, VA, size, k.shift) == 0, "get");
    require_small(k, true, "references over them");
    REQUIRE(map_piece(f.v, VA, size, k.shift, NVMMU_VRAM, BIG_PA) == 0, "map");
    require_large(k, "mapped over them");
    REQUIRE(nvmmu_vmm_get(f.v, VA + SMALL_AT, 0x1000, 12) == 0, "get again");
    require_large(k, "more references below");
    REQUIRE(nvmmu_vmm_put(f.v, VA + SMALL_AT, 0x1000, 12) == 0, "put again");
    require_large(k, "fewer references below");
    REQUIRE(nvmmu_vmm_unmap(f.v, VA, size, k.shift, flag && k.sparse) == 0, "unmap");
    require_small(k, true, "they show again");
    REQUIRE(map_piece(f.v, VA, size, k.shift, NVMMU_VRAM, BIG_PA) == 0, "map");
    unmap_and_put(f, VA + SMALL_AT, 0x2000, 12, flag && k.sparse);
    require_large(k, "small pages gone");
    unmap_and_put(f, VA, size, k.shift, flag && k.sparse);
    require_small(k, false, "all gone");
}

static void large_pages_are_kept_where_a_space_says_so(void)
{
    static const struct {
        const char *format;
        unsigned shift;
        bool sparse;
    } row[] = {{"gf100", 17, false}, {"gk104", 17, false}, {"gk104-64k", 16, false}, {"gm200", 17, false},
               {"gm200", 17, true},  {"gp100", 16, false}, {"gp100", 16, true},      {"gp100", 21, false},
               {"gp100", 21, true},  {"tu102", 16, true},  {"gh100", 16, true},      {"gh100", 21, true}};

    for (unsigned i = 0; i < sizeof row / sizeof row[0]; i++) {
        for (unsigned how = 0; how < 8; how++) {
            struct kept k = kept_open(row[i].format, row[i].shift, row[i].sparse);

            small_pages_replace_a_kept_one(k, how & 1, how & 2, how & 4);
            a_kept_page_hides_small_ones_until_it_goes(k, how & 2);
            kept_close(k);
        }
    }
}

/* A range that becomes sparse in small pages below a kept one shows when that is unmapped. */
static void a_kept_page_hides_sparse_entries_until_it_goes(void)
{
    static const unsigned shift[] = {16, 21};

    for (unsigned i = 0; i < 2; i++) {
        struct kept k = kept_open("gp100", shift[i], false);

        get_and_map(k.f, VA, 1ull << shift[i], shift[i], BIG_PA);
        REQUIRE(nvmmu_vmm_sparse(k.f.v, VA, 0x2000, true) == 0, "sparse");
        require_large(k, "sparse below");
        REQUIRE(nvmmu_vmm_unmap(k.f.v, VA, 1ull << shift[i], shift[i], false) == 0, "unmap");
        REQUIRE(state_at(k.f, VA + 0x1fff) == NVMMU_SPARSE && state_at(k.f, VA + 0x2000) == NVMMU_UNMAPPED, "seen");
        REQUIRE(nvmmu_vmm_sparse(k.f.v, VA, 0x2000, false) == 0, "undo");
        REQUIRE(nvmmu_vmm_put(k.f.v, VA, 1ull << shift[i], shift[i]) == 0, "put");
        kept_close(k);
    }
}

/* SIZE-OVERLAP: new references are taken before the old mapping goes, as VM_BIND does. */
static void a_mapping_replaces_one_of_another_page_size(void)
{
    static const unsigned shift[] = {12, 16, 21};

    for (unsigned was = 0; was < 3; was++) {
        for (unsigned is = 0; is < 3; is++) {
            struct fixture f = open_as("tu102");

            get_and_map(f, VA, 2 * MiB, shift[was], 16 * MiB);
            REQUIRE(nvmmu_vmm_get(f.v, VA, 2 * MiB, shift[is]) == 0, "get");
            REQUIRE(nvmmu_vmm_unmap(f.v, VA, 2 * MiB, shift[was], false) == 0, "unmap");
            REQUIRE(map_piece(f.v, VA, 2 * MiB, shift[is], NVMMU_VRAM, 32 * MiB) == 0, "map");
            REQUIRE(nvmmu_vmm_put(f.v, VA, 2 * MiB, shift[was]) == 0, "put");
            for (uint64_t at = 0x123; at < 2 * MiB; at += 0x1000)
                REQUIRE(walk_at(f.v, VA + at).pa == 32 * MiB + at, "%u to %u at 0x%" PRIx64, shift[was], shift[is], at);
            unmap_and_put(f, VA, 2 * MiB, shift[is], false);
            REQUIRE(digest_of(f.v).tables == 1, "tables left");
            close_all(f);
        }
    }
}

/* Entries are read every time: a cursor that has seen a page sees that it changed, without a flush. */
static void a_cursor_remembers_tables_and_no_entries(void)
{
    static const struct {
        enum nvmmu_level level;
        unsigned shift;
    } pages[] = {{NVMMU_SPT, 12}, {NVMMU_LPT, 16}, {NVMMU_PD0, 21}};

    for (unsigned i = 0; i < 3; i++) {
        struct fixture f = open_as("tu102");
        const uint64_t size = 1ull << pages[i].shift;
        struct nvmmu_space s = nvmmu_vmm_space(f.v);
        struct nvmmu_translation t;
        struct nvmmu_cursor c;
        uint64_t *entry;

        get_and_map(f, VA, 2 * size, pages[i].shift, VRAM);
        nvmmu_cursor_init(&c, &s);
        nvmmu_cursor_translate(&c, VA, &t);
        REQUIRE(t.state == NVMMU_MAPPED && t.pa == VRAM && t.limit == size, "%" PRIx64, t.pa);
        REQUIRE(!c.span, "an address alone makes it remember no table");
        nvmmu_cursor_translate(&c, VA + 16, &t);
        REQUIRE(t.state == NVMMU_MAPPED && t.pa == VRAM + 16 && t.limit == size - 16, "%" PRIx64, t.pa);
        REQUIRE(c.span, "a table is remembered");
        nvmmu_cursor_translate(&c, VA + size + 8, &t);
        REQUIRE(t.state == NVMMU_MAPPED && t.pa == VRAM + size + 8 && t.limit == size - 8, "%" PRIx64, t.pa);
        REQUIRE(t.shift == pages[i].shift && t.aperture == NVMMU_VRAM && !t.ro && !t.priv, "attributes");
        entry = (uint64_t *)(uintptr_t)entries_of(f, pages[i].level, pages[i].shift == 21 ? VA & ~((1ull << 29) - 1) : VA);
        REQUIRE(entry, "table");
        if (pages[i].shift == 21)
            entry += 2 * (VA >> 21 & 0xff);
        entry[0] += VRAM >> 4;
        nvmmu_cursor_translate(&c, VA, &t);
        REQUIRE(t.pa == 2 * VRAM, "the entry changed: %" PRIx64, t.pa);
        entry[0] &= ~1ull;
        nvmmu_cursor_translate(&c, VA, &t);
        REQUIRE(t.state == NVMMU_UNMAPPED, "no longer valid: %d", t.state);
        entry[0] = (entry[0] | 1) - (VRAM >> 4);
        nvmmu_cursor_translate(&c, VA, &t);
        REQUIRE(t.state == NVMMU_MAPPED && t.pa == VRAM, "valid again: %" PRIx64, t.pa);
        unmap_and_put(f, VA, 2 * size, pages[i].shift, false);
        close_all(f);
    }
}

/* A contiguous mapping is one extent whatever tables it lies in; one page elsewhere makes three. */
static void contiguous_pages_are_one_extent(void)
{
    static const unsigned shifts[] = {12, 16, 21};

    for (unsigned i = 0; i < 3; i++) {
        struct fixture f = open_as("tu102");
        const uint64_t page = 1ull << shifts[i], size = 8ull << 21, odd = 5ull << 21;
        struct nvmmu_space s = nvmmu_vmm_space(f.v);
        const struct nvmmu_extent want[] = {
            {.va = VA, .size = odd, .pa = VRAM},
            {.va = VA + odd, .size = page, .pa = 4 * VRAM},
            {.va = VA + odd + page, .size = size - odd - page, .pa = VRAM + odd + page},
        };
        struct nvmmu_extents it;
        struct nvmmu_extent e;

        get_and_map(f, VA, size, shifts[i], VRAM);
        nvmmu_extents_init(&it, &s, VA + 8, size - 16);
        REQUIRE(nvmmu_extents_next(&it, &e) && e.va == VA + 8 && e.size == size - 16 && e.pa == VRAM + 8, "one");
        REQUIRE(!nvmmu_extents_next(&it, &e), "no more");
        REQUIRE(map_piece(f.v, VA + odd, page, shifts[i], NVMMU_VRAM, 4 * VRAM) == 0, "map");
        nvmmu_extents_init(&it, &s, VA, size);
        for (unsigned k = 0; k < 3; k++)
            REQUIRE(nvmmu_extents_next(&it, &e) && e.state == NVMMU_MAPPED && e.va == want[k].va &&
                        e.size == want[k].size && e.pa == want[k].pa && e.shift == shifts[i],
                    "extent %u: 0x%" PRIx64 " + 0x%" PRIx64 " at 0x%" PRIx64, k, e.va, e.size, e.pa);
        REQUIRE(!nvmmu_extents_next(&it, &e), "no more");
        unmap_and_put(f, VA, size, shifts[i], false);
        close_all(f);
    }
}

static void sixteen_big_tables_share_a_page(void)
{
    struct fixture f = open_as("tu102");

    REQUIRE(nvmmu_vmm_get(f.v, VA, 32 * MiB, 16) == 0, "get");
    REQUIRE(BANK_PAGES - f.b->free_count == 1 + 3 + 1, "%u pages", BANK_PAGES - f.b->free_count);
    REQUIRE(nvmmu_vmm_get(f.v, VA + 32 * MiB, 2 * MiB, 16) == 0, "get");
    REQUIRE(BANK_PAGES - f.b->free_count == 1 + 3 + 2, "%u pages", BANK_PAGES - f.b->free_count);
    REQUIRE(nvmmu_vmm_put(f.v, VA + 4 * MiB, 2 * MiB, 16) == 0, "put");
    REQUIRE(nvmmu_vmm_get(f.v, VA + 34 * MiB, 4 * MiB, 16) == 0, "get");
    REQUIRE(BANK_PAGES - f.b->free_count == 1 + 3 + 2, "%u pages", BANK_PAGES - f.b->free_count);
    close_all(f);
}

static void empty_pages_for_small_tables_go_back(void)
{
    struct fixture f = open_as("tu102");
    const uint64_t size = 40 * 32 * MiB; /* 40 pages of 16 tables */

    for (unsigned i = 0; i < 2; i++) {
        REQUIRE(nvmmu_vmm_get(f.v, VA, size, 16) == 0, "get");
        REQUIRE(nvmmu_vmm_check(f.v, NULL, 0) == 0, "check");
        REQUIRE(nvmmu_vmm_put(f.v, VA, size, 16) == 0, "put");
        REQUIRE(BANK_PAGES - f.b->free_count == 1, "%u pages", BANK_PAGES - f.b->free_count);
    }
    close_all(f);
}

static uint64_t pa_of(struct fixture f, uint64_t va)
{
    struct nvmmu_space space = nvmmu_vmm_space(f.v);
    struct nvmmu_translation t;

    nvmmu_translate(&space, va, &t);
    return t.state == NVMMU_MAPPED ? t.pa : 0;
}

static void memory_comes_in_pieces_of_any_length(void)
{
    static const struct nvmmu_piece pieces[] = {{VRAM, 0x10000},           {~0ull, 0},
                                                {VRAM + MiB, 0x30000},     {VRAM + 2 * MiB, 0x10000},
                                                {VRAM + 3 * MiB, 2 * MiB}, {0, 0}};
    static const uint64_t expected[] = {VRAM, VRAM + MiB, VRAM + MiB + 0x10000, VRAM + MiB + 0x20000, VRAM + 2 * MiB};
    static const struct nvmmu_piece wraps = {~0xffffull, 0x20000}, odd[] = {{VRAM, 0x8000}, {VRAM + 0x8000, 0x18000}};
    struct fixture f = open_as("tu102");
    struct nvmmu_map map = {.va = VA + MiB, .size = 2 * MiB, .shift = 16, .target = NVMMU_VRAM, .object_shift = 16,
                            .pieces = pieces, .piece_count = 6};

    REQUIRE(nvmmu_vmm_get(f.v, VA + MiB, 2 * MiB, 16) == 0, "get");
    REQUIRE(nvmmu_vmm_map(f.v, &map) == 0, "map");
    for (unsigned i = 0; i < 32; i++) {
        uint64_t pa = i < 5 ? expected[i] : VRAM + 3 * MiB + (i - 5) * 0x10000ull;

        REQUIRE(pa_of(f, map.va + i * 0x10000ull) == pa, "page %u", i);
    }
    map.offset = 0x40000;
    REQUIRE(nvmmu_vmm_map(f.v, &map) == 0, "map from within");
    REQUIRE(pa_of(f, map.va) == VRAM + 2 * MiB && pa_of(f, map.va + 0x10000) == VRAM + 3 * MiB, "from within");
    map.piece_count = 4;
    REFUSED(f, nvmmu_vmm_map(f.v, &map));
    map.offset = 0;
    map.size = 0x20000;
    map.piece_count = 1;
    map.pieces = &wraps;
    REFUSED(f, nvmmu_vmm_map(f.v, &map));
    map.pieces = odd;
    map.piece_count = 2;
    REFUSED(f, nvmmu_vmm_map(f.v, &map));
    unmap_and_put(f, VA + MiB, 2 * MiB, 16, false);
    close_all(f);
}

static void what_one_map_asks_for_is_not_the_next_ones(void)
{
    static const struct nvmmu_piece piece = {VRAM, 0x10000};
    struct fixture f = open_as("tu102");
    const struct nvmmu_map plain = {.va = VA, .size = 0x10000, .shift = 16, .target = NVMMU_VRAM, .object_shift = 16,
                                    .pieces = &piece, .piece_count = 1};
    struct nvmmu_map other = plain;
    struct nvmmu_space space = nvmmu_vmm_space(f.v);
    struct nvmmu_translation t;

    REQUIRE(nvmmu_vmm_get(f.v, VA, 0x10000, 16) == 0, "get");
    REQUIRE(nvmmu_vmm_map(f.v, &plain) == 0, "map");
    other.ro = true;
    REQUIRE(nvmmu_vmm_map(f.v, &other) == 0, "read only");
    nvmmu_translate(&space, VA, &t);
    REQUIRE(t.ro, "read only");
    other.kind = 0xff;
    REFUSED(f, nvmmu_vmm_map(f.v, &other));
    REFUSED(f, nvmmu_vmm_map(f.v, &other));
    REQUIRE(nvmmu_vmm_map(f.v, &plain) == 0, "map");
    nvmmu_translate(&space, VA, &t);
    REQUIRE(!t.ro, "as the first");
    unmap_and_put(f, VA, 0x10000, 16, false);
    close_all(f);
}

/* ---- words -------------------------------------------------------------------------------------------------------------- */

static void fields_name_every_bit_once(uint64_t seed)
{
    static const char *const formats[] = {"gp100", "gv100", "tu102", "ga102"};
    uint64_t rng = seed;

    for (unsigned n = 0; n < 200000; n++) {
        const struct nvmmu_format *format = nvmmu_format_find(formats[n % 4]);
        enum nvmmu_level level = (enum nvmmu_level)below(&rng, NVMMU_PD4);
        uint64_t word[2] = {rnd(&rng) & rnd(&rng), level == NVMMU_PD0 ? rnd(&rng) & rnd(&rng) : 0}, seen[2] = {0, 0};
        struct nvmmu_field field[NVMMU_FIELDS_MAX];
        size_t count = nvmmu_entry_fields(format, level, word, field);

        for (size_t i = 0; i < count; i++) {
            const struct nvmmu_field *fl = &field[i];
            uint64_t mask = (~0ull >> (63 - (fl->high - fl->low))) << fl->low;

            REQUIRE(fl->high >= fl->low && fl->name && !(seen[fl->word] & mask), "%s", fl->name);
            seen[fl->word] |= mask;
            REQUIRE(fl->is_address || fl->value == (word[fl->word] & mask) >> fl->low, "%s", fl->name);
            REQUIRE(i == 0 || fl->word > field[i - 1].word || fl->low > field[i - 1].high, "order of %s", fl->name);
        }
        REQUIRE(!(word[0] & ~seen[0]) && !(word[1] & ~seen[1]), "bits without a name in %016" PRIx64 " %016" PRIx64,
                word[0], word[1]);
    }
}

static void pages_survive_encoding_and_decoding(uint64_t seed)
{
    uint64_t rng = seed;

    for (unsigned n = 0; n < 200000; n++) {
        const struct nvmmu_format *f = nvmmu_format_find(n % 2 ? "gv100" : "ga102");
        struct nvmmu_pte p = {
            .addr = (rnd(&rng) >> below(&rng, 30)) & ~0xfffull,
            .aperture = (uint8_t)below(&rng, 4),
            .kind = (uint16_t)below(&rng, 256),
            .comptag = below(&rng, 2) ? (uint32_t)below(&rng, 1 << 20) : 0,
            .vol = below(&rng, 2),
            .ro = below(&rng, 2),
            .priv = below(&rng, 2),
            .atomic_disable = below(&rng, 2),
        };
        uint64_t word[2];
        struct nvmmu_entry e;
        bool sys = p.aperture >= NVMMU_HOST;

        p.peer = p.aperture == NVMMU_PEER ? (uint8_t)below(&rng, 8) : 0;
        p.addr &= p.aperture == NVMMU_PEER ? (1ull << 37) - 1 : ~0ull;
        if (nvmmu_pte_encode(f, NVMMU_SPT, &p, word)) {
            REQUIRE(p.addr >> (sys ? 58 : 37) || (sys && p.comptag), "refused what fits");
            continue;
        }
        nvmmu_entry_decode(f, NVMMU_SPT, word, &e);
        REQUIRE(e.state == NVMMU_ENTRY_PAGE && e.page.addr == p.addr && e.page.aperture == p.aperture &&
                    e.page.kind == p.kind && e.page.comptag == p.comptag && e.page.peer == p.peer &&
                    e.page.vol == p.vol && e.page.ro == p.ro && e.page.priv == p.priv &&
                    e.page.atomic_disable == p.atomic_disable,
                "word 0x%" PRIx64, word[0]);
    }
}

static void known_words_of_nvidia_come_out(void)
{
    const struct nvmmu_format *f = nvmmu_format_find("gp100"), *volta = nvmmu_format_find("gv100");
    uint64_t w[2];

    nvmmu_pte_encode(f, NVMMU_SPT, &(struct nvmmu_pte){.addr = 0x399999999999000, .aperture = NVMMU_HOST, .vol = true}, w);
    REQUIRE(w[0] == 0x3999999999990D, "0x%" PRIx64, w[0]);
    nvmmu_pte_encode(f, NVMMU_SPT, &(struct nvmmu_pte){.addr = 0x1BBBBBB000, .ro = true, .atomic_disable = true}, w);
    REQUIRE(w[0] == 0x1BBBBBBC1, "0x%" PRIx64, w[0]);
    nvmmu_pte_encode(volta, NVMMU_SPT, &(struct nvmmu_pte){.addr = 0x5BBBBBBBB000, .aperture = NVMMU_PEER, .ro = true,
                                                           .atomic_disable = true}, w);
    REQUIRE(w[0] == 0x2DD1BBBBBBC3, "0x%" PRIx64, w[0]);
    REQUIRE(nvmmu_pte_encode(f, NVMMU_SPT, &(struct nvmmu_pte){.addr = 0x5BBBBBBBB000, .aperture = NVMMU_PEER}, w) ==
                -EINVAL, "Pascal has no wide peer addresses");
    REQUIRE(nvmmu_pte_encode(f, NVMMU_PD1, &(struct nvmmu_pte){0}, w) == -EINVAL, "no pages at PD1");
    REQUIRE(nvmmu_pte_encode(nvmmu_format_find("ga102"), NVMMU_PD1, &(struct nvmmu_pte){0}, w) == 0, "Ampere has");
}

static void chips_are_found_by_their_id(void)
{
    const struct nvmmu_chip *chip;
    size_t n = nvmmu_chips(&chip);

    for (size_t i = 0; i < n; i++) {
        REQUIRE(i == 0 || chip[i].chipset > chip[i - 1].chipset, "order");
        REQUIRE(nvmmu_chip_find(chip[i].chipset) == &chip[i] && chip[i].format, "%s", chip[i].name);
    }
    REQUIRE(!strcmp(nvmmu_chip_find(0x172)->name, "GA102"), "0x172");
    REQUIRE(!nvmmu_chip_find(0x7) && !nvmmu_format_find("no such"), "unknown");
    chip = nvmmu_chip_find(0x172);
    REQUIRE(nvmmu_level_find(chip->format, "pd0") == NVMMU_PD0 && nvmmu_level_find(chip->format, "Pte") == NVMMU_SPT &&
                nvmmu_level_find(chip->format, "PD4") == -EINVAL && nvmmu_level_find(chip->format, "pd") == -EINVAL,
            "levels");
}

int main(void)
{
    uint64_t seed = seed_choose("nvmmu_laws");

    tables_are_freed_after_the_flush_that_follows_their_unlinking();
    a_table_is_complete_before_an_entry_points_at_it();
    one_call_or_batch_flushes_once_and_only_if_entries_changed();
    a_reference_is_dropped_once();
    only_referenced_entries_are_mapped_and_unmapped();
    sparse_ranges_do_not_overlap_and_go_as_they_came();
    addresses_fit_their_fields();
    memory_of_tables_fits_the_entries_that_point_at_it();
    a_table_that_was_emptied_to_zeros_says_so_and_is_not_cleared_again();
    what_entries_cannot_say_is_refused();
    requests_are_whole_pages_in_a_clients_area();
    memory_suits_the_page_size_and_the_kind_is_known();
    a_page_in_a_sparse_2m_hole_leaves_the_hole_as_it_was();
    an_entry_of_a_sparse_range_is_sparse_again_whatever_unmap_says();
    a_range_may_become_sparse_while_its_pages_wait_to_be_unmapped();
    unmap_to_sparse_holds_outside_sparse_ranges_too();
    the_lpt_hides_all_but_the_slots_of_small_pages();
    referencing_small_pages_takes_the_big_page_away_at_once();
    large_pages_are_kept_where_a_space_says_so();
    a_kept_page_hides_sparse_entries_until_it_goes();
    a_mapping_replaces_one_of_another_page_size();
    a_cursor_remembers_tables_and_no_entries();
    contiguous_pages_are_one_extent();
    sixteen_big_tables_share_a_page();
    empty_pages_for_small_tables_go_back();
    memory_comes_in_pieces_of_any_length();
    what_one_map_asks_for_is_not_the_next_ones();
    fields_name_every_bit_once(seed);
    pages_survive_encoding_and_decoding(seed);
    known_words_of_nvidia_come_out();
    chips_are_found_by_their_id();
    return 0;
}
