/* What the fuzz targets share: the input as a stream of numbers (zeros once it is used up), every format's name. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

/* The next `bytes` (at most 8), little-endian. */
static inline uint64_t take(struct input *in, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && in->left; i++, in->at++, in->left--)
        value |= (uint64_t)*in->at << 8 * i;
    return value;
}

static inline uint8_t byte(struct input *in)
{
    return (uint8_t)take(in, 1);
}

/* Less than n (at most 256). */
static inline unsigned choose(struct input *in, unsigned n)
{
    return byte(in) % n;
}

static const char *const format_names[] = {
    "nv04",  "nv41",  "nv44",  "nv50",  "g84",   "mcp77", "gf100", "gf100-64k", "gk104", "gk104-64k",  "gk20a", "gk20a-64k",
    "gm200", "gm200-64k", "gm20b", "gm20b-64k", "gp100", "gp10b", "gv100", "tu102", "ga100", "ga100-512m", "gh100", "gb100",
};
#define FORMATS (sizeof(format_names) / sizeof(format_names[0]))

#endif
