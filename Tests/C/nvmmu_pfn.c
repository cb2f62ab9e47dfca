/*
 * Laws of pfn maps: every address shows the page of the last valid word for it; a word that cannot be followed becomes
 * 0 and its page stays; raw references and pfn maps keep away from each other; each mapped page holds one reference,
 * so that all tables go when all is cleared.
 */
#include "nvmmu_support.h"

#define BASE  ((1ull << 29) - 4 * MiB) /* a border between tables of every level up to PD1 in it */
#define SIZE  (8 * MiB)
#define PAGES 2048u /* 4 KiB */
#define OPS   1500

/* What a flat list of pages knows: 4 KiB pages; those of 2 MiB lie over them. */
struct test {
    uint64_t rng;
    struct bank *bank;
    struct nvmmu_vmm *vmm;
    uint64_t small[PAGES], huge[SIZE / (2 * MiB)]; /* words; 0: not mapped */
    bool raw[PAGES]; /* referenced by the raw operations */
    uint64_t refused, failed;
};

static uint64_t word_random(struct test *t, unsigned shift)
{
    uint64_t word = (1 + below(&t->rng, 0xffff)) << (shift == 12 ? 12 : 21);

    word |= below(&t->rng, 4) ? NVMMU_PFN_VALID : 0;
    word |= rnd(&t->rng) & (NVMMU_PFN_WRITE | NVMMU_PFN_ATOMIC | NVMMU_PFN_VRAM);
    switch (below(&t->rng, 64)) {
    case 0:
        return word | 1ull << 62; /* fits no entry */
    case 1:
        return word | 0x20; /* no such memory */
    case 2:
        return shift == 21 ? word | 1 << 12 : word; /* not a page of this size */
    default:
        return word;
    }
}

static bool fits(uint64_t word, unsigned shift)
{
    return !(word >> 62) && !(word & 0xe0) && !(shift == 21 && word & (1 << 12));
}

static uint64_t *page_of(struct test *t, unsigned shift, uint64_t i)
{
    return shift == 12 ? &t->small[i] : &t->huge[i];
}

static void require_entry(const struct test *t, uint64_t va, unsigned shift, uint64_t word)
{
    struct nvmmu_walk w = walk_at(t->vmm, va);
    bool vram = word & NVMMU_PFN_VRAM;

    REQUIRE(w.state == NVMMU_MAPPED && w.shift == shift && w.pa == (word & ~0xfffull) + va % (1ull << shift),
            "va 0x%" PRIx64, va);
    REQUIRE(w.page.aperture == (vram ? NVMMU_VRAM : NVMMU_HOST) && w.page.vol == !vram && !w.page.priv &&
                !w.page.kind && w.page.ro == !(word & NVMMU_PFN_WRITE) &&
                w.page.atomic_disable == !(word & NVMMU_PFN_ATOMIC),
            "attributes of va 0x%" PRIx64, va);
}

static void compare(const struct test *t)
{
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t va = BASE + i * 4096ull, huge = t->huge[i / 512];

        if (huge)
            require_entry(t, va, 21, huge);
        else if (t->small[i])
            require_entry(t, va, 12, t->small[i]);
        else
            REQUIRE(walk_at(t->vmm, va).state == NVMMU_UNMAPPED, "va 0x%" PRIx64 " is mapped", va);
    }
}

/* Small and huge pages on one address: references of small pages bring them to light. The kernel's users do not mix
 * them, so a run is of one size until all is cleared. */
static void map(struct test *t, unsigned shift)
{
    uint64_t count = shift == 12 ? PAGES : SIZE / (2 * MiB), first = below(&t->rng, count);
    uint64_t n = 1 + below(&t->rng, count - first), word[PAGES], asked[PAGES];
    bool fail = !below(&t->rng, 8);

    if (n > 64)
        n = 64;
    for (uint64_t i = 0; i < n; i++)
        word[i] = asked[i] = word_random(t, shift);
    if (fail)
        t->bank->fail_after = (long)below(&t->rng, 4);
    REQUIRE(nvmmu_vmm_pfn_map(t->vmm, shift, BASE + (first << shift), n << shift, word) == 0, "map");
    fail &= t->bank->fail_after < 0;
    t->bank->fail_after = -1;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t *page = page_of(t, shift, first + i);
        bool possible = fits(asked[i], shift) && !(shift == 12 && t->raw[first + i]);

        if (!(asked[i] & NVMMU_PFN_VALID)) {
            REQUIRE(word[i] == asked[i], "a word that asks for nothing was changed");
            *page = 0;
        } else if (word[i]) {
            REQUIRE(possible && word[i] == asked[i], "word 0x%" PRIx64 " was taken", asked[i]);
            *page = word[i];
        } else {
            REQUIRE(!possible || (fail && !*page), "word 0x%" PRIx64 " was refused", asked[i]);
            t->refused += !possible;
            t->failed += possible;
        }
    }
}

static void clear(struct test *t)
{
    uint64_t va = below(&t->rng, SIZE), size = 1 + below(&t->rng, SIZE - va);

    REQUIRE(nvmmu_vmm_pfn_clear(t->vmm, BASE + va, size) == 0, "clear");
    for (uint64_t i = va / 4096; i <= (va + size - 1) / 4096; i++)
        t->small[i] = t->huge[i / 512] = 0;
}

/* The raw operations on one page. */
static void raw(struct test *t)
{
    uint64_t i = below(&t->rng, PAGES), va = BASE + i * 4096;

    if (t->small[i]) {
        REQUIRE(nvmmu_vmm_put(t->vmm, va, 4096, 12) == -EINVAL, "put of a pfn page");
        REQUIRE(nvmmu_vmm_unmap(t->vmm, va, 4096, 12, false) == -EINVAL, "unmap of a pfn page");
        REQUIRE(map_piece(t->vmm, va, 4096, 12, NVMMU_VRAM, 0x10000) == -EINVAL, "map of a pfn page");
    } else if (t->raw[i]) {
        REQUIRE(nvmmu_vmm_put(t->vmm, va, 4096, 12) == 0, "put");
        t->raw[i] = false;
    } else {
        REQUIRE(nvmmu_vmm_get(t->vmm, va, 4096, 12) == 0, "get");
        t->raw[i] = true;
    }
}

static void run(const char *format, uint64_t seed)
{
    struct test *t = calloc(1, sizeof(*t));

    REQUIRE(t, "memory");
    *t = (struct test){.rng = seed, .bank = bank_new()};
    t->vmm = vmm_new(t->bank, format);
    for (unsigned round = 0; round < 4; round++) {
        unsigned shift = round & 1 ? 21 : 12;

        for (unsigned n = 0; n < OPS / 4; n++) {
            unsigned flushes = t->bank->flushes;

            if (below(&t->rng, 4))
                map(t, shift);
            else if (shift == 12 && below(&t->rng, 2))
                raw(t);
            else
                clear(t);
            REQUIRE(t->bank->flushes <= flushes + 1, "more than one flush a call");
            if (n % 8 == 0) {
                compare(t);
                vmm_require_sound(t->vmm);
            }
        }
        REQUIRE(nvmmu_vmm_pfn_clear(t->vmm, 0, 1ull << 49) == 0, "clear all");
        memset(t->small, 0, sizeof(t->small));
        memset(t->huge, 0, sizeof(t->huge));
        for (uint64_t i = 0; i < PAGES; i++)
            if (t->raw[i])
                REQUIRE(nvmmu_vmm_put(t->vmm, BASE + i * 4096, 4096, 12) == 0, "put");
        memset(t->raw, 0, sizeof(t->raw));
        REQUIRE(digest_of(t->vmm).tables == 1, "tables left");
    }
    REQUIRE(t->refused && t->failed, "%" PRIu64 " refused, %" PRIu64 " failed", t->refused, t->failed);
    nvmmu_vmm_destroy(t->vmm);
    bank_delete(t->bank);
    free(t);
}

/* Law: only 4 KiB and 2 MiB, whole pages of a client's area. */
static void refused(void)
{
    struct bank *b = bank_new();
    struct nvmmu_vmm *v = vmm_new(b, "tu102");
    uint64_t word[32] = {0x100000 | NVMMU_PFN_VALID};

    REQUIRE(nvmmu_vmm_pfn_map(v, 16, 0, 0x10000, word) == -EINVAL, "64 KiB");
    REQUIRE(nvmmu_vmm_pfn_map(v, 29, 0, 512 * MiB, word) == -EINVAL, "512 MiB");
    REQUIRE(nvmmu_vmm_pfn_map(v, 12, 0x800, 0x1000, word) == -EINVAL, "half a page");
    REQUIRE(nvmmu_vmm_pfn_map(v, 12, 0, 0, word) == -EINVAL, "nothing");
    REQUIRE(nvmmu_vmm_pfn_map(v, 12, (1ull << 49) - 4096, 0x2000, word) == -EINVAL, "beyond the end");
    REQUIRE(nvmmu_vmm_pfn_clear(v, 0, 0) == -EINVAL, "nothing");
    REQUIRE(digest_of(v).tables == 1 && word[0], "changed");
    nvmmu_vmm_destroy(v);
    bank_delete(b);
}

int main(void)
{
    uint64_t seed = seed_choose("nvmmu_pfn");

    refused();
    run("gp100", seed);
    run("ga102", seed + 1);
    return 0;
}
