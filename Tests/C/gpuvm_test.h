/* What the C tests of the VA space share: a failing assertion that says both sides, a seeded generator. */
#ifndef GPUVM_TEST_H
#define GPUVM_TEST_H

#include <gpuvm/gpuvm.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t test_seed;

#define CHECK(cond, ...)                                                                                          \
    do {                                                                                                          \
        if (!(cond)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s (GPUVM_SEED=%llu): ", __FILE__, __LINE__, #cond,                           \
                    (unsigned long long)test_seed);                                                               \
            fprintf(stderr, __VA_ARGS__);                                                                         \
            fputc('\n', stderr);                                                                                  \
            exit(1);                                                                                              \
        }                                                                                                         \
    } while (0)

#define EQ(got, want) \
    CHECK((long long)(got) == (long long)(want), "got %lld, want %lld", (long long)(got), (long long)(want))

static inline void check_space(const struct gpuvm *vm)
{
    char why[256] = "";
    int rc = gpuvm_check(vm, why, sizeof why);
    CHECK(rc == 0, "%s", why);
}

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 … n - 1 */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
    return rng_next(r) % n;
}

/* The seed of GPUVM_SEED, or of the clock; printed, so that a run can be had again. */
static inline uint64_t seed_from_environment(const char *test)
{
    const char *s = getenv("GPUVM_SEED");
    test_seed = s ? strtoull(s, NULL, 0) : (uint64_t)time(NULL);
    printf("%s: GPUVM_SEED=%llu\n", test, (unsigned long long)test_seed);
    return test_seed;
}

/* An allocator that fails once `left` allocations were made, and counts what is out. */
struct test_alloc {
    long left; /* negative: never fails */
    long made;
    long out;
    size_t bytes;
};

static inline void *test_alloc_get(void *ctx, size_t size, size_t align)
{
    struct test_alloc *a = ctx;
    if (!a->left)
        return NULL;
    if (a->left > 0)
        a->left--;
    a->made++;
    a->out++;
    a->bytes += size;
    return aligned_alloc(align, (size + align - 1) & ~(align - 1));
}

static inline void test_alloc_put(void *ctx, void *ptr, size_t size)
{
    struct test_alloc *a = ctx;
    a->out--;
    a->bytes -= size;
    free(ptr);
}

static inline struct gpuvm_alloc test_hooks(struct test_alloc *a)
{
    return (struct gpuvm_alloc){.ctx = a, .alloc = test_alloc_get, .free = test_alloc_put};
}

#endif
