/*
 * Second Maxwell (gm200) and its Tegra (gm20b): Kepler's words, sparse pages, two kinds more, and compression tag
 * lines that serve two 64 KiB pages. A space chooses 128 or 64 KiB big pages by itself.
 * nouveau lists 128 MiB as the sparse directory page in both modes; an entry covers 64 MiB in the 64K mode
 * (SPARSE27-64K). Source: open-gpu-kernel-modules dev_mmu of gm200; nouveau vmmgm200, vmmgm20b.
 */
#include "gf100.h"

NVMMU_VER1_WALKS(128k, nvmmu__ver1_levels_128k, VER1_SPARSE_PTE, VER1_SPARSE_PDE, VER1_HIDDEN)
NVMMU_VER1_WALKS(64k, nvmmu__ver1_levels_64k, VER1_SPARSE_PTE, VER1_SPARSE_PDE, VER1_HIDDEN)

#define S NVMMU_PAGE_SPARSE
#define V NVMMU_PAGE_VRAM
#define H NVMMU_PAGE_HOST
#define C NVMMU_PAGE_COMP

static const struct nvmmu_page_size gm200_128k[] = {{27, S}, {17, S | V | C}, {12, S | V | H}};
static const struct nvmmu_page_size gm200_64k[] = {{26, S}, {16, S | V | C}, {12, S | V | H}};
static const struct nvmmu_page_size gm20b_128k[] = {{27, S}, {17, S | H | C}, {12, S | H}};
static const struct nvmmu_page_size gm20b_64k[] = {{26, S}, {16, S | H | C}, {12, S | H}};

#define GM20X \
    .page_count = 3, .sparse_pte = VER1_SPARSE_PTE, .sparse_mask = VER1_SPARSE_PTE, .sparse_pde = VER1_SPARSE_PDE, \
    .hidden = VER1_HIDDEN, .hidden_mask = VER1_HIDDEN, \
    .traits = NVMMU_TRAIT_OBJECT_TAGS | NVMMU_TRAIT_TAG_HALVES | NVMMU_TRAIT_ENCRYPTED | NVMMU_TRAIT_DISABLE, \
    .kinds = &nvmmu__gm200_kinds

#define CARD .aperture = {NVMMU_VRAM, NVMMU_REFUSED, NVMMU_HOST, NVMMU_NCOH}
/* System memory that is not coherent stands in the VRAM aperture, coherent memory is refused. */
#define TEGRA .aperture = {NVMMU_REFUSED, NVMMU_REFUSED, NVMMU_REFUSED, NVMMU_VRAM}

#define MODE_128K .control = &nvmmu__control_gf100
#define MODE_64K .control = &nvmmu__control_gm200_64k

const struct nvmmu_format nvmmu__gm200 = {
    .name = "gm200", NVMMU_VER1(nvmmu__ver1_levels_128k, 128k), .page = gm200_128k, CARD, MODE_128K, GM20X};
const struct nvmmu_format nvmmu__gm200_64k = {
    .name = "gm200-64k", NVMMU_VER1(nvmmu__ver1_levels_64k, 64k), .page = gm200_64k, CARD, MODE_64K, GM20X};
const struct nvmmu_format nvmmu__gm20b = {
    .name = "gm20b", NVMMU_VER1(nvmmu__ver1_levels_128k, 128k), .page = gm20b_128k, TEGRA, MODE_128K, GM20X};
const struct nvmmu_format nvmmu__gm20b_64k = {
    .name = "gm20b-64k", NVMMU_VER1(nvmmu__ver1_levels_64k, 64k), .page = gm20b_64k, TEGRA, MODE_64K, GM20X};
