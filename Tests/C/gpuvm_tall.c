/*
 * Law: a tree of several levels keeps every invariant while it grows in any order, is cut into pieces, shrinks in any
 * order, and while all of it is held by a list and put back. Single-page mappings, so the model is one bit a page.
 */
#include "gpuvm_test.h"

enum { PAGES = 1 << 18, BATCH = 4096 };

static struct test_alloc memory;
static struct gpuvm *vm;
static struct rng rng;
static bool mapped[PAGES];
static uint32_t order[PAGES];

static void shuffle(void)
{
    for (uint32_t i = 0; i < PAGES; i++) {
        uint32_t j = (uint32_t)rng_below(&rng, i + 1u);
        order[i] = order[j];
        order[j] = i;
    }
}

static void same(void)
{
    check_space(vm);
    struct gpuvm_iter it;
    struct gpuvm_run run;
    size_t n = 0, want = 0;
    gpuvm_iter_init(&it, vm, 0, 0);
    for (; gpuvm_iter_run(&it, &run); n += run.count)
        for (size_t i = 0; i < run.count; i++)
            CHECK(mapped[run.start[i]] && run.end[i] == run.start[i] + 1, "page %llu", (unsigned long long)run.start[i]);
    for (size_t i = 0; i < PAGES; i++)
        want += mapped[i];
    EQ(n, want);
    EQ(gpuvm_count(vm), want);
}

static void insert(uint32_t page)
{
    EQ(gpuvm_insert(vm, page, 1, 0, 0, NULL), mapped[page] ? -EEXIST : 0);
    mapped[page] = true;
}

static void remove_page(uint32_t page)
{
    gpuvm_va va = gpuvm_find(vm, page, 1);
    EQ(va != 0, mapped[page]);
    if (va)
        EQ(gpuvm_remove(vm, va), 0);
    mapped[page] = false;
}

/* Ascending, descending and random fills; removal in the other orders. */
static void fill_and_empty(void)
{
    for (int way = 0; way < 3; way++) {
        for (uint32_t i = 0; i < PAGES; i++)
            insert(way == 0 ? i : way == 1 ? PAGES - 1 - i : order[i]);
        same();
        shuffle();
        for (uint32_t i = 0; i < PAGES; i++) {
            if (i == PAGES / 2 || i == PAGES - PAGES / 50)
                same();
            remove_page(way == 0 ? order[i] : way == 1 ? i : PAGES - 1 - i);
        }
        same();
    }
}

/* All in one call: what was reserved for the worst and not used is given back. */
static void one_big_batch(void)
{
    struct gpuvm_req *reqs = malloc(PAGES * sizeof *reqs);
    for (uint32_t i = 0; i < PAGES; i++)
        reqs[i] = (struct gpuvm_req){i, 1, 0, 0, GPUVM_REQ_MAP};
    EQ(gpuvm_exec(vm, reqs, PAGES, NULL, NULL), PAGES);
    memset(mapped, 1, sizeof mapped);
    same();
    CHECK(gpuvm_memory(vm) < 100 * PAGES, "%zu bytes", gpuvm_memory(vm));
    for (uint32_t i = 0; i < PAGES; i++)
        reqs[i].kind = GPUVM_REQ_UNMAP;
    EQ(gpuvm_exec(vm, reqs, PAGES, NULL, NULL), PAGES);
    memset(mapped, 0, sizeof mapped);
    same();
    free(reqs);
}

/* One mapping cut at every second page from random places: each request splits one into two. */
static void cut_up(void)
{
    struct gpuvm_req q = {0, PAGES, 0, 0, GPUVM_REQ_MAP};
    EQ(gpuvm_exec(vm, &q, 1, NULL, NULL), 1);
    shuffle();
    struct gpuvm_req *reqs = malloc(BATCH * sizeof *reqs);
    size_t n = 0;
    for (uint32_t i = 0; i < PAGES; i++) {
        if (!(order[i] & 1))
            continue;
        reqs[n++] = (struct gpuvm_req){order[i], 1, 0, 0, GPUVM_REQ_UNMAP};
        if (n == BATCH) {
            EQ(gpuvm_exec(vm, reqs, n, NULL, NULL), n);
            n = 0;
        }
    }
    free(reqs);
    for (uint32_t i = 0; i < PAGES; i++)
        mapped[i] = !(i & 1);
    same();
}

/* Everything goes into one list and comes back; then random ranges do, several lists deep. */
static void hold_and_put_back(void)
{
    struct gpuvm_ops ops[8];
    struct gpuvm_req all = {0, PAGES, 0, 0, GPUVM_REQ_UNMAP};
    gpuvm_ops_init(&ops[0], NULL);
    size_t count = gpuvm_count(vm);
    EQ(gpuvm_exec(vm, &all, 1, &ops[0], NULL), count);
    EQ(gpuvm_count(vm), 0);
    check_space(vm);
    for (int i = 1; i < 8; i++) {
        gpuvm_ops_init(&ops[i], NULL);
        for (int k = 0; k < 3000; k++) {
            uint64_t at = rng_below(&rng, PAGES);
            struct gpuvm_req q = {at, 1 + rng_below(&rng, k % 100 ? 8 : PAGES - at), 0, 0, (uint32_t)rng_below(&rng, 4) == 0};
            if (q.addr + q.range <= PAGES)
                CHECK(gpuvm_exec(vm, &q, 1, &ops[i], NULL) >= 0, "request at %llu", (unsigned long long)at);
        }
    }
    check_space(vm);
    memory.left = 0;
    for (int i = 7; i >= 0; i--) {
        gpuvm_ops_revert(vm, &ops[i], 0);
        gpuvm_ops_fini(&ops[i]);
        check_space(vm);
    }
    memory.left = -1;
    same();
    gpuvm_ops_init(&ops[0], NULL);
    EQ(gpuvm_exec(vm, &all, 1, &ops[0], NULL), count);
    gpuvm_ops_fini(&ops[0]); /* commits */
    memset(mapped, 0, sizeof mapped);
    same();
}

int main(void)
{
    rng.state = seed_from_environment("gpuvm_tall");
    memory.left = -1;
    struct gpuvm_config config = {.size = sizeof config, .range = PAGES, .alloc = test_hooks(&memory)};
    EQ(gpuvm_create(&config, &vm), 0);
    shuffle();
    one_big_batch();
    fill_and_empty();
    cut_up();
    hold_and_put_back();
    EQ(gpuvm_memory(vm), memory.bytes);
    gpuvm_destroy(vm);
    EQ(memory.out, 0);
    return 0;
}
