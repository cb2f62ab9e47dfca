/*
 * The VA space's workloads of spec/performance.md section 1, with N mappings live.
 *
 *     va [N [ROUNDS]]       default: 1000, 100000 and 1000000
 *
 * Random rows run on a space filled in random order, ascending ones on one filled in ascending order; mappings are
 * linked to 64 objects in turn. The limit is a dependent load at random places of as much memory as the space of a
 * random fill holds: no look-up at a random place can be faster than one such load.
 */
#include "harness.h"

#include <gpuvm/gpuvm.h>

enum { BOS = 64, BATCH = 256, SMALL_BATCH = 16, SPLITS_MOST = 200000, ITERATE_LEAST = 1 << 20 };

#define UNIT UINT64_C(0x10000) /* a mapping has 4 units, packed */
#define LENGTH (4 * UNIT)

struct bench {
    size_t n, splits;
    uint32_t *order;
    struct gpuvm *full; /* random fill, only read */
    struct gpuvm *vm;   /* filled and emptied */
    gpuvm_bo bo[BOS];
    struct gpuvm_req *reqs;
    struct bench_chase chase;
    uint64_t seed;
};

static void must(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "va: call failed: %d\n", rc);
        exit(1);
    }
}

static struct gpuvm *space(struct bench *b)
{
    struct gpuvm_config config = {.size = sizeof config, .range = UINT64_C(1) << 48,
                                  .alloc = {.alloc = bench_alloc, .free = bench_free}};
    struct gpuvm *vm;
    must(gpuvm_create(&config, &vm));
    for (int i = 0; i < BOS; i++)
        must(gpuvm_bo_create(vm, (uint64_t)i, &b->bo[i]));
    return vm;
}

static uint64_t addr(size_t i)
{
    return (uint64_t)i * LENGTH;
}

/* Repeats a run so that small spaces are timed long enough. */
static size_t times(const struct bench *b)
{
    return b->n >= 100000 ? 1 : 100000 / b->n;
}

static void insert_all(struct bench *b, struct gpuvm *vm, const uint32_t *order)
{
    for (size_t i = 0; i < b->n; i++) {
        size_t at = order ? order[i] : i;
        must(gpuvm_insert(vm, addr(at), LENGTH, b->bo[i % BOS], addr(at), NULL));
    }
}

static void empty(struct bench *b, struct gpuvm *vm)
{
    struct gpuvm_req q = {.addr = 0, .range = addr(b->n), .kind = GPUVM_REQ_UNMAP};
    must(gpuvm_exec(vm, &q, 1, NULL, NULL));
}

static double inserts(struct bench *b, const uint32_t *order)
{
    double sum = 0;
    for (size_t r = 0; r < times(b); r++) {
        double t = bench_now();
        insert_all(b, b->vm, order);
        sum += bench_now() - t;
        empty(b, b->vm);
    }
    return sum / (double)(times(b) * b->n);
}

static double insert_ascending(void *c)
{
    return inserts(c, NULL);
}

static double insert_random(void *c)
{
    struct bench *b = c;
    return inserts(b, b->order);
}

static double removes(struct bench *b, const uint32_t *order)
{
    double sum = 0;
    for (size_t r = 0; r < times(b); r++) {
        insert_all(b, b->vm, order ? b->order : NULL);
        double t = bench_now();
        for (size_t i = 0; i < b->n; i++)
            must(gpuvm_remove(b->vm, gpuvm_find(b->vm, addr(order ? order[i] : i), LENGTH)));
        sum += bench_now() - t;
    }
    return sum / (double)(times(b) * b->n);
}

static double remove_random(void *c)
{
    struct bench *b = c;
    uint32_t *order = bench_shuffled(b->n, 99);
    double ns = removes(b, order);
    free(order);
    return ns;
}

static double remove_in_order(void *c)
{
    return removes(c, NULL);
}

static double find_exact(void *c)
{
    struct bench *b = c;
    double t = bench_now();
    for (size_t r = 0; r < times(b); r++)
        for (size_t i = 0; i < b->n; i++)
            if (!gpuvm_find(b->full, addr(b->order[i]), LENGTH))
                abort();
    return (bench_now() - t) / (double)(times(b) * b->n);
}

static double find_first(void *c)
{
    struct bench *b = c;
    double t = bench_now();
    for (size_t r = 0; r < times(b); r++)
        for (size_t i = 0; i < b->n; i++)
            if (!gpuvm_find_first(b->full, addr(b->order[i]) + UNIT, 3 * LENGTH))
                abort();
    return (bench_now() - t) / (double)(times(b) * b->n);
}

static double iterate(void *c)
{
    struct bench *b = c;
    size_t rounds = ITERATE_LEAST / b->n + 1;
    uint64_t sum = 0;
    double t = bench_now();
    for (size_t r = 0; r < rounds; r++) {
        struct gpuvm_iter it;
        struct gpuvm_run run;
        gpuvm_iter_init(&it, b->full, 0, 0);
        while (gpuvm_iter_run(&it, &run))
            for (size_t i = 0; i < run.count; i++)
                sum += run.end[i] - run.start[i] + run.va[i];
    }
    t = bench_now() - t;
    if (!sum)
        abort();
    return t / (double)(rounds * b->n);
}

static double iterate_records(void *c)
{
    struct bench *b = c;
    size_t rounds = ITERATE_LEAST / b->n + 1;
    uint64_t sum = 0;
    double t = bench_now();
    for (size_t r = 0; r < rounds; r++) {
        struct gpuvm_iter it;
        struct gpuvm_mapping m;
        gpuvm_iter_init(&it, b->full, 0, 0);
        while (gpuvm_iter_next(&it, &m))
            sum += m.offset;
    }
    t = bench_now() - t;
    return sum ? t / (double)(rounds * b->n) : 0;
}

/* Maps two units in the middle of existing mappings: remap with both pieces, then map. */
static double split(struct bench *b, const uint32_t *order, size_t batch)
{
    double sum = 0;
    size_t rounds = times(b);
    for (size_t r = 0; r < rounds; r++) {
        insert_all(b, b->vm, order);
        for (size_t i = 0; i < b->splits; i++)
            b->reqs[i] = (struct gpuvm_req){addr(order ? order[i] : i) + UNIT, 2 * UNIT, 0, b->bo[i % BOS], GPUVM_REQ_MAP};
        double t = bench_now();
        for (size_t i = 0; i < b->splits; i += batch)
            must(gpuvm_exec(b->vm, b->reqs + i, b->splits - i < batch ? b->splits - i : batch, NULL, NULL));
        sum += bench_now() - t;
        empty(b, b->vm);
    }
    return sum / (double)(rounds * b->splits);
}

static double split_ascending(void *c)
{
    return split(c, NULL, 1);
}

static double split_random(void *c)
{
    struct bench *b = c;
    return split(b, b->order, 1);
}

static double split_random_batch(void *c)
{
    struct bench *b = c;
    return split(b, b->order, SMALL_BATCH);
}

/* Asks for the ops of such a split and empties the list. */
static double op_list(void *c)
{
    struct bench *b = c;
    struct gpuvm_ops ops;
    gpuvm_ops_init(&ops, NULL);
    double t = bench_now();
    for (size_t r = 0; r < times(b); r++) {
        for (size_t i = 0; i < b->n; i++) {
            struct gpuvm_req q = {addr(b->order[i]) + UNIT, 2 * UNIT, 0, b->bo[0], GPUVM_REQ_MAP};
            must(gpuvm_sm_ops(b->full, &q, &ops));
            gpuvm_ops_commit(b->full, &ops);
        }
    }
    t = bench_now() - t;
    gpuvm_ops_fini(&ops);
    return t / (double)(times(b) * b->n);
}

/* Maps a random range of 1 to 8 mappings' length over a packed space. */
static double ranges(struct bench *b, size_t batch, bool list)
{
    double sum = 0;
    size_t rounds = times(b);
    struct gpuvm_ops ops;
    gpuvm_ops_init(&ops, NULL);
    for (size_t r = 0; r < rounds; r++) {
        insert_all(b, b->vm, b->order);
        for (size_t i = 0; i < b->splits; i++) {
            uint64_t at = bench_random(&b->seed) % (4 * (uint64_t)b->n - 32), units = 1 + bench_random(&b->seed) % 32;
            b->reqs[i] = (struct gpuvm_req){at * UNIT, units * UNIT, 0, b->bo[i % BOS], GPUVM_REQ_MAP};
        }
        double t = bench_now();
        for (size_t i = 0; i < b->splits; i += batch) {
            must(gpuvm_exec(b->vm, b->reqs + i, b->splits - i < batch ? b->splits - i : batch, list ? &ops : NULL, NULL));
            if (list)
                gpuvm_ops_commit(b->vm, &ops);
        }
        sum += bench_now() - t;
        empty(b, b->vm);
    }
    gpuvm_ops_fini(&ops);
    return sum / (double)(rounds * b->splits);
}

static double random_ranges(void *c)
{
    return ranges(c, 1, false);
}

static double random_ranges_list(void *c)
{
    return ranges(c, 1, true);
}

static double random_ranges_batch(void *c)
{
    return ranges(c, SMALL_BATCH, false);
}

/* As a bind call has them: arrays of requests. */
static double binds(struct bench *b, const uint32_t *order, size_t batch)
{
    double sum = 0;
    for (size_t r = 0; r < times(b); r++) {
        for (size_t i = 0; i < b->n; i++)
            b->reqs[i] = (struct gpuvm_req){addr(order ? order[i] : i), LENGTH, 0, b->bo[i % BOS], GPUVM_REQ_MAP};
        double t = bench_now();
        for (size_t i = 0; i < b->n; i += batch)
            must(gpuvm_exec(b->vm, b->reqs + i, b->n - i < batch ? b->n - i : batch, NULL, NULL));
        sum += bench_now() - t;
        empty(b, b->vm);
    }
    return sum / (double)(times(b) * b->n);
}

static double bind_sequential(void *c)
{
    return binds(c, NULL, BATCH);
}

static double bind_random_batch(void *c)
{
    struct bench *b = c;
    return binds(b, b->order, SMALL_BATCH);
}

static double unmap_big(void *c)
{
    struct bench *b = c;
    double sum = 0;
    for (size_t r = 0; r < times(b); r++) {
        insert_all(b, b->vm, NULL);
        double t = bench_now();
        empty(b, b->vm);
        sum += bench_now() - t;
    }
    return sum / (double)(times(b) * b->n);
}

static double limit(void *c)
{
    struct bench *b = c;
    return bench_chase_run(&b->chase, 1000000);
}

static const struct bench_row rows[] = {
    {"limit: dependent load", limit},
    {"insert, ascending", insert_ascending},
    {"insert, random", insert_random},
    {"find + remove, random", remove_random},
    {"find exact, random", find_exact},
    {"find first in range, random", find_first},
    {"iterate, per mapping", iterate},
    {"iterate with records, per mapping", iterate_records},
    {"split/merge map, ascending", split_ascending},
    {"split/merge map, random", split_random},
    {"op list create + free, random", op_list},
    {"random ranges", random_ranges},
    {"random ranges, list + commit", random_ranges_list},
    {"bind N sequential ranges", bind_sequential},
    {"unmap one big range, per mapping", unmap_big},
    {"find + remove, in order", remove_in_order},
    {"insert, random, batches of 16", bind_random_batch},
    {"split/merge, random, batches of 16", split_random_batch},
    {"random ranges, batches of 16", random_ranges_batch},
};

enum { ROWS = sizeof rows / sizeof *rows };

static void run(size_t n, int rounds)
{
    struct bench b = {.n = n, .splits = n < SPLITS_MOST ? n : SPLITS_MOST, .seed = 1};
    b.order = bench_shuffled(n, 5);
    b.reqs = malloc(n * sizeof *b.reqs);
    b.vm = space(&b);
    b.full = space(&b);
    insert_all(&b, b.full, b.order);
    size_t bytes = gpuvm_memory(b.full);
    b.chase = bench_chase_make(bytes);
    double median[ROWS];
    bench_rounds(rows, ROWS, rounds, &b, median);
    printf("\nN = %zu, %d rounds, %.1f bytes a mapping (random fill)\n", n, rounds, (double)bytes / (double)n);
    for (size_t i = 0; i < ROWS; i++)
        printf("  %-36s %8.1f ns  %6.1f x limit\n", rows[i].name, median[i], median[i] / median[0]);
    gpuvm_destroy(b.vm);
    gpuvm_destroy(b.full);
    free(b.chase.ring);
    free(b.reqs);
    free(b.order);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {1000, 100000, 1000000};
    int rounds = argc > 2 ? atoi(argv[2]) : 5;
    if (argc > 1) {
        run(strtoull(argv[1], NULL, 0), rounds);
        return 0;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        run(sizes[i], rounds);
    return 0;
}
