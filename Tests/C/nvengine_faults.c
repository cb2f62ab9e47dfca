/*
 * What the page tables do not allow. Laws: each role of an access (fetch, source, destination, semaphore) faults with
 * its address, access, type, engine and method, and with the walk's entries; read-only pages fault on writes alone;
 * privileged pages, frames that are not there and pages without atomics fault; sparse memory reads zero and takes
 * writes; bytes before a fault are right; the channel is dead until it is resumed, and then does the access again;
 * another channel lives; corrupt pushes end in a fault of their own, never outside memory.
 */
#include "nvengine_support.h"

#define GOOD   0x20000000ull /* 4 pages */
#define RO     0x21000000ull /* 4 pages, read-only */
#define NONE   0x22000000ull
#define SPARSE 0x23000000ull /* 2 MiB */
#define TOP    (1ull << 49) /* the format's end */

static struct machine *m;
static uint8_t *good, *ro;

static void begin(const char *format, uint16_t copy)
{
    m = machine_new(format, copy);
    good = machine_map(m, GOOD, 4, false);
    ro = machine_map(m, RO, 4, true);
    memset(good, 0x11, 4 * PAGE);
    memset(ro, 0x22, 4 * PAGE);
    REQUIRE(!nvmmu_vmm_sparse(m->vmm, SPARSE, 2 * MiB, true), "sparse");
}

static void revive(void)
{
    machine_channel(m, 0xc5b5);
    m->words = m->begun = 0;
}

static void copy(uint64_t from, uint64_t to, uint32_t bytes)
{
    address(m, COPY, 0x400, from);
    address(m, COPY, 0x408, to);
    method(m, COPY, 0x418, bytes);
    method(m, COPY, 0x300, 0x182);
}

static void require_fault(enum nvengine_role role, enum nvengine_access access, unsigned type, uint64_t va,
                          uint16_t class_id, uint32_t at)
{
    const struct nvengine_fault *f = run_to_fault(m, NVENGINE_ERROR_MMU);

    REQUIRE(f->role == role && f->access == access && f->type == type && f->va == va && f->class_id == class_id &&
                f->method.address == at,
            "%s access %d type %u va 0x%" PRIx64 " class 0x%x method 0x%x", nvengine_role_name(f->role), f->access,
            f->type, f->va, f->class_id, f->method.address);
}

static void roles(void)
{
    copy(NONE, GOOD, 64);
    require_fault(NVENGINE_SOURCE, NVENGINE_READ, NVMMU_FAULT_PDE, NONE, 0xc5b5, 0x300);
    REQUIRE(nvengine_channel_fault(m->channel)->walk.step_count == 4, "the walk comes to PD0");
    REQUIRE(nvengine_channel_fault(m->channel)->push == PUSH_VA + 11 * 4, "the word of the launch");
    REQUIRE(nvengine_channel_fault(m->channel)->method.data == 0x182, "its data");
    revive();
    copy(GOOD, NONE, 64);
    require_fault(NVENGINE_DESTINATION, NVENGINE_WRITE, NVMMU_FAULT_PDE, NONE, 0xc5b5, 0x300);
    revive();
    copy(GOOD + 4 * PAGE - 10, GOOD, 64); /* the page behind has a table */
    require_fault(NVENGINE_SOURCE, NVENGINE_READ, NVMMU_FAULT_PTE, GOOD + 4 * PAGE, 0xc5b5, 0x300);
    REQUIRE(nvengine_channel_fault(m->channel)->walk.step_count == 5, "down to the PTE");
    REQUIRE(!memcmp(good, good + 4 * PAGE - 10, 10), "what lies before is copied");
    revive();
    machine_map(m, TOP - PAGE, 1, false);
    copy(TOP - 8, GOOD, 64); /* does not come round to address 0 */
    require_fault(NVENGINE_SOURCE, NVENGINE_READ, NVMMU_FAULT_VA_LIMIT, TOP, 0xc5b5, 0x300);
    revive();
    address(m, COPY, 0x240, NONE);
    method(m, COPY, 0x300, 8);
    require_fault(NVENGINE_SEMAPHORE, NVENGINE_WRITE, NVMMU_FAULT_PDE, NONE, 0xc5b5, 0x300);
    revive();
    address(m, GRAPHICS, 0x1b00, NONE + 8);
    method(m, GRAPHICS, 0x1b0c, 0);
    require_fault(NVENGINE_SEMAPHORE, NVENGINE_WRITE, NVMMU_FAULT_PDE, NONE + 16, 0xc597, 0x1b0c);
    revive();
    method(m, COPY, 0x14, (uint32_t)NONE);
    method(m, COPY, 0x1c, 1);
    require_fault(NVENGINE_SEMAPHORE, NVENGINE_READ, NVMMU_FAULT_PDE, NONE, 0xc46f, 0x1c);
    revive();
    address(m, INLINE, 0x188, NONE);
    method(m, INLINE, 0x180, 4);
    method(m, INLINE, 0x184, 1);
    method(m, INLINE, 0x1b0, 1);
    method(m, INLINE, 0x1b4, 1);
    require_fault(NVENGINE_DESTINATION, NVENGINE_WRITE, NVMMU_FAULT_PDE, NONE, 0xa140, 0x1b4);
    revive();
    address(m, INLINE, 0x188, GOOD);
    address(m, INLINE, 0x1dc, NONE);
    method(m, INLINE, 0x180, 4);
    method(m, INLINE, 0x184, 1);
    method(m, INLINE, 0x1b0, 1 | 2 << 4);
    method(m, INLINE, 0x1b4, 1);
    require_fault(NVENGINE_SEMAPHORE, NVENGINE_WRITE, NVMMU_FAULT_PDE, NONE + 8, 0xa140, 0x1b4);
    revive();
    REQUIRE(!nvengine_channel_push(m->channel, NONE + 16, 64, 0), "push");
    require_fault(NVENGINE_FETCH, NVENGINE_READ, NVMMU_FAULT_PDE, NONE + 16, 0xc46f, 0);
    REQUIRE(nvengine_channel_fault(m->channel)->push == NONE + 16, "the word that is not there");
    revive();
}

/* Block-linear and remapped, on either side: not mapped, or not to be written. */
static void roles_of_tiles(void)
{
    for (unsigned to = 0; to < 3; to++)
        for (unsigned tiled = 0; tiled < 4; tiled++)
            for (unsigned remap = 0; remap < 3; remap++) {
                static const uint32_t components[] = {0, 0x6660, 0x3210};

                address(m, COPY, 0x400, to ? GOOD : NONE);
                address(m, COPY, 0x408, to == 2 ? RO : to ? NONE : GOOD);
                for (uint32_t at = 0x70c; at <= 0x728; at += 0x1c) {
                    method(m, COPY, at, 1 << 12);
                    method(m, COPY, at + 4, 64);
                    method(m, COPY, at + 8, 8);
                }
                method(m, COPY, 0x708, components[remap] | 0x3300000);
                method(m, COPY, 0x410, 64);
                method(m, COPY, 0x414, 64);
                method(m, COPY, 0x418, remap ? 16 : 64);
                method(m, COPY, 0x41c, 8);
                method(m, COPY, 0x300, 0x202 | tiled << 7 | (remap ? 1 << 10 : 0));
                require_fault(to ? NVENGINE_DESTINATION : NVENGINE_SOURCE, to ? NVENGINE_WRITE : NVENGINE_READ,
                              to == 2 ? (unsigned)NVENGINE_FAULT_RO : NVMMU_FAULT_PDE, to == 2 ? RO : NONE, 0xc5b5,
                              0x300);
                revive();
            }
}

static void read_only(void)
{
    copy(RO, GOOD, 64);
    run_to_idle(m);
    REQUIRE(good[0] == 0x22, "read-only pages can be read");
    copy(GOOD, RO + 8, 64);
    require_fault(NVENGINE_DESTINATION, NVENGINE_WRITE, NVENGINE_FAULT_RO, RO + 8, 0xc5b5, 0x300);
    REQUIRE(nvengine_channel_fault(m->channel)->walk.state == NVMMU_MAPPED, "it is mapped");
    revive();
    copy(GOOD, RO, 3 * PAGE);
    require_fault(NVENGINE_DESTINATION, NVENGINE_WRITE, NVENGINE_FAULT_RO, RO, 0xc5b5, 0x300);
    revive();
    address(m, COPY, 0x240, RO);
    method(m, COPY, 0x300, 8);
    require_fault(NVENGINE_SEMAPHORE, NVENGINE_WRITE, NVENGINE_FAULT_RO, RO, 0xc5b5, 0x300);
    revive();
    for (unsigned i = 0; i < 4 * PAGE; i++)
        REQUIRE(ro[i] == 0x22, "byte %u was written", i);
}

/* An entry's attribute, put there behind the tree's back. */
static uint64_t *leaf_word(uint64_t va)
{
    struct nvmmu_walk w = walk_at(m->vmm, va);
    const struct nvmmu_step *leaf = &w.step[w.step_count - 1];

    return &m->bank->memory[(leaf->table - BANK_BASE) / 8 + leaf->index];
}

static void attributes(void)
{
    uint64_t *word = leaf_word(GOOD + PAGE), before = *word, out[2];
    struct nvmmu_pte pte = walk_at(m->vmm, GOOD + PAGE).page;
    const struct nvmmu_format *f = nvmmu_vmm_space(m->vmm).format;

    pte.priv = true;
    REQUIRE(!nvmmu_pte_encode(f, NVMMU_SPT, &pte, out), "encode");
    *word = out[0];
    copy(GOOD, GOOD + PAGE + 4, 4);
    require_fault(NVENGINE_DESTINATION, NVENGINE_WRITE, NVENGINE_FAULT_PRIV, GOOD + PAGE + 4, 0xc5b5, 0x300);
    revive();
    pte.priv = false;
    pte.atomic_disable = true;
    REQUIRE(!nvmmu_pte_encode(f, NVMMU_SPT, &pte, out), "encode");
    *word = out[0];
    address(m, COPY, 0x240, GOOD + PAGE);
    method(m, COPY, 0x300, 8 | 1 << 19 | 5 << 14);
    require_fault(NVENGINE_SEMAPHORE, NVENGINE_ATOMIC, NVENGINE_FAULT_ATOMIC, GOOD + PAGE, 0xc5b5, 0x300);
    revive();
    *word = before;
    m->missing = (uint32_t)((good - m->memory) / PAGE) + 2;
    copy(GOOD + PAGE, GOOD, 2 * PAGE);
    require_fault(NVENGINE_SOURCE, NVENGINE_READ, NVENGINE_FAULT_APERTURE, GOOD + 2 * PAGE, 0xc5b5, 0x300);
    revive();
    for (unsigned pages = 1; pages < 3; pages++) {
        copy(GOOD + 2 * PAGE, GOOD, pages * PAGE);
        require_fault(NVENGINE_SOURCE, NVENGINE_READ, NVENGINE_FAULT_APERTURE, GOOD + 2 * PAGE, 0xc5b5, 0x300);
        revive();
    }
    copy(GOOD + 3 * PAGE + 4, GOOD + 3 * PAGE, 4);
    run_to_idle(m); /* the one behind is there */
    m->missing = 0;
}

static void holes(void)
{
    memset(good, 0x33, 4 * PAGE);
    copy(SPARSE + 100, GOOD + 10, 2 * PAGE);
    run_to_idle(m);
    for (unsigned i = 0; i < 4 * PAGE; i++)
        REQUIRE(good[i] == (i < 10 || i >= 10 + 2 * PAGE ? 0x33 : 0), "byte %u", i);
    copy(GOOD + 3 * PAGE, SPARSE, PAGE); /* vanishes */
    copy(SPARSE, GOOD, 16);
    copy(GOOD + 3 * PAGE, SPARSE + 8, 100);
    copy(SPARSE + 8, GOOD + 16, 16);
    address(m, COPY, 0x240, SPARSE);
    method(m, COPY, 0x248, 1);
    method(m, COPY, 0x300, 8);
    run_to_idle(m);
    for (unsigned i = 0; i < 32; i++)
        REQUIRE(!good[i], "byte %u", i);
    REQUIRE(!nvengine_channel_push(m->channel, SPARSE, 4096, 0), "push");
    REQUIRE(nvengine_channel_run(m->channel) == NVENGINE_IDLE, "a hole is full of NOPs");
    method(m, COPY, 0x14, (uint32_t)SPARSE);
    method(m, COPY, 0x18, 0);
    method(m, COPY, 0x1c, 1);
    run_to_idle(m); /* zero is equal */
}

/* What was missing comes, and the copy goes on where it was. */
static void resumed(void)
{
    static uint8_t expected[8 * PAGE];
    const uint64_t late = 0x24000000ull;
    uint8_t *source = machine_map(m, 0x25000000ull, 8, false), *first, *second;

    for (unsigned i = 0; i < 8 * PAGE; i++)
        source[i] = expected[i] = (uint8_t)(i * 7 + i / 256);
    first = machine_map(m, late, 5, false);
    copy(0x25000000ull, late, 8 * PAGE);
    copy(0x25000000ull, GOOD, 1);
    require_fault(NVENGINE_DESTINATION, NVENGINE_WRITE, NVMMU_FAULT_PTE, late + 5 * PAGE, 0xc5b5, 0x300);
    nvengine_channel_resume(m->channel);
    REQUIRE(nvengine_channel_run(m->channel) == -EFAULT, "still not there");
    second = machine_map(m, late + 5 * PAGE, 3, false);
    nvengine_channel_resume(m->channel);
    memset(first, 0, PAGE); /* this part is done, and is not done again */
    REQUIRE(nvengine_channel_run(m->channel) == NVENGINE_IDLE && !nvengine_channel_fault(m->channel), "goes on");
    REQUIRE(!first[1] && !memcmp(first + PAGE, expected + PAGE, 4 * PAGE) &&
                !memcmp(second, expected + 5 * PAGE, 3 * PAGE) && good[0] == expected[0],
            "all is there");
    m->words = m->begun = 0;
    /* The semaphore's page is late: the data before it is not copied again. */
    copy(GOOD, GOOD + PAGE, 4);
    address(m, COPY, 0x240, late + 8 * PAGE);
    method(m, COPY, 0x248, 5);
    method(m, COPY, 0x300, 0x182 | 8);
    require_fault(NVENGINE_SEMAPHORE, NVENGINE_WRITE, NVMMU_FAULT_PTE, late + 8 * PAGE, 0xc5b5, 0x300);
    good[PAGE] = good[0] + 1;
    second = machine_map(m, late + 8 * PAGE, 1, false);
    nvengine_channel_resume(m->channel);
    REQUIRE(nvengine_channel_run(m->channel) == NVENGINE_IDLE && second[0] == 5 && good[PAGE] != good[0], "once");
    m->words = m->begun = 0;
}

/* Another frame comes under a pushbuffer between two steps: what follows is read from there. */
static void moved(void)
{
    const uint64_t va = 0x26000000ull;
    uint32_t push[] = {header(4, COPY, 0x700, 1), header(4, COPY, 0x80, 3), header(4, COPY, 0x700, 2)};
    uint8_t *first = machine_map(m, va, 1, false), *second;

    memcpy(first, push, sizeof(push));
    REQUIRE(!nvengine_channel_push(m->channel, va, sizeof(push), 0), "push");
    REQUIRE(nvengine_channel_step(m->channel) == NVENGINE_READY, "yields");
    REQUIRE(!nvmmu_vmm_unmap(m->vmm, va, PAGE, 12, false) && !nvmmu_vmm_put(m->vmm, va, PAGE, 12), "unmap");
    second = machine_map(m, va, 1, false);
    push[2] = header(4, COPY, 0x700, 3);
    memcpy(second, push, sizeof(push));
    REQUIRE(nvengine_channel_run(m->channel) == NVENGINE_IDLE, "idle");
    REQUIRE(nvengine_channel_register(m->channel, COPY, 0x700) == 3, "the word of the new frame");
}

/* A launch that is refused at its semaphore, when its data is copied, leaves nothing to the next. */
static void skipped(void)
{
    memset(good, 0, 4 * PAGE);
    copy(GOOD, GOOD + PAGE, 4);
    address(m, COPY, 0x240, GOOD + 2);
    method(m, COPY, 0x300, 0x182 | 1 << 3 | 1 << 19 | 5 << 14);
    run_to_fault(m, NVENGINE_ERROR_SEMAPHORE);
    nvengine_channel_resume(m->channel);
    REQUIRE(nvengine_channel_run(m->channel) == NVENGINE_IDLE, "idle");
    m->words = m->begun = 0;
    good[0] = 7;
    copy(GOOD, GOOD + PAGE, 4);
    run_to_idle(m);
    REQUIRE(good[PAGE] == 7, "copied");
    nvengine_channel_resume(m->channel); /* no fault: nothing */
}

static void another_lives(void)
{
    struct nvengine_config config = machine_config(m, 0xc5b5);
    struct nvengine_channel *other;

    REQUIRE(!nvengine_channel_create(&config, &other), "create");
    copy(NONE, GOOD, 4);
    require_fault(NVENGINE_SOURCE, NVENGINE_READ, NVMMU_FAULT_PDE, NONE, 0xc5b5, 0x300);
    m->words = m->begun = 0;
    method(m, COPY, 0x700, 5);
    REQUIRE(!nvengine_channel_push(other, PUSH_VA, m->words * 4, 0), "push");
    REQUIRE(nvengine_channel_run(other) == NVENGINE_IDLE, "lives");
    REQUIRE(nvengine_channel_register(other, COPY, 0x700) == 5, "and works");
    nvengine_channel_destroy(other);
    revive();
}

static void corrupt(uint64_t *rng)
{
    uint64_t faults[6] = {0};
    const struct nvengine_fault *f;

    put(m, 6u << 29 | 0x123);
    f = run_to_fault(m, NVENGINE_ERROR_PBENTRY);
    REQUIRE(f->method.data == (6u << 29 | 0x123) && f->push == PUSH_VA && f->class_id == 0xc46f, "the header");
    REQUIRE(!strcmp(nvengine_error_name(f->error), "PBENTRY"), "its name");
    nvengine_channel_resume(m->channel);
    method(m, COPY, 0x700, 9);
    run_to_idle(m);
    REQUIRE(nvengine_channel_register(m->channel, COPY, 0x700) == 9, "a bad header can be skipped");
    for (unsigned round = 0; round < 3000; round++) {
        revive();
        for (unsigned i = 0; i < 200; i++)
            if (below(rng, 3))
                put(m, header(1, (unsigned)below(rng, 8), (uint32_t)below(rng, 0x800), 1 + (uint32_t)below(rng, 3)));
            else
                put(m, (uint32_t)(rnd(rng) >> below(rng, 32)));
        submit(m);
        for (unsigned i = 0; i < 4 && nvengine_channel_step(m->channel) == NVENGINE_READY; i++)
            ;
        if ((f = nvengine_channel_fault(m->channel)))
            faults[f->error]++;
    }
    REQUIRE(faults[NVENGINE_ERROR_MMU] && faults[NVENGINE_ERROR_PBENTRY], "random pushes meet faults");
}

/* The space's own windows, when there is no hook. */
static void windows(void)
{
    struct nvengine_config config = machine_config(m, 0xc5b5);
    struct nvmmu_window window[2] = {m->bank->window, {FRAME_BASE, m->frames * (uint64_t)PAGE, m->memory, NVMMU_VRAM}};

    config.memory.resolve = NULL;
    config.memory.enter = config.memory.leave = NULL;
    config.now = NULL;
    config.memory.space.windows = window;
    config.memory.space.window_count = 2;
    nvengine_channel_destroy(m->channel);
    REQUIRE(!nvengine_channel_create(&config, &m->channel), "create");
    m->words = m->begun = 0;
    memset(good, 1, PAGE);
    copy(GOOD, GOOD + PAGE, PAGE);
    address(m, COPY, 0x240, GOOD + 2 * PAGE);
    method(m, COPY, 0x300, 16);
    run_to_idle(m);
    REQUIRE(!memcmp(good, good + PAGE, PAGE) && !good[2 * PAGE + 8], "copied, and without a clock it is 0 o'clock");
    window[1].size = (uint64_t)(good - m->memory); /* the frames that follow are not there */
    copy(GOOD, GOOD, 4);
    require_fault(NVENGINE_SOURCE, NVENGINE_READ, NVENGINE_FAULT_APERTURE, GOOD, 0xc5b5, 0x300);
    nvengine_channel_resume(m->channel);
    window[1].size += PAGE;
    REQUIRE(nvengine_channel_run(m->channel) == NVENGINE_IDLE, "now they are");
    m->words = m->begun = 0;
    window[1].size -= PAGE / 2;
    copy(GOOD, GOOD, 4);
    require_fault(NVENGINE_SOURCE, NVENGINE_READ, NVENGINE_FAULT_APERTURE, GOOD, 0xc5b5, 0x300);
}

static void names(void)
{
    static const unsigned types[] = {0, 1, 2, 3, 5, 6, 10, 15};

    for (unsigned i = 0; i < 8; i++)
        REQUIRE(nvengine_fault_type_name(types[i]), "type %u", types[i]);
    REQUIRE(!nvengine_fault_type_name(4) && !nvengine_error_name(6) && !nvengine_role_name(4), "no such names");
}

int main(void)
{
    uint64_t rng = seed_choose("nvengine_faults");

    begin("tu102", 0xc5b5);
    roles();
    roles_of_tiles();
    read_only();
    attributes();
    holes();
    resumed();
    moved();
    skipped();
    another_lives();
    corrupt(&rng);
    windows();
    names();
    machine_delete(m);
    return 0;
}
