/* The parts of the Fermi … Maxwell format (VER1) that its classes share. Words: gf100.c. */
#ifndef NVMMU_GF100_H
#define NVMMU_GF100_H

#include "format_private.h"
#include "translate.h"

#define VER1_PTE_VALID 0x1ull
#define VER1_PTE_PRIV  0x2ull
#define VER1_PTE_RO    0x4ull
#define VER1_PTE_VOL   0x100000000ull
#define VER1_PDE_VOL_BIG 0x800000000ull

#define VER1_SYS_ADDRESS   0xfffffff0ull
#define VER1_VRAM_ADDRESS  0x1ffffff0ull
#define VER1_ADDRESS_SHIFT 8
#define VER1_APERTURE_LOW  33
#define VER1_SMALL_LOW     32 /* of a PDE's half for the SPT */

/* What the classes can: Fermi has no hiding, sparse pages come with GM20x. */
#define VER1_HIDDEN     VER1_PTE_PRIV
#define VER1_SPARSE_PTE VER1_PTE_VOL
#define VER1_SPARSE_PDE VER1_PDE_VOL_BIG

static const struct nvmmu_level_info nvmmu__ver1_levels_128k[3] = {
    {.level = NVMMU_PD0, .index_bits = 13, .shift = 27, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_LPT, .index_bits = 10, .shift = 17, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_SPT, .index_bits = 15, .shift = 12, .entry_bytes = 8, .table_align = 4096},
};
static const struct nvmmu_level_info nvmmu__ver1_levels_64k[3] = {
    {.level = NVMMU_PD0, .index_bits = 14, .shift = 26, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_LPT, .index_bits = 10, .shift = 16, .entry_bytes = 8, .table_align = 4096},
    {.level = NVMMU_SPT, .index_bits = 14, .shift = 12, .entry_bytes = 8, .table_align = 4096},
};

/* ---- the quick walk ----------------------------------------------------------------------------------- */

/* One half of a PDE; the SPT's is to be shifted down. */
static const struct nvmmu_pointer nvmmu__ver1_pointer = {
    .tell = 0x3,
    .where = {0x1, NVMMU_NOWHERE, 0x2, 0x3},
    .none_mask = 0x3,
    .address = {VER1_VRAM_ADDRESS, 0, VER1_SYS_ADDRESS, VER1_SYS_ADDRESS},
    .low = 4,
    .shift = VER1_ADDRESS_SHIFT,
};

static inline unsigned nvmmu__ver1_size(uint64_t word)
{
    return word >> 2 & 3;
}

#define VER1_READING \
    { \
        .valid = VER1_PTE_VALID, .address = {VER1_VRAM_ADDRESS, VER1_SYS_ADDRESS}, \
        .system = (uint64_t)NVMMU_HOST << VER1_APERTURE_LOW, \
        .address_unit = 1ull << VER1_ADDRESS_SHIFT, .ro = VER1_PTE_RO, .priv = VER1_PTE_PRIV, \
        .aperture_low = VER1_APERTURE_LOW, \
    }

/* walks_<name> for one geometry and set of special words (0: no such word). */
#define NVMMU_VER1_WALKS(name, levels, sparse_pte_, sparse_pde_, hidden_) \
    static const struct nvmmu_translator translator_##name = { \
        .level = levels, \
        .level_count = 3, \
        .va_bits = 40, \
        .reading = VER1_READING, \
        .sparse_pte = sparse_pte_, \
        .sparse_mask = sparse_pte_, \
        .sparse_pde = sparse_pde_, \
        .hidden = hidden_, \
        .hidden_mask = hidden_, \
        .next = &nvmmu__ver1_pointer, \
        .big = &nvmmu__ver1_pointer, \
        .small_low = VER1_SMALL_LOW, \
        .size = nvmmu__ver1_size, \
    }; \
    NVMMU_WALK_FUNCTIONS(name, translator_##name) \
    static const struct nvmmu_walks walks_##name = NVMMU_WALKS(name, VER1_READING);

/* ---- formats ------------------------------------------------------------------------------------------ */

/* The leading fields of a VER1 format, with the walks of NVMMU_VER1_WALKS(name_, …). */
#define NVMMU_VER1(levels, name_) \
    .level = levels, .level_count = 3, .va_bits = 40, .address_shift = VER1_ADDRESS_SHIFT, \
    .address_bits = {37, 37, 40, 40}, .valid = VER1_PTE_VALID, .page_levels = 1u << NVMMU_LPT | 1u << NVMMU_SPT, \
    .pte_encode = nvmmu__gf100_pte_encode, .pde_encode = nvmmu__gf100_pde_encode, .decode = nvmmu__gf100_decode, \
    .fields = nvmmu__gf100_fields, .walks = &walks_##name_

extern const struct nvmmu_kinds nvmmu__gf100_kinds, nvmmu__gm200_kinds;

int nvmmu__gf100_pte_encode(const struct nvmmu_format *f, const struct nvmmu_pte *pte, uint64_t *word);
int nvmmu__gf100_pde_encode(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pde *big,
                           const struct nvmmu_pde *next, uint64_t out[2]);
void nvmmu__gf100_decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                        struct nvmmu_entry *out);
struct nvmmu_field_set nvmmu__gf100_fields(const struct nvmmu_format *f, enum nvmmu_level level,
                                          const uint64_t word[2], unsigned i);

#endif
