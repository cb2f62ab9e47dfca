/*
 * Mapping records: what a mapping is beyond its range, addressed by id. Record and the caller's data lie in two
 * slabs of equal segments; a segment is a page of records, and many segments come in one allocation.
 *
 * The range's end is in the tree. A victim that an op list holds is not in the tree any more: it has a slot in
 * space.held with its range, and its record's `addr` is the number of that slot. Its `next` and `prev` stay as they
 * were when it was unlinked, so that undoing in the strict reverse order puts it back into the very same place.
 */
#ifndef GPUVM_RECORD_H
#define GPUVM_RECORD_H

#include <gpuvm/gpuvm.h>

enum { SEG_SHIFT = 7, SEG_RECORDS = 1 << SEG_SHIFT };

/* record.bo also tells what the id is: an object's pair, that with REC_HELD, or free. */
#define REC_FREE UINT32_MAX
#define REC_HELD (UINT32_C(1) << 31)

struct record {
    uint64_t addr;
    uint64_t offset;
    uint32_t bo;
    gpuvm_va next, prev; /* in the pair's list; `next` links free records */
    uint32_t seq;
};

struct records {
    size_t spare, ids;      /* ids that can be had without allocating, and all that there is memory for */
    struct record **rec; /* [segments] */
    char **user;         /* [segments]; NULL without caller data */
    size_t segments, table; /* segments there, room in the two tables */
    size_t user_size;       /* rounded up to 8 */
    uint32_t bump;          /* ids from here on were never used */
    gpuvm_va freed;
    uint32_t seq;
};

/* Range of a held victim, or a free slot (`end` 0) with the next one in `addr`. */
struct held {
    uint64_t addr, end;
};

int gpuvm__records_init(struct gpuvm *vm, uint32_t user_size);
void gpuvm__records_fini(struct gpuvm *vm);
/* Adds segments until there are `n` ids to be had. -ENOMEM. */
int gpuvm__records_grow(struct gpuvm *vm, size_t n);
/* Gives back segments that were never used. */
void gpuvm__records_trim(struct gpuvm *vm);

/* Makes sure of slots for `n` more victims. -ENOMEM. */
int gpuvm__held_grow(struct gpuvm *vm, size_t n);
void gpuvm__held_fini(struct gpuvm *vm);

#endif
