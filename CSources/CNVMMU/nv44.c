/*
 * nv44 and its kin: 512 MiB of GART addresses in one table, four entries packed into 16 bytes. Bits 26:0, 53:27, 80:54
 * and 107:81 of such a group are the frames (address 38:12) of four pages; bit 126 makes all four valid.
 *
 * The rest of the library sees one entry as a word of 32 bits: 26:0 the frame, 31 the group's valid bit.
 *
 * An entry alone cannot be invalid: one that is unmapped shows a dummy buffer, one that was never mapped, beside others
 * that are, frame 0. nouveau zeroes whole groups, but gives the last group of an unmapped range the dummy too.
 * Source: nouveau vmmnv44.
 */
#include <errno.h>

#include "gart.h"

#define ENTRY_VALID 0x80000000u
#define FRAME_BITS  27
#define FRAME       0x07ffffffu
#define GROUP_VALID 0x40000000u /* in word 3 */
#define ADDRESS_BITS (FRAME_BITS + 12)

#define BITS 17

static const struct nvmmu_level_info levels[2] = NVMMU_GART_LEVELS(BITS, 512 << 10, 0);

static int pte_encode(const struct nvmmu_format *f, const struct nvmmu_pte *pte, uint64_t *word)
{
    (void)f;
    if (!nvmmu__gart_pte_fits(pte, ADDRESS_BITS, false))
        return -EINVAL;
    *word = pte->addr >> 12 | ENTRY_VALID;
    return 0;
}

static void decode(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                   struct nvmmu_entry *out)
{
    (void)f, (void)level;
    *out = (struct nvmmu_entry){.state = NVMMU_ENTRY_INVALID};
    if (!(word[0] & ENTRY_VALID))
        return;
    out->state = NVMMU_ENTRY_PAGE;
    out->page = (struct nvmmu_pte){.addr = (word[0] & FRAME) << 12, .aperture = NVMMU_HOST};
}

static struct nvmmu_field_set fields(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2],
                                     unsigned i)
{
    static const struct nvmmu_field_layout layout[] = {{"address", 26, 0, 12, NULL, 0}, {"valid", 31, 31, 0, NULL, 0}};

    (void)f, (void)level, (void)word, (void)i;
    return (struct nvmmu_field_set){layout, sizeof(layout) / sizeof(layout[0])};
}

/* ---- the table ---------------------------------------------------------------------------------------- */

/* The two words of a group that hold an entry, and where it begins in them. */
static uint32_t words_of(uint32_t index, unsigned *low)
{
    uint32_t bit = index % 4 * FRAME_BITS;

    *low = bit % 32;
    return index / 4 * 4 + bit / 32;
}

static uint64_t load(const void *table, uint32_t index)
{
    unsigned low;
    uint32_t at = words_of(index, &low);
    uint64_t pair = nvmmu__gart_load(table, 0, at) | nvmmu__gart_load(table, 0, at + 1) << 32;
    bool valid = nvmmu__gart_load(table, 0, index | 3) & GROUP_VALID;

    return (pair >> low & FRAME) | (valid ? ENTRY_VALID : 0);
}

static void store(void *table, uint32_t index, uint64_t word)
{
    unsigned low;
    uint32_t at = words_of(index, &low);
    uint64_t pair = nvmmu__gart_load(table, 0, at) | nvmmu__gart_load(table, 0, at + 1) << 32;

    pair = (pair & ~((uint64_t)FRAME << low)) | (word & FRAME) << low;
    nvmmu__gart_store(table, 0, at, pair);
    nvmmu__gart_store(table, 0, at + 1, pair >> 32);
    nvmmu__gart_store(table, 0, index | 3, nvmmu__gart_load(table, 0, index | 3) | GROUP_VALID);
}

static void clear(void *table, uint32_t index, uint32_t count, uint64_t dummy)
{
    uint32_t end = index + count;

    while (index < end) {
        if (index % 4 || end - index <= 4) {
            store(table, index++, dummy >> 12);
            continue;
        }
        for (unsigned i = 0; i < 4; i++)
            nvmmu__gart_store(table, 0, index++, 0);
    }
}

static const struct nvmmu_gart gart = {NULL, load, store, clear};

const struct nvmmu_format nvmmu__nv44 = {
    .name = "nv44",
    NVMMU_GART(BITS, levels),
    .address_bits = {ADDRESS_BITS, ADDRESS_BITS, ADDRESS_BITS, ADDRESS_BITS},
    .valid = ENTRY_VALID,
    .gart = &gart,
    .control = &nvmmu__control_nv44,
    .pte_encode = pte_encode,
    .decode = decode,
    .fields = fields,
};
