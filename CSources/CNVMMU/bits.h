/* Ranges of bits in arrays of 64-bit words. */
#ifndef NVMMU_BITS_H
#define NVMMU_BITS_H

#include <stdbool.h>
#include <stdint.h>

#define BITS_WORDS(n) (((n) + 63) / 64)

/* Of the word with bit i: it and those above. */
static inline uint64_t bits_from(uint32_t i)
{
    return ~0ull << i % 64;
}

/* Of the word with bit end - 1: it and those below. */
static inline uint64_t bits_below(uint32_t end)
{
    return ~0ull >> (-end & 63);
}

static inline bool bits_get(const uint64_t *b, uint32_t i)
{
    return b[i / 64] >> i % 64 & 1;
}

static inline bool bits_all(const uint64_t *b, uint32_t i, uint32_t n)
{
    uint32_t w = i / 64, last = (i + n - 1) / 64;
    uint64_t mask = bits_from(i);

    for (; w < last; w++, mask = ~0ull)
        if (~b[w] & mask)
            return false;
    return !(~b[last] & mask & bits_below(i + n));
}

static inline bool bits_any(const uint64_t *b, uint32_t i, uint32_t n)
{
    uint32_t w = i / 64, last = (i + n - 1) / 64;
    uint64_t mask = bits_from(i);

    for (; w < last; w++, mask = ~0ull)
        if (b[w] & mask)
            return true;
    return b[last] & mask & bits_below(i + n);
}

static inline void bits_set(uint64_t *b, uint32_t i, uint32_t n)
{
    uint32_t w = i / 64, last = (i + n - 1) / 64;
    uint64_t mask = bits_from(i);

    for (; w < last; w++, mask = ~0ull)
        b[w] |= mask;
    b[last] |= mask & bits_below(i + n);
}

static inline void bits_clear(uint64_t *b, uint32_t i, uint32_t n)
{
    uint32_t w = i / 64, last = (i + n - 1) / 64;
    uint64_t mask = bits_from(i);

    for (; w < last; w++, mask = ~0ull)
        b[w] &= ~mask;
    b[last] &= ~(mask & bits_below(i + n));
}

/* Clears those of [i, i + n) that are not set in `keep`. */
static inline void bits_clear_unless(uint64_t *b, const uint64_t *keep, uint32_t i, uint32_t n)
{
    uint32_t w = i / 64, last = (i + n - 1) / 64;
    uint64_t mask = bits_from(i);

    for (; w < last; w++, mask = ~0ull)
        b[w] &= ~mask | keep[w];
    b[last] &= ~(mask & bits_below(i + n)) | keep[last];
}

#endif
