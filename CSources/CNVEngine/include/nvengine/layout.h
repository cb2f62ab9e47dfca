/*
 * nvengine layout: block-linear images. A GOB is 512 bytes, 64 bytes wide and 8 rows high; a block is one GOB wide,
 * 2^height GOBs high and 2^depth slices deep; blocks run along x, then y, then z. x is bytes, y rows, z slices.
 *
 *   within a GOB: address bit 8 = x bit 5, 7 = y bit 2, 6 = x bit 4, 5:4 = y bits 1:0, 3:0 = x bits 3:0
 *
 * so that 16 bytes of a row lie together. Stateless. Facts: what NVK's CPU copies (VK_EXT_host_image_copy) and its
 * engine copies agree on, and NVIDIA open-gpu-doc (cla0b5 … clc7b5: SET_DST_BLOCK_SIZE).
 */
#ifndef NVENGINE_LAYOUT_H
#define NVENGINE_LAYOUT_H

#include <gpuvm/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NVENGINE_GOB_BYTES  512u
#define NVENGINE_GOB_WIDTH  64u /* bytes */
#define NVENGINE_GOB_HEIGHT 8u  /* rows */

struct nvengine_layout {
    uint64_t columns; /* blocks in a row of blocks */
    uint64_t rows;    /* rows of blocks in a layer of blocks */
    uint8_t height;   /* log2 of a block's GOBs along y, 0 to 5 */
    uint8_t depth;    /* log2 of a block's slices, 0 to 5 */
};

/* An image of `width` bytes and `rows` rows, partial blocks included. -EINVAL: height or depth above 5. */
static inline int nvengine_layout_init(struct nvengine_layout *l, uint64_t width, uint64_t rows, unsigned height,
                                       unsigned depth)
{
    if (height > 5 || depth > 5)
        return -22; /* -EINVAL */
    l->columns = (width + NVENGINE_GOB_WIDTH - 1) / NVENGINE_GOB_WIDTH;
    l->rows = (rows + ((uint64_t)NVENGINE_GOB_HEIGHT << height) - 1) >> (3 + height);
    l->height = (uint8_t)height;
    l->depth = (uint8_t)depth;
    return 0;
}

/* Bytes that the blocks of `slices` slices take. */
static inline uint64_t nvengine_layout_size(const struct nvengine_layout *l, uint64_t slices)
{
    uint64_t layers = (slices + ((uint64_t)1 << l->depth) - 1) >> l->depth;

    return layers * l->rows * l->columns * ((uint64_t)NVENGINE_GOB_BYTES << (l->height + l->depth));
}

/* Where row y (mod 8) begins in a GOB; its 16-byte parts lie at + 0, 64, 256 and 320. */
static inline unsigned nvengine_gob_row(unsigned y)
{
    return (y & 4) << 5 | (y & 3) << 4;
}

/* Where byte x (mod 64) of row y (mod 8) lies in a GOB. */
static inline unsigned nvengine_gob_offset(unsigned x, unsigned y)
{
    return (x & 32) << 3 | (x & 16) << 2 | (x & 15) | nvengine_gob_row(y);
}

/* Where the GOB with byte (x, y, z) begins in the image. Beyond the image's edges the formula goes on. */
static inline uint64_t nvengine_layout_gob(const struct nvengine_layout *l, uint64_t x, uint64_t y, uint64_t z)
{
    uint64_t block = ((z >> l->depth) * l->rows + (y >> (3 + l->height))) * l->columns + x / NVENGINE_GOB_WIDTH;
    uint64_t slice = z & (((uint64_t)1 << l->depth) - 1), row = y >> 3 & (((uint64_t)1 << l->height) - 1);

    return (block << (l->height + l->depth)) * NVENGINE_GOB_BYTES + (slice << l->height) * NVENGINE_GOB_BYTES +
           row * NVENGINE_GOB_BYTES;
}

/* Where byte (x, y, z) lies in the image. */
static inline uint64_t nvengine_layout_offset(const struct nvengine_layout *l, uint64_t x, uint64_t y, uint64_t z)
{
    return nvengine_layout_gob(l, x, y, z) + nvengine_gob_offset((unsigned)(x & 63), (unsigned)(y & 7));
}

/* A whole GOB to or from eight rows of 64 bytes. They may not overlap. */
void nvengine_gob_read(const void *gob, void *const row[8]);
void nvengine_gob_write(void *gob, const void *const row[8]);
/* Bytes [x, x + n) of row y, all within the GOB: x + n at most 64. */
void nvengine_gob_read_row(const void *gob, unsigned x, unsigned y, void *to, unsigned n);
void nvengine_gob_write_row(void *gob, unsigned x, unsigned y, const void *from, unsigned n);

#ifdef __cplusplus
}
#endif
#endif
