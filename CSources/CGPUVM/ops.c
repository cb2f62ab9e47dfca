/*
 * Lists of ops: memory, applying a dry one, undoing and committing. tree.c says why undoing cannot fail.
 */
#include "step.h"

#include <errno.h>

enum { OPS_LEAST = 8 };

void gpuvm_ops_init(struct gpuvm_ops *ops, const struct gpuvm_alloc *alloc)
{
    *ops = (struct gpuvm_ops){0};
    if (alloc)
        ops->alloc = *alloc;
}

void gpuvm_ops_fini(struct gpuvm_ops *ops)
{
    if (ops->applied)
        gpuvm_ops_commit(ops->applied, ops);
    gpuvm_mem_free(&ops->alloc, ops->op, ops->capacity * sizeof *ops->op);
    ops->op = NULL;
    ops->count = ops->capacity = 0;
}

int gpuvm__ops_grow(struct gpuvm_ops *ops, size_t n)
{
    size_t capacity = ops->capacity ? ops->capacity * 2 : OPS_LEAST;
    if (capacity < ops->count + n)
        capacity = ops->count + n;
    struct gpuvm_op *op = gpuvm_mem_alloc(&ops->alloc, capacity * sizeof *op, LINE);
    if (!op)
        return -ENOMEM;
    if (ops->count)
        memcpy(op, ops->op, ops->count * sizeof *op);
    gpuvm_mem_free(&ops->alloc, ops->op, ops->capacity * sizeof *op);
    ops->op = op;
    ops->capacity = capacity;
    return 0;
}

void gpuvm__apply(struct gpuvm *vm, struct gpuvm_op *op, bool hold)
{
    switch (op->kind) {
    case GPUVM_OP_MAP:
        gpuvm__step_map(vm, op);
        gpuvm__tree_insert(vm, op->addr, op->addr + op->range, op->va);
        break;
    case GPUVM_OP_REMAP:
    case GPUVM_OP_UNMAP:
        gpuvm__step_cut(vm, op, hold);
        if (op->prev_range)
            gpuvm__tree_set(vm, op->addr, op->addr + op->prev_range, op->prev);
        else
            gpuvm__tree_remove(vm, op->addr);
        if (op->next_range)
            gpuvm__tree_insert(vm, gpuvm_op_next_addr(op), op->addr + op->range, op->next);
        break;
    default: /* PREFETCH changes nothing */
        break;
    }
}

/* The op is as the space would have it now. */
static bool fits(const struct gpuvm *vm, const struct gpuvm_op *op)
{
    struct gpuvm_mapping m;
    switch (op->kind) {
    case GPUVM_OP_MAP:
        return op->range && gpuvm_range_valid(vm, op->addr, op->range) &&
               gpuvm_interval_empty(vm, op->addr, op->range) &&
               (op->bo == GPUVM_BO_NONE || gpuvm__pair_known(vm, op->bo));
    case GPUVM_OP_REMAP:
        if (!gpuvm_op_hole_range(op))
            return false;
        /* fall through */
    case GPUVM_OP_UNMAP:
        return op->va != GPUVM_VA_KERNEL && gpuvm__place_of(vm, op->va).leaf && !gpuvm_get(vm, op->va, &m) &&
               m.addr == op->addr && m.range == op->range && m.bo == op->bo;
    default:
        return true;
    }
}

int gpuvm__ops_reserve(struct gpuvm *vm, const struct gpuvm_ops *ops, bool hold)
{
    size_t maps = 0, remaps = 0, unmaps = 0;
    for (size_t i = 0; i < ops->count; i++) {
        maps += ops->op[i].kind == GPUVM_OP_MAP;
        remaps += ops->op[i].kind == GPUVM_OP_REMAP;
        unmaps += ops->op[i].kind == GPUVM_OP_UNMAP;
    }
    int rc = gpuvm__records_reserve(vm, maps + 2 * remaps);
    rc = rc ? rc : gpuvm__tree_reserve(vm, maps + remaps);
    return rc || !hold ? rc : gpuvm__held_reserve(vm, remaps + unmaps);
}

int gpuvm_ops_apply(struct gpuvm *vm, struct gpuvm_ops *ops)
{
    if (ops->applied)
        return -EINVAL;
    int rc = gpuvm__ops_reserve(vm, ops, true);
    size_t count = ops->count;
    for (size_t i = 0; !rc && i < count; i++) {
        if (fits(vm, &ops->op[i])) {
            gpuvm__apply(vm, &ops->op[i], true);
            continue;
        }
        /* What revert cuts off is still there: the list stays as it was asked for. */
        rc = -EINVAL;
        ops->applied = vm;
        ops->count = i;
        gpuvm_ops_revert(vm, ops, 0);
        ops->count = count;
    }
    if (!rc && count)
        ops->applied = vm;
    return rc;
}

/* Makes a held victim a mapping again. */
static void release(struct gpuvm *vm, const struct gpuvm_op *op, struct record *r)
{
    gpuvm__held_put(vm, op->undo);
    r->bo = op->bo;
    if (op->bo != GPUVM_BO_NONE)
        vm->pairs[op->bo].held--;
}

static void undo_new(struct gpuvm *vm, gpuvm_va va)
{
    struct record *r = gpuvm__record(vm, va);
    gpuvm__unlink(vm, r);
    gpuvm__record_free(vm, va, r);
}

static void undo_cut(struct gpuvm *vm, struct gpuvm_op *op)
{
    struct record *r = gpuvm__record(vm, op->va);
    if (op->next_range)
        gpuvm__tree_remove(vm, gpuvm_op_next_addr(op));
    if (op->prev_range)
        gpuvm__tree_set(vm, op->addr, op->addr + op->range, op->va);
    else
        gpuvm__tree_insert(vm, op->addr, op->addr + op->range, op->va);
    release(vm, op, r);
    r->addr = op->addr;
    gpuvm__relink(vm, op->va, r);
    if (op->next_range)
        undo_new(vm, op->next);
    if (op->prev_range)
        undo_new(vm, op->prev);
    op->prev = op->next = GPUVM_VA_NONE;
}

void gpuvm_ops_revert(struct gpuvm *vm, struct gpuvm_ops *ops, size_t from)
{
    if (ops->applied != vm)
        return;
    while (ops->count > from) {
        struct gpuvm_op *op = &ops->op[--ops->count];
        if (op->kind == GPUVM_OP_MAP) {
            gpuvm__tree_remove(vm, op->addr);
            undo_new(vm, op->va);
            op->va = GPUVM_VA_NONE;
        } else if (op->kind != GPUVM_OP_PREFETCH) {
            undo_cut(vm, op);
        }
    }
    if (!ops->count)
        ops->applied = NULL;
    gpuvm__tree_drain(vm);
}

void gpuvm_ops_commit(struct gpuvm *vm, struct gpuvm_ops *ops)
{
    for (size_t i = 0; ops->applied == vm && i < ops->count; i++) {
        const struct gpuvm_op *op = &ops->op[i];
        if (op->kind != GPUVM_OP_UNMAP && op->kind != GPUVM_OP_REMAP)
            continue;
        struct record *r = gpuvm__record(vm, op->va);
        release(vm, op, r);
        gpuvm__record_free(vm, op->va, r);
    }
    ops->count = 0;
    ops->applied = NULL;
    gpuvm__tree_drain(vm);
}
