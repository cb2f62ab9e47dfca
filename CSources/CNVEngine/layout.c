/*
 * GOBs to rows and back. A row's 64 bytes are four parts of 16 that lie apart; a part is moved as one.
 */
#include <nvengine/layout.h>

#include <string.h>

struct part {
    uint64_t word[2];
};

static inline void move_part(void *to, const void *from)
{
    struct part p;

    memcpy(&p, from, sizeof(p));
    memcpy(to, &p, sizeof(p));
}

void nvengine_gob_read(const void *gob, void *const row[8])
{
    for (unsigned y = 0; y < 8; y++) {
        const unsigned char *from = (const unsigned char *)gob + nvengine_gob_row(y);
        unsigned char *to = row[y];

        move_part(to, from);
        move_part(to + 16, from + 64);
        move_part(to + 32, from + 256);
        move_part(to + 48, from + 320);
    }
}

void nvengine_gob_write(void *gob, const void *const row[8])
{
    for (unsigned y = 0; y < 8; y++) {
        unsigned char *to = (unsigned char *)gob + nvengine_gob_row(y);
        const unsigned char *from = row[y];

        move_part(to, from);
        move_part(to + 64, from + 16);
        move_part(to + 256, from + 32);
        move_part(to + 320, from + 48);
    }
}

/* Bytes from x on that lie together, at most n. */
static inline unsigned together(unsigned x, unsigned n)
{
    unsigned left = 16 - (x & 15);

    return n < left ? n : left;
}

void nvengine_gob_read_row(const void *gob, unsigned x, unsigned y, void *to, unsigned n)
{
    const unsigned char *from = gob;
    unsigned char *at = to;

    for (unsigned k; n; x += k, at += k, n -= k) {
        k = together(x, n);
        if (k == 16)
            move_part(at, from + nvengine_gob_offset(x, y));
        else
            memcpy(at, from + nvengine_gob_offset(x, y), k);
    }
}

void nvengine_gob_write_row(void *gob, unsigned x, unsigned y, const void *from, unsigned n)
{
    unsigned char *to = gob;
    const unsigned char *at = from;

    for (unsigned k; n; x += k, at += k, n -= k) {
        k = together(x, n);
        if (k == 16)
            move_part(to + nvengine_gob_offset(x, y), at);
        else
            memcpy(to + nvengine_gob_offset(x, y), at, k);
    }
}
