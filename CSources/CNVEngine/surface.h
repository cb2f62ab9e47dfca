/*
 * One side of a copy: rows of bytes in memory, in a row each (pitch) or block-linear.
 */
#ifndef NVENGINE_SURFACE_H
#define NVENGINE_SURFACE_H

#include "memory.h"

#include <nvengine/layout.h>

struct surface {
    uint64_t base;
    bool tiled;
    uint64_t pitch;                /* pitch */
    struct nvengine_layout layout; /* block-linear, as what follows: where the copy's first byte is */
    uint64_t x, y, z;
};

/* Byte x of a row of a pitch surface. */
static inline uint64_t surface_at(const struct surface *s, uint64_t x, uint64_t row)
{
    return s->base + row * s->pitch + x;
}

/* The GOB with byte x of a row of a block-linear surface. */
static inline uint64_t surface_gob(const struct surface *s, uint64_t x, uint64_t row)
{
    return s->base + nvengine_layout_gob(&s->layout, s->x + x, s->y + row, s->z);
}

/* Bytes [x, x + n) of a row. -EFAULT, as nvengine__read() and nvengine__write(). */
int nvengine__surface_read(struct memory *m, const struct surface *s, uint64_t x, uint64_t row, void *to, uint64_t n);
int nvengine__surface_write(struct memory *m, const struct surface *s, uint64_t x, uint64_t row, const void *from,
                            uint64_t n);

#endif
