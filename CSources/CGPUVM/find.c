/*
 * Look-ups. They change nothing, not even the leaf remembered. All are the kernel's: the lowest mapping that meets
 * an interval with inclusive ends, the off-by-one of find_prev and find_next included.
 */
#include "space.h"

#include <errno.h>

/* The lowest mapping that meets [first, last]. */
static gpuvm_va meet(const struct gpuvm *vm, uint64_t first, uint64_t last)
{
    struct place p = gpuvm__lower(vm, first);
    return p.leaf && p.leaf->start[p.at] <= last ? p.leaf->va[p.at] : GPUVM_VA_NONE;
}

gpuvm_va gpuvm_find_first(const struct gpuvm *vm, uint64_t addr, uint64_t range)
{
    return meet(vm, addr, addr + range - 1);
}

gpuvm_va gpuvm_find(const struct gpuvm *vm, uint64_t addr, uint64_t range)
{
    if (addr == KEY_NONE)
        return GPUVM_VA_NONE;
    struct place c = gpuvm__look(vm, addr);
    bool found = c.at && c.leaf->start[c.at - 1] == addr && c.leaf->end[c.at - 1] - addr == range;
    return found ? c.leaf->va[c.at - 1] : GPUVM_VA_NONE;
}

gpuvm_va gpuvm_find_prev(const struct gpuvm *vm, uint64_t addr)
{
    return gpuvm_range_valid(vm, addr - 1, 1) ? meet(vm, addr - 1, addr) : GPUVM_VA_NONE;
}

gpuvm_va gpuvm_find_next(const struct gpuvm *vm, uint64_t addr)
{
    return gpuvm_range_valid(vm, addr, 1) ? meet(vm, addr, addr + 1) : GPUVM_VA_NONE;
}

bool gpuvm_interval_empty(const struct gpuvm *vm, uint64_t addr, uint64_t range)
{
    return gpuvm_find_first(vm, addr, range) == GPUVM_VA_NONE;
}

int gpuvm_get(const struct gpuvm *vm, gpuvm_va va, struct gpuvm_mapping *out)
{
    const struct record *r = gpuvm__known(vm, va);
    if (!r)
        return -ENOENT;
    if (!(r->bo & REC_HELD)) {
        struct place p = gpuvm__place_of(vm, va);
        gpuvm__fill(vm, p.leaf, p.at, out);
        return 0;
    }
    const struct held *h = &vm->held[r->addr];
    *out = (struct gpuvm_mapping){
        .addr = h->addr,
        .range = h->end - h->addr,
        .offset = r->offset,
        .bo = r->bo & ~REC_HELD,
        .va = va,
        .seq = r->seq,
    };
    return 0;
}

void *gpuvm_user(const struct gpuvm *vm, gpuvm_va va)
{
    return vm->records.user_size && gpuvm__known(vm, va) ? gpuvm__user(vm, va) : NULL;
}
