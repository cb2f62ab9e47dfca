/*
 * Methods below 0x100: the host's own, the same on every subchannel. What waits for idle or flushes has nothing to do,
 * because engines are serial; interrupts are for nobody. SET_OBJECT is the channel's.
 */
#include "engine.h"

#include <errno.h>

enum {
    ILLEGAL = 0x04,
    NOP = 0x08,
    SEMAPHOREA = 0x10, /* to SEMAPHORED: Fermi's */
    SEMAPHOREB = 0x14,
    SEMAPHOREC = 0x18,
    SEMAPHORED = 0x1c,
    NON_STALL_INTERRUPT = 0x20,
    FB_FLUSH = 0x24,
    MEM_OP_A = 0x28,
    MEM_OP_B = 0x2c,
    MEM_OP_C = 0x30,
    MEM_OP_D = 0x34,
    SET_REFERENCE = 0x50,
    SEM_ADDR_LO = 0x5c, /* to SEM_EXECUTE: Volta's */
    SEM_ADDR_HI = 0x60,
    SEM_PAYLOAD_LO = 0x64,
    SEM_PAYLOAD_HI = 0x68,
    SEM_EXECUTE = 0x6c,
    WFI = 0x78,
    CRC_CHECK = 0x7c,
    YIELD = 0x80,
    CLEAR_FAULTED = 0x84,
};

enum { GV100_HOST = 0xc36f };

static uint64_t value(const struct nvengine_channel *c, uint32_t upper, uint32_t lower)
{
    return (uint64_t)c->host[upper / 4] << 32 | c->host[lower / 4];
}

static uint64_t semaphore_address(const struct nvengine_channel *c, uint32_t upper, uint32_t lower)
{
    return value(c, upper, lower) & 0xfffffffffcull;
}

/* ---- Fermi's semaphores ---------------------------------------------------------------------------------------- */

static int acquired(bool matches)
{
    return matches ? DONE : BLOCKED;
}

static int semaphore_release(struct nvengine_channel *c, uint32_t data, enum reduction reduction)
{
    struct release r = {
        .va = semaphore_address(c, SEMAPHOREA, SEMAPHOREB),
        .payload = c->host[SEMAPHOREC / 4],
        .timestamp = !(data >> 24 & 1),
        .is_signed = !(data >> 31),
        .reduction = reduction,
    };

    if (r.timestamp && r.va & 15)
        return nvengine__fail(c, NVENGINE_ERROR_SEMAPHORE);
    return nvengine__release(c, &r);
}

static int semaphore(struct nvengine_channel *c, uint32_t data)
{
    uint64_t va = semaphore_address(c, SEMAPHOREA, SEMAPHOREB), v;
    uint32_t payload = c->host[SEMAPHOREC / 4], operation = data & 0x1f;

    switch (operation) {
    case 2:
        return semaphore_release(c, data, REDUCE_NONE);
    case 16:
        if (data >> 27 & 8)
            return nvengine__fail(c, NVENGINE_ERROR_SEMAPHORE);
        return semaphore_release(c, data, (enum reduction)(data >> 27 & 7));
    case 1: case 4: case 8:
        break;
    default:
        return nvengine__fail(c, NVENGINE_ERROR_SEMAPHORE);
    }
    if (nvengine__semaphore(c, va, false, &v))
        return -EFAULT;
    if (operation == 1)
        return acquired((uint32_t)v == payload);
    return acquired(operation == 4 ? (int32_t)((uint32_t)v - payload) >= 0 : v & payload);
}

/* ---- Volta's --------------------------------------------------------------------------------------------------- */

enum { ACQUIRE, RELEASE, ACQ_STRICT_GEQ, ACQ_CIRC_GEQ, ACQ_AND, ACQ_NOR, REDUCTION };

/* Signed 64-bit sums, and INC and DEC of 64 bits or signed, do not exist. */
static bool is_supported(enum reduction op, bool is_long, bool is_signed)
{
    switch (op) {
    case REDUCE_ADD:
        return !is_long || !is_signed;
    case REDUCE_INC:
    case REDUCE_DEC:
        return !is_long && !is_signed;
    default:
        return true;
    }
}

static int sem_release(struct nvengine_channel *c, uint32_t data)
{
    struct release r = {
        .va = semaphore_address(c, SEM_ADDR_HI, SEM_ADDR_LO),
        .payload = data >> 24 & 1 ? value(c, SEM_PAYLOAD_HI, SEM_PAYLOAD_LO) : c->host[SEM_PAYLOAD_LO / 4],
        .is_long = data >> 24 & 1,
        .timestamp = data >> 25 & 1,
        .is_signed = !(data >> 31),
        .reduction = REDUCE_NONE,
    };

    if ((data & 7) == REDUCTION) {
        r.reduction = data >> 27 & 15;
        if (r.reduction >= REDUCE_NONE || !is_supported(r.reduction, r.is_long, r.is_signed))
            return nvengine__fail(c, NVENGINE_ERROR_SEMAPHORE);
    }
    if (r.va & (r.timestamp ? 15 : r.is_long ? 7 : 0))
        return nvengine__fail(c, NVENGINE_ERROR_SEMAPHORE);
    return nvengine__release(c, &r);
}

static bool matches(unsigned operation, uint64_t v, uint64_t payload, bool is_long)
{
    switch (operation) {
    case ACQUIRE:
        return v == payload;
    case ACQ_STRICT_GEQ:
        return v >= payload;
    case ACQ_CIRC_GEQ:
        return is_long ? (int64_t)(v - payload) >= 0 : (int32_t)(uint32_t)(v - payload) >= 0;
    case ACQ_AND:
        return v & payload;
    default:
        return is_long ? ~(v | payload) != 0 : (uint32_t) ~(v | payload) != 0;
    }
}

static int sem_execute(struct nvengine_channel *c, uint32_t data)
{
    uint64_t va = semaphore_address(c, SEM_ADDR_HI, SEM_ADDR_LO), v;
    uint64_t payload = value(c, SEM_PAYLOAD_HI, SEM_PAYLOAD_LO);
    unsigned operation = data & 7;
    bool is_long = data >> 24 & 1;

    if (operation == RELEASE || operation == REDUCTION)
        return sem_release(c, data);
    if (operation > REDUCTION || (is_long && va & 7))
        return nvengine__fail(c, NVENGINE_ERROR_SEMAPHORE);
    if (nvengine__semaphore(c, va, is_long, &v))
        return -EFAULT;
    return acquired(matches(operation, v, is_long ? payload : (uint32_t)payload, is_long));
}

/* ---------------------------------------------------------------------------------------------------------------- */

static int volta_method(struct nvengine_channel *c, uint32_t address, uint32_t data)
{
    if (c->host_class < GV100_HOST)
        return SWALLOWED;
    return address == SEM_EXECUTE ? sem_execute(c, data) : DONE;
}

int nvengine__host_method(struct nvengine_channel *c, uint32_t address, uint32_t data)
{
    c->host[address / 4] = data;
    switch (address) {
    case ILLEGAL:
        return nvengine__fail(c, NVENGINE_ERROR_METHOD);
    case SEMAPHORED:
        return semaphore(c, data);
    case YIELD:
        return data & 3 ? YIELDED : DONE;
    case SEM_ADDR_LO: case SEM_ADDR_HI: case SEM_PAYLOAD_LO: case SEM_PAYLOAD_HI: case SEM_EXECUTE:
        return volta_method(c, address, data);
    case NOP: case SEMAPHOREA: case SEMAPHOREB: case SEMAPHOREC: case NON_STALL_INTERRUPT: case FB_FLUSH:
    case MEM_OP_A: case MEM_OP_B: case MEM_OP_C: case MEM_OP_D: case SET_REFERENCE: case WFI: case CRC_CHECK:
    case CLEAR_FAULTED:
        return DONE;
    default:
        return SWALLOWED;
    }
}
