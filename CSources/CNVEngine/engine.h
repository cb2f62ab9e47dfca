/*
 * What the files of the library share: the channel, and what an engine is to it.
 */
#ifndef NVENGINE_ENGINE_H
#define NVENGINE_ENGINE_H

#include "memory.h"

#define METHODS (NVENGINE_METHODS_END / 4)

/* What became of a method. Negative: -EFAULT, the channel's fault is filled. */
enum outcome {
    DONE = 0,
    SWALLOWED, /* it means nothing here */
    BLOCKED,   /* the same again later */
    AGAIN,     /* the same again: there is more to it */
    YIELDED,   /* done, and the channel gives its turn away */
};

struct subchannel;

/* A class of engine objects; constant. */
struct engine {
    uint16_t class_id; /* 0: every class with this low byte */
    uint8_t low;
    uint8_t address_bits; /* copy: of the upper half of an address */
    bool wide_origin;     /* copy: origins have methods of their own */
    bool long_payload;    /* copy: semaphores may have 64 bits */
    bool reports;         /* graphics: reports and acquires, not only releases */
    int (*method)(struct nvengine_channel *c, struct subchannel *s, uint32_t address, uint32_t data);
};

/* NULL: everything of that class is swallowed. */
const struct engine *nvengine__engine(uint16_t class_id);

/* Methods of a class that were swallowed. */
struct counter {
    uint16_t class_id;
    uint64_t count[METHODS];
};

/* How far a launched copy is; 0 between launches. */
struct progress {
    uint64_t line, x;
};

struct copy_state {
    struct progress progress;
    struct {
        uint32_t x, y;
    } source, destination;
};

/* An inline copy between its launch and its last word. */
struct inline_state {
    uint64_t done, total; /* bytes */
};

struct subchannel {
    uint16_t class_id;
    const struct engine *engine; /* NULL: swallow */
    struct counter *counter;
    struct copy_state copy;
    struct inline_state inlined;
    uint32_t shadow[METHODS];
};

struct segment {
    uint64_t va, bytes;
};

struct nvengine_channel {
    struct gpuvm_alloc alloc;
    uint64_t (*now)(void *ctx);
    void *time_ctx;
    uint16_t host_class;

    struct segment *ring;
    uint32_t ring_size, first, pending;
    uint64_t offset;         /* bytes of the first segment that were fetched */
    const uint8_t *window;   /* words that may be read without a walk */
    uint32_t window_bytes;

    struct nvengine_decoder decoder;
    struct nvengine_method method;
    bool has_method; /* it is to be carried out (again) */
    bool is_blocked; /* the last step ended with an acquire that does not match */
    int64_t budget;  /* what this step may still do */

    struct counter *counters; /* [0]: of no class */
    size_t counter_count;
    struct nvengine_statistics statistics;
    struct nvengine_fault fault;
    struct memory memory;
    uint32_t host[0x100 / 4];
    struct subchannel subchannel[NVENGINE_SUBCHANNELS];
};

static inline uint32_t shadow(const struct subchannel *s, uint32_t address)
{
    return s->shadow[address / 4];
}

/* Two methods as an address. */
static inline uint64_t shadow_address(const struct subchannel *s, uint32_t upper, unsigned upper_bits, uint32_t lower)
{
    return (uint64_t)(shadow(s, upper) & ((1u << upper_bits) - 1)) << 32 | shadow(s, lower);
}

/* Fill the channel's fault; both return -EFAULT. For an access, the memory's last failure. */
int nvengine__fail(struct nvengine_channel *c, enum nvengine_error error);
int nvengine__fail_access(struct nvengine_channel *c, enum nvengine_role role);

/* ---- engines ------------------------------------------------------------------------------------------------- */

int nvengine__host_method(struct nvengine_channel *c, uint32_t address, uint32_t data);
int nvengine__copy_method(struct nvengine_channel *c, struct subchannel *s, uint32_t address, uint32_t data);
/* 3D, compute, inline-to-memory. */
int nvengine__graphics_method(struct nvengine_channel *c, struct subchannel *s, uint32_t address, uint32_t data);
int nvengine__inline_method(struct nvengine_channel *c, struct subchannel *s, uint32_t address, uint32_t data);

/* ---- semaphores ---------------------------------------------------------------------------------------------- */

/* In the host's numbers. */
enum reduction {
    REDUCE_MIN,
    REDUCE_MAX,
    REDUCE_XOR,
    REDUCE_AND,
    REDUCE_OR,
    REDUCE_ADD,
    REDUCE_INC,
    REDUCE_DEC,
    REDUCE_NONE,
};

struct release {
    uint64_t va;
    uint64_t payload;
    bool is_long;   /* 64 bits of payload */
    bool timestamp; /* 16 bytes: the payload in 64 bits, then nanoseconds */
    bool is_signed; /* of a reduction */
    enum reduction reduction;
};

/* Writes the timestamp, then the payload (or its reduction), which whoever acquires sees last. 0 or -EFAULT. */
int nvengine__release(struct nvengine_channel *c, const struct release *r);
/* The value of a semaphore. */
int nvengine__semaphore(struct nvengine_channel *c, uint64_t va, bool is_long, uint64_t *out);

#endif
