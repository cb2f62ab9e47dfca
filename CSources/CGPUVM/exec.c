/*
 * Carrying out requests, and plain insert and remove.
 *
 * One descent a request: the overlapped run of the leaf is found, its ops are written straight into the caller's
 * array, and the run is replaced by at most three entries in one shift. Where the run or what replaces it does not
 * lie in one cell, the leaves are emptied one by one and the new entries are inserted.
 *
 * Everything that can fail does so before the space changes, but for the growth of the caller's list; that is undone
 * by reverting the list.
 */
#include "step.h"

#include <errno.h>
#include <limits.h>

/* Room for the ops of `cuts` victims and a map, and for holding the victims. */
static int room(struct gpuvm *vm, struct gpuvm_ops *ops, size_t cuts)
{
    if (!ops)
        return 0;
    int rc = gpuvm__ops_room(ops, cuts + CUT_MAX);
    return rc ? rc : gpuvm__held_reserve(vm, cuts);
}

/* Where the next op is written: into the list, or nowhere to stay. */
static struct gpuvm_op *slot(struct gpuvm_ops *ops, struct gpuvm_op *none)
{
    return ops ? &ops->op[ops->count++] : none;
}

/* Cuts the entry of a leaf: its op is written and the records change, the leaf does not. */
static struct gpuvm_op *cut(struct gpuvm *vm, const struct gpuvm_req *q, const struct leaf *leaf, unsigned at,
                            struct gpuvm_ops *ops, struct gpuvm_op *none)
{
    struct gpuvm_op *op = slot(ops, none);
    gpuvm__cut(q, leaf->start[at], leaf->end[at], leaf->va[at], gpuvm__record(vm, leaf->va[at]), op);
    gpuvm__step_cut(vm, op, ops);
    return op;
}

static gpuvm_va map(struct gpuvm *vm, const struct gpuvm_req *q, struct gpuvm_ops *ops)
{
    struct gpuvm_op none, *op = slot(ops, &none);
    *op = gpuvm__map_op(q);
    gpuvm__step_map(vm, op);
    return op->va;
}

/* The end of the run that begins at `at`. */
static unsigned run_end(const struct leaf *leaf, unsigned at, uint64_t end)
{
    while (at < leaf->count && leaf->start[at] < end)
        at++;
    return at;
}

/* A request over several leaves, leaf by leaf. */
static int exec_long(struct gpuvm *vm, const struct gpuvm_req *q, struct gpuvm_ops *ops)
{
    uint64_t end = q->addr + q->range, next_end = 0;
    gpuvm_va next = GPUVM_VA_NONE;
    int done = 0;
    for (uint64_t cursor = q->addr;;) {
        struct place p = gpuvm__lower(vm, cursor);
        if (!p.leaf || p.leaf->start[p.at] >= end)
            break;
        struct leaf *leaf = (struct leaf *)(uintptr_t)p.leaf;
        unsigned to = run_end(leaf, p.at, end), front = 0;
        int rc = room(vm, ops, to - p.at);
        if (rc)
            return rc;
        uint64_t key = leaf->start[p.at];
        cursor = leaf->end[to - 1];
        for (unsigned i = p.at; i < to; i++) {
            struct gpuvm_op none, *op = cut(vm, q, leaf, i, ops, &none);
            if (op->prev_range) {
                leaf->end[i] = q->addr;
                leaf->va[i] = op->prev;
                front = 1;
            }
            next = op->next;
        }
        next_end = cursor;
        const struct splice nothing = {0};
        vm->isa.leaf_splice(leaf, p.at + front, to - p.at - front, &nothing);
        vm->entries -= to - p.at - front;
        vm->version++;
        done += (int)(to - p.at);
        gpuvm__tree_settle(vm, leaf, key);
    }
    if (q->kind == GPUVM_REQ_MAP) {
        gpuvm__tree_insert(vm, q->addr, end, map(vm, q, ops));
        done++;
    }
    if (next)
        gpuvm__tree_insert(vm, end, next_end, next);
    return done;
}

static void put(struct splice *s, uint64_t start, uint64_t end, gpuvm_va va)
{
    s->start[s->count] = start;
    s->end[s->count] = end;
    s->va[s->count] = va;
    s->count++;
}

/* Replaces the run [at, to) of a cell's leaf. */
static int exec_run(struct gpuvm *vm, const struct gpuvm_req *q, const struct cell *c, unsigned at, unsigned to,
                    struct gpuvm_ops *ops)
{
    int rc = room(vm, ops, to - at);
    if (rc)
        return rc;
    struct leaf *leaf = c->leaf;
    uint64_t end = q->addr + q->range;
    struct splice s = {0};
    gpuvm_va next = GPUVM_VA_NONE;
    for (unsigned i = at; i < to; i++) {
        struct gpuvm_op none, *op = cut(vm, q, leaf, i, ops, &none);
        if (op->prev_range)
            put(&s, op->addr, q->addr, op->prev);
        next = op->next;
    }
    if (q->kind == GPUVM_REQ_MAP)
        put(&s, q->addr, end, map(vm, q, ops));
    if (next)
        put(&s, end, leaf->end[to - 1], next);
    if (to == at && !s.count)
        return 0;
    uint64_t key = to > at ? leaf->start[at] : q->addr;
    vm->isa.leaf_splice(leaf, at, to - at, &s);
    vm->recent = *c;
    vm->entries += s.count;
    vm->entries -= to - at;
    vm->version++;
    if (s.count < to - at)
        gpuvm__tree_settle(vm, leaf, key);
    return (int)(to - at) + (q->kind == GPUVM_REQ_MAP);
}

/* MAP and UNMAP. */
static int exec_split(struct gpuvm *vm, const struct gpuvm_req *q, struct gpuvm_ops *ops)
{
    uint64_t end = q->addr + q->range;
    for (;;) {
        struct cell c = gpuvm__cell(vm, q->addr);
        const struct leaf *leaf = c.leaf, *beside = NULL;
        unsigned at = c.at;
        if (at)
            at -= leaf->end[at - 1] > q->addr;
        else if ((beside = gpuvm__leaf_before(leaf)) && beside->end[beside->count - 1] > q->addr)
            return exec_long(vm, q, ops);
        unsigned to = run_end(leaf, at, end);
        bool front = to > at && leaf->start[at] < q->addr, back = to > at && leaf->end[to - 1] > end;
        if (back && end >= c.hi)
            return exec_long(vm, q, ops);
        if (to == leaf->count && end > c.hi && (beside = gpuvm__leaf_after(leaf)) && beside->start[0] < end)
            return exec_long(vm, q, ops);
        unsigned add = (unsigned)front + back + (q->kind == GPUVM_REQ_MAP);
        if (leaf->count - (to - at) + add <= LEAF_MAX)
            return exec_run(vm, q, &c, at, to, ops);
        gpuvm__tree_make_room(vm, c.leaf, q->addr, at, to - at);
    }
}

/* MADVISE: op by op. */
static int exec_madvise(struct gpuvm *vm, const struct gpuvm_req *q, struct gpuvm_ops *ops)
{
    uint64_t end = q->addr + q->range;
    bool whole = false;
    int done = 0;
    for (uint64_t cursor = q->addr;;) {
        struct place p = gpuvm__lower(vm, cursor);
        if (!p.leaf || p.leaf->start[p.at] >= end)
            break;
        int rc = room(vm, ops, 1);
        if (rc)
            return rc;
        cursor = p.leaf->end[p.at];
        struct gpuvm_op op[CUT_MAX];
        unsigned n = gpuvm__cuts(q, p.leaf->start[p.at], cursor, p.leaf->va[p.at],
                                 gpuvm__record(vm, p.leaf->va[p.at]), op, &whole);
        for (unsigned i = 0; i < n; i++) {
            gpuvm__apply(vm, &op[i], ops);
            if (ops)
                ops->op[ops->count++] = op[i];
        }
        done += (int)n;
    }
    if (!whole)
        return done;
    int rc = room(vm, ops, 0);
    if (rc)
        return rc;
    gpuvm__tree_insert(vm, q->addr, end, map(vm, q, ops));
    return done + 1;
}

/* Checks all requests and makes sure of what they need at most. */
static int prepare(struct gpuvm *vm, const struct gpuvm_req *reqs, size_t n, size_t *failed)
{
    static const uint8_t records[] = {[GPUVM_REQ_MAP] = 3, [GPUVM_REQ_UNMAP] = 2, [GPUVM_REQ_MADVISE] = 5};
    static const uint8_t keys[] = {[GPUVM_REQ_MAP] = 2, [GPUVM_REQ_UNMAP] = 1, [GPUVM_REQ_MADVISE] = 4};
    size_t need_records = 0, need_keys = 0;
    for (size_t i = 0; i < n; i++) {
        int rc = reqs[i].range ? gpuvm__req_check(vm, &reqs[i]) : -EINVAL;
        if (rc) {
            *failed = i;
            return rc;
        }
        need_records += records[reqs[i].kind];
        need_keys += keys[reqs[i].kind];
    }
    int rc = gpuvm__records_reserve(vm, need_records);
    return rc ? rc : gpuvm__tree_reserve(vm, need_keys);
}

static void trim(struct gpuvm *vm)
{
    gpuvm__records_trim(vm);
    gpuvm__pool_trim(vm, &vm->leaf_pool);
    gpuvm__pool_trim(vm, &vm->inner_pool);
}

int gpuvm_exec(struct gpuvm *vm, const struct gpuvm_req *reqs, size_t n, struct gpuvm_ops *ops, size_t *failed)
{
    size_t unused, from = ops ? ops->count : 0;
    failed = failed ? failed : &unused;
    *failed = 0;
    if (ops && (ops->applied ? ops->applied != vm : ops->count))
        return -EINVAL;
    int rc = prepare(vm, reqs, n, failed);
    size_t done = 0;
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        rc = reqs[i].kind == GPUVM_REQ_MADVISE ? exec_madvise(vm, &reqs[i], ops) : exec_split(vm, &reqs[i], ops);
        if (rc < 0)
            *failed = i;
        else
            done += (size_t)rc;
    }
    if (ops && ops->count)
        ops->applied = vm;
    if (rc < 0 && ops)
        gpuvm_ops_revert(vm, ops, from);
    if (n > 1)
        trim(vm);
    return rc < 0 ? rc : done > INT_MAX ? INT_MAX : (int)done;
}

int gpuvm_insert(struct gpuvm *vm, uint64_t addr, uint64_t range, gpuvm_bo bo, uint64_t offset, gpuvm_va *out)
{
    struct gpuvm_req q = {.addr = addr, .range = range, .offset = offset, .bo = bo, .kind = GPUVM_REQ_MAP};
    int rc = range ? gpuvm__req_check(vm, &q) : -EINVAL;
    if (rc)
        return rc;
    if (!gpuvm_interval_empty(vm, addr, range))
        return -EEXIST;
    rc = gpuvm__records_reserve(vm, 1);
    rc = rc ? rc : gpuvm__tree_reserve(vm, 1);
    if (rc)
        return rc;
    struct gpuvm_op op = gpuvm__map_op(&q);
    gpuvm__apply(vm, &op, false);
    if (out)
        *out = op.va;
    return 0;
}

int gpuvm_remove(struct gpuvm *vm, gpuvm_va va)
{
    const struct record *r = gpuvm__known(vm, va);
    if (!r || (r->bo & REC_HELD))
        return -ENOENT;
    if (va == GPUVM_VA_KERNEL)
        return -EPERM;
    uint64_t addr = r->addr;
    gpuvm__unlink(vm, r);
    gpuvm__record_free(vm, va);
    gpuvm__tree_remove(vm, addr);
    return 0;
}
