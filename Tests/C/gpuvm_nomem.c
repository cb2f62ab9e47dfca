/*
 * Law: when an allocation fails, the call says -ENOMEM and the space, its ids, the caller's data and every link
 * order are as before; and undoing an applied list needs no allocation at all. Every allocation of every call is made
 * to fail once, on spaces of many sizes.
 */
#include "gpuvm_test.h"

enum { BOS = 3, UNIT = 0x1000, SIZES = 260 };

static struct test_alloc memory, list_memory;
static struct gpuvm *vm;
static gpuvm_bo bo[BOS];
static struct gpuvm_ops ops;

/* ---- all that can be seen of a space ---- */

struct view {
    struct gpuvm_mapping *m;
    uint64_t *user;
    gpuvm_va *order; /* of all pairs, each closed by 0 */
    size_t count, ordered;
};

static struct view look(void)
{
    size_t n = gpuvm_count(vm) + 1;
    struct view v = {calloc(n, sizeof *v.m), calloc(n, sizeof *v.user), calloc(n + BOS, sizeof *v.order), 0, 0};
    struct gpuvm_iter it;
    gpuvm_iter_init(&it, vm, 0, 0);
    for (; gpuvm_iter_next(&it, &v.m[v.count]); v.count++)
        v.user[v.count] = *(uint64_t *)gpuvm_user(vm, v.m[v.count].va);
    for (int b = 0; b < BOS; b++) {
        for (gpuvm_va va = gpuvm_bo_first(vm, bo[b]); va; va = gpuvm_bo_next(vm, va))
            v.order[v.ordered++] = va;
        v.order[v.ordered++] = 0;
    }
    return v;
}

static void same(const struct view *a, const struct view *b)
{
    EQ(a->count, b->count);
    EQ(a->ordered, b->ordered);
    for (size_t i = 0; i < a->count; i++) {
        const struct gpuvm_mapping *x = &a->m[i], *y = &b->m[i];
        CHECK(x->addr == y->addr && x->range == y->range && x->offset == y->offset && x->bo == y->bo && x->va == y->va &&
                  x->seq == y->seq && a->user[i] == b->user[i],
              "mapping %zu at %llx changed", i, (unsigned long long)x->addr);
    }
    for (size_t i = 0; i < a->ordered; i++)
        EQ(a->order[i], b->order[i]);
}

static void forget(struct view *v)
{
    free(v->m);
    free(v->user);
    free(v->order);
}

/* ---- calls under test: each is made on a space with `size` mappings of two units, two units apart ---- */

static uint64_t at(uint64_t unit)
{
    return unit * UNIT;
}

static int call_insert(int size)
{
    return gpuvm_insert(vm, at(4 * (uint64_t)size), UNIT, bo[0], 0, NULL);
}

static int call_insert_front(int size)
{
    (void)size;
    return gpuvm_insert(vm, at(2), UNIT, bo[0], 0, NULL);
}

static int call_bo(int size)
{
    gpuvm_bo b;
    int rc = 0;
    for (int i = 0; i < size && !rc; i++)
        rc = gpuvm_bo_create(vm, 1, &b);
    return rc;
}

/* A split in the middle of a mapping in the middle. */
static struct gpuvm_req three_way(int size)
{
    return (struct gpuvm_req){at((uint64_t)size / 2 * 4) + UNIT / 2, UNIT, 7 * UNIT, bo[1], GPUVM_REQ_MAP};
}

static int call_exec(int size)
{
    struct gpuvm_req q = three_way(size);
    return gpuvm_exec(vm, &q, 1, NULL, NULL);
}

static int call_exec_list(int size)
{
    struct gpuvm_req q = three_way(size);
    return gpuvm_exec(vm, &q, 1, &ops, NULL);
}

static int call_unmap_all(int size)
{
    struct gpuvm_req q = {at(0) + 1, at(4 * (uint64_t)size + 1), 0, 0, GPUVM_REQ_UNMAP};
    return gpuvm_exec(vm, &q, 1, &ops, NULL);
}

static int call_batch_of(int size, struct gpuvm_ops *list)
{
    enum { N = 24 };
    struct gpuvm_req q[N];
    for (int i = 0; i < N; i++) {
        uint64_t unit = (uint64_t)(i * 7 % (size + 4)) * 4;
        q[i] = (struct gpuvm_req){at(unit) + UNIT / 4, i % 3 ? UNIT : 6 * UNIT, unit, bo[i % BOS],
                                  i % 5 == 4 ? GPUVM_REQ_UNMAP : i % 7 == 6 ? GPUVM_REQ_MADVISE : GPUVM_REQ_MAP};
    }
    return gpuvm_exec(vm, q, N, list, NULL);
}

static int call_batch(int size)
{
    return call_batch_of(size, NULL);
}

static int call_batch_list(int size)
{
    return call_batch_of(size, &ops);
}

static int call_dry_apply(int size)
{
    struct gpuvm_req q = three_way(size);
    int rc = gpuvm_sm_ops(vm, &q, &ops);
    if (rc < 0)
        return rc;
    rc = gpuvm_ops_apply(vm, &ops);
    if (rc)
        EQ(ops.applied != NULL, 0);
    return rc;
}

static int call_bo_unmap(int size)
{
    (void)size;
    int rc = gpuvm_bo_unmap_ops(vm, bo[1], &ops);
    return rc < 0 ? rc : gpuvm_ops_apply(vm, &ops);
}

static int call_prefetch(int size)
{
    return gpuvm_prefetch_ops(vm, 0, at(4 * (uint64_t)size), &ops);
}

static int go_on(void *priv, const struct gpuvm_op *op)
{
    (void)priv;
    (void)op;
    memory.made += 1000; /* seen a callback */
    return 0;
}

static int call_steps(int size)
{
    static const struct gpuvm_steps steps = {go_on, go_on, go_on};
    struct gpuvm_req q = three_way(size);
    memory.made = 0;
    int rc = gpuvm_sm_map(vm, &q, &steps, NULL);
    CHECK(rc == 0 || memory.made < 1000, "failed after a callback");
    return rc;
}

static const struct {
    const char *name;
    int (*call)(int size);
} calls[] = {
    {"insert", call_insert}, {"insert in front", call_insert_front}, {"bo_create", call_bo}, {"exec", call_exec},
    {"exec with a list", call_exec_list}, {"unmap all, list", call_unmap_all}, {"batch", call_batch},
    {"batch with a list", call_batch_list}, {"dry, then apply", call_dry_apply}, {"bo_unmap", call_bo_unmap},
    {"prefetch", call_prefetch}, {"steps", call_steps},
};

static int make(void)
{
    struct gpuvm_config config = {
        .size = sizeof config, .range = at(1 << 20), .kernel_start = at(1 << 19), .kernel_range = UNIT, .user_size = 8,
        .alloc = test_hooks(&memory)};
    return gpuvm_create(&config, &vm);
}

static void fill(int size)
{
    for (int b = 0; b < BOS; b++)
        EQ(gpuvm_bo_create(vm, (uint64_t)b, &bo[b]), 0);
    for (int i = 0; i < size; i++) {
        gpuvm_va va;
        EQ(gpuvm_insert(vm, at(4 * (uint64_t)i), 2 * UNIT, i % 4 == 3 ? 0 : bo[i % 4], 5 * UNIT, &va), 0);
        *(uint64_t *)gpuvm_user(vm, va) = (uint64_t)i;
    }
}

/* Fails allocation `n` of the call; returns whether the call went past it. */
static bool fail_one(int (*call)(int), int size, long n, struct test_alloc *which, long *failures)
{
    memory = (struct test_alloc){.left = -1};
    list_memory = (struct test_alloc){.left = -1};
    struct gpuvm_alloc hooks = test_hooks(&list_memory);
    EQ(make(), 0);
    fill(size);
    gpuvm_ops_init(&ops, &hooks);
    struct view before = look();
    which->left = n;
    int rc = call(size);
    bool back = rc < 0 || ops.applied;
    if (rc < 0) {
        EQ(rc, -ENOMEM);
        ++*failures;
    } else if (ops.applied) { /* went well: then undoing must, with no memory to be had */
        memory.left = list_memory.left = 0;
        check_space(vm);
        gpuvm_ops_revert(vm, &ops, 0);
    }
    memory.left = list_memory.left = -1;
    check_space(vm);
    struct view after = look();
    if (back)
        same(&before, &after);
    forget(&after);
    if (rc < 0)
        CHECK(call(size) >= 0, "does not recover");
    check_space(vm);
    gpuvm_ops_fini(&ops);
    EQ(gpuvm_memory(vm), memory.bytes);
    forget(&before);
    gpuvm_destroy(vm);
    EQ(memory.out, 0);
    EQ(list_memory.out, 0);
    return rc >= 0;
}

int main(void)
{
    for (long n = 0;; n++) { /* create */
        memory = (struct test_alloc){.left = n};
        int rc = make();
        if (!rc) {
            CHECK(n > 2, "create allocates only %ld times", n);
            gpuvm_destroy(vm);
            EQ(memory.out, 0);
            break;
        }
        EQ(rc, -ENOMEM);
        EQ(memory.out, 0);
    }
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
        long failures = 0;
        for (int size = 0; size < SIZES; size++) {
            for (long n = 0; !fail_one(calls[c].call, size, n, &memory, &failures); n++)
                ;
            for (long n = 0; !fail_one(calls[c].call, size, n, &list_memory, &failures); n++)
                ;
        }
        printf("  %-18s %ld failures\n", calls[c].name, failures);
        CHECK(failures, "%s never failed: nothing was tested", calls[c].name);
    }
    return 0;
}
