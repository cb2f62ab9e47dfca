/* See picture.h. */
#include "picture.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static bool is_3d(const struct picture *picture)
{
    return picture->info.imageType == VK_IMAGE_TYPE_3D;
}

/* ---- Formats --------------------------------------------------------------------------------------------------- */

VkImageAspectFlags format_aspects(const struct format *format)
{
    return (VkImageAspectFlags)format->planes[0].aspect | (VkImageAspectFlags)format->planes[1].aspect;
}

bool format_usable(const struct gpu *gpu, VkImageCreateInfo *info)
{
    const VkFormatFeatureFlags copies = VK_FORMAT_FEATURE_TRANSFER_SRC_BIT | VK_FORMAT_FEATURE_TRANSFER_DST_BIT;
    VkFormatProperties format;
    VkImageFormatProperties image;

    vkGetPhysicalDeviceFormatProperties(gpu->physical, info->format, &format);
    VkFormatFeatureFlags features =
        info->tiling == VK_IMAGE_TILING_LINEAR ? format.linearTilingFeatures : format.optimalTilingFeatures;
    if ((features & copies) != copies)
        return false;
    if (vkGetPhysicalDeviceImageFormatProperties(gpu->physical, info->format, info->imageType, info->tiling,
                                                 info->usage, info->flags, &image))
        return false;
    info->extent.width = MIN(info->extent.width, image.maxExtent.width);
    info->extent.height = MIN(info->extent.height, image.maxExtent.height);
    info->extent.depth = MIN(info->extent.depth, image.maxExtent.depth);
    info->arrayLayers = MIN(info->arrayLayers, image.maxArrayLayers);
    info->mipLevels = MIN(info->mipLevels, image.maxMipLevels);
    return true;
}

VkImageCreateInfo picture_info(const struct format *format, VkImageType type, VkExtent3D extent, uint32_t levels,
                               uint32_t layers)
{
    uint32_t longest = MAX(extent.width, MAX(extent.height, extent.depth)), full = 1;

    while (longest >> full)
        full++;
    return (VkImageCreateInfo){
        .sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
        .imageType = type,
        .format = format->format,
        .extent = extent,
        .mipLevels = MIN(MIN(levels, full), (uint32_t)MOST_LEVELS),
        .arrayLayers = layers,
        .samples = VK_SAMPLE_COUNT_1_BIT,
        .tiling = VK_IMAGE_TILING_OPTIMAL,
        .usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT,
        .initialLayout = VK_IMAGE_LAYOUT_UNDEFINED,
    };
}

void random_plane(const struct format *format, uint32_t plane, uint8_t *bytes, size_t size)
{
    bool depth = format->planes[plane].aspect == VK_IMAGE_ASPECT_DEPTH_BIT;

    if (!depth || (format->format != VK_FORMAT_D32_SFLOAT && format->format != VK_FORMAT_D32_SFLOAT_S8_UINT)) {
        random_bytes(bytes, size);
        return;
    }
    for (; size >= sizeof(float); size -= sizeof(float), bytes += sizeof(float))
        memcpy(bytes, &(float){ (float)(random_word() >> 40) / (float)(1 << 24) }, sizeof(float));
}

/* ---- The image ------------------------------------------------------------------------------------------------- */

struct picture picture_model(const struct gpu *gpu, const struct format *format, VkImageCreateInfo info)
{
    struct picture picture = { .format = format, .info = info };

    VK(vkCreateImage(gpu->device, &info, NULL, &picture.image));
    for (uint32_t plane = 0; plane < 2; plane++)
        for (uint32_t level = 0; level < info.mipLevels; level++) {
            struct size size = picture_size(&picture, level);
            picture.bytes[plane][level] =
                calloc((size_t)size.width * size.height * size.slices, MAX(format->planes[plane].bytes, 1));
        }
    return picture;
}

struct picture picture_make(const struct gpu *gpu, const struct format *format, VkImageCreateInfo info,
                            enum place place)
{
    struct picture picture = picture_model(gpu, format, info);
    VkMemoryRequirements needs;

    vkGetImageMemoryRequirements(gpu->device, picture.image, &needs);
    picture.memory = memory_make(gpu, needs, place);
    VK(vkBindImageMemory(gpu->device, picture.image, picture.memory, 0));
    VkCommandBuffer commands = commands_begin(gpu);
    image_to_general(commands, picture.image, format_aspects(format));
    commands_run(gpu, commands);
    return picture;
}

void picture_free(const struct gpu *gpu, struct picture *picture)
{
    vkDestroyImage(gpu->device, picture->image, NULL);
    vkFreeMemory(gpu->device, picture->memory, NULL);
    for (uint32_t plane = 0; plane < 2; plane++)
        for (uint32_t level = 0; level < MOST_LEVELS; level++)
            free(picture->bytes[plane][level]);
}

/* ---- Regions --------------------------------------------------------------------------------------------------- */

static VkExtent3D level_extent(const struct picture *picture, uint32_t level)
{
    VkExtent3D whole = picture->info.extent;

    return (VkExtent3D){ MAX(whole.width >> level, 1), MAX(whole.height >> level, 1), MAX(whole.depth >> level, 1) };
}

struct size picture_size(const struct picture *picture, uint32_t level)
{
    const struct format *format = picture->format;
    VkExtent3D extent = level_extent(picture, level);

    return (struct size){
        (extent.width + format->block_width - 1) / format->block_width,
        (extent.height + format->block_height - 1) / format->block_height,
        is_3d(picture) ? extent.depth : picture->info.arrayLayers,
    };
}

struct region region_whole(const struct picture *picture, uint32_t plane, uint32_t level)
{
    return (struct region){ .plane = plane, .level = level, .size = picture_size(picture, level) };
}

static void part(uint32_t *start, uint32_t *size)
{
    uint32_t skip = below(3) ? below(*size) : 0;

    *start += skip;
    *size = below(3) ? between(1, *size - skip) : *size - skip;
}

struct region region_within(struct region region)
{
    part(&region.x, &region.size.width);
    part(&region.y, &region.size.height);
    part(&region.slice, &region.size.slices);
    return region;
}

struct region region_random(const struct picture *picture)
{
    uint32_t planes = picture->format->planes[1].significant ? 2 : 1;

    return region_within(region_whole(picture, below(planes), below(picture->info.mipLevels)));
}

VkImageSubresourceLayers region_layers(const struct picture *picture, struct region region)
{
    VkImageAspectFlags aspect = picture->format->planes[region.plane].aspect;

    if (is_3d(picture))
        return (VkImageSubresourceLayers){ aspect, region.level, 0, 1 };
    return (VkImageSubresourceLayers){ aspect, region.level, region.slice, region.size.slices };
}

VkOffset3D region_offset(const struct picture *picture, struct region region)
{
    return (VkOffset3D){
        (int32_t)(region.x * picture->format->block_width),
        (int32_t)(region.y * picture->format->block_height),
        is_3d(picture) ? (int32_t)region.slice : 0,
    };
}

/* The last block of a row or column may stand over the edge, the extent may not. */
VkExtent3D region_extent(const struct picture *picture, struct region region)
{
    const struct format *format = picture->format;
    VkExtent3D level = level_extent(picture, region.level);

    return (VkExtent3D){
        MIN(region.size.width * format->block_width, level.width - region.x * format->block_width),
        MIN(region.size.height * format->block_height, level.height - region.y * format->block_height),
        is_3d(picture) ? region.size.slices : 1,
    };
}

struct layout layout_random(const struct picture *picture, struct region region)
{
    const struct plane *plane = &picture->format->planes[region.plane];
    uint32_t step = plane->aspect == VK_IMAGE_ASPECT_COLOR_BIT ? plane->bytes : MAX(plane->bytes, 4);

    return (struct layout){
        .offset = (VkDeviceSize)below(1000) * step,
        .row = region.size.width + (below(2) ? below(20) : 0),
        .rows = region.size.height + (below(2) ? below(5) : 0),
    };
}

struct layout layout_tight(struct region region, VkDeviceSize offset)
{
    return (struct layout){ offset, region.size.width, region.size.height };
}

VkDeviceSize layout_bytes(const struct picture *picture, struct region region, struct layout layout)
{
    return layout.offset +
           (VkDeviceSize)layout.row * layout.rows * region.size.slices * picture->format->planes[region.plane].bytes;
}

/* ---- The model ------------------------------------------------------------------------------------------------- */

/* The region's row `y` of slice `slice`, both counted from its corner. */
static uint8_t *model_row(const struct picture *picture, struct region region, uint32_t y, uint32_t slice)
{
    struct size size = picture_size(picture, region.level);
    size_t row = (size_t)(region.slice + slice) * size.height + region.y + y;

    return picture->bytes[region.plane][region.level] +
           (row * size.width + region.x) * picture->format->planes[region.plane].bytes;
}

static size_t layout_row(const struct picture *picture, struct region region, struct layout layout, uint32_t y,
                         uint32_t slice)
{
    return layout.offset +
           ((size_t)slice * layout.rows + y) * layout.row * picture->format->planes[region.plane].bytes;
}

void model_write(struct picture *picture, struct region region, const uint8_t *bytes, struct layout layout)
{
    size_t row = (size_t)region.size.width * picture->format->planes[region.plane].bytes;

    for (uint32_t slice = 0; slice < region.size.slices; slice++)
        for (uint32_t y = 0; y < region.size.height; y++)
            memcpy(model_row(picture, region, y, slice), bytes + layout_row(picture, region, layout, y, slice), row);
}

void model_read(const struct picture *picture, struct region region, uint8_t *bytes, struct layout layout)
{
    size_t row = (size_t)region.size.width * picture->format->planes[region.plane].bytes;

    for (uint32_t slice = 0; slice < region.size.slices; slice++)
        for (uint32_t y = 0; y < region.size.height; y++)
            memcpy(bytes + layout_row(picture, region, layout, y, slice), model_row(picture, region, y, slice), row);
}

void model_check(const char *file, int line, const struct picture *picture, struct region region,
                 const uint8_t *bytes, struct layout layout)
{
    const struct plane *plane = &picture->format->planes[region.plane];

    for (uint32_t slice = 0; slice < region.size.slices; slice++)
        for (uint32_t y = 0; y < region.size.height; y++) {
            const uint8_t *want = model_row(picture, region, y, slice);
            const uint8_t *got = bytes + layout_row(picture, region, layout, y, slice);
            if (plane->significant == plane->bytes && !memcmp(got, want, (size_t)region.size.width * plane->bytes))
                continue;
            for (uint32_t i = 0; i < region.size.width * plane->bytes; i++)
                if (i % plane->bytes < plane->significant && got[i] != want[i])
                    failed(file, line,
                           "%s %ux%ux%u, %u levels, %u layers, aspect %#x: "
                           "level %u, x %u, y %u, slice %u: byte %u is %02x, not %02x",
                           picture->format->name, picture->info.extent.width, picture->info.extent.height,
                           picture->info.extent.depth, picture->info.mipLevels, picture->info.arrayLayers,
                           plane->aspect, region.level, region.x + i / plane->bytes, region.y + y,
                           region.slice + slice, i % plane->bytes, got[i], want[i]);
        }
}

/* ---- Copies ---------------------------------------------------------------------------------------------------- */

static VkBufferImageCopy buffer_copy(const struct picture *picture, struct region region, struct layout layout)
{
    return (VkBufferImageCopy){
        .bufferOffset = layout.offset,
        .bufferRowLength = layout.row * picture->format->block_width,
        .bufferImageHeight = layout.rows * picture->format->block_height,
        .imageSubresource = region_layers(picture, region),
        .imageOffset = region_offset(picture, region),
        .imageExtent = region_extent(picture, region),
    };
}

void picture_write(VkCommandBuffer commands, struct picture *picture, struct region region, const struct buffer *from,
                   struct layout layout)
{
    VkBufferImageCopy copy = buffer_copy(picture, region, layout);

    vkCmdCopyBufferToImage(commands, from->handle, picture->image, VK_IMAGE_LAYOUT_GENERAL, 1, &copy);
    model_write(picture, region, from->bytes, layout);
}

void picture_read(VkCommandBuffer commands, const struct picture *picture, struct region region,
                  const struct buffer *to, struct layout layout)
{
    VkBufferImageCopy copy = buffer_copy(picture, region, layout);

    vkCmdCopyImageToBuffer(commands, picture->image, VK_IMAGE_LAYOUT_GENERAL, to->handle, 1, &copy);
}

void picture_copy(VkCommandBuffer commands, const struct picture *from, struct region source, struct picture *to,
                  struct region target, bool all)
{
    VkImageCopy copy = {
        .srcSubresource = region_layers(from, source),
        .srcOffset = region_offset(from, source),
        .dstSubresource = region_layers(to, target),
        .dstOffset = region_offset(to, target),
        .extent = region_extent(from, source),
    };

    if (is_3d(to))
        copy.extent.depth = target.size.slices;
    if (all) {
        copy.srcSubresource.aspectMask = format_aspects(from->format);
        copy.dstSubresource.aspectMask = format_aspects(to->format);
    }
    vkCmdCopyImage(commands, from->image, VK_IMAGE_LAYOUT_GENERAL, to->image, VK_IMAGE_LAYOUT_GENERAL, 1, &copy);

    for (uint32_t plane = 0; plane < 2; plane++) {
        if (!from->format->planes[plane].significant || !(all || plane == source.plane))
            continue;
        source.plane = target.plane = plane;
        size_t row = (size_t)source.size.width * from->format->planes[plane].bytes;
        for (uint32_t slice = 0; slice < source.size.slices; slice++)
            for (uint32_t y = 0; y < source.size.height; y++)
                memcpy(model_row(to, target, y, slice), model_row(from, source, y, slice), row);
    }
}

/* Calls for each plane and level. */
#define EACH_LEVEL(picture, region)                                                                                  \
    for (uint32_t plane_ = 0; plane_ < 2 && (picture)->format->planes[plane_].significant; plane_++)                 \
        for (uint32_t level_ = 0; level_ < (picture)->info.mipLevels; level_++)                                      \
            for (struct region region = region_whole(picture, plane_, level_), *once_ = &region; once_; once_ = NULL)

void picture_fill(const struct gpu *gpu, struct picture *picture, const struct buffer *staging)
{
    EACH_LEVEL(picture, region) {
        struct layout layout = layout_tight(region, 0);
        VkDeviceSize bytes = layout_bytes(picture, region, layout);
        CHECK(bytes <= staging->size, "a level takes %llu bytes", (unsigned long long)bytes);
        random_plane(picture->format, region.plane, staging->bytes, bytes);
        VkCommandBuffer commands = commands_begin(gpu);
        picture_write(commands, picture, region, staging, layout);
        commands_run(gpu, commands);
    }
}

void picture_check(const struct gpu *gpu, const struct picture *picture, const struct buffer *staging)
{
    EACH_LEVEL(picture, region) {
        struct layout layout = layout_tight(region, 0);
        memset(staging->bytes, 0xa5, layout_bytes(picture, region, layout));
        VkCommandBuffer commands = commands_begin(gpu);
        picture_read(commands, picture, region, staging, layout);
        commands_run(gpu, commands);
        MODEL_CHECK(picture, region, staging->bytes, layout);
    }
}
