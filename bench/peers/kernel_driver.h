/* What a driver does around drm_gpuvm.c: it keeps the records of mappings, carries out each op, and links. */
#ifndef BENCH_KERNEL_DRIVER_H
#define BENCH_KERNEL_DRIVER_H

#include <drm/drm_gpuvm.h>

static inline void driver_must(bool ok)
{
    if (!ok) {
        fprintf(stderr, "the kernel's call failed\n");
        exit(1);
    }
}

static inline struct drm_gpuva *driver_new_va(void)
{
    struct drm_gpuva *va = kzalloc_obj(*va);

    driver_must(va != NULL);
    return va;
}

/* `pair`: of the op's object, or NULL without one. */
static inline void driver_map(struct drm_gpuvm *vm, const struct drm_gpuva_op_map *op, struct drm_gpuvm_bo *pair)
{
    struct drm_gpuva *va = driver_new_va();

    drm_gpuva_map(vm, va, op);
    drm_gpuva_link(va, pair);
}

static inline void driver_unmap(const struct drm_gpuva_op_unmap *op)
{
    struct drm_gpuva *va = op->va;

    drm_gpuva_unmap(op);
    drm_gpuva_unlink(va);
    kfree(va);
}

static inline void driver_remap(const struct drm_gpuva_op_remap *op)
{
    struct drm_gpuva *old = op->unmap->va;
    struct drm_gpuva *prev = op->prev ? driver_new_va() : NULL, *next = op->next ? driver_new_va() : NULL;

    drm_gpuva_remap(prev, next, op);
    if (prev)
        drm_gpuva_link(prev, old->vm_bo);
    if (next)
        drm_gpuva_link(next, old->vm_bo);
    drm_gpuva_unlink(old);
    kfree(old);
}

#endif
