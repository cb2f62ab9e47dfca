/* Ranges of bits in arrays of 64-bit words. */
#ifndef NVMMU_BITS_H
#define NVMMU_BITS_H

#include <stdbool.h>
#include <stdint.h>

#define BITS_WORDS(n) (((n) + 63) / 64)

/* The bits of [i, i + n) that lie in word `w`, which the range touches. */
static inline uint64_t bits_mask(uint32_t i, uint32_t n, uint32_t w)
{
    uint64_t mask = ~0ull;

    if (w == i / 64)
        mask &= ~0ull << i % 64;
    if (w == (i + n - 1) / 64)
        mask &= ~0ull >> (63 - (i + n - 1) % 64);
    return mask;
}

static inline bool bits_get(const uint64_t *b, uint32_t i)
{
    return b[i / 64] >> i % 64 & 1;
}

static inline bool bits_all(const uint64_t *b, uint32_t i, uint32_t n)
{
    for (uint32_t w = i / 64; w <= (i + n - 1) / 64; w++)
        if (~b[w] & bits_mask(i, n, w))
            return false;
    return true;
}

static inline bool bits_any(const uint64_t *b, uint32_t i, uint32_t n)
{
    for (uint32_t w = i / 64; w <= (i + n - 1) / 64; w++)
        if (b[w] & bits_mask(i, n, w))
            return true;
    return false;
}

static inline void bits_set(uint64_t *b, uint32_t i, uint32_t n)
{
    for (uint32_t w = i / 64; w <= (i + n - 1) / 64; w++)
        b[w] |= bits_mask(i, n, w);
}

static inline void bits_clear(uint64_t *b, uint32_t i, uint32_t n)
{
    for (uint32_t w = i / 64; w <= (i + n - 1) / 64; w++)
        b[w] &= ~bits_mask(i, n, w);
}

/* Clears those of [i, i + n) that are not set in `keep`. */
static inline void bits_clear_unless(uint64_t *b, const uint64_t *keep, uint32_t i, uint32_t n)
{
    for (uint32_t w = i / 64; w <= (i + n - 1) / 64; w++)
        b[w] &= ~bits_mask(i, n, w) | keep[w];
}

#endif
