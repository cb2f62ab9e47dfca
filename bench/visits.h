/*
 * What memory alone takes, whatever is done with it: visits to random places in zeroed memory. Where a visit goes follows
 * from what the one before has read, as a request's place is not known before the request comes.
 */
#ifndef BENCH_VISITS_H
#define BENCH_VISITS_H

#include "harness.h"

#include <stdbool.h>

enum { VISIT_WORDS = 8 /* of a line */, VISIT_SIDE_MOST = 16 };

struct bench_visit {
    unsigned lines; /* that lie together */
    bool write;     /* each is written too */
    unsigned side;  /* visits at once */
};

/* ns for one of so many visits. */
static inline double bench_visits(uint64_t *memory, size_t bytes, struct bench_visit v, size_t visits)
{
    const size_t places = bytes / (64 * v.lines);
    uint64_t *place[VISIT_SIDE_MOST], seed = 7, sum = 0;
    double t = bench_now();

    for (size_t i = 0; i < visits; i += v.side) {
        for (unsigned j = 0; j < v.side; j++) {
            uint64_t at = (uint64_t)((unsigned __int128)bench_random(&seed) * places >> 64);

            place[j] = memory + at * v.lines * VISIT_WORDS + sum;
            for (unsigned k = 0; k < v.lines; k++)
                __builtin_prefetch(place[j] + k * VISIT_WORDS);
        }
        for (unsigned j = 0; j < v.side; j++)
            for (unsigned k = 0; k < v.lines; k++) {
                sum += place[j][k * VISIT_WORDS];
                if (v.write)
                    place[j][k * VISIT_WORDS] = sum;
            }
    }
    return (bench_now() - t) / (double)visits;
}

#endif
