/*
 * nv04 to nv40 on AGP: the GART is a DMA object, 128 MiB of addresses. Eight bytes of header, then one table.
 * Header: word 0 says what the object is (0x0002103d: paged, system memory), word 1 the last address.
 * Entry, 32 bits: 0 present, 1 writable, 31:12 address.
 * Source: nouveau vmmnv04.
 */
#include <errno.h>

#include "gart.h"

#define PTE_PRESENT  0x1u
#define PTE_WRITABLE 0x2u
#define ADDRESS      0xfffff000u

#define BITS         15
#define HEADER_WORDS 2
#define HEADER_CLASS 0x0002103du

static const struct nvmmu_level_info levels[2] = NVMMU_GART_LEVELS(BITS, 4096, 4 * HEADER_WORDS);

static int pte_encode(const struct nvmmu_format *f, const struct nvmmu_pte *pte, uint64_t *word)
{
    (void)f;
    if (!nvmmu__gart_pte_fits(pte, 32, true))
        return -EINVAL;
    *word = pte->addr | PTE_PRESENT | (pte->ro ? 0 : PTE_WRITABLE);
    return 0;
}

static void decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                   struct nvmmu_entry *out)
{
    (void)f, (void)level;
    *out = (struct nvmmu_entry){.state = NVMMU_ENTRY_INVALID};
    if (!(word[0] & PTE_PRESENT))
        return;
    out->state = NVMMU_ENTRY_PAGE;
    out->page = (struct nvmmu_pte){
        .addr = word[0] & ADDRESS, .aperture = NVMMU_HOST, .ro = !(word[0] & PTE_WRITABLE)};
}

static struct nvmmu_field_set fields(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                                     unsigned i)
{
    static const struct nvmmu_field_layout layout[] = {
        {"present", 0, 0, 0, NULL, 0}, {"writable", 1, 1, 0, NULL, 0}, {"address", 31, 12, 12, NULL, 0}};

    (void)f, (void)level, (void)word, (void)i;
    return (struct nvmmu_field_set){layout, sizeof(layout) / sizeof(layout[0])};
}

/* ---- the table ---------------------------------------------------------------------------------------- */

static void begin(void *table)
{
    nvmmu__gart_store(table, 0, 0, HEADER_CLASS);
    nvmmu__gart_store(table, 0, 1, (1u << (BITS + 12)) - 1);
}

static uint64_t load(const void *table, uint32_t index)
{
    return nvmmu__gart_load(table, HEADER_WORDS, index);
}

static void store(void *table, uint32_t index, uint64_t word)
{
    nvmmu__gart_store(table, HEADER_WORDS, index, word);
}

static void clear(void *table, uint32_t index, uint32_t count, uint64_t dummy)
{
    (void)dummy;
    for (uint32_t i = 0; i < count; i++)
        store(table, index + i, 0);
}

static const struct nvmmu_gart gart = {begin, load, store, clear};

const struct nvmmu_format nvmmu__nv04 = {
    .name = "nv04",
    NVMMU_GART(BITS, levels),
    .address_bits = {32, 32, 32, 32},
    .valid = PTE_PRESENT,
    .gart = &gart,
    .control = &nvmmu__control_nv04,
    .pte_encode = pte_encode,
    .decode = decode,
    .fields = fields,
};
