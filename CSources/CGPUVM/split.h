/*
 * The rules of splitting (drm_gpuvm_sm_map, drm_gpuvm_sm_unmap and the madvise flavour), once: what a request does to
 * one mapping that it overlaps. List and callbacks, dry and applied all use these.
 */
#ifndef GPUVM_SPLIT_H
#define GPUVM_SPLIT_H

#include "space.h"

#include <errno.h>

/* Writes an op field by field, from scalars: a copy of one made elsewhere would wait for its stores. */
__attribute__((always_inline)) static inline void gpuvm__op_set(struct gpuvm_op *op, enum gpuvm_op_kind kind,
                                                                uint64_t addr, uint64_t range, uint64_t offset,
                                                                gpuvm_bo bo, gpuvm_va va)
{
    op->addr = addr;
    op->range = range;
    op->offset = offset;
    op->prev_range = 0;
    op->next_range = 0;
    op->bo = bo;
    op->va = va;
    op->prev = GPUVM_VA_NONE;
    op->next = GPUVM_VA_NONE;
    op->kind = (uint8_t)kind;
    op->keep = false;
    op->undo = 0;
}

/* The op for a mapping [start, end) that the request cuts. */
__attribute__((always_inline)) static inline void gpuvm__cut(const struct gpuvm_req *q, uint64_t start,
                                                             uint64_t end, gpuvm_va va, const struct record *r,
                                                             struct gpuvm_op *op)
{
    uint64_t last = q->addr + q->range;
    uint64_t prev = start < q->addr ? q->addr - start : 0;
    uint64_t next = end > last ? end - last : 0;
    bool straight = r->bo == q->bo && r->offset + (q->addr - start) == q->offset;
    bool keep = straight && q->kind == GPUVM_REQ_MAP && r->bo != GPUVM_BO_NONE;
    gpuvm__op_set(op, prev | next ? GPUVM_OP_REMAP : GPUVM_OP_UNMAP, start, end - start, r->offset, r->bo, va);
    op->prev_range = prev;
    op->next_range = next;
    op->keep = keep;
}

/* The op that maps what was asked for. */
__attribute__((always_inline)) static inline void gpuvm__map_op(const struct gpuvm_req *q, struct gpuvm_op *op)
{
    gpuvm__op_set(op, GPUVM_OP_MAP, q->addr, q->range, q->offset, q->bo, GPUVM_VA_NONE);
}

enum { CUT_MAX = 2 };

/*
 * The ops for one overlapped mapping; returns how many. The madvise flavour passes over mappings with an object and
 * ones wholly inside; a piece it cuts off is mapped anew without object, unless that piece is all of the request: then
 * `*whole` is set, and the request's own map follows at the end.
 */
static inline unsigned gpuvm__cuts(const struct gpuvm_req *q, uint64_t start, uint64_t end, gpuvm_va va,
                                   const struct record *r, struct gpuvm_op op[CUT_MAX], bool *whole)
{
    if (q->kind != GPUVM_REQ_MADVISE) {
        gpuvm__cut(q, start, end, va, r, op);
        return 1;
    }
    if (r->bo != GPUVM_BO_NONE)
        return 0;
    gpuvm__cut(q, start, end, va, r, op);
    if (op->kind != GPUVM_OP_REMAP)
        return 0;
    uint64_t hole = gpuvm_op_hole_addr(op), range = gpuvm_op_hole_range(op);
    *whole = hole == q->addr && range == q->range;
    if (*whole)
        return 1;
    gpuvm__op_set(&op[1], GPUVM_OP_MAP, hole, range, 0, GPUVM_BO_NONE, GPUVM_VA_NONE);
    return 2;
}

/* 0, or why a request cannot be: -EINVAL, -ENOENT. */
static inline int gpuvm__req_check(const struct gpuvm *vm, const struct gpuvm_req *q)
{
    if (q->kind > GPUVM_REQ_MADVISE || !gpuvm__range_valid(vm, q->addr, q->range))
        return -EINVAL;
    if (q->kind != GPUVM_REQ_UNMAP && q->bo != GPUVM_BO_NONE && !gpuvm__pair_known(vm, q->bo))
        return -ENOENT;
    return 0;
}

/* Appends the ops of a checked request to a list; `p`: gpuvm__lower() of its address. -ENOMEM. */
int gpuvm__split(const struct gpuvm *vm, const struct gpuvm_req *q, struct place p, struct gpuvm_ops *ops);

/* Room for `n` more ops. -ENOMEM. */
int gpuvm__ops_grow(struct gpuvm_ops *ops, size_t n);

static inline int gpuvm__ops_room(struct gpuvm_ops *ops, size_t n)
{
    return ops->capacity - ops->count >= n ? 0 : gpuvm__ops_grow(ops, n);
}

#endif
