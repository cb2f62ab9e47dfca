/*
 * Kepler and first Maxwell (gk104), and Kepler's Tegra (gk20a): Fermi's words, big entries that hide the small ones
 * below, read and write disable. gk20a has no VRAM; nouveau drives its apertures as a card's.
 * Source: open-gpu-kernel-modules dev_mmu of gk104; nouveau vmmgk104, vmmgk20a.
 */
#include "gf100.h"

NVMMU_VER1_WALKS(128k, nvmmu__ver1_levels_128k, 0, 0, VER1_HIDDEN)
NVMMU_VER1_WALKS(64k, nvmmu__ver1_levels_64k, 0, 0, VER1_HIDDEN)

#define V NVMMU_PAGE_VRAM
#define H NVMMU_PAGE_HOST
#define C NVMMU_PAGE_COMP

static const struct nvmmu_page_size gk104_128k[] = {{17, V | C}, {12, V | H}};
static const struct nvmmu_page_size gk104_64k[] = {{16, V | C}, {12, V | H}};
static const struct nvmmu_page_size gk20a_128k[] = {{17, H | C}, {12, H}};
static const struct nvmmu_page_size gk20a_64k[] = {{16, H | C}, {12, H}};

#define KEPLER \
    .page_count = 2, .aperture = {NVMMU_VRAM, NVMMU_REFUSED, NVMMU_HOST, NVMMU_NCOH}, .hidden = VER1_HIDDEN, \
    .hidden_mask = VER1_HIDDEN, .traits = NVMMU_TRAIT_OBJECT_TAGS | NVMMU_TRAIT_ENCRYPTED | NVMMU_TRAIT_DISABLE, \
    .kinds = &nvmmu__gf100_kinds, .control = &nvmmu__control_gf100

const struct nvmmu_format nvmmu__gk104 = {
    .name = "gk104", NVMMU_VER1(nvmmu__ver1_levels_128k, 128k), .page = gk104_128k, KEPLER};
const struct nvmmu_format nvmmu__gk104_64k = {
    .name = "gk104-64k", NVMMU_VER1(nvmmu__ver1_levels_64k, 64k), .page = gk104_64k, KEPLER};
const struct nvmmu_format nvmmu__gk20a = {
    .name = "gk20a", NVMMU_VER1(nvmmu__ver1_levels_128k, 128k), .page = gk20a_128k, KEPLER};
const struct nvmmu_format nvmmu__gk20a_64k = {
    .name = "gk20a-64k", NVMMU_VER1(nvmmu__ver1_levels_64k, 64k), .page = gk20a_64k, KEPLER};
