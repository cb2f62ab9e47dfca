/*
 * Carrying out requests, and plain insert and remove.
 *
 * One descent a request, made with others' in a batch: the overlapped run of the leaf is found, its ops are written
 * straight into the caller's array, and the run is replaced by at most three entries in one shift; a mapping of the
 * request's own bounds leaves its entry in place. Where the run or what replaces it does not lie in one cell, the
 * leaves are emptied one after the other, those left empty are taken out together, and the new entries are inserted.
 *
 * Everything that can fail does so before the space changes, but for the growth of the caller's list; that is undone
 * by reverting the list.
 */
#include "step.h"
#include "warm.h"

#include <errno.h>
#include <limits.h>

enum { SPLIT_KEYS = 2, MADVISE_KEYS = 4 }; /* new starts that a request makes at most */
enum { RECORDS_MOST = 5 };                 /* and new mappings */

/* Nodes for `keys` new starts: a batch has reserved them, a single request asks when it finds that it needs any. */
static int nodes(struct gpuvm *vm, bool reserved, size_t keys)
{
    return reserved ? 0 : gpuvm__tree_reserve(vm, keys);
}

/* Room for the ops of `cuts` victims and a map, and for holding the victims. */
static inline int room(struct gpuvm *vm, struct gpuvm_ops *ops, size_t cuts)
{
    if (!ops)
        return 0;
    int rc = gpuvm__ops_room(ops, cuts + CUT_MAX);
    return rc ? rc : gpuvm__held_reserve(vm, cuts);
}

/* Where the next op is written: into the list, or nowhere to stay. */
__attribute__((always_inline)) static inline struct gpuvm_op *slot(struct gpuvm_ops *ops, struct gpuvm_op *none)
{
    return ops ? &ops->op[ops->count++] : none;
}

/* What is left of a run of victims. */
struct rest {
    gpuvm_va prev, next;
    uint64_t next_end;
};

/* Cuts a mapping [start, end): its op is written and the records change, the leaf does not. */
__attribute__((always_inline)) static inline void cut(struct gpuvm *vm, const struct gpuvm_req *q, uint64_t start,
                                                      uint64_t end, gpuvm_va va, struct gpuvm_ops *ops,
                                                      struct rest *rest)
{
    struct gpuvm_op none, *op = slot(ops, &none);
    gpuvm__cut(q, start, end, va, gpuvm__record(vm, va), op);
    gpuvm__step_cut(vm, op, ops);
    if (op->prev_range)
        rest->prev = op->prev;
    if (op->next_range) {
        rest->next = op->next;
        rest->next_end = end;
    }
}

/* The entries [at, to) of a leaf. */
__attribute__((always_inline)) static inline void cut_run(struct gpuvm *vm, const struct gpuvm_req *q,
                                                          const struct leaf *leaf, unsigned at, unsigned to,
                                                          struct gpuvm_ops *ops, struct rest *rest)
{
    for (unsigned i = at; i < to; i++)
        cut(vm, q, leaf->start[i], leaf->end[i], leaf->va[i], ops, rest);
}

__attribute__((always_inline)) static inline gpuvm_va map(struct gpuvm *vm, const struct gpuvm_req *q,
                                                          struct gpuvm_ops *ops)
{
    struct gpuvm_op none, *op = slot(ops, &none);
    gpuvm__map_op(q, op);
    gpuvm__step_map(vm, op);
    return op->va;
}

/* Starts loading the records of a run. */
__attribute__((always_inline)) static inline void fetch_run(const struct gpuvm *vm, const struct leaf *leaf,
                                                            unsigned at, unsigned to)
{
    if (to - at < 2 || vm->height < WARM_HEIGHT)
        return;
    for (unsigned i = at; i < to; i++)
        gpuvm__fetch_record(vm, leaf->va[i]);
}

/* The end of the run that begins at `at`. */
static unsigned run_end(const struct leaf *leaf, unsigned at, uint64_t end)
{
    while (at < leaf->count && leaf->start[at] < end)
        at++;
    return at;
}

/* Removes the records of the entries [at, to), none of which leaves a piece. */
static void drop(struct gpuvm *vm, const struct leaf *leaf, unsigned at, unsigned to)
{
    for (unsigned i = at; i < to; i++) {
        struct record *r = gpuvm__record(vm, leaf->va[i]);
        gpuvm__unlink(vm, r);
        gpuvm__record_free(vm, leaf->va[i], r);
    }
}

/* The same for victims of which the first and the last one may leave pieces. */
static void cut_silently(struct gpuvm *vm, const struct gpuvm_req *q, const struct leaf *leaf, unsigned at, unsigned to,
                         struct rest *rest)
{
    unsigned first = at + (leaf->start[at] < q->addr), last = to - (leaf->end[to - 1] > q->addr + q->range);
    if (first > last)
        last = first;
    cut_run(vm, q, leaf, at, first, NULL, rest);
    drop(vm, leaf, first, last);
    cut_run(vm, q, leaf, last, to, NULL, rest);
}

/*
 * Takes the victims [at, to) out of a leaf; a front piece stays in its victim's place, and so does a rear piece where
 * an entry behind it shows that it lies in the leaf's cell. The two are never of one victim: one with an entry behind
 * it leaves no cell and does not come here alone.
 */
static void take_out(struct gpuvm *vm, const struct gpuvm_req *q, struct leaf *leaf, unsigned at, unsigned to,
                     struct gpuvm_ops *ops, struct rest *rest)
{
    static const struct splice nothing;
    leaf->hint = leaf->start[at];
    rest->prev = GPUVM_VA_NONE;
    fetch_run(vm, leaf, at, to);
    if (ops)
        cut_run(vm, q, leaf, at, to, ops, rest);
    else
        cut_silently(vm, q, leaf, at, to, rest);
    if (rest->prev) {
        leaf->end[at] = q->addr;
        leaf->va[at++] = rest->prev;
    }
    if (rest->next && to < leaf->count) {
        leaf->start[--to] = q->addr + q->range;
        leaf->va[to] = rest->next;
        rest->next = GPUVM_VA_NONE;
    }
    vm->isa.leaf_splice(leaf, at, to - at, &nothing);
    vm->entries -= to - at;
    vm->version++;
    if (vm->victims)
        gpuvm__tree_settle(vm, leaf, leaf->hint);
}

/* A place, or the next one where it is that of the reserved range. */
static struct place but_kernel(struct place p)
{
    return p.leaf && p.leaf->va[p.at] == GPUVM_VA_KERNEL ? gpuvm__after(p) : p;
}

/*
 * Empties the space at once where all there is lies in the range and no list holds anything. `addr` is in the
 * remembered cell: with cells before it, there are mappings before it.
 */
static bool clear(struct gpuvm *vm, uint64_t addr, uint64_t end)
{
    if (vm->recent.lo || vm->victims || vm->pairs_bump > vm->entries) /* or pairs would cost more than mappings */
        return false;
    struct place first = but_kernel(gpuvm__lower(vm, 0)), rest = but_kernel(gpuvm__lower(vm, end));
    if (!first.leaf || first.leaf->start[first.at] < addr || rest.leaf)
        return false;
    gpuvm__clear(vm);
    return true;
}

/*
 * Joins what got small of the leaves from the first one changed, that of `key`, to the last one, that of `last_key`,
 * both victims' starts. Those between them are empty.
 */
static void settle(struct gpuvm *vm, struct leaf *first, uint64_t key, struct leaf *last, uint64_t last_key)
{
    if (!vm->entries) {
        gpuvm__tree_clear(vm);
        return;
    }
    if (first->count >= LEAF_MIN && last->count >= LEAF_MIN && (first == last || first->next == last))
        return;
    gpuvm__tree_sweep(vm, first->count ? first->next : first);
    gpuvm__seek(vm, key);
    gpuvm__tree_settle(vm, vm->recent.leaf, key);
    gpuvm__seek(vm, last_key);
    gpuvm__tree_settle(vm, vm->recent.leaf, last_key);
}

/* Takes all victims out, leaf by leaf. Returns how many there were. */
static int take_out_all(struct gpuvm *vm, const struct gpuvm_req *q, struct gpuvm_ops *ops, struct rest *rest)
{
    uint64_t end = q->addr + q->range, key = 0, last_key = 0;
    struct place p = gpuvm__lower(vm, q->addr);
    struct leaf *first = (struct leaf *)(uintptr_t)p.leaf, *last = first;
    int done = 0;
    while (p.leaf && p.leaf->start[p.at] < end) {
        last = (struct leaf *)(uintptr_t)p.leaf;
        const struct leaf *next = gpuvm__leaf_after(last);
        unsigned to = run_end(last, p.at, end);
        int rc = room(vm, ops, to - p.at);
        if (rc)
            return rc;
        if (next && vm->height >= WARM_HEIGHT)
            gpuvm__fetch(next, sizeof *next);
        last_key = last->start[to - 1];
        key = done ? key : last->start[p.at];
        done += (int)(to - p.at);
        unsigned at = p.at;
        p = to < last->count ? (struct place){0} : (struct place){next, 0};
        take_out(vm, q, last, at, to, ops, rest);
    }
    if (done && !vm->victims)
        settle(vm, first, key, last, last_key);
    return done;
}

/* A request over several leaves. */
__attribute__((noinline)) static int exec_long(struct gpuvm *vm, const struct gpuvm_req *q,
                                                struct gpuvm_ops *ops, bool reserved)
{
    uint64_t end = q->addr + q->range;
    struct rest rest = {0};
    int rc = nodes(vm, reserved, SPLIT_KEYS), done = (int)gpuvm_count(vm);
    if (rc)
        return rc;
    if (ops || !clear(vm, q->addr, end))
        done = take_out_all(vm, q, ops, &rest);
    if (done < 0)
        return done;
    if (q->kind == GPUVM_REQ_MAP) {
        gpuvm__tree_insert(vm, q->addr, end, map(vm, q, ops));
        done++;
    }
    if (rest.next)
        gpuvm__tree_insert(vm, end, rest.next_end, rest.next);
    return done;
}

static inline void put(struct splice *s, uint64_t start, uint64_t end, gpuvm_va va)
{
    s->start[s->count] = start;
    s->end[s->count] = end;
    s->va[s->count] = va;
    s->count++;
}

/* What replaces the run [at, to) of a leaf: records and ops of it. */
__attribute__((always_inline)) static inline void replace(struct gpuvm *vm, const struct gpuvm_req *q,
                                                          struct leaf *leaf, unsigned at, unsigned to,
                                                          struct gpuvm_ops *ops, struct splice *s)
{
    uint64_t end = q->addr + q->range;
    struct rest rest = {0};
    cut_run(vm, q, leaf, at, to, ops, &rest);
    if (rest.prev)
        put(s, leaf->start[at], q->addr, rest.prev);
    if (q->kind == GPUVM_REQ_MAP)
        put(s, q->addr, end, map(vm, q, ops));
    if (rest.next)
        put(s, end, rest.next_end, rest.next);
}

/* Where nothing is overlapped: into the remembered cell's leaf, which has room. */
__attribute__((always_inline)) static inline int exec_free(struct gpuvm *vm, const struct gpuvm_req *q,
                                                           struct gpuvm_ops *ops, unsigned at)
{
    if (q->kind != GPUVM_REQ_MAP)
        return 0;
    int rc = room(vm, ops, 0);
    if (rc)
        return rc;
    gpuvm_va va = map(vm, q, ops);
    gpuvm__leaf_put(vm, at, q->addr, q->addr + q->range, va);
    vm->entries++;
    vm->version++;
    return 1;
}

/* Where one mapping of the same bounds is replaced: its entry stays and gets another id. */
__attribute__((always_inline)) static inline int exec_same(struct gpuvm *vm, const struct gpuvm_req *q,
                                                           struct gpuvm_ops *ops, unsigned at)
{
    gpuvm_va *va = &vm->recent.leaf->va[at];
    struct rest none;
    int rc = room(vm, ops, 1);
    if (rc)
        return rc;
    cut(vm, q, q->addr, q->addr + q->range, *va, ops, &none);
    *va = map(vm, q, ops);
    vm->recent.at = at + 2;
    vm->version++;
    return 2;
}

/* Replaces the run [at, to) of the remembered cell's leaf. */
__attribute__((always_inline)) static inline int exec_run(struct gpuvm *vm, const struct gpuvm_req *q,
                                                          struct gpuvm_ops *ops, unsigned at, unsigned to)
{
    struct leaf *leaf = vm->recent.leaf;
    int rc = room(vm, ops, to - at);
    if (rc)
        return rc;
    fetch_run(vm, leaf, at, to);
    struct splice s = {0};
    replace(vm, q, leaf, at, to, ops, &s);
    vm->isa.leaf_splice(leaf, at, to - at, &s);
    vm->recent.at = at + s.count + 1;
    vm->entries += s.count;
    vm->entries -= to - at;
    vm->version++;
    if (s.count < to - at)
        gpuvm__tree_settle(vm, leaf, q->addr);
    return (int)(to - at) + (q->kind == GPUVM_REQ_MAP);
}

/* The entry before the cell's first reaches into the cell up to beyond `addr`. */
static bool reached_from_before(const struct leaf *leaf, uint64_t addr)
{
    const struct leaf *before = gpuvm__leaf_before(leaf);
    return before && before->end[before->count - 1] > addr;
}

static bool reaches_behind(const struct leaf *leaf, uint64_t end)
{
    const struct leaf *behind = gpuvm__leaf_after(leaf);
    return behind && behind->start[0] < end;
}

/* The run [at, to), or what is left of it, reaches from the leaf's cell, which ends at `hi`, into the next one. */
static bool leaves_cell(const struct leaf *leaf, unsigned at, unsigned to, uint64_t end, uint64_t hi)
{
    return (to > at && leaf->end[to - 1] > end) || (to == leaf->count && end > hi && reaches_behind(leaf, end));
}

/* What replaces the run [at, to) has room in the leaf. */
static bool fits(const struct leaf *leaf, const struct gpuvm_req *q, unsigned at, unsigned to)
{
    bool front = to > at && leaf->start[at] < q->addr, back = to > at && leaf->end[to - 1] > q->addr + q->range;
    return leaf->count - (to - at) + (unsigned)front + back + (q->kind == GPUVM_REQ_MAP) <= LEAF_MAX;
}

/* MAP and UNMAP. */
__attribute__((always_inline)) static inline int exec_split(struct gpuvm *vm, const struct gpuvm_req *q,
                                                            struct gpuvm_ops *ops, bool reserved)
{
    uint64_t end = q->addr + q->range;
    for (;;) {
        unsigned at = gpuvm__seek(vm, q->addr);
        struct leaf *leaf = vm->recent.leaf;
        if (at)
            at -= leaf->end[at - 1] > q->addr;
        else if (reached_from_before(leaf, q->addr))
            return exec_long(vm, q, ops, reserved);
        if (at < leaf->count && leaf->start[at] == q->addr && leaf->end[at] == end && q->kind == GPUVM_REQ_MAP)
            return exec_same(vm, q, ops, at);
        unsigned to = run_end(leaf, at, end);
        if (end >= vm->recent.hi && leaves_cell(leaf, at, to, end, vm->recent.hi))
            return exec_long(vm, q, ops, reserved);
        if (to == at && leaf->count < LEAF_MAX)
            return exec_free(vm, q, ops, at);
        if (leaf->count + SPLIT_KEYS <= LEAF_MAX || fits(leaf, q, at, to))
            return exec_run(vm, q, ops, at, to);
        int rc = nodes(vm, reserved, SPLIT_KEYS);
        if (rc)
            return rc;
        gpuvm__tree_make_room(vm, leaf, q->addr, at, to - at);
    }
}

/* MADVISE: op by op. */
__attribute__((noinline)) static int exec_madvise(struct gpuvm *vm, const struct gpuvm_req *q,
                                                   struct gpuvm_ops *ops, bool reserved)
{
    uint64_t end = q->addr + q->range;
    bool whole = false;
    int done = 0, rc = nodes(vm, reserved, MADVISE_KEYS);
    for (uint64_t cursor = q->addr; !rc;) {
        struct place p = gpuvm__lower(vm, cursor);
        if (!p.leaf || p.leaf->start[p.at] >= end)
            break;
        rc = room(vm, ops, 1);
        if (rc)
            break;
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
    rc = rc || !whole ? rc : room(vm, ops, 0);
    if (rc || !whole)
        return rc ? rc : done;
    gpuvm__tree_insert(vm, q->addr, end, map(vm, q, ops));
    return done + 1;
}

/* What a call returns for so many ops. */
static int sum(size_t ops)
{
    return ops > INT_MAX ? INT_MAX : (int)ops;
}

/* Carries out checked requests in order; where one fails, says which. `ahead`: they are of a batch, looked up there. */
__attribute__((always_inline)) static inline int exec_each(struct gpuvm *vm, const struct gpuvm_req *q, size_t n,
                                                           struct gpuvm_ops *ops, const struct ahead *ahead,
                                                           size_t *failed)
{
    size_t done = 0;
    for (size_t i = 0; i < n; i++, q++) {
        if (ahead)
            gpuvm__hand_over(vm, ahead, i);
        int rc = q->kind == GPUVM_REQ_MADVISE ? exec_madvise(vm, q, ops, ahead) : exec_split(vm, q, ops, ahead);
        if (rc < 0) {
            *failed = i;
            return rc;
        }
        done += (size_t)rc;
    }
    return sum(done);
}

/* Compiled apart for one request and for many, and with a list. */
__attribute__((noinline)) static int exec_one(struct gpuvm *vm, const struct gpuvm_req *q, size_t *failed)
{
    return exec_each(vm, q, 1, NULL, NULL, failed);
}

__attribute__((noinline)) static int exec_many(struct gpuvm *vm, const struct gpuvm_req *q, size_t n,
                                               const struct ahead *ahead, size_t *failed)
{
    return exec_each(vm, q, n, NULL, ahead, failed);
}

__attribute__((noinline)) static int exec_listed(struct gpuvm *vm, const struct gpuvm_req *q, size_t n,
                                                 struct gpuvm_ops *ops, const struct ahead *ahead, size_t *failed)
{
    return exec_each(vm, q, n, ops, ahead, failed);
}

/* A request by itself asks for nodes only where a leaf is full. */
static inline int exec_single(struct gpuvm *vm, const struct gpuvm_req *q, struct gpuvm_ops *ops, size_t *failed)
{
    int rc = q->range ? gpuvm__req_check(vm, q) : -EINVAL;
    rc = rc ? rc : gpuvm__records_reserve(vm, RECORDS_MOST);
    if (rc)
        return rc;
    return ops ? exec_listed(vm, q, 1, ops, NULL, failed) : exec_one(vm, q, failed);
}

/* Checks all requests and makes sure of what they need at most. */
static int prepare(struct gpuvm *vm, const struct gpuvm_req *reqs, size_t n, size_t *failed)
{
    static const uint8_t records[] = {[GPUVM_REQ_MAP] = 3, [GPUVM_REQ_UNMAP] = 2, [GPUVM_REQ_MADVISE] = RECORDS_MOST};
    static const uint8_t keys[] = {[GPUVM_REQ_MAP] = SPLIT_KEYS, [GPUVM_REQ_UNMAP] = SPLIT_KEYS,
                                   [GPUVM_REQ_MADVISE] = MADVISE_KEYS};
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

static int exec_batch(struct gpuvm *vm, const struct gpuvm_req *reqs, size_t n, struct gpuvm_ops *ops, size_t *failed)
{
    struct ahead ahead;
    size_t done = 0;
    int rc = prepare(vm, reqs, n, failed);
    if (rc)
        return rc;
    for (size_t at = 0, some; at < n; at += some) {
        some = n - at < WARM_MOST ? n - at : WARM_MOST;
        gpuvm__warm(vm, reqs + at, some, &ahead);
        rc = ops ? exec_listed(vm, reqs + at, some, ops, &ahead, failed)
                 : exec_many(vm, reqs + at, some, &ahead, failed);
        if (rc < 0) {
            *failed += at;
            return rc;
        }
        done += (size_t)rc;
    }
    return sum(done);
}

/* Gives back what a batch reserved and did not use. */
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
    int rc = n == 1 ? exec_single(vm, reqs, ops, failed) : exec_batch(vm, reqs, n, ops, failed);
    if (ops && ops->count)
        ops->applied = vm;
    if (rc < 0 && ops)
        gpuvm_ops_revert(vm, ops, from);
    if (n != 1)
        trim(vm);
    return rc;
}

int gpuvm_insert(struct gpuvm *vm, uint64_t addr, uint64_t range, gpuvm_bo bo, uint64_t offset, gpuvm_va *out)
{
    struct gpuvm_req q = {.addr = addr, .range = range, .offset = offset, .bo = bo, .kind = GPUVM_REQ_MAP};
    int rc = range ? gpuvm__req_check(vm, &q) : -EINVAL;
    if (rc)
        return rc;
    uint64_t end = addr + range;
    unsigned at = gpuvm__seek(vm, addr);
    const struct leaf *leaf = vm->recent.leaf;
    bool taken = at ? leaf->end[at - 1] > addr : reached_from_before(leaf, addr);
    taken |= at < LEAF_MAX && leaf->start[at] < end;
    if (end > vm->recent.hi)
        taken |= reaches_behind(leaf, end);
    if (taken)
        return -EEXIST;
    rc = gpuvm__records_reserve(vm, 1);
    if (!rc && leaf->count == LEAF_MAX)
        rc = gpuvm__tree_reserve(vm, 1);
    if (rc)
        return rc;
    gpuvm_va va = map(vm, &q, NULL);
    gpuvm__tree_insert_at(vm, at, addr, end, va);
    if (out)
        *out = va;
    return 0;
}

/* 0, or why a mapping cannot be removed: -ENOENT, -EPERM. */
static inline int removable(const struct gpuvm *vm, gpuvm_va va)
{
    const struct record *r = gpuvm__known(vm, va);
    if (!r || (r->bo & REC_HELD))
        return -ENOENT;
    return va == GPUVM_VA_KERNEL ? -EPERM : 0;
}

int gpuvm_remove(struct gpuvm *vm, gpuvm_va va)
{
    int rc = removable(vm, va);
    if (rc)
        return rc;
    struct record *r = gpuvm__record(vm, va);
    uint64_t addr = r->addr;
    gpuvm__unlink(vm, r);
    gpuvm__record_free(vm, va, r);
    gpuvm__tree_remove(vm, addr);
    return 0;
}

/*
 * Takes mappings off their lists, and for the while they count as held, so that an id which comes twice is found out.
 * Undone in reverse order where one cannot be removed.
 */
static int unlink_all(struct gpuvm *vm, const gpuvm_va *va, size_t n, size_t *failed)
{
    for (size_t i = 0; i < n; i++) {
        if (i % WARM_MOST == 0)
            gpuvm__warm_records(vm, &va[i], n - i < WARM_MOST ? n - i : WARM_MOST);
        int rc = removable(vm, va[i]);
        if (!rc) {
            struct record *r = gpuvm__record(vm, va[i]);
            gpuvm__unlink(vm, r);
            r->bo |= REC_HELD;
            continue;
        }
        *failed = i;
        while (i--) {
            struct record *r = gpuvm__record(vm, va[i]);
            r->bo &= ~REC_HELD;
            gpuvm__relink(vm, va[i], r);
        }
        return rc;
    }
    return 0;
}

int gpuvm_remove_many(struct gpuvm *vm, const gpuvm_va *va, size_t n, size_t *failed)
{
    size_t unused;
    failed = failed ? failed : &unused;
    *failed = 0;
    struct ahead ahead;
    int rc = unlink_all(vm, va, n, failed);
    for (size_t i = 0; !rc && i < n; i++) {
        if (i % WARM_MOST == 0)
            gpuvm__warm_leaves(vm, &va[i], n - i, &ahead);
        gpuvm__hand_over(vm, &ahead, i % WARM_MOST);
        struct record *r = gpuvm__record(vm, va[i]);
        uint64_t addr = r->addr;
        gpuvm__record_free(vm, va[i], r);
        gpuvm__tree_remove(vm, addr);
    }
    return rc;
}
