/*
 * Law: whatever the memory of tables holds, walks end, read nothing outside the windows (each its own allocation, so
 * that AddressSanitizer sees), and nvmmu_walk, nvmmu_translate and nvmmu_extents agree.
 */
#include "nvmmu_support.h"

#define WINDOWS 3

struct world {
    uint64_t rng;
    struct nvmmu_window window[WINDOWS];
    struct nvmmu_space space;
    struct nvmmu_cursor cursor;
};

static void world_init(struct world *w, uint64_t seed, const char *format)
{
    static const uint64_t size[WINDOWS] = {16384, 4096 + 256, 40};
    static const uint8_t aperture[WINDOWS] = {NVMMU_VRAM, NVMMU_HOST, NVMMU_NCOH};

    w->rng = seed;
    for (unsigned i = 0; i < WINDOWS; i++) {
        w->window[i] = (struct nvmmu_window){(i + 1) * MiB, size[i], malloc(size[i]), aperture[i]};
        REQUIRE(w->window[i].cpu, "memory");
    }
    w->space = (struct nvmmu_space){nvmmu_format_find(format), w->window, WINDOWS, MiB, NVMMU_VRAM};
}

static void world_end(struct world *w)
{
    for (unsigned i = 0; i < WINDOWS; i++)
        free(w->window[i].cpu);
}

/* An address in, at the edge of, or beyond a window, as a directory entry. */
static uint64_t pointer(struct world *w)
{
    const struct nvmmu_window *win = &w->window[below(&w->rng, WINDOWS)];
    uint64_t addr = win->base + below(&w->rng, 8) * 4096;

    switch (below(&w->rng, 8)) {
    case 0:
        addr = win->base + win->size - (below(&w->rng, 3) * 256);
        break;
    case 1:
        addr = win->base - 4096;
        break;
    case 2:
        addr = rnd(&w->rng) & 0x3ffffffffff000;
        break;
    default:
        break;
    }
    return (addr & ~0xffull) >> 4 | (win->aperture == NVMMU_VRAM ? 1u : win->aperture) << 1;
}

static uint64_t word(struct world *w)
{
    switch (below(&w->rng, 8)) {
    case 0:
        return rnd(&w->rng);
    case 1:
        return below(&w->rng, 64);
    case 2:
        return (rnd(&w->rng) & 0x3fff00) | 1;
    default:
        return pointer(w);
    }
}

static void require_agreement(struct world *w, uint64_t va)
{
    struct nvmmu_translation t, u;
    struct nvmmu_extents it;
    struct nvmmu_extent e;
    struct nvmmu_walk k;
    uint64_t reached = va;

    nvmmu_walk(&w->space, va, &k);
    nvmmu_translate(&w->space, va, &t);
    REQUIRE(k.step_count <= NVMMU_STEPS_MAX, "steps");
    REQUIRE(k.state == t.state && (k.state != NVMMU_MAPPED || (k.pa == t.pa && k.shift == t.shift)),
            "va 0x%" PRIx64 ": walk %d 0x%" PRIx64 ", translate %d 0x%" PRIx64, va, k.state, k.pa, t.state, t.pa);
    nvmmu_cursor_translate(&w->cursor, va, &u);
    REQUIRE(u.state == t.state && u.pa == t.pa && u.limit == t.limit && u.word == t.word && u.fault == t.fault,
            "va 0x%" PRIx64 ": cursor", va);

    nvmmu_extents_init(&it, &w->space, va, 1ull << 28);
    for (unsigned n = 0; n < 20 && nvmmu_extents_next(&it, &e); n++) {
        REQUIRE(e.va == reached && e.size, "extents do not follow each other");
        nvmmu_translate(&w->space, e.va, &t);
        REQUIRE(e.state == t.state && (e.state != NVMMU_MAPPED || e.pa == t.pa), "extent at 0x%" PRIx64, e.va);
        nvmmu_translate(&w->space, e.va + e.size - 1, &t);
        REQUIRE(e.state == t.state && (e.state != NVMMU_MAPPED || e.pa + e.size - 1 == t.pa),
                "end of the extent at 0x%" PRIx64, e.va);
        reached = e.va + e.size;
    }
}

static void random_words(const char *format, uint64_t seed, unsigned rounds)
{
    struct world w;

    world_init(&w, seed, format);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < WINDOWS; i++)
            for (uint64_t k = 0; k < w.window[i].size / 8; k++)
                ((uint64_t *)w.window[i].cpu)[k] = word(&w);
        w.space.root = below(&w.rng, 4) ? MiB + below(&w.rng, 4) * 4096 : rnd(&w.rng) & 0x3ffff8;
        nvmmu_cursor_init(&w.cursor, &w.space);
        for (unsigned n = 0; n < 200; n++)
            require_agreement(&w, rnd(&w.rng) >> (15 + below(&w.rng, 20)));
        require_agreement(&w, ~0ull);
        require_agreement(&w, 1ull << 49);
    }
    world_end(&w);
}

/* Every entry points at the root. */
static void directories_that_point_at_themselves(void)
{
    struct world w;

    world_init(&w, 1, "tu102");
    for (unsigned k = 0; k < 512; k++)
        ((uint64_t *)w.window[0].cpu)[k] = MiB >> 4 | 2;
    nvmmu_cursor_init(&w.cursor, &w.space);
    for (unsigned n = 0; n < 100; n++)
        require_agreement(&w, rnd(&w.rng) >> 15);
    world_end(&w);
}

/* A table that fits its window to the last byte is read, one that does not is a fault. */
static void tables_at_the_edge_of_a_window(void)
{
    struct world w;
    struct nvmmu_walk k;

    world_init(&w, 1, "tu102");
    memset(w.window[0].cpu, 0, 16384);
    ((uint64_t *)w.window[0].cpu)[0] = (MiB + 12288) >> 4 | 2;
    nvmmu_walk(&w.space, 0, &k);
    REQUIRE(k.state == NVMMU_UNMAPPED && k.level == NVMMU_PD2 && k.step_count == 2, "the last page is inside");
    ((uint64_t *)w.window[0].cpu)[0] = (2 * MiB + 4096) >> 4 | 4; /* 256 bytes are left there */
    nvmmu_walk(&w.space, 0, &k);
    REQUIRE(k.state == NVMMU_UNMAPPED && k.fault == NVMMU_FAULT_PDE && k.step_count == 1, "reaches out of the window");
    nvmmu_cursor_init(&w.cursor, &w.space);
    require_agreement(&w, 0);
    world_end(&w);
}

int main(void)
{
    uint64_t seed = seed_choose("nvmmu_fuzz");
    unsigned rounds = getenv("LONG") ? 5000 : 200;

    random_words("gp100", seed, rounds);
    random_words("ga102", seed + 1, rounds);
    directories_that_point_at_themselves();
    tables_at_the_edge_of_a_window();
    return 0;
}
