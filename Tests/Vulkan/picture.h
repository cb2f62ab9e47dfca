/*
 * A picture: an image beside the bytes that it must hold, as copies to and from buffers see them. Places and sizes
 * are in texel blocks; a slice is a layer, or a depth slice of a 3D image. The image stays in
 * VK_IMAGE_LAYOUT_GENERAL.
 */
#ifndef PICTURE_H
#define PICTURE_H

#include "support.h"

struct plane {
    VkImageAspectFlagBits aspect;
    uint32_t bytes;       /* of a block in a buffer */
    uint32_t significant; /* of these bytes: the first ones; 0 for a plane that is not there */
};

struct format {
    VkFormat format;
    const char *name;
    uint32_t block_width, block_height;
    struct plane planes[2];
};

#define COLOR_FORMAT(name, bytes, width, height)                                                                     \
    { VK_FORMAT_##name, #name, width, height, { { VK_IMAGE_ASPECT_COLOR_BIT, bytes, bytes } } }

struct size {
    uint32_t width, height, slices;
};

enum { MOST_LEVELS = 12 };

struct picture {
    const struct format *format;
    VkImageCreateInfo info;
    VkImage image;
    VkDeviceMemory memory;
    uint8_t *bytes[2][MOST_LEVELS]; /* by plane and level; rows and slices follow each other without gaps */
};

struct region {
    uint32_t plane, level;
    uint32_t x, y, slice;
    struct size size;
};

/* Where a region lies in a buffer: rows are `row` blocks apart, slices `rows` rows. */
struct layout {
    VkDeviceSize offset;
    uint32_t row, rows;
};

VkImageAspectFlags format_aspects(const struct format *format);
/* Can it be copied to and from? Lowers levels, layers and extent in `info` to what the device has. */
bool format_usable(const struct gpu *gpu, VkImageCreateInfo *info);
VkImageCreateInfo picture_info(const struct format *format, VkImageType type, VkExtent3D extent, uint32_t levels,
                               uint32_t layers);
/* Bytes that are valid for a plane: depth as a float lies in 0 … 1. */
void random_plane(const struct format *format, uint32_t plane, uint8_t *bytes, size_t size);

/* The image and the model, all zero; without memory. */
struct picture picture_model(const struct gpu *gpu, const struct format *format, VkImageCreateInfo info);
/* The same with memory, in layout GENERAL; nothing written yet. */
struct picture picture_make(const struct gpu *gpu, const struct format *format, VkImageCreateInfo info,
                            enum place place);
void picture_free(const struct gpu *gpu, struct picture *picture);

struct size picture_size(const struct picture *picture, uint32_t level);
struct region region_whole(const struct picture *picture, uint32_t plane, uint32_t level);
struct region region_within(struct region region); /* at random, often whole sides of it */
struct region region_random(const struct picture *picture);
VkImageSubresourceLayers region_layers(const struct picture *picture, struct region region);
VkOffset3D region_offset(const struct picture *picture, struct region region);
VkExtent3D region_extent(const struct picture *picture, struct region region);
/* A layout at random, or the one without gaps at `offset`; how many bytes it takes. */
struct layout layout_random(const struct picture *picture, struct region region);
struct layout layout_tight(struct region region, VkDeviceSize offset);
VkDeviceSize layout_bytes(const struct picture *picture, struct region region, struct layout layout);

/* The model takes the region's bytes from `bytes`, gives them to it, or must be equal to them. */
void model_write(struct picture *picture, struct region region, const uint8_t *bytes, struct layout layout);
void model_read(const struct picture *picture, struct region region, uint8_t *bytes, struct layout layout);
void model_check(const char *file, int line, const struct picture *picture, struct region region,
                 const uint8_t *bytes, struct layout layout);
#define MODEL_CHECK(...) model_check(__FILE__, __LINE__, __VA_ARGS__)

/* Recorded; writes and copies change the model at once. */
void picture_write(VkCommandBuffer commands, struct picture *picture, struct region region, const struct buffer *from,
                   struct layout layout);
void picture_read(VkCommandBuffer commands, const struct picture *picture, struct region region,
                  const struct buffer *to, struct layout layout);
/* Copies one plane, or all where `all`; the regions have one size, and their pictures' blocks one number of bytes. */
void picture_copy(VkCommandBuffer commands, const struct picture *from, struct region source, struct picture *to,
                  struct region target, bool all);

/* Run at once: every block gets a random value; every block is read and compared. */
void picture_fill(const struct gpu *gpu, struct picture *picture, const struct buffer *staging);
void picture_check(const struct gpu *gpu, const struct picture *picture, const struct buffer *staging);

#endif
