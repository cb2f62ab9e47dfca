/*
 * Tesla (nv50, g84, mcp77): 40 bits of address in two levels. The page size belongs to the directory entry: a block of
 * 512 MiB has 64 KiB pages (LPT) or 4 KiB pages (SPT), never both. The directory has no memory of its own on the chip:
 * every instance block of a space holds a copy.
 *
 * Page entry: 0 valid, 3 ro, 5:4 aperture, 6 priv, 9:7 log2 of the block's pages, 39:12 address of the block's first
 * page, 46:40 kind, 48:47 compression mode, 60:49 compression tag. A block is an aligned run of equal entries.
 * Directory entry: 1:0 page size (1: 64 KiB, 3: 4 KiB, else none), 3:2 aperture of the table, 6:5 size of an SPT
 * (1 MiB, 256 KiB, 128 KiB, 64 KiB), 39:12 its address. nouveau marks an entry without a table with a word of its own.
 *
 * Kinds say in which order a page goes over the banks of VRAM, which must be the order its memory was allocated for.
 * There are no sparse pages, and no entry says how the GPU may cache.
 *
 * Source: nouveau vmmnv50, vmmg84, vmmmcp77.
 */
#include <errno.h>

#include "format_private.h"
#include "translate.h"

#define PTE_VALID        0x1ull
#define PTE_RO           0x8ull
#define PTE_PRIV         0x40ull
#define PTE_APERTURE_LOW 4
#define PTE_BLOCK_LOW    7
#define PTE_KIND_LOW     40
#define PTE_COMP_LOW     47
#define PTE_COMPTAG_LOW  49
#define PTE_COMPTAG_BITS 12

#define PDE_BIG   1u
#define PDE_SMALL 3u
#define PDE_NONE  0xdeadcafe00000000ull

#define ADDRESS      0xfffffff000ull
#define ADDRESS_BITS 40

static const struct nvmmu_level_info levels[] = {
    {.level = NVMMU_PD0, .index_bits = 11, .shift = 29, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_LPT, .index_bits = 13, .shift = 16, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_SPT, .index_bits = 17, .shift = 12, .entry_bytes = 8, .table_align = 4096},
};

/* ---- page entries ------------------------------------------------------------------------------------- */

static bool pte_fits(const struct nvmmu_pte *pte)
{
    return pte->aperture <= NVMMU_NCOH && pte->aperture != NVMMU_PEER && !pte->peer && pte->kind <= 0x7f &&
           pte->comp <= 3 && pte->block <= 7 && !(pte->comptag >> PTE_COMPTAG_BITS) && !(pte->addr & ~ADDRESS) &&
           !pte->vol && !pte->atomic_disable && !pte->encrypted && !pte->lock && !pte->read_disable &&
           !pte->write_disable && !pte->acd;
}

static int pte_encode(const struct nvmmu_format *f, const struct nvmmu_pte *pte, uint64_t *word)
{
    (void)f;
    if (!pte_fits(pte))
        return -EINVAL;
    *word = PTE_VALID | (pte->ro ? PTE_RO : 0) | (uint64_t)pte->aperture << PTE_APERTURE_LOW |
            (pte->priv ? PTE_PRIV : 0) | (uint64_t)pte->block << PTE_BLOCK_LOW | pte->addr |
            (uint64_t)pte->kind << PTE_KIND_LOW | (uint64_t)pte->comp << PTE_COMP_LOW |
            (uint64_t)pte->comptag << PTE_COMPTAG_LOW;
    return 0;
}

static void pte_decode(uint64_t word, struct nvmmu_pte *out)
{
    *out = (struct nvmmu_pte){
        .addr = word & ADDRESS,
        .aperture = word >> PTE_APERTURE_LOW & 3,
        .block = word >> PTE_BLOCK_LOW & 7,
        .kind = word >> PTE_KIND_LOW & 0x7f,
        .comp = word >> PTE_COMP_LOW & 3,
        .comptag = word >> PTE_COMPTAG_LOW & ((1u << PTE_COMPTAG_BITS) - 1),
        .ro = word & PTE_RO,
        .priv = word & PTE_PRIV,
    };
}

/* ---- directory entries -------------------------------------------------------------------------------- */

/* The code of an SPT with its first entries >> size; -EINVAL: there is none. */
static int size_code(unsigned size)
{
    return size == 0 ? 0 : size >= 2 && size <= 4 ? (int)size - 1 : -EINVAL;
}

static int pde_encode(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pde *big,
                      const struct nvmmu_pde *next, uint64_t out[2])
{
    const struct nvmmu_pde *to = big && big->present ? big : next;
    int code;

    (void)f, (void)level;
    out[0] = PDE_NONE;
    out[1] = 0;
    if (!to || !to->present)
        return (big && (big->vol || big->no_ats)) || (next && (next->vol || next->no_ats)) ? -EINVAL : 0;
    code = size_code(to->size);
    if ((to == big && (code || (next && next->present))) || code < 0 || to->aperture == NVMMU_PEER ||
        to->aperture > NVMMU_NCOH || to->addr & ~ADDRESS || to->no_ats)
        return -EINVAL;
    /* Tables have no vol bit; the chip reads them uncached. */
    out[0] = (to == big ? PDE_BIG : PDE_SMALL) | (unsigned)to->aperture << 2 | (unsigned)code << 5 | to->addr;
    return 0;
}

#define POINTER(pages, other) \
    { \
        .tell = 0xf, .where = {(pages), NVMMU_NOWHERE, (pages) | NVMMU_HOST << 2, (pages) | NVMMU_NCOH << 2}, \
        .none_mask = 0x3, .none = other, .address = {ADDRESS, 0, ADDRESS, ADDRESS}, .low = 12, \
    }

static const struct nvmmu_pointer big_pointer = POINTER(PDE_BIG, PDE_SMALL), small_pointer = POINTER(PDE_SMALL, PDE_BIG);

static inline unsigned table_size(uint64_t word)
{
    unsigned code = word >> 5 & 3;

    return (word & 3) == PDE_SMALL && code ? code + 1 : 0;
}

static struct nvmmu_pde table_decode(struct nvmmu_next next, unsigned size)
{
    if (!next.present)
        return (struct nvmmu_pde){0};
    return (struct nvmmu_pde){
        .addr = next.addr, .aperture = (uint8_t)next.aperture, .size = (uint8_t)size, .present = true};
}

static void decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                   struct nvmmu_entry *out)
{
    (void)f;
    *out = (struct nvmmu_entry){.state = NVMMU_ENTRY_INVALID};
    if (level < NVMMU_PD0) {
        if (word[0] & PTE_VALID) {
            out->state = NVMMU_ENTRY_PAGE;
            pte_decode(word[0], &out->page);
        }
        return;
    }
    out->big = table_decode(nvmmu__pointer_read(&big_pointer, word[0]), 0);
    out->next = table_decode(nvmmu__pointer_read(&small_pointer, word[0]), table_size(word[0]));
    if (out->big.present || out->next.present)
        out->state = NVMMU_ENTRY_TABLE;
}

/* ---- names -------------------------------------------------------------------------------------------- */

static const char *const apertures[] = {"vram", NULL, "host", "ncoh"};
static const char *const page_sizes[] = {"none", "64K", "none", "4K"};
static const char *const table_sizes[] = {"1M", "256K", "128K", "64K"};

static const struct nvmmu_field_layout page_fields[] = {
    {"valid", 0, 0, 0, NULL, 0},       {"ro", 3, 3, 0, NULL, 0},         {"aperture", 5, 4, 0, apertures, 0},
    {"priv", 6, 6, 0, NULL, 0},        {"block", 9, 7, 0, NULL, 0},      {"address", 39, 12, 12, NULL, 0},
    {"kind", 46, 40, 0, NULL, 0},      {"comp", 48, 47, 0, NULL, 0},     {"comptag", 60, 49, 0, NULL, 0},
};
static const struct nvmmu_field_layout table_fields[] = {
    {"pages", 1, 0, 0, page_sizes, 0},
    {"aperture", 3, 2, 0, apertures, 0},
    {"size", 6, 5, 0, table_sizes, 0},
    {"address", 39, 12, 12, NULL, 0},
};
static const struct nvmmu_field_layout big_fields[] = {
    {"pages", 1, 0, 0, page_sizes, 0}, {"aperture", 3, 2, 0, apertures, 0}, {"address", 39, 12, 12, NULL, 0}};
static const struct nvmmu_field_layout none_fields[] = {
    {"pages", 1, 0, 0, page_sizes, 0}, {"ignored", 63, 2, 0, NULL, 0}};

#define SET(a) ((struct nvmmu_field_set){a, sizeof(a) / sizeof((a)[0])})

static struct nvmmu_field_set fields(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                                     unsigned i)
{
    (void)f, (void)i;
    if (level < NVMMU_PD0)
        return SET(page_fields);
    switch (word[0] & 3) {
    case PDE_BIG:
        return SET(big_fields);
    case PDE_SMALL:
        return SET(table_fields);
    default:
        return SET(none_fields);
    }
}

/* ---- the quick walk ----------------------------------------------------------------------------------- */

#define READING \
    { \
        .valid = PTE_VALID, .address = {ADDRESS, ADDRESS}, .address_unit = 1, .ro = PTE_RO, .priv = PTE_PRIV, \
        .aperture_low = PTE_APERTURE_LOW, .block = 7ull << PTE_BLOCK_LOW, .block_low = PTE_BLOCK_LOW, \
    }

static const struct nvmmu_translator translator = {
    .level = levels,
    .level_count = 3,
    .va_bits = 40,
    .reading = READING,
    .next = &small_pointer,
    .big = &big_pointer,
    .size = table_size,
};

NVMMU_WALK_FUNCTIONS(nv50, translator)
static const struct nvmmu_walks walks = NVMMU_WALKS(nv50, READING);

/* ---- kinds -------------------------------------------------------------------------------------------- */

#define __ 0x7f

static const uint8_t storage[128] = {
    1,  __, __, __, __, __, __, __, __, __, __, __, __, __, __, __, /* 0x00 */
    1,  1,  1,  1,  __, __, __, __, 2,  2,  2,  2,  __, __, __, __, /* 0x10 */
    1,  1,  1,  1,  1,  1,  1,  __, 2,  2,  2,  2,  2,  2,  2,  __, /* 0x20 */
    __, __, __, __, __, __, __, __, __, __, __, __, __, __, __, __, /* 0x30 */
    1,  1,  1,  1,  1,  1,  1,  2,  2,  2,  2,  2,  2,  2,  __, __, /* 0x40 */
    __, __, __, __, 1,  1,  1,  __, __, __, __, __, __, __, __, __, /* 0x50 */
    1,  1,  1,  1,  1,  1,  1,  __, 1,  1,  1,  1,  2,  2,  2,  2,  /* 0x60 */
    1,  __, 2,  __, 1,  __, 2,  __, 1,  1,  2,  2,  1,  1,  __, __, /* 0x70 */
};

static const struct nvmmu_kind_name names[] = {{0x00, "pitch"}};

static const struct nvmmu_kinds kinds = {
    .storage = storage,
    .count = sizeof(storage),
    .invalid = __,
    .name = names,
    .name_count = sizeof(names) / sizeof(names[0]),
};

/* ---- the chips ---------------------------------------------------------------------------------------- */

#define V NVMMU_PAGE_VRAM
#define H NVMMU_PAGE_HOST
#define C NVMMU_PAGE_COMP

static const struct nvmmu_page_size nv50_pages[] = {{16, V | C}, {12, V | H}};
static const struct nvmmu_page_size mcp77_pages[] = {{16, V}, {12, V | H}};

#define TESLA \
    .level = levels, .level_count = 3, .page_count = 2, .va_bits = 40, \
    .page_levels = 1u << NVMMU_LPT | 1u << NVMMU_SPT, \
    .aperture = {NVMMU_VRAM, NVMMU_REFUSED, NVMMU_HOST, NVMMU_NCOH}, \
    .traits = NVMMU_TRAIT_NO_VOL | NVMMU_TRAIT_ONE_TABLE, .address_shift = 0, \
    .address_bits = {ADDRESS_BITS, ADDRESS_BITS, ADDRESS_BITS, ADDRESS_BITS}, .valid = PTE_VALID, \
    .unused_pde = PDE_NONE, .block_low = PTE_BLOCK_LOW, .page_block = 1ull << 29, .kinds = &kinds, \
    .pte_encode = pte_encode, .pde_encode = pde_encode, .decode = decode, .fields = fields, .walks = &walks

const struct nvmmu_format nvmmu__nv50 = {
    .name = "nv50", TESLA, .page = nv50_pages, .control = &nvmmu__control_nv50};
const struct nvmmu_format nvmmu__g84 = {.name = "g84", TESLA, .page = nv50_pages, .control = &nvmmu__control_g84};
/* Integrated: VRAM is a stolen piece of system memory, which the space's maker has to say where it begins. */
const struct nvmmu_format nvmmu__mcp77 = {
    .name = "mcp77", TESLA, .page = mcp77_pages, .control = &nvmmu__control_g84};
