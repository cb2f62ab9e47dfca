/*
 * nvmmu vma: addresses of a space given out and mapped, as nvkm does where it, not the client, chooses addresses
 * (the spaces that are not raw: vget, vmap, vunmap, vput). Stands over <nvmmu/vmm.h> and uses only its raw
 * operations, so tables and references behave as there.
 *
 * Life of an allocation: get (an address) -> map -> unmap -> put. A map may cover a piece of an allocation: it is then
 * cut, and pieces that are not mapped grow together again. Sizes are bytes, ranges exclude their end.
 *
 * Whoever uses this keeps the raw operations of the same space away from its window. Locking: the caller serialises
 * all calls on one space, these and those of <nvmmu/vmm.h>.
 *
 * Facts: Linux 7.2 nvkm/subdev/mmu (vmm.c, uvmm.c). A failed call changes nothing.
 */
#ifndef NVMMU_VMA_H
#define NVMMU_VMA_H

#include <nvmmu/vmm.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nvmmu_vmas;

/*
 * Gives out addresses of [start, start + size) of the space; size 0: from start to the end. The space must outlive
 * the result and lends it its allocator. -EINVAL: the window wraps, leaves the space or meets the kernel's area.
 * -ENOMEM.
 */
int nvmmu_vmas_create(struct nvmmu_vmm *vmm, uint64_t start, uint64_t size, struct nvmmu_vmas **out);
/* Puts every allocation. NULL ok. */
void nvmmu_vmas_destroy(struct nvmmu_vmas *vmas);

/* What is asked of an allocation. */
struct nvmmu_vma_request {
    uint64_t size;
    uint8_t shift; /* its page size; 0: each map takes the largest that suits */
    uint8_t align; /* log2 of the least alignment; at least the page's, or 4 KiB */
    /* When tables are referenced. getref: at get until put; only mapref: at map until unmap; neither: from the first
     * map until put. */
    bool getref, mapref;
    bool sparse; /* sparse wherever nothing is mapped; needs one of the two */
};

/*
 * Finds room: the smallest free block that is large enough once aligned, the lowest of several. Where a format has one
 * page size per block of addresses (Tesla: 512 MiB), neighbours of another page size keep away from each other's
 * blocks.
 * In this order. -EINVAL: size 0, sparse without getref or mapref, no page size although getref (or the format) needs
 * one, no such page size, size not a multiple of it. -ENOSPC: no such room. -ENOMEM. -EINVAL: sparse, and the page
 * size (or the format) has no sparse pages, or the size is not a multiple of 4 KiB.
 */
int nvmmu_vma_get(struct nvmmu_vmas *vmas, const struct nvmmu_vma_request *request, uint64_t *va);

/*
 * Maps [map->va, + map->size): a whole allocation, or a piece of one where nothing is mapped. map->shift is not looked
 * at; the page size is that of the allocation or of the references it holds, otherwise the largest that suits the
 * memory, addresses and arguments. It comes back in *shift (NULL ok). A mapping of the same range is replaced.
 * -ENOENT: no allocation at map->va. -EINVAL: the range leaves it; the piece of a mapped allocation, or of one that
 * references tables at its first map; what nvmmu_vmm_map() refuses. -ENOMEM.
 */
int nvmmu_vma_map(struct nvmmu_vmas *vmas, const struct nvmmu_map *map, unsigned *shift);
/* Unmaps what a map at va mapped. -ENOENT: no allocation or piece begins at va. -EINVAL: it is not mapped. */
int nvmmu_vma_unmap(struct nvmmu_vmas *vmas, uint64_t va);
/* Gives an allocation back, mapped or not, with all its pieces. -ENOENT: none begins at va. */
int nvmmu_vma_put(struct nvmmu_vmas *vmas, uint64_t va);

/* ---- looking inside ----------------------------------------------------------------------------------- */

struct nvmmu_vma_info {
    uint64_t va, size;
    uint8_t shift; /* page size asked for; 0: none */
    uint8_t refd;  /* page size that references are held of; 0: none are */
    bool used;     /* false: free */
    bool part;     /* goes on the allocation of the one before */
    bool mapref, sparse, mapped;
};
/* Calls `visit` for every block, free or used, in address order: together they are the window. A non-zero result ends
 * it and is returned. */
int nvmmu_vmas_visit(const struct nvmmu_vmas *vmas, int (*visit)(void *ctx, const struct nvmmu_vma_info *), void *ctx);

/* Verifies every invariant. 0, or -EUCLEAN with one line in why[n]. Slow; for tests. */
int nvmmu_vmas_check(const struct nvmmu_vmas *vmas, char *why, size_t n);

#ifdef __cplusplus
}
#endif
#endif
