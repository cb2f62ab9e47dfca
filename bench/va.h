/*
 * The VA space's workloads (spec/performance.md section 1) and who runs them. A peer is one file in peers/ that says
 * how its structure does each single thing and includes va_workloads.h, which makes a `struct va_peer` of that. va.c
 * runs all peers that were built, in turns, and compares their checksums.
 */
#ifndef BENCH_VA_H
#define BENCH_VA_H

#include "harness.h"

#include <stdbool.h>

#define VA_UNIT   UINT64_C(0x10000) /* a mapping of the fill has four units, packed */
#define VA_LENGTH (4 * VA_UNIT)

enum { VA_OBJECTS = 64, VA_BATCH = 256, VA_SMALL_BATCH = 16, VA_SPLITS_MOST = 200000, VA_ITERATE_LEAST = 1 << 20 };

enum va_row {
    VA_INSERT_ASCENDING, VA_INSERT_RANDOM, VA_REMOVE_RANDOM, VA_FIND, VA_FIND_FIRST, VA_ITERATE, VA_SPLIT_ASCENDING,
    VA_SPLIT_RANDOM, VA_OP_LIST, VA_RANGES, VA_RANGES_LIST, VA_BIND, VA_UNMAP, VA_REMOVE_IN_ORDER, VA_INSERT_BATCH,
    VA_SPLIT_BATCH, VA_RANGES_BATCH, VA_FIND_BATCH, VA_FIND_FIRST_BATCH, VA_REMOVE_BATCH, VA_OP_LIST_BATCH, VA_ROWS
};

/* What a run is about, the same for all peers. */
struct va_bench {
    size_t n, splits, times;               /* small spaces repeat a run, so that it takes long enough to be timed */
    const uint32_t *orders, *other_orders; /* a repetition's order of the fill, and another one */
    uint64_t seed;                         /* of random ranges */
    bool check;                            /* also computes the checksum of what was found and of what is left */
    uint64_t checksum;
    size_t ops;                            /* how many the workload did */
};

/* Takes a mapping into a checksum. */
static inline void va_mix(uint64_t *sum, uint64_t addr, uint64_t range, uint64_t object, uint64_t offset)
{
    const uint64_t words[] = {addr, range, object, offset};

    for (int i = 0; i < 4; i++)
        *sum = (*sum ^ words[i]) * 0x9e3779b97f4a7c15u + (*sum >> 29);
}

/* A peer's two spaces: one full, filled in random order, and one that workloads fill and empty. */
struct va_spaces;

struct va_peer {
    const char *name;
    struct va_spaces *(*open)(const struct va_bench *);
    void (*close)(struct va_spaces *);
    size_t (*memory)(struct va_spaces *);                         /* of the full one, in bytes; 0: unknown */
    double (*run[VA_ROWS])(struct va_bench *, struct va_spaces *); /* ns an operation; NULL: not to be had */
};

#ifdef __cplusplus
extern "C" {
#endif
extern const struct va_peer va_ours;
/* Built where their sources or headers are at hand. */
extern const struct va_peer va_kernel __attribute__((weak)), va_std_map __attribute__((weak)),
    va_absl_btree __attribute__((weak)), va_llvm_interval_map __attribute__((weak)), va_bsd_tree __attribute__((weak)),
    va_sorted_array __attribute__((weak));
#ifdef __cplusplus
}
#endif

#endif
