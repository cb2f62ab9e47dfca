/* What the formats before Tesla share: one table per device, entries of 4 bytes, 4 KiB pages of system memory. */
#ifndef NVMMU_GART_H
#define NVMMU_GART_H

#include "format_private.h"

/* The leading fields of a format whose table has 1 << `bits` entries. `levels` by NVMMU_GART_LEVELS. */
#define NVMMU_GART(bits, levels) \
    .level = levels, .level_count = 2, .va_bits = (bits) + 12, .page = nvmmu__gart_pages, .page_count = 1, \
    .page_levels = 1u << NVMMU_SPT, .aperture = {NVMMU_REFUSED, NVMMU_REFUSED, NVMMU_HOST, NVMMU_HOST}, \
    .traits = NVMMU_TRAIT_NO_VOL, .kinds = &nvmmu__gart_kinds, .pde_encode = nvmmu__gart_pde_encode, \
    .walks = &nvmmu__gart_walks

/* The tree and the walker know leaf tables in pairs: an LPT of one entry, which no page size uses, stands for none. */
#define NVMMU_GART_LEVELS(bits, align, header) \
    { \
        {.level = NVMMU_LPT, .index_bits = 0, .shift = (bits) + 12, .entry_bytes = 8, .table_align = 4096}, \
        {.level = NVMMU_SPT, .index_bits = bits, .shift = 12, .entry_bytes = 4, .table_align = align, \
         .table_header = header}, \
    }

extern const struct nvmmu_page_size nvmmu__gart_pages[1];
extern const struct nvmmu_kinds nvmmu__gart_kinds;
extern const struct nvmmu_walks nvmmu__gart_walks;

/* The page has nothing but an address of fewer than `bits` bits, and perhaps `ro`. */
bool nvmmu__gart_pte_fits(const struct nvmmu_pte *pte, unsigned bits, bool ro);
int nvmmu__gart_pde_encode(const struct nvmmu_format *f, enum nvmmu_level level, const struct nvmmu_pde *big,
                           const struct nvmmu_pde *next, uint64_t out[2]);

/* Tables of plain 32-bit entries, behind a header of `first` entries. */
static inline uint64_t nvmmu__gart_load(const void *table, uint32_t first, uint32_t index)
{
    return __atomic_load_n((const uint32_t *)table + first + index, __ATOMIC_RELAXED);
}

static inline void nvmmu__gart_store(void *table, uint32_t first, uint32_t index, uint64_t word)
{
    __atomic_store_n((uint32_t *)table + first + index, (uint32_t)word, __ATOMIC_RELAXED);
}

#endif
