/*
 * The copy engine, Kepler to Ampere: registers, LAUNCH_DMA. Registers keep their values; origins are beside them,
 * because two methods set them, and on older classes only one.
 */
#include "transfer.h"

#include <errno.h>

enum {
    COPY_NOP = 0x100,
    SET_SEMAPHORE_A = 0x240,
    SET_SEMAPHORE_B = 0x244,
    SET_SEMAPHORE_PAYLOAD = 0x248,
    SET_SEMAPHORE_PAYLOAD_UPPER = 0x24c,
    LAUNCH_DMA = 0x300,
    OFFSET_IN_UPPER = 0x400,
    OFFSET_IN_LOWER = 0x404,
    OFFSET_OUT_UPPER = 0x408,
    OFFSET_OUT_LOWER = 0x40c,
    PITCH_IN = 0x410,
    PITCH_OUT = 0x414,
    LINE_LENGTH_IN = 0x418,
    LINE_COUNT = 0x41c,
    SET_REMAP_CONST_A = 0x700,
    SET_REMAP_CONST_B = 0x704,
    SET_REMAP_COMPONENTS = 0x708,
    SET_DST_BLOCK_SIZE = 0x70c, /* then width, height, depth, layer, origin */
    SET_DST_ORIGIN = 0x720,
    SET_SRC_BLOCK_SIZE = 0x728,
    SET_SRC_ORIGIN = 0x73c,
    SRC_ORIGIN_X = 0x744,
    SRC_ORIGIN_Y = 0x748,
    DST_ORIGIN_X = 0x74c,
    DST_ORIGIN_Y = 0x750,
};

/* From SET_…_BLOCK_SIZE on. */
enum { BLOCK_SIZE = 0, WIDTH = 4, HEIGHT = 8, LAYER = 16 };

static inline unsigned bits(uint32_t word, unsigned high, unsigned low)
{
    return word >> low & ((2u << (high - low)) - 1);
}

/* ---- LAUNCH_DMA: 1:0 transfer, 4:3 semaphore, 7 and 8 pitch in and out, 9 multi-line, 10 remap, 12 and 13 physical
 * addresses, 17:14 reduction, 18 unsigned, 19 reduce, 27 long payload ---------------------------------------------- */

/* -EINVAL: a block that is not one GOB wide, or a GOB of four rows. */
static int block_linear(const struct subchannel *s, uint32_t registers, uint32_t x, uint32_t y, unsigned element,
                        struct surface *out)
{
    uint32_t size = shadow(s, registers + BLOCK_SIZE);

    out->tiled = true;
    out->x = (uint64_t)x * element;
    out->y = y;
    out->z = shadow(s, registers + LAYER);
    if (bits(size, 3, 0) || bits(size, 15, 12) != 1)
        return -EINVAL;
    return nvengine_layout_init(&out->layout, (uint64_t)shadow(s, registers + WIDTH) * element,
                                shadow(s, registers + HEIGHT), bits(size, 7, 4), bits(size, 11, 8));
}

static int transfer_of(const struct subchannel *s, uint32_t launch, struct transfer *t)
{
    unsigned from = 1, to = 1, upper = s->engine->address_bits;

    *t = (struct transfer){
        .source = {.base = shadow_address(s, OFFSET_IN_UPPER, upper, OFFSET_IN_LOWER), .pitch = shadow(s, PITCH_IN)},
        .destination = {.base = shadow_address(s, OFFSET_OUT_UPPER, upper, OFFSET_OUT_LOWER),
                        .pitch = shadow(s, PITCH_OUT)},
        .length = shadow(s, LINE_LENGTH_IN),
        .lines = bits(launch, 9, 9) ? shadow(s, LINE_COUNT) : 1,
        .remapped = bits(launch, 10, 10),
    };
    if (bits(launch, 13, 12))
        return -EINVAL;
    if (t->remapped) {
        if (nvengine_remap_init(&t->remap, shadow(s, SET_REMAP_COMPONENTS), shadow(s, SET_REMAP_CONST_A),
                                shadow(s, SET_REMAP_CONST_B)))
            return -EINVAL;
        from = (unsigned)t->remap.size * t->remap.from;
        to = (unsigned)t->remap.size * t->remap.to;
    }
    if (!bits(launch, 7, 7) &&
        block_linear(s, SET_SRC_BLOCK_SIZE, s->copy.source.x, s->copy.source.y, from, &t->source))
        return -EINVAL;
    if (!bits(launch, 8, 8) &&
        block_linear(s, SET_DST_BLOCK_SIZE, s->copy.destination.x, s->copy.destination.y, to, &t->destination))
        return -EINVAL;
    return 0;
}

static int copy_data(struct nvengine_channel *c, struct subchannel *s, uint32_t launch)
{
    struct transfer t;

    switch (bits(launch, 1, 0)) {
    case 0:
        return DONE;
    case 3:
        return nvengine__fail(c, NVENGINE_ERROR_LAUNCH);
    }
    if (transfer_of(s, launch, &t))
        return nvengine__fail(c, NVENGINE_ERROR_LAUNCH);
    return nvengine__transfer(c, &t, &s->copy.progress);
}

static int copy_semaphore(struct nvengine_channel *c, const struct subchannel *s, uint32_t launch)
{
    struct release r = {
        .va = shadow_address(s, SET_SEMAPHORE_A, s->engine->address_bits, SET_SEMAPHORE_B),
        .payload = shadow(s, SET_SEMAPHORE_PAYLOAD),
        .is_long = s->engine->long_payload && bits(launch, 27, 27),
        .timestamp = bits(launch, 4, 3) == 2,
        .is_signed = !bits(launch, 18, 18),
        .reduction = bits(launch, 19, 19) ? (enum reduction)bits(launch, 17, 14) : REDUCE_NONE,
    };

    if (!bits(launch, 4, 3))
        return DONE;
    /* What is left out: sums of floats, and the semaphore that may be an interrupt. */
    if (bits(launch, 4, 3) == 3 || (bits(launch, 19, 19) && r.reduction >= REDUCE_NONE))
        return nvengine__fail(c, NVENGINE_ERROR_LAUNCH);
    if (r.is_long)
        r.payload |= (uint64_t)shadow(s, SET_SEMAPHORE_PAYLOAD_UPPER) << 32;
    return nvengine__release(c, &r);
}

static int launch_dma(struct nvengine_channel *c, struct subchannel *s, uint32_t launch)
{
    int outcome = copy_data(c, s, launch);

    if (outcome == DONE)
        outcome = copy_semaphore(c, s, launch);
    if (outcome != DONE)
        return outcome;
    s->copy.progress = (struct progress){0};
    c->statistics.launches++;
    return DONE;
}

/* ---------------------------------------------------------------------------------------------------------------- */

static int wide_origin(struct subchannel *s, uint32_t address, uint32_t data)
{
    if (!s->engine->wide_origin)
        return SWALLOWED;
    switch (address) {
    case SRC_ORIGIN_X:
        s->copy.source.x = data;
        break;
    case SRC_ORIGIN_Y:
        s->copy.source.y = data;
        break;
    case DST_ORIGIN_X:
        s->copy.destination.x = data;
        break;
    case DST_ORIGIN_Y:
        s->copy.destination.y = data;
        break;
    }
    return DONE;
}

int nvengine__copy_method(struct nvengine_channel *c, struct subchannel *s, uint32_t address, uint32_t data)
{
    switch (address) {
    case LAUNCH_DMA:
        return launch_dma(c, s, data);
    case SET_SRC_ORIGIN:
        s->copy.source.x = bits(data, 15, 0);
        s->copy.source.y = bits(data, 31, 16);
        return DONE;
    case SET_DST_ORIGIN:
        s->copy.destination.x = bits(data, 15, 0);
        s->copy.destination.y = bits(data, 31, 16);
        return DONE;
    case SRC_ORIGIN_X: case SRC_ORIGIN_Y: case DST_ORIGIN_X: case DST_ORIGIN_Y:
        return wide_origin(s, address, data);
    case SET_SEMAPHORE_PAYLOAD_UPPER:
        return s->engine->long_payload ? DONE : SWALLOWED;
    case COPY_NOP: case SET_SEMAPHORE_A: case SET_SEMAPHORE_B: case SET_SEMAPHORE_PAYLOAD:
        return DONE;
    default:
        return (address >= OFFSET_IN_UPPER && address <= LINE_COUNT) ||
                       (address >= SET_REMAP_CONST_A && address < SET_SRC_ORIGIN)
                   ? DONE
                   : SWALLOWED;
    }
}
