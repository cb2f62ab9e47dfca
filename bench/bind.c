/*
 * A bind of 64K pages below the UAPI (spec/performance.md section 3): space, references and entries, by our C core and
 * by the kernel's two parts as nouveau uses them. The pages replace others of the same bounds. The whole of VM_BIND by
 * our device is measured by the program sync.
 *
 *     bind      QUICK=1: few rounds
 */
#include "bind.h"
#include "report.h"

enum { OPS = 4096, REPEATS = 20, ROUNDS = 15 };

static struct bind_op ops[OPS];

/* In calls of `batch`. */
static double run(const struct bind_peer *peer, void *space, size_t batch, const char *name, const char *who)
{
    double t = bench_now();

    for (int r = 0; r < REPEATS; r++)
        for (size_t i = 0; i < OPS; i += batch)
            peer->bind(space, ops + i, batch);
    t = bench_now() - t;
    bench_counted(name, who, (size_t)REPEATS * OPS);
    return t / REPEATS / OPS;
}

int main(void)
{
    static const struct {
        const char *name;
        size_t batch;
        double target;
    } rows[] = {{"1 page a call", 1, 0}, {"4096 pages a call, each", OPS, 4}};
    const struct bind_peer *kernel = &bind_kernel;
    void *ours = bind_ours.open(), *theirs = kernel ? kernel->open() : NULL;
    int rounds = RUNNING_ON_VALGRIND ? 1 : getenv("QUICK") ? 3 : ROUNDS;

    /* Pieces that do not follow each other in the buffer. */
    for (uint64_t i = 0; i < OPS; i++)
        ops[i] = (struct bind_op){(1ull << 32) + i * BIND_PAGE, ((i * 2 & 4095) | i >> 11) * BIND_PAGE};
    bench_table_head("bind of 64K pages, space and page tables", "");
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        double a[ROUNDS], b[ROUNDS], ratio[ROUNDS];
        struct bench_row_result r = {.name = rows[row].name, .target = rows[row].target};

        for (int i = -1; i < rounds; i++) { /* the first fills the space */
            double x = run(&bind_ours, ours, rows[row].batch, rows[row].name, "gpuvm");
            double y = kernel ? run(kernel, theirs, rows[row].batch, rows[row].name, "kernel") : 0;

            if (i >= 0)
                a[i] = x, b[i] = y, ratio[i] = y / x;
        }
        r.spread = bench_spread(kernel ? ratio : a, rounds);
        r.ours = bench_median(a, rounds);
        r.kernel = kernel ? bench_median(b, rounds) : 0;
        r.ratio = kernel ? bench_median(ratio, rounds) : 0;
        bench_table_row("bind of 64K pages below the UAPI", &r);
    }
    if (kernel && bind_ours.reading(ours, 1ull << 32, OPS * BIND_PAGE) !=
                      kernel->reading(theirs, 1ull << 32, OPS * BIND_PAGE)) {
        printf("  DIFFERENT TABLES\n");
        return 1;
    }
    bind_ours.close(ours);
    if (kernel)
        kernel->close(theirs);
    return 0;
}
