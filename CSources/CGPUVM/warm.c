/*
 * In a tree beyond the caches a request waits for its leaf and then for its victim's record, one after the other. A
 * batch makes the descents of some dozen requests side by side instead, level by level, each step prefetching the
 * next, so that the waits overlap. In small trees, or where the leaf used last has the address, or that of the
 * request before, that costs more than it gains.
 */
#include "warm.h"

/*
 * From the root to the leaves, one level down for all keys at a time; `bounds`: their cells' too. Of the leaves the
 * starts are fetched.
 */
__attribute__((always_inline)) static inline void descend(const struct gpuvm *vm, const uint64_t *key, unsigned n,
                                                          bool bounds, struct cell *cell)
{
    const void *node[WARM_MOST];
    for (unsigned i = 0; i < n; i++) {
        node[i] = vm->root;
        cell[i] = (struct cell){.hi = KEY_NONE};
    }
    for (unsigned level = vm->height; level; level--)
        for (unsigned i = 0; i < n; i++) {
            const struct inner *inner = node[i];
            unsigned at = vm->isa.inner_count(inner, key[i]);
            node[i] = inner->child[at];
            if (level == 1)
                gpuvm__fetch(((const struct leaf *)node[i])->start, sizeof cell->leaf->start);
            else
                gpuvm__fetch(((const struct inner *)node[i])->top, sizeof inner->top);
            if (!bounds)
                continue;
            cell[i].lo = at ? inner->key[at - 1] : cell[i].lo;
            cell[i].hi = inner->key[at] < cell[i].hi ? inner->key[at] : cell[i].hi;
        }
    for (unsigned i = 0; i < n; i++)
        cell[i].leaf = (struct leaf *)(uintptr_t)node[i];
}

void gpuvm__look_many(const struct gpuvm *vm, const uint64_t *key, unsigned n, struct place *out)
{
    struct cell cell[WARM_MOST];
    descend(vm, key, n, false, cell);
    for (unsigned i = 0; i < n; i++) {
        const struct leaf *leaf = cell[i].leaf;
        unsigned at = vm->isa.leaf_count(leaf, key[i]);
        out[i] = (struct place){leaf, at};
        if (at) {
            __builtin_prefetch(&leaf->end[at - 1]);
            __builtin_prefetch(&leaf->va[at - 1]);
        }
    }
}

/* The leaves of keys: all of them, as requests change them. */
static void warm(const struct gpuvm *vm, const uint64_t *key, unsigned n, struct cell *cell)
{
    descend(vm, key, n, true, cell);
    for (unsigned i = 0; i < n; i++) {
        __builtin_prefetch(cell[i].leaf);
        gpuvm__fetch(cell[i].leaf->end, sizeof *cell->leaf - offsetof(struct leaf, end));
    }
}

/* Begins where the request before it ends: mostly in the same leaf. */
static bool follows(const struct gpuvm_req *q)
{
    return q->addr == q[-1].addr + q[-1].range;
}

void gpuvm__warm(const struct gpuvm *vm, const struct gpuvm_req *reqs, size_t n, struct ahead *ahead)
{
    uint64_t key[WARM_MOST];
    gpuvm_va va[VICTIMS_MOST];
    unsigned far = 0, victims = 0;
    gpuvm__unknown(vm, ahead);
    if (vm->height < WARM_HEIGHT || n < WARM_LEAST)
        return;
    for (size_t i = 0; i < n; i++) {
        key[i] = reqs[i].addr;
        far += !gpuvm__in_cell(&vm->recent, key[i]) && !(i && follows(&reqs[i]));
    }
    if (far < WARM_LEAST)
        return;
    warm(vm, key, (unsigned)n, ahead->cell);
    ahead->shape = vm->shape;
    for (size_t i = 0; i < n; i++) {
        const struct leaf *leaf = ahead->cell[i].leaf;
        uint64_t end = key[i] + reqs[i].range;
        unsigned at = ahead->cell[i].at = vm->isa.leaf_count(leaf, key[i]);
        at -= at && leaf->end[at - 1] > key[i];
        for (; at < leaf->count && leaf->start[at] < end && victims < VICTIMS_MOST; at++)
            va[victims++] = leaf->va[at];
    }
    gpuvm__warm_records(vm, va, victims);
}

/* The neighbours in its pair's list, which unlinking writes. */
__attribute__((always_inline)) static inline void fetch_neighbours(const struct gpuvm *vm, gpuvm_va va)
{
    const struct record *r = gpuvm__record(vm, va);
    if (r->bo == GPUVM_BO_NONE)
        return;
    if (r->prev)
        gpuvm__fetch_record(vm, r->prev);
    if (r->next)
        gpuvm__fetch_record(vm, r->next);
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
            fetch_neighbours(vm, va[i]);
}

void gpuvm__warm_leaves(const struct gpuvm *vm, const gpuvm_va *va, size_t total, struct ahead *ahead)
{
    uint64_t key[WARM_MOST] = {0};
    unsigned n = 0;
    gpuvm__unknown(vm, ahead);
    if (vm->height < WARM_HEIGHT)
        return;
    for (; n < total && n < WARM_MOST; n++)
        key[n] = gpuvm__record(vm, va[n])->addr;
    warm(vm, key, n, ahead->cell);
    ahead->shape = vm->shape;
}
