/*
 * What 3D, compute and inline-to-memory do. Laws: reports and releases have the bytes that their sizes say; 3D acquires
 * block as the host's do; inline data lands where the registers say, to the byte, on pitch and block-linear, and the
 * semaphore follows it.
 */
#include <nvengine/layout.h>

#include "nvengine_support.h"

#define VA 0x30000000ull

static uint64_t value(const uint8_t *at, unsigned bytes)
{
    uint64_t v = 0;

    memcpy(&v, at, bytes);
    return v;
}

static void report(struct machine *m, unsigned subchannel, uint64_t va, uint32_t payload, uint32_t d)
{
    address(m, subchannel, 0x1b00, va);
    method(m, subchannel, 0x1b08, payload);
    method(m, subchannel, 0x1b0c, d);
}

static void require_report(struct machine *m, uint8_t *at, unsigned subchannel, uint32_t d, uint64_t first,
                           uint64_t second)
{
    memset(at, 0xee, 32);
    m->time = 0x9876543210;
    report(m, subchannel, VA, 0x1234, d);
    run_to_idle(m);
    REQUIRE(value(at, 8) == first && value(at + 8, 8) == second && value(at + 16, 8) == 0xeeeeeeeeeeeeeeee,
            "0x%08x: 0x%" PRIx64 " 0x%" PRIx64, d, value(at, 8), value(at + 8, 8));
}

static void reports(struct machine *m, uint8_t *at)
{
    const uint64_t e = 0xeeeeeeeeeeeeeeee, now = 0x9876543210;

    require_report(m, at, GRAPHICS, 0x1000f010, 0xeeeeeeee00001234, e);
    require_report(m, at, COMPUTE, 0x10000000, 0xeeeeeeee00001234, e);
    require_report(m, at, GRAPHICS, 0x0000f010, 0x1234, now);
    require_report(m, at, COMPUTE, 0, 0x1234, now);
    require_report(m, at, GRAPHICS, 0x00000002, 0, now);
    require_report(m, at, GRAPHICS, 0x0000f002, 0, now);
    require_report(m, at, GRAPHICS, 0x0a80f006, 0, now);
    require_report(m, at, GRAPHICS, 0x1a80f006, 0xeeeeeeee00000000, e);
    require_report(m, at, GRAPHICS, 3, e, e);
    require_report(m, at, COMPUTE, 2, e, e);
    require_report(m, at, GRAPHICS, 0x10000000 | 1 << 3, 0xeeeeeeeeeeeeeeeeu + 0x1234, e); /* RED_ADD */
    require_report(m, at, GRAPHICS, 0x10000000 | 1 << 3 | 6 << 9, 0xeeeeeeeeeeeefefe, e);  /* RED_OR */
    require_report(m, at, GRAPHICS, 0x10000000 | 1 << 3 | 1 << 9, 0xeeeeeeee00001234, e);  /* RED_MIN */
    require_report(m, at, GRAPHICS, 0x10020000 | 1 << 3 | 1 << 9, e, e);                   /* signed */
}

static void acquires(struct machine *m, uint8_t *at)
{
    memset(at, 0, 4);
    report(m, GRAPHICS, VA, 2, 1);
    REQUIRE(run(m) == NVENGINE_BLOCKED, "not equal");
    at[0] = 3;
    REQUIRE(nvengine_channel_run(m->channel) == NVENGINE_BLOCKED, "not equal");
    at[0] = 2;
    REQUIRE(nvengine_channel_run(m->channel) == NVENGINE_IDLE, "equal");
    report(m, GRAPHICS, VA, 4, 1 | 1 << 16);
    REQUIRE(run(m) == NVENGINE_BLOCKED, "less");
    at[0] = 5;
    REQUIRE(nvengine_channel_run(m->channel) == NVENGINE_IDLE, "at least");
    m->words = m->begun = 0;
}

static void require_inline(struct machine *m, uint8_t *memory, unsigned subchannel, uint64_t *rng)
{
    enum { SIZE = 16 * PAGE, ROWS = 32 };
    static uint8_t expected[SIZE];
    uint32_t length = 1 + (uint32_t)below(rng, 200), lines = 1 + (uint32_t)below(rng, 12), x = 0, y = 0;
    uint32_t pitch = length + (uint32_t)below(rng, 300), words;
    uint32_t height = (uint32_t)below(rng, 3), depth = (uint32_t)below(rng, 2), layer = (uint32_t)below(rng, 2);
    bool tiled = below(rng, 2);
    uint64_t base = below(rng, 8000);
    struct nvengine_layout layout;

    memcpy(expected, memory, SIZE);
    REQUIRE(!nvengine_layout_init(&layout, 512, ROWS, height, depth), "layout");
    if (tiled)
        x = (uint32_t)below(rng, 512 - length), y = (uint32_t)below(rng, ROWS - lines), base &= ~511ull;
    address(m, subchannel, 0x188, VA + base);
    method(m, subchannel, 0x180, length);
    method(m, subchannel, 0x184, lines);
    method(m, subchannel, 0x190, pitch);
    method(m, subchannel, 0x194, height << 4 | depth << 8);
    method(m, subchannel, 0x198, 512);
    method(m, subchannel, 0x19c, ROWS);
    method(m, subchannel, 0x1a4, layer);
    method(m, subchannel, 0x1a8, x);
    method(m, subchannel, 0x1ac, y);
    address(m, subchannel, 0x1dc, VA + 15 * PAGE);
    method(m, subchannel, 0x1e4, 0x777);
    method(m, subchannel, 0x1b0, (tiled ? 0 : 1) | 2 << 4 | 1 << 12);
    words = (length * lines + 3) / 4;
    put(m, header(3, subchannel, 0x1b4, words));
    for (uint32_t i = 0; i < words; i++) {
        uint32_t data = (uint32_t)rnd(rng);

        put(m, data);
        for (uint32_t k = 0; k < 4 && 4 * i + k < length * lines; k++) {
            uint32_t at = 4 * i + k, px = at % length, py = at / length;
            uint64_t to = base + (tiled ? nvengine_layout_offset(&layout, x + px, y + py, layer) : py * pitch + px);

            expected[to] = (uint8_t)(data >> 8 * k);
        }
    }
    memset(memory + 15 * PAGE, 0, 4);
    memcpy(expected + 15 * PAGE, "\x77\x07\0", 4);
    method(m, subchannel, 0x1b4, 0xbad); /* too many: nothing is written */
    run_to_idle(m);
    for (uint32_t i = 0; i < SIZE; i++)
        REQUIRE(memory[i] == expected[i], "byte 0x%x: %02x, not %02x (tiled %d)", i, memory[i], expected[i], tiled);
}

static void inlined(struct machine *m, uint8_t *memory, uint64_t *rng)
{
    for (unsigned i = 0; i < 100; i++) {
        require_inline(m, memory, INLINE, rng);
        require_inline(m, memory, GRAPHICS, rng);
        require_inline(m, memory, COMPUTE, rng);
    }
    memset(memory, 0, 4);
    address(m, INLINE, 0x1dc, VA);
    method(m, INLINE, 0x180, 0);
    method(m, INLINE, 0x1b0, 1 | 2 << 4 | 1 << 12);
    run_to_idle(m);
    REQUIRE(value(memory, 4) == 0x777, "a copy of nothing is done at once");
    method(m, INLINE, 0x1b0, 3);
    run_to_fault(m, NVENGINE_ERROR_LAUNCH);
}

int main(void)
{
    uint64_t rng = seed_choose("nvengine_graphics");
    struct machine *m = machine_new("tu102", 0xc5b5);
    uint8_t *memory = machine_map(m, VA, 16, false);

    reports(m, memory);
    acquires(m, memory);
    inlined(m, memory, &rng);
    machine_delete(m);
    return 0;
}
