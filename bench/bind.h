/* What is below VM_BIND: a VA space and its page tables together. One file for each peer in peers/. */
#ifndef BENCH_BIND_H
#define BENCH_BIND_H

#include <stddef.h>
#include <stdint.h>

#define BIND_PAGE (1ull << 16)

/* A page to be mapped to a part of the one buffer. */
struct bind_op {
    uint64_t va, offset;
};

struct bind_peer {
    void *(*open)(void);
    void (*close)(void *);
    /* Maps n pages, as one job: first the space and the references, then the entries, then what is gone is freed. */
    void (*bind)(void *, const struct bind_op *ops, size_t n);
    uint64_t (*reading)(void *, uint64_t va, uint64_t size); /* a checksum of what is mapped */
};

extern const struct bind_peer bind_ours;
extern const struct bind_peer bind_kernel __attribute__((weak)); /* where its sources are at hand */

#endif
