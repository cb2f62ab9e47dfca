/*
 * Pascal (gp100, gp10b) and the words that Volta, Turing, Ampere and Ada share with it: NVIDIA's MMU format VER2.
 * 49 bits of address; PD3 (2) PD2 (9) PD1 (9) PD0 (8, two words an entry) LPT (5) and SPT (9).
 *
 * Page entry: 0 valid, 2:1 aperture, 3 vol (alone: sparse), 4 encrypted, 5 priv (alone, LPT: hidden), 6 ro,
 * 7 no atomics, 53:8 address 57:12 of system memory, 32:8 address 36:12 of VRAM and peers, 35:33 peer,
 * 55:36 comptag line, 63:56 kind.
 * Directory entry: 0 is a page, 2:1 aperture (0: none), 3 vol (no table: sparse), 5 NO_ATS, 53:8 address 57:12
 * (VRAM 32:8). PD0: the low word is the LPT's, with address bits 57:8 at 53:4; the high word is the SPT's.
 *
 * Source: open-gpu-doc gp100-mmu-format; dev_mmu of gp100, gv100, tu104, ga100. The comptag field is 53:36 in the
 * manuals of Pascal and Volta, where 55:54 are not used; nouveau writes lines of 20 bits on all of them.
 */
#include <errno.h>

#include "gp100.h"
#include "translate.h"

#define PTE_VALID          0x1ull
#define PTE_VOL            0x8ull
#define PTE_ENCRYPTED      0x10ull
#define PTE_PRIV           0x20ull
#define PTE_RO             0x40ull
#define PTE_ATOMIC_DISABLE 0x80ull
#define PTE_VRAM_ADDRESS   0x00000001ffffff00ull
#define PTE_SYS_ADDRESS    0x003fffffffffff00ull
#define PTE_PEER_LOW       33
#define PTE_COMPTAG_LOW    36
#define PTE_COMPTAG_BITS   20
#define PTE_KIND_LOW       56

#define PDE_IS_PAGE     0x1ull
#define PDE_VOL         0x8ull
#define PDE_NO_ATS      0x20ull
#define PDE_ADDRESS     0x003fffffffffff00ull
#define PDE_BIG_ADDRESS 0x003ffffffffffff0ull
#define PDE_VRAM_LIMIT  0x00000001ffffffffull

#define ADDRESS_SHIFT 4
#define VRAM_BITS     37
#define SYS_BITS      58

const struct nvmmu_level_info nvmmu__gp100_levels[6] = {
    {.level = NVMMU_PD3, .index_bits = 2, .shift = 47, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_PD2, .index_bits = 9, .shift = 38, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_PD1, .index_bits = 9, .shift = 29, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_PD0, .index_bits = 8, .shift = 21, .entry_bytes = 16, .table_align = 4096},
    {.level = NVMMU_LPT, .index_bits = 5, .shift = 16, .entry_bytes = 8, .table_align = 256},
    {.level = NVMMU_SPT, .index_bits = 9, .shift = 12, .entry_bytes = 8, .table_align = 4096},
};

/* ---- page entries ------------------------------------------------------------------------------------- */

/* The bits of an address that has no room in the field of its aperture; where a wide peer address goes, the tag. */
static int peer_tag(const struct nvmmu_format *f, const struct nvmmu_pte *pte, uint64_t *tag)
{
    uint64_t high = pte->addr >> VRAM_BITS;

    if (!high)
        return 0;
    if (!(f->traits & NVMMU_TRAIT_WIDE_PEER) || high >> 10)
        return -EINVAL;
    if (*tag && *tag != high)
        return -EINVAL;
    *tag = high;
    return 0;
}

int nvmmu__gp100_pte_encode(const struct nvmmu_format *f, const struct nvmmu_pte *pte, uint64_t *word)
{
    uint64_t tag = pte->comptag;
    bool sys = pte->aperture >= NVMMU_HOST;

    if (pte->aperture > NVMMU_NCOH || pte->kind > 0xff || tag >> PTE_COMPTAG_BITS || pte->addr & 0xfff)
        return -EINVAL;
    if ((pte->encrypted && !(f->traits & NVMMU_TRAIT_ENCRYPTED)) || pte->lock || pte->read_disable ||
        pte->write_disable || pte->acd)
        return -EINVAL;
    if (pte->aperture == NVMMU_PEER ? pte->peer > 7 || peer_tag(f, pte, &tag) : pte->peer)
        return -EINVAL;
    if (sys && (pte->addr >> SYS_BITS || tag))
        return -EINVAL;
    if (pte->aperture == NVMMU_VRAM && pte->addr >> VRAM_BITS)
        return -EINVAL;

    *word = PTE_VALID | (uint64_t)pte->aperture << 1 | (pte->vol ? PTE_VOL : 0) |
            (pte->encrypted ? PTE_ENCRYPTED : 0) | (pte->priv ? PTE_PRIV : 0) | (pte->ro ? PTE_RO : 0) |
            (pte->atomic_disable ? PTE_ATOMIC_DISABLE : 0) | (uint64_t)pte->peer << PTE_PEER_LOW |
            tag << PTE_COMPTAG_LOW | (uint64_t)pte->kind << PTE_KIND_LOW |
            (pte->addr >> ADDRESS_SHIFT & (sys ? PTE_SYS_ADDRESS : PTE_VRAM_ADDRESS));
    return 0;
}

static void pte_decode(const struct nvmmu_format *f, uint64_t word, struct nvmmu_pte *out)
{
    unsigned aperture = word >> 1 & 3;
    bool sys = aperture >= NVMMU_HOST;

    *out = (struct nvmmu_pte){
        .addr = (word & (sys ? PTE_SYS_ADDRESS : PTE_VRAM_ADDRESS)) << ADDRESS_SHIFT,
        .aperture = (uint8_t)aperture,
        .comptag = sys ? 0 : (uint32_t)(word >> PTE_COMPTAG_LOW & ((1u << PTE_COMPTAG_BITS) - 1)),
        .peer = aperture == NVMMU_PEER ? word >> PTE_PEER_LOW & 7 : 0,
        .kind = (uint16_t)(word >> PTE_KIND_LOW),
        .vol = word & PTE_VOL,
        .encrypted = f->traits & NVMMU_TRAIT_ENCRYPTED && word & PTE_ENCRYPTED,
        .priv = word & PTE_PRIV,
        .ro = word & PTE_RO,
        .atomic_disable = word & PTE_ATOMIC_DISABLE,
    };
}

/* ---- directory entries -------------------------------------------------------------------------------- */

/* One table pointer; `align` is that of the table. Not present with vol: sparse. */
static inline int half_encode(const struct nvmmu_format *f, const struct nvmmu_pde *pde, uint64_t align, uint64_t *word)
{
    *word = 0;
    if (!pde)
        return 0;
    if (pde->no_ats && (!(f->traits & NVMMU_TRAIT_NO_ATS) || (pde->present && align < 4096)))
        return -EINVAL;
    if (pde->present) {
        if (pde->size || pde->aperture == NVMMU_PEER || pde->aperture > NVMMU_NCOH || pde->addr & (align - 1) ||
            pde->addr >> (pde->aperture == NVMMU_VRAM ? VRAM_BITS : SYS_BITS))
            return -EINVAL;
        *word = pde->addr >> ADDRESS_SHIFT | (pde->aperture == NVMMU_VRAM ? 1ull : pde->aperture) << 1;
    }
    *word |= (pde->vol ? PDE_VOL : 0) | (pde->no_ats ? PDE_NO_ATS : 0);
    return 0;
}

int nvmmu__gp100_pde_encode(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pde *big,
                           const struct nvmmu_pde *next, uint64_t out[2])
{
    out[1] = 0;
    if (level != NVMMU_PD0)
        return big ? -EINVAL : half_encode(f, next, 4096, &out[0]);
    if (next && next->no_ats)
        return -EINVAL;
    return half_encode(f, big, 256, &out[0]) || half_encode(f, next, 4096, &out[1]) ? -EINVAL : 0;
}

#define PDE_WHERE .tell = 0x6, .where = {0x2, NVMMU_NOWHERE, 0x4, 0x6}, .none_mask = 0x6, .shift = ADDRESS_SHIFT

static const struct nvmmu_pointer next_pointer = {
    PDE_WHERE, .address = {PDE_ADDRESS & PDE_VRAM_LIMIT, 0, PDE_ADDRESS, PDE_ADDRESS}, .low = 8};
static const struct nvmmu_pointer big_pointer = {
    PDE_WHERE, .address = {PDE_BIG_ADDRESS & PDE_VRAM_LIMIT, 0, PDE_BIG_ADDRESS, PDE_BIG_ADDRESS}, .low = 4};

static struct nvmmu_pde half_decode(const struct nvmmu_format *f, uint64_t word, const struct nvmmu_pointer *pointer)
{
    struct nvmmu_next next = nvmmu__pointer_read(pointer, word);

    return (struct nvmmu_pde){
        .addr = next.addr,
        .aperture = (uint8_t)next.aperture,
        .present = next.present,
        .vol = word & PDE_VOL,
        /* At the LPT's pointer the bit belongs to the address. */
        .no_ats = f->traits & NVMMU_TRAIT_NO_ATS && word & PDE_NO_ATS &&
                  !(next.present && pointer->address[NVMMU_HOST] & PDE_NO_ATS),
    };
}

static void pde_decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                       struct nvmmu_entry *out)
{
    if (word[0] & PDE_IS_PAGE) {
        if (f->page_levels & 1u << level) {
            out->state = NVMMU_ENTRY_PAGE;
            pte_decode(f, word[0], &out->page);
        }
        return;
    }
    if (level == NVMMU_PD0) {
        out->big = half_decode(f, word[0], &big_pointer);
        out->next = half_decode(f, word[1], &next_pointer);
    } else {
        out->next = half_decode(f, word[0], &next_pointer);
    }
    if (out->big.present || out->next.present)
        out->state = NVMMU_ENTRY_TABLE;
    else if (word[0] & PDE_VOL)
        out->state = NVMMU_ENTRY_SPARSE;
}

void nvmmu__gp100_decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                        struct nvmmu_entry *out)
{
    *out = (struct nvmmu_entry){.state = NVMMU_ENTRY_INVALID};
    if (level >= NVMMU_PD0) {
        pde_decode(f, level, word, out);
    } else if (word[0] & PTE_VALID) {
        out->state = NVMMU_ENTRY_PAGE;
        pte_decode(f, word[0], &out->page);
    } else if (word[0] & PTE_VOL) {
        out->state = NVMMU_ENTRY_SPARSE;
    } else if (level == NVMMU_LPT && word[0] & PTE_PRIV) {
        out->state = NVMMU_ENTRY_HIDDEN;
    }
}

/* ---- names -------------------------------------------------------------------------------------------- */

static const char *const page_apertures[] = {"vram", "peer", "host", "ncoh"};
static const char *const table_apertures[] = {"none", "vram", "host", "ncoh"};
static const char *const sparse_text[] = {NULL, "sparse"};
static const char *const hidden_text[] = {NULL, "hidden"};

#define PAGE_FIELDS(vol_text, priv_text)                                                                               \
    {"valid", 0, 0, 0, NULL, 0}, {"aperture", 2, 1, 0, page_apertures, 0}, {"vol", 3, 3, 0, vol_text, 0},              \
        {"encrypted", 4, 4, 0, NULL, NVMMU_TRAIT_ENCRYPTED}, {"priv", 5, 5, 0, priv_text, 0},                          \
        {"ro", 6, 6, 0, NULL, 0}, {"atomic_disable", 7, 7, 0, NULL, 0}
#define TAG_FIELDS {"comptag", 55, 36, 0, NULL, 0}, {"kind", 63, 56, 0, NULL, 0}

static const struct nvmmu_field_layout page_vram[] = {
    PAGE_FIELDS(NULL, NULL), {"address", 32, 8, 12, NULL, 0}, TAG_FIELDS};
static const struct nvmmu_field_layout page_peer[] = {
    PAGE_FIELDS(NULL, NULL), {"address", 32, 8, 12, NULL, 0}, {"peer", 35, 33, 0, NULL, 0}, TAG_FIELDS};
static const struct nvmmu_field_layout page_sys[] = {
    PAGE_FIELDS(NULL, NULL), {"address", 53, 8, 12, NULL, 0}, {"kind", 63, 56, 0, NULL, 0}};
static const struct nvmmu_field_layout big_invalid[] = {
    PAGE_FIELDS(sparse_text, hidden_text), {"address", 53, 8, 12, NULL, 0}, {"kind", 63, 56, 0, NULL, 0}};
static const struct nvmmu_field_layout small_invalid[] = {
    PAGE_FIELDS(sparse_text, NULL), {"address", 53, 8, 12, NULL, 0}, {"kind", 63, 56, 0, NULL, 0}};

#define TABLE_FIELDS(vol_text) {"aperture", 2, 1, 0, table_apertures, 0}, {"vol", 3, 3, 0, vol_text, 0}
#define IS_PAGE_FIELD {"is_page", 0, 0, 0, NULL, 0}
#define NO_ATS_FIELD {"no_ats", 5, 5, 0, NULL, NVMMU_TRAIT_NO_ATS}

static const struct nvmmu_field_layout table_none[] = {
    IS_PAGE_FIELD, TABLE_FIELDS(sparse_text), NO_ATS_FIELD, {"address", 53, 8, 12, NULL, 0}};
static const struct nvmmu_field_layout table_vram[] = {
    IS_PAGE_FIELD, TABLE_FIELDS(NULL), NO_ATS_FIELD, {"address", 32, 8, 12, NULL, 0}};
static const struct nvmmu_field_layout table_sys[] = {
    IS_PAGE_FIELD, TABLE_FIELDS(NULL), NO_ATS_FIELD, {"address", 53, 8, 12, NULL, 0}};
static const struct nvmmu_field_layout big_none[] = {
    IS_PAGE_FIELD, TABLE_FIELDS(NULL), NO_ATS_FIELD, {"address", 53, 8, 12, NULL, 0}};
static const struct nvmmu_field_layout big_vram[] = {
    IS_PAGE_FIELD, TABLE_FIELDS(NULL), {"address", 32, 4, 8, NULL, 0}};
static const struct nvmmu_field_layout big_sys[] = {
    IS_PAGE_FIELD, TABLE_FIELDS(NULL), {"address", 53, 4, 8, NULL, 0}};
static const struct nvmmu_field_layout small_vram[] = {TABLE_FIELDS(NULL), {"address", 32, 8, 12, NULL, 0}};
static const struct nvmmu_field_layout small_sys[] = {TABLE_FIELDS(NULL), {"address", 53, 8, 12, NULL, 0}};

#define SET(a) ((struct nvmmu_field_set){a, sizeof(a) / sizeof((a)[0])})

static struct nvmmu_field_set page_set(enum nvmmu_level level, uint64_t word)
{
    if (!(word & PTE_VALID))
        return level == NVMMU_LPT ? SET(big_invalid) : SET(small_invalid);
    switch (word >> 1 & 3) {
    case NVMMU_VRAM:
        return SET(page_vram);
    case NVMMU_PEER:
        return SET(page_peer);
    default:
        return SET(page_sys);
    }
}

struct nvmmu_field_set nvmmu__gp100_fields(const struct nvmmu_format *f, enum nvmmu_level level,
                                          const uint64_t word[2], unsigned i)
{
    unsigned aperture = word[i] >> 1 & 3;
    bool page = f->page_levels & 1u << level && word[0] & PDE_IS_PAGE;

    if (level < NVMMU_PD0 || (page && i == 0))
        return page_set(level, word[0]);
    if (i == 1)
        return page ? (struct nvmmu_field_set){NULL, 0} : aperture == 1 ? SET(small_vram) : SET(small_sys);
    if (level == NVMMU_PD0 && (aperture || word[1] >> 1 & 3))
        return aperture == 0 ? SET(big_none) : aperture == 1 ? SET(big_vram) : SET(big_sys);
    return aperture == 0 ? SET(table_none) : aperture == 1 ? SET(table_vram) : SET(table_sys);
}

/* ---- the quick walk ----------------------------------------------------------------------------------- */

#define READING \
    { \
        .valid = PTE_VALID, .address = {PTE_VRAM_ADDRESS, PTE_SYS_ADDRESS}, .system = NVMMU_HOST << 1, \
        .address_unit = 1ull << ADDRESS_SHIFT, .ro = PTE_RO, .priv = PTE_PRIV, .aperture_low = 1, \
    }

static const struct nvmmu_translator translator = {
    .level = nvmmu__gp100_levels,
    .level_count = 6,
    .va_bits = 49,
    .reading = READING,
    .page_bit = PDE_IS_PAGE,
    .sparse_pte = PTE_VOL,
    .sparse_mask = PTE_VOL,
    .sparse_pde = PDE_VOL,
    .hidden = PTE_PRIV,
    .hidden_mask = PTE_PRIV,
    .next = &next_pointer,
    .big = &big_pointer,
    .small_word = 1,
};

NVMMU_WALK_FUNCTIONS(gp100, translator)
const struct nvmmu_walks nvmmu__gp100_walks = NVMMU_WALKS(gp100, READING);

/* ---- the chips ---------------------------------------------------------------------------------------- */

#define S NVMMU_PAGE_SPARSE
#define V NVMMU_PAGE_VRAM
#define H NVMMU_PAGE_HOST

static const struct nvmmu_page_size gp100_pages[] = {{47, S}, {38, S}, {29, S}, {21, S | V}, {16, S | V}, {12, S | V | H}};
static const struct nvmmu_page_size gp10b_pages[] = {{47, S}, {38, S}, {29, S}, {21, S | H}, {16, S | H}, {12, S | H}};

const struct nvmmu_format nvmmu__gp100 = {
    .name = "gp100",
    NVMMU_VER2,
    .control = &nvmmu__control_gp100,
    .page = gp100_pages,
    .page_count = 6,
    .page_levels = NVMMU_VER2_PAGE_LEVELS,
    .aperture = {NVMMU_VRAM, NVMMU_REFUSED, NVMMU_HOST, NVMMU_NCOH},
    .traits = NVMMU_TRAIT_TAGS | NVMMU_TRAIT_ENCRYPTED,
    .kinds = &nvmmu__gm200_kinds,
};

/* Tegra: system memory that is not coherent stands in the VRAM aperture, coherent memory is refused. */
const struct nvmmu_format nvmmu__gp10b = {
    .name = "gp10b",
    NVMMU_VER2,
    .control = &nvmmu__control_gp100,
    .page = gp10b_pages,
    .page_count = 6,
    .page_levels = NVMMU_VER2_PAGE_LEVELS,
    .aperture = {NVMMU_REFUSED, NVMMU_REFUSED, NVMMU_REFUSED, NVMMU_VRAM},
    .traits = NVMMU_TRAIT_TAGS | NVMMU_TRAIT_ENCRYPTED,
    .kinds = &nvmmu__gm200_kinds,
};
