/* The parts of the Pascal … Ada format (VER2) that its chips share. */
#ifndef NVMMU_GP100_H
#define NVMMU_GP100_H

#include "format_private.h"

/* The leading fields of every VER2 format. */
#define NVMMU_VER2 \
    .level = nvmmu__gp100_levels, .level_count = 6, .va_bits = 49, .address_shift = 4, \
    .address_bits = {37, 37, 58, 58}, .valid = 0x1, .page_bit = 0x1, .sparse_pte = 0x8, .sparse_mask = 0x8, \
    .sparse_pde = 0x8, .hidden = 0x20, .hidden_mask = 0x20, .pfn_levels = 1u << NVMMU_PD0 | 1u << NVMMU_SPT, \
    .pte_encode = nvmmu__gp100_pte_encode, \
    .pde_encode = nvmmu__gp100_pde_encode, .decode = nvmmu__gp100_decode, .fields = nvmmu__gp100_fields, \
    .walks = &nvmmu__gp100_walks

#define NVMMU_VER2_PAGE_LEVELS (1u << NVMMU_PD0 | 1u << NVMMU_LPT | 1u << NVMMU_SPT)

extern const struct nvmmu_level_info nvmmu__gp100_levels[6];
extern const struct nvmmu_walks nvmmu__gp100_walks;
extern const struct nvmmu_kinds nvmmu__gm200_kinds, nvmmu__tu102_kinds;

int nvmmu__gp100_pte_encode(const struct nvmmu_format *f, const struct nvmmu_pte *pte, uint64_t *word);
int nvmmu__gp100_pde_encode(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pde *big,
                           const struct nvmmu_pde *next, uint64_t out[2]);
void nvmmu__gp100_decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                        struct nvmmu_entry *out);
struct nvmmu_field_set nvmmu__gp100_fields(const struct nvmmu_format *f, enum nvmmu_level level,
                                          const uint64_t word[2], unsigned i);

#endif
