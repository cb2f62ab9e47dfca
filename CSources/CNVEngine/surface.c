/*
 * Parts of rows. Block-linear ones GOB by GOB: where a GOB lies in one page it is used in place, elsewhere (an image
 * that does not begin at a multiple of a GOB) 16 bytes at a time.
 */
#include "surface.h"

#include <errno.h>

static int gob_read(struct memory *m, uint64_t gob, unsigned x, unsigned y, uint8_t *to, unsigned n)
{
    const uint8_t *cpu = nvengine__touch(m, gob, NVENGINE_GOB_BYTES, false);

    if (cpu) {
        nvengine_gob_read_row(cpu, x, y, to, n);
        return 0;
    }
    for (unsigned k; n; x += k, to += k, n -= k) {
        k = 16 - (x & 15) < n ? 16 - (x & 15) : n;
        if (nvengine__read(m, gob + nvengine_gob_offset(x, y), to, k))
            return -EFAULT;
    }
    return 0;
}

static int gob_write(struct memory *m, uint64_t gob, unsigned x, unsigned y, const uint8_t *from, unsigned n)
{
    uint8_t *cpu = nvengine__touch(m, gob, NVENGINE_GOB_BYTES, true);

    if (cpu) {
        nvengine_gob_write_row(cpu, x, y, from, n);
        return 0;
    }
    for (unsigned k; n; x += k, from += k, n -= k) {
        k = 16 - (x & 15) < n ? 16 - (x & 15) : n;
        if (nvengine__write(m, gob + nvengine_gob_offset(x, y), from, k))
            return -EFAULT;
    }
    return 0;
}

/* Bytes from x on that lie in its GOB, at most n. */
static unsigned in_gob(const struct surface *s, uint64_t x, uint64_t n)
{
    unsigned left = NVENGINE_GOB_WIDTH - ((s->x + x) & 63);

    return n < left ? (unsigned)n : left;
}

int nvengine__surface_read(struct memory *m, const struct surface *s, uint64_t x, uint64_t row, void *to, uint64_t n)
{
    uint8_t *at = to;

    if (!s->tiled)
        return nvengine__read(m, surface_at(s, x, row), to, n);
    for (unsigned k; n; x += k, at += k, n -= k) {
        k = in_gob(s, x, n);
        if (gob_read(m, surface_gob(s, x, row), (s->x + x) & 63, (s->y + row) & 7, at, k))
            return -EFAULT;
    }
    return 0;
}

int nvengine__surface_write(struct memory *m, const struct surface *s, uint64_t x, uint64_t row, const void *from,
                            uint64_t n)
{
    const uint8_t *at = from;

    if (!s->tiled)
        return nvengine__write(m, surface_at(s, x, row), from, n);
    for (unsigned k; n; x += k, at += k, n -= k) {
        k = in_gob(s, x, n);
        if (gob_write(m, surface_gob(s, x, row), (s->x + x) & 63, (s->y + row) & 7, at, k))
            return -EFAULT;
    }
    return 0;
}
