/*
 * Look-ups. They change nothing but which leaf is remembered. All are the kernel's: the lowest mapping that meets
 * an interval with inclusive ends, the off-by-one of find_prev and find_next included.
 */
#include "warm.h"

#include <errno.h>

/* The mapping at a place, if it starts at `last` or before. */
static inline gpuvm_va up_to(struct place p, uint64_t last)
{
    return p.leaf && p.leaf->start[p.at] <= last ? p.leaf->va[p.at] : GPUVM_VA_NONE;
}

/* The lowest mapping that meets [first, last]. */
static gpuvm_va meet(const struct gpuvm *vm, uint64_t first, uint64_t last)
{
    return up_to(gpuvm__lower(vm, first), last);
}

/* The mapping of exactly this range, from where gpuvm__look() found the address. */
static inline gpuvm_va exact(struct place c, uint64_t addr, uint64_t range)
{
    bool found = c.at && c.leaf->start[c.at - 1] == addr && c.leaf->end[c.at - 1] - addr == range;
    return found ? c.leaf->va[c.at - 1] : GPUVM_VA_NONE;
}

gpuvm_va gpuvm_find_first(const struct gpuvm *vm, uint64_t addr, uint64_t range)
{
    return meet(vm, addr, addr + range - 1);
}

gpuvm_va gpuvm_find(const struct gpuvm *vm, uint64_t addr, uint64_t range)
{
    return addr == KEY_NONE ? GPUVM_VA_NONE : exact(gpuvm__look(vm, addr), addr, range);
}

/* Where some ranges begin. */
static void look(const struct gpuvm *vm, const struct gpuvm_range *r, unsigned n, struct place *out)
{
    uint64_t key[WARM_MOST] = {0};
    for (unsigned i = 0; i < n; i++)
        key[i] = r[i].addr == KEY_NONE ? 0 : r[i].addr;
    gpuvm__look_many(vm, key, n, out);
}

/* What is left of `n` ranges, or as many as are looked up side by side. */
static unsigned share(size_t n)
{
    return n < WARM_MOST ? (unsigned)n : WARM_MOST;
}

void gpuvm_find_many(const struct gpuvm *vm, const struct gpuvm_range *ranges, size_t n, gpuvm_va *out)
{
    struct place p[WARM_MOST];
    for (unsigned some; n; n -= some, ranges += some, out += some) {
        some = share(n);
        look(vm, ranges, some, p);
        for (unsigned i = 0; i < some; i++)
            out[i] = ranges[i].addr == KEY_NONE ? GPUVM_VA_NONE : exact(p[i], ranges[i].addr, ranges[i].range);
    }
}

void gpuvm_find_first_many(const struct gpuvm *vm, const struct gpuvm_range *ranges, size_t n, gpuvm_va *out)
{
    struct place p[WARM_MOST];
    for (unsigned some; n; n -= some, ranges += some, out += some) {
        some = share(n);
        look(vm, ranges, some, p);
        for (unsigned i = 0; i < some; i++) {
            uint64_t first = ranges[i].addr, last = first + ranges[i].range - 1;
            out[i] = first == KEY_NONE ? GPUVM_VA_NONE : up_to(gpuvm__lower_at(p[i], first), last);
        }
    }
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
