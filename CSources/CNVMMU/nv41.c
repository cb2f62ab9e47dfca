/*
 * nv40 on PCIe (nv41): 512 MiB of GART addresses in one table. Entry, 32 bits: 0 valid, 31:5 address 38:12.
 * Source: nouveau vmmnv41.
 */
#include <errno.h>

#include "gart.h"

#define PTE_VALID     0x1u
#define PTE_ADDRESS   0xffffffe0u
#define ADDRESS_SHIFT 7
#define ADDRESS_BITS  39

#define BITS 17

static const struct nvmmu_level_info levels[2] = NVMMU_GART_LEVELS(BITS, 4096, 0);

static int pte_encode(const struct nvmmu_format *f, const struct nvmmu_pte *pte, uint64_t *word)
{
    (void)f;
    if (!nvmmu__gart_pte_fits(pte, ADDRESS_BITS, false))
        return -EINVAL;
    *word = pte->addr >> ADDRESS_SHIFT | PTE_VALID;
    return 0;
}

static void decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                   struct nvmmu_entry *out)
{
    (void)f, (void)level;
    *out = (struct nvmmu_entry){.state = NVMMU_ENTRY_INVALID};
    if (!(word[0] & PTE_VALID))
        return;
    out->state = NVMMU_ENTRY_PAGE;
    out->page = (struct nvmmu_pte){.addr = (word[0] & PTE_ADDRESS) << ADDRESS_SHIFT, .aperture = NVMMU_HOST};
}

static struct nvmmu_field_set fields(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                                     unsigned i)
{
    static const struct nvmmu_field_layout layout[] = {{"valid", 0, 0, 0, NULL, 0}, {"address", 31, 5, 12, NULL, 0}};

    (void)f, (void)level, (void)word, (void)i;
    return (struct nvmmu_field_set){layout, sizeof(layout) / sizeof(layout[0])};
}

/* ---- the table ---------------------------------------------------------------------------------------- */

static uint64_t load(const void *table, uint32_t index)
{
    return nvmmu__gart_load(table, 0, index);
}

static void store(void *table, uint32_t index, uint64_t word)
{
    nvmmu__gart_store(table, 0, index, word);
}

static void clear(void *table, uint32_t index, uint32_t count, uint64_t dummy)
{
    (void)dummy;
    for (uint32_t i = 0; i < count; i++)
        store(table, index + i, 0);
}

static const struct nvmmu_gart gart = {NULL, load, store, clear};

const struct nvmmu_format nvmmu__nv41 = {
    .name = "nv41",
    NVMMU_GART(BITS, levels),
    .address_shift = ADDRESS_SHIFT,
    .address_bits = {ADDRESS_BITS, ADDRESS_BITS, ADDRESS_BITS, ADDRESS_BITS},
    .valid = PTE_VALID,
    .gart = &gart,
    .control = &nvmmu__control_nv41,
    .pte_encode = pte_encode,
    .decode = decode,
    .fields = fields,
};
