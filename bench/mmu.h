/* A peer of the page tables: the raw operations of one space, in the terms of <nvmmu/vmm.h>. One file each in peers/. */
#ifndef BENCH_MMU_H
#define BENCH_MMU_H

#include <nvmmu/vmm.h>

#define MMU_TABLES (64ull << 20) /* room for tables: a window of VRAM from address 0 */

enum { MMU_PIECES_FEW = 64 };

struct mmu_space;

struct mmu_peer {
    const char *name;
    /* Of a format by nouveau's name. NULL: it has no such format. */
    struct mmu_space *(*open)(const char *format);
    void (*close)(struct mmu_space *);
    int (*get)(struct mmu_space *, uint64_t va, uint64_t size, unsigned shift);
    int (*put)(struct mmu_space *, uint64_t va, uint64_t size, unsigned shift);
    /* More pieces than a few: calls that give the same array must mean the same pieces. */
    int (*map)(struct mmu_space *, const struct nvmmu_map *);
    /* Ours only. */
    size_t (*map_parts)(struct mmu_space *, const struct nvmmu_map *, const struct nvmmu_part *parts, size_t n);
    int (*unmap)(struct mmu_space *, uint64_t va, uint64_t size, unsigned shift, bool sparse);
    int (*sparse)(struct mmu_space *, uint64_t va, uint64_t size, bool ref);
    /* Around what is one batch. */
    void (*begin)(struct mmu_space *);
    void (*end)(struct mmu_space *);
    struct nvmmu_space (*walk)(struct mmu_space *); /* of the tables as they are */
    unsigned long (*flushes)(void);                 /* so far, of all spaces */
};

extern const struct mmu_peer mmu_ours;
extern const struct mmu_peer mmu_kernel __attribute__((weak)); /* where its sources are at hand */

#endif
