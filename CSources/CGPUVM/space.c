/*
 * A space's life, and the rules on ranges. Invariants are listed where they are verified, in check.c.
 */
#define _DEFAULT_SOURCE /* madvise() */
#include "space.h"

#include "isa.h"
#include "tree.h"

#include <errno.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

enum { USER_MOST = 4096 };

static int init(struct gpuvm *vm, const struct gpuvm_config *c)
{
    vm->start = c->start;
    vm->end = c->start + c->range;
    vm->kernel_start = c->kernel_start;
    vm->kernel_end = c->kernel_start + c->kernel_range;
    vm->has_kernel_range = c->kernel_range != 0;
    if (vm->end < c->start)
        vm->warnings |= GPUVM_WARN_WINDOW_WRAPS;
    if (vm->kernel_end < c->kernel_start)
        vm->warnings |= GPUVM_WARN_KERNEL_WRAPS;
    vm->pairs_bump = 1;
    int rc = gpuvm__tree_init(vm);
    if (rc)
        return rc;
    rc = gpuvm__records_init(vm, c->user_size);
    if (rc || !vm->has_kernel_range || (vm->warnings & GPUVM_WARN_KERNEL_WRAPS))
        return rc;
    vm->kernel_in_tree = true;
    *gpuvm__record(vm, GPUVM_VA_KERNEL) = (struct record){.addr = vm->kernel_start};
    if (vm->records.user_size)
        memset(gpuvm__user(vm, GPUVM_VA_KERNEL), 0, vm->records.user_size);
    gpuvm__tree_insert(vm, vm->kernel_start, vm->kernel_end, GPUVM_VA_KERNEL);
    return 0;
}

int gpuvm_create(const struct gpuvm_config *config, struct gpuvm **out)
{
    if (config->size != sizeof *config || config->user_size > USER_MOST)
        return -EINVAL;
    struct gpuvm *vm = gpuvm_mem_alloc(&config->alloc, sizeof *vm, LINE);
    if (!vm)
        return -ENOMEM;
    *vm = (struct gpuvm){.alloc = config->alloc, .memory = sizeof *vm, .isa = gpuvm__isa(ISA_AVX512)};
    vm->cell = &vm->recent;
    int rc = init(vm, config);
    if (rc) {
        gpuvm_destroy(vm);
        return rc;
    }
    *out = vm;
    return 0;
}

void gpuvm_destroy(struct gpuvm *vm)
{
    if (!vm)
        return;
    struct gpuvm_alloc alloc = vm->alloc;
    gpuvm__pool_fini(vm, &vm->leaf_pool);
    gpuvm__pool_fini(vm, &vm->inner_pool);
    gpuvm__records_fini(vm);
    gpuvm__held_fini(vm);
    gpuvm__free(vm, vm->pairs, vm->pairs_size * sizeof *vm->pairs);
    gpuvm_mem_free(&alloc, vm, sizeof *vm);
}

void *gpuvm__alloc_huge(struct gpuvm *vm)
{
    void *p = gpuvm__alloc(vm, HUGE_BYTES, HUGE_BYTES);
#ifdef __linux__
    if (p && !vm->alloc.alloc)
        madvise(p, HUGE_BYTES, MADV_HUGEPAGE);
#endif
    return p;
}

void gpuvm__clear(struct gpuvm *vm)
{
    gpuvm__tree_clear(vm);
    if (vm->kernel_in_tree)
        gpuvm__tree_insert(vm, vm->kernel_start, vm->kernel_end, GPUVM_VA_KERNEL);
    vm->records.freed = GPUVM_VA_NONE;
    vm->records.bump = GPUVM_VA_KERNEL + 1;
    vm->records.spare = vm->records.ids;
    for (gpuvm_bo bo = 1; bo < vm->pairs_bump; bo++) {
        struct pair *p = &vm->pairs[bo];
        p->head = p->tail = GPUVM_VA_NONE;
        p->count = 0;
    }
}

unsigned gpuvm_warnings(const struct gpuvm *vm)
{
    return vm->warnings;
}

size_t gpuvm_count(const struct gpuvm *vm)
{
    return vm->entries - vm->kernel_in_tree;
}

size_t gpuvm_memory(const struct gpuvm *vm)
{
    return vm->memory;
}

bool gpuvm_range_valid(const struct gpuvm *vm, uint64_t addr, uint64_t range)
{
    return gpuvm__range_valid(vm, addr, range);
}
