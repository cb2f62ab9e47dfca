/*
 * Hopper and Blackwell: NVIDIA's MMU format VER3. 57 bits of address; PD4 (1) PD3 (9) PD2 (9) PD1 (9) PD0 (8, two
 * words an entry) LPT (5) and SPT (9).
 *
 * Page entry: 0 valid, 2:1 aperture, 7:3 PCF, 11:8 kind, 51:12 address, 63:61 peer.
 * PCF of a valid page: 3 vol, 4 priv, 5 ro, 6 no atomics, 7 no access counters; of an invalid one: 1 sparse,
 * 2 nowhere, 3 no small page below (hidden).
 * Directory entry: 0 is a page, 2:1 aperture (0: none), 5:3 PCF (3 vol, or without a table sparse; 4 no ATS),
 * 51:12 address. PD0: the low word is the LPT's, with address bits 51:8; the high word is the SPT's.
 * Pages of 2 MiB stand in the low word at PD0, of 512 MiB at PD1, on Blackwell of 256 GiB at PD2. nouveau offers
 * 512 MiB and writes nothing; here they are written (GH100-512M).
 *
 * Source: open-gpu-kernel-modules dev_mmu of gh100 and gb100; nouveau vmmgh100.
 */
#include <errno.h>

#include "gp100.h"
#include "translate.h"

#define PTE_VALID          0x1ull
#define PTE_VOL            0x8ull
#define PTE_PRIV           0x10ull
#define PTE_RO             0x20ull
#define PTE_ATOMIC_DISABLE 0x40ull
#define PTE_ACD            0x80ull
#define PTE_PCF            0xf8ull
#define PTE_PCF_SPARSE     0x08ull
#define PTE_PCF_HIDDEN     0x18ull
#define PTE_KIND_LOW       8
#define PTE_PEER_LOW       61

#define PDE_IS_PAGE     0x1ull
#define PDE_VOL         0x8ull
#define PDE_NO_ATS      0x10ull

#define ADDRESS         0x000ffffffffff000ull
#define BIG_ADDRESS     0x000fffffffffff00ull
#define ADDRESS_BITS    52

static const struct nvmmu_level_info levels[7] = {
    {.level = NVMMU_PD4, .index_bits = 1, .shift = 56, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_PD3, .index_bits = 9, .shift = 47, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_PD2, .index_bits = 9, .shift = 38, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_PD1, .index_bits = 9, .shift = 29, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_PD0, .index_bits = 8, .shift = 21, .entry_bytes = 16, .table_align = 4096},
    {.level = NVMMU_LPT, .index_bits = 5, .shift = 16, .entry_bytes = 8, .table_align = 256},
    {.level = NVMMU_SPT, .index_bits = 9, .shift = 12, .entry_bytes = 8, .table_align = 4096},
};

/* ---- page entries ------------------------------------------------------------------------------------- */

static int pte_encode(const struct nvmmu_format *f, const struct nvmmu_pte *pte, uint64_t *word)
{
    (void)f;
    if (pte->aperture > NVMMU_NCOH || pte->kind > 0xf || pte->comptag || pte->addr & ~ADDRESS ||
        pte->peer > (pte->aperture == NVMMU_PEER ? 7 : 0))
        return -EINVAL;
    if (pte->encrypted || pte->lock || pte->read_disable || pte->write_disable)
        return -EINVAL;
    *word = PTE_VALID | (uint64_t)pte->aperture << 1 | (pte->vol ? PTE_VOL : 0) | (pte->priv ? PTE_PRIV : 0) |
            (pte->ro ? PTE_RO : 0) | (pte->atomic_disable ? PTE_ATOMIC_DISABLE : 0) | (pte->acd ? PTE_ACD : 0) |
            (uint64_t)pte->kind << PTE_KIND_LOW | pte->addr | (uint64_t)pte->peer << PTE_PEER_LOW;
    return 0;
}

static void pte_decode(uint64_t word, struct nvmmu_pte *out)
{
    unsigned aperture = word >> 1 & 3;

    *out = (struct nvmmu_pte){
        .addr = word & ADDRESS,
        .aperture = (uint8_t)aperture,
        .peer = aperture == NVMMU_PEER ? (uint8_t)(word >> PTE_PEER_LOW) : 0,
        .kind = word >> PTE_KIND_LOW & 0xf,
        .vol = word & PTE_VOL,
        .priv = word & PTE_PRIV,
        .ro = word & PTE_RO,
        .atomic_disable = word & PTE_ATOMIC_DISABLE,
        .acd = word & PTE_ACD,
    };
}

/* ---- directory entries -------------------------------------------------------------------------------- */

/* One table pointer; `address` are the bits it may have. Not present with vol: sparse. */
static int half_encode(const struct nvmmu_pde *pde, uint64_t address, uint64_t *word)
{
    *word = 0;
    if (!pde)
        return 0;
    if (pde->present) {
        if (pde->size || pde->aperture == NVMMU_PEER || pde->aperture > NVMMU_NCOH || pde->addr & ~address)
            return -EINVAL;
        *word = pde->addr | (pde->aperture == NVMMU_VRAM ? 1ull : pde->aperture) << 1;
    }
    *word |= (pde->vol ? PDE_VOL : 0) | (pde->no_ats ? PDE_NO_ATS : 0);
    return 0;
}

static int pde_encode(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pde *big,
                      const struct nvmmu_pde *next, uint64_t out[2])
{
    (void)f;
    out[1] = 0;
    if (level != NVMMU_PD0)
        return big ? -EINVAL : half_encode(next, ADDRESS, &out[0]);
    return half_encode(big, BIG_ADDRESS, &out[0]) || half_encode(next, ADDRESS, &out[1]) ? -EINVAL : 0;
}

#define PDE_WHERE .tell = 0x6, .where = {0x2, NVMMU_NOWHERE, 0x4, 0x6}, .none_mask = 0x6

static const struct nvmmu_pointer next_pointer = {PDE_WHERE, .address = {ADDRESS, 0, ADDRESS, ADDRESS}, .low = 12};
static const struct nvmmu_pointer big_pointer = {
    PDE_WHERE, .address = {BIG_ADDRESS, 0, BIG_ADDRESS, BIG_ADDRESS}, .low = 8};

static struct nvmmu_pde half_decode(uint64_t word, const struct nvmmu_pointer *pointer)
{
    struct nvmmu_next next = nvmmu__pointer_read(pointer, word);

    return (struct nvmmu_pde){
        .addr = next.addr,
        .aperture = (uint8_t)next.aperture,
        .present = next.present,
        .vol = word & PDE_VOL,
        .no_ats = word & PDE_NO_ATS,
    };
}

static void pde_decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                       struct nvmmu_entry *out)
{
    if (word[0] & PDE_IS_PAGE) {
        if (f->page_levels & 1u << level) {
            out->state = NVMMU_ENTRY_PAGE;
            pte_decode(word[0], &out->page);
        }
        return;
    }
    if (level == NVMMU_PD0) {
        out->big = half_decode(word[0], &big_pointer);
        out->next = half_decode(word[1], &next_pointer);
    } else {
        out->next = half_decode(word[0], &next_pointer);
    }
    if (out->big.present || out->next.present)
        out->state = NVMMU_ENTRY_TABLE;
    else if (word[0] & PDE_VOL)
        out->state = NVMMU_ENTRY_SPARSE;
}

static void decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                   struct nvmmu_entry *out)
{
    *out = (struct nvmmu_entry){.state = NVMMU_ENTRY_INVALID};
    if (level >= NVMMU_PD0) {
        pde_decode(f, level, word, out);
    } else if (word[0] & PTE_VALID) {
        out->state = NVMMU_ENTRY_PAGE;
        pte_decode(word[0], &out->page);
    } else if ((word[0] & PTE_PCF) == PTE_PCF_SPARSE) {
        out->state = NVMMU_ENTRY_SPARSE;
    } else if (level == NVMMU_LPT && (word[0] & PTE_PCF) == PTE_PCF_HIDDEN) {
        out->state = NVMMU_ENTRY_HIDDEN;
    }
}

/* ---- names -------------------------------------------------------------------------------------------- */

static const char *const page_apertures[] = {"vram", "peer", "host", "ncoh"};
static const char *const table_apertures[] = {"none", "vram", "host", "ncoh"};
static const char *const sparse_text[] = {NULL, "sparse"};
static const char *const invalid_pcfs[32] = {"invalid", "sparse", "nowhere", "hidden"};

#define PAGE_FIELDS \
    {"valid", 0, 0, 0, NULL, 0}, {"aperture", 2, 1, 0, page_apertures, 0}, {"vol", 3, 3, 0, NULL, 0}, \
        {"priv", 4, 4, 0, NULL, 0}, {"ro", 5, 5, 0, NULL, 0}, {"atomic_disable", 6, 6, 0, NULL, 0}, \
        {"acd", 7, 7, 0, NULL, 0}, {"kind", 11, 8, 0, NULL, 0}, {"address", 51, 12, 12, NULL, 0}

static const struct nvmmu_field_layout page[] = {PAGE_FIELDS};
static const struct nvmmu_field_layout page_peer[] = {PAGE_FIELDS, {"peer", 63, 61, 0, NULL, 0}};
static const struct nvmmu_field_layout page_invalid[] = {{"valid", 0, 0, 0, NULL, 0},
                                                         {"aperture", 2, 1, 0, page_apertures, 0},
                                                         {"pcf", 7, 3, 0, invalid_pcfs, 0},
                                                         {"kind", 11, 8, 0, NULL, 0},
                                                         {"address", 51, 12, 12, NULL, 0}};

#define TABLE_FIELDS(vol_text) \
    {"aperture", 2, 1, 0, table_apertures, 0}, {"vol", 3, 3, 0, vol_text, 0}, {"no_ats", 4, 4, 0, NULL, 0}
#define IS_PAGE_FIELD {"is_page", 0, 0, 0, NULL, 0}

static const struct nvmmu_field_layout table[] = {
    IS_PAGE_FIELD, TABLE_FIELDS(NULL), {"address", 51, 12, 12, NULL, 0}};
static const struct nvmmu_field_layout table_none[] = {
    IS_PAGE_FIELD, TABLE_FIELDS(sparse_text), {"address", 51, 12, 12, NULL, 0}};
static const struct nvmmu_field_layout table_big[] = {
    IS_PAGE_FIELD, TABLE_FIELDS(NULL), {"address", 51, 8, 8, NULL, 0}};
static const struct nvmmu_field_layout table_small[] = {TABLE_FIELDS(NULL), {"address", 51, 12, 12, NULL, 0}};

#define SET(a) ((struct nvmmu_field_set){a, sizeof(a) / sizeof((a)[0])})

static struct nvmmu_field_set fields(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                                     unsigned i)
{
    bool is_page = f->page_levels & 1u << level && word[0] & PDE_IS_PAGE;

    if (level < NVMMU_PD0 && !(word[0] & PTE_VALID))
        return SET(page_invalid);
    if (level < NVMMU_PD0 || (is_page && i == 0))
        return (word[0] >> 1 & 3) == NVMMU_PEER ? SET(page_peer) : SET(page);
    if (i == 1)
        return is_page ? (struct nvmmu_field_set){NULL, 0} : SET(table_small);
    if (level == NVMMU_PD0 && (word[0] >> 1 & 3 || word[1] >> 1 & 3))
        return SET(table_big);
    return word[0] >> 1 & 3 ? SET(table) : SET(table_none);
}

/* ---- the quick walk ----------------------------------------------------------------------------------- */

#define READING \
    { \
        .valid = PTE_VALID, .address = {ADDRESS, ADDRESS}, .address_unit = 1, .ro = PTE_RO, .priv = PTE_PRIV, \
        .aperture_low = 1, \
    }

static const struct nvmmu_translator translator = {
    .level = levels,
    .level_count = 7,
    .va_bits = 57,
    .reading = READING,
    .page_bit = PDE_IS_PAGE,
    .sparse_pte = PTE_PCF_SPARSE,
    .sparse_mask = PTE_PCF,
    .sparse_pde = PDE_VOL,
    .hidden = PTE_PCF_HIDDEN,
    .hidden_mask = PTE_PCF,
    .next = &next_pointer,
    .big = &big_pointer,
    .small_word = 1,
};

NVMMU_WALK_FUNCTIONS(gh100, translator)
static const struct nvmmu_walks walks = NVMMU_WALKS(gh100, READING);

/* ---- the chips ---------------------------------------------------------------------------------------- */

#define S NVMMU_PAGE_SPARSE
#define V NVMMU_PAGE_VRAM
#define H NVMMU_PAGE_HOST
#define C NVMMU_PAGE_COMP

static const struct nvmmu_page_size pages[] = {{56, S},         {47, S},         {38, S},        {29, S | V | C},
                                               {21, S | V | C}, {16, S | V | C}, {12, S | V | H}};

#define VER3 \
    .control = &nvmmu__control_tu102, .level = levels, .level_count = 7, .page = pages, .page_count = 7, .va_bits = 57, \
    .aperture = {NVMMU_VRAM, NVMMU_REFUSED, NVMMU_HOST, NVMMU_NCOH}, .traits = NVMMU_TRAIT_PCF, .address_shift = 0, \
    .address_bits = {ADDRESS_BITS, ADDRESS_BITS, ADDRESS_BITS, ADDRESS_BITS}, .valid = PTE_VALID, \
    .page_bit = PDE_IS_PAGE, .sparse_pte = PTE_PCF_SPARSE, .sparse_mask = PTE_PCF, .sparse_pde = PDE_VOL, \
    .hidden = PTE_PCF_HIDDEN, .hidden_mask = PTE_PCF, .kinds = &nvmmu__tu102_kinds, .pte_encode = pte_encode, \
    .pde_encode = pde_encode, .decode = decode, .fields = fields, .walks = &walks

#define PAGE_LEVELS (NVMMU_VER2_PAGE_LEVELS | 1u << NVMMU_PD1)

const struct nvmmu_format nvmmu__gh100 = {.name = "gh100", VER3, .page_levels = PAGE_LEVELS};
/* nouveau drives Blackwell as Hopper. */
const struct nvmmu_format nvmmu__gb100 = {.name = "gb100", VER3, .page_levels = PAGE_LEVELS | 1u << NVMMU_PD2};
