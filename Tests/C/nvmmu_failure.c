/*
 * Law: a call that runs out of memory at its n-th allocation, of a table or of software state, returns -ENOMEM and
 * leaves tables, entries and counters as they were, for every n.
 */
#include "nvmmu_support.h"

#define VA    ((1ull << 38) - 2 * MiB) /* its neighbour lies under another PD2 entry */
#define VRAM  0x10000000ull

struct scenario {
    const char *name;
    void (*prepare)(struct nvmmu_vmm *);
    int (*call)(struct nvmmu_vmm *);
};

static void require_get(struct nvmmu_vmm *v, uint64_t va, uint64_t size, unsigned shift)
{
    REQUIRE(nvmmu_vmm_get(v, va, size, shift) == 0, "get");
}

static void get_and_map(struct nvmmu_vmm *v, uint64_t va, uint64_t size, unsigned shift)
{
    require_get(v, va, size, shift);
    REQUIRE(map_piece(v, va, size, shift, NVMMU_VRAM, VRAM) == 0, "map");
}

static void nothing(struct nvmmu_vmm *v)
{
    (void)v;
}

static void big_page(struct nvmmu_vmm *v)
{
    get_and_map(v, VA + 0x10000, 0x10000, 16);
}

static void huge_page(struct nvmmu_vmm *v)
{
    get_and_map(v, VA, 2 * MiB, 21);
}

static void small_page(struct nvmmu_vmm *v)
{
    get_and_map(v, VA + 0x11000, 0x1000, 12);
}

static void small_in_sparse(struct nvmmu_vmm *v)
{
    REQUIRE(nvmmu_vmm_sparse(v, VA, 4 * MiB, true) == 0, "sparse");
    get_and_map(v, VA + 0x11000, 0x1000, 12);
}

static void everything(struct nvmmu_vmm *v)
{
    big_page(v);
    get_and_map(v, VA + 0x20000, 0x10000, 12);
    get_and_map(v, VA - 2 * MiB, 2 * MiB, 21);
}

static void sixteen_ranges(struct nvmmu_vmm *v)
{
    for (unsigned i = 0; i < 16; i++)
        REQUIRE(nvmmu_vmm_sparse(v, VA + i * 0x20000ull, 0x10000, true) == 0, "sparse");
}

static int get_small(struct nvmmu_vmm *v)
{
    return nvmmu_vmm_get(v, VA + 0x10000, 4 * MiB, 12);
}

static int get_big(struct nvmmu_vmm *v)
{
    return nvmmu_vmm_get(v, VA, 4 * MiB, 16);
}

static int get_huge(struct nvmmu_vmm *v)
{
    return nvmmu_vmm_get(v, VA, 4 * MiB, 21);
}

static int get_many(struct nvmmu_vmm *v)
{
    return nvmmu_vmm_get(v, VA, 64 * MiB, 12);
}

static int sparse_mixed(struct nvmmu_vmm *v)
{
    return nvmmu_vmm_sparse(v, VA - 2 * MiB - 0x15000, 1024 * MiB, true);
}

static int sparse_another(struct nvmmu_vmm *v)
{
    return nvmmu_vmm_sparse(v, VA + 4 * MiB, 0x3000, true);
}

static const struct scenario scenarios[] = {
    {"get 4K in an empty space", nothing, get_small},
    {"get 4K under a valid 64K page", big_page, get_small},
    {"get 4K under a valid 2M page", huge_page, get_small},
    {"get 4K a second time", small_page, get_small},
    {"get 4K in a sparse range", small_in_sparse, get_small},
    {"get 64K beside and over 4K", small_page, get_big},
    {"get 64K under a valid 2M page", huge_page, get_big},
    {"get 64K a second time", big_page, get_big},
    {"get 2M over smaller ones", everything, get_huge},
    {"get 2M a second time", huge_page, get_huge},
    {"get 64 MiB of 4K", nothing, get_many},
    {"sparse of all sizes in an empty space", nothing, sparse_mixed},
    {"sparse over pages of all sizes", everything, sparse_mixed},
    {"sparse when the list of ranges grows", sixteen_ranges, sparse_another},
};

/* Fails at allocation n. Returns whether it succeeded for want of an n-th allocation. */
static bool fail_at(const struct scenario *s, const char *format, bool table, long n)
{
    struct bank *b = bank_new();
    struct nvmmu_vmm *v = vmm_new(b, format);
    struct digest before, after;
    int ret;

    s->prepare(v);
    before = digest_of(v);
    *(table ? &b->fail_after : &b->alloc_after) = n;
    ret = s->call(v);
    b->fail_after = b->alloc_after = -1;
    vmm_require_sound(v);
    if (ret) {
        after = digest_of(v);
        REQUIRE(ret == -ENOMEM, "%s, %s allocation %ld: %d", s->name, table ? "table" : "software", n, ret);
        REQUIRE(before.hash == after.hash, "%s, %s allocation %ld: state changed (%u tables, before %u)", s->name,
                table ? "table" : "software", n, after.tables, before.tables);
        REQUIRE(s->call(v) == 0, "%s: fails with memory at hand", s->name);
    }
    nvmmu_vmm_destroy(v);
    bank_delete(b);
    return ret == 0;
}

static bool create_fails_at(bool table, long n)
{
    struct bank *b = bank_new();
    struct nvmmu_vmm_config config = bank_config(b, "tu102");
    struct nvmmu_vmm *v = NULL;
    int ret;

    *(table ? &b->fail_after : &b->alloc_after) = n;
    ret = nvmmu_vmm_create(&config, &v);
    REQUIRE(ret == 0 || ret == -ENOMEM, "create: %d", ret);
    if (!ret)
        nvmmu_vmm_destroy(v);
    bank_delete(b);
    return ret == 0;
}

int main(void)
{
    long failures = 0, n;

    for (unsigned table = 0; table < 2; table++) {
        for (n = 0; !create_fails_at(table, n); n++)
            ;
        REQUIRE(n > 0, "create without %s allocations", table ? "table" : "software");
        for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
            for (n = 0; !fail_at(&scenarios[i], i % 2 ? "tu102" : "gp100", table, n); n++)
                failures++;
        }
    }
    printf("nvmmu_failure: %ld failures undone\n", failures);
    REQUIRE(failures > 100, "too few");
    return 0;
}
