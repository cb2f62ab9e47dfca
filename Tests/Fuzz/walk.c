/*
 * The input is the memory of tables. Laws: walks read nothing outside the windows (each an allocation of its own) and
 * end; nvmmu_walk, nvmmu_translate, the cursor and the extents agree; extents cover their range exactly; fields name
 * every set bit of a word; a decoded page that can be encoded decodes the same again.
 */
#include "../C/nvmmu_support.h"
#include "input.h"

#define SPAN      (1ull << 24) /* of addresses, each time extents are asked for */
#define ADDRESSES 8

/* Tables of any format fit into the largest; the odd ones end in the middle of a table or a group of entries. */
static const uint32_t window_sizes[] = {40, 4096 + 256, 16384, 65536 + 8, 300 * 1024, 2 * MiB + 64};
#define SIZES (sizeof(window_sizes) / sizeof(window_sizes[0]))

struct world {
    struct nvmmu_window window[2];
    struct nvmmu_space space;
    struct nvmmu_cursor cursor;
};

/* Memory of a size, one for each window; made once. */
static void *window_memory(unsigned window, unsigned size)
{
    static void *memory[2][SIZES];

    if (!memory[window][size])
        memory[window][size] = malloc(window_sizes[size]);
    REQUIRE(memory[window][size], "memory");
    return memory[window][size];
}

/* The words of the input again and again, so that any index finds one. */
static void fill(const struct nvmmu_window *w, const struct input *in)
{
    const size_t period = in->left & ~(size_t)7;
    char *at = w->cpu;

    memset(at, 0, w->size);
    if (!period)
        return;
    memcpy(at, in->at, period < w->size ? period : w->size);
    for (size_t done = period; done < w->size; done *= 2)
        memcpy(at + done, at, done < w->size - done ? done : w->size - done);
}

static void require_same(const struct nvmmu_translation *a, const struct nvmmu_translation *b, uint64_t va)
{
    REQUIRE(a->state == b->state && a->pa == b->pa && a->limit == b->limit && a->word == b->word &&
                a->aperture == b->aperture && a->shift == b->shift && a->ro == b->ro && a->priv == b->priv &&
                (a->state != NVMMU_UNMAPPED || a->fault == b->fault),
            "va 0x%" PRIx64 ": cursor and translate differ", va);
}

static void require_address(struct world *w, uint64_t va)
{
    struct nvmmu_translation t, u;
    struct nvmmu_walk k;

    nvmmu_walk(&w->space, va, &k);
    nvmmu_translate(&w->space, va, &t);
    REQUIRE(k.step_count <= NVMMU_STEPS_MAX, "steps");
    REQUIRE(k.state == t.state && (k.state != NVMMU_UNMAPPED || k.fault == t.fault) &&
                (k.state != NVMMU_MAPPED || (k.pa == t.pa && k.shift == t.shift && k.page.aperture == t.aperture)),
            "%s va 0x%" PRIx64 ": walk %d 0x%" PRIx64 " fault %d, translate %d 0x%" PRIx64 " fault %d",
            nvmmu_format_name(w->space.format), va, k.state, k.pa, k.fault, t.state, t.pa, t.fault);
    nvmmu_cursor_translate(&w->cursor, va, &u);
    require_same(&t, &u, va);
    nvmmu_cursor_translate(&w->cursor, va, &u); /* now from what it remembers */
    require_same(&t, &u, va);
}

static void require_extents(struct world *w, uint64_t va)
{
    const uint64_t top = 1ull << nvmmu_format_va_bits(w->space.format);
    struct nvmmu_translation t;
    struct nvmmu_extents it;
    struct nvmmu_extent e;
    uint64_t reached = va, end = va >= top ? va : va + SPAN < top ? va + SPAN : top;

    nvmmu_extents_init(&it, &w->space, va, SPAN);
    while (nvmmu_extents_next(&it, &e)) {
        REQUIRE(e.va == reached && e.size && e.size <= end - reached, "extent at 0x%" PRIx64, e.va);
        for (unsigned last = 0; last < 2; last++) {
            uint64_t offset = last ? e.size - 1 : 0;

            nvmmu_translate(&w->space, e.va + offset, &t);
            REQUIRE(e.state == t.state && (e.state != NVMMU_MAPPED || e.pa + offset == t.pa), "extent 0x%" PRIx64
                    "+0x%" PRIx64, e.va, e.size);
        }
        reached += e.size;
    }
    REQUIRE(reached == end, "extents end at 0x%" PRIx64 ", not at 0x%" PRIx64, reached, end);
}

static void require_fields(const struct nvmmu_format *f, const struct nvmmu_level_info *l, const uint64_t word[2])
{
    struct nvmmu_field field[NVMMU_FIELDS_MAX];
    size_t n = nvmmu_entry_fields(f, l->level, word, field);
    uint64_t named[2] = {0, 0};

    REQUIRE(n <= NVMMU_FIELDS_MAX, "fields");
    for (size_t i = 0; i < n; i++) {
        REQUIRE(field[i].name && field[i].word < 2 && field[i].low <= field[i].high && field[i].high < 64, "field %zu", i);
        named[field[i].word] |= ~0ull >> (63 - field[i].high) & ~0ull << field[i].low;
    }
    REQUIRE(!(word[0] & ~named[0] & (l->entry_bytes == 4 ? UINT32_MAX : ~0ull)), "level %s, word 0x%" PRIx64
            ": bits 0x%" PRIx64, nvmmu_level_name(l->level), word[0], word[0] & ~named[0]);
}

static void require_entry(const struct nvmmu_format *f, const struct nvmmu_level_info *l, const uint64_t word[2])
{
    struct nvmmu_entry e, again;
    uint64_t out[2];

    require_fields(f, l, word);
    nvmmu_entry_decode(f, l->level, word, &e);
    if (e.state != NVMMU_ENTRY_PAGE || nvmmu_pte_encode(f, l->level, &e.page, out))
        return;
    nvmmu_entry_decode(f, l->level, out, &again);
    REQUIRE(again.state == e.state && again.page.addr == e.page.addr && again.page.kind == e.page.kind &&
                again.page.aperture == e.page.aperture && again.page.comptag == e.page.comptag &&
                again.page.ro == e.page.ro && again.page.priv == e.page.priv && again.page.vol == e.page.vol,
            "level %s, word 0x%" PRIx64 " comes back as 0x%" PRIx64, nvmmu_level_name(l->level), word[0], out[0]);
}

static void world_init(struct world *w, struct input *in)
{
    static const uint64_t bases[] = {0, MiB, 1ull << 32};
    static const uint8_t apertures[2] = {NVMMU_VRAM, NVMMU_HOST};
    uint64_t root;

    w->space = (struct nvmmu_space){.format = nvmmu_format_find(format_names[choose(in, FORMATS)]),
                                    .windows = w->window, .window_count = 2};
    for (unsigned i = 0; i < 2; i++) {
        unsigned how = byte(in), size = how % SIZES;

        w->window[i] = (struct nvmmu_window){bases[how / SIZES % 3], window_sizes[size], window_memory(i, size),
                                             apertures[i]};
    }
    root = take(in, 4);
    w->space.root = root & 1 ? root << 3 : w->window[root >> 1 & 1].base + (root >> 4 << 4);
    w->space.root_aperture = root & 1 ? root >> 1 & 3 : apertures[root >> 1 & 1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    const struct nvmmu_level_info *level;
    uint64_t va[ADDRESSES];
    struct world w;
    size_t levels;

    world_init(&w, &in);
    for (unsigned i = 0; i < ADDRESSES; i++)
        va[i] = take(&in, 7) >> (i % 4 ? 56 - nvmmu_format_va_bits(w.space.format) % 57 : 0);
    fill(&w.window[0], &in);
    fill(&w.window[1], &in);
    nvmmu_cursor_init(&w.cursor, &w.space);
    for (unsigned i = 0; i < ADDRESSES; i++) {
        require_address(&w, va[i]);
        require_address(&w, va[i] ^ 4096);
    }
    require_address(&w, ~0ull);
    require_extents(&w, va[1] & ~0xfffull);
    require_extents(&w, va[2]);
    levels = nvmmu_format_levels(w.space.format, &level);
    for (size_t i = 0; i < levels; i++)
        for (unsigned k = 0; k < 4; k++)
            require_entry(w.space.format, &level[i], (const uint64_t *)w.window[1].cpu + k);
    return 0;
}
