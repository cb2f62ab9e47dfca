/* The vector variants of what is done inside a node; see isa.c. */
#ifndef GPUVM_ISA_H
#define GPUVM_ISA_H

#include "space.h"

/* Keys <= key of a sorted array whose size is a power of two, without a branch on what they are. */
static inline unsigned gpuvm__count_le(const uint64_t *keys, unsigned size, uint64_t key)
{
    unsigned at = 0;
    for (unsigned half = size / 2; half; half /= 2)
        at += keys[at + half - 1] <= key ? half : 0;
    return at + (keys[at] <= key);
}

static inline unsigned gpuvm__inner_count_le(const struct inner *inner, uint64_t key)
{
    unsigned from = gpuvm__count_le(inner->top, INNER_LINES, key) * LINE_KEYS;
    __builtin_prefetch(&inner->child[from]); /* the child is in that line, as the last key of the other one is > key */
    return from + gpuvm__count_le(&inner->key[from], LINE_KEYS, key);
}

enum isa_level { ISA_PLAIN, ISA_AVX2, ISA_AVX512 };

/* The widest variant that this machine runs, not above `most`. */
struct isa gpuvm__isa(enum isa_level most);

#endif
