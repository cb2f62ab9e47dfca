/*
 * In a tree beyond the caches a request waits for its leaf and then for its victim's record, one after the other. A
 * batch makes the descents of some dozen requests side by side instead, level by level, each step prefetching the
 * next, so that the waits overlap. In small trees, or where the leaf used last has the address, that costs more than
 * it gains.
 */
#include "warm.h"

enum { WARM_LEAST = 4 };

/* One level down for all; the nodes come in as they are found. */
static void descend(const struct gpuvm *vm, const void **node, const uint64_t *key, unsigned n, bool to_leaf)
{
    for (unsigned i = 0; i < n; i++) {
        const struct inner *inner = node[i];
        node[i] = inner->child[vm->isa.inner_count(inner, key[i])];
        if (to_leaf)
            gpuvm__fetch(node[i], sizeof(struct leaf));
        else
            gpuvm__fetch(((const struct inner *)node[i])->key, sizeof inner->key);
    }
}

void gpuvm__warm(const struct gpuvm *vm, const struct gpuvm_req *reqs, size_t total)
{
    const void *node[WARM_MOST];
    uint64_t key[WARM_MOST];
    unsigned n = 0;
    if (vm->height < WARM_HEIGHT || total < WARM_LEAST)
        return;
    for (size_t i = 0; i < total && i < WARM_MOST; i++) {
        if (gpuvm__in_cell(&vm->recent, reqs[i].addr))
            continue;
        key[n] = reqs[i].addr;
        node[n++] = vm->root;
    }
    if (n < WARM_LEAST)
        return;
    for (unsigned level = vm->height; level; level--)
        descend(vm, node, key, n, level == 1);
    gpuvm_va va[WARM_MOST];
    for (unsigned i = 0; i < n; i++) {
        const struct leaf *leaf = node[i];
        unsigned at = vm->isa.leaf_count(leaf, key[i]);
        va[i] = at && leaf->end[at - 1] > key[i] ? leaf->va[at - 1] : GPUVM_VA_NONE;
        if (va[i])
            gpuvm__fetch_record(vm, va[i]);
    }
    for (unsigned i = 0; i < n; i++)
        if (va[i])
            gpuvm__fetch_neighbours(vm, va[i]);
}
