/*
 * Looking into a channel, and names.
 */
#include "engine.h"

const char *nvengine_error_name(enum nvengine_error error)
{
    static const char *const names[] = {"NONE", "MMU", "PBENTRY", "METHOD", "SEMAPHORE", "LAUNCH"};

    return (unsigned)error < sizeof(names) / sizeof(names[0]) ? names[error] : NULL;
}

const char *nvengine_fault_type_name(unsigned type)
{
    switch (type) {
    case NVENGINE_FAULT_PRIV:
        return "PRIV_VIOLATION";
    case NVENGINE_FAULT_RO:
        return "RO_VIOLATION";
    case NVENGINE_FAULT_APERTURE:
        return "UNSUPPORTED_APERTURE";
    case NVENGINE_FAULT_ATOMIC:
        return "ATOMIC_VIOLATION";
    default:
        return nvmmu_fault_name((enum nvmmu_fault)type);
    }
}

const char *nvengine_role_name(enum nvengine_role role)
{
    static const char *const names[] = {"fetch", "source", "destination", "semaphore"};

    return (unsigned)role < sizeof(names) / sizeof(names[0]) ? names[role] : NULL;
}

const struct nvengine_fault *nvengine_channel_fault(const struct nvengine_channel *c)
{
    return c->fault.error ? &c->fault : NULL;
}

struct nvengine_statistics nvengine_channel_statistics(const struct nvengine_channel *c)
{
    return c->statistics;
}

size_t nvengine_channel_pending(const struct nvengine_channel *c)
{
    return c->pending;
}

uint32_t nvengine_channel_register(const struct nvengine_channel *c, unsigned subchannel, uint32_t address)
{
    address %= NVENGINE_METHODS_END;
    if (address < sizeof(c->host))
        return c->host[address / 4];
    return c->subchannel[subchannel % NVENGINE_SUBCHANNELS].shadow[address / 4];
}

uint16_t nvengine_channel_bound(const struct nvengine_channel *c, unsigned subchannel)
{
    return c->subchannel[subchannel % NVENGINE_SUBCHANNELS].class_id;
}

const struct nvengine_method *nvengine_channel_waiting(const struct nvengine_channel *c)
{
    return c->is_blocked ? &c->method : NULL;
}

int nvengine_channel_swallowed(const struct nvengine_channel *c,
                               int (*visit)(void *ctx, uint16_t class_id, uint32_t address, uint64_t count), void *ctx)
{
    int ret = 0;

    for (size_t i = 0; i < c->counter_count && !ret; i++)
        for (uint32_t m = 0; m < METHODS && !ret; m++)
            if (c->counters[i].count[m])
                ret = visit(ctx, c->counters[i].class_id, m * 4, c->counters[i].count[m]);
    return ret;
}
