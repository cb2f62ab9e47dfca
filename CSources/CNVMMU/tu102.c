/*
 * Turing, Ampere and Ada: Pascal's words with sixteen kinds. nouveau drives them with one class (tu102); from Ampere
 * on it writes no compression tags, and the hardware takes 512 MiB pages at PD1, which nouveau does not offer.
 * Source: open-gpu-doc dev_mmu of tu104 and ga100; nouveau vmmtu102.
 */
#include "gp100.h"

#define S NVMMU_PAGE_SPARSE
#define V NVMMU_PAGE_VRAM
#define H NVMMU_PAGE_HOST
#define C NVMMU_PAGE_COMP

static const struct nvmmu_page_size pages[] = {{47, S}, {38, S}, {29, S}, {21, S | V | C}, {16, S | V | C}, {12, S | V | H}};

/* What nouveau does not offer, for those who ask for it. */
static const struct nvmmu_page_size pages_512m[] = {{47, S}, {38, S}, {29, S | V | C}, {21, S | V | C}, {16, S | V | C}, {12, S | V | H}};

static const uint8_t plain[16] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x06, 0x06, 0x02, 0x01, 0x03, 0x04, 0x05, 0x07,
};

static const struct nvmmu_kind_name names[] = {
    {0x00, "pitch"},
    {0x01, "Z16"},
    {0x02, "S8"},
    {0x03, "S8Z24"},
    {0x04, "ZF32_X24S8"},
    {0x05, "Z24S8"},
    {0x06, "generic"},
    {0x08, "generic compressible"},
    {0x09, "generic compressible, no PLC"},
    {0x0a, "S8 compressible"},
    {0x0b, "Z16 compressible"},
    {0x0c, "S8Z24 compressible"},
    {0x0d, "ZF32_X24S8 compressible"},
    {0x0e, "Z24S8 compressible"},
    {0x0f, "SMSKED message"},
};

const struct nvmmu_kinds nvmmu__tu102_kinds = {
    .plain = plain,
    .count = sizeof(plain),
    .invalid = 0x07,
    .name = names,
    .name_count = sizeof(names) / sizeof(names[0]),
};

const struct nvmmu_format nvmmu__tu102 = {
    .name = "tu102",
    NVMMU_VER2,
    .control = &nvmmu__control_tu102,
    .page = pages,
    .page_count = 6,
    .page_levels = NVMMU_VER2_PAGE_LEVELS,
    .aperture = {NVMMU_VRAM, NVMMU_REFUSED, NVMMU_HOST, NVMMU_NCOH},
    .traits = NVMMU_TRAIT_TAGS | NVMMU_TRAIT_NO_ATS | NVMMU_TRAIT_WIDE_PEER,
    .kinds = &nvmmu__tu102_kinds,
};

#define AMPERE \
    NVMMU_VER2, .page_count = 6, .page_levels = NVMMU_VER2_PAGE_LEVELS | 1u << NVMMU_PD1, \
    .aperture = {NVMMU_VRAM, NVMMU_REFUSED, NVMMU_HOST, NVMMU_NCOH}, \
    .traits = NVMMU_TRAIT_NO_ATS | NVMMU_TRAIT_WIDE_PEER, .kinds = &nvmmu__tu102_kinds, \
    .control = &nvmmu__control_tu102

const struct nvmmu_format nvmmu__ga100 = {.name = "ga100", AMPERE, .page = pages};
const struct nvmmu_format nvmmu__ga100_512m = {.name = "ga100-512m", AMPERE, .page = pages_512m};
