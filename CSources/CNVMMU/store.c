/*
 * Runs of entries by vector stores. A vector store to 8-byte aligned memory is not torn within a 64-bit lane, so a
 * reader sees old or new entries. Under ThreadSanitizer, which cannot know that, the stores are scalar and atomic.
 */
#include <stdbool.h>

#include "store.h"

#if defined(__SANITIZE_THREAD__)
#define SCALAR 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SCALAR 1
#endif
#endif

/* ---- plain ---------------------------------------------------------------------------------------------- */

static void fill_plain(uint64_t *at, size_t n, uint64_t word)
{
    for (size_t i = 0; i < n; i++)
        nvmmu__store(&at[i], word);
}

static void ramp_plain(uint64_t *at, size_t n, uint64_t word, uint64_t step)
{
    for (size_t i = 0; i < n; i++, word += step)
        nvmmu__store(&at[i], word);
}

static void list_plain(uint64_t *at, size_t n, uint64_t word, const uint64_t *address, unsigned shift)
{
    for (size_t i = 0; i < n; i++)
        nvmmu__store(&at[i], word | address[i] >> shift);
}

static void ramp_pairs_plain(uint64_t *at, size_t n, uint64_t word, uint64_t step)
{
    for (size_t i = 0; i < n; i++, word += step) {
        nvmmu__store(&at[2 * i], word);
        nvmmu__store(&at[2 * i + 1], 0);
    }
}

static uint64_t any_plain(const uint64_t *value, size_t n)
{
    uint64_t any = 0;

    for (size_t i = 0; i < n; i++)
        any |= value[i];
    return any;
}

static const struct nvmmu_stores plain = {fill_plain, ramp_plain, list_plain, ramp_pairs_plain, any_plain};

/* ---- vectors -------------------------------------------------------------------------------------------- */

#if defined(__x86_64__) && !defined(SCALAR)

/* One set of functions over vectors of LANES words, for the instruction set ISA. */
#define VECTOR_STORES(name, isa, LANES, IOTA, PAIRS)                                                                   \
    typedef uint64_t name##_v __attribute__((vector_size(8 * LANES), aligned(8), may_alias));                          \
    typedef uint64_t name##_r __attribute__((vector_size(8 * LANES)));                                                 \
                                                                                                                       \
    __attribute__((target(isa))) static void fill_##name(uint64_t *at, size_t n, uint64_t word)                        \
    {                                                                                                                  \
        const name##_r w = (name##_r){0} + word;                                                                       \
        size_t i = 0;                                                                                                  \
                                                                                                                       \
        for (; i + 2 * LANES <= n; i += 2 * LANES) {                                                                   \
            *(name##_v *)&at[i] = w;                                                                                   \
            *(name##_v *)&at[i + LANES] = w;                                                                           \
        }                                                                                                              \
        fill_plain(at + i, n - i, word);                                                                               \
    }                                                                                                                  \
                                                                                                                       \
    __attribute__((target(isa))) static void ramp_##name(uint64_t *at, size_t n, uint64_t word, uint64_t step)         \
    {                                                                                                                  \
        name##_r a = (name##_r)IOTA * step + word, b = a + LANES * step;                                               \
        size_t i = 0;                                                                                                  \
                                                                                                                       \
        for (; i + 2 * LANES <= n; i += 2 * LANES) {                                                                   \
            *(name##_v *)&at[i] = a;                                                                                   \
            *(name##_v *)&at[i + LANES] = b;                                                                           \
            a += 2 * LANES * step;                                                                                     \
            b += 2 * LANES * step;                                                                                     \
        }                                                                                                              \
        ramp_plain(at + i, n - i, word + i * step, step);                                                              \
    }                                                                                                                  \
                                                                                                                       \
    __attribute__((target(isa))) static void list_##name(uint64_t *at, size_t n, uint64_t word,                        \
                                                         const uint64_t *address, unsigned shift)                      \
    {                                                                                                                  \
        size_t i = 0;                                                                                                  \
                                                                                                                       \
        for (; i + 2 * LANES <= n; i += 2 * LANES) {                                                                   \
            *(name##_v *)&at[i] = *(const name##_v *)&address[i] >> shift | word;                                      \
            *(name##_v *)&at[i + LANES] = *(const name##_v *)&address[i + LANES] >> shift | word;                      \
        }                                                                                                              \
        list_plain(at + i, n - i, word, address + i, shift);                                                           \
    }                                                                                                                  \
                                                                                                                       \
    __attribute__((target(isa))) static void ramp_pairs_##name(uint64_t *at, size_t n, uint64_t word, uint64_t step)   \
    {                                                                                                                  \
        const name##_r mask = (name##_r)PAIRS;                                                                         \
        name##_r w = (((name##_r)IOTA >> 1) * step + word) & mask;                                                     \
        size_t i = 0;                                                                                                  \
                                                                                                                       \
        for (; i + LANES / 2 <= n; i += LANES / 2) {                                                                   \
            *(name##_v *)&at[2 * i] = w;                                                                               \
            w += (LANES / 2 * step) & mask;                                                                            \
        }                                                                                                              \
        ramp_pairs_plain(at + 2 * i, n - i, word + i * step, step);                                                    \
    }                                                                                                                  \
                                                                                                                       \
    __attribute__((target(isa))) static uint64_t any_##name(const uint64_t *value, size_t n)                           \
    {                                                                                                                  \
        name##_r a = {0}, b = {0};                                                                                     \
        uint64_t all;                                                                                                  \
        size_t i = 0;                                                                                                  \
                                                                                                                       \
        for (; i + 2 * LANES <= n; i += 2 * LANES) {                                                                   \
            a |= *(const name##_v *)&value[i];                                                                         \
            b |= *(const name##_v *)&value[i + LANES];                                                                 \
        }                                                                                                              \
        all = any_plain(value + i, n - i);                                                                             \
        a |= b;                                                                                                        \
        for (int k = 0; k < LANES; k++)                                                                                \
            all |= a[k];                                                                                               \
        return all;                                                                                                    \
    }                                                                                                                  \
                                                                                                                       \
    static const struct nvmmu_stores name = {fill_##name, ramp_##name, list_##name, ramp_pairs_##name, any_##name}

#define LIST(...) {__VA_ARGS__}
VECTOR_STORES(avx2, "avx2", 4, LIST(0, 1, 2, 3), LIST(~0ull, 0, ~0ull, 0));
VECTOR_STORES(avx512, "avx512f,avx512dq", 8, LIST(0, 1, 2, 3, 4, 5, 6, 7),
              LIST(~0ull, 0, ~0ull, 0, ~0ull, 0, ~0ull, 0));

const struct nvmmu_stores *nvmmu__stores_choose(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        return &avx512;
    return __builtin_cpu_supports("avx2") ? &avx2 : &plain;
}

#else

const struct nvmmu_stores *nvmmu__stores_choose(void)
{
    return &plain;
}

#endif
