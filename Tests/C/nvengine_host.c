/*
 * Host methods. Laws: each semaphore operation of both sets has its condition; an acquire that does not match stops its
 * channel alone, and the channel goes on at the same place once it does; releases write what their sizes say, with the
 * time where asked for; reductions are those of the table; what is misaligned or unknown ends the channel.
 */
#include "nvengine_support.h"

#define SEM_VA 0x20000000ull

static struct machine *machine;
static uint8_t *semaphore; /* its memory */

static void host(uint32_t at, uint32_t data)
{
    method(machine, COPY, at, data);
}

static void marker(uint32_t value)
{
    method(machine, COPY, 0x700, value);
}

static uint32_t marked(void)
{
    return nvengine_channel_register(machine->channel, COPY, 0x700);
}

static void store(uint64_t value)
{
    memcpy(semaphore, &value, 8);
}

static uint64_t word(unsigned at, unsigned bytes)
{
    uint64_t value = 0;

    memcpy(&value, semaphore + at, bytes);
    return value;
}

static void revive(void)
{
    machine_channel(machine, 0xc5b5);
    machine->words = machine->begun = 0;
}

/* ---- Fermi's set ----------------------------------------------------------------------------------------------- */

static void old(uint64_t va, uint32_t payload, uint32_t d)
{
    host(0x10, (uint32_t)(va >> 32));
    host(0x14, (uint32_t)va | 3); /* the low bits do not count */
    host(0x18, payload);
    host(0x1c, d);
}

/* ---- Volta's --------------------------------------------------------------------------------------------------- */

static void sem(uint64_t va, uint64_t payload, uint32_t execute)
{
    host(0x5c, (uint32_t)va | 1);
    host(0x60, (uint32_t)(va >> 32));
    host(0x64, (uint32_t)payload);
    host(0x68, (uint32_t)(payload >> 32));
    host(0x6c, execute);
}

/* An acquire that was put: matches only once `good` is in memory. */
static void require_acquire(const char *what, uint64_t bad, uint64_t good)
{
    static uint32_t mark;
    const struct nvengine_method *waiting;
    uint64_t before;

    store(bad);
    marker(++mark);
    REQUIRE(run(machine) == NVENGINE_BLOCKED, "%s: 0x%" PRIx64 " matches", what, bad);
    before = nvengine_channel_statistics(machine->channel).words;
    waiting = nvengine_channel_waiting(machine->channel);
    REQUIRE(waiting && (waiting->address == 0x1c || waiting->address == 0x6c), "%s: waits for it", what);
    REQUIRE(nvengine_channel_run(machine->channel) == NVENGINE_BLOCKED && marked() != mark, "%s: still blocked", what);
    REQUIRE(nvengine_channel_statistics(machine->channel).words == before, "%s: goes on while blocked", what);
    REQUIRE(nvengine_channel_pending(machine->channel) == 1, "%s: the push is not done", what);
    store(good);
    REQUIRE(nvengine_channel_run(machine->channel) == NVENGINE_IDLE && marked() == mark, "%s: 0x%" PRIx64
            " does not match", what, good);
    REQUIRE(!nvengine_channel_waiting(machine->channel), "%s: waits no more", what);
    machine->words = machine->begun = 0;
}

static void acquires(void)
{
    old(SEM_VA, 5, 1);
    require_acquire("equal", 6, 5);
    old(SEM_VA, 5, 0x01001001);
    require_acquire("equal, as NVK", 0, 0x1234567800000005);
    old(SEM_VA, 5, 0x01001004);
    require_acquire("at least", 4, 6);
    old(SEM_VA, 5, 4);
    require_acquire("at least, circular", 0x80000005, 0x80000004);
    old(SEM_VA, 6, 8);
    require_acquire("and", 9, 2);

    sem(SEM_VA, 5, 0);
    require_acquire("equal", 6, 0xff00000005);
    sem(SEM_VA, 0xff00000005, 0 | 1 << 24);
    require_acquire("equal, 64", 5, 0xff00000005);
    sem(SEM_VA, 0x80000000, 2);
    require_acquire("strict", 0x7fffffff, 0x80000001);
    sem(SEM_VA, 1ull << 40, 2 | 1 << 24);
    require_acquire("strict, 64", 0xffffffff, ~0ull);
    sem(SEM_VA, 0xfffffff0, 3);
    require_acquire("circular", 0xffffffef, 3);
    sem(SEM_VA, 0xfffffffffffffff0, 3 | 1 << 24);
    require_acquire("circular, 64", 0xfffffff0ull << 32, 3);
    sem(SEM_VA, 0x100000001, 4 | 1 << 24);
    require_acquire("and, 64", 2, 1ull << 32);
    sem(SEM_VA, 0xffff, 5);
    require_acquire("nor", 0xffff0000, 0x7fff0000);
    sem(SEM_VA, 0xffff, 5 | 1 << 24);
    require_acquire("nor, 64", 0xffffffffffff0000, 0xffff0000);
}

static void require_release(const char *what, uint64_t first, uint64_t second)
{
    memset(semaphore, 0xee, 32);
    run_to_idle(machine);
    REQUIRE(word(0, 8) == first && word(8, 8) == second && word(16, 8) == 0xeeeeeeeeeeeeeeee,
            "%s: 0x%" PRIx64 " 0x%" PRIx64, what, word(0, 8), word(8, 8));
}

static void releases(void)
{
    const uint64_t e = 0xeeeeeeeeeeeeeeee;

    old(SEM_VA, 7, 2 | 1 << 24);
    require_release("4 bytes", 0xeeeeeeee00000007, e);
    machine->time = 0x123456789a;
    old(SEM_VA, 7, 2 | 1 << 20);
    require_release("16 bytes", 7, 0x123456789a);
    sem(SEM_VA, 0x1122334455667788, 1);
    require_release("32", 0xeeeeeeee55667788, e);
    sem(SEM_VA, 0x1122334455667788, 1 | 1 << 24);
    require_release("64", 0x1122334455667788, e);
    machine->time = 0x223456789a;
    sem(SEM_VA, 0x1122334455667788, 1 | 1 << 25);
    require_release("32 with time", 0x55667788, 0x223456789a);
    sem(SEM_VA, 0x1122334455667788, 1 | 1 << 24 | 1 << 25);
    require_release("64 with time", 0x1122334455667788, 0x223456789b);
}

static void reductions(void)
{
    static const struct row {
        unsigned op;
        bool is_signed, is_long;
        uint64_t value, payload, result;
    } rows[] = {
        {0, false, false, 5, 0xffffffff, 5},
        {0, true, false, 5, 0xffffffff, 0xffffffff},
        {1, false, false, 5, 0xffffffff, 0xffffffff},
        {1, true, false, 5, 0xffffffff, 5},
        {1, false, true, 1ull << 40, 7, 1ull << 40},
        {0, true, true, ~0ull, 7, ~0ull},
        {2, false, false, 0xf0f0, 0xff, 0xf00f},
        {3, false, false, 0xf0f0, 0xff, 0xf0},
        {4, false, true, 1ull << 63, 1, 1ull << 63 | 1},
        {5, true, false, 0xffffffff, 2, 1},
        {5, false, true, 0xffffffff, 2, 0x100000001},
        {6, false, false, 4, 5, 5},
        {6, false, false, 5, 5, 0},
        {7, false, false, 0, 5, 5},
        {7, false, false, 6, 5, 5},
        {7, false, false, 5, 5, 4},
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];

        store(r->value);
        sem(SEM_VA, r->payload, 6 | r->op << 27 | (r->is_signed ? 0 : 1u << 31) | r->is_long << 24);
        run_to_idle(machine);
        REQUIRE(word(0, 8) == r->result, "row %u: 0x%" PRIx64, i, word(0, 8));
        if (r->is_long)
            continue;
        store(r->value);
        old(SEM_VA, (uint32_t)r->payload, 16 | 1 << 24 | r->op << 27 | (r->is_signed ? 0 : 1u << 31));
        run_to_idle(machine);
        REQUIRE(word(0, 8) == r->result, "row %u, old: 0x%" PRIx64, i, word(0, 8));
    }
}

static void refused(void)
{
    static const struct row {
        uint64_t va;
        uint32_t execute;
    } rows[] = {
        {SEM_VA, 7},
        {SEM_VA + 4, 1 | 1 << 24},
        {SEM_VA + 4, 0 | 1 << 24},
        {SEM_VA + 8, 1 | 1 << 25},
        {SEM_VA, 6 | 5 << 27 | 1 << 24},          /* signed sum of 64 bits */
        {SEM_VA, 6u | 6u << 27 | 1u << 31 | 1 << 24}, /* INC of 64 bits */
        {SEM_VA, 6 | 7 << 27},                    /* signed DEC */
        {SEM_VA, 6u | 8u << 27},
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        sem(rows[i].va, 1, rows[i].execute);
        run_to_fault(machine, NVENGINE_ERROR_SEMAPHORE);
        revive();
    }
    old(SEM_VA + 8, 1, 2);
    run_to_fault(machine, NVENGINE_ERROR_SEMAPHORE);
    revive();
    old(SEM_VA, 1, 16u | 8u << 27);
    run_to_fault(machine, NVENGINE_ERROR_SEMAPHORE);
    revive();
    old(SEM_VA, 1, 0);
    run_to_fault(machine, NVENGINE_ERROR_SEMAPHORE);
    revive();
    old(SEM_VA, 1, 3);
    REQUIRE(run_to_fault(machine, NVENGINE_ERROR_SEMAPHORE)->class_id == 0xc46f, "the host is at fault");
    revive();
    host(0x04, 0);
    REQUIRE(run_to_fault(machine, NVENGINE_ERROR_METHOD)->method.address == 4, "illegal");
    nvengine_channel_resume(machine->channel);
    REQUIRE(nvengine_channel_run(machine->channel) == NVENGINE_IDLE, "what is illegal is skipped");
    revive();
}

/* Two channels on one space: one waits, the other goes on and lets it go. */
static void two_channels(void)
{
    struct nvengine_config config = machine_config(machine, 0xc5b5);
    struct nvengine_channel *other;

    store(0);
    old(SEM_VA, 1, 1);
    marker(70);
    REQUIRE(run(machine) == NVENGINE_BLOCKED, "blocked");
    REQUIRE(!nvengine_channel_create(&config, &other), "create");
    machine->begun = machine->words;
    old(SEM_VA, 1, 2 | 1 << 24);
    REQUIRE(!nvengine_channel_push(other, PUSH_VA + machine->begun * 4ull, (machine->words - machine->begun) * 4ull, 0),
            "push");
    REQUIRE(nvengine_channel_run(other) == NVENGINE_IDLE, "the other goes on");
    REQUIRE(nvengine_channel_run(machine->channel) == NVENGINE_IDLE && marked() == 70, "released");
    nvengine_channel_destroy(other);
    machine->words = machine->begun = 0;
}

static int count(void *ctx, uint16_t class_id, uint32_t at, uint64_t n)
{
    uint64_t(*seen)[4] = ctx;

    if (class_id == 0 && at == 0x90)
        (*seen)[0] = n;
    else if (class_id == 0xc597 && at == 0x1234)
        (*seen)[1] = n;
    else if (class_id == 0 && at == 0x400)
        (*seen)[2] = n;
    else
        (*seen)[3]++;
    return 0;
}

static int stop(void *ctx, uint16_t class_id, uint32_t at, uint64_t n)
{
    (void)class_id, (void)at, (void)n;
    ++*(int *)ctx;
    return 42;
}

static void others(void)
{
    uint64_t seen[4] = {0};
    int calls = 0;

    revive();
    host(0x08, 1), host(0x20, 1), host(0x24, 1), host(0x28, 1), host(0x2c, 1), host(0x50, 1234), host(0x78, 0);
    run_to_idle(machine);
    REQUIRE(nvengine_channel_register(machine->channel, 3, 0x50) == 1234, "the reference");
    REQUIRE(nvengine_channel_statistics(machine->channel).swallowed == 0, "all are known");
    marker(1);
    host(0x80, 3);
    marker(2);
    submit(machine);
    REQUIRE(nvengine_channel_step(machine->channel) == NVENGINE_READY && marked() == 1, "yields");
    REQUIRE(nvengine_channel_step(machine->channel) == NVENGINE_IDLE && marked() == 2, "and goes on");
    machine->words = machine->begun = 0;

    host(0x90, 0);
    for (unsigned i = 0; i < 3; i++)
        method(machine, GRAPHICS, 0x1234, i);
    REQUIRE(nvengine_channel_bound(machine->channel, COPY) == 0xc5b5, "bound from the start");
    method(machine, 5, 0, 0x1f902d); /* 2D: offered, no engine */
    method(machine, 6, 0, 0xb197);   /* not offered */
    method(machine, 6, 0x400, 1);
    method(machine, 7, 0, 0xc5b5);
    method(machine, 7, 0x400, 1);
    run_to_idle(machine);
    REQUIRE(nvengine_channel_bound(machine->channel, 5) == 0x902d, "bound");
    REQUIRE(nvengine_channel_swallowed(machine->channel, count, &seen) == 0, "counters");
    REQUIRE(seen[0] == 1 && seen[1] == 3 && seen[2] == 1 && seen[3] == 0, "counted by class and method");
    REQUIRE(nvengine_channel_statistics(machine->channel).swallowed == 5, "in all");
    REQUIRE(nvengine_channel_swallowed(machine->channel, stop, &calls) == 42 && calls == 1, "ends where told");
}

/* Before Volta there are no 64-bit semaphores. */
static void before_volta(void)
{
    struct nvengine_config config = machine_config(machine, 0xc5b5);

    nvengine_channel_destroy(machine->channel);
    config.host_class = 0xc06f;
    REQUIRE(!nvengine_channel_create(&config, &machine->channel), "create");
    store(1);
    sem(SEM_VA, 2, 1);
    run_to_idle(machine);
    REQUIRE(word(0, 8) == 1 && nvengine_channel_statistics(machine->channel).swallowed == 5, "swallowed");
}

static void ring(void)
{
    struct nvengine_config config = machine_config(machine, 0xc5b5);

    nvengine_channel_destroy(machine->channel);
    config.segments = 3;
    REQUIRE(!nvengine_channel_create(&config, &machine->channel), "create");
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 3; i++)
            REQUIRE(!nvengine_channel_push(machine->channel, PUSH_VA, i == 1 ? 0 : 4, NVENGINE_PUSH_NO_PREFETCH),
                    "push");
        REQUIRE(nvengine_channel_push(machine->channel, PUSH_VA, 4, 0) == -ENOSPC, "full");
        REQUIRE(nvengine_channel_step(machine->channel) == NVENGINE_READY, "one push a step");
        REQUIRE(nvengine_channel_pending(machine->channel) == 2, "two are left");
        REQUIRE(nvengine_channel_run(machine->channel) == NVENGINE_IDLE, "idle");
        REQUIRE(nvengine_channel_step(machine->channel) == NVENGINE_IDLE, "and stays so");
    }
    REQUIRE(nvengine_channel_statistics(machine->channel).pushes == 15, "pushes");
    REQUIRE(nvengine_channel_push(machine->channel, PUSH_VA + 2, 4, 0) == -EINVAL, "address");
    REQUIRE(nvengine_channel_push(machine->channel, PUSH_VA, 5, 0) == -EINVAL, "length");
    REQUIRE(nvengine_channel_push(machine->channel, PUSH_VA, 8 << 20, 0) == -EINVAL, "too long");
    REQUIRE(nvengine_channel_push(machine->channel, PUSH_VA, 4, 2) == -EINVAL, "flags");
}

static void configs(void)
{
    struct nvengine_config good = machine_config(machine, 0xc5b5), bad = good;
    struct nvengine_channel *c = NULL;

    bad.size--;
    REQUIRE(nvengine_channel_create(&bad, &c) == -EINVAL, "size");
    bad = good;
    bad.memory.space.format = NULL;
    REQUIRE(nvengine_channel_create(&bad, &c) == -EINVAL, "format");
    bad = good;
    bad.class_count = 65;
    REQUIRE(nvengine_channel_create(&bad, &c) == -EINVAL, "classes");
    bad = good;
    bad.segments = 65537;
    REQUIRE(nvengine_channel_create(&bad, &c) == -EINVAL, "segments");
    bad = good;
    bad.bound[3] = 0xc7b5;
    REQUIRE(nvengine_channel_create(&bad, &c) == -EINVAL && !c, "bound but not offered");
    for (long n = 0; n < 3; n++) {
        machine->bank->alloc_after = n;
        REQUIRE(nvengine_channel_create(&good, &c) == -ENOMEM && !c, "allocation %ld", n);
    }
    machine->bank->alloc_after = 3;
    REQUIRE(!nvengine_channel_create(&good, &c), "that was all");
    machine->bank->alloc_after = -1;
    nvengine_channel_destroy(c);
    nvengine_channel_destroy(NULL);
}

int main(void)
{
    machine = machine_new("tu102", 0xc5b5);
    semaphore = machine_map(machine, SEM_VA, 1, false);
    acquires();
    releases();
    reductions();
    refused();
    two_channels();
    others();
    before_volta();
    ring();
    configs();
    machine_delete(machine);
    return 0;
}
