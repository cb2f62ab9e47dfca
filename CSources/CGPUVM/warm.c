/*
 * In a tree beyond the caches a request waits for its leaf and then for its victim's record, one after the other. A
 * batch makes the descents of some dozen requests side by side instead, level by level, each step prefetching the
 * next, so that the waits overlap. In small trees, or where the leaf used last has the address, that costs more than
 * it gains.
 */
#include "warm.h"

/* From the root to the leaves, one level down for all keys at a time. Of the leaves the starts are fetched. */
static void descend(const struct gpuvm *vm, const uint64_t *key, unsigned n, const struct leaf **leaf)
{
    const void *node[WARM_MOST];
    for (unsigned i = 0; i < n; i++)
        node[i] = vm->root;
    for (unsigned level = vm->height; level; level--)
        for (unsigned i = 0; i < n; i++) {
            const struct inner *inner = node[i];
            node[i] = inner->child[vm->isa.inner_count(inner, key[i])];
            if (level == 1)
                gpuvm__fetch(((const struct leaf *)node[i])->start, sizeof leaf[i]->start);
            else
                gpuvm__fetch(((const struct inner *)node[i])->top, sizeof inner->top);
        }
    for (unsigned i = 0; i < n; i++)
        leaf[i] = node[i];
}

void gpuvm__look_many(const struct gpuvm *vm, const uint64_t *key, unsigned n, struct place *out)
{
    const struct leaf *leaf[WARM_MOST];
    descend(vm, key, n, leaf);
    for (unsigned i = 0; i < n; i++) {
        unsigned at = vm->isa.leaf_count(leaf[i], key[i]);
        out[i] = (struct place){leaf[i], at};
        if (at) {
            __builtin_prefetch(&leaf[i]->end[at - 1]);
            __builtin_prefetch(&leaf[i]->va[at - 1]);
        }
    }
}

/* The leaves of keys: all of them, as requests change them. */
static void warm(const struct gpuvm *vm, const uint64_t *key, unsigned n, const struct leaf **leaf)
{
    descend(vm, key, n, leaf);
    for (unsigned i = 0; i < n; i++) {
        __builtin_prefetch(leaf[i]);
        gpuvm__fetch(leaf[i]->end, sizeof *leaf[i] - offsetof(struct leaf, end));
    }
}

void gpuvm__warm(const struct gpuvm *vm, const struct gpuvm_req *reqs, size_t total)
{
    const struct leaf *leaf[WARM_MOST];
    uint64_t key[WARM_MOST], end[WARM_MOST];
    gpuvm_va va[VICTIMS_MOST];
    unsigned n = 0, victims = 0;
    if (vm->height < WARM_HEIGHT || total < WARM_LEAST)
        return;
    for (size_t i = 0; i < total; i++)
        if (!gpuvm__in_cell(&vm->recent, reqs[i].addr)) {
            key[n] = reqs[i].addr;
            end[n++] = reqs[i].addr + reqs[i].range;
        }
    if (n < WARM_LEAST)
        return;
    warm(vm, key, n, leaf);
    for (unsigned i = 0; i < n; i++) {
        unsigned at = vm->isa.leaf_count(leaf[i], key[i]);
        at -= at && leaf[i]->end[at - 1] > key[i];
        for (; at < leaf[i]->count && leaf[i]->start[at] < end[i] && victims < VICTIMS_MOST; at++)
            va[victims++] = leaf[i]->va[at];
    }
    gpuvm__warm_records(vm, va, victims);
}

void gpuvm__warm_records(const struct gpuvm *vm, const gpuvm_va *va, size_t n)
{
    if (vm->height < WARM_HEIGHT)
        return;
    for (size_t i = 0; i < n; i++)
        if (va[i] < vm->records.bump)
            gpuvm__fetch_record(vm, va[i]);
    for (size_t i = 0; i < n; i++)
        if (gpuvm__known(vm, va[i]))
            gpuvm__fetch_neighbours(vm, va[i]);
}

void gpuvm__warm_leaves(const struct gpuvm *vm, const gpuvm_va *va, size_t total)
{
    const struct leaf *leaf[WARM_MOST];
    uint64_t key[WARM_MOST] = {0};
    unsigned n = 0;
    if (vm->height < WARM_HEIGHT)
        return;
    for (; n < total && n < WARM_MOST; n++)
        key[n] = gpuvm__record(vm, va[n])->addr;
    warm(vm, key, n, leaf);
}
