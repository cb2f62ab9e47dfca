/*
 * The kernel's own drm_gpuvm.c, driven as a driver does: mappings are the driver's records, linked to the pair of
 * space and object; requests are applied by the step callbacks, or from a list of ops as nouveau does.
 */
#include "../va.h"
#include "kernel_driver.h"

#define PEER_WRITES 1
#define PEER_LISTS  1

typedef struct {
    struct drm_gpuvm vm;
    struct drm_gem_object reservation, object[VA_OBJECTS];
    struct drm_gpuvm_bo *pair[VA_OBJECTS];
} peer_space;
typedef struct drm_gpuva *peer_handle;
typedef struct {
    struct drm_gpuvm_map_req map;
    struct drm_gpuvm_bo *pair;
} peer_request;

static struct drm_device device = {.kref = {{1}}};

static int step_map(struct drm_gpuva_op *op, void *pair)
{
    driver_map(((struct drm_gpuvm_bo *)pair)->vm, &op->map, pair);
    return 0;
}

static int step_remap(struct drm_gpuva_op *op, void *pair)
{
    (void)pair;
    driver_remap(&op->remap);
    return 0;
}

static int step_unmap(struct drm_gpuva_op *op, void *pair)
{
    (void)pair;
    driver_unmap(&op->unmap);
    return 0;
}

static void vm_free(struct drm_gpuvm *vm)
{
    (void)vm;
}

static const struct drm_gpuvm_ops steps = {
    .vm_free = vm_free, .sm_step_map = step_map, .sm_step_remap = step_remap, .sm_step_unmap = step_unmap,
};

/* ---- the peer ---- */

static peer_space *peer_create(void)
{
    peer_space *s = calloc(1, sizeof *s);

    drm_gem_private_object_init(&device, &s->reservation, 0);
    drm_gpuvm_init(&s->vm, "bench", 0, &device, &s->reservation, 0, 1ull << 48, 0, 0, &steps);
    for (unsigned i = 0; i < VA_OBJECTS; i++) {
        drm_gem_private_object_init(&device, &s->object[i], 0);
        s->object[i].resv = s->reservation.resv;
        s->pair[i] = drm_gpuvm_bo_obtain_locked(&s->vm, &s->object[i]);
        driver_must(!IS_ERR(s->pair[i]));
    }
    return s;
}

static void peer_unmap(peer_space *s, uint64_t addr, uint64_t range)
{
    driver_must(drm_gpuvm_sm_unmap(&s->vm, NULL, addr, range) == 0);
}

static void peer_destroy(peer_space *s)
{
    peer_unmap(s, 0, 1ull << 48);
    for (unsigned i = 0; i < VA_OBJECTS; i++)
        drm_gpuvm_bo_put(s->pair[i]);
    drm_gpuvm_put(&s->vm);
    free(s);
}

static size_t peer_memory(peer_space *s)
{
    size_t n = 0;
    struct drm_gpuva *va;

    drm_gpuvm_for_each_va(va, &s->vm)
        n++;
    return n * ALIGN(sizeof *va, 32);
}

static inline void peer_insert(peer_space *s, uint64_t addr, uint64_t range, uint32_t object, uint64_t offset)
{
    struct drm_gpuva *va = driver_new_va();

    va->va.addr = addr;
    va->va.range = range;
    va->gem.obj = &s->object[object];
    va->gem.offset = offset;
    driver_must(drm_gpuva_insert(&s->vm, va) == 0);
    drm_gpuva_link(va, s->pair[object]);
}

static inline bool peer_find(peer_space *s, uint64_t addr, uint64_t range, peer_handle *h)
{
    return (*h = drm_gpuva_find(&s->vm, addr, range)) != NULL;
}

static inline bool peer_find_first(peer_space *s, uint64_t addr, uint64_t range, peer_handle *h)
{
    return (*h = drm_gpuva_find_first(&s->vm, addr, range)) != NULL;
}

static uint64_t peer_start(peer_space *s, peer_handle h)
{
    (void)s;
    return h->va.addr;
}

static inline uint64_t peer_iterate(peer_space *s)
{
    struct drm_gpuva *va;
    uint64_t sum = 0;

    drm_gpuvm_for_each_va(va, &s->vm)
        sum += va->va.addr ^ (va->va.addr + va->va.range);
    return sum;
}

static void peer_each(peer_space *s, uint64_t *hash)
{
    struct drm_gpuva *va;

    drm_gpuvm_for_each_va(va, &s->vm)
        va_mix(hash, va->va.addr, va->va.range, (uint64_t)(va->gem.obj - s->object), va->gem.offset);
}

static inline void peer_remove(peer_space *s, peer_handle h)
{
    (void)s;
    drm_gpuva_remove(h);
    drm_gpuva_unlink(h);
    kfree(h);
}

static void peer_prepare(peer_space *s, peer_request *q, uint64_t addr, uint64_t range, uint32_t object, uint64_t offset)
{
    *q = (peer_request){
        .map.map = {.va = {addr, range}, .gem = {offset, &s->object[object]}}, .pair = s->pair[object],
    };
}

static inline void peer_map(peer_space *s, const peer_request *q, size_t n)
{
    for (size_t i = 0; i < n; i++)
        driver_must(drm_gpuvm_sm_map(&s->vm, q[i].pair, &q[i].map) == 0);
}

static inline size_t peer_list(peer_space *s, const peer_request *q)
{
    struct drm_gpuva_ops *ops = drm_gpuvm_sm_map_ops_create(&s->vm, &q->map);
    struct drm_gpuva_op *op;
    size_t n = 0;

    driver_must(!IS_ERR(ops));
    drm_gpuva_for_each_op(op, ops)
        n++;
    drm_gpuva_ops_free(&s->vm, ops);
    return n;
}

static inline void peer_map_list(peer_space *s, const peer_request *q)
{
    struct drm_gpuva_ops *ops = drm_gpuvm_sm_map_ops_create(&s->vm, &q->map);
    struct drm_gpuva_op *op;

    driver_must(!IS_ERR(ops));
    drm_gpuva_for_each_op(op, ops)
        (op->op == DRM_GPUVA_OP_MAP     ? step_map
         : op->op == DRM_GPUVA_OP_REMAP ? step_remap
                                        : step_unmap)(op, q->pair);
    drm_gpuva_ops_free(&s->vm, ops);
}

#include "../va_workloads.h"

VA_PEER(va_kernel, "kernel");
