/*
 * Requests to dry lists of ops. Nothing here changes a space.
 */
#include "split.h"
#include "warm.h"

#include <errno.h>
#include <limits.h>

int gpuvm__split(const struct gpuvm *vm, const struct gpuvm_req *q, struct place p, struct gpuvm_ops *ops)
{
    uint64_t end = q->addr + q->range;
    bool map = q->kind == GPUVM_REQ_MAP;
    for (; p.leaf && p.leaf->start[p.at] < end; p = gpuvm__after(p)) {
        int rc = gpuvm__ops_room(ops, CUT_MAX);
        if (rc)
            return rc;
        gpuvm_va va = p.leaf->va[p.at];
        ops->count += gpuvm__cuts(q, p.leaf->start[p.at], p.leaf->end[p.at], va, gpuvm__record(vm, va),
                                  &ops->op[ops->count], &map);
    }
    if (!map)
        return 0;
    int rc = gpuvm__ops_room(ops, 1);
    if (!rc)
        gpuvm__map_op(q, &ops->op[ops->count++]);
    return rc;
}

/* The number of ops asked for, or the error with the list emptied. */
static int asked(struct gpuvm_ops *ops, int rc)
{
    if (rc)
        ops->count = 0;
    return rc ? rc : ops->count > INT_MAX ? INT_MAX : (int)ops->count;
}

int gpuvm_sm_ops(struct gpuvm *vm, const struct gpuvm_req *req, struct gpuvm_ops *ops)
{
    if (ops->applied)
        return -EINVAL;
    ops->count = 0;
    int rc = gpuvm__req_check(vm, req);
    return asked(ops, rc ? rc : gpuvm__split(vm, req, gpuvm__lower(vm, req->addr), ops));
}

/* The ops of some checked requests, as many as are looked up side by side. */
static int split_some(const struct gpuvm *vm, const struct gpuvm_req *reqs, unsigned n, struct gpuvm_ops *ops,
                      size_t *ends)
{
    uint64_t key[WARM_MOST] = {0};
    struct place p[WARM_MOST];
    for (unsigned i = 0; i < n; i++)
        key[i] = reqs[i].addr == KEY_NONE ? 0 : reqs[i].addr; /* an empty range may begin there */
    gpuvm__look_many(vm, key, n, p);
    for (unsigned i = 0; i < n; i++) {
        p[i] = reqs[i].addr == KEY_NONE ? (struct place){0} : gpuvm__lower_at(p[i], key[i]);
        if (p[i].leaf)
            gpuvm__fetch_record(vm, p[i].leaf->va[p[i].at]);
    }
    for (unsigned i = 0; i < n; i++) {
        int rc = gpuvm__split(vm, &reqs[i], p[i], ops);
        if (rc)
            return rc;
        if (ends)
            ends[i] = ops->count;
    }
    return 0;
}

int gpuvm_sm_ops_many(struct gpuvm *vm, const struct gpuvm_req *reqs, size_t n, struct gpuvm_ops *ops, size_t *ends,
                      size_t *failed)
{
    if (failed)
        *failed = 0;
    if (ops->applied)
        return -EINVAL;
    ops->count = 0;
    for (size_t i = 0; i < n; i++) {
        int rc = gpuvm__req_check(vm, &reqs[i]);
        if (rc && failed)
            *failed = i;
        if (rc)
            return rc;
    }
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i += WARM_MOST) {
        unsigned some = n - i < WARM_MOST ? (unsigned)(n - i) : WARM_MOST;
        rc = split_some(vm, &reqs[i], some, ops, ends ? &ends[i] : NULL);
    }
    return asked(ops, rc);
}

/* An op that names an existing mapping as it is. */
static int append(const struct gpuvm *vm, enum gpuvm_op_kind kind, struct place p, struct gpuvm_ops *ops)
{
    int rc = gpuvm__ops_room(ops, 1);
    if (rc)
        return rc;
    struct gpuvm_mapping m;
    gpuvm__fill(vm, p.leaf, p.at, &m);
    gpuvm__op_set(&ops->op[ops->count++], kind, m.addr, m.range, m.offset, m.bo, m.va);
    return 0;
}

int gpuvm_prefetch_ops(struct gpuvm *vm, uint64_t addr, uint64_t range, struct gpuvm_ops *ops)
{
    if (ops->applied)
        return -EINVAL;
    ops->count = 0;
    int rc = 0;
    for (struct place p = gpuvm__lower(vm, addr); !rc && p.leaf && p.leaf->start[p.at] < addr + range; p = gpuvm__after(p))
        rc = append(vm, GPUVM_OP_PREFETCH, p, ops);
    return asked(ops, rc);
}

int gpuvm_bo_unmap_ops(struct gpuvm *vm, gpuvm_bo bo, struct gpuvm_ops *ops)
{
    if (ops->applied)
        return -EINVAL;
    ops->count = 0;
    if (bo == GPUVM_BO_NONE || !gpuvm__pair_known(vm, bo))
        return -ENOENT;
    int rc = 0;
    for (gpuvm_va va = vm->pairs[bo].head; !rc && va; va = gpuvm__record(vm, va)->next)
        rc = append(vm, GPUVM_OP_UNMAP, gpuvm__place_of(vm, va), ops);
    return asked(ops, rc);
}
