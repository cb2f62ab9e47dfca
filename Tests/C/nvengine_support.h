/* What the engine tests share: a GPU with page tables, frames of memory behind a hook, one channel, a pushbuffer. */
#ifndef NVENGINE_SUPPORT_H
#define NVENGINE_SUPPORT_H

#include <nvengine/channel.h>

#include "nvmmu_support.h"

#define PAGE       4096u
#define FRAMES     16384u
#define FRAME_BASE 0x80000000ull
#define PUSH_VA    0x10000000ull
#define PUSH_PAGES 64u
#define PUSH_WORDS (PUSH_PAGES * PAGE / 4)

enum { GRAPHICS = 0, COMPUTE = 1, INLINE = 2, COPY = 4 };

struct machine {
    struct bank *bank;
    struct nvmmu_vmm *vmm;
    uint8_t *memory;   /* of the frames */
    uint32_t frames;   /* handed out */
    uint32_t run_most; /* frames that the hook gives in a row; 0: all */
    uint32_t missing;  /* a frame that the hook does not find; 0: none */
    uint64_t time;
    int inside; /* enter without leave */
    struct nvengine_channel *channel;
    uint32_t *push; /* the pushbuffer's memory */
    uint32_t words, begun;
};

static inline void *machine_resolve(void *ctx, uint8_t aperture, uint64_t address, uint64_t *length)
{
    struct machine *m = ctx;
    uint64_t frame = (address - FRAME_BASE) / PAGE, left;

    REQUIRE(!(address % PAGE) && m->inside == 1, "resolve 0x%" PRIx64, address);
    if (aperture == NVMMU_PEER || address < FRAME_BASE || frame >= FRAMES || (m->missing && frame == m->missing))
        return NULL;
    left = FRAMES - frame;
    if (m->missing > frame)
        left = m->missing - frame;
    if (m->run_most && left > m->run_most)
        left = m->run_most;
    *length = left * PAGE;
    return m->memory + frame * PAGE;
}

static inline void machine_enter(void *ctx)
{
    struct machine *m = ctx;

    REQUIRE(m->inside++ == 0, "entered twice");
}

static inline void machine_leave(void *ctx)
{
    struct machine *m = ctx;

    REQUIRE(m->inside-- == 1, "left twice");
}

static inline uint64_t machine_now(void *ctx)
{
    struct machine *m = ctx;

    return m->time++;
}

/* Takes frames that follow each other. Their memory. */
static inline uint8_t *machine_map(struct machine *m, uint64_t va, uint32_t pages, bool ro)
{
    struct nvmmu_piece piece = {FRAME_BASE + m->frames * (uint64_t)PAGE, pages * (uint64_t)PAGE};
    struct nvmmu_map map = {
        .va = va, .size = piece.size, .shift = 12, .target = NVMMU_VRAM, .object_shift = 12, .pieces = &piece,
        .piece_count = 1, .ro = ro,
    };

    REQUIRE(m->frames + pages <= FRAMES, "frames");
    REQUIRE(!nvmmu_vmm_get(m->vmm, va, piece.size, 12) && !nvmmu_vmm_map(m->vmm, &map), "map 0x%" PRIx64, va);
    m->frames += pages;
    return m->memory + (m->frames - pages) * (size_t)PAGE;
}

/* The same frames, in any order: page[i] is which of them stands at va + i * 4096. */
static inline uint8_t *machine_map_scattered(struct machine *m, uint64_t va, uint32_t pages, uint64_t *rng,
                                             uint32_t *page)
{
    uint64_t *address = malloc(pages * sizeof(*address));
    struct nvmmu_map map = {
        .va = va, .size = pages * (uint64_t)PAGE, .shift = 12, .target = NVMMU_HOST, .object_shift = 12,
        .pages = address, .page_count = pages,
    };

    REQUIRE(m->frames + pages <= FRAMES, "frames");
    for (uint32_t i = 0; i < pages; i++) {
        uint32_t k = (uint32_t)below(rng, i + 1);

        page[i] = page[k];
        page[k] = i;
    }
    for (uint32_t i = 0; i < pages; i++)
        address[i] = FRAME_BASE + (m->frames + page[i]) * (uint64_t)PAGE;
    REQUIRE(!nvmmu_vmm_get(m->vmm, va, map.size, 12) && !nvmmu_vmm_map(m->vmm, &map), "map 0x%" PRIx64, va);
    free(address);
    m->frames += pages;
    return m->memory + (m->frames - pages) * (size_t)PAGE;
}

static inline struct nvengine_config machine_config(struct machine *m, uint16_t copy)
{
    static uint16_t classes[] = {0x902d, 0xa140, 0xc597, 0xc5c0, 0};
    struct nvengine_config config = {
        .size = sizeof(config),
        .memory = {nvmmu_vmm_space(m->vmm), m, machine_resolve, machine_enter, machine_leave},
        .host_class = 0xc46f,
        .classes = classes,
        .class_count = 5,
        .bound = {[GRAPHICS] = 0xc597, [COMPUTE] = 0xc5c0, [INLINE] = 0xa140, [COPY] = copy},
        .time_ctx = m,
        .now = machine_now,
        .alloc = {m->bank, bank_alloc, bank_release},
    };

    classes[4] = copy;
    return config;
}

static inline void machine_channel(struct machine *m, uint16_t copy)
{
    struct nvengine_config config = machine_config(m, copy);

    nvengine_channel_destroy(m->channel);
    REQUIRE(!nvengine_channel_create(&config, &m->channel), "create");
}

static inline struct machine *machine_new(const char *format, uint16_t copy)
{
    struct machine *m = calloc(1, sizeof(*m));

    m->bank = bank_new();
    m->vmm = vmm_new(m->bank, format);
    m->memory = calloc(FRAMES, PAGE);
    m->time = 1000;
    m->push = (uint32_t *)(void *)machine_map(m, PUSH_VA, PUSH_PAGES, false);
    machine_channel(m, copy);
    return m;
}

static inline void machine_delete(struct machine *m)
{
    nvengine_channel_destroy(m->channel);
    nvmmu_vmm_destroy(m->vmm);
    bank_delete(m->bank);
    free(m->memory);
    free(m);
}

/* ---- pushes --------------------------------------------------------------------------------------------------- */

static inline uint32_t header(unsigned form, unsigned subchannel, uint32_t address, uint32_t count)
{
    return form << 29 | count << 16 | subchannel << 13 | address >> 2;
}

static inline void put(struct machine *m, uint32_t word)
{
    REQUIRE(m->words < PUSH_WORDS, "pushbuffer is full");
    m->push[m->words++] = word;
}

static inline void method(struct machine *m, unsigned subchannel, uint32_t address, uint32_t data)
{
    put(m, header(1, subchannel, address, 1));
    put(m, data);
}

static inline void address(struct machine *m, unsigned subchannel, uint32_t upper, uint64_t va)
{
    method(m, subchannel, upper, (uint32_t)(va >> 32));
    method(m, subchannel, upper + 4, (uint32_t)va);
}

/* What was put since the last submission. */
static inline void submit(struct machine *m)
{
    REQUIRE(!nvengine_channel_push(m->channel, PUSH_VA + m->begun * 4ull, (m->words - m->begun) * 4ull, 0), "push");
    m->begun = m->words;
}

static inline int run(struct machine *m)
{
    int state;

    submit(m);
    state = nvengine_channel_run(m->channel);
    if (state == NVENGINE_IDLE)
        m->words = m->begun = 0;
    return state;
}

static inline void describe(const struct machine *m)
{
    const struct nvengine_fault *f = nvengine_channel_fault(m->channel);

    if (f)
        fprintf(stderr, "fault %s: class 0x%x method 0x%x data 0x%x, %s access %d type %s va 0x%" PRIx64 "\n",
                nvengine_error_name(f->error), f->class_id, f->method.address, f->method.data,
                nvengine_role_name(f->role), f->access, nvengine_fault_type_name(f->type), f->va);
}

static inline void run_to_idle(struct machine *m)
{
    int state = run(m);

    if (state != NVENGINE_IDLE)
        describe(m);
    REQUIRE(state == NVENGINE_IDLE, "state %d", state);
}

static inline const struct nvengine_fault *run_to_fault(struct machine *m, enum nvengine_error error)
{
    const struct nvengine_fault *f;
    int state = run(m);

    f = nvengine_channel_fault(m->channel);
    REQUIRE(state == -EFAULT && f && f->error == error, "state %d, error %d", state, f ? (int)f->error : -1);
    REQUIRE(nvengine_channel_step(m->channel) == -EFAULT, "a dead channel steps");
    REQUIRE(nvengine_channel_push(m->channel, PUSH_VA, 4, 0) == -EFAULT, "a dead channel takes pushes");
    return f;
}

#endif
