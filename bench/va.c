/*
 * The VA space beside the kernel's own and beside what people would use instead (spec/performance.md section 1), with
 * N mappings live.
 *
 *     va [N [ROUNDS [ROW]]]     default: 1,000 to 4 million; QUICK=1: 1,000 and 100,000, fewer rounds;
 *                               ROW: only the rows that have it in their name
 *
 * All peers run a workload in turns in each round, and the first round, which is not timed, must give the same checksum
 * with all of them: what was found, and each mapping that is left. Under each table stands what memory alone takes for
 * visits at random places, in as much of it as our space of a random fill holds.
 */
#include "report.h"
#include "va.h"
#include "visits.h"

static const struct va_peer *const peers[] = {
    &va_ours, &va_kernel, &va_std_map, &va_absl_btree, &va_llvm_interval_map, &va_bsd_tree, &va_sorted_array,
};
enum { OURS, KERNEL, PEERS = sizeof peers / sizeof *peers, FULL = 1000000 /* beyond, only these two */ };
static const char *const missing[PEERS] = {
    [KERNEL] = "the kernel (no linux-source package to be had)", [2] = "std::map (no C++ compiler)",
    [3] = "absl::btree_map (libabsl-dev)", [4] = "llvm::IntervalMap (llvm-dev)", [5] = "bsd/sys/tree.h (libbsd-dev)",
};

static const struct {
    const char *name;
    double target[3]; /* times faster than the kernel at 1k, 100k, 1M; 0: none */
} rows[VA_ROWS] = {
    [VA_INSERT_ASCENDING] = {"insert, ascending", {4, 6, 6}},
    [VA_INSERT_RANDOM] = {"insert, random", {3.5, 7, 8}},
    [VA_REMOVE_RANDOM] = {"find + remove, random", {2.5, 5, 4}},
    [VA_FIND] = {"find exact, random", {6, 7, 5}},
    [VA_FIND_FIRST] = {"find first in range, random", {3, 7, 6}},
    [VA_ITERATE] = {"iterate, per mapping", {12, 20, 27}},
    [VA_SPLIT_ASCENDING] = {"split/merge map, ascending", {3.5, 6, 4}},
    [VA_SPLIT_RANDOM] = {"split/merge map, random", {6, 8, 5}},
    [VA_OP_LIST] = {"op list create + free, random", {4, 7, 5}},
    [VA_RANGES] = {"random ranges", {4, 7, 5}},
    [VA_RANGES_LIST] = {"random ranges, list made and applied", {0}},
    [VA_BIND] = {"bind N sequential ranges", {4, 9, 13}},
    [VA_UNMAP] = {"unmap one big range, per mapping", {4, 9, 8}},
    [VA_REMOVE_IN_ORDER] = {"find + remove, in order", {2, 2, 2}},
    [VA_INSERT_BATCH] = {"insert, random, batches of 16", {0, 0, 8}},
    [VA_SPLIT_BATCH] = {"split/merge, random, batches of 16", {0, 0, 10}},
    [VA_RANGES_BATCH] = {"random ranges, batches of 16", {0, 0, 7}},
    [VA_FIND_BATCH] = {"find exact, random, batches of 16", {0, 0, 10}},
    [VA_FIND_FIRST_BATCH] = {"find first, random, batches of 16", {0, 0, 9}},
    [VA_REMOVE_BATCH] = {"find + remove, random, batches of 16", {0, 0, 7.5}},
    [VA_OP_LIST_BATCH] = {"op list, random, batches of 16", {0, 0, 13}},
};

static const char *wanted = ""; /* in the name of the rows to run */

static bool runs(const struct va_peer *peer, int row)
{
    return peer->run[row] && strstr(rows[row].name, wanted);
}

struct table {
    double ns[PEERS][VA_ROWS][BENCH_ROUNDS_MOST];
    uint64_t checksum[PEERS][VA_ROWS];
};

static double target(size_t n, enum va_row row)
{
    return n == 1000 ? rows[row].target[0] : n == 100000 ? rows[row].target[1] : n == 1000000 ? rows[row].target[2] : 0;
}

/* Runs all peers; round 0 is for the checksums and warms up. */
static void run_rounds(struct va_bench *b, struct va_spaces *const *spaces, int rounds, struct table *t)
{
    char group[40];

    snprintf(group, sizeof group, "VA space, N = %zu", b->n);
    for (int round = 0; round <= rounds; round++)
        for (int row = 0; row < VA_ROWS; row++)
            for (int p = 0; p < PEERS; p++) {
                if (!spaces[p] || !runs(peers[p], row))
                    continue;
                bench_progress(group, round, rounds, rows[row].name);
                b->check = round == 0;
                b->checksum = 0;
                double ns = peers[p]->run[row](b, spaces[p]);
                bench_counted(rows[row].name, peers[p]->name, b->ops);
                if (round == 0)
                    t->checksum[p][row] = b->checksum;
                else
                    t->ns[p][row][round - 1] = ns;
            }
}

/* The number of rows in which a peer's checksum differs from ours. */
static int differences(struct va_spaces *const *spaces, const struct table *t)
{
    int n = 0;

    for (int row = 0; row < VA_ROWS; row++)
        for (int p = 1; p < PEERS; p++)
            if (spaces[p] && runs(peers[p], row) && t->checksum[p][row] != t->checksum[OURS][row]) {
                printf("  DIFFERENT CHECKSUM: %s, %s\n", rows[row].name, peers[p]->name);
                n++;
            }
    return n;
}

static void print_row(size_t n, enum va_row row, struct va_spaces *const *spaces, struct table *t, int rounds)
{
    struct bench_row_result r = {.name = rows[row].name, .target = target(n, row)};
    double ratio[BENCH_ROUNDS_MOST];
    char group[40];

    for (int i = 0; spaces[KERNEL] && i < rounds; i++)
        ratio[i] = t->ns[KERNEL][row][i] / t->ns[OURS][row][i];
    if (spaces[KERNEL]) {
        r.spread = bench_spread(ratio, rounds);
        r.ratio = bench_median(ratio, rounds);
        r.kernel = bench_median(t->ns[KERNEL][row], rounds);
    } else {
        r.spread = bench_spread(t->ns[OURS][row], rounds);
    }
    r.ours = bench_median(t->ns[OURS][row], rounds);
    for (int p = KERNEL + 1; p < PEERS; p++) {
        double ns = spaces[p] && peers[p]->run[row] ? bench_median(t->ns[p][row], rounds) : 0;

        if (ns > 0 && (r.best == 0 || ns < r.best)) {
            r.best = ns;
            r.best_name = peers[p]->name;
        }
    }
    snprintf(group, sizeof group, "VA space, N = %zu", n);
    bench_table_row(group, &r);
}

/* What a space of so many bytes cannot be faster than at random places: a leaf is 11 lines, 5 of which are searched. */
static void print_limits(size_t bytes)
{
    static const struct bench_visit visits[] = {
        {1, false, 1}, {5, false, 1}, {11, true, 1}, {5, false, VISIT_SIDE_MOST}, {11, true, VISIT_SIDE_MOST}};
    size_t align = (size_t)2 << 20;
    uint64_t *memory = bench_alloc(NULL, bytes, bytes < align ? 64 : align);
    double ns[5];

    memset(memory, 0, bytes);
    for (int i = 0; i < 5; i++)
        ns[i] = bench_visits(memory, bytes, visits[i], 1 << 20);
    printf("  memory alone, ns: a load %.1f, 5 lines %.1f, 11 lines changed %.1f; 16 at once %.1f, %.1f\n", ns[0], ns[1],
           ns[2], ns[3], ns[4]);
    bench_free(NULL, memory, bytes);
}

static int run(size_t n, int rounds)
{
    const size_t times = n >= 100000 || RUNNING_ON_VALGRIND ? 1 : 100000 / n;
    struct va_bench b = {.n = n, .splits = n < VA_SPLITS_MOST ? n : VA_SPLITS_MOST, .times = times,
                         .orders = bench_shuffled(n, times, 5), .other_orders = bench_shuffled(n, times, 99), .seed = 1};
    struct va_spaces *spaces[PEERS] = {NULL};
    struct table *t = calloc(1, sizeof *t);
    char title[64];
    int differ;

    for (int p = 0; p < (n > FULL ? KERNEL + 1 : PEERS); p++)
        spaces[p] = peers[p] ? peers[p]->open(&b) : NULL;
    size_t bytes = va_ours.memory(spaces[OURS]);

    run_rounds(&b, spaces, rounds, t);
    snprintf(title, sizeof title, "VA space, N = %zu, %d rounds", n, rounds);
    bench_table_head(title, "best other");
    for (int row = 0; row < VA_ROWS; row++)
        if (runs(&va_ours, row))
            print_row(n, (enum va_row)row, spaces, t, rounds);
    print_limits(bytes);
    printf("  bytes a mapping, random fill: %.1f", (double)bytes / (double)n);
    if (spaces[KERNEL])
        printf(" (kernel: %.1f)", (double)va_kernel.memory(spaces[KERNEL]) / (double)n);
    printf("\n");
    differ = differences(spaces, t);
    for (int p = 0; p < PEERS; p++)
        if (spaces[p])
            peers[p]->close(spaces[p]);
    free(t);
    free((void *)(uintptr_t)b.orders);
    free((void *)(uintptr_t)b.other_orders);
    return differ;
}

/* Large spaces take long, and their times vary less. */
static int rounds_of(size_t n, bool quick)
{
    return n < 100000 ? (quick ? 3 : 9) : n < FULL ? (quick ? 2 : 5) : n == FULL ? 3 : 1;
}

int main(int argc, char **argv)
{
    static const size_t full[] = {1000, 10000, 100000, 1000000, 4000000}, few[] = {1000, 100000};
    bool quick = getenv("QUICK") != NULL;
    int differ = 0;

    for (int p = 0; p < PEERS; p++)
        if (!peers[p] && missing[p])
            printf("left out: %s\n", missing[p]);
    if (argc > 1) {
        size_t n = strtoull(argv[1], NULL, 0);
        int rounds = argc > 2 ? atoi(argv[2]) : rounds_of(n, quick);

        wanted = argc > 3 ? argv[3] : "";
        return run(n, rounds < 1 ? 1 : rounds > BENCH_ROUNDS_MOST ? BENCH_ROUNDS_MOST : rounds) != 0;
    }
    for (size_t i = 0; i < (quick ? sizeof few : sizeof full) / sizeof *full; i++) {
        size_t n = quick ? few[i] : full[i];

        differ += run(n, rounds_of(n, quick));
    }
    return differ != 0;
}
