/*
 * Law: depth and stencil of one image are copied apart and together: writing one leaves the other as it is. Formats
 * with levels and layers, through buffers and between images of one format.
 */
#include "picture.h"

enum { ROUNDS = 4, OPERATIONS = 20, STAGING = 4 << 20 };

#define DEPTH(bytes, significant) { VK_IMAGE_ASPECT_DEPTH_BIT, bytes, significant }
#define STENCIL { VK_IMAGE_ASPECT_STENCIL_BIT, 1, 1 }

static const struct format formats[] = {
    { VK_FORMAT_D16_UNORM, "D16_UNORM", 1, 1, { DEPTH(2, 2) } },
    { VK_FORMAT_X8_D24_UNORM_PACK32, "X8_D24_UNORM_PACK32", 1, 1, { DEPTH(4, 3) } },
    { VK_FORMAT_D32_SFLOAT, "D32_SFLOAT", 1, 1, { DEPTH(4, 4) } },
    { VK_FORMAT_S8_UINT, "S8_UINT", 1, 1, { STENCIL } },
    { VK_FORMAT_D24_UNORM_S8_UINT, "D24_UNORM_S8_UINT", 1, 1, { DEPTH(4, 3), STENCIL } },
    { VK_FORMAT_D32_SFLOAT_S8_UINT, "D32_SFLOAT_S8_UINT", 1, 1, { DEPTH(4, 4), STENCIL } },
};
enum { FORMATS = sizeof formats / sizeof *formats };

static struct gpu gpu;
static struct buffer data[2], staging;

static void random_write(VkCommandBuffer commands, struct picture *picture)
{
    struct region region = region_random(picture);
    struct layout layout = layout_random(picture, region);

    if (layout_bytes(picture, region, layout) <= STAGING)
        picture_write(commands, picture, region, &data[region.plane], layout);
}

static void random_copy(VkCommandBuffer commands, const struct picture *from, struct picture *to)
{
    struct region source = region_random(from), target = source;

    target.level = source.level = below(from->info.mipLevels);
    source = target = region_within(region_whole(from, source.plane, source.level));
    target.x = below(picture_size(to, target.level).width - target.size.width + 1);
    target.y = below(picture_size(to, target.level).height - target.size.height + 1);
    /* llvmpipe always copies both. */
    picture_copy(commands, from, source, to, target, from->format->planes[1].significant && (!gpu.nvk || below(2)));
}

/* Two images of one shape; levels and layers are copied to their like, at another place. */
static void try(const struct format *format)
{
    VkExtent3D extent = { between(1, 150), between(1, 150), 1 };
    VkImageCreateInfo info = picture_info(format, VK_IMAGE_TYPE_2D, extent, between(1, 8), between(1, 4));
    struct picture pictures[2];

    CHECK(format_usable(&gpu, &info), "%s was usable before", format->name);
    for (uint32_t plane = 0; plane < 2 && format->planes[plane].significant; plane++)
        random_plane(format, plane, data[plane].bytes, STAGING);
    for (uint32_t i = 0; i < 2; i++) {
        pictures[i] = picture_make(&gpu, format, info, DEVICE);
        picture_fill(&gpu, &pictures[i], &staging);
    }
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
        picture_check(&gpu, &pictures[i], &staging);
        picture_free(&gpu, &pictures[i]);
    }
}

int main(void)
{
    uint32_t tried = 0;

    seed();
    gpu_open(&gpu);
    data[0] = buffer_make(&gpu, STAGING, HOST);
    data[1] = buffer_make(&gpu, STAGING, HOST);
    staging = buffer_make(&gpu, STAGING, HOST);

    for (uint32_t f = 0; f < FORMATS; f++) {
        VkImageCreateInfo info = picture_info(&formats[f], VK_IMAGE_TYPE_2D, (VkExtent3D){ 1, 1, 1 }, 1, 1);
        for (uint32_t round = 0; round < ROUNDS && format_usable(&gpu, &info); round++, tried++)
            try(&formats[f]);
    }
    CHECK(tried >= 2 * ROUNDS, "only %u tried: a device has D16 and one of D24 and D32", tried);

    buffer_free(&gpu, &data[0]);
    buffer_free(&gpu, &data[1]);
    buffer_free(&gpu, &staging);
    gpu_close(&gpu);
    passed();
}
