/*
 * The input is a stream of calls on one space of any format, with memory of tables and of software state running out.
 * Laws: the space is sound after any calls; a call that fails changes nothing (asked for by a bit of the input); what
 * is not a table is not touched (memory that is not given out is poisoned); destroying frees everything.
 */
#include <sanitizer/asan_interface.h>

#include <nvmmu/control.h>
#include <nvmmu/vma.h>

#include "../C/nvmmu_support.h"
#include "input.h"

#define OPS    100
#define LOOKS  3 /* at everything, which takes long */
#define BLOCKS 2
#define PFNS   64
#define PARTS  8

struct test {
    struct input in;
    struct bank *bank;
    struct nvmmu_vmm *vmm;
    struct nvmmu_vmas *vmas;
    const struct nvmmu_page_size *page;
    size_t pages;
    uint64_t window, window_size; /* where vmas gives addresses out; not for the raw operations */
    uint64_t given[16];           /* addresses */
    void *block[BLOCKS];          /* instance blocks, joined */
    unsigned depth;               /* of batches */
};

/* ---- memory ------------------------------------------------------------------------------------------------ */

/* The lowest pages that are free, until there are no more or the input wants it to fail. */
static int alloc_table(void *ctx, size_t size, size_t align, struct nvmmu_table_mem *out)
{
    struct bank *b = ctx;
    uint32_t pages = (uint32_t)((size + 4095) / 4096), step = (uint32_t)((align + 4095) / 4096), first = 0, n = 0;

    if (fails_now(&b->fail_after))
        return -ENOMEM;
    for (uint32_t i = 0; i < BANK_PAGES && n < pages; i++) {
        n = b->used[i] || (!n && i % step) ? 0 : n + 1;
        first = i + 1 - n;
    }
    if (n < pages)
        return -ENOMEM;
    memset(&b->used[first], true, pages);
    b->free_count -= pages;
    out->addr = BANK_BASE + first * 4096ull;
    out->cpu = b->memory + first * 512ull;
    __asan_unpoison_memory_region(out->cpu, pages * 4096ull);
    bank_content(b, first, pages, out);
    __asan_poison_memory_region((char *)out->cpu + size, pages * 4096ull - size);
    return 0;
}

static void free_table(void *ctx, const struct nvmmu_table_mem *mem, size_t size)
{
    bank_free_table(ctx, mem, size);
    __asan_poison_memory_region(mem->cpu, size);
}

static struct bank *the_bank(void)
{
    static struct bank *bank;

    if (!bank) {
        bank = bank_new();
        __asan_poison_memory_region(bank->memory, BANK_PAGES * 4096ull);
    }
    bank->fail_after = bank->alloc_after = -1;
    return bank;
}

/* ---- arguments --------------------------------------------------------------------------------------------- */

struct range {
    uint64_t va, size;
    unsigned shift;
};

/* An address near a border between tables, seldom any. */
static uint64_t take_address(struct test *t, unsigned shift)
{
    const unsigned bits = nvmmu_format_va_bits(nvmmu_vmm_space(t->vmm).format), how = byte(&t->in);
    const uint64_t border[] = {0, 1ull << 27, 1ull << 29, 1ull << 38, 1ull << (bits - 1), 1ull << bits};

    if (how == 0xff)
        return take(&t->in, 8);
    return border[how % 6] + ((uint64_t)(int8_t)byte(&t->in) << shift) + (how / 6 == 1 ? 4096 : 0);
}

static struct range take_range(struct test *t)
{
    unsigned how = byte(&t->in), count = byte(&t->in);
    struct range r = {.shift = how < 0xf8 ? t->page[how % t->pages].shift : count};

    r.va = take_address(t, r.shift > 30 ? 30 : r.shift);
    if (how >> 4 == 7)
        r.size = 1ull << count % 48; /* more than there are tables for */
    else
        r.size = (uint64_t)(count % 32 + (how >> 4 == 6 ? count * 8 : 1)) << (r.shift & 63);
    return r;
}

static bool meets_window(const struct test *t, const struct range *r)
{
    return t->vmas && r->va < t->window + t->window_size && (r->va >= t->window || r->size > t->window - r->va);
}

/* What a map takes; the memory it names must live as long. */
struct source {
    struct nvmmu_piece piece[3];
    uint64_t address[PFNS];
    struct nvmmu_map map;
};

static void take_source(struct test *t, const struct range *r, struct source *s)
{
    const unsigned how = byte(&t->in), bits = byte(&t->in);
    const uint64_t align = (1ull << (r->shift < 40 ? r->shift : 40)) - 1;

    s->map = (struct nvmmu_map){
        .va = r->va, .size = r->size, .shift = r->shift, .target = bits & 3, .object_shift = (uint8_t)r->shift,
        .kind = bits & 4 ? byte(&t->in) : 0, .vol = bits & 8, .ro = bits & 16, .priv = bits & 32,
        .defaults = bits & 64, .comptags = bits & 128,
    };
    if (how & 1) {
        s->map.offset = (uint64_t)choose(&t->in, 4) << (how & 2 ? 12 : r->shift & 63);
        s->map.comptag = (uint32_t)take(&t->in, 3);
        s->map.storage = choose(&t->in, 4);
        s->map.comp = choose(&t->in, 5);
    }
    if (how >> 2 & 1 && r->size >> 12 <= PFNS) {
        s->map.pages = s->address;
        s->map.page_count = r->size >> 12;
        for (unsigned i = 0; i < PFNS; i++)
            s->address[i] = take(&t->in, 2) << 12;
        s->address[0] |= take(&t->in, how & 8 ? 8 : 0) & ~0xfffull;
        return;
    }
    s->map.pieces = s->piece;
    s->map.piece_count = 1 + (how >> 3) % 3;
    for (unsigned i = 0; i < 3; i++)
        s->piece[i] = (struct nvmmu_piece){
            (take(&t->in, how & 64 ? 6 : 3) << 12) & ~(how & 128 ? 0xfffull : align),
            i + 1 < s->map.piece_count ? (1 + take(&t->in, 1) % 16) << 12 << (r->shift > 12 && r->shift < 40 ? r->shift - 12 : 0)
                                       : 1ull << 47};
}

/* ---- the calls --------------------------------------------------------------------------------------------- */

static int do_raw(struct test *t, unsigned what)
{
    struct range r = take_range(t);
    struct source s;

    if (meets_window(t, &r))
        return 0;
    switch (what) {
    case 0:
        return nvmmu_vmm_get(t->vmm, r.va, r.size, r.shift);
    case 1:
        take_source(t, &r, &s);
        return nvmmu_vmm_map(t->vmm, &s.map);
    case 2:
        return nvmmu_vmm_unmap(t->vmm, r.va, r.size, r.shift, byte(&t->in) & 1);
    case 3:
        return nvmmu_vmm_put(t->vmm, r.va, r.size, r.shift);
    case 4:
        return nvmmu_vmm_sparse(t->vmm, r.va, r.size, true);
    case 5:
        return nvmmu_vmm_sparse(t->vmm, r.va, r.size, false);
    default:
        return nvmmu_vmm_pfn_clear(t->vmm, r.va, r.size);
    }
}

/* A whole life, so that streams that do something are short; some pages are mapped once more, in a row. */
static int do_life(struct test *t)
{
    struct range r = take_range(t);
    struct nvmmu_part parts[PARTS];
    struct source s;
    uint64_t step, n;

    take_source(t, &r, &s);
    if (meets_window(t, &r) || nvmmu_vmm_get(t->vmm, r.va, r.size, r.shift))
        return 0;
    nvmmu_vmm_map(t->vmm, &s.map);
    step = byte(&t->in) % 4;
    for (n = 0; n < PARTS && n << r.shift < r.size; n++)
        parts[n] = (struct nvmmu_part){
            r.va + (n << r.shift), 1ull << r.shift, s.map.offset + (n * step << r.shift), r.shift, s.map.kind};
    nvmmu_vmm_map_parts(t->vmm, &s.map, parts, n);
    return 0;
}

/* Pages may fail one by one: no failure that must leave all as it was. */
static int do_pfn(struct test *t)
{
    struct range r = take_range(t);
    uint64_t pfn[PFNS];

    if (meets_window(t, &r) || r.shift > 30 || r.size >> r.shift > PFNS)
        return 0;
    for (unsigned i = 0; i < PFNS; i++)
        pfn[i] = take(&t->in, 3) << 4 & ~0xff0ull;
    for (unsigned i = 0; i < PFNS; i++)
        pfn[i] |= i % 4 ? NVMMU_PFN_VALID : byte(&t->in);
    nvmmu_vmm_pfn_map(t->vmm, r.shift, r.va, r.size, pfn);
    return 0;
}

static int do_vmas(struct test *t)
{
    const unsigned bits = nvmmu_format_va_bits(nvmmu_vmm_space(t->vmm).format);
    const unsigned how = byte(&t->in);

    if (t->vmas) {
        if (how < 8) {
            nvmmu_vmas_destroy(t->vmas);
            t->vmas = NULL;
        }
        return 0;
    }
    t->window = how & 128 ? (1ull << bits) - (64 * MiB) : 0;
    t->window_size = how & 64 ? 48 * MiB : 1ull << (bits - 2);
    return t->depth || nvmmu_vmm_pfn_clear(t->vmm, t->window, t->window_size) ||
                   walk_at(t->vmm, t->window).state != NVMMU_UNMAPPED
               ? 0
               : nvmmu_vmas_create(t->vmm, t->window, t->window_size, &t->vmas);
}

static int do_vma(struct test *t, unsigned what)
{
    uint64_t *given = &t->given[choose(&t->in, 16)], va = *given;
    struct range r = take_range(t);
    struct nvmmu_vma_request request;
    struct source s;
    unsigned how;

    if (!t->vmas)
        return 0;
    how = byte(&t->in);
    switch (what) {
    case 0:
        request = (struct nvmmu_vma_request){.size = r.size, .shift = how & 8 ? 0 : (uint8_t)r.shift,
                                             .align = how & 16 ? byte(&t->in) : 0,
                                             .getref = how & 1, .mapref = how & 2, .sparse = how & 4};
        return nvmmu_vma_get(t->vmas, &request, given);
    case 1:
        r.va = va + (how & 1 ? (uint64_t)(how >> 1) << (r.shift & 63) : 0);
        take_source(t, &r, &s);
        return nvmmu_vma_map(t->vmas, &s.map, NULL);
    case 2:
        return nvmmu_vma_unmap(t->vmas, va + (how & 1 ? (uint64_t)(how >> 1) << (r.shift & 63) : 0));
    default:
        return nvmmu_vma_put(t->vmas, va);
    }
}

static int do_join(struct test *t)
{
    const unsigned how = byte(&t->in);
    const size_t size = nvmmu_instance_bytes(nvmmu_vmm_space(t->vmm).format);
    void **block = &t->block[how >> 1 & 1];
    int ret;

    if (*block) {
        nvmmu_instance_part(t->vmm, *block);
        free(*block);
        *block = NULL;
        return 0;
    }
    *block = aligned_alloc(8, size ? size : 8);
    ret = nvmmu_instance_join(t->vmm, *block, how & 1);
    if (!ret)
        return 0;
    free(*block);
    *block = NULL;
    return ret;
}

static int do_batch(struct test *t)
{
    const unsigned how = byte(&t->in);

    if (how < 16) {
        nvmmu_vmm_flush(t->vmm, how % 8);
    } else if (how < 32) {
        nvmmu_vmm_set_bar(t->vmm, how & 1);
    } else if (how & 1 && t->depth < 4) {
        nvmmu_vmm_begin(t->vmm);
        t->depth++;
    } else if (t->depth) {
        nvmmu_vmm_end(t->vmm);
        t->depth--;
    }
    return 0;
}

static int do_something(struct test *t, unsigned what)
{
    if (what < 7)
        return do_raw(t, what);
    if (what < 11)
        return do_vma(t, what - 7);
    switch (what) {
    case 11:
        return do_vmas(t);
    case 12:
        return do_join(t);
    case 13:
        return do_batch(t);
    case 14:
        return do_pfn(t);
    case 15:
        t->bank->fail_after = choose(&t->in, 16) - 1; /* tables, or software state: from then on one fails */
        t->bank->alloc_after = choose(&t->in, 16) - 1;
        return 0;
    default:
        return do_life(t);
    }
}

/* ---- one input ----------------------------------------------------------------------------------------------- */

static void require_sound_vmas(const struct test *t)
{
    char why[256] = "";

    REQUIRE(!t->vmas || !nvmmu_vmas_check(t->vmas, why, sizeof(why)), "%s", why);
}

static bool test_init(struct test *t)
{
    const char *format = format_names[choose(&t->in, FORMATS)];
    const unsigned how = byte(&t->in);
    struct nvmmu_vmm_config config = bank_config(t->bank, format);

    config.hooks.alloc_table = alloc_table;
    config.hooks.free_table = free_table;
    config.gsp_rm = how & 1;
    config.keep_large = how & 128;
    if (how & 2) {
        config.kernel_addr = (uint64_t)byte(&t->in) << 20;
        config.kernel_size = (uint64_t)byte(&t->in) << 20;
    }
    if (how & 4) {
        config.start = (uint64_t)byte(&t->in) << 16;
        config.limit = (uint64_t)byte(&t->in) << 29;
    }
    config.stolen = how & 8 ? BANK_BASE : 0;
    config.dummy = how & 16 ? 0x7ff00000 : 0;
    if (how & 32)
        t->bank->fail_after = choose(&t->in, 4);
    if (how & 64)
        t->bank->alloc_after = choose(&t->in, 8);
    t->pages = nvmmu_format_pages(config.format, &t->page);
    return nvmmu_vmm_create(&config, &t->vmm) == 0;
}

static void test_end(struct test *t)
{
    for (; t->depth; t->depth--)
        nvmmu_vmm_end(t->vmm);
    require_sound_vmas(t);
    nvmmu_vmas_destroy(t->vmas);
    vmm_require_sound(t->vmm);
    nvmmu_vmm_destroy(t->vmm);
    for (unsigned i = 0; i < BLOCKS; i++)
        free(t->block[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct test t = {.in = {data, size}, .bank = the_bank()};

    if (test_init(&t)) {
        for (unsigned n = 0, looks = 0; n < OPS && t.in.left; n++) {
            unsigned what = looks < LOOKS ? byte(&t.in) : byte(&t.in) & 63;
            bool unchanged = what & 128 && !t.depth;
            struct digest before = unchanged ? digest_of(t.vmm) : (struct digest){0};

            if (do_something(&t, (what & 63) % 18) < 0 && unchanged)
                REQUIRE(digest_of(t.vmm).hash == before.hash, "call %u failed and changed something", what & 63);
            if (what & 64) {
                require_sound_vmas(&t);
                vmm_require_sound(t.vmm);
            }
            looks += (what & 192) != 0;
        }
        test_end(&t);
    }
    REQUIRE(t.bank->free_count == BANK_PAGES, "%u table pages leaked", BANK_PAGES - t.bank->free_count);
    REQUIRE(t.bank->software == 0, "%ld software allocations leaked", t.bank->software);
    return 0;
}
