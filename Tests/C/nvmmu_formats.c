/*
 * Laws of single formats, and of all of them: what is encoded comes back, every bit has a name, and what nouveau does
 * not do or does wrong is here as docs/deviations.md says.
 */
#include "nvmmu_support.h"

static const char *const formats[] = {
    "gf100", "gf100-64k", "gk104", "gk104-64k", "gk20a", "gk20a-64k", "gm200",      "gm200-64k", "gm20b",
    "gm20b-64k", "gp100", "gp10b", "gv100",     "tu102", "ga100",     "ga100-512m", "gh100",     "gb100",
};

static bool flag(uint64_t *rng)
{
    return below(rng, 8) == 0;
}

/* ---- words ----------------------------------------------------------------------------------------------------- */

/* Often one that fits no format. */
static struct nvmmu_pte random_pte(uint64_t *rng)
{
    static const uint8_t bits[] = {34, 37, 40, 47, 52, 58};

    struct nvmmu_pte pte = {
        .addr = below(rng, 1ull << bits[below(rng, 6)]) & ~0xfffull,
        .aperture = (uint8_t)below(rng, 4),
        .kind = (uint16_t)below(rng, below(rng, 2) ? 16 : 256),
        .comptag = below(rng, 2) ? 0 : (uint32_t)below(rng, 1 << 21),
        .vol = below(rng, 2),
        .priv = below(rng, 2),
        .ro = below(rng, 2),
        .atomic_disable = flag(rng),
        .encrypted = flag(rng),
        .lock = flag(rng),
        .read_disable = flag(rng),
        .write_disable = flag(rng),
        .acd = flag(rng),
    };

    pte.peer = pte.aperture == NVMMU_PEER ? (uint8_t)below(rng, 9) : 0;
    return pte;
}

static bool pte_equal(const struct nvmmu_pte *a, const struct nvmmu_pte *b)
{
    return a->addr == b->addr && a->aperture == b->aperture && a->kind == b->kind && a->comptag == b->comptag &&
           a->peer == b->peer && a->vol == b->vol && a->priv == b->priv && a->ro == b->ro &&
           a->atomic_disable == b->atomic_disable && a->encrypted == b->encrypted && a->lock == b->lock &&
           a->read_disable == b->read_disable && a->write_disable == b->write_disable && a->acd == b->acd;
}

static bool pde_equal(const struct nvmmu_pde *a, const struct nvmmu_pde *b)
{
    return a->present == b->present && a->vol == b->vol && a->no_ats == b->no_ats &&
           (!a->present || (a->addr == b->addr && a->aperture == b->aperture && a->size == b->size));
}

/* Law: fields come in order, do not overlap, and put together are the words. Known entries have no unknown bits. */
static void require_fields(const struct nvmmu_format *f, enum nvmmu_level level, const uint64_t word[2], bool known)
{
    struct nvmmu_field field[NVMMU_FIELDS_MAX];
    size_t n = nvmmu_entry_fields(f, level, word, field);
    uint64_t sum[2] = {0, 0}, seen[2] = {0, 0};

    for (size_t i = 0; i < n; i++) {
        const struct nvmmu_field *e = &field[i];
        uint64_t mask = (~0ull >> (63 - (e->high - e->low))) << e->low;
        uint64_t value = e->is_address ? word[e->word] & mask : e->value << e->low;

        REQUIRE(!(seen[e->word] & mask), "%s %s: bits of two fields", nvmmu_format_name(f), e->name);
        REQUIRE(e->is_address ? !e->value == !value : value <= mask, "%s: value", e->name);
        REQUIRE(!known || strcmp(e->name, "unknown"), "%s level %d word %" PRIx64 " %" PRIx64 ": bits %u:%u unknown",
                nvmmu_format_name(f), level, word[0], word[1], e->high, e->low);
        seen[e->word] |= mask;
        sum[e->word] |= value;
    }
    REQUIRE(sum[0] == word[0] && sum[1] == word[1], "%s level %d: fields leave bits of %" PRIx64 " %" PRIx64 " out",
            nvmmu_format_name(f), level, word[0], word[1]);
}

static void pages_come_back(const struct nvmmu_format *f, uint64_t *rng)
{
    const struct nvmmu_level_info *level;
    size_t levels = nvmmu_format_levels(f, &level);
    unsigned accepted = 0;

    for (unsigned i = 0; i < 20000; i++) {
        enum nvmmu_level l = level[below(rng, levels)].level;
        struct nvmmu_pte pte = random_pte(rng);
        struct nvmmu_entry e;
        uint64_t word[2];

        if (nvmmu_pte_encode(f, l, &pte, word))
            continue;
        accepted++;
        nvmmu_entry_decode(f, l, word, &e);
        if (pte.aperture == NVMMU_PEER && pte.addr >> 37 && nvmmu_format_va_bits(f) == 49) {
            pte.comptag = (uint32_t)(pte.addr >> 37); /* where a wide address of a peer goes on */
            pte.addr &= (1ull << 37) - 1;
        }
        REQUIRE(e.state == NVMMU_ENTRY_PAGE && pte_equal(&e.page, &pte), "%s %016" PRIx64, nvmmu_format_name(f),
                word[0]);
        require_fields(f, l, word, true);
    }
    REQUIRE(accepted > 200, "%s: %u of 20000 accepted", nvmmu_format_name(f), accepted);
}

static struct nvmmu_pde random_pde(uint64_t *rng, uint8_t size)
{
    struct nvmmu_pde pde = {.present = below(rng, 3), .aperture = (uint8_t)below(rng, 4), .size = size};

    if (pde.present) {
        pde.addr = below(rng, 1ull << (below(rng, 2) ? 37 : 40)) & ~0xfffull;
        pde.vol = below(rng, 2);
        pde.no_ats = flag(rng);
    } else {
        pde = (struct nvmmu_pde){0};
    }
    return pde;
}

static void tables_come_back(const struct nvmmu_format *f, uint64_t *rng)
{
    const struct nvmmu_level_info *level;
    size_t levels = nvmmu_format_levels(f, &level);
    unsigned accepted = 0;

    for (unsigned i = 0; i < 20000; i++) {
        const struct nvmmu_level_info *l = &level[below(rng, levels - 2)];
        uint8_t size = flag(rng) ? (uint8_t)below(rng, 5) : 0;
        struct nvmmu_pde big = random_pde(rng, size), next = random_pde(rng, size);
        bool dual = l->level == NVMMU_PD0;
        struct nvmmu_entry e;
        uint64_t word[2];

        if (nvmmu_pde_encode(f, l->level, dual ? &big : NULL, &next, word))
            continue;
        accepted++;
        nvmmu_entry_decode(f, l->level, word, &e);
        if ((!dual || !big.present) && !next.present)
            REQUIRE(e.state == NVMMU_ENTRY_INVALID, "no table");
        else
            REQUIRE(e.state == NVMMU_ENTRY_TABLE && pde_equal(&e.next, &next) && (!dual || pde_equal(&e.big, &big)),
                    "%s level %d: %" PRIx64 " %" PRIx64, nvmmu_format_name(f), l->level, word[0], word[1]);
        require_fields(f, l->level, word, true);
    }
    REQUIRE(accepted > 200, "%s: %u of 20000 accepted", nvmmu_format_name(f), accepted);
}

static void any_word_has_names(const struct nvmmu_format *f, uint64_t *rng)
{
    const struct nvmmu_level_info *level;
    size_t levels = nvmmu_format_levels(f, &level);

    for (unsigned i = 0; i < 20000; i++) {
        const struct nvmmu_level_info *l = &level[below(rng, levels)];
        uint64_t word[2] = {rnd(rng), l->entry_bytes == 16 ? rnd(rng) : 0};
        struct nvmmu_entry e;

        if (below(rng, 2))
            word[0] &= ~1ull;
        nvmmu_entry_decode(f, l->level, word, &e);
        require_fields(f, l->level, word, false);
    }
}

/* ---- walks of single words --------------------------------------------------------------------------------------- */

/* All three ways to look at an address agree; the answer. */
static struct nvmmu_walk look(const struct nvmmu_space *s, uint64_t va)
{
    struct nvmmu_translation tr, near;
    struct nvmmu_cursor cursor;
    struct nvmmu_extents it;
    struct nvmmu_extent e;
    struct nvmmu_walk w;

    nvmmu_walk(s, va, &w);
    nvmmu_translate(s, va, &tr);
    nvmmu_cursor_init(&cursor, s);
    nvmmu_cursor_translate(&cursor, va ^ 0x1000, &near);
    nvmmu_cursor_translate(&cursor, va, &near);
    nvmmu_extents_init(&it, s, va, 4096);
    REQUIRE(nvmmu_extents_next(&it, &e), "an extent");
    REQUIRE(w.state == tr.state && w.state == near.state && w.state == e.state, "va %" PRIx64 ": %d %d %d %d", va,
            w.state, tr.state, near.state, e.state);
    REQUIRE(w.state != NVMMU_MAPPED || (w.pa == tr.pa && w.pa == near.pa && w.pa == e.pa), "va %" PRIx64, va);
    REQUIRE(w.state != NVMMU_UNMAPPED || (w.fault == tr.fault && w.fault == near.fault), "va %" PRIx64, va);
    return w;
}

static void short_tables_end(void)
{
    static uint64_t memory[(64 + 256) << 10 >> 3];
    struct nvmmu_window window = {0x10000, sizeof(memory), memory, NVMMU_VRAM};
    const struct nvmmu_format *f = nvmmu_format_find("gk104");
    struct nvmmu_space s = {f, &window, 1, 0x10000, NVMMU_VRAM};
    struct nvmmu_pde small = {.addr = 0x20000, .present = true, .size = 2};
    struct nvmmu_pte pte = {.addr = 0x1000};
    uint64_t word[2], quarter = 32 * MiB;

    REQUIRE(nvmmu_pde_encode(f, NVMMU_PD0, NULL, &small, word) == 0, "pde");
    memory[0] = word[0];
    REQUIRE(nvmmu_pte_encode(f, NVMMU_SPT, &pte, word) == 0, "pte");
    for (uint64_t i = 0; i < 16384; i++)
        memory[(0x10000 >> 3) + i] = word[0];
    REQUIRE(look(&s, quarter - 4096).pa == 0x1000, "the last page");
    REQUIRE(look(&s, quarter).fault == NVMMU_FAULT_PDE_SIZE, "beyond");
    REQUIRE(look(&s, 128 * MiB).fault == NVMMU_FAULT_PDE, "the next entry");
    window.size = 0x10000 + (256 << 10 >> 2);
    REQUIRE(look(&s, quarter - 4096).pa == 0x1000, "a quarter of a table need not lie in memory in full");
}

/* An address of all ones, and the word after it: the carry is no address. */
static void an_extent_ends_with_the_address_field(void)
{
    static uint64_t memory[(64 + 256) << 10 >> 3];
    struct nvmmu_window window = {0x10000, sizeof(memory), memory, NVMMU_VRAM};
    const struct nvmmu_format *f = nvmmu_format_find("gk104");
    struct nvmmu_space s = {f, &window, 1, 0x10000, NVMMU_VRAM};
    struct nvmmu_pde small = {.addr = 0x20000, .present = true, .size = 2};
    struct nvmmu_pte last = {.addr = (1ull << 40) - 4096, .aperture = NVMMU_HOST};
    struct nvmmu_extents it;
    struct nvmmu_extent e;
    uint64_t word[2];

    REQUIRE(nvmmu_pde_encode(f, NVMMU_PD0, NULL, &small, word) == 0, "pde");
    memory[0] = word[0];
    REQUIRE(nvmmu_pte_encode(f, NVMMU_SPT, &last, word) == 0, "pte");
    memory[0x10000 >> 3] = word[0];
    memory[(0x10000 >> 3) + 1] = word[0] + 0x10;
    nvmmu_extents_init(&it, &s, 0, 8192);
    REQUIRE(nvmmu_extents_next(&it, &e) && e.size == 4096 && e.pa == last.addr, "0x%" PRIx64, e.size);
    REQUIRE(nvmmu_extents_next(&it, &e) && e.size == 4096 && e.pa == 0, "0x%" PRIx64, e.pa);
}

/* 256 GiB pages: a Blackwell one, and what Hopper says to it. */
static void pages_at_pd2(void)
{
    static uint64_t memory[3][512];
    struct nvmmu_window window = {0, sizeof(memory), memory, NVMMU_VRAM};
    const struct nvmmu_format *f = nvmmu_format_find("gb100");
    struct nvmmu_space s = {f, &window, 1, 0, NVMMU_VRAM};
    struct nvmmu_pde next = {.present = true, .addr = 4096};
    struct nvmmu_pte pte = {.addr = 1ull << 40, .aperture = NVMMU_HOST};
    uint64_t word[2];
    struct nvmmu_walk w;

    nvmmu_pde_encode(f, NVMMU_PD4, NULL, &next, memory[0]);
    next.addr = 8192;
    nvmmu_pde_encode(f, NVMMU_PD3, NULL, &next, memory[1]);
    REQUIRE(nvmmu_pte_encode(f, NVMMU_PD2, &pte, word) == 0, "pte");
    memory[2][1] = word[0];
    w = look(&s, (1ull << 38) + 0x123456000);
    REQUIRE(w.state == NVMMU_MAPPED && w.pa == (1ull << 40) + 0x123456000 && w.shift == 38, "%" PRIx64, w.pa);
    s.format = nvmmu_format_find("gh100");
    REQUIRE(look(&s, 1ull << 38).fault == NVMMU_FAULT_PDE_SIZE, "Hopper");
    REQUIRE(nvmmu_pte_encode(s.format, NVMMU_PD2, &pte, word) == -EINVAL, "Hopper");
}

/* PCF 2, "nowhere", is no page, hides nothing and is not sparse. */
static void nowhere_is_unmapped(void)
{
    const struct nvmmu_format *f = nvmmu_format_find("gh100");
    uint64_t word[2] = {0x10, 0};
    struct nvmmu_entry e;

    nvmmu_entry_decode(f, NVMMU_LPT, word, &e);
    REQUIRE(e.state == NVMMU_ENTRY_INVALID, "state %d", e.state);
}

/* ---- large pages ------------------------------------------------------------------------------------------------- */

/* GH100-512M, and Ampere's for who asks: over tables of smaller pages, and away again. */
static void pages_of_512m(const char *format)
{
    const uint64_t va = 0x40000000, unit = 512 * MiB;
    struct bank *b = bank_new();
    struct nvmmu_vmm *v = vmm_new(b, format);
    struct nvmmu_space s = nvmmu_vmm_space(v);

    REQUIRE(nvmmu_vmm_get(v, va, 2 * unit, 29) == 0 && map_piece(v, va, 2 * unit, 29, NVMMU_VRAM, unit) == 0, "map");
    REQUIRE(look(&s, va + unit + 0x123000).pa == 2 * unit + 0x123000 && look(&s, va).shift == 29, "a page");
    vmm_require_sound(v);
    REQUIRE(nvmmu_vmm_get(v, va, 4096, 12) == 0 && nvmmu_vmm_get(v, va + unit, 2 * MiB, 21) == 0, "get below");
    REQUIRE(look(&s, va + 4096).state == NVMMU_UNMAPPED && look(&s, va + unit).state == NVMMU_UNMAPPED,
            "smaller pages take a larger one away");
    REQUIRE(map_piece(v, va, 4096, 12, NVMMU_HOST, 0x5000) == 0 && look(&s, va).pa == 0x5000, "map below");
    REQUIRE(map_piece(v, va, unit, 29, NVMMU_VRAM, 0) == 0 && look(&s, va).pa == 0, "map over");
    vmm_require_sound(v);
    REQUIRE(nvmmu_vmm_unmap(v, va, unit, 29, false) == 0 && look(&s, va).pa == 0x5000, "shows again");
    REQUIRE(map_piece(v, va, unit, 29, NVMMU_VRAM, 0) == 0, "map over");
    REQUIRE(nvmmu_vmm_put(v, va, 4096, 12) == 0 && look(&s, va + unit - 1).pa == unit - 1, "stays");
    vmm_require_sound(v);
    REQUIRE(nvmmu_vmm_put(v, va + unit, 2 * MiB, 21) == 0 && nvmmu_vmm_put(v, va, 2 * unit, 29) == 0, "put");
    REQUIRE(digest_of(v).tables == 1, "tables left");
    nvmmu_vmm_destroy(v);
    bank_delete(b);
}

static void ampere_does_not_offer_512m(void)
{
    struct bank *b = bank_new();
    struct nvmmu_vmm *v = vmm_new(b, "ga100");

    REQUIRE(nvmmu_vmm_get(v, 0, 512 * MiB, 29) == 0, "sparse only");
    REQUIRE(map_piece(v, 0, 512 * MiB, 29, NVMMU_VRAM, 0) == -EINVAL, "as nouveau");
    nvmmu_vmm_destroy(v);
    bank_delete(b);
}

/* SPARSE27-64K: the entries of the range that was asked for. */
static void sparse_directories_of_64m(void)
{
    struct bank *b = bank_new();
    struct nvmmu_vmm *v = vmm_new(b, "gm200-64k");
    struct nvmmu_space s = nvmmu_vmm_space(v);
    uint64_t va = 0xf0000000, size = 128 * MiB;

    REQUIRE(nvmmu_vmm_sparse(v, va, size, true) == 0 && digest_of(v).tables == 1, "in the directory alone");
    for (uint64_t at = va; at < va + size; at += 16 * MiB)
        REQUIRE(look(&s, at).state == NVMMU_SPARSE, "%" PRIx64, at);
    REQUIRE(look(&s, va - 4096).state == NVMMU_UNMAPPED && look(&s, va + size).state == NVMMU_UNMAPPED, "around it");
    REQUIRE(nvmmu_vmm_sparse(v, va, size, false) == 0 && look(&s, va).state == NVMMU_UNMAPPED, "undone");
    nvmmu_vmm_destroy(v);
    bank_delete(b);
}

/* ---- compression tags -------------------------------------------------------------------------------------------- */

static int map_tagged(struct nvmmu_vmm *v, unsigned shift, uint64_t offset, uint64_t pages, uint32_t tag, bool comp)
{
    struct nvmmu_piece piece = {0x10000000, 64 << 17};
    struct nvmmu_map map = {
        .va = 0,
        .size = pages << shift,
        .shift = shift,
        .target = NVMMU_VRAM,
        .object_shift = (uint8_t)shift,
        .offset = offset,
        .pieces = &piece,
        .piece_count = 1,
        .kind = 0xdb,
        .comptags = comp,
        .comptag = tag,
    };

    return nvmmu_vmm_map(v, &map);
}

static void tags(const char *format, unsigned shift, uint64_t offset, const uint32_t expected[4])
{
    struct bank *b = bank_new();
    struct nvmmu_vmm *v = vmm_new(b, format);

    REQUIRE(nvmmu_vmm_get(v, 0, 64ull << shift, shift) == 0, "get");
    REQUIRE(map_tagged(v, shift, offset, 4, 0x40, true) == 0, "map");
    for (unsigned i = 0; i < 4; i++) {
        struct nvmmu_walk w = walk_at(v, (uint64_t)i << shift);

        REQUIRE(w.page.comptag == expected[i] && w.page.kind == 0xdb, "%s page %u: tag %x kind %x", format, i,
                w.page.comptag, w.page.kind);
        REQUIRE(w.pa == 0x10000000 + offset + ((uint64_t)i << shift), "address");
    }
    REQUIRE(map_tagged(v, shift, 0, 4, 0, false) == 0, "map");
    REQUIRE(walk_at(v, 0).page.kind == 0xfe && walk_at(v, 0).page.comptag == 0, "the plain kind");
    REQUIRE(map_tagged(v, shift, 0, 4, 0x1fffe, true) == -EINVAL, "the fourth line does not fit");
    REQUIRE(map_tagged(v, shift, 0, 4, 0xffffffff, true) == -EINVAL, "no line fits");
    REQUIRE(walk_at(v, 0).page.kind == 0xfe, "nothing changed");
    REQUIRE(nvmmu_vmm_get(v, 1ull << 30, 4096, 12) == 0 && map_tagged(v, 12, 0, 1, 0x40, true) == -EINVAL, "4 KiB");
    nvmmu_vmm_destroy(v);
    bank_delete(b);
}

int main(void)
{
    uint64_t rng = seed_choose("nvmmu_formats");

    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        const struct nvmmu_format *f = nvmmu_format_find(formats[i]);

        pages_come_back(f, &rng);
        tables_come_back(f, &rng);
        any_word_has_names(f, &rng);
    }
    short_tables_end();
    an_extent_ends_with_the_address_field();
    pages_at_pd2();
    nowhere_is_unmapped();
    pages_of_512m("gh100");
    pages_of_512m("ga100-512m");
    ampere_does_not_offer_512m();
    sparse_directories_of_64m();
    tags("gk104", 17, 2 << 17, (uint32_t[]){0x42, 0x43, 0x44, 0x45});
    tags("gf100-64k", 16, 3 << 16, (uint32_t[]){0x43, 0x44, 0x45, 0x46});
    tags("gm200", 17, 0, (uint32_t[]){0x40, 0x41, 0x42, 0x43});
    tags("gm200-64k", 16, 0, (uint32_t[]){0x40, 0x10041, 0x41, 0x10042});
    tags("gm200-64k", 16, 1 << 16, (uint32_t[]){0x10041, 0x41, 0x10042, 0x42}); /* TAG-OFFSET */
    return 0;
}
