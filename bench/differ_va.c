/*
 * The kernel as an oracle: random requests go to this library and to the kernel's drm_gpuvm.c, and every result, every
 * op and every state must be the same, but for named deviations (docs/deviations.md), which are counted.
 *
 *     differ_va [REQUESTS]        default 200,000; GPUVM_SEED=N replays a run
 *
 * Each space has a window, a reserved range and a size of its own; addresses come from a grid of few places, so that
 * ranges meet, touch and cross, from the edges of the window, or from anywhere. The kernel's objects all belong to the
 * space; a mapping's object is told by its number here, 0 for none.
 */
#include "harness.h"
#include "peers/kernel_driver.h"

#include <gpuvm/gpuvm.h>

enum { OBJECTS = 6, OPS_MOST = 1 << 17, BATCH_MOST = 8, SMALL = 64 };

struct object {
    struct drm_gem_object gem;
    unsigned number;
};

/* One op in words both sides can be put in. */
struct op {
    unsigned kind, object;
    uint64_t addr, range, offset, prev_range, next_range;
    bool keep;
};

struct ops {
    int rc;
    size_t n;
    struct op op[OPS_MOST];
};

static struct differ {
    uint64_t seed, random;
    size_t space_number, request_number;
    char what[160];
    size_t requests, zero_range, mappings_most;

    struct gpuvm *vm;
    gpuvm_bo bo[OBJECTS + 1];
    struct gpuvm_ops list;

    struct drm_gpuvm kernel;
    struct drm_gem_object reservation;
    struct object object[OBJECTS + 1];
    struct drm_gpuvm_bo *pair[OBJECTS + 1];

    uint64_t start, range, unit, places;
    bool large; /* many mappings: few requests touch many of them */
    int fail_at, steps; /* the step callback that fails, and how many were called */
    struct ops ours, theirs;
} d;

static struct drm_device device = {.kref = {{1}}};

/* ---- reports ---- */

static void print_ops(const char *who, const struct ops *o)
{
    printf("  %s: %d, %zu ops\n", who, o->rc, o->n);
    for (size_t i = 0; i < o->n && i < 16; i++)
        printf("    kind %u [%llx +%llx] object %u offset %llx keep %d prev %llx next %llx\n", o->op[i].kind,
               (unsigned long long)o->op[i].addr, (unsigned long long)o->op[i].range, o->op[i].object,
               (unsigned long long)o->op[i].offset, o->op[i].keep, (unsigned long long)o->op[i].prev_range,
               (unsigned long long)o->op[i].next_range);
}

static void differ(const char *how)
{
    printf("DIFFERENT: %s\n  GPUVM_SEED=%llu, space %zu, request %zu: %s\n", how, (unsigned long long)d.seed,
           d.space_number, d.request_number, d.what);
    print_ops("ours", &d.ours);
    print_ops("kernel", &d.theirs);
    exit(1);
}

static void same(uint64_t ours, uint64_t theirs, const char *what)
{
    if (ours != theirs) {
        printf("%s: ours %llx, the kernel's %llx\n", what, (unsigned long long)ours, (unsigned long long)theirs);
        differ(what);
    }
}

static uint64_t pick(uint64_t n)
{
    return bench_random(&d.random) % n;
}

/* ---- both sides' ops in the same words ---- */

static struct op *next_op(struct ops *o)
{
    if (o->n == OPS_MOST)
        abort();
    o->op[o->n] = (struct op){0};
    return &o->op[o->n++];
}

static void take_ours(struct ops *o, const struct gpuvm_op *from)
{
    *next_op(o) = (struct op){
        .kind = from->kind, .object = (unsigned)gpuvm_bo_cookie(d.vm, from->bo), .addr = from->addr,
        .range = from->range, .offset = from->offset, .keep = from->keep,
        .prev_range = from->kind == GPUVM_OP_REMAP ? from->prev_range : 0,
        .next_range = from->kind == GPUVM_OP_REMAP ? from->next_range : 0,
    };
}

static void take_list(struct ops *o, const struct gpuvm_ops *list, size_t from)
{
    for (size_t i = from; i < list->count; i++)
        take_ours(o, &list->op[i]);
}

static unsigned number(const struct drm_gem_object *gem)
{
    return gem ? container_of(gem, const struct object, gem)->number : 0;
}

static void take_va(struct op *op, const struct drm_gpuva *va)
{
    op->addr = va->va.addr;
    op->range = va->va.range;
    op->object = number(va->gem.obj);
    op->offset = va->gem.offset;
}

static void take_theirs(struct ops *o, const struct drm_gpuva_op *from)
{
    struct op *op = next_op(o);

    switch (from->op) {
    case DRM_GPUVA_OP_MAP:
        *op = (struct op){GPUVM_OP_MAP, number(from->map.gem.obj), from->map.va.addr, from->map.va.range,
                          from->map.gem.offset, 0, 0, false};
        break;
    case DRM_GPUVA_OP_UNMAP:
        op->kind = GPUVM_OP_UNMAP;
        op->keep = from->unmap.keep;
        take_va(op, from->unmap.va);
        break;
    case DRM_GPUVA_OP_PREFETCH:
        op->kind = GPUVM_OP_PREFETCH;
        take_va(op, from->prefetch.va);
        break;
    default: {
        const struct drm_gpuva_op_map *prev = from->remap.prev, *next = from->remap.next;

        op->kind = GPUVM_OP_REMAP;
        op->keep = from->remap.unmap->keep;
        take_va(op, from->remap.unmap->va);
        op->prev_range = prev ? prev->va.range : 0;
        op->next_range = next ? next->va.range : 0;
        /* What the pieces are, where ours says it by their lengths alone. */
        if (prev)
            same(prev->va.addr == op->addr && prev->gem.offset == op->offset && number(prev->gem.obj) == op->object, 1,
                 "front piece");
        if (next)
            same(next->va.addr + next->va.range == op->addr + op->range &&
                     next->gem.offset == op->offset + (next->va.addr - op->addr) && number(next->gem.obj) == op->object,
                 1, "rear piece");
    }
    }
}

static void same_ops(void)
{
    same((uint64_t)(int64_t)d.ours.rc, (uint64_t)(int64_t)d.theirs.rc, "result");
    same(d.ours.n, d.theirs.n, "number of ops");
    for (size_t i = 0; i < d.ours.n; i++) {
        const struct op *a = &d.ours.op[i], *b = &d.theirs.op[i];

        if (a->kind != b->kind || a->object != b->object || a->addr != b->addr || a->range != b->range ||
            a->offset != b->offset || a->keep != b->keep || a->prev_range != b->prev_range ||
            a->next_range != b->next_range)
            differ("op");
    }
}

static void clear_ops(void)
{
    d.ours.n = d.theirs.n = 0;
    d.ours.rc = d.theirs.rc = 0;
}

/* ---- state ---- */

static void same_mapping(const struct gpuvm_mapping *m, const struct drm_gpuva *va)
{
    if (m->addr != va->va.addr || m->range != va->va.range || m->offset != va->gem.offset ||
        gpuvm_bo_cookie(d.vm, m->bo) != number(va->gem.obj))
        differ("mapping");
}

/* Each mapping, and each object's list in link order. */
static void same_state(void)
{
    struct gpuvm_iter it;
    struct gpuvm_mapping m;
    struct drm_gpuva *va;

    gpuvm_iter_init(&it, d.vm, 0, 0);
    drm_gpuvm_for_each_va(va, &d.kernel) {
        if (!gpuvm_iter_next(&it, &m))
            differ("a mapping is missing");
        same_mapping(&m, va);
    }
    if (gpuvm_iter_next(&it, &m))
        differ("a mapping too many");
    for (unsigned i = 1; i <= OBJECTS; i++) {
        struct drm_gpuvm_bo *vm_bo = d.pair[i];
        gpuvm_va at = gpuvm_bo_first(d.vm, d.bo[i]);

        drm_gpuvm_bo_for_each_va(va, vm_bo) {
            if (gpuvm_get(d.vm, at, &m))
                differ("an object's list is too short");
            same_mapping(&m, va);
            at = gpuvm_bo_next(d.vm, at);
        }
        if (at != GPUVM_VA_NONE)
            differ("an object's list is too long");
    }
}

/* ---- the kernel's side ---- */

static struct drm_gpuvm_map_req kernel_request(const struct gpuvm_req *q)
{
    unsigned object = (unsigned)gpuvm_bo_cookie(d.vm, q->bo);

    return (struct drm_gpuvm_map_req){
        .map = {.va = {q->addr, q->range}, .gem = {q->offset, object ? &d.object[object].gem : NULL}}};
}

static void carry_out(const struct drm_gpuva_op *op)
{
    if (op->op == DRM_GPUVA_OP_MAP)
        driver_map(&d.kernel, &op->map, d.pair[number(op->map.gem.obj)]);
    else if (op->op == DRM_GPUVA_OP_REMAP)
        driver_remap(&op->remap);
    else
        driver_unmap(&op->unmap);
}

/* Takes a list's ops, carries them out if told, and frees it. */
static void kernel_list(struct drm_gpuva_ops *ops, bool apply)
{
    struct drm_gpuva_op *op;

    if (IS_ERR(ops)) {
        d.theirs.rc = (int)PTR_ERR(ops);
        return;
    }
    drm_gpuva_for_each_op(op, ops)
        take_theirs(&d.theirs, op);
    drm_gpuva_for_each_op(op, ops) {
        if (apply)
            carry_out(op);
    }
    drm_gpuva_ops_free(&d.kernel, ops);
}

static void kernel_ops(const struct gpuvm_req *q, bool apply)
{
    const struct drm_gpuvm_map_req r = kernel_request(q);

    kernel_list(q->kind == GPUVM_REQ_MAP     ? drm_gpuvm_sm_map_ops_create(&d.kernel, &r)
                : q->kind == GPUVM_REQ_UNMAP ? drm_gpuvm_sm_unmap_ops_create(&d.kernel, q->addr, q->range)
                                             : drm_gpuvm_madvise_ops_create(&d.kernel, &r),
                apply);
}

static int kernel_step(struct drm_gpuva_op *op, void *priv)
{
    (void)priv;
    take_theirs(&d.theirs, op);
    if (d.steps++ == d.fail_at)
        return -EIO;
    carry_out(op);
    return 0;
}

static void vm_free(struct drm_gpuvm *vm)
{
    (void)vm;
}

static const struct drm_gpuvm_ops kernel_steps = {
    .vm_free = vm_free, .sm_step_map = kernel_step, .sm_step_remap = kernel_step, .sm_step_unmap = kernel_step,
};

static int our_step(void *priv, const struct gpuvm_op *op)
{
    (void)priv;
    take_ours(&d.ours, op);
    return d.steps++ == d.fail_at ? -EIO : 0;
}

static const struct gpuvm_steps our_steps = {.map = our_step, .remap = our_step, .unmap = our_step};

/* ---- requests ---- */

static uint64_t an_addr(void)
{
    uint64_t grid = d.start + pick(d.places + 2) * d.unit - (pick(16) == 0);

    switch (pick(64)) {
    case 0: return bench_random(&d.random);
    case 1: return d.start + d.range - pick(2 * d.unit + 1);
    case 2: return d.start - pick(2);
    default: return grid;
    }
}

static uint64_t a_range(void)
{
    switch (d.large && pick(64) ? 6 : pick(64)) {
    case 0: return 0;
    case 1: return bench_random(&d.random);
    case 2: return UINT64_MAX - pick(2);
    case 3: return d.range;
    case 4: return 1 + pick(d.unit);
    case 5: return (1 + pick(d.places)) * d.unit;
    default: return (1 + pick(8)) * d.unit;
    }
}

static struct gpuvm_req a_request(enum gpuvm_req_kind kind)
{
    struct gpuvm_req q = {.addr = an_addr(), .range = a_range(), .bo = d.bo[pick(OBJECTS + 1)], .kind = kind};

    q.offset = pick(4) == 0 ? bench_random(&d.random) : q.addr - d.start; /* mostly in a line with others */
    return q;
}

static void say_request(const char *what, const struct gpuvm_req *q)
{
    snprintf(d.what, sizeof d.what, "%s kind %u [%llx +%llx] object %u offset %llx", what, q->kind,
             (unsigned long long)q->addr, (unsigned long long)q->range, (unsigned)gpuvm_bo_cookie(d.vm, q->bo),
             (unsigned long long)q->offset);
}

static enum gpuvm_req_kind a_kind(void)
{
    unsigned n = (unsigned)pick(8);

    return n < 5 ? GPUVM_REQ_MAP : n < 7 ? GPUVM_REQ_UNMAP : GPUVM_REQ_MADVISE;
}

/* A zero range where the kernel would take it: ours refuses to apply it, and leaves the space as it was. */
static bool is_zero_range(const struct gpuvm_req *q, int rc)
{
    if (q->range != 0 || rc != -EINVAL || !drm_gpuvm_range_valid(&d.kernel, q->addr, 0))
        return false;
    d.zero_range++;
    return true;
}

static void try_list(void)
{
    struct gpuvm_req q = a_request(a_kind());

    say_request("list", &q);
    d.ours.rc = gpuvm_sm_ops(d.vm, &q, &d.list);
    if (d.ours.rc >= 0)
        take_list(&d.ours, &d.list, 0);
    d.ours.rc = d.ours.rc < 0 ? d.ours.rc : 0;
    if (q.range != 0 && pick(2)) {
        int rc = d.ours.rc ? 0 : gpuvm_ops_apply(d.vm, &d.list);

        same((uint64_t)(int64_t)rc, 0, "applying the list");
        kernel_ops(&q, true);
    } else {
        kernel_ops(&q, false);
    }
    gpuvm_ops_commit(d.vm, &d.list);
    same_ops();
}

static void try_exec(void)
{
    struct gpuvm_req q[BATCH_MOST];
    size_t n = pick(2) ? 1 : 1 + pick(BATCH_MOST), failed = n;
    bool revert = pick(8) == 0;

    for (size_t i = 0; i < n; i++)
        q[i] = a_request(a_kind());
    say_request(n == 1 ? "exec" : "exec of several, first", &q[0]);
    d.ours.rc = gpuvm_exec(d.vm, q, n, &d.list, &failed);
    if (d.ours.rc < 0) { /* nothing was done; the kernel must refuse the one at fault */
        for (size_t i = 0; i < failed; i++)
            same(drm_gpuvm_range_valid(&d.kernel, q[i].addr, q[i].range) && q[i].range, 1, "request before");
        if (!is_zero_range(&q[failed], d.ours.rc)) {
            kernel_ops(&q[failed], false);
            same_ops();
        }
        return;
    }
    take_list(&d.ours, &d.list, 0);
    same((uint64_t)d.ours.rc, d.ours.n, "number of ops returned");
    d.ours.rc = 0;
    if (revert) {
        gpuvm_ops_revert(d.vm, &d.list, 0);
        if (n == 1) {
            kernel_ops(&q[0], false);
            same_ops();
        }
        return;
    }
    gpuvm_ops_commit(d.vm, &d.list);
    for (size_t i = 0; i < n; i++)
        kernel_ops(&q[i], true);
    same_ops();
}

/* Through callbacks, one of which may fail. */
static void try_steps(void)
{
    struct gpuvm_req q = a_request(pick(3) ? GPUVM_REQ_MAP : GPUVM_REQ_UNMAP);

    d.fail_at = pick(3) ? -1 : (int)pick(4);
    say_request("steps", &q);
    d.steps = 0;
    d.ours.rc = q.kind == GPUVM_REQ_MAP ? gpuvm_sm_map(d.vm, &q, &our_steps, NULL)
                                        : gpuvm_sm_unmap(d.vm, q.addr, q.range, &our_steps, NULL);
    if (is_zero_range(&q, d.ours.rc))
        return;
    d.steps = 0;
    if (q.kind == GPUVM_REQ_MAP) {
        const struct drm_gpuvm_map_req r = kernel_request(&q);

        d.theirs.rc = drm_gpuvm_sm_map(&d.kernel, NULL, &r);
    } else {
        d.theirs.rc = drm_gpuvm_sm_unmap(&d.kernel, NULL, q.addr, q.range);
    }
    same_ops();
}

static void try_insert(void)
{
    struct gpuvm_req q = a_request(GPUVM_REQ_MAP);
    const struct drm_gpuvm_map_req r = kernel_request(&q);
    struct drm_gpuva *va;

    say_request("insert", &q);
    d.ours.rc = gpuvm_insert(d.vm, q.addr, q.range, q.bo, q.offset, NULL);
    if (is_zero_range(&q, d.ours.rc))
        return;
    va = driver_new_va();
    drm_gpuva_init_from_op(va, &r.map);
    d.theirs.rc = drm_gpuva_insert(&d.kernel, va);
    if (d.theirs.rc == 0)
        drm_gpuva_link(va, d.pair[number(va->gem.obj)]);
    else
        kfree(va);
    same_ops();
}

/* A look-up's answer, 0 for none: an address and one. */
static uint64_t our_answer(gpuvm_va va)
{
    struct gpuvm_mapping m;

    return gpuvm_get(d.vm, va, &m) ? 0 : m.addr + 1;
}

static uint64_t their_answer(const struct drm_gpuva *va)
{
    return va ? va->va.addr + 1 : 0;
}

static void try_look_ups(void)
{
    struct gpuvm_req q = a_request(GPUVM_REQ_MAP);

    say_request("look-ups", &q);
    same(gpuvm_range_valid(d.vm, q.addr, q.range), drm_gpuvm_range_valid(&d.kernel, q.addr, q.range), "range_valid");
    same(gpuvm_interval_empty(d.vm, q.addr, q.range), drm_gpuvm_interval_empty(&d.kernel, q.addr, q.range),
         "interval_empty");
    same(our_answer(gpuvm_find_first(d.vm, q.addr, q.range)),
         their_answer(drm_gpuva_find_first(&d.kernel, q.addr, q.range)), "find_first");
    same(our_answer(gpuvm_find(d.vm, q.addr, q.range)), their_answer(drm_gpuva_find(&d.kernel, q.addr, q.range)), "find");
    same(our_answer(gpuvm_find_prev(d.vm, q.addr)), their_answer(drm_gpuva_find_prev(&d.kernel, q.addr)), "find_prev");
    same(our_answer(gpuvm_find_next(d.vm, q.addr)), their_answer(drm_gpuva_find_next(&d.kernel, q.addr)), "find_next");
}

static void try_remove(void)
{
    struct gpuvm_req q = a_request(GPUVM_REQ_MAP);
    gpuvm_va ours = gpuvm_find_first(d.vm, q.addr, q.range);
    struct drm_gpuva *theirs = drm_gpuva_find_first(&d.kernel, q.addr, q.range);

    say_request("remove", &q);
    same(our_answer(ours), their_answer(theirs), "find_first");
    if (!theirs)
        return;
    d.ours.rc = gpuvm_remove(d.vm, ours);
    if (theirs == &d.kernel.kernel_alloc_node) {
        same((uint64_t)(int64_t)d.ours.rc, (uint64_t)(int64_t)-EPERM, "removing the reserved range");
        return;
    }
    driver_unmap(&(struct drm_gpuva_op_unmap){.va = theirs});
    same((uint64_t)(int64_t)d.ours.rc, 0, "remove");
}

static void try_prefetch(void)
{
    struct gpuvm_req q = a_request(GPUVM_REQ_MAP);

    say_request("prefetch", &q);
    d.ours.rc = gpuvm_prefetch_ops(d.vm, q.addr, q.range, &d.list);
    take_list(&d.ours, &d.list, 0);
    d.ours.rc = d.ours.rc < 0 ? d.ours.rc : 0;
    gpuvm_ops_commit(d.vm, &d.list);
    kernel_list(drm_gpuvm_prefetch_ops_create(&d.kernel, q.addr, q.range), false);
    same_ops();
}

static void try_object(void)
{
    unsigned i = 1 + (unsigned)pick(OBJECTS);
    bool apply = pick(d.large ? 4096 : 64) == 0;

    snprintf(d.what, sizeof d.what, "unmap object %u", i);
    d.ours.rc = gpuvm_bo_unmap_ops(d.vm, d.bo[i], &d.list);
    take_list(&d.ours, &d.list, 0);
    d.ours.rc = d.ours.rc < 0 ? d.ours.rc : 0;
    if (apply)
        same((uint64_t)(int64_t)gpuvm_ops_apply(d.vm, &d.list), 0, "applying the list");
    gpuvm_ops_commit(d.vm, &d.list);
    kernel_list(drm_gpuvm_bo_unmap_ops_create(d.pair[i]), apply);
    same_ops();
}

/* ---- spaces ---- */

static void make_ours(uint64_t kernel_start, uint64_t kernel_range)
{
    struct gpuvm_config config = {.size = sizeof config, .start = d.start, .range = d.range,
                                  .kernel_start = kernel_start, .kernel_range = kernel_range};

    driver_must(gpuvm_create(&config, &d.vm) == 0);
    for (unsigned i = 1; i <= OBJECTS; i++)
        driver_must(gpuvm_bo_create(d.vm, i, &d.bo[i]) == 0);
    gpuvm_ops_init(&d.list, NULL);
}

static void make_theirs(uint64_t kernel_start, uint64_t kernel_range)
{
    memset(&d.kernel, 0, sizeof d.kernel);
    drm_gem_private_object_init(&device, &d.reservation, 0);
    drm_gpuvm_init(&d.kernel, "differ", 0, &device, &d.reservation, d.start, d.range, kernel_start, kernel_range,
                   &kernel_steps);
    for (unsigned i = 1; i <= OBJECTS; i++) {
        drm_gem_private_object_init(&device, &d.object[i].gem, 0);
        d.object[i].gem.resv = d.reservation.resv;
        d.object[i].number = i;
        d.pair[i] = drm_gpuvm_bo_obtain_locked(&d.kernel, &d.object[i].gem);
        driver_must(!IS_ERR(d.pair[i]));
    }
}

static void make_spaces(void)
{
    uint64_t kernel_start = 0, kernel_range = 0;

    d.unit = 1ull << (pick(2) ? 12 : pick(24));
    d.places = d.large ? 1 << 16 : 4 + pick(60);
    d.range = (d.places + pick(3)) * d.unit;
    d.start = pick(3) == 0 ? 0 : pick(2) ? bench_random(&d.random) >> 16 << 12 : UINT64_MAX - d.range - pick(2 * d.unit);
    if (pick(16) == 0)
        d.range = UINT64_MAX - d.start + pick(2); /* all of the rest; at times one too many */
    if (pick(2)) {
        kernel_start = d.start + pick(d.places) * d.unit;
        kernel_range = (1 + pick(4)) * d.unit;
        if (kernel_start + kernel_range < kernel_start)
            kernel_range = 0; /* the kernel would not get rid of such a space */
    }
    make_ours(kernel_start, kernel_range);
    make_theirs(kernel_start, kernel_range);
}

static void drop_spaces(void)
{
    struct drm_gpuva *va, *next;

    drm_gpuvm_for_each_va_safe(va, next, &d.kernel) {
        if (va != &d.kernel.kernel_alloc_node)
            driver_unmap(&(struct drm_gpuva_op_unmap){.va = va});
    }
    for (unsigned i = 1; i <= OBJECTS; i++)
        drm_gpuvm_bo_put(d.pair[i]);
    drm_gpuvm_put(&d.kernel);
    gpuvm_ops_fini(&d.list);
    gpuvm_destroy(d.vm);
}

static void a_try(void)
{
    unsigned n = (unsigned)pick(32);

    clear_ops();
    if (n < 8)
        try_list();
    else if (n < 16)
        try_exec();
    else if (n < 20)
        try_steps();
    else if (n < 24)
        try_insert();
    else if (n < 28)
        try_look_ups();
    else if (n < 30)
        try_remove();
    else if (n < 31)
        try_prefetch();
    else
        try_object();
}

/* Small spaces are compared after each request, large ones now and then. */
static void one_space(size_t requests)
{
    d.large = d.space_number % 50 == 49;
    requests *= d.large ? 50 : 1;
    make_spaces();
    for (d.request_number = 0; d.request_number < requests; d.request_number++) {
        size_t count;

        a_try();
        count = gpuvm_count(d.vm);
        d.mappings_most = count > d.mappings_most ? count : d.mappings_most;
        if (count < SMALL || d.request_number % 1024 == 0)
            same_state();
    }
    same_state();
    d.requests += requests;
    drop_spaces();
}

int main(int argc, char **argv)
{
    size_t most = argc > 1 ? strtoull(argv[1], NULL, 0) : 200000;
    const char *seed = getenv("GPUVM_SEED");

    d.seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    d.random = d.seed;
    printf("VA requests to this library and to the kernel, GPUVM_SEED=%llu\n", (unsigned long long)d.seed);
    while (d.requests < most) {
        one_space(1000);
        d.space_number++;
    }
    printf("%zu requests in %zu spaces of up to %zu mappings: no differences; %zu follow ZERO-RANGE\n", d.requests,
           d.space_number, d.mappings_most, d.zero_range);
    return 0;
}
