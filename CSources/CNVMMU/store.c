/*
 * Runs of entries by vectors. A vector access to 8-byte aligned memory is not torn within a 64-bit lane, so a reader
 * sees old or new entries. Under ThreadSanitizer, which cannot know that, the accesses are scalar and atomic.
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

static inline void fill_row(uint64_t *at, size_t n, uint64_t word)
{
    for (size_t i = 0; i < n; i++)
        nvmmu__store(&at[i], word);
}

static inline void ramp_row(uint64_t *at, size_t n, uint64_t word, uint64_t step)
{
    for (size_t i = 0; i < n; i++, word += step)
        nvmmu__store(&at[i], word);
}

static void fill_plain(uint64_t *const *at, size_t rows, size_t n, uint64_t word)
{
    for (size_t r = 0; r < rows; r++)
        fill_row(at[r], n, word);
}

static void ramp_plain(uint64_t *const *at, size_t rows, size_t n, uint64_t word, uint64_t step)
{
    for (size_t r = 0; r < rows; r++)
        ramp_row(at[r], n, word + r * n * step, step);
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

static size_t ramp_length_plain(const uint64_t *at, size_t n, uint64_t word, uint64_t step)
{
    size_t i = 0;

    for (; i < n && __atomic_load_n(&at[i], __ATOMIC_RELAXED) == word; i++)
        word += step;
    return i;
}

static const struct nvmmu_stores plain = {fill_plain, ramp_plain, list_plain, ramp_pairs_plain, any_plain,
                                         ramp_length_plain};

/* ---- vectors -------------------------------------------------------------------------------------------- */

#if defined(__x86_64__) && !defined(SCALAR)

#define ISA "avx2"
#define LANES 4
#define NUMBERS 0, 1, 2, 3
#define NAMED(what) what##_avx2
#include "store_vector.h"

#define ISA "avx512f,avx512dq"
#define LANES 8
#define NUMBERS 0, 1, 2, 3, 4, 5, 6, 7
#define NAMED(what) what##_avx512
#include "store_vector.h"

const struct nvmmu_stores *nvmmu__stores_choose(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        return &stores_avx512;
    return __builtin_cpu_supports("avx2") ? &stores_avx2 : &plain;
}

#else

const struct nvmmu_stores *nvmmu__stores_choose(void)
{
    return &plain;
}

#endif
