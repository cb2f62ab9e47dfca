/*
 * drm_gpuvm.c and nouveau's MMU as nouveau's bind job uses them: a list of ops for each request, the space and the
 * references changed from it at once, then, op by op, entries cleared and written, then what is gone is freed.
 */
#include "bind_pages.h"
#include "kernel_driver.h"

struct space {
    struct drm_gpuvm vm;
    struct drm_gem_object reservation, buffer;
    struct drm_gpuvm_bo *pair;
    struct drm_gpuva_ops *lists[4096];
    struct mmu_space *pages;
};

static struct drm_device device = {.kref = {{1}}};

static void vm_free(struct drm_gpuvm *vm)
{
    (void)vm;
}

static const struct drm_gpuvm_ops functions = {.vm_free = vm_free};

static void *kernel_open(void)
{
    struct space *s = calloc(1, sizeof *s);

    drm_gem_private_object_init(&device, &s->reservation, 0);
    drm_gem_private_object_init(&device, &s->buffer, 0);
    s->buffer.resv = s->reservation.resv;
    drm_gpuvm_init(&s->vm, "bench", 0, &device, &s->reservation, 0, 1ull << 47, 0, 0, &functions);
    s->pair = drm_gpuvm_bo_obtain_locked(&s->vm, &s->buffer);
    s->pages = mmu_kernel.open("tu102");
    driver_must(!IS_ERR(s->pair) && s->pages);
    return s;
}

static void kernel_close(void *space)
{
    struct space *s = space;
    struct drm_gpuva *va, *next;

    drm_gpuvm_for_each_va_safe(va, next, &s->vm)
        driver_unmap(&(struct drm_gpuva_op_unmap){.va = va});
    drm_gpuvm_bo_put(s->pair);
    drm_gpuvm_put(&s->vm);
    mmu_kernel.close(s->pages);
    free(s);
}

/* The space and the references; what is replaced keeps its references. */
static struct drm_gpuva_ops *prepare(struct space *s, const struct bind_op *b)
{
    const struct drm_gpuvm_map_req req = {.map = {.va = {b->va, BIND_PAGE}, .gem = {b->offset, &s->buffer}}};
    struct drm_gpuva_ops *ops = drm_gpuvm_sm_map_ops_create(&s->vm, &req);
    struct drm_gpuva_op *op;
    bool replaces = false;

    driver_must(!IS_ERR(ops));
    drm_gpuva_for_each_op(op, ops) {
        if (op->op == DRM_GPUVA_OP_UNMAP) {
            drm_gpuva_unmap(&op->unmap);
            replaces = true;
            continue;
        }
        driver_must(op->op == DRM_GPUVA_OP_MAP);
        driver_map(&s->vm, &op->map, s->pair);
        if (!replaces)
            driver_must(mmu_kernel.get(s->pages, b->va, BIND_PAGE, 16) == 0);
    }
    return ops;
}

static void run(struct space *s, struct drm_gpuva_ops *ops)
{
    struct drm_gpuva_op *op;

    drm_gpuva_for_each_op(op, ops) {
        if (op->op == DRM_GPUVA_OP_UNMAP) {
            const struct drm_gpuva *va = op->unmap.va;

            driver_must(mmu_kernel.unmap(s->pages, va->va.addr, va->va.range, 16, false) == 0);
        } else {
            const struct nvmmu_map m = bind_map(op->map.va.addr, op->map.gem.offset);

            driver_must(mmu_kernel.map(s->pages, &m) == 0);
        }
    }
}

static void cleanup(struct space *s, struct drm_gpuva_ops *ops)
{
    struct drm_gpuva_op *op;

    drm_gpuva_for_each_op(op, ops) {
        if (op->op == DRM_GPUVA_OP_UNMAP) {
            drm_gpuva_unlink(op->unmap.va);
            kfree(op->unmap.va);
        }
    }
    drm_gpuva_ops_free(&s->vm, ops);
}

static void kernel_bind(void *space, const struct bind_op *ops, size_t n)
{
    struct space *s = space;

    for (size_t i = 0; i < n; i++)
        s->lists[i] = prepare(s, &ops[i]);
    for (size_t i = 0; i < n; i++)
        run(s, s->lists[i]);
    for (size_t i = 0; i < n; i++)
        cleanup(s, s->lists[i]);
}

static uint64_t kernel_reading(void *space, uint64_t va, uint64_t size)
{
    struct space *s = space;
    const struct nvmmu_space walk = mmu_kernel.walk(s->pages);

    return bind_sum(&walk, va, size);
}

const struct bind_peer bind_kernel = {kernel_open, kernel_close, kernel_bind, kernel_reading};
