/*
 * Fermi (gf100) and the words that Kepler and Maxwell share with it: NVIDIA's MMU format VER1. 40 bits of address in
 * two levels: PD0, whose entries of one word point at an LPT and an SPT. Big pages are 128 KiB (PD0 13, LPT 10,
 * SPT 15 index bits) or 64 KiB (14, 10, 14), for a whole space.
 *
 * Page entry: 0 valid, 1 priv (alone, LPT from Kepler on: hidden), 2 ro, 3 encrypted, 31:4 address 39:12 of system
 * memory, 28:4 address 36:12 of VRAM and peers, 31:29 peer, 32 vol (alone, GM20x: sparse), 34:33 aperture, 35 lock,
 * 43:36 kind, 60:44 comptag line (GM20x: 59:44, and 60 which half of it), 62 and 63 read and write disable.
 * Directory entry: 1:0 aperture of the LPT (0: none), 3:2 size of the tables, 31:4 address of the LPT, 33:32 aperture
 * of the SPT, 34 vol of the SPT, 35 vol of the LPT (no table, GM20x: sparse), 63:36 address of the SPT.
 *
 * Source: open-gpu-kernel-modules dev_mmu of gf100, gk104, gm107, gm200; nouveau vmmgf100.
 */
#include <errno.h>

#include "gf100.h"

#define PTE_ENCRYPTED     0x8ull
#define PTE_LOCK          0x800000000ull
#define PTE_READ_DISABLE  0x4000000000000000ull
#define PTE_WRITE_DISABLE 0x8000000000000000ull
#define PTE_PEER_LOW      29
#define PTE_KIND_LOW      36
#define PTE_COMPTAG_LOW   44
#define PTE_COMPTAG_BITS  17

#define PDE_SIZE_LOW  2
#define PDE_VOL_SMALL 0x400000000ull

#define VRAM_BITS 37
#define SYS_BITS  40

/* ---- page entries ------------------------------------------------------------------------------------- */

static bool pte_fits(const struct nvmmu_format *f, const struct nvmmu_pte *pte)
{
    bool disables = pte->read_disable || pte->write_disable;

    return pte->aperture <= NVMMU_NCOH && pte->kind <= 0xff && !(pte->comptag >> PTE_COMPTAG_BITS) &&
           pte->peer <= (pte->aperture == NVMMU_PEER ? 7 : 0) && !(pte->addr & 0xfff) &&
           !(pte->addr >> (pte->aperture >= NVMMU_HOST ? SYS_BITS : VRAM_BITS)) && !pte->atomic_disable &&
           !pte->acd && (!disables || f->traits & NVMMU_TRAIT_DISABLE);
}

int nvmmu__gf100_pte_encode(const struct nvmmu_format *f, const struct nvmmu_pte *pte, uint64_t *word)
{
    if (!pte_fits(f, pte))
        return -EINVAL;
    *word = VER1_PTE_VALID | (pte->priv ? VER1_PTE_PRIV : 0) | (pte->ro ? VER1_PTE_RO : 0) |
            (pte->encrypted ? PTE_ENCRYPTED : 0) | pte->addr >> VER1_ADDRESS_SHIFT |
            (uint64_t)pte->peer << PTE_PEER_LOW | (pte->vol ? VER1_PTE_VOL : 0) |
            (uint64_t)pte->aperture << VER1_APERTURE_LOW | (pte->lock ? PTE_LOCK : 0) |
            (uint64_t)pte->kind << PTE_KIND_LOW | (uint64_t)pte->comptag << PTE_COMPTAG_LOW |
            (pte->read_disable ? PTE_READ_DISABLE : 0) | (pte->write_disable ? PTE_WRITE_DISABLE : 0);
    return 0;
}

static void pte_decode(const struct nvmmu_format *f, uint64_t word, struct nvmmu_pte *out)
{
    unsigned aperture = word >> VER1_APERTURE_LOW & 3;
    bool disables = f->traits & NVMMU_TRAIT_DISABLE;

    *out = (struct nvmmu_pte){
        .addr = (word & (aperture < NVMMU_HOST ? VER1_VRAM_ADDRESS : VER1_SYS_ADDRESS)) << VER1_ADDRESS_SHIFT,
        .aperture = (uint8_t)aperture,
        .peer = aperture == NVMMU_PEER ? word >> PTE_PEER_LOW & 7 : 0,
        .kind = word >> PTE_KIND_LOW & 0xff,
        .comptag = word >> PTE_COMPTAG_LOW & ((1u << PTE_COMPTAG_BITS) - 1),
        .vol = word & VER1_PTE_VOL,
        .priv = word & VER1_PTE_PRIV,
        .ro = word & VER1_PTE_RO,
        .encrypted = word & PTE_ENCRYPTED,
        .lock = word & PTE_LOCK,
        .read_disable = disables && word & PTE_READ_DISABLE,
        .write_disable = disables && word & PTE_WRITE_DISABLE,
    };
}

/* ---- directory entries -------------------------------------------------------------------------------- */

static int half_encode(const struct nvmmu_pde *pde, uint64_t *half)
{
    *half = 0;
    if (!pde || !pde->present)
        return 0;
    if (pde->aperture == NVMMU_PEER || pde->aperture > NVMMU_NCOH || pde->addr & 0xfff || pde->size > 3 ||
        pde->no_ats || pde->addr >> (pde->aperture == NVMMU_VRAM ? VRAM_BITS : SYS_BITS))
        return -EINVAL;
    *half = pde->addr >> VER1_ADDRESS_SHIFT | (pde->aperture == NVMMU_VRAM ? 1u : pde->aperture);
    return 0;
}

int nvmmu__gf100_pde_encode(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pde *big,
                           const struct nvmmu_pde *next, uint64_t out[2])
{
    uint64_t low, high;
    bool both = big && big->present && next && next->present;
    unsigned size = big && big->present ? big->size : next && next->present ? next->size : 0;

    (void)f, (void)level;
    if (half_encode(big, &low) || half_encode(next, &high) || (both && big->size != next->size))
        return -EINVAL;
    out[0] = low | size << PDE_SIZE_LOW | high << VER1_SMALL_LOW | (next && next->vol ? PDE_VOL_SMALL : 0) |
             (big && big->vol ? VER1_PDE_VOL_BIG : 0);
    out[1] = 0;
    return 0;
}

static struct nvmmu_pde half_decode(struct nvmmu_next next, unsigned size, bool vol)
{
    return (struct nvmmu_pde){
        .addr = next.addr,
        .aperture = (uint8_t)next.aperture,
        .size = next.present ? (uint8_t)size : 0,
        .present = next.present,
        .vol = vol,
    };
}

static void pde_decode(const struct nvmmu_format *f, const uint64_t word[2], struct nvmmu_entry *out)
{
    unsigned size = nvmmu__ver1_size(word[0]);

    out->big = half_decode(nvmmu__pointer_read(&nvmmu__ver1_pointer, word[0]), size, word[0] & VER1_PDE_VOL_BIG);
    out->next = half_decode(nvmmu__pointer_read(&nvmmu__ver1_pointer, word[0] >> VER1_SMALL_LOW), size,
                            word[0] & PDE_VOL_SMALL);
    if (out->big.present || out->next.present)
        out->state = NVMMU_ENTRY_TABLE;
    else if (word[0] & f->sparse_pde)
        out->state = NVMMU_ENTRY_SPARSE;
}

void nvmmu__gf100_decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                        struct nvmmu_entry *out)
{
    *out = (struct nvmmu_entry){.state = NVMMU_ENTRY_INVALID};
    if (level >= NVMMU_PD0) {
        pde_decode(f, word, out);
    } else if (word[0] & VER1_PTE_VALID) {
        out->state = NVMMU_ENTRY_PAGE;
        pte_decode(f, word[0], &out->page);
    } else if (word[0] & f->sparse_pte) {
        out->state = NVMMU_ENTRY_SPARSE;
    } else if (level == NVMMU_LPT && word[0] & f->hidden) {
        out->state = NVMMU_ENTRY_HIDDEN;
    }
}

/* ---- names -------------------------------------------------------------------------------------------- */

static const char *const page_apertures[] = {"vram", "peer", "host", "ncoh"};
static const char *const table_apertures[] = {"none", "vram", "host", "ncoh"};
static const char *const sizes[] = {"full", "half", "quarter", "eighth"};
static const char *const sparse_text[] = {NULL, "sparse"};
static const char *const hidden_text[] = {NULL, "hidden"};

#define PAGE_FIELDS(priv_text, ...) \
    {"valid", 0, 0, 0, NULL, 0}, {"priv", 1, 1, 0, priv_text, 0}, {"ro", 2, 2, 0, NULL, 0}, \
        {"encrypted", 3, 3, 0, NULL, 0}, __VA_ARGS__
#define VRAM_FIELD {"address", 28, 4, 12, NULL, 0}
#define PEER_FIELDS VRAM_FIELD, {"peer", 31, 29, 0, NULL, 0}
#define SYS_FIELD {"address", 31, 4, 12, NULL, 0}
#define ATTRIBUTE_FIELDS(vol_text) \
    {"vol", 32, 32, 0, vol_text, 0}, {"aperture", 34, 33, 0, page_apertures, 0}, {"lock", 35, 35, 0, NULL, 0}, \
        {"kind", 43, 36, 0, NULL, 0}
#define LINE_FIELD {"comptag", 60, 44, 0, NULL, 0}
#define HALF_FIELDS {"comptag", 59, 44, 0, NULL, 0}, {"comptag_half", 60, 60, 0, NULL, 0}
#define DISABLE_FIELDS \
    {"read_disable", 62, 62, 0, NULL, NVMMU_TRAIT_DISABLE}, {"write_disable", 63, 63, 0, NULL, NVMMU_TRAIT_DISABLE}

/* With lines, and with half lines. */
#define PAGES(name, ...) \
    static const struct nvmmu_field_layout name##_lines[] = { \
        PAGE_FIELDS(NULL, __VA_ARGS__), ATTRIBUTE_FIELDS(NULL), LINE_FIELD, DISABLE_FIELDS}; \
    static const struct nvmmu_field_layout name##_halves[] = { \
        PAGE_FIELDS(NULL, __VA_ARGS__), ATTRIBUTE_FIELDS(NULL), HALF_FIELDS, DISABLE_FIELDS}
PAGES(vram, VRAM_FIELD);
PAGES(peer, PEER_FIELDS);
PAGES(sys, SYS_FIELD);

#define INVALID(name, priv_text, vol_text, tags) \
    static const struct nvmmu_field_layout name[] = { \
        PAGE_FIELDS(priv_text, SYS_FIELD), ATTRIBUTE_FIELDS(vol_text), tags, DISABLE_FIELDS}
INVALID(invalid, NULL, NULL, LINE_FIELD);
INVALID(invalid_hiding, hidden_text, NULL, LINE_FIELD);
INVALID(invalid_sparse, NULL, sparse_text, LINE_FIELD);
INVALID(invalid_sparse_hiding, hidden_text, sparse_text, LINE_FIELD);

#define BIG_FIELDS(high) \
    {"big_aperture", 1, 0, 0, table_apertures, 0}, {"size", 3, 2, 0, sizes, 0}, {"big_address", high, 4, 12, NULL, 0}
#define SMALL_FIELDS(high, vol_text) \
    {"small_aperture", 33, 32, 0, table_apertures, 0}, {"small_vol", 34, 34, 0, NULL, 0}, \
        {"big_vol", 35, 35, 0, vol_text, 0}, {"small_address", high, 36, 12, NULL, 0}

/* By what is in VRAM: 28:4 and 60:36 there. */
static const struct nvmmu_field_layout tables_sys[] = {BIG_FIELDS(31), SMALL_FIELDS(63, NULL)};
static const struct nvmmu_field_layout tables_big[] = {BIG_FIELDS(28), SMALL_FIELDS(63, NULL)};
static const struct nvmmu_field_layout tables_small[] = {BIG_FIELDS(31), SMALL_FIELDS(60, NULL)};
static const struct nvmmu_field_layout tables_both[] = {BIG_FIELDS(28), SMALL_FIELDS(60, NULL)};
static const struct nvmmu_field_layout tables_sparse[] = {BIG_FIELDS(31), SMALL_FIELDS(63, sparse_text)};

#define SET(a) ((struct nvmmu_field_set){a, sizeof(a) / sizeof((a)[0])})

static struct nvmmu_field_set table_set(const struct nvmmu_format *f, uint64_t word)
{
    unsigned big = word & 3, small = word >> VER1_SMALL_LOW & 3;

    if (!big && !small && f->sparse_pde)
        return SET(tables_sparse);
    if (big == 1)
        return small == 1 ? SET(tables_both) : SET(tables_big);
    return small == 1 ? SET(tables_small) : SET(tables_sys);
}

static struct nvmmu_field_set invalid_set(const struct nvmmu_format *f, bool lpt)
{
    if (f->sparse_pte)
        return lpt && f->hidden ? SET(invalid_sparse_hiding) : SET(invalid_sparse);
    return lpt && f->hidden ? SET(invalid_hiding) : SET(invalid);
}

struct nvmmu_field_set nvmmu__gf100_fields(const struct nvmmu_format *f, enum nvmmu_level level,
                                          const uint64_t word[2], unsigned i)
{
    bool halves = f->traits & NVMMU_TRAIT_TAG_HALVES;

    (void)i;
    if (level >= NVMMU_PD0)
        return table_set(f, word[0]);
    if (!(word[0] & VER1_PTE_VALID))
        return invalid_set(f, level == NVMMU_LPT);
    switch (word[0] >> VER1_APERTURE_LOW & 3) {
    case NVMMU_VRAM:
        return halves ? SET(vram_halves) : SET(vram_lines);
    case NVMMU_PEER:
        return halves ? SET(peer_halves) : SET(peer_lines);
    default:
        return halves ? SET(sys_halves) : SET(sys_lines);
    }
}

/* ---- Fermi -------------------------------------------------------------------------------------------- */

NVMMU_VER1_WALKS(128k, nvmmu__ver1_levels_128k, 0, 0, 0)
NVMMU_VER1_WALKS(64k, nvmmu__ver1_levels_64k, 0, 0, 0)

#define V NVMMU_PAGE_VRAM
#define H NVMMU_PAGE_HOST
#define C NVMMU_PAGE_COMP

static const struct nvmmu_page_size pages_128k[] = {{17, V | C}, {12, V | H}};
static const struct nvmmu_page_size pages_64k[] = {{16, V | C}, {12, V | H}};

#define GF100 \
    .page_count = 2, .aperture = {NVMMU_VRAM, NVMMU_REFUSED, NVMMU_HOST, NVMMU_NCOH}, \
    .traits = NVMMU_TRAIT_OBJECT_TAGS | NVMMU_TRAIT_ENCRYPTED, .kinds = &nvmmu__gf100_kinds, \
    .control = &nvmmu__control_gf100

const struct nvmmu_format nvmmu__gf100 = {
    .name = "gf100", NVMMU_VER1(nvmmu__ver1_levels_128k, 128k), .page = pages_128k, GF100};
const struct nvmmu_format nvmmu__gf100_64k = {
    .name = "gf100-64k", NVMMU_VER1(nvmmu__ver1_levels_64k, 64k), .page = pages_64k, GF100};
