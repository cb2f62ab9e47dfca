/*
 * Copies in pieces, each of them whole before the next begins, so that a copy can stop after any piece. Three ways:
 *   linear  both sides are pitch: contiguous memory to contiguous memory, megabytes at a time
 *   tile    a side is block-linear: a GOB of it, and eight parts of rows or another GOB
 *   staged  elements change: a part of a line is read into a buffer, remapped, written
 *
 * Invariant: (p->line, p->x) is the first byte (staged: element) not copied; what a tile has below that line is done up
 * to x too.
 */
#include "transfer.h"

#include <errno.h>

enum {
    STAGE = 2048,                   /* bytes */
    AHEAD = 4 * NVENGINE_GOB_WIDTH, /* bytes of a row */
    PIECE_COST = 64,                /* of the budget, beside its bytes */
};

/* Accounts for a piece. The budget is gone: true. */
static bool spend(struct nvengine_channel *c, uint64_t bytes)
{
    c->statistics.bytes += bytes;
    c->budget -= (int64_t)bytes + PIECE_COST;
    return c->budget <= 0;
}

static int source_fault(struct nvengine_channel *c)
{
    return nvengine__fail_access(c, NVENGINE_SOURCE);
}

static int destination_fault(struct nvengine_channel *c)
{
    return nvengine__fail_access(c, NVENGINE_DESTINATION);
}

static void advance(struct progress *p, uint64_t n, uint64_t length, uint64_t lines)
{
    p->x += n;
    if (p->x == length) {
        p->x = 0;
        p->line += lines;
    }
}

/* ---- linear ---------------------------------------------------------------------------------------------------- */

static int linear(struct nvengine_channel *c, const struct transfer *t, struct progress *p)
{
    uint64_t length = t->length, lines = t->lines;
    struct span from, to;

    if (lines > 1 && t->source.pitch == length && t->destination.pitch == length) {
        length *= lines;
        lines = 1;
    }
    while (p->line < lines) {
        if (nvengine__span(&c->memory, surface_at(&t->source, p->x, p->line), length - p->x, false, &from))
            return source_fault(c);
        if (nvengine__span(&c->memory, surface_at(&t->destination, p->x, p->line), from.size, true, &to))
            return destination_fault(c);
        if (to.cpu && from.cpu)
            memmove(to.cpu, from.cpu, to.size);
        else if (to.cpu)
            memset(to.cpu, 0, to.size);
        advance(p, to.size, length, 1);
        if (spend(c, to.size))
            return p->line < lines ? AGAIN : DONE;
    }
    return DONE;
}

/* ---- tile ------------------------------------------------------------------------------------------------------ */

/* Eight parts of rows, walked from left to right. */
struct rows {
    uint8_t *cpu[8];
    unsigned left; /* bytes until one of them leaves its page */
};

static bool rows_open(struct memory *m, const struct surface *s, uint64_t x, uint64_t line, bool write, struct rows *r)
{
    r->left = PAGE;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t va = surface_at(s, x, line + i);
        unsigned left = PAGE - (va & (PAGE - 1));

        r->cpu[i] = nvengine__touch(m, va, NVENGINE_GOB_WIDTH, write);
        if (!r->cpu[i])
            return false;
        r->left = left < r->left ? left : r->left;
    }
    return true;
}

static void rows_advance(struct rows *r)
{
    r->left -= NVENGINE_GOB_WIDTH;
    for (unsigned i = 0; i < 8; i++)
        r->cpu[i] += NVENGINE_GOB_WIDTH;
}

/* A whole GOB and rows, in place. False: it does not lie in a page, or rows do not, or something faults. */
static bool gob_and_rows(struct memory *m, const struct transfer *t, const struct progress *p, struct rows *r)
{
    bool write = t->destination.tiled;
    const struct surface *tiled = write ? &t->destination : &t->source, *pitch = write ? &t->source : &t->destination;
    uint8_t *gob = nvengine__touch(m, surface_gob(tiled, p->x, p->line), NVENGINE_GOB_BYTES, write);

    if (!gob || (r->left < NVENGINE_GOB_WIDTH && !rows_open(m, pitch, p->x, p->line, !write, r)))
        return false;
    if (write)
        nvengine_gob_write(gob, (const void *const *)r->cpu);
    else
        nvengine_gob_read(gob, (void *const *)r->cpu);
    rows_advance(r);
    return true;
}

/* A whole GOB as another one. False: their bytes lie differently; or as above. */
static bool gob_as_gob(struct memory *m, const struct transfer *t, const struct progress *p)
{
    const struct surface *from = &t->source, *to = &t->destination;
    uint8_t *source, *destination;

    if ((from->x ^ to->x) & 63 || (from->y ^ to->y) & 7)
        return false;
    source = nvengine__touch(m, surface_gob(from, p->x, p->line), NVENGINE_GOB_BYTES, false);
    destination = nvengine__touch(m, surface_gob(to, p->x, p->line), NVENGINE_GOB_BYTES, true);
    if (!source || !destination)
        return false;
    memmove(destination, source, NVENGINE_GOB_BYTES);
    return true;
}

static bool whole_gob(struct nvengine_channel *c, const struct transfer *t, const struct progress *p, struct rows *r)
{
    if (t->source.tiled && t->destination.tiled)
        return gob_as_gob(&c->memory, t, p);
    return gob_and_rows(&c->memory, t, p, r);
}

static int part_of_gob(struct nvengine_channel *c, const struct transfer *t, const struct progress *p, unsigned n,
                       unsigned height)
{
    uint8_t part[NVENGINE_GOB_WIDTH];

    for (unsigned i = 0; i < height; i++) {
        if (nvengine__surface_read(&c->memory, &t->source, p->x, p->line + i, part, n))
            return source_fault(c);
        if (nvengine__surface_write(&c->memory, &t->destination, p->x, p->line + i, part, n))
            return destination_fault(c);
    }
    return 0;
}

/* Where it cannot be looked up, the copy will fault when it comes there, and tell of that. */
static void fetch_gob(struct memory *m, const struct surface *s, uint64_t x, uint64_t line, bool write)
{
    const uint8_t *gob = s->tiled ? nvengine__touch(m, surface_gob(s, x, line), NVENGINE_GOB_BYTES, write) : NULL;

    if (gob)
        nvengine__fetch(gob);
}

/* A GOB some way ahead. Neighbours of a row lie blocks apart in memory: no prefetcher sees them come. */
static void fetch_ahead(struct memory *m, const struct transfer *t, const struct progress *p)
{
    uint64_t x = p->x + AHEAD, line = p->line;

    if (x >= t->length) {
        x -= t->length;
        line += 8;
    }
    if (x >= t->length || line >= t->lines)
        return;
    fetch_gob(m, &t->source, x, line, false);
    fetch_gob(m, &t->destination, x, line, true);
}

static int tile(struct nvengine_channel *c, const struct transfer *t, struct progress *p)
{
    const struct surface *tiled = t->destination.tiled ? &t->destination : &t->source;
    struct rows rows = {.left = 0};

    while (p->line < t->lines) {
        uint64_t lines = t->lines - p->line, length = t->length - p->x;
        unsigned height = 8 - ((tiled->y + p->line) & 7), n = 64 - ((tiled->x + p->x) & 63);

        fetch_ahead(&c->memory, t, p);
        height = lines < height ? (unsigned)lines : height;
        n = length < n ? (unsigned)length : n;
        if (n < 64 || height < 8 || !whole_gob(c, t, p, &rows)) {
            rows.left = 0;
            if (part_of_gob(c, t, p, n, height))
                return -EFAULT;
        }
        advance(p, n, t->length, height);
        if (!p->x)
            rows.left = 0;
        if (spend(c, n * height))
            return p->line < t->lines ? AGAIN : DONE;
    }
    return DONE;
}

/* ---- staged ---------------------------------------------------------------------------------------------------- */

struct stage {
    _Alignas(16) uint8_t from[STAGE], to[STAGE];
    unsigned from_bytes, to_bytes; /* of an element */
    uint64_t most;                 /* elements */
    bool reads, keeps;
};

static void stage_init(struct stage *s, const struct nvengine_remap *r)
{
    s->from_bytes = r->size * r->from;
    s->to_bytes = r->size * r->to;
    s->most = STAGE / (s->from_bytes > s->to_bytes ? s->from_bytes : s->to_bytes);
    s->reads = nvengine_remap_reads(r);
    s->keeps = nvengine_remap_keeps(r);
    if (!s->reads && !s->keeps)
        nvengine_remap_apply(r, NULL, s->to, s->most);
}

/* n elements. What is kept has to be read: components share bytes' neighbourhood, and writes are of whole elements. */
static int stage_piece(struct nvengine_channel *c, const struct transfer *t, const struct progress *p, struct stage *s,
                       uint64_t n)
{
    struct memory *m = &c->memory;
    uint64_t x = p->x * s->to_bytes;

    if (s->reads && nvengine__surface_read(m, &t->source, p->x * s->from_bytes, p->line, s->from, n * s->from_bytes))
        return source_fault(c);
    if (s->keeps && nvengine__surface_read(m, &t->destination, x, p->line, s->to, n * s->to_bytes)) {
        m->fault.access = NVENGINE_WRITE;
        return destination_fault(c);
    }
    if (s->reads || s->keeps)
        nvengine_remap_apply(&t->remap, s->from, s->to, n);
    if (nvengine__surface_write(m, &t->destination, x, p->line, s->to, n * s->to_bytes))
        return destination_fault(c);
    return 0;
}

static int staged(struct nvengine_channel *c, const struct transfer *t, struct progress *p)
{
    struct stage s;

    stage_init(&s, &t->remap);
    while (p->line < t->lines) {
        uint64_t n = t->length - p->x < s.most ? t->length - p->x : s.most;

        if (stage_piece(c, t, p, &s, n))
            return -EFAULT;
        advance(p, n, t->length, 1);
        if (spend(c, n * s.to_bytes))
            return p->line < t->lines ? AGAIN : DONE;
    }
    return DONE;
}

/* ---------------------------------------------------------------------------------------------------------------- */

int nvengine__transfer(struct nvengine_channel *c, const struct transfer *t, struct progress *p)
{
    struct transfer plain = *t;

    if (!t->length || (t->remapped && !nvengine_remap_writes(&t->remap)))
        return DONE;
    if (t->remapped && !nvengine_remap_is_copy(&t->remap))
        return staged(c, t, p);
    if (t->remapped)
        plain.length *= (uint64_t)t->remap.size * t->remap.to;
    return plain.source.tiled || plain.destination.tiled ? tile(c, &plain, p) : linear(c, &plain, p);
}
