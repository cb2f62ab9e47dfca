/*
 * Pairs of the space and an object: a table of slots, each the head of a list of mappings in link order.
 */
#include "space.h"

#include <errno.h>

enum { PAIRS_LEAST = 8 };

static int grow(struct gpuvm *vm)
{
    size_t size = vm->pairs_size ? vm->pairs_size * 2 : PAIRS_LEAST;
    struct pair *pairs = size <= REC_HELD ? gpuvm__alloc(vm, size * sizeof *pairs, LINE) : NULL;
    if (!pairs)
        return -ENOMEM;
    memset(pairs, 0, size * sizeof *pairs);
    if (vm->pairs_size)
        memcpy(pairs, vm->pairs, vm->pairs_size * sizeof *pairs);
    gpuvm__free(vm, vm->pairs, vm->pairs_size * sizeof *pairs);
    vm->pairs = pairs;
    vm->pairs_size = size;
    return 0;
}

int gpuvm_bo_create(struct gpuvm *vm, uint64_t cookie, gpuvm_bo *out)
{
    gpuvm_bo bo = vm->pairs_freed;
    if (bo) {
        vm->pairs_freed = vm->pairs[bo].next_free;
    } else {
        int rc = vm->pairs_bump < vm->pairs_size ? 0 : grow(vm);
        if (rc)
            return rc;
        bo = vm->pairs_bump++;
    }
    vm->pairs[bo] = (struct pair){.cookie = cookie, .used = true};
    *out = bo;
    return 0;
}

int gpuvm_bo_destroy(struct gpuvm *vm, gpuvm_bo bo)
{
    if (bo == GPUVM_BO_NONE || !gpuvm__pair_known(vm, bo))
        return -ENOENT;
    struct pair *p = &vm->pairs[bo];
    if (p->count || p->held)
        return -EBUSY;
    *p = (struct pair){.next_free = vm->pairs_freed};
    vm->pairs_freed = bo;
    return 0;
}

static const struct pair *pair(const struct gpuvm *vm, gpuvm_bo bo)
{
    static const struct pair none;
    return bo != GPUVM_BO_NONE && gpuvm__pair_known(vm, bo) ? &vm->pairs[bo] : &none;
}

uint64_t gpuvm_bo_cookie(const struct gpuvm *vm, gpuvm_bo bo)
{
    return pair(vm, bo)->cookie;
}

size_t gpuvm_bo_count(const struct gpuvm *vm, gpuvm_bo bo)
{
    return pair(vm, bo)->count;
}

gpuvm_va gpuvm_bo_first(const struct gpuvm *vm, gpuvm_bo bo)
{
    return pair(vm, bo)->head;
}

gpuvm_va gpuvm_bo_next(const struct gpuvm *vm, gpuvm_va va)
{
    const struct record *r = gpuvm__known(vm, va);
    return r && !(r->bo & REC_HELD) && r->bo != GPUVM_BO_NONE ? r->next : GPUVM_VA_NONE;
}
