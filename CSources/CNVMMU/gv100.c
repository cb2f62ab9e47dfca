/*
 * Volta: Pascal's words, compression on big pages, NO_ATS in directories, peer addresses that go on in the comptag
 * field. Source: open-gpu-doc dev_mmu of gv100; nouveau vmmgv100.
 */
#include "gp100.h"

#define S NVMMU_PAGE_SPARSE
#define V NVMMU_PAGE_VRAM
#define H NVMMU_PAGE_HOST
#define C NVMMU_PAGE_COMP

static const struct nvmmu_page_size pages[] = {{47, S}, {38, S}, {29, S}, {21, S | V | C}, {16, S | V | C}, {12, S | V | H}};

const struct nvmmu_format nvmmu__gv100 = {
    .name = "gv100",
    NVMMU_VER2,
    .control = &nvmmu__control_gv100,
    .page = pages,
    .page_count = 6,
    .page_levels = NVMMU_VER2_PAGE_LEVELS,
    .aperture = {NVMMU_VRAM, NVMMU_REFUSED, NVMMU_HOST, NVMMU_NCOH},
    .traits = NVMMU_TRAIT_TAGS | NVMMU_TRAIT_ENCRYPTED | NVMMU_TRAIT_NO_ATS | NVMMU_TRAIT_WIDE_PEER,
    .kinds = &nvmmu__gm200_kinds,
};
