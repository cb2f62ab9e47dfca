/* Writing runs of entries, and reading what is one. */
#ifndef NVMMU_STORE_H
#define NVMMU_STORE_H

#include <stddef.h>
#include <stdint.h>

struct nvmmu_stores {
    /* Rows of n words, all the same. */
    void (*fill)(uint64_t *const *at, size_t rows, size_t n, uint64_t word);
    /* Rows of n words, each `step` above the one before, a row's first above the last of the row before. */
    void (*ramp)(uint64_t *const *at, size_t rows, size_t n, uint64_t word, uint64_t step);
    /* n words from addresses: word | address >> shift. */
    void (*list)(uint64_t *at, size_t n, uint64_t word, const uint64_t *address, unsigned shift);
    /* n pairs of words: the low one as ramp, the high one 0. */
    void (*ramp_pairs)(uint64_t *at, size_t n, uint64_t word, uint64_t step);
    /* All n values or-ed together. */
    uint64_t (*any)(const uint64_t *value, size_t n);
    /* How many of n words, from the first on, are as ramp would write them. */
    size_t (*ramp_length)(const uint64_t *at, size_t n, uint64_t word, uint64_t step);
};

/* The best of them for this machine. */
const struct nvmmu_stores *nvmmu__stores_choose(void);

static inline void nvmmu__store(uint64_t *entry, uint64_t word)
{
    __atomic_store_n(entry, word, __ATOMIC_RELAXED);
}

/* What was written before is seen by who follows this entry. */
static inline void nvmmu__publish(uint64_t *entry, uint64_t word)
{
    __atomic_store_n(entry, word, __ATOMIC_RELEASE);
}

#endif
