/* drm_gpuvm_exec_lock() over drm_exec.c. The locks themselves are nothing but a mark of who holds them. */
#include "../exec.h"
#include "kernel_driver.h"

#include <drm/drm_exec.h>

struct space {
    struct drm_gpuvm vm;
    struct drm_gem_object reservation, *objects;
    struct drm_gpuvm_bo **pairs;
    size_t count;
};

static struct drm_device device = {.kref = {{1}}};

static void vm_free(struct drm_gpuvm *vm)
{
    (void)vm;
}

static const struct drm_gpuvm_ops functions = {.vm_free = vm_free};

static void *kernel_open(size_t objects, bool protected)
{
    struct space *s = calloc(1, sizeof *s);

    s->count = objects;
    s->objects = calloc(objects, sizeof *s->objects);
    s->pairs = calloc(objects, sizeof(void *));
    drm_gem_private_object_init(&device, &s->reservation, 0);
    drm_gpuvm_init(&s->vm, "bench", protected ? DRM_GPUVM_RESV_PROTECTED : 0, &device, &s->reservation, 0, 1ull << 47, 0,
                   0, &functions);
    for (size_t i = 0; i < objects; i++) {
        drm_gem_private_object_init(&device, &s->objects[i], 0);
        s->pairs[i] = drm_gpuvm_bo_obtain_locked(&s->vm, &s->objects[i]);
        driver_must(!IS_ERR(s->pairs[i]));
        drm_gpuvm_bo_extobj_add(s->pairs[i]);
    }
    return s;
}

static void kernel_close(void *space)
{
    struct space *s = space;

    for (size_t i = 0; i < s->count; i++)
        drm_gpuvm_bo_put(s->pairs[i]);
    drm_gpuvm_put(&s->vm);
    free(s->pairs);
    free(s->objects);
    free(s);
}

static void kernel_run(void *space, size_t times)
{
    struct space *s = space;

    for (size_t i = 0; i < times; i++) {
        struct drm_gpuvm_exec exec = {.vm = &s->vm};

        driver_must(drm_gpuvm_exec_lock(&exec) == 0);
        drm_gpuvm_exec_unlock(&exec);
    }
}

const struct exec_peer exec_kernel = {kernel_open, kernel_close, kernel_run};
