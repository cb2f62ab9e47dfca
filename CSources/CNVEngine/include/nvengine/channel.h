/*
 * nvengine channel: a GPU channel with its engines. Fetches pushbuffers through page tables, decodes them, carries out
 * host methods, the copy engine, inline-to-memory and report semaphores; counts what belongs to other engines.
 *
 * All memory is reached through a walk of the page tables: an address is backed (the walk's frame resolves to memory),
 * a sparse hole (reads zero, writes vanish), or the channel faults. Nothing is read or written elsewhere.
 *
 * Engines are serial: a method is done before the next one is looked at, so waits for idle have nothing to do.
 * Copies whose source and destination overlap are not defined on hardware; here they stay within their bytes.
 *
 * Threads: the caller serialises the calls on one channel; channels are independent, and their semaphores are atomic.
 *
 * Facts: NVIDIA open-gpu-doc (classes cl906f … clc76f, cla0b5 … clc7b5, cla040, cla140, cla097 …; gv100 dev_pbdma,
 * dev_fault); what NVK (Mesa 25.0.7) sends.
 */
#ifndef NVENGINE_CHANNEL_H
#define NVENGINE_CHANNEL_H

#include <nvengine/push.h>
#include <nvmmu/format.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- memory ------------------------------------------------------------------------------------------------ */

/* The memory of one address space as engines reach it. */
struct nvengine_memory {
    struct nvmmu_space space; /* page tables; its windows must outlive the channel */
    void *ctx;                /* of the hooks below */
    /*
     * The frames from `address` (a multiple of 4 KiB) of an aperture (enum nvmmu_aperture) on: a pointer to them, a
     * multiple of 16, and in *length how many bytes lie in a row there. On entry *length is how many are of use. NULL,
     * or less than 4096: not there, the access faults. NULL hook: the space's windows are all there is.
     */
    void *(*resolve)(void *ctx, uint8_t aperture, uint64_t address, uint64_t *length);
    /*
     * Called around each piece of work. Between them translations are remembered and used: whoever flushes TLBs waits
     * until the work that was under way has left. A piece ends after some 32 MiB of copies. NULL: nobody asks.
     */
    void (*enter)(void *ctx);
    void (*leave)(void *ctx);
};

/* ---- faults ------------------------------------------------------------------------------------------------ */

/* What stopped a channel. */
enum nvengine_error {
    NVENGINE_ERROR_NONE = 0,
    NVENGINE_ERROR_MMU = 1,       /* an access that the page tables do not allow */
    NVENGINE_ERROR_PBENTRY = 2,   /* a header of no known form */
    NVENGINE_ERROR_METHOD = 3,    /* the method that is illegal by definition */
    NVENGINE_ERROR_SEMAPHORE = 4, /* a host semaphore's operation is unknown, or the address of the host's or an
                                   * engine's is not aligned for what is done */
    NVENGINE_ERROR_LAUNCH = 5,    /* an engine was started with values it does not take */
};
/* "MMU", "PBENTRY" …; NULL: no such error. */
const char *nvengine_error_name(enum nvengine_error error);

/* Why an access faults: enum nvmmu_fault, and these (values of the fault buffer's type field, gv100 dev_fault). */
enum nvengine_fault_type {
    NVENGINE_FAULT_PRIV = 0x05,     /* a privileged page */
    NVENGINE_FAULT_RO = 0x06,       /* write to a read-only page */
    NVENGINE_FAULT_APERTURE = 0x0a, /* the frame is not there */
    NVENGINE_FAULT_ATOMIC = 0x0f,   /* reduction on a page that takes none */
};
/* "PTE", "RO_VIOLATION" …, those of enum nvmmu_fault too; NULL: no such type. */
const char *nvengine_fault_type_name(unsigned type);

/* Values of the fault buffer's access type field. */
enum nvengine_access {
    NVENGINE_READ = 0,
    NVENGINE_WRITE = 1,
    NVENGINE_ATOMIC = 2,
};

/* What the access was for. */
enum nvengine_role {
    NVENGINE_FETCH = 0, /* of the pushbuffer */
    NVENGINE_SOURCE = 1,
    NVENGINE_DESTINATION = 2,
    NVENGINE_SEMAPHORE = 3, /* of the host or of an engine; reports too */
};
const char *nvengine_role_name(enum nvengine_role role);

struct nvengine_fault {
    enum nvengine_error error;
    uint16_t class_id;             /* the engine at work; the host's own class for fetches and host methods */
    uint64_t push;                 /* address of the pushbuffer word */
    struct nvengine_method method; /* being carried out; all zero for fetches; for PBENTRY data is the header */
    /* MMU only. */
    enum nvengine_role role;
    enum nvengine_access access;
    uint8_t type;           /* enum nvmmu_fault or nvengine_fault_type */
    uint64_t va;            /* first byte that was not allowed */
    struct nvmmu_walk walk; /* of va when it happened: level reached, entries raw and decoded */
};

/* ---- the channel ------------------------------------------------------------------------------------------- */

struct nvengine_channel;

/* Zero it, set `size` to sizeof(struct nvengine_config), fill the rest. */
struct nvengine_config {
    size_t size;
    struct nvengine_memory memory;
    uint16_t host_class;     /* 0x906f … 0xc76f; from 0xc36f on there are 64-bit semaphores */
    const uint16_t *classes; /* engine classes the channel offers (what SCLASS answers); copied; at most 64 */
    size_t class_count;
    uint16_t bound[NVENGINE_SUBCHANNELS]; /* class each subchannel has from the start, one of `classes`; 0: none */
    uint32_t segments;                    /* most pushes that may wait; 0: 1024 */
    void *time_ctx;
    uint64_t (*now)(void *time_ctx); /* nanoseconds, for timestamps. NULL: always 0 */
    struct gpuvm_alloc alloc;
};

/* -EINVAL: config->size unknown, no format, more than 64 classes or 65536 segments, a bound class that is not offered.
 * -ENOMEM. All memory is taken here; no other call allocates. */
int nvengine_channel_create(const struct nvengine_config *config, struct nvengine_channel **out);
/* With whatever still waits. NULL ok. */
void nvengine_channel_destroy(struct nvengine_channel *c);

/* The push may not be fetched before what stands before it is done. Always so here. */
#define NVENGINE_PUSH_NO_PREFETCH (1u << 0)

/* Appends `bytes` bytes at `va`. -EINVAL: not multiples of 4, 8 MiB or more, unknown flags. -ENOSPC: as many as may
 * wait do. -EFAULT: the channel has faulted. */
int nvengine_channel_push(struct nvengine_channel *c, uint64_t va, uint64_t bytes, unsigned flags);

enum nvengine_state {
    NVENGINE_IDLE = 0,    /* nothing left to do */
    NVENGINE_BLOCKED = 1, /* an acquire waits for its semaphore: try again */
    NVENGINE_READY = 2,   /* there is more to do, or the channel gave its turn away */
};
/*
 * Goes on where it stopped: to the end of one push, to an acquire that does not match, a yield, a fault, or until much
 * has been done (about 32 MiB of copies, or as much decoding). enum nvengine_state, or -EFAULT: the channel has
 * faulted and stays so.
 */
int nvengine_channel_step(struct nvengine_channel *c);
/* Steps until there is nothing to do (NVENGINE_IDLE), the channel is blocked (NVENGINE_BLOCKED) or faults (-EFAULT). A
 * hostile push can keep this going for ages: whoever has a clock steps. */
int nvengine_channel_run(struct nvengine_channel *c);

/* The fault, or NULL. Holds until resume or destroy. */
const struct nvengine_fault *nvengine_channel_fault(const struct nvengine_channel *c);
/* Forgets a fault; the next step does the access again, as replayable faults do. What cannot be repeated (an error
 * other than MMU) is skipped. Nothing where there is no fault. */
void nvengine_channel_resume(struct nvengine_channel *c);

/* ---- looking inside ---------------------------------------------------------------------------------------- */

struct nvengine_statistics {
    uint64_t pushes;   /* done to their end */
    uint64_t words;    /* fetched */
    uint64_t methods;  /* carried out or swallowed */
    uint64_t swallowed;
    uint64_t launches; /* of the copy engine */
    uint64_t bytes;    /* written by the copy engine and inline-to-memory, vanished ones too */
};
struct nvengine_statistics nvengine_channel_statistics(const struct nvengine_channel *c);
/* Pushes not done to their end, the one under way too. */
size_t nvengine_channel_pending(const struct nvengine_channel *c);
/* The last value of a method on a subchannel; below 0x100 the host's, the same on all, but for address 0 (SET_OBJECT),
 * which is not kept: nvengine_channel_bound() has it. `address` is taken modulo NVENGINE_METHODS_END, `subchannel`
 * modulo 8. */
uint32_t nvengine_channel_register(const struct nvengine_channel *c, unsigned subchannel, uint32_t address);
/* The class a subchannel has; 0: none. */
uint16_t nvengine_channel_bound(const struct nvengine_channel *c, unsigned subchannel);

/* The acquire for which the channel was blocked when it last stopped: host or 3D, its registers say for what. NULL:
 * none. Holds until the next step. */
const struct nvengine_method *nvengine_channel_waiting(const struct nvengine_channel *c);

/* What was swallowed, by class and method: calls `visit` for each pair seen; a non-zero result ends it and is
 * returned. Class 0 stands for the host (below 0x100) and for subchannels without a class that is offered. */
int nvengine_channel_swallowed(const struct nvengine_channel *c,
                               int (*visit)(void *ctx, uint16_t class_id, uint32_t address, uint64_t count), void *ctx);

#ifdef __cplusplus
}
#endif
#endif
