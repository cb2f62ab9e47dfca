/*
 * What drm_gpuvm.c and drm_exec.c need of DRM: devices, GEM objects, reservations. A reservation's lock is a mark of
 * who holds it, which is all one thread can ask of it; fences are nothing.
 */
#ifndef BENCH_KERNEL_DRM_H
#define BENCH_KERNEL_DRM_H

#include "base.h"

#include <linux/list.h>

struct ww_class {
    char unused;
};
struct ww_acquire_ctx {
    char unused;
};
struct dma_fence;
enum dma_resv_usage { DMA_RESV_USAGE_KERNEL };
struct dma_resv {
    struct ww_acquire_ctx *holder;
};

static struct ww_class reservation_ww_class __maybe_unused;

#define ww_acquire_init(ctx, class) ((void)(ctx), (void)(class))
#define ww_acquire_done(ctx)        ((void)(ctx))
#define ww_acquire_fini(ctx)        ((void)(ctx))

static inline int dma_resv_lock(struct dma_resv *r, struct ww_acquire_ctx *ctx)
{
    if (ctx && r->holder == ctx)
        return -EALREADY;
    r->holder = ctx;
    return 0;
}
static inline void dma_resv_unlock(struct dma_resv *r) { r->holder = NULL; }
#define dma_resv_lock_interruptible(r, ctx)      dma_resv_lock(r, ctx)
#define dma_resv_lock_slow_interruptible(r, ctx) dma_resv_lock(r, ctx)
#define dma_resv_lock_slow(r, ctx)               ((void)dma_resv_lock(r, ctx))
#define dma_resv_reserve_fences(r, n)            ((void)(r), (n) ? 0 : -EINVAL)
#define dma_resv_add_fence(r, fence, usage)      ((void)(r), (void)(fence), (void)(usage))
#define dma_resv_assert_held(r)                  ((void)(r))
#define dma_resv_held(r)                         true

struct drm_device {
    struct kref kref;
};
static inline void drm_dev_get(struct drm_device *d) { kref_get(&d->kref); }
static inline void drm_dev_put(struct drm_device *d) { (void)refcount_dec_and_test(&d->kref.refcount); }
#define drm_WARN(drm, c, ...) WARN_ON(c)
#define drm_WARN_ON(drm, c)   WARN_ON(c)

struct drm_gem_object;
struct drm_gem_object_funcs {
    void (*free)(struct drm_gem_object *);
};
struct drm_gem_object {
    struct kref refcount;
    struct dma_resv *resv, _resv;
    const struct drm_gem_object_funcs *funcs;
    struct {
        struct list_head list;
        struct mutex lock;
    } gpuva;
};

static inline void drm_gem_private_object_init(struct drm_device *drm, struct drm_gem_object *o, size_t size)
{
    (void)drm, (void)size;
    kref_init(&o->refcount);
    o->resv = &o->_resv;
    INIT_LIST_HEAD(&o->gpuva.list);
}
static inline void drm_gem_object_release(struct drm_gem_object *o) { (void)o; }
static inline void drm_gem_object_get(struct drm_gem_object *o) { kref_get(&o->refcount); }
static inline void drm_gem_object_put(struct drm_gem_object *o)
{
    if (o && refcount_dec_and_test(&o->refcount.refcount) && o->funcs)
        o->funcs->free(o);
}
#define drm_gem_gpuva_assert_lock_held(vm, o) ((void)(o))
#define drm_gem_for_each_gpuvm_bo(e, o)       list_for_each_entry(e, &(o)->gpuva.list, list.entry.gem)
#define drm_gem_for_each_gpuvm_bo_safe(e, next, o) \
    list_for_each_entry_safe(e, next, &(o)->gpuva.list, list.entry.gem)

#endif
