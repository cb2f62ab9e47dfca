/*
 * Inline-to-memory, in its own class and in 3D and compute: data in the pushbuffer goes to memory, to lines in a row
 * (pitch) or block-linear. The bytes of all lines follow each other without gaps; the last word may have some too many.
 *
 * Invariant: between a launch and its last word done < total; each word is written when it comes.
 */
#include "engine.h"
#include "surface.h"

#include <errno.h>

enum {
    I2M_LINE_LENGTH_IN = 0x180,
    I2M_LINE_COUNT = 0x184,
    I2M_OFFSET_OUT_UPPER = 0x188,
    I2M_OFFSET_OUT = 0x18c,
    I2M_PITCH_OUT = 0x190,
    I2M_SET_DST_BLOCK_SIZE = 0x194,
    I2M_SET_DST_WIDTH = 0x198,
    I2M_SET_DST_HEIGHT = 0x19c,
    I2M_SET_DST_LAYER = 0x1a4,
    I2M_SET_DST_ORIGIN_BYTES_X = 0x1a8,
    I2M_SET_DST_ORIGIN_SAMPLES_Y = 0x1ac,
    I2M_LAUNCH_DMA = 0x1b0, /* 0 pitch, 1 reduce, 5:4 completion (2: semaphore), 12 one word of semaphore */
    I2M_LOAD_INLINE_DATA = 0x1b4,
    I2M_SET_SEMAPHORE_A = 0x1dc,
    I2M_SET_SEMAPHORE_B = 0x1e0,
    I2M_SET_SEMAPHORE_C = 0x1e4,
    NO_OPERATION = 0x100,
    WAIT_FOR_IDLE = 0x110,
};

enum { UPPER_BITS = 25 };

/* -EINVAL: a block that is not one GOB wide, or higher or deeper than there are. */
static int destination(const struct subchannel *s, struct surface *out)
{
    uint32_t size = shadow(s, I2M_SET_DST_BLOCK_SIZE);

    *out = (struct surface){
        .base = shadow_address(s, I2M_OFFSET_OUT_UPPER, UPPER_BITS, I2M_OFFSET_OUT),
        .pitch = shadow(s, I2M_PITCH_OUT),
        .tiled = !(shadow(s, I2M_LAUNCH_DMA) & 1),
        .x = shadow(s, I2M_SET_DST_ORIGIN_BYTES_X) & 0x1fffff,
        .y = shadow(s, I2M_SET_DST_ORIGIN_SAMPLES_Y) & 0x1ffff,
        .z = shadow(s, I2M_SET_DST_LAYER),
    };
    if (!out->tiled)
        return 0;
    if (size & 0xf)
        return -EINVAL;
    return nvengine_layout_init(&out->layout, shadow(s, I2M_SET_DST_WIDTH), shadow(s, I2M_SET_DST_HEIGHT),
                                size >> 4 & 0xf, size >> 8 & 0xf);
}

static int complete(struct nvengine_channel *c, const struct subchannel *s)
{
    uint32_t launch = shadow(s, I2M_LAUNCH_DMA);
    struct release r = {
        .va = shadow_address(s, I2M_SET_SEMAPHORE_A, UPPER_BITS, I2M_SET_SEMAPHORE_B),
        .payload = shadow(s, I2M_SET_SEMAPHORE_C),
        .timestamp = !(launch >> 12 & 1),
        .reduction = REDUCE_NONE,
    };

    return (launch >> 4 & 3) == 2 ? nvengine__release(c, &r) : DONE;
}

static int launch(struct nvengine_channel *c, struct subchannel *s, uint32_t data)
{
    uint64_t length = shadow(s, I2M_LINE_LENGTH_IN), lines = shadow(s, I2M_LINE_COUNT);
    struct surface to;

    s->inlined = (struct inline_state){0};
    if (data & 2 || destination(s, &to)) /* reductions of data are left out */
        return nvengine__fail(c, NVENGINE_ERROR_LAUNCH);
    s->inlined.total = length * lines;
    return s->inlined.total ? DONE : complete(c, s);
}

static int load(struct nvengine_channel *c, struct subchannel *s, uint32_t word)
{
    struct inline_state *in = &s->inlined;
    uint64_t length = shadow(s, I2M_LINE_LENGTH_IN), at = in->done;
    const uint8_t *from = (const uint8_t *)&word;
    struct surface to;

    if (in->done == in->total)
        return SWALLOWED;
    if (!length || destination(s, &to)) /* changed since the launch */
        return nvengine__fail(c, NVENGINE_ERROR_LAUNCH);
    for (unsigned left = 4; left && at < in->total;) {
        uint64_t x = at % length, n = length - x < left ? length - x : left;

        if (nvengine__surface_write(&c->memory, &to, x, at / length, from, n))
            return nvengine__fail_access(c, NVENGINE_DESTINATION);
        from += n, at += n, left -= (unsigned)n;
    }
    if (at >= in->total && complete(c, s))
        return -EFAULT;
    c->statistics.bytes += at - in->done;
    in->done = at;
    return DONE;
}

int nvengine__inline_method(struct nvengine_channel *c, struct subchannel *s, uint32_t address, uint32_t data)
{
    switch (address) {
    case I2M_LAUNCH_DMA:
        return launch(c, s, data);
    case I2M_LOAD_INLINE_DATA:
        return load(c, s, data);
    case I2M_SET_SEMAPHORE_A: case I2M_SET_SEMAPHORE_B: case I2M_SET_SEMAPHORE_C: case NO_OPERATION: case WAIT_FOR_IDLE:
        return DONE;
    default:
        return address >= I2M_LINE_LENGTH_IN && address < I2M_LAUNCH_DMA ? DONE : SWALLOWED;
    }
}
