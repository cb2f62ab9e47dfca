/*
 * Rows of a comparison: a table on stdout, and a line of JSON each in the file BENCH_ROWS names (make puts
 * them together as build/bench.json). A ratio is how many times faster than the kernel, or what a row has in its place,
 * we are: the median over the rounds of the ratio in each round. Spread is half of the range that the middle half of the rounds' ratios takes,
 * as a part of their median.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "harness.h"

#include <stdbool.h>
#include <unistd.h>

struct bench_row_result {
    const char *name;       /* of the workload */
    double ours;            /* ns */
    double kernel, ratio;   /* ns, times; 0: no kernel here */
    const char *peer_name;  /* what stands in the kernel's place; NULL: the kernel */
    double spread;          /* of the ratio; without a kernel of ours */
    double best;            /* the best other peer; 0: none */
    const char *best_name;
    double target;          /* times the kernel; 0: none */
    double most;            /* that many times the best also is the target, without a kernel the only one; 0: no */
};

/* Says what runs, in one line of a terminal. */
static inline void bench_progress(const char *what, int round, int rounds, const char *row)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s: round %d of %d, %s\033[K", what, round, rounds, row);
}

static inline void bench_progress_end(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static inline void bench_table_head(const char *title, const char *best)
{
    bench_progress_end();
    printf("\n%-48s %10s %10s %8s %8s %7s %10s\n", title, "ours ns", "kernel ns", "times", "target", "spread", best);
}

static inline void bench_print_number(const char *format, int width, double v)
{
    if (v > 0)
        printf(format, width, v);
    else
        printf("%*s", width + (format[0] == ' '), "-");
}

/* In JSON the peer is the kernel, or the best other where there is no kernel. */
static inline void bench_json_row(const char *group, const struct bench_row_result *r)
{
    const char *file = getenv("BENCH_ROWS");
    FILE *f = file ? fopen(file, "a") : NULL;
    double peer = r->kernel > 0 ? r->kernel : r->best;

    if (!f)
        return;
    fprintf(f, "{\"name\": \"%s, %s\", \"ours\": %.4f, \"peer\": %.4f, \"ratio\": %.3f, \"spread\": %.3f, ", group, r->name,
            r->ours, peer, r->kernel > 0 ? r->ratio : peer / r->ours, r->spread);
    fprintf(f, "\"peer_name\": \"%s\", \"target\": %.2f, \"best_other\": %.4f, \"best_other_name\": \"%s\"}\n",
            r->kernel <= 0 ? r->best > 0 ? r->best_name : "" : r->peer_name ? r->peer_name : "kernel", r->target, r->best,
            r->best > 0 ? r->best_name : "");
    fclose(f);
}

static inline void bench_table_row(const char *group, const struct bench_row_result *r)
{
    bool near = r->best > 0 && r->ours <= r->most * r->best;
    bool missed = !near && (r->ratio > 0 ? r->ratio < r->target : r->best > 0 && r->most > 0);

    printf("  %-46s %10.3f ", r->name, r->ours);
    bench_print_number("%*.3f", 10, r->kernel);
    bench_print_number(" %*.2f", 8, r->ratio);
    bench_print_number(" %*.1f", 8, r->target);
    printf(" %6.0f%% ", 100 * r->spread);
    bench_print_number("%*.3f", 10, r->best);
    printf(" %s%s%s%s\n", r->best > 0 ? r->best_name : "", r->peer_name ? "; not the kernel: " : "",
           r->peer_name ? r->peer_name : "", missed ? "  < target" : "");
    fflush(stdout);
    bench_json_row(group, r);
}

/* Half of the interquartile range of v[n], by its median; sorts v. */
static inline double bench_spread(double *v, int n)
{
    double m = bench_median(v, n);

    return m > 0 ? (v[3 * n / 4] - v[n / 4]) / 2 / m : 0;
}

#endif
