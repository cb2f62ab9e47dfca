/*
 * Law: what is asked for many at once is what it is one by one, in spaces of every height, errors and state included:
 * look-ups, lists of ops, removals, requests.
 */
#include "gpuvm_test.h"

enum { MOST = 50, BOS = 5, UNIT = 16 };

static struct gpuvm *vm;
static gpuvm_bo bo[BOS]; /* [0]: none */
static struct rng rng;
static uint64_t units;

static void make_space(uint64_t n)
{
    units = n;
    struct gpuvm_config config = {.size = sizeof config, .start = UNIT, .range = n * UNIT, .kernel_start = n / 2 * UNIT,
                                  .kernel_range = 3 * UNIT};
    EQ(gpuvm_create(&config, &vm), 0);
    for (int i = 1; i < BOS; i++)
        EQ(gpuvm_bo_create(vm, (uint64_t)i, &bo[i]), 0);
}

static uint64_t an_addr(void)
{
    uint64_t how = rng_below(&rng, 40), addr = rng_below(&rng, units) * UNIT;
    return how == 0 ? UINT64_MAX : how == 1 ? rng_next(&rng) : how < 10 ? addr + rng_below(&rng, UNIT) : addr;
}

static uint64_t a_range(void)
{
    uint64_t how = rng_below(&rng, 40);
    return how == 0 ? rng_next(&rng) : how < 5 ? rng_below(&rng, 3 * UNIT) : (1 + rng_below(&rng, 8)) * UNIT;
}

static struct gpuvm_req a_request(void)
{
    struct gpuvm_req q = {an_addr(), a_range(), rng_below(&rng, 100), bo[rng_below(&rng, BOS)], 0};
    uint64_t how = rng_below(&rng, 200);
    q.kind = how == 0 ? 3 : (uint32_t)(how % 3);
    q.bo = how == 1 ? 77 : q.bo;
    return q;
}

static void fill(void)
{
    for (uint64_t i = 0; i < units; i++) {
        struct gpuvm_req q = a_request();
        gpuvm_exec(vm, &q, 1, NULL, NULL);
    }
    check_space(vm);
}

static void look_ups(void)
{
    struct gpuvm_range r[MOST] = {0};
    gpuvm_va exact[MOST], first[MOST];
    size_t n = rng_below(&rng, MOST + 1);
    for (size_t i = 0; i < n; i++) {
        struct gpuvm_mapping m;
        r[i] = (struct gpuvm_range){an_addr(), a_range()};
        if (rng_below(&rng, 2) && !gpuvm_get(vm, gpuvm_find_first(vm, r[i].addr, r[i].range), &m))
            r[i] = (struct gpuvm_range){m.addr, m.range};
    }
    gpuvm_find_many(vm, r, n, exact);
    gpuvm_find_first_many(vm, r, n, first);
    for (size_t i = 0; i < n; i++) {
        EQ(exact[i], gpuvm_find(vm, r[i].addr, r[i].range));
        EQ(first[i], gpuvm_find_first(vm, r[i].addr, r[i].range));
    }
}

static void same_op(const struct gpuvm_op *a, const struct gpuvm_op *b)
{
    EQ(a->kind, b->kind);
    CHECK(a->addr == b->addr && a->range == b->range && a->offset == b->offset, "ops differ");
    CHECK(a->prev_range == b->prev_range && a->next_range == b->next_range && a->keep == b->keep, "pieces differ");
    CHECK(a->bo == b->bo && a->va == b->va && a->prev == b->prev && a->next == b->next, "ids differ");
}

static void op_lists(void)
{
    struct gpuvm_req q[MOST] = {0};
    struct gpuvm_ops many, one;
    size_t n = rng_below(&rng, MOST + 1), ends[MOST], failed = n + 1, from = 0;
    gpuvm_ops_init(&many, NULL);
    gpuvm_ops_init(&one, NULL);
    for (size_t i = 0; i < n; i++)
        q[i] = a_request();
    int rc = gpuvm_sm_ops_many(vm, q, n, &many, ends, &failed);
    for (size_t i = 0; i < n; i++) {
        int single = gpuvm_sm_ops(vm, &q[i], &one);
        if (single < 0) {
            EQ(rc, single);
            EQ(failed, i);
            EQ(many.count, 0);
            break;
        }
        if (rc < 0)
            continue;
        EQ(ends[i] - from, single);
        for (size_t k = 0; k < one.count; k++)
            same_op(&many.op[from + k], &one.op[k]);
        from = ends[i];
    }
    if (rc >= 0)
        EQ(from, rc);
    EQ(gpuvm_sm_ops_many(vm, q, 0, &many, NULL, NULL), 0);
    gpuvm_ops_fini(&many);
    gpuvm_ops_fini(&one);
}

/* The mappings of a pair in their order, and all of the space in its own. */
static uint64_t digest(void)
{
    struct gpuvm_iter it;
    struct gpuvm_mapping m;
    uint64_t hash = gpuvm_count(vm);
    gpuvm_iter_init(&it, vm, 0, 0);
    while (gpuvm_iter_next(&it, &m))
        hash = (hash ^ m.addr ^ m.range << 20 ^ m.offset << 40 ^ m.va ^ (uint64_t)m.seq << 32) * 0x9e3779b97f4a7c15u;
    for (int i = 1; i < BOS; i++)
        for (gpuvm_va va = gpuvm_bo_first(vm, bo[i]); va; va = gpuvm_bo_next(vm, va))
            hash = (hash ^ va) * 0x9e3779b97f4a7c15u + (hash >> 29);
    return hash;
}

static void removals(void)
{
    gpuvm_va va[MOST] = {0};
    size_t n = 0, wrong, failed = MOST, count = gpuvm_count(vm);
    for (size_t i = rng_below(&rng, MOST + 1); i; i--) {
        bool odd = false; /* a few of them, so that some calls succeed */
        va[n] = gpuvm_find_first(vm, an_addr(), a_range());
        for (size_t k = 0; k < n; k++)
            odd |= va[n] == va[k];
        odd |= !va[n] || va[n] == GPUVM_VA_KERNEL;
        n += !odd || !rng_below(&rng, 30);
    }
    for (wrong = 0; wrong < n; wrong++) {
        struct gpuvm_mapping m;
        size_t k = 0;
        while (va[k] != va[wrong])
            k++;
        if (k < wrong || va[wrong] == GPUVM_VA_KERNEL || gpuvm_get(vm, va[wrong], &m))
            break;
    }
    uint64_t before = wrong < n ? digest() : 0;
    int rc = gpuvm_remove_many(vm, va, n, &failed);
    if (wrong == n) {
        EQ(rc, 0);
        EQ(gpuvm_count(vm), count - n);
        struct gpuvm_mapping m;
        for (size_t i = 0; i < n; i++)
            EQ(gpuvm_get(vm, va[i], &m), -ENOENT);
    } else {
        EQ(rc, va[wrong] == GPUVM_VA_KERNEL ? -EPERM : -ENOENT);
        EQ(failed, wrong);
        EQ(digest(), before);
    }
}

/* What is mapped where, in each object's order too; ids and ages left out. */
static uint64_t content(void)
{
    struct gpuvm_iter it;
    struct gpuvm_mapping m;
    uint64_t hash = gpuvm_count(vm);
    gpuvm_iter_init(&it, vm, 0, 0);
    while (gpuvm_iter_next(&it, &m))
        hash = (hash ^ m.addr ^ m.range << 20 ^ m.offset << 40 ^ (uint64_t)m.bo << 32) * 0x9e3779b97f4a7c15u;
    for (int i = 1; i < BOS; i++)
        for (gpuvm_va va = gpuvm_bo_first(vm, bo[i]); va; va = gpuvm_bo_next(vm, va)) {
            EQ(gpuvm_get(vm, va, &m), 0);
            hash = (hash ^ m.addr) * 0x9e3779b97f4a7c15u + (hash >> 29);
        }
    return hash;
}

/* One by one into a list that is undone, then all at once. Many replace mappings of the same bounds, in rows. */
static void requests(void)
{
    struct gpuvm_req q[MOST];
    struct gpuvm_ops ops;
    struct gpuvm_mapping m;
    size_t n = 0, done = 0, failed;
    uint64_t row = an_addr();
    gpuvm_ops_init(&ops, NULL);
    while (n < MOST) {
        q[n] = a_request();
        gpuvm_va va = gpuvm_find_first(vm, row, UNIT * 20);
        if (va && rng_below(&rng, 2)) {
            EQ(gpuvm_get(vm, va, &m), 0);
            q[n].addr = m.addr;
            q[n].range = m.range;
            row = m.addr + m.range;
        }
        bool good = q[n].bo != 77 && q[n].kind <= GPUVM_REQ_MADVISE && q[n].range &&
                    gpuvm_range_valid(vm, q[n].addr, q[n].range);
        n += good || !rng_below(&rng, 1000); /* a few bad ones */
        row = rng_below(&rng, 20) ? row : an_addr();
    }
    uint64_t before = content();
    for (size_t i = 0; i < n; i++) {
        int rc = gpuvm_exec(vm, &q[i], 1, &ops, NULL);
        if (rc < 0)
            break;
        done++;
    }
    uint64_t single = content(), count = ops.count;
    gpuvm_ops_revert(vm, &ops, 0);
    EQ(content(), before);
    int rc = gpuvm_exec(vm, q, n, rng_below(&rng, 2) ? &ops : NULL, &failed);
    if (done == n)
        EQ(rc, count);
    else
        EQ(failed, done);
    EQ(content(), done == n ? single : before);
    if (rng_below(&rng, 2)) {
        gpuvm_ops_revert(vm, &ops, 0);
        EQ(ops.count, 0);
    } else {
        gpuvm_ops_commit(vm, &ops);
    }
    gpuvm_ops_fini(&ops);
}

/* Without a list, wide ranges are taken out together, and all at once where nothing else is there. */
static void wide(void)
{
    struct gpuvm_iter it;
    struct gpuvm_run run;
    uint64_t from = rng_below(&rng, 4) ? 1 + rng_below(&rng, units) : 1, to = units + 1, inside = 0;
    if (from != 1 && rng_below(&rng, 2))
        to = from + 1 + rng_below(&rng, units + 1 - from);
    for (int part = 0; part < 2; part++) { /* in front of the reserved range and behind it */
        uint64_t middle = units / 2, a = part ? middle + 3 : from, b = part ? to : middle;
        a = a < from ? from : a;
        b = b > to ? to : b;
        if (a >= b)
            continue;
        struct gpuvm_req q = {a * UNIT, (b - a) * UNIT, 0, 0, rng_below(&rng, 3) ? GPUVM_REQ_UNMAP : GPUVM_REQ_MAP};
        inside = q.kind == GPUVM_REQ_MAP;
        gpuvm_iter_init(&it, vm, q.addr, q.range);
        while (gpuvm_iter_run(&it, &run))
            inside += run.count;
        EQ(gpuvm_exec(vm, &q, 1, NULL, NULL), inside);
        EQ(gpuvm_interval_empty(vm, q.addr, q.range), q.kind == GPUVM_REQ_UNMAP);
        check_space(vm);
    }
}

static void run(uint64_t n, int rounds, int most)
{
    make_space(n);
    for (int round = 0; round < rounds; round++) {
        fill();
        for (int i = 0; i < 50; i++) {
            look_ups();
            op_lists();
            removals();
            if (i < most)
                requests();
        }
        check_space(vm);
        wide();
    }
    gpuvm_destroy(vm);
}

/* A space that knows more objects than mappings is not cleared at once; a range over all of it empties it all the same. */
static void emptied(uint32_t n, enum gpuvm_req_kind kind, size_t batch)
{
    struct gpuvm_config config = {.size = sizeof config, .range = (n + 2) * UNIT};
    struct gpuvm_req q[2] = {{0, n * UNIT, 0, 0, kind}, {n * UNIT, UNIT, 0, 0, GPUVM_REQ_MAP}};
    gpuvm_bo bo;
    EQ(gpuvm_create(&config, &vm), 0);
    for (uint32_t i = 0; i <= n; i++)
        EQ(gpuvm_bo_create(vm, i, &bo), 0);
    q[0].bo = q[1].bo = bo;
    for (uint32_t i = 0; i < n; i++)
        EQ(gpuvm_insert(vm, i * UNIT, UNIT, bo, 0, NULL), 0);
    EQ(gpuvm_exec(vm, q, batch, NULL, NULL), n + (kind == GPUVM_REQ_MAP) + (batch - 1));
    EQ(gpuvm_count(vm), (kind == GPUVM_REQ_MAP) + (batch - 1));
    check_space(vm);
    gpuvm_destroy(vm);
}

/* How many leaves do not lie behind the one before them. */
static unsigned out_of_order(void)
{
    struct gpuvm_iter it;
    struct gpuvm_run r;
    const uint64_t *before = NULL;
    unsigned n = 0;
    gpuvm_iter_init(&it, vm, 0, 0);
    while (gpuvm_iter_run(&it, &r)) {
        n += (uintptr_t)r.start < (uintptr_t)before;
        before = r.start;
    }
    return n;
}

/* A space that single removals emptied, in any order, takes its leaves in the order of memory again. */
static void emptied_singly(uint32_t n)
{
    struct gpuvm_config config = {.size = sizeof config, .range = n * UNIT};
    gpuvm_bo bo;
    unsigned first = 0;
    EQ(gpuvm_create(&config, &vm), 0);
    EQ(gpuvm_bo_create(vm, 0, &bo), 0);
    for (unsigned round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < n; i++)
            EQ(gpuvm_insert(vm, i * UNIT, UNIT, bo, 0, NULL), 0);
        check_space(vm);
        first = round ? first : out_of_order();
        EQ(out_of_order(), first);
        for (uint32_t i = 0; i < n; i++) /* a prime from one to the next */
            EQ(gpuvm_remove(vm, gpuvm_find(vm, i * UINT64_C(7919) % n * UNIT, UNIT)), 0);
        check_space(vm);
    }
    gpuvm_destroy(vm);
}

int main(void)
{
    for (uint32_t n = 40; n < 10000; n *= 5)
        for (size_t batch = 1; batch <= 2; batch++) {
            emptied(n, GPUVM_REQ_UNMAP, batch);
            emptied(n, GPUVM_REQ_MAP, batch);
        }
    for (uint32_t n = 10; n < 100000; n *= 10)
        emptied_singly(n);
    rng.state = seed_from_environment("gpuvm_many");
    run(40, 100, 50);
    run(2000, 20, 50);
    run(200000, 8, 10);
    return 0;
}
