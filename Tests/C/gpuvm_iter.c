/*
 * Law: an iterator goes on, whatever was changed since the last call, at the first mapping that ends behind what was
 * the successor's first address when it was asked last; where there was no successor in its range, it is at its end. One
 * by one and by runs, over all of the space or a part of it.
 */
#include "gpuvm_test.h"

enum { UNIT = 16 };

static struct gpuvm *vm;
static gpuvm_bo bo;
static struct rng rng;
static uint64_t units;

/* What a look-up finds from `from` on. */
static bool first_from(uint64_t from, uint64_t end, struct gpuvm_mapping *m)
{
    gpuvm_va va = from < end ? gpuvm_find_first(vm, from, end - from) : GPUVM_VA_NONE;
    if (va != GPUVM_VA_NONE)
        EQ(gpuvm_get(vm, va, m), 0);
    return va != GPUVM_VA_NONE;
}

/* Maps and unmaps around an address, so that leaves are filled, joined and split where the iterator stands. */
static void change(uint64_t near)
{
    for (uint64_t n = rng_below(&rng, 4) ? 0 : 1 + rng_below(&rng, 60); n; n--) {
        uint64_t at = near / UNIT + rng_below(&rng, 120), unit = at < 60 ? 0 : at - 60;
        uint64_t addr = (unit < units ? unit : units - 1) * UNIT, most = units - addr / UNIT;
        uint64_t range = (1 + rng_below(&rng, most < 4 ? most : rng_below(&rng, 8) ? 4 : most < 80 ? most : 80)) * UNIT;
        struct gpuvm_req q = {addr, range, 0, bo, rng_below(&rng, 2) ? GPUVM_REQ_MAP : GPUVM_REQ_UNMAP};
        CHECK(gpuvm_exec(vm, &q, 1, NULL, NULL) >= 0, "refused");
    }
}

/* Asks once, and compares what comes with look-ups. Returns the end of it; 0: that was all. */
static uint64_t step(struct gpuvm_iter *it, bool runs, uint64_t from, uint64_t end)
{
    struct gpuvm_mapping m, expected;
    struct gpuvm_run run = {&m.addr, &expected.addr, &m.va, 1};
    bool more = first_from(from, end, &expected);
    EQ(runs ? gpuvm_iter_run(it, &run) : gpuvm_iter_next(it, &m), more);
    if (!more)
        return 0;
    if (!runs) {
        EQ(m.va, expected.va);
        EQ(m.addr, expected.addr);
        EQ(m.range, expected.range);
        return m.addr + m.range;
    }
    for (size_t i = 0; i < run.count; i++, from = expected.addr + expected.range) {
        EQ(first_from(from, end, &expected), true);
        EQ(run.va[i], expected.va);
        EQ(run.start[i], expected.addr);
        EQ(run.end[i], expected.addr + expected.range);
    }
    CHECK(run.count > 0, "empty run");
    return from;
}

static void walk(bool runs, bool whole)
{
    uint64_t from = whole ? 0 : rng_below(&rng, units * UNIT), end = units * UNIT;
    struct gpuvm_iter it;
    struct gpuvm_mapping successor;
    if (!whole)
        end = from + 1 + rng_below(&rng, rng_below(&rng, 2) ? end - from : 100 * UNIT);
    gpuvm_iter_init(&it, vm, from, whole ? 0 : end - from);
    for (;;) {
        uint64_t after = step(&it, runs, from, end);
        if (!after)
            break;
        bool more = first_from(after, end, &successor);
        from = more ? successor.addr : end;
        change(from);
    }
    EQ(step(&it, runs, end, end), 0); /* and stays there */
}

static void run(uint64_t n, int walks)
{
    struct gpuvm_config config = {.size = sizeof config, .range = n * UNIT};
    units = n;
    EQ(gpuvm_create(&config, &vm), 0);
    EQ(gpuvm_bo_create(vm, 1, &bo), 0);
    for (uint64_t i = 0; i < n; i++)
        if (rng_below(&rng, 4))
            EQ(gpuvm_insert(vm, i * UNIT, UNIT, bo, 0, NULL), 0);
    for (int i = 0; i < walks; i++)
        walk(i & 1, !(i & 6));
    check_space(vm);
    gpuvm_destroy(vm);
}

int main(void)
{
    rng.state = seed_from_environment("gpuvm_iter");
    run(20, 400);
    run(300, 100);
    run(20000, 24);
    return 0;
}
