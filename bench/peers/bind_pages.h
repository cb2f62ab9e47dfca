/* The page tables of a bind, for either side. */
#ifndef BENCH_BIND_PAGES_H
#define BENCH_BIND_PAGES_H

#include "../bind.h"
#include "../mmu.h"

static const struct nvmmu_piece bind_buffer = {1ull << 30, 4096 * BIND_PAGE};

static inline struct nvmmu_map bind_map(uint64_t va, uint64_t offset)
{
    return (struct nvmmu_map){
        .va = va, .size = BIND_PAGE, .shift = 16, .target = NVMMU_VRAM, .object_shift = 21, .offset = offset,
        .pieces = &bind_buffer, .piece_count = 1,
    };
}

static inline uint64_t bind_sum(const struct nvmmu_space *space, uint64_t va, uint64_t size)
{
    struct nvmmu_extents it;
    struct nvmmu_extent e;
    uint64_t sum = 0;

    nvmmu_extents_init(&it, space, va, size);
    while (nvmmu_extents_next(&it, &e))
        sum = (sum ^ e.va ^ e.pa ^ e.size ^ e.state) * 0x9e3779b97f4a7c15u;
    return sum;
}

#endif
