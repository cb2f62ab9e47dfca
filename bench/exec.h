/* The locks of a VA space's objects, taken and let go. Ours are Swift's: sync/Pairs.swift; the peer is in peers/. */
#ifndef BENCH_EXEC_H
#define BENCH_EXEC_H

#include <stdbool.h>
#include <stddef.h>

struct exec_peer {
    /* A space with so many external objects; `protected`: their list by the space's reservation. */
    void *(*open)(size_t objects, bool protected);
    void (*close)(void *);
    void (*run)(void *, size_t times); /* locks all and lets them go */
};

extern const struct exec_peer exec_kernel;

#endif
