/*
 * A channel's life: pushes in a ring, words through the decoder, methods to the host or to what is bound.
 *
 * Invariant: everything a step needs to go on stands in the channel: the method that is not done yet, how far its
 * engine is, the place in the push. A method is looked at only when the one before it is done.
 */
#include "engine.h"

#include <errno.h>

enum {
    CLASSES_MOST = 64,
    SEGMENTS_MOST = 65536,
    SEGMENTS = 1024,
    PUSH_BYTES_END = 8 << 20,
    STEP_BUDGET = 32 << 20,
    WORD_COST = 16, /* of the budget: about as long as it takes to copy so many bytes */
    SET_OBJECT = 0,
    HOST_END = 0x100,
};

/* ---- faults ---------------------------------------------------------------------------------------------------- */

static uint64_t word_address(const struct nvengine_channel *c)
{
    uint64_t at = c->ring[c->first].va + c->offset;

    return c->has_method ? at - 4 : at;
}

static uint16_t class_at_work(const struct nvengine_channel *c)
{
    if (!c->has_method || c->method.address < HOST_END)
        return c->host_class;
    return c->subchannel[c->method.subchannel].class_id;
}

int nvengine__fail(struct nvengine_channel *c, enum nvengine_error error)
{
    c->fault = (struct nvengine_fault){.error = error, .class_id = class_at_work(c), .push = word_address(c)};
    if (c->has_method)
        c->fault.method = c->method;
    return -EFAULT;
}

int nvengine__fail_access(struct nvengine_channel *c, enum nvengine_role role)
{
    nvengine__fail(c, NVENGINE_ERROR_MMU);
    c->fault.role = role;
    c->fault.access = c->memory.fault.access;
    c->fault.type = c->memory.fault.type;
    c->fault.va = c->memory.fault.va;
    nvmmu_walk(&c->memory.is.space, c->fault.va, &c->fault.walk);
    return -EFAULT;
}

/* ---- methods --------------------------------------------------------------------------------------------------- */

static struct counter *counter_of(struct nvengine_channel *c, uint16_t class_id)
{
    for (size_t i = 1; i < c->counter_count; i++)
        if (c->counters[i].class_id == class_id)
            return &c->counters[i];
    return NULL;
}

/* A class that is not offered has no engine. Registers stay. */
static void bind(struct nvengine_channel *c, struct subchannel *s, uint16_t class_id)
{
    struct counter *counter = counter_of(c, class_id);

    s->class_id = class_id;
    s->engine = counter ? nvengine__engine(class_id) : NULL;
    s->counter = counter ? counter : &c->counters[0];
}

static int dispatch(struct nvengine_channel *c, const struct nvengine_method *m)
{
    struct subchannel *s = &c->subchannel[m->subchannel];

    if (m->address == SET_OBJECT) {
        bind(c, s, m->data & 0xffff);
        return DONE;
    }
    if (m->address < HOST_END)
        return nvengine__host_method(c, m->address, m->data);
    s->shadow[m->address / 4] = m->data;
    return s->engine ? s->engine->method(c, s, m->address, m->data) : SWALLOWED;
}

static void count_swallowed(struct nvengine_channel *c, const struct nvengine_method *m)
{
    struct counter *counter = m->address < HOST_END ? &c->counters[0] : c->subchannel[m->subchannel].counter;

    counter->count[m->address / 4]++;
    c->statistics.swallowed++;
}

/* The method at hand. An enum nvengine_state, -EFAULT, or CONTINUE. */
enum { CONTINUE = 100 };

static int perform(struct nvengine_channel *c)
{
    int outcome = dispatch(c, &c->method);

    if (outcome < 0)
        return outcome;
    if (outcome == BLOCKED)
        return NVENGINE_BLOCKED;
    if (outcome == AGAIN)
        return NVENGINE_READY;
    if (outcome == SWALLOWED)
        count_swallowed(c, &c->method);
    c->statistics.methods++;
    c->has_method = false;
    return outcome == YIELDED || c->budget <= 0 ? NVENGINE_READY : CONTINUE;
}

/* ---- pushes ---------------------------------------------------------------------------------------------------- */

static int finish_segment(struct nvengine_channel *c)
{
    c->first = (c->first + 1) % c->ring_size;
    c->pending--;
    c->offset = 0;
    c->window_bytes = 0;
    c->statistics.pushes++;
    return c->pending ? NVENGINE_READY : NVENGINE_IDLE;
}

/* The words up to the end of a page or of the push. */
static int open_window(struct nvengine_channel *c, const struct segment *s)
{
    uint64_t va = s->va + c->offset, left = s->bytes - c->offset;

    c->window = nvengine__touch(&c->memory, va, 4, false);
    if (!c->window)
        return nvengine__fail_access(c, NVENGINE_FETCH);
    c->window_bytes = PAGE - (va & (PAGE - 1));
    if (c->window_bytes > left)
        c->window_bytes = (uint32_t)left;
    return 0;
}

static int bad_header(struct nvengine_channel *c, uint32_t word)
{
    c->offset -= 4;
    nvengine__fail(c, NVENGINE_ERROR_PBENTRY);
    c->offset += 4;
    c->fault.method.data = word;
    return -EFAULT;
}

/* One word more. */
static int advance(struct nvengine_channel *c)
{
    const struct segment *s = &c->ring[c->first];
    uint32_t word;

    if (c->offset == s->bytes)
        return finish_segment(c);
    if (!c->window_bytes && open_window(c, s))
        return -EFAULT;
    memcpy(&word, c->window, 4);
    c->window += 4;
    c->window_bytes -= 4;
    c->offset += 4;
    c->budget -= WORD_COST;
    c->statistics.words++;
    switch (nvengine_decode(&c->decoder, word, &c->method)) {
    case NVENGINE_DECODED_METHOD:
        c->has_method = true;
        return CONTINUE;
    case NVENGINE_DECODED_END:
        return finish_segment(c);
    case NVENGINE_DECODED_NOTHING:
        return c->budget <= 0 ? NVENGINE_READY : CONTINUE;
    default:
        return bad_header(c, word);
    }
}

int nvengine_channel_push(struct nvengine_channel *c, uint64_t va, uint64_t bytes, unsigned flags)
{
    if ((va | bytes) & 3 || bytes >= PUSH_BYTES_END || flags & ~NVENGINE_PUSH_NO_PREFETCH)
        return -EINVAL;
    if (c->fault.error)
        return -EFAULT;
    if (c->pending == c->ring_size)
        return -ENOSPC;
    c->ring[(c->first + c->pending++) % c->ring_size] = (struct segment){va, bytes};
    return 0;
}

int nvengine_channel_step(struct nvengine_channel *c)
{
    const struct nvengine_memory *m = &c->memory.is;
    int state;

    if (c->fault.error)
        return -EFAULT;
    if (!c->pending)
        return NVENGINE_IDLE;
    if (m->enter)
        m->enter(m->ctx);
    nvengine__memory_begin(&c->memory);
    c->window_bytes = 0;
    c->budget = STEP_BUDGET;
    do
        state = c->has_method ? perform(c) : advance(c);
    while (state == CONTINUE);
    c->is_blocked = state == NVENGINE_BLOCKED;
    if (m->leave)
        m->leave(m->ctx);
    return state;
}

int nvengine_channel_run(struct nvengine_channel *c)
{
    int state;

    do
        state = nvengine_channel_step(c);
    while (state == NVENGINE_READY);
    return state;
}

void nvengine_channel_resume(struct nvengine_channel *c)
{
    if (c->fault.error && c->fault.error != NVENGINE_ERROR_MMU) {
        c->has_method = false;
        c->subchannel[c->method.subchannel].copy.progress = (struct progress){0};
    }
    c->fault.error = NVENGINE_ERROR_NONE;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static bool is_offered(const struct nvengine_config *config, uint16_t class_id)
{
    for (size_t i = 0; i < config->class_count; i++)
        if (config->classes[i] == class_id)
            return true;
    return false;
}

static bool is_valid(const struct nvengine_config *config)
{
    if (config->size != sizeof(*config) || !config->memory.space.format || config->class_count > CLASSES_MOST ||
        config->segments > SEGMENTS_MOST)
        return false;
    for (unsigned i = 0; i < NVENGINE_SUBCHANNELS; i++)
        if (config->bound[i] && !is_offered(config, config->bound[i]))
            return false;
    return true;
}

static void init(struct nvengine_channel *c, const struct nvengine_config *config)
{
    c->now = config->now;
    c->time_ctx = config->time_ctx;
    c->host_class = config->host_class;
    c->memory.is = config->memory;
    for (size_t i = 0; i < config->class_count; i++)
        c->counters[i + 1].class_id = config->classes[i];
    for (unsigned i = 0; i < NVENGINE_SUBCHANNELS; i++)
        bind(c, &c->subchannel[i], config->bound[i]);
}

int nvengine_channel_create(const struct nvengine_config *config, struct nvengine_channel **out)
{
    struct nvengine_channel *c;

    if (!is_valid(config))
        return -EINVAL;
    c = gpuvm_mem_alloc(&config->alloc, sizeof(*c), _Alignof(struct nvengine_channel));
    if (!c)
        return -ENOMEM;
    memset(c, 0, sizeof(*c));
    c->alloc = config->alloc;
    c->ring_size = config->segments ? config->segments : SEGMENTS;
    c->counter_count = config->class_count + 1;
    c->ring = gpuvm_mem_alloc(&c->alloc, c->ring_size * sizeof(*c->ring), _Alignof(struct segment));
    c->counters = gpuvm_mem_alloc(&c->alloc, c->counter_count * sizeof(*c->counters), _Alignof(struct counter));
    if (!c->ring || !c->counters) {
        nvengine_channel_destroy(c);
        return -ENOMEM;
    }
    memset(c->ring, 0, c->ring_size * sizeof(*c->ring));
    memset(c->counters, 0, c->counter_count * sizeof(*c->counters));
    init(c, config);
    *out = c;
    return 0;
}

void nvengine_channel_destroy(struct nvengine_channel *c)
{
    struct gpuvm_alloc alloc;

    if (!c)
        return;
    alloc = c->alloc;
    gpuvm_mem_free(&alloc, c->counters, c->counter_count * sizeof(*c->counters));
    gpuvm_mem_free(&alloc, c->ring, c->ring_size * sizeof(*c->ring));
    gpuvm_mem_free(&alloc, c, sizeof(*c));
}
