/*
 * The input is mappings and pushbuffers. Laws: whatever a pushbuffer says, engines read and write only the frames that
 * are mapped where they look, writable ones where they write (each page is an allocation of its own, the others have
 * to keep their bytes); a step ends; a fault has its reason in the page tables; a blocked channel does not go on.
 */
#include "../C/nvmmu_support.h"
#include "input.h"

#include <nvengine/channel.h>

#define PAGE       4096u
#define FRAMES     24u
#define VA         0x10000000ull
#define VA_PAGES   64u
#define FRAME_BASE 0x80000000ull
#define STEPS      2

static struct world {
    struct bank *bank;
    uint8_t *frame[FRAMES]; /* [0] and [1] are mapped read-only, [2] nowhere */
    struct nvengine_channel *channel;
    uint64_t time;
} world;

static void *resolve(void *ctx, uint8_t aperture, uint64_t address, uint64_t *length)
{
    uint64_t frame = (address - FRAME_BASE) / PAGE;

    (void)ctx;
    REQUIRE(aperture == NVMMU_HOST && address >= FRAME_BASE && frame < FRAMES && frame != 2 && !(address % PAGE),
            "a frame that no entry has: 0x%" PRIx64, address);
    *length = PAGE;
    return world.frame[frame];
}

static uint64_t now(void *ctx)
{
    (void)ctx;
    return world.time++;
}

static void map_page(struct nvmmu_vmm *vmm, uint64_t va, uint64_t frame)
{
    uint64_t page = FRAME_BASE + frame * PAGE;
    struct nvmmu_map map = {.va = va, .size = PAGE, .shift = 12, .target = NVMMU_HOST, .object_shift = 12,
                            .pages = &page, .page_count = 1, .ro = frame < 2};

    REQUIRE(!nvmmu_vmm_get(vmm, va, PAGE, 12) && !nvmmu_vmm_map(vmm, &map), "map");
}

/* The first pages hold the pushbuffer; then pages, holes and nothing, as the input says. */
static struct nvmmu_vmm *space(struct input *in, const char *format)
{
    struct nvmmu_vmm *vmm = vmm_new(world.bank, format);

    nvmmu_vmm_sparse(vmm, VA + 32 * PAGE, 16 * PAGE, true);
    for (unsigned i = 0; i < VA_PAGES; i++) {
        unsigned what = i < 4 ? 20 + i : choose(in, FRAMES + 12);

        if (what < FRAMES && what != 2)
            map_page(vmm, VA + i * PAGE, what);
    }
    return vmm;
}

/* Words that mean something more often than not. */
static uint32_t word(struct input *in)
{
    static const uint32_t methods[] = {0x300, 0x400, 0x404, 0x408, 0x40c, 0x410, 0x418, 0x41c, 0x700, 0x708, 0x70c,
                                       0x710, 0x720, 0x728, 0x744, 0x240, 0x10,  0x14,  0x1c,  0x5c,  0x6c,  0x0,
                                       0x180, 0x188, 0x194, 0x1b0, 0x1b4, 0x1dc, 0x1b00, 0x1b0c, 0x80, 0x4};
    static const uint32_t launches[] = {0x182, 0x386, 0x786, 0x586, 0x686, 0x706, 0x606, 0x18a, 0x82, 0x102, 0x2};
    unsigned how = byte(in);

    switch (how & 7) {
    case 0: case 1: case 2:
        return 1u << 29 | (1u + (how >> 5)) << 16 | (how >> 3 & 1 ? 0u : 4u) << 13 | methods[choose(in, 32)] >> 2;
    case 3:
        return (uint32_t)VA + (uint32_t)take(in, 3) % (VA_PAGES * PAGE);
    case 4:
        return launches[choose(in, 11)] | (how >> 3 & 3) << 3;
    case 5:
        return byte(in);
    case 6:
        return (uint32_t)take(in, 2) << 12;
    default:
        return (uint32_t)take(in, 4);
    }
}

static struct nvengine_channel *channel(const struct nvmmu_vmm *vmm, uint16_t copy, uint16_t host)
{
    const uint16_t classes[] = {0xc597, 0xa140, copy};
    struct nvengine_config config = {
        .size = sizeof(config), .memory = {.space = nvmmu_vmm_space(vmm), .resolve = resolve}, .host_class = host,
        .classes = classes, .class_count = 3, .bound = {0xc597, 0xc597, 0xa140, 0, copy}, .segments = 4, .now = now,
    };
    struct nvengine_channel *c = NULL;

    REQUIRE(!nvengine_channel_create(&config, &c), "create");
    return c;
}

static void require_fault(const struct nvengine_channel *c)
{
    const struct nvengine_fault *f = nvengine_channel_fault(c);

    REQUIRE(f && nvengine_error_name(f->error), "a fault");
    if (f->error != NVENGINE_ERROR_MMU)
        return;
    REQUIRE(f->walk.state == NVMMU_UNMAPPED
                ? f->type == f->walk.fault
                : f->walk.state == NVMMU_MAPPED && f->type == NVENGINE_FAULT_RO && f->walk.page.ro && f->access,
            "type %u at 0x%" PRIx64, f->type, f->va);
}

static void run(struct nvengine_channel *c)
{
    int state = NVENGINE_READY;

    for (unsigned i = 0; i < STEPS && state == NVENGINE_READY; i++)
        state = nvengine_channel_step(c);
    if (state == -EFAULT)
        require_fault(c);
    REQUIRE(state != NVENGINE_IDLE || !nvengine_channel_pending(c), "idle with work");
    if (state == NVENGINE_BLOCKED)
        REQUIRE(nvengine_channel_step(c) == NVENGINE_BLOCKED, "nobody has released it");
}

static void prepare(void)
{
    if (world.bank)
        return;
    world.bank = bank_new();
    for (unsigned i = 0; i < FRAMES; i++)
        REQUIRE((world.frame[i] = aligned_alloc(16, PAGE)), "memory");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        const char *format;
        uint16_t copy, host;
    } gpus[] = {
        {"gm200", 0xb0b5, 0xb06f},
        {"gp100", 0xc0b5, 0xc06f},
        {"tu102", 0xc5b5, 0xc46f},
        {"ga100", 0xc7b5, 0xc56f},
    };
    struct input in = {data, size};
    unsigned gpu = choose(&in, 4);
    struct nvmmu_vmm *vmm;
    uint32_t words = 0;

    prepare();
    world.time = 0;
    for (unsigned i = 0; i < FRAMES; i++)
        memset(world.frame[i], (int)i, PAGE);
    vmm = space(&in, gpus[gpu].format);
    world.channel = channel(vmm, gpus[gpu].copy, gpus[gpu].host);
    for (; in.left && words < 4 * PAGE / 4; words++) {
        uint32_t w = word(&in);

        memcpy(world.frame[20 + words / 1024] + words % 1024 * 4, &w, 4);
    }
    REQUIRE(!nvengine_channel_push(world.channel, VA, words / 2 * 4, 0) &&
                !nvengine_channel_push(world.channel, VA + words / 2 * 4, (words - words / 2) * 4, 0),
            "push");
    run(world.channel);
    for (unsigned i = 0; i < 3; i++)
        REQUIRE(world.frame[i][0] == i && !memcmp(world.frame[i], world.frame[i] + 1, PAGE - 1), "frame %u was written",
                i);
    nvengine_channel_destroy(world.channel);
    nvmmu_vmm_destroy(vmm);
    return 0;
}
