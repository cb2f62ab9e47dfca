/*
 * Semaphores in memory, for the host and every engine. What is aligned is read and written at once and in order, so
 * that a channel on another thread sees all that came before a release.
 */
#include "engine.h"

#include <errno.h>

static bool aligned(uint64_t va, unsigned bytes)
{
    return !(va & (bytes - 1));
}

static int store(struct memory *m, uint64_t va, uint64_t value, bool is_long)
{
    unsigned bytes = is_long ? 8 : 4;
    uint8_t *cpu;

    if (!aligned(va, bytes))
        return nvengine__write(m, va, &value, bytes);
    cpu = nvengine__touch(m, va, bytes, true);
    if (!cpu)
        return -EFAULT;
    if (is_long)
        __atomic_store_n((uint64_t *)(void *)cpu, value, __ATOMIC_RELEASE);
    else
        __atomic_store_n((uint32_t *)(void *)cpu, (uint32_t)value, __ATOMIC_RELEASE);
    return 0;
}

static uint64_t lesser(uint64_t v, uint64_t p, bool is_signed, bool is_long)
{
    if (!is_signed)
        return v < p ? v : p;
    if (is_long)
        return (int64_t)v < (int64_t)p ? v : p;
    return (int32_t)v < (int32_t)p ? v : p;
}

static uint64_t reduced(const struct release *r, uint64_t v)
{
    uint64_t p = r->payload;

    switch (r->reduction) {
    case REDUCE_MIN:
        return lesser(v, p, r->is_signed, r->is_long);
    case REDUCE_MAX:
        return lesser(v, p, r->is_signed, r->is_long) == v ? p : v;
    case REDUCE_XOR:
        return v ^ p;
    case REDUCE_AND:
        return v & p;
    case REDUCE_OR:
        return v | p;
    case REDUCE_ADD:
        return v + p;
    case REDUCE_INC:
        return v >= p ? 0 : v + 1;
    default: /* REDUCE_DEC */
        return v == 0 || v > p ? p : v - 1;
    }
}

static void reduce_long(uint64_t *at, const struct release *r)
{
    uint64_t v = __atomic_load_n(at, __ATOMIC_RELAXED);

    while (!__atomic_compare_exchange_n(at, &v, reduced(r, v), true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        ;
}

static void reduce_short(uint32_t *at, const struct release *r)
{
    uint32_t v = __atomic_load_n(at, __ATOMIC_RELAXED);

    while (!__atomic_compare_exchange_n(at, &v, (uint32_t)reduced(r, v), true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        ;
}

/* Reductions are atomic accesses, which a page may refuse. */
static int check_atomic(struct memory *m, uint64_t va)
{
    struct nvmmu_walk w;

    nvmmu_walk(&m->is.space, va, &w);
    if (w.state != NVMMU_MAPPED || !w.page.atomic_disable)
        return 0;
    m->fault.va = va;
    m->fault.type = NVENGINE_FAULT_ATOMIC;
    m->fault.access = NVENGINE_ATOMIC;
    return -EFAULT;
}

static int reduce(struct nvengine_channel *c, const struct release *r)
{
    struct memory *m = &c->memory;
    uint8_t *cpu;

    if (check_atomic(m, r->va))
        return -EFAULT;
    cpu = nvengine__touch(m, r->va, r->is_long ? 8 : 4, true);
    if (!cpu) {
        m->fault.access = NVENGINE_ATOMIC;
        return -EFAULT;
    }
    if (r->is_long)
        reduce_long((uint64_t *)(void *)cpu, r);
    else
        reduce_short((uint32_t *)(void *)cpu, r);
    return 0;
}

static int release(struct nvengine_channel *c, const struct release *r)
{
    uint64_t now = r->timestamp && c->now ? c->now(c->time_ctx) : 0;

    if (r->timestamp && nvengine__write(&c->memory, r->va + 8, &now, sizeof(now)))
        return -EFAULT;
    if (r->reduction != REDUCE_NONE)
        return reduce(c, r);
    return store(&c->memory, r->va, r->is_long ? r->payload : (uint32_t)r->payload, r->is_long || r->timestamp);
}

int nvengine__release(struct nvengine_channel *c, const struct release *r)
{
    if (r->reduction != REDUCE_NONE && !aligned(r->va, r->is_long ? 8 : 4))
        return nvengine__fail(c, NVENGINE_ERROR_SEMAPHORE);
    return release(c, r) ? nvengine__fail_access(c, NVENGINE_SEMAPHORE) : 0;
}

int nvengine__semaphore(struct nvengine_channel *c, uint64_t va, bool is_long, uint64_t *out)
{
    unsigned bytes = is_long ? 8 : 4;
    const uint8_t *cpu;

    *out = 0;
    if (!aligned(va, bytes))
        return nvengine__read(&c->memory, va, out, bytes) ? nvengine__fail_access(c, NVENGINE_SEMAPHORE) : 0;
    cpu = nvengine__touch(&c->memory, va, bytes, false);
    if (!cpu)
        return nvengine__fail_access(c, NVENGINE_SEMAPHORE);
    *out = is_long ? __atomic_load_n((const uint64_t *)(const void *)cpu, __ATOMIC_ACQUIRE)
                   : __atomic_load_n((const uint32_t *)(const void *)cpu, __ATOMIC_ACQUIRE);
    return 0;
}
