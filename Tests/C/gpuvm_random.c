/*
 * Law: whatever is asked of a space, in whatever order, it answers as a naive model does: an array with the owner of
 * each page, and the tables of spec/gpuvm.md section 4 row by row. A million random operations over several shapes
 * of space and all variants of the node search; LONG=1: ten times as many.
 */
#include "gpuvm_test.h"

#include "../../CSources/CGPUVM/isa.h"

#include <stddef.h>

/* ---- the model ---- */

enum { MAX_PAGES = 1 << 15, BOS = 6, LISTS = 4, MAX_OPS = 4096 };

struct shape {
    const char *name;
    uint64_t start, unit;
    int pages, kernel_at, kernel_pages, longest;
    uint32_t user_size;
    int full_every;
    enum isa_level isa;
};

struct mmap {
    int from, to, bo; /* pages; bo 0: none */
    uint64_t offset, user, stamp;
    int next_free;
};

struct model {
    int free_map, used_maps, live;
    uint64_t stamp;
    int owner[MAX_PAGES]; /* mapping of the page, 0: none */
    struct mmap map[MAX_PAGES + 1];
};

struct mop {
    int kind, from, to, bo;
    uint64_t offset;
    int prev_to, next_from; /* pages: prev is [from, prev_to), next [next_from, to); -1 without */
    bool keep;
    int map; /* the model's victim */
};

static const struct shape *shape;
static struct model *M;
static struct mop want[MAX_OPS];
static int wants;

static int new_map(int from, int to, int bo, uint64_t offset, uint64_t user)
{
    int i = M->free_map;
    if (i)
        M->free_map = M->map[i].next_free;
    else
        i = ++M->used_maps;
    M->map[i] = (struct mmap){from, to, bo, offset, user, ++M->stamp, 0};
    for (int p = from; p < to; p++)
        M->owner[p] = i;
    M->live++;
    return i;
}

static void drop_map(int i)
{
    for (int p = M->map[i].from; p < M->map[i].to; p++)
        if (M->owner[p] == i)
            M->owner[p] = 0;
    M->map[i].next_free = M->free_map;
    M->free_map = i;
    M->live--;
}

static bool model_valid(int from, int to)
{
    if (from < 0 || from > to || to > shape->pages)
        return false;
    int ks = shape->kernel_at, ke = ks + shape->kernel_pages;
    return !shape->kernel_pages || to <= ks || from >= ke;
}

static struct mop *emit(int kind, int i)
{
    const struct mmap *m = &M->map[i];
    CHECK(wants < MAX_OPS, "model list too small");
    want[wants] = (struct mop){kind, m->from, m->to, m->bo, m->offset, -1, -1, false, i};
    return &want[wants++];
}

static void emit_map(int from, int to, int bo, uint64_t offset)
{
    want[wants++] = (struct mop){GPUVM_OP_MAP, from, to, bo, offset, -1, -1, false, 0};
}

/* Rows of 4.1 (map), 4.2 (unmap). */
static void model_cut(int i, int A, int E, int bo, uint64_t offset, bool map)
{
    const struct mmap *m = &M->map[i];
    int a = m->from, e = m->to;
    bool remap = map ? (a == A && e > E) || a < A || (a > A && e > E) : a < A || e > E;
    struct mop *op = emit(remap ? GPUVM_OP_REMAP : GPUVM_OP_UNMAP, i);
    if (a < A)
        op->prev_to = A;
    if (e > E)
        op->next_from = E;
    if (map && bo && bo == m->bo) {
        uint64_t units = (uint64_t)(A > a ? A - a : a - A) * shape->unit;
        op->keep = A >= a ? m->offset + units == offset : m->offset == offset + units;
    }
}

/* Rows of 4.3; returns whether the request's own map follows. */
static bool model_advise(int i, int A, int E)
{
    const struct mmap *m = &M->map[i];
    int a = m->from, e = m->to;
    if (m->bo || (a >= A && e <= E))
        return false;
    struct mop *op = emit(GPUVM_OP_REMAP, i);
    if (a < A)
        op->prev_to = A;
    if (e > E)
        op->next_from = E;
    if (a < A && e < E)
        emit_map(A, e, 0, 0);
    else if (a > A)
        emit_map(a, E, 0, 0);
    return (a < A && e >= E) || (a == A && e > E);
}

static void model_split(int kind, int A, int E, int bo, uint64_t offset)
{
    wants = 0;
    bool map = kind == GPUVM_REQ_MAP;
    int last = 0;
    for (int p = A; p < E || (p == A && A == E && p > 0 && p < shape->pages); p++) {
        int i = M->owner[p];
        if (A == E && i && M->owner[p - 1] != i)
            i = 0; /* a zero range meets only what it lies strictly inside of */
        if (i && i != last) {
            if (kind == GPUVM_REQ_MADVISE)
                map |= model_advise(i, A, E);
            else
                model_cut(i, A, E, bo, offset, map);
            last = i;
        }
    }
    if (map)
        emit_map(A, E, bo, offset);
}

static void model_apply(const struct mop *op)
{
    if (op->kind == GPUVM_OP_MAP) {
        new_map(op->from, op->to, op->bo, op->offset, 0);
        return;
    }
    if (op->kind == GPUVM_OP_PREFETCH)
        return;
    uint64_t user = M->map[op->map].user;
    drop_map(op->map);
    if (op->prev_to >= 0)
        new_map(op->from, op->prev_to, op->bo, op->offset, user);
    if (op->next_from >= 0)
        new_map(op->next_from, op->to, op->bo, op->offset + (uint64_t)(op->next_from - op->from) * shape->unit, user);
}

/* ---- the space beside it ---- */

static struct gpuvm *vm;
static struct test_alloc memory;
static gpuvm_bo bo_of[BOS];
static struct rng rng;
static uint64_t user_stamp;

struct list {
    struct gpuvm_ops ops;
    struct model *before; /* to go back to while undoable; kept for the next list */
    bool undoable;
};
static struct list lists[LISTS]; /* in use: oldest first */
static int lists_used;

static uint64_t addr(int page)
{
    return shape->start + (uint64_t)page * shape->unit;
}

static int page(uint64_t a)
{
    return (int)((a - shape->start) / shape->unit);
}

static int model_bo(gpuvm_bo bo)
{
    for (int i = 0; i < BOS; i++)
        if (bo_of[i] == bo)
            return i;
    CHECK(false, "pair %u is nobody's", bo);
    return -1;
}

/* The mapping is the model's i. */
static void same_mapping(const struct gpuvm_mapping *m, int i)
{
    const struct mmap *w = &M->map[i];
    CHECK(m->addr == addr(w->from) && m->range == (uint64_t)(w->to - w->from) * shape->unit && m->offset == w->offset &&
              model_bo(m->bo) == w->bo,
          "mapping [%llx +%llx] bo %u off %llx, want pages [%d, %d) bo %d off %llx", (unsigned long long)m->addr,
          (unsigned long long)m->range, m->bo, (unsigned long long)m->offset, w->from, w->to, w->bo,
          (unsigned long long)w->offset);
    if (shape->user_size) {
        uint64_t user;
        memcpy(&user, gpuvm_user(vm, m->va), sizeof user);
        CHECK(user == w->user, "user data %llu, want %llu", (unsigned long long)user, (unsigned long long)w->user);
    }
}

static void same_id(gpuvm_va va, int i)
{
    struct gpuvm_mapping m;
    if (!i) {
        EQ(va, 0);
        return;
    }
    EQ(gpuvm_get(vm, va, &m), 0);
    if (i < 0) {
        EQ(va, GPUVM_VA_KERNEL);
        return;
    }
    same_mapping(&m, i);
}

static void same_order(int bo)
{
    size_t n = 0;
    uint64_t stamp = 0;
    uint32_t seq = 0;
    for (gpuvm_va va = gpuvm_bo_first(vm, bo_of[bo]); va; va = gpuvm_bo_next(vm, va), n++) {
        struct gpuvm_mapping m;
        EQ(gpuvm_get(vm, va, &m), 0);
        const struct mmap *w = &M->map[M->owner[page(m.addr)]];
        same_mapping(&m, M->owner[page(m.addr)]);
        CHECK(w->bo == bo && w->stamp > stamp && m.seq > seq, "link order of pair %d at page %d", bo, w->from);
        stamp = w->stamp;
        seq = m.seq;
    }
    EQ(n, gpuvm_bo_count(vm, bo_of[bo]));
    size_t pages = 0;
    for (int p = 0; p < shape->pages; p++) {
        int i = M->owner[p];
        pages += i && M->map[i].bo == bo && M->map[i].from == p;
    }
    EQ(n, pages);
}

static void same_state(void)
{
    struct gpuvm_iter it;
    struct gpuvm_mapping m;
    gpuvm_iter_init(&it, vm, 0, 0);
    int p = 0, n = 0;
    while (gpuvm_iter_next(&it, &m)) {
        if (m.va == GPUVM_VA_KERNEL)
            continue;
        for (; p < page(m.addr); p++)
            EQ(M->owner[p], 0);
        same_mapping(&m, M->owner[p]);
        p = M->map[M->owner[p]].to;
        n++;
    }
    for (; p < shape->pages; p++)
        EQ(M->owner[p], 0);
    EQ(n, M->live);
    EQ(gpuvm_count(vm), M->live);
    for (int b = 1; b < BOS; b++)
        same_order(b);
    check_space(vm);
}

/* The ops [from, …) are the wanted ones. */
static void same_ops(const struct gpuvm_op *op, size_t n, bool applied)
{
    EQ(n, wants);
    for (int i = 0; i < wants; i++, op++) {
        const struct mop *w = &want[i];
        CHECK(op->kind == w->kind && op->addr == addr(w->from) && op->range == (uint64_t)(w->to - w->from) * shape->unit &&
                  op->offset == w->offset && model_bo(op->bo) == w->bo && op->keep == w->keep,
              "op %d: kind %d [%llx +%llx], want kind %d pages [%d, %d)", i, op->kind, (unsigned long long)op->addr,
              (unsigned long long)op->range, w->kind, w->from, w->to);
        EQ(op->prev_range, w->prev_to < 0 ? 0 : (uint64_t)(w->prev_to - w->from) * shape->unit);
        EQ(op->next_range, w->next_from < 0 ? 0 : (uint64_t)(w->to - w->next_from) * shape->unit);
        EQ(op->prev != 0, applied && w->prev_to >= 0);
        EQ(op->next != 0, applied && w->next_from >= 0);
        EQ(op->va != 0, applied || w->kind != GPUVM_OP_MAP);
        if (applied && w->kind != GPUVM_OP_MAP) { /* the victim keeps its data */
            struct gpuvm_mapping m;
            EQ(gpuvm_get(vm, op->va, &m), 0);
            CHECK(m.addr == op->addr && m.range == op->range && m.offset == op->offset && m.bo == op->bo, "victim %u", op->va);
        }
    }
}

/* ---- random operations ---- */

struct ask {
    struct gpuvm_req q;
    int from, to, bo;
    bool ok;
};

static struct ask random_ask(void)
{
    struct ask a = {.bo = (int)rng_below(&rng, BOS)};
    int longest = rng_below(&rng, 50) ? shape->longest : shape->pages / 2;
    a.from = (int)rng_below(&rng, (uint64_t)shape->pages + 1);
    a.to = a.from + (rng_below(&rng, 100) ? 1 + (int)rng_below(&rng, (uint64_t)longest) : 0);
    a.ok = model_valid(a.from, a.to);
    uint64_t kind = rng_below(&rng, 10);
    a.q = (struct gpuvm_req){
        .addr = addr(a.from),
        .range = (uint64_t)(a.to - a.from) * shape->unit,
        .offset = rng_below(&rng, 3) ? (uint64_t)a.from * shape->unit : rng_next(&rng) & ~(shape->unit - 1),
        .bo = bo_of[a.bo],
        .kind = kind < 6 ? GPUVM_REQ_MAP : kind < 9 ? GPUVM_REQ_UNMAP : GPUVM_REQ_MADVISE,
    };
    return a;
}

static void model_ask(const struct ask *a)
{
    model_split((int)a->q.kind, a->from, a->to, a->bo, a->q.offset);
}

static void model_apply_all(int n)
{
    for (int i = 0; i < n; i++)
        model_apply(&want[i]);
}

/* Copies what a model uses. */
static void copy_model(struct model *to, const struct model *from)
{
    memcpy(to, from, offsetof(struct model, owner) + (size_t)shape->pages * sizeof *from->owner);
    memcpy(to->map, from->map, (size_t)(from->used_maps + 1) * sizeof *from->map);
}

static void forget(struct list *l)
{
    l->undoable = false;
}

/* The space was changed past the first `n` lists: they can only be committed. */
static void forbid_revert_of(int n)
{
    for (int i = 0; i < n; i++)
        forget(&lists[i]);
}

static void forbid_revert(void)
{
    forbid_revert_of(lists_used);
}

static void mark_user(int from)
{
    gpuvm_va va = gpuvm_find_first(vm, addr(from), 1);
    if (!shape->user_size || !va || va == GPUVM_VA_KERNEL)
        return;
    uint64_t user = ++user_stamp;
    memcpy(gpuvm_user(vm, va), &user, sizeof user);
    M->map[M->owner[from]].user = user;
    /* Snapshots of the model do not know: allowed only when there are none. */
}

static void do_exec(void)
{
    struct ask a = random_ask();
    size_t failed = 9;
    int rc = gpuvm_exec(vm, &a.q, 1, NULL, &failed);
    if (!a.ok || a.from == a.to) {
        EQ(rc, -EINVAL);
        return;
    }
    model_ask(&a);
    EQ(rc, wants);
    model_apply_all(wants);
    forbid_revert();
    if (a.q.kind == GPUVM_REQ_MAP && rng_below(&rng, 2))
        mark_user(a.from);
}

static void do_batch(void)
{
    enum { MOST = 40 };
    static struct gpuvm_req reqs[MOST];
    static struct ask asks[MOST];
    int n = 1 + (int)rng_below(&rng, MOST), bad = -1;
    for (int i = 0; i < n; i++) {
        do
            asks[i] = random_ask();
        while ((!asks[i].ok || asks[i].from == asks[i].to) && rng_below(&rng, 100));
        if (bad < 0 && (!asks[i].ok || asks[i].from == asks[i].to))
            bad = i;
        reqs[i] = asks[i].q;
    }
    size_t failed = 0;
    int rc = gpuvm_exec(vm, reqs, (size_t)n, NULL, &failed), ops = 0;
    if (bad >= 0) {
        EQ(rc, -EINVAL);
        EQ(failed, bad);
        return;
    }
    for (int i = 0; i < n; i++) {
        model_ask(&asks[i]);
        model_apply_all(wants);
        ops += wants;
    }
    EQ(rc, ops);
    forbid_revert();
}


static struct list *new_list(void)
{
    struct list *l = &lists[lists_used];
    gpuvm_ops_init(&l->ops, NULL);
    if (!l->before)
        l->before = malloc(sizeof *l->before);
    copy_model(l->before, M);
    l->undoable = true;
    return l;
}

/* A list by gpuvm_exec, or asked for dry and applied. */
static void do_list(bool dry)
{
    if (lists_used == LISTS)
        return;
    struct ask a = random_ask();
    struct list *l = new_list();
    size_t failed;
    int rc = dry ? gpuvm_sm_ops(vm, &a.q, &l->ops) : gpuvm_exec(vm, &a.q, 1, &l->ops, &failed);
    if (!a.ok || (!dry && a.from == a.to)) {
        EQ(rc, -EINVAL);
        EQ(l->ops.count, 0);
    } else {
        model_ask(&a);
        EQ(rc, wants);
        if (dry) {
            same_ops(l->ops.op, l->ops.count, false);
            rc = gpuvm_ops_apply(vm, &l->ops);
            EQ(rc, a.from == a.to && wants ? -EINVAL : 0);
        }
        if (rc >= 0) {
            same_ops(l->ops.op, l->ops.count, true);
            model_apply_all(wants);
        } else {
            gpuvm_ops_commit(vm, &l->ops);
        }
    }
    if (l->ops.applied) {
        lists_used++;
    } else {
        forget(l);
        gpuvm_ops_fini(&l->ops);
    }
}

/* More requests on the youngest list. */
static void do_append(void)
{
    if (!lists_used || !lists[lists_used - 1].undoable)
        return;
    struct list *l = &lists[lists_used - 1];
    struct ask a = random_ask();
    size_t failed, from = l->ops.count;
    int rc = gpuvm_exec(vm, &a.q, 1, &l->ops, &failed);
    if (!a.ok || a.from == a.to) {
        EQ(rc, -EINVAL);
        EQ(l->ops.count, from);
        return;
    }
    model_ask(&a);
    same_ops(l->ops.op + from, l->ops.count - from, true);
    if (rng_below(&rng, 3) == 0) { /* undo just this */
        gpuvm_ops_revert(vm, &l->ops, from);
        EQ(l->ops.count, from);
        return;
    }
    model_apply_all(wants);
}

static void do_revert(void)
{
    if (!lists_used || !lists[lists_used - 1].undoable)
        return;
    struct list *l = &lists[--lists_used];
    memory.left = 0; /* undoing needs no memory */
    gpuvm_ops_revert(vm, &l->ops, 0);
    memory.left = -1;
    copy_model(M, l->before);
    forget(l);
    gpuvm_ops_fini(&l->ops);
}

static void do_commit(void)
{
    if (!lists_used)
        return;
    int i = (int)rng_below(&rng, (uint64_t)lists_used);
    if (rng_below(&rng, 2))
        gpuvm_ops_commit(vm, &lists[i].ops);
    gpuvm_ops_fini(&lists[i].ops);
    forget(&lists[i]);
    forbid_revert_of(i); /* what a younger list did stays */
    struct list gone = lists[i];
    memmove(&lists[i], &lists[i + 1], (size_t)(lists_used - i - 1) * sizeof *lists);
    lists[--lists_used] = gone;
}

static void do_insert(void)
{
    struct ask a = random_ask();
    gpuvm_va va = 0;
    int rc = gpuvm_insert(vm, a.q.addr, a.q.range, a.q.bo, a.q.offset, &va);
    if (!a.ok || a.from == a.to) {
        EQ(rc, -EINVAL);
        return;
    }
    bool taken = false;
    for (int p = a.from; p < a.to; p++)
        taken |= M->owner[p] != 0;
    EQ(rc, taken ? -EEXIST : 0);
    if (taken)
        return;
    same_id(va, new_map(a.from, a.to, a.bo, a.q.offset, 0));
    forbid_revert();
    if (rng_below(&rng, 2))
        mark_user(a.from);
}

static int first_in(int from, int to)
{
    for (int p = from < 0 ? 0 : from; p < to && p < shape->pages; p++)
        if (M->owner[p])
            return M->owner[p];
    return 0;
}

static bool kernel_in(int from, int to)
{
    return shape->kernel_pages && from < shape->kernel_at + shape->kernel_pages && shape->kernel_at < to;
}

static void do_remove(void)
{
    int p = (int)rng_below(&rng, (uint64_t)shape->pages), i = first_in(p, shape->pages);
    if (!i)
        return;
    gpuvm_va va = gpuvm_find(vm, addr(M->map[i].from), (uint64_t)(M->map[i].to - M->map[i].from) * shape->unit);
    same_id(va, i);
    EQ(gpuvm_remove(vm, va), 0);
    EQ(gpuvm_remove(vm, va), -ENOENT);
    drop_map(i);
    forbid_revert();
}

static void do_find(void)
{
    int from = (int)rng_below(&rng, (uint64_t)shape->pages), to = from + 1 + (int)rng_below(&rng, (uint64_t)shape->longest);
    to = to > shape->pages ? shape->pages : to;
    uint64_t range = (uint64_t)(to - from) * shape->unit;
    int i = first_in(from, to);
    gpuvm_va va = gpuvm_find_first(vm, addr(from), range);
    if (kernel_in(from, to))
        CHECK(va, "the reserved range is not seen");
    else
        same_id(va, i);
    EQ(gpuvm_interval_empty(vm, addr(from), range), !i && !kernel_in(from, to));
    same_id(gpuvm_find(vm, addr(from), range), i && M->map[i].from == from && M->map[i].to == to ? i
                                               : kernel_in(from, to) && from == shape->kernel_at &&
                                                       to == shape->kernel_at + shape->kernel_pages
                                                   ? -1
                                                   : 0);
}

static void do_iterate(void)
{
    int from = (int)rng_below(&rng, (uint64_t)shape->pages), to = from + 1 + (int)rng_below(&rng, 4 * (uint64_t)shape->longest);
    to = to > shape->pages ? shape->pages : to;
    bool remove = rng_below(&rng, 10) == 0;
    struct gpuvm_iter it, runs;
    struct gpuvm_mapping m;
    struct gpuvm_run run = {0};
    uint64_t range = (uint64_t)(to - from) * shape->unit;
    gpuvm_iter_init(&it, vm, addr(from), range);
    gpuvm_iter_init(&runs, vm, addr(from), range);
    int i = first_in(from, to);
    while (gpuvm_iter_next(&it, &m)) {
        if (!remove) {
            if (!run.count)
                CHECK(gpuvm_iter_run(&runs, &run), "runs end early");
            CHECK(*run.start == m.addr && *run.end == m.addr + m.range && *run.va == m.va, "run differs");
            run = (struct gpuvm_run){run.start + 1, run.end + 1, run.va + 1, run.count - 1};
        }
        if (m.va == GPUVM_VA_KERNEL)
            continue;
        same_mapping(&m, i);
        int next = first_in(M->map[i].to, to);
        if (remove) {
            EQ(gpuvm_remove(vm, m.va), 0);
            drop_map(i);
            forbid_revert();
        }
        i = next;
    }
    EQ(i, 0);
    EQ(run.count, 0);
    if (!remove)
        EQ(gpuvm_iter_run(&runs, &run), false);
}

/* Callbacks: counts calls, fails at one, checks each op before it is applied. */
static int calls, fail_at;

static int on_step(void *priv, const struct gpuvm_op *op)
{
    (void)priv;
    const struct mop *w = &want[calls];
    CHECK(calls < wants && op->kind == w->kind && op->addr == addr(w->from), "callback %d", calls);
    return calls++ == fail_at ? -EIO : 0;
}

static void do_steps(void)
{
    static const struct gpuvm_steps steps = {on_step, on_step, on_step};
    struct ask a = random_ask();
    bool unmap = a.q.kind == GPUVM_REQ_UNMAP;
    calls = 0;
    fail_at = rng_below(&rng, 2) ? (int)rng_below(&rng, 4) : -1;
    if (a.ok)
        model_ask(&a);
    int rc = unmap ? gpuvm_sm_unmap(vm, a.q.addr, a.q.range, &steps, NULL) : gpuvm_sm_map(vm, &a.q, &steps, NULL);
    if (!a.ok || a.from == a.to) {
        EQ(rc, -EINVAL);
        return;
    }
    bool fails = fail_at >= 0 && fail_at < wants;
    EQ(rc, fails ? -EIO : 0);
    model_apply_all(fails ? fail_at : wants);
    forbid_revert();
}

static void do_bo_unmap(void)
{
    if (lists_used == LISTS || rng_below(&rng, 10))
        return;
    int b = 1 + (int)rng_below(&rng, BOS - 1);
    struct list *l = new_list();
    EQ(gpuvm_bo_unmap_ops(vm, bo_of[b], &l->ops), gpuvm_bo_count(vm, bo_of[b]));
    wants = 0;
    for (size_t i = 0; i < l->ops.count && wants < MAX_OPS; i++)
        emit(GPUVM_OP_UNMAP, M->owner[page(l->ops.op[i].addr)]);
    for (int i = 1; i < wants; i++)
        CHECK(M->map[want[i - 1].map].stamp < M->map[want[i].map].stamp, "link order");
    if ((size_t)wants == l->ops.count && wants) {
        same_ops(l->ops.op, l->ops.count, false);
        EQ(gpuvm_ops_apply(vm, &l->ops), 0);
        model_apply_all(wants);
        EQ(gpuvm_bo_destroy(vm, bo_of[b]), -EBUSY);
        lists_used++;
        return;
    }
    forget(l);
    gpuvm_ops_fini(&l->ops);
}

static void do_prefetch(void)
{
    struct ask a = random_ask();
    struct gpuvm_ops ops;
    if (a.to > shape->pages)
        return;
    gpuvm_ops_init(&ops, NULL);
    int n = gpuvm_prefetch_ops(vm, a.q.addr, a.q.range, &ops);
    wants = 0;
    for (int i = a.from < a.to ? first_in(a.from, a.to) : 0; i; i = first_in(M->map[i].to, a.to))
        emit(GPUVM_OP_PREFETCH, i);
    if (a.from < a.to && !kernel_in(a.from, a.to)) {
        EQ(n, wants);
        same_ops(ops.op, ops.count, false);
    }
    gpuvm_ops_fini(&ops);
}

static void step(void)
{
    switch (rng_below(&rng, 16)) {
    case 0: case 1: case 2: case 3: do_exec(); break;
    case 4: do_list(false); break;
    case 5: do_list(true); break;
    case 6: do_append(); break;
    case 7: do_revert(); break;
    case 8: do_commit(); break;
    case 9: do_insert(); break;
    case 10: do_remove(); break;
    case 11: do_find(); break;
    case 12: do_iterate(); break;
    case 13: do_steps(); break;
    case 14: rng_below(&rng, 2) ? do_bo_unmap() : do_prefetch(); break;
    default: do_batch(); break;
    }
}

static void run(const struct shape *s, long ops)
{
    shape = s;
    memory = (struct test_alloc){.left = -1};
    struct gpuvm_config config = {
        .size = sizeof config,
        .start = s->start,
        .range = (uint64_t)s->pages * s->unit,
        .kernel_start = addr(s->kernel_at),
        .kernel_range = (uint64_t)s->kernel_pages * s->unit,
        .user_size = s->user_size,
        .alloc = test_hooks(&memory),
    };
    M = calloc(1, sizeof *M);
    EQ(gpuvm_create(&config, &vm), 0);
    vm->isa = gpuvm__isa(s->isa);
    for (int i = 1; i < BOS; i++)
        EQ(gpuvm_bo_create(vm, (uint64_t)i, &bo_of[i]), 0);
    for (long i = 0; i < ops; i++) {
        step();
        EQ(gpuvm_count(vm), M->live);
        if (i % s->full_every == 0)
            same_state();
    }
    same_state();
    while (lists_used && lists[lists_used - 1].undoable)
        do_revert();
    same_state();
    while (lists_used)
        do_commit();
    same_state();
    EQ(gpuvm_memory(vm), memory.bytes);
    gpuvm_destroy(vm);
    EQ(memory.out, 0);
    free(M);
    printf("  %-10s %ld operations\n", s->name, ops);
}

int main(void)
{
    static const struct shape shapes[] = {
        {"tiny", 0x10000, 0x1000, 64, 0, 0, 12, 8, 20, ISA_AVX512},
        {"reserved", 0, 0x1000, 1024, 300, 40, 24, 0, 200, ISA_AVX512},
        {"top", UINT64_MAX - 4096, 1, 4096, 17, 1, 30, 24, 500, ISA_AVX2},
        {"dense", 0x100000, 0x10000, 8192, 0, 0, 3, 0, 1500, ISA_PLAIN},
        {"large", 0x4000000000, 0x200000, MAX_PAGES, 100, 1, 4, 8, 4000, ISA_AVX512},
    };
    static const long ops[] = {400000, 300000, 150000, 120000, 60000};
    uint64_t seed = seed_from_environment("gpuvm_random");
    long times = getenv("LONG") ? 10 : 1;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        rng.state = seed + i;
        run(&shapes[i], ops[i] * times);
    }
    for (int i = 0; i < LISTS; i++)
        free(lists[i].before);
    return 0;
}
