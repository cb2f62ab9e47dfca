/*
 * Layouts and remaps alone. Laws: a GOB's 512 bytes are each at one place, as the table of bits says; an image's bytes
 * are each at one place below its size; GOBs go to rows and back; a remap does to each component what its select says,
 * for every select, size and count.
 */
#include <nvengine/layout.h>
#include <nvengine/remap.h>

#include "nvmmu_support.h"

static void gob_bits(void)
{
    bool seen[512] = {false};

    for (unsigned y = 0; y < 8; y++)
        for (unsigned x = 0; x < 64; x++) {
            unsigned expected = (x >> 5 & 1) << 8 | (y >> 2 & 1) << 7 | (x >> 4 & 1) << 6 | (y & 3) << 4 | (x & 15);

            REQUIRE(nvengine_gob_offset(x, y) == expected && !seen[expected], "(%u, %u)", x, y);
            seen[expected] = true;
        }
}

static void gob_rows(uint64_t *rng)
{
    uint8_t gob[512], again[512], row[8][64], part[64];
    void *to[8];
    const void *from[8];

    for (unsigned i = 0; i < 512; i++)
        gob[i] = (uint8_t)rnd(rng);
    for (unsigned i = 0; i < 8; i++)
        from[i] = to[i] = row[i];
    nvengine_gob_read(gob, to);
    for (unsigned i = 0; i < 512; i++)
        REQUIRE(row[i / 64][i % 64] == gob[nvengine_gob_offset(i % 64, i / 64)], "byte %u", i);
    nvengine_gob_write(again, from);
    REQUIRE(!memcmp(gob, again, 512), "and back");
    for (unsigned x = 0; x < 64; x++)
        for (unsigned n = 0; x + n <= 64; n++) {
            unsigned y = (unsigned)below(rng, 8);

            nvengine_gob_read_row(gob, x, y, part, n);
            REQUIRE(!memcmp(part, row[y] + x, n), "row %u, %u bytes at %u", y, n, x);
            memset(again, 0, 512);
            nvengine_gob_write_row(again, x, y, part, n);
            for (unsigned i = 0; i < 512; i++) {
                bool in = i / 64 == y && i % 64 >= x && i % 64 < x + n;
                unsigned at = nvengine_gob_offset(i % 64, i / 64);

                REQUIRE(again[at] == (in ? gob[at] : 0), "byte %u", i);
            }
        }
}

/* The formula of the public record, block by block. */
static void images(uint64_t *rng)
{
    static bool seen[4 << 20];
    struct nvengine_layout l;

    REQUIRE(nvengine_layout_init(&l, 64, 8, 6, 0) == -EINVAL && nvengine_layout_init(&l, 64, 8, 0, 6) == -EINVAL,
            "higher or deeper than there are");
    for (unsigned round = 0; round < 60; round++) {
        unsigned height = (unsigned)below(rng, 6), depth = (unsigned)below(rng, 6);
        uint64_t width = 1 + below(rng, 300), rows = 1 + below(rng, 100), slices = 1 + below(rng, 5), size, base;

        REQUIRE(!nvengine_layout_init(&l, width, rows, height, depth), "layout");
        size = nvengine_layout_size(&l, slices);
        REQUIRE(size <= sizeof(seen), "0x%" PRIx64, size);
        memset(seen, 0, size);
        for (uint64_t z = 0; z < slices; z++)
            for (uint64_t y = 0; y < rows; y++)
                for (uint64_t x = 0; x < width; x++) {
                    uint64_t at = nvengine_layout_offset(&l, x, y, z);

                    REQUIRE(at < size && !seen[at], "(%" PRIu64 ", %" PRIu64 ", %" PRIu64 ")", x, y, z);
                    seen[at] = true;
                    base = ((z >> depth) * l.rows + (y >> (3 + height))) * l.columns + (x >> 6);
                    base = base * (512ull << (height + depth)) + (z & ((1u << depth) - 1)) * (512ull << height) +
                           (y >> 3 & ((1u << height) - 1)) * 512;
                    REQUIRE(nvengine_layout_gob(&l, x, y, z) == base && at - base < 512, "gob");
                }
    }
}

static void require_remap(const struct nvengine_remap *r, uint64_t *rng)
{
    uint8_t from[16 * 16], to[16 * 16], old[16 * 16];
    bool reads = false, keeps = false, writes = false;
    unsigned bytes = 16u * r->to * r->size;

    for (unsigned i = 0; i < sizeof(from); i++)
        from[i] = (uint8_t)rnd(rng), to[i] = old[i] = (uint8_t)rnd(rng);
    nvengine_remap_apply(r, from, to, 16);
    for (unsigned i = 0; i < bytes; i++) {
        unsigned element = i / (r->to * r->size), component = i / r->size % r->to, b = i % r->size;
        unsigned select = r->select[component];
        uint8_t expected = old[i];

        if (select < 4)
            expected = select < r->from ? from[(element * r->from + select) * r->size + b] : 0;
        else if (select < 6)
            expected = (uint8_t)(r->constant[select - 4] >> 8 * b);
        REQUIRE(to[i] == expected, "byte %u: %02x, not %02x", i, to[i], expected);
        reads |= select < r->from, keeps |= select == 6, writes |= select != 6;
    }
    REQUIRE(!memcmp(to + bytes, old + bytes, sizeof(to) - bytes), "after");
    REQUIRE(nvengine_remap_reads(r) == reads && nvengine_remap_keeps(r) == keeps &&
                nvengine_remap_writes(r) == writes, "what it does");
    if (nvengine_remap_is_copy(r))
        REQUIRE(!memcmp(from, to, bytes), "a copy is one");
}

static void remaps(uint64_t *rng)
{
    struct nvengine_remap r;
    unsigned copies = 0;

    for (uint32_t sizes = 0; sizes < 64; sizes++)
        for (uint32_t selects = 0; selects < 4096; selects++) {
            uint32_t word = (sizes & 3) << 16 | (sizes >> 2 & 3) << 20 | sizes >> 4 << 24;
            bool bad = false;

            for (unsigned i = 0; i < 4; i++) {
                word |= (selects >> 3 * i & 7) << 4 * i;
                bad |= (selects >> 3 * i & 7) == 7 && i <= sizes >> 4;
            }
            REQUIRE(nvengine_remap_init(&r, word, 0x12345678, 0x9abcdef0) == (bad ? -EINVAL : 0), "0x%x", word);
            if (bad)
                continue;
            REQUIRE(r.size == (sizes & 3) + 1 && r.from == (sizes >> 2 & 3) + 1 && r.to == (sizes >> 4) + 1, "sizes");
            copies += nvengine_remap_is_copy(&r);
            if (selects % 8 == sizes % 8) /* a share of them is enough */
                require_remap(&r, rng);
        }
    REQUIRE(copies == 4 * (512 + 64 + 8 + 1), "%u copies", copies);
}

int main(void)
{
    uint64_t rng = seed_choose("nvengine_layout");

    gob_bits();
    gob_rows(&rng);
    images(&rng);
    remaps(&rng);
    return 0;
}
