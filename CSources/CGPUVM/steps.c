/*
 * Requests step by step through the caller's callbacks: the ops are asked for first, as the walk would find them,
 * and each is applied after its callback agreed.
 */
#include "step.h"

#include <errno.h>

static int call(const struct gpuvm_steps *steps, void *priv, const struct gpuvm_op *op)
{
    switch (op->kind) {
    case GPUVM_OP_MAP:
        return steps->map(priv, op);
    case GPUVM_OP_REMAP:
        return steps->remap(priv, op);
    default:
        return steps->unmap(priv, op);
    }
}

static int run(struct gpuvm *vm, const struct gpuvm_req *q, const struct gpuvm_steps *steps, void *priv)
{
    int rc = q->range ? gpuvm__req_check(vm, q) : -EINVAL;
    if (rc)
        return rc;
    struct gpuvm_ops ops;
    gpuvm_ops_init(&ops, &vm->alloc);
    rc = gpuvm__split(vm, q, gpuvm__lower(vm, q->addr), &ops);
    rc = rc ? rc : gpuvm__ops_reserve(vm, &ops, false);
    for (size_t i = 0; !rc && i < ops.count; i++) {
        uint64_t version = vm->version;
        rc = call(steps, priv, &ops.op[i]);
        if (!rc && vm->version != version)
            rc = -EINVAL; /* the callback changed the space: the ops no longer hold */
        if (!rc)
            gpuvm__apply(vm, &ops.op[i], false);
    }
    gpuvm_ops_fini(&ops);
    return rc;
}

int gpuvm_sm_map(struct gpuvm *vm, const struct gpuvm_req *req, const struct gpuvm_steps *steps, void *priv)
{
    if (!steps->map || !steps->remap || !steps->unmap || req->kind == GPUVM_REQ_UNMAP)
        return -EINVAL;
    return run(vm, req, steps, priv);
}

int gpuvm_sm_unmap(struct gpuvm *vm, uint64_t addr, uint64_t range, const struct gpuvm_steps *steps, void *priv)
{
    if (!steps->remap || !steps->unmap)
        return -EINVAL;
    const struct gpuvm_req q = {.addr = addr, .range = range, .kind = GPUVM_REQ_UNMAP};
    return run(vm, &q, steps, priv);
}
