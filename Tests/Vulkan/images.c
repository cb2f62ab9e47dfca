/*
 * Law: what is copied into images comes back, through buffers and between images, whatever their formats, shapes,
 * levels, layers and tilings; everything else in them stays. Copies between images keep the bytes where formats
 * differ, and where one is 3D and the other has layers.
 */
#include "picture.h"

enum { ROUNDS = 40, OPERATIONS = 24, STAGING = 16 << 20 };

/* By bytes of a block: copies between images need as many on both sides. */
static const struct format formats[] = {
    COLOR_FORMAT(R8_UNORM, 1, 1, 1),
    COLOR_FORMAT(R8_SINT, 1, 1, 1),
    COLOR_FORMAT(R8G8_UNORM, 2, 1, 1),
    COLOR_FORMAT(R16_SFLOAT, 2, 1, 1),
    COLOR_FORMAT(R5G6B5_UNORM_PACK16, 2, 1, 1),
    COLOR_FORMAT(R8G8B8A8_UNORM, 4, 1, 1),
    COLOR_FORMAT(B8G8R8A8_SRGB, 4, 1, 1),
    COLOR_FORMAT(R32_UINT, 4, 1, 1),
    COLOR_FORMAT(A2B10G10R10_UNORM_PACK32, 4, 1, 1),
    COLOR_FORMAT(B10G11R11_UFLOAT_PACK32, 4, 1, 1),
    COLOR_FORMAT(E5B9G9R9_UFLOAT_PACK32, 4, 1, 1),
    COLOR_FORMAT(R16G16B16A16_SFLOAT, 8, 1, 1),
    COLOR_FORMAT(R32G32_SFLOAT, 8, 1, 1),
    COLOR_FORMAT(BC1_RGBA_UNORM_BLOCK, 8, 4, 4),
    COLOR_FORMAT(BC4_SNORM_BLOCK, 8, 4, 4),
    COLOR_FORMAT(R32G32B32A32_UINT, 16, 1, 1),
    COLOR_FORMAT(BC3_SRGB_BLOCK, 16, 4, 4),
    COLOR_FORMAT(BC7_UNORM_BLOCK, 16, 4, 4),
};
enum { FORMATS = sizeof formats / sizeof *formats };

static struct gpu gpu;
static struct buffer data, result, staging;

static VkImageCreateInfo random_info(const struct format *format)
{
    uint32_t longest = below(4) ? 100 : 300;
    VkExtent3D extent = { between(1, longest), between(1, longest), 1 };
    VkImageType type = VK_IMAGE_TYPE_2D;
    uint32_t layers = below(2) ? 1 : between(1, 6);

    switch (below(5)) {
    case 0:
        type = VK_IMAGE_TYPE_1D;
        extent.height = 1;
        break;
    case 1:
        type = VK_IMAGE_TYPE_3D;
        extent = (VkExtent3D){ between(1, 70), between(1, 40), between(1, 20) };
        layers = 1;
        break;
    }
    VkImageCreateInfo info = picture_info(format, type, extent, between(1, MOST_LEVELS), layers);
    info.tiling = below(4) ? VK_IMAGE_TILING_OPTIMAL : VK_IMAGE_TILING_LINEAR;
    return info;
}

static struct picture random_picture(const struct format *format)
{
    VkImageCreateInfo info;

    for (uint32_t tries = 0; tries < 200; tries++) {
        info = random_info(format);
        if (format_usable(&gpu, &info)) {
            struct picture picture =
                picture_make(&gpu, format, info, info.tiling == VK_IMAGE_TILING_LINEAR ? HOST : DEVICE);
            picture_fill(&gpu, &picture, &staging);
            return picture;
        }
    }
    CHECK(false, "no image of %s", format->name);
    abort();
}

/* Any format that the device has, with as many bytes a block as `bytes` (0: any). */
static const struct format *random_format(uint32_t bytes)
{
    for (;;) {
        const struct format *format = &formats[below(FORMATS)];
        VkImageCreateInfo info = picture_info(format, VK_IMAGE_TYPE_2D, (VkExtent3D){ 4, 4, 1 }, 1, 1);
        if ((!bytes || format->planes[0].bytes == bytes) && format_usable(&gpu, &info))
            return format;
    }
}

static void random_write(VkCommandBuffer commands, struct picture *picture)
{
    struct region region = region_random(picture);
    struct layout layout = layout_random(picture, region);

    if (layout_bytes(picture, region, layout) <= data.size)
        picture_write(commands, picture, region, &data, layout);
}

/* Blocks that stand over the edge can only go where others do so, too: they stay out. */
static struct region copyable(const struct picture *picture, const struct picture *other)
{
    const struct format *format = picture->format;
    struct region region = region_whole(picture, 0, below(picture->info.mipLevels));

    if (format->block_width != other->format->block_width || format->block_width > 1) {
        VkExtent3D extent = region_extent(picture, region);
        region.size.width = extent.width / format->block_width;
        region.size.height = extent.height / format->block_height;
    }
    return region;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void random_copy(VkCommandBuffer commands, const struct picture *from, struct picture *to)
{
    struct region source = copyable(from, to), target = copyable(to, from);
    bool flat = from->info.imageType == VK_IMAGE_TYPE_1D || to->info.imageType == VK_IMAGE_TYPE_1D;

    if (flat && from->info.imageType != to->info.imageType)
        return;
    if (!source.size.width || !source.size.height || !target.size.width || !target.size.height)
        return;
    source = region_within(source);
    target = region_within(target);
    source.size = target.size = (struct size){
        least(source.size.width, target.size.width),
        least(source.size.height, target.size.height),
        least(source.size.slices, target.size.slices),
    };
    picture_copy(commands, from, source, to, target, false);
}

static void check_some(const struct picture *picture)
{
    struct region region = region_random(picture);
    struct layout layout = layout_random(picture, region);

    if (layout_bytes(picture, region, layout) > result.size)
        return;
    VkCommandBuffer commands = commands_begin(&gpu);
    picture_read(commands, picture, region, &result, layout);
    commands_run(&gpu, commands);
    MODEL_CHECK(picture, region, result.bytes, layout);
}

/* A linear image in the host's memory is what its layout says. */
static void check_linear(const struct picture *picture)
{
    const struct format *format = picture->format;
    VkSubresourceLayout layout;
    void *bytes;

    if (picture->info.tiling != VK_IMAGE_TILING_LINEAR)
        return;
    VK(vkMapMemory(gpu.device, picture->memory, 0, VK_WHOLE_SIZE, 0, &bytes));
    for (uint32_t level = 0; level < picture->info.mipLevels; level++)
        for (uint32_t slice = 0; slice < picture_size(picture, level).slices; slice++) {
            struct region region = region_whole(picture, 0, level);
            bool layers = picture->info.imageType != VK_IMAGE_TYPE_3D;
            region.slice = slice;
            region.size.slices = 1;
            vkGetImageSubresourceLayout(gpu.device, picture->image,
                                        &(VkImageSubresource){ VK_IMAGE_ASPECT_COLOR_BIT, level, layers ? slice : 0 },
                                        &layout);
            CHECK(layout.rowPitch % format->planes[0].bytes == 0, "a row of %llu bytes",
                  (unsigned long long)layout.rowPitch);
            MODEL_CHECK(picture, region, bytes,
                        (struct layout){
                            .offset = layout.offset + (layers ? 0 : slice * layout.depthPitch),
                            .row = (uint32_t)(layout.rowPitch / format->planes[0].bytes),
                        });
        }
    vkUnmapMemory(gpu.device, picture->memory);
}

int main(void)
{
    seed();
    gpu_open(&gpu);
    data = buffer_make(&gpu, STAGING, HOST);
    result = buffer_make(&gpu, STAGING, HOST);
    staging = buffer_make(&gpu, STAGING, HOST);
    random_bytes(data.bytes, STAGING);

    for (uint32_t round = 0; round < ROUNDS; round++) {
        const struct format *format = random_format(0);
        struct picture pictures[2] = {
            random_picture(format),
            random_picture(random_format(format->planes[0].bytes)),
        };
        VkCommandBuffer commands = commands_begin(&gpu);
        for (uint32_t i = 0; i < OPERATIONS; i++) {
            uint32_t which = below(2);
            if (below(2))
                random_write(commands, &pictures[which]);
            else
                random_copy(commands, &pictures[which], &pictures[!which]);
            barrier(commands);
        }
        commands_run(&gpu, commands);
        for (uint32_t i = 0; i < 2; i++) {
            check_some(&pictures[i]);
            check_linear(&pictures[i]);
            picture_check(&gpu, &pictures[i], &staging);
            picture_free(&gpu, &pictures[i]);
        }
    }

    buffer_free(&gpu, &data);
    buffer_free(&gpu, &result);
    buffer_free(&gpu, &staging);
    gpu_close(&gpu);
    passed();
}
