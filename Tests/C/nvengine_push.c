/*
 * Decoding. Laws: each form of header gives the methods that it stands for, whatever pieces a stream is cut into; data
 * may come in a later push; count 0 has none; masks and the end of a push drop what they should; reserved forms are
 * refused; a random stream decodes as the list of methods it was made from.
 */
#include "nvengine_support.h"

#define MOST 4096

static struct nvengine_method seen[MOST];
static size_t seen_count;

static int feed(struct nvengine_decoder *d, uint32_t word)
{
    struct nvengine_method m;
    int ret = nvengine_decode(d, word, &m);

    if (ret == NVENGINE_DECODED_METHOD)
        seen[seen_count++] = m;
    return ret;
}

static void require(unsigned i, unsigned subchannel, uint32_t address, uint32_t data)
{
    REQUIRE(i < seen_count && seen[i].subchannel == subchannel && seen[i].address == address && seen[i].data == data,
            "%u: %u 0x%x = 0x%x", i, seen[i].subchannel, seen[i].address, seen[i].data);
}

static struct nvengine_decoder fed(size_t n, const uint32_t *word)
{
    struct nvengine_decoder d = {0};

    seen_count = 0;
    for (size_t i = 0; i < n; i++)
        REQUIRE(feed(&d, word[i]) >= 0, "word %zu", i);
    return d;
}
#define FED(...) fed(sizeof((uint32_t[]){__VA_ARGS__}) / 4, (uint32_t[]){__VA_ARGS__})

static void forms(void)
{
    FED(header(1, 4, 0x400, 3), 10, 11, 12);
    REQUIRE(seen_count == 3, "%zu", seen_count);
    require(0, 4, 0x400, 10), require(1, 4, 0x404, 11), require(2, 4, 0x408, 12);
    FED(header(3, 2, 0x1b4, 2), 10, 11);
    require(0, 2, 0x1b4, 10), require(1, 2, 0x1b4, 11);
    FED(header(5, 0, 0x3800, 3), 10, 11, 12);
    require(0, 0, 0x3800, 10), require(1, 0, 0x3804, 11), require(2, 0, 0x3804, 12);
    FED(header(4, 7, 0x3ffc, 0x1fff));
    REQUIRE(seen_count == 1, "%zu", seen_count);
    require(0, 7, 0x3ffc, 0x1fff);
    FED(header(1, 0, 0x3ffc, 2), 1, 2);
    require(0, 0, 0x3ffc, 1), require(1, 0, 0, 2);
    /* The old forms: byte addresses, counts from bit 18 on. */
    FED(2u << 18 | 3u << 13 | 0x100, 7, 8);
    require(0, 3, 0x100, 7), require(1, 3, 0x104, 8);
    FED(2u << 29 | 2u << 18 | 3u << 13 | 0x100, 7, 8);
    require(0, 3, 0x100, 7), require(1, 3, 0x100, 8);
}

static void nothing(void)
{
    struct nvengine_decoder d = FED(0, 0, header(1, 1, 0x100, 0), header(3, 1, 0x100, 0), header(5, 1, 0x100, 0), 0);

    REQUIRE(seen_count == 0 && d.count == 0, "NOPs and counts of 0 have no data");
    REQUIRE(feed(&d, 7u << 29) == NVENGINE_DECODED_END, "end");
    REQUIRE(feed(&d, 6u << 29) == -EBADMSG && feed(&d, 2u << 29 | 1u << 16) == -EBADMSG, "reserved");
    REQUIRE(feed(&d, header(4, 1, 0x100, 5)) == NVENGINE_DECODED_METHOD, "a refused word leaves the decoder as it was");
}

static void masks(void)
{
    FED(1u << 16, header(4, 0, 0x100, 1), 1u << 16 | 0x10, header(4, 0, 0x100, 2));
    REQUIRE(seen_count == 1 && seen[0].data == 2, "an empty mask drops methods");
    FED(2u << 16 | 0xfff0, 1u << 16, header(1, 0, 0x100, 1), 9, 3u << 16, header(4, 0, 0x100, 2));
    REQUIRE(seen_count == 1 && seen[0].data == 2, "the stored mask comes back");
    FED(2u << 16, 3u << 16, header(4, 0, 0x100, 2));
    REQUIRE(seen_count == 0, "the stored mask was empty");
}

/* Random methods, as random forms. */
static void random_stream(uint64_t *rng)
{
    static struct nvengine_method expected[MOST];
    struct nvengine_decoder d = {0};
    size_t n = 0;

    seen_count = 0;
    while (n + 20 < MOST) {
        static const unsigned forms[] = {1, 3, 4, 5};
        unsigned form = forms[below(rng, 4)], subchannel = (unsigned)below(rng, 8);
        uint32_t at = (uint32_t)below(rng, 0x1000) * 4, count = (uint32_t)below(rng, form == 4 ? 0x2000 : 16);

        feed(&d, header(form, subchannel, at, count));
        if (form == 4)
            expected[n++] = (struct nvengine_method){at, count, (uint8_t)subchannel};
        for (uint32_t i = 0; form != 4 && i < count; i++) {
            uint32_t step = form == 1 ? 4 * i : form == 5 && i ? 4 : 0, data = (uint32_t)rnd(rng);

            expected[n++] = (struct nvengine_method){(at + step) & 0x3ffc, data, (uint8_t)subchannel};
            feed(&d, data);
        }
    }
    REQUIRE(n == seen_count, "%zu methods, not %zu", seen_count, n);
    for (size_t i = 0; i < n; i++)
        require((unsigned)i, expected[i].subchannel, expected[i].address, expected[i].data);
}

/* A stream of copy registers, submitted in pieces of any size, leaves the same shadow. */
static void pieces(uint64_t *rng)
{
    struct machine *m = machine_new("tu102", 0xc5b5);
    uint32_t end;

    for (unsigned round = 0; round < 50; round++) {
        put(m, header(1, COPY, 0x400, 8));
        for (unsigned i = 0; i < 8; i++)
            put(m, round * 100 + i);
        put(m, header(5, COPY, 0x700, 3));
        for (unsigned i = 0; i < 3; i++)
            put(m, round * 100 + 10 + i);
        put(m, 7u << 29); /* the rest of that piece is dropped */
        end = m->words;
        for (m->words = 0; m->words < end;) {
            m->words += 1 + (uint32_t)below(rng, end - m->words);
            submit(m);
        }
        REQUIRE(nvengine_channel_run(m->channel) == NVENGINE_IDLE, "idle");
        m->words = m->begun = 0;
        for (unsigned i = 0; i < 8; i++)
            REQUIRE(nvengine_channel_register(m->channel, COPY, 0x400 + 4 * i) == round * 100 + i, "register %u", i);
        REQUIRE(nvengine_channel_register(m->channel, COPY, 0x700) == round * 100 + 10, "const a");
        REQUIRE(nvengine_channel_register(m->channel, COPY, 0x704) == round * 100 + 12, "const b");
    }
    put(m, 7u << 29);
    put(m, header(4, COPY, 0x400, 1)); /* not reached */
    run_to_idle(m);
    REQUIRE(nvengine_channel_register(m->channel, COPY, 0x400) == 4900, "what follows the end of a push is dropped");
    machine_delete(m);
}

/* A push whose words lie on several pages, in frames anywhere. */
static void pages(uint64_t *rng)
{
    struct machine *m = machine_new("gp100", 0xc0b5);
    enum { PAGES = 8, WORDS = PAGES * PAGE / 4 };
    uint32_t page[PAGES];
    uint8_t *memory = machine_map_scattered(m, 0x200000000ull, PAGES, rng, page);

    for (uint32_t i = 0; i < WORDS; i++) {
        uint32_t word = i ? i : header(3, 2, 0x190, 0x1fff);

        memcpy(memory + page[i / 1024] * PAGE + i % 1024 * 4, &word, 4);
    }
    REQUIRE(!nvengine_channel_push(m->channel, 0x200000000ull, WORDS * 4, 0), "push");
    REQUIRE(nvengine_channel_run(m->channel) == NVENGINE_IDLE, "idle");
    REQUIRE(nvengine_channel_register(m->channel, 2, 0x190) == WORDS - 1, "the last word");
    REQUIRE(nvengine_channel_statistics(m->channel).words == WORDS, "words");
    machine_delete(m);
}

int main(void)
{
    uint64_t rng = seed_choose("nvengine_push");

    forms();
    nothing();
    masks();
    for (unsigned i = 0; i < 100; i++)
        random_stream(&rng);
    pieces(&rng);
    pages(&rng);
    return 0;
}
