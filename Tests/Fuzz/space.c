/*
 * The input is a stream of calls on one VA space, with memory running out. Laws: the space is sound after any calls;
 * a call that fails changes nothing; revert restores mappings and the order of every pair's list; iteration and
 * runs see the same mappings; destroying frees everything.
 */
#include "../C/gpuvm_test.h"
#include "input.h"

#define OPS   400
#define PAIRS 4
#define REQS  8
#define MANY  20 /* more than are looked up side by side */

struct test {
    struct input in;
    struct test_alloc memory;
    struct gpuvm *vm;
    gpuvm_bo bo[PAIRS];
    struct gpuvm_ops held; /* applied, to be committed at some later time */
};

/* ---- pictures of the space ----------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t v)
{
    hash = (hash ^ v) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static uint64_t digest(const struct test *t)
{
    struct gpuvm_mapping m;
    struct gpuvm_iter it;
    uint64_t hash = 1;

    gpuvm_iter_init(&it, t->vm, 0, 0);
    while (gpuvm_iter_next(&it, &m)) {
        hash = mix(mix(mix(hash, m.addr), m.range), m.offset);
        hash = mix(mix(mix(hash, m.bo), m.va), *(uint32_t *)gpuvm_user(t->vm, m.va));
    }
    for (unsigned i = 0; i < PAIRS; i++)
        for (gpuvm_va va = gpuvm_bo_first(t->vm, t->bo[i]); va; va = gpuvm_bo_next(t->vm, va))
            hash = mix(hash, va);
    return hash;
}

static void check_iteration(const struct test *t, uint64_t addr, uint64_t range)
{
    struct gpuvm_iter a, b;
    struct gpuvm_mapping m;
    struct gpuvm_run run;

    gpuvm_iter_init(&a, t->vm, addr, range);
    gpuvm_iter_init(&b, t->vm, addr, range);
    while (gpuvm_iter_run(&b, &run)) {
        for (size_t i = 0; i < run.count; i++) {
            CHECK(gpuvm_iter_next(&a, &m), "runs go on after the iteration");
            CHECK(m.addr == run.start[i] && m.addr + m.range == run.end[i] && m.va == run.va[i], "runs differ");
        }
    }
    CHECK(!gpuvm_iter_next(&a, &m), "iteration goes on after the runs");
}

/* ---- arguments ----------------------------------------------------------------------------------------------- */

static uint64_t take_addr(struct test *t)
{
    uint64_t how = byte(&t->in);

    return how == 0xff ? take(&t->in, 8) : how << (how & 1 ? 2 : 4) | (how & 8 ? choose(&t->in, 16) : 0);
}

static uint64_t take_range(struct test *t)
{
    uint64_t how = byte(&t->in);

    return how == 0xff ? take(&t->in, 8) : how & 1 ? how >> 1 : how << 3;
}

static gpuvm_bo take_bo(struct test *t)
{
    unsigned i = choose(&t->in, PAIRS + 2);

    return i < PAIRS ? t->bo[i] : i == PAIRS ? GPUVM_BO_NONE : (gpuvm_bo)byte(&t->in);
}

static struct gpuvm_req take_req(struct test *t)
{
    static const uint32_t kinds[8] = {GPUVM_REQ_MAP, GPUVM_REQ_MAP, GPUVM_REQ_MAP, GPUVM_REQ_UNMAP, GPUVM_REQ_UNMAP,
                                      GPUVM_REQ_MADVISE, GPUVM_REQ_MADVISE, 3};
    struct gpuvm_req r = {.addr = take_addr(t), .range = take_range(t)};
    unsigned how = byte(&t->in);

    r.bo = take_bo(t);
    r.offset = how & 128 ? r.addr : how;
    r.kind = kinds[how & (how & 64 ? 7 : 3)];
    return r;
}

/* ---- the calls ------------------------------------------------------------------------------------------------- */

static int do_exec(struct test *t, struct gpuvm_ops *ops)
{
    struct gpuvm_req reqs[REQS];
    size_t n = 1 + choose(&t->in, REQS), failed = 0;
    int ret;

    for (size_t i = 0; i < n; i++)
        reqs[i] = take_req(t);
    ret = gpuvm_exec(t->vm, reqs, n, ops, &failed);
    CHECK(ret >= 0 || failed < n, "failed request %zu of %zu", failed, n);
    return ret;
}

/* Lists over each other, reverted from anywhere, youngest first, or committed. */
static void do_transaction(struct test *t)
{
    const struct gpuvm_alloc hooks = test_hooks(&t->memory);
    uint64_t before = digest(t), between;
    unsigned how = byte(&t->in);
    struct gpuvm_ops a, b;
    size_t from;

    gpuvm_ops_init(&a, &hooks);
    gpuvm_ops_init(&b, &hooks);
    do_exec(t, &a);
    from = a.count;
    between = digest(t);
    do_exec(t, &a);
    if (how & 1)
        do_exec(t, &b);
    if (how & 2) {
        gpuvm_ops_revert(t->vm, &b, 0);
        gpuvm_ops_revert(t->vm, &a, from);
        CHECK(digest(t) == between, "revert of a part");
        check_space(t->vm);
    }
    if ((how & 6) == 6) {
        gpuvm_ops_revert(t->vm, &a, 0);
        CHECK(digest(t) == before, "revert");
    }
    if (how & 8)
        gpuvm_ops_commit(t->vm, &a);
    gpuvm_ops_fini(&a);
    gpuvm_ops_fini(&b);
}

/* What exec does is what asking and applying does. */
static int do_ask(struct test *t)
{
    const struct gpuvm_alloc hooks = test_hooks(&t->memory);
    struct gpuvm_req r = take_req(t);
    unsigned how = byte(&t->in);
    uint64_t before = digest(t);
    struct gpuvm_ops ops;
    int ret;

    gpuvm_ops_init(&ops, &hooks);
    ret = how & 1 ? gpuvm_prefetch_ops(t->vm, r.addr, r.range, &ops)
          : how & 2 ? gpuvm_bo_unmap_ops(t->vm, r.bo, &ops)
                    : gpuvm_sm_ops(t->vm, &r, &ops);
    CHECK(digest(t) == before, "asking changes nothing");
    if (ret >= 0 && how & 4)
        ret = gpuvm_ops_apply(t->vm, &ops);
    if (ret < 0 || how & 8) {
        gpuvm_ops_revert(t->vm, &ops, 0);
        CHECK(digest(t) == before, "revert");
    }
    gpuvm_ops_fini(&ops);
    return ret;
}

static int step(void *priv, const struct gpuvm_op *op)
{
    unsigned *left = priv;

    (void)op;
    return *left && !--*left ? 7 : 0;
}

static void do_steps(struct test *t)
{
    static const struct gpuvm_steps steps = {step, step, step};
    struct gpuvm_req r = take_req(t);
    unsigned left = choose(&t->in, 8);

    if (r.kind == GPUVM_REQ_UNMAP)
        gpuvm_sm_unmap(t->vm, r.addr, r.range, &steps, &left);
    else
        gpuvm_sm_map(t->vm, &r, &steps, &left);
}

static int do_insert(struct test *t)
{
    struct gpuvm_req r = take_req(t);
    gpuvm_va va;
    int ret = gpuvm_insert(t->vm, r.addr, r.range, r.bo, r.offset, &va);

    if (!ret)
        *(uint32_t *)gpuvm_user(t->vm, va) = byte(&t->in);
    return ret;
}

static int do_remove(struct test *t)
{
    uint64_t addr = take_addr(t);

    return gpuvm_remove(t->vm, byte(&t->in) & 15 ? gpuvm_find_first(t->vm, addr, 64) : (gpuvm_va)take(&t->in, 4));
}

/* Mappings go while they are visited. */
static void do_iterate(struct test *t)
{
    uint64_t addr = take_addr(t), range = take_range(t);
    struct gpuvm_mapping m;
    struct gpuvm_iter it;

    check_iteration(t, addr, range);
    gpuvm_find_prev(t->vm, addr);
    gpuvm_find_next(t->vm, addr);
    gpuvm_find(t->vm, addr, range);
    gpuvm_iter_init(&it, t->vm, addr, range);
    while (gpuvm_iter_next(&it, &m))
        if (m.va != GPUVM_VA_KERNEL && byte(&t->in) & 1)
            EQ(gpuvm_remove(t->vm, m.va), 0);
}

static int do_pair(struct test *t)
{
    unsigned i = choose(&t->in, PAIRS);
    int ret = t->bo[i] ? gpuvm_bo_destroy(t->vm, t->bo[i]) : gpuvm_bo_create(t->vm, i, &t->bo[i]);

    if (!ret && gpuvm_bo_cookie(t->vm, t->bo[i]) != i)
        t->bo[i] = GPUVM_BO_NONE;
    if (!ret && i == 0 && gpuvm_bo_destroy(t->vm, t->bo[i]) == 0)
        t->bo[i] = GPUVM_BO_NONE;
    return ret;
}

/* Many look-ups are as those one by one; what they find is removed, all or nothing. */
static int do_many(struct test *t)
{
    struct gpuvm_range r[MANY] = {0};
    gpuvm_va exact[MANY], first[MANY];
    size_t n = choose(&t->in, MANY + 1), failed = n;
    int ret;

    for (size_t i = 0; i < n; i++)
        r[i] = (struct gpuvm_range){take_addr(t), take_range(t)};
    gpuvm_find_many(t->vm, r, n, exact);
    gpuvm_find_first_many(t->vm, r, n, first);
    for (size_t i = 0; i < n; i++) {
        EQ(exact[i], gpuvm_find(t->vm, r[i].addr, r[i].range));
        EQ(first[i], gpuvm_find_first(t->vm, r[i].addr, r[i].range));
    }
    ret = gpuvm_remove_many(t->vm, first, n, &failed);
    CHECK(!ret || failed < n, "failed removal %zu of %zu", failed, n);
    return ret;
}

/* 0, or the result of a call that must have changed nothing when it failed. */
static int do_something(struct test *t, unsigned what)
{
    switch (what) {
    case 0:
    case 1:
        return do_insert(t);
    case 2:
        return do_remove(t);
    case 3:
    case 4:
        return do_exec(t, NULL);
    case 5:
        return do_exec(t, &t->held);
    case 6:
        gpuvm_ops_commit(t->vm, &t->held);
        return 0;
    case 7:
        return do_ask(t);
    case 8:
        do_transaction(t);
        return 0;
    case 9:
        do_steps(t);
        return 0;
    case 10:
        do_iterate(t);
        return 0;
    case 11:
        return do_pair(t);
    case 12:
        return do_many(t);
    default:
        t->memory.left = choose(&t->in, 16) - 1; /* until memory is there again */
        return 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct test t = {.in = {data, size}, .memory = {.left = -1}};
    const struct gpuvm_alloc hooks = test_hooks(&t.memory);
    struct gpuvm_config config = {.size = sizeof(config), .range = 1 << 13, .user_size = 8, .alloc = hooks};
    unsigned how = byte(&t.in);

    if (how & 1)
        config.range = ~0ull - (how & 2 ? 0 : 1ull << 20);
    if (how & 4)
        config.kernel_start = take_addr(&t), config.kernel_range = take_range(&t);
    if (gpuvm_create(&config, &t.vm))
        return 0;
    gpuvm_ops_init(&t.held, &hooks);
    for (unsigned n = 0; n < OPS && t.in.left; n++) {
        unsigned what = byte(&t.in);
        uint64_t before = what & 128 ? digest(&t) : 0;

        if (do_something(&t, (what & 63) % 14) < 0 && what & 128)
            CHECK(digest(&t) == before, "call %u failed and changed something", what & 63);
        if (what & 64)
            check_space(t.vm);
    }
    check_space(t.vm);
    check_iteration(&t, 0, 0);
    gpuvm_ops_fini(&t.held);
    check_space(t.vm);
    gpuvm_destroy(t.vm);
    EQ(t.memory.out, 0);
    EQ(t.memory.bytes, 0);
    return 0;
}
