/*
 * A small harness. Workloads are run in turns, several rounds, beside their peers and a limit in the same rounds, so
 * that noise and clock changes meet all alike; report.h prints the medians.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/*
 * Under callgrind, instructions are counted from one bench_now() to the next; bench_counted() writes out how many they
 * were, as "workload|who|operations".
 */
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define RUNNING_ON_VALGRIND              0
#define CALLGRIND_TOGGLE_COLLECT         ((void)0)
#define CALLGRIND_DUMP_STATS_AT(what)    ((void)(what))
#endif

static inline void bench_counted(const char *workload, const char *who, size_t operations)
{
    char what[128];

    snprintf(what, sizeof what, "%s|%s|%zu", workload, who, operations);
    CALLGRIND_DUMP_STATS_AT(what);
}

/* Time of the processor, not of the wall: what else runs on the machine counts less. */
static inline double bench_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The same, at the beginning and at the end of what is measured. */
static inline double bench_now(void)
{
    CALLGRIND_TOGGLE_COLLECT;
    return bench_clock();
}

static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 … n - 1 in random order, so many times, each in another. */
static inline uint32_t *bench_shuffled(size_t n, size_t times, uint64_t seed)
{
    uint32_t *all = (uint32_t *)malloc(times * n * sizeof *all);

    for (uint32_t *a = all; a < all + times * n; a += n)
        for (size_t i = 0; i < n; i++) {
            size_t j = bench_random(&seed) % (i + 1);
            a[i] = a[j];
            a[j] = (uint32_t)i;
        }
    return all;
}

enum { BENCH_ROUNDS_MOST = 64 };

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, bench_compare);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/*
 * Allocator hooks: blocks of powers of two from huge pages, kept for the next one of their size when freed. (With the C
 * library's, a large block costs whatever it takes to sort what other peers have freed.)
 */
enum { BENCH_ROOM_BITS = 34 };

static char *bench_room;
static size_t bench_room_used;
static void *bench_blocks[BENCH_ROOM_BITS + 1];

static inline unsigned bench_order(size_t size)
{
    return size <= 64 ? 6u : 64 - (unsigned)__builtin_clzll(size - 1);
}

static inline void *bench_alloc(void *ctx, size_t size, size_t align)
{
    unsigned order = bench_order(size > align ? size : align);
    size_t block = (size_t)1 << order, at;
    void *p = bench_blocks[order];

    (void)ctx;
    if (p) {
        bench_blocks[order] = *(void **)p;
        return p;
    }
    if (!bench_room) {
        p = mmap(NULL, (size_t)1 << BENCH_ROOM_BITS, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
            return NULL;
        madvise(p, (size_t)1 << BENCH_ROOM_BITS, MADV_HUGEPAGE);
        bench_room = (char *)p;
    }
    at = ((uintptr_t)bench_room + bench_room_used + block - 1) & ~(block - 1);
    at -= (uintptr_t)bench_room;
    if (at + block > (size_t)1 << BENCH_ROOM_BITS)
        return NULL;
    bench_room_used = at + block;
    return bench_room + at;
}

static inline void bench_free(void *ctx, void *p, size_t size)
{
    unsigned order = bench_order(size);

    (void)ctx;
    if (!p)
        return;
    *(void **)p = bench_blocks[order];
    bench_blocks[order] = p;
}

#endif
