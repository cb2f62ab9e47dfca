/*
 * What 3D and compute do here: report semaphores, and the inline-to-memory engine that both contain. Nothing is drawn,
 * so every count that a report asks for is zero; timestamps are real.
 */
#include "engine.h"

#include <errno.h>

enum {
    SET_REPORT_SEMAPHORE_A = 0x1b00,
    SET_REPORT_SEMAPHORE_B = 0x1b04,
    SET_REPORT_SEMAPHORE_C = 0x1b08,
    SET_REPORT_SEMAPHORE_D = 0x1b0c, /* 1:0 operation, 3 reduce, 11:9 how, 16 compare, 17 signed, 28 one word */
};

enum { OP_RELEASE, OP_ACQUIRE, OP_REPORT_ONLY, OP_TRAP };
enum { UPPER_BITS = 8 };

/* Bits 11:9 in the host's numbers. */
static const uint8_t reductions[8] = {REDUCE_ADD, REDUCE_MIN, REDUCE_MAX, REDUCE_INC,
                                      REDUCE_DEC, REDUCE_AND, REDUCE_OR,  REDUCE_XOR};

static int acquire(struct nvengine_channel *c, uint64_t va, uint32_t payload, bool greater)
{
    uint64_t v;

    if (nvengine__semaphore(c, va, false, &v))
        return -EFAULT;
    return (greater ? (int32_t)((uint32_t)v - payload) >= 0 : (uint32_t)v == payload) ? DONE : BLOCKED;
}

static int report(struct nvengine_channel *c, const struct subchannel *s, uint32_t data)
{
    struct release r = {
        .va = shadow_address(s, SET_REPORT_SEMAPHORE_A, UPPER_BITS, SET_REPORT_SEMAPHORE_B),
        .payload = shadow(s, SET_REPORT_SEMAPHORE_C),
        .timestamp = !(data >> 28 & 1),
        .is_signed = data >> 17 & 1,
        .reduction = data >> 3 & 1 ? (enum reduction)reductions[data >> 9 & 7] : REDUCE_NONE,
    };

    switch (data & 3) {
    case OP_RELEASE:
        return nvengine__release(c, &r);
    case OP_ACQUIRE:
        return s->engine->reports ? acquire(c, r.va, (uint32_t)r.payload, data >> 16 & 1) : SWALLOWED;
    case OP_REPORT_ONLY:
        r.payload = 0;
        r.reduction = REDUCE_NONE;
        return s->engine->reports ? nvengine__release(c, &r) : SWALLOWED;
    default:
        return SWALLOWED;
    }
}

int nvengine__graphics_method(struct nvengine_channel *c, struct subchannel *s, uint32_t address, uint32_t data)
{
    switch (address) {
    case SET_REPORT_SEMAPHORE_D:
        return report(c, s, data);
    case SET_REPORT_SEMAPHORE_A: case SET_REPORT_SEMAPHORE_B: case SET_REPORT_SEMAPHORE_C:
        return DONE;
    default:
        return nvengine__inline_method(c, s, address, data);
    }
}
