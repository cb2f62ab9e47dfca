/*
 * Law: tiles of partially resident images show the memory that was bound to them last, in every level, layer and
 * depth slice. A tile keeps its texels when its memory is bound to another tile, or to an image of the same kind.
 * What is not bound reads as zero where the device says so. Images that must be bound as a whole are bound page by
 * page, in any order.
 */
#include "picture.h"

enum { IMAGES = 2, MOST_TILES = 400, POOL = 100, ROUNDS = 12, STAGING = 16 << 20 };

static const struct format formats[] = {
    COLOR_FORMAT(R8_UNORM, 1, 1, 1),
    COLOR_FORMAT(R16_UINT, 2, 1, 1),
    COLOR_FORMAT(R8G8B8A8_UNORM, 4, 1, 1),
    COLOR_FORMAT(R32G32_SFLOAT, 8, 1, 1),
    COLOR_FORMAT(R32G32B32A32_UINT, 16, 1, 1),
};
enum { FORMATS = sizeof formats / sizeof *formats };

struct tile {
    struct region region;
    int unit; /* of the pool; -1 is none */
};

struct sparse {
    struct picture picture;
    struct tile tiles[MOST_TILES];
    uint32_t count;
    VkDeviceMemory tail;
};

static struct gpu gpu;
static struct buffer data, staging;
static struct sparse images[IMAGES];
static VkSparseImageMemoryRequirements layout_of; /* of the images at hand */
static VkMemoryRequirements needs;
static VkDeviceMemory pool;
static uint8_t *texels[POOL]; /* what each unit holds, as a tile of texels */
static uint32_t users[POOL];  /* tiles that show it, a bit an image */

/* A tile that no edge cuts. */
static struct size tile_size(void)
{
    VkExtent3D g = layout_of.formatProperties.imageGranularity;

    return (struct size){ g.width, g.height, g.depth };
}

static uint32_t tile_bytes(void)
{
    struct size size = tile_size();

    return size.width * size.height * size.slices * images[0].picture.format->planes[0].bytes;
}

/* ---- Images and their tiles ------------------------------------------------------------------------------------ */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Layers are tiled apart: the tiles of a 2D image are one deep. */
static void level_tiles(struct sparse *image, uint32_t level)
{
    struct size size = picture_size(&image->picture, level), step = tile_size();

    for (uint32_t slice = 0; slice < size.slices; slice += step.slices)
        for (uint32_t y = 0; y < size.height; y += step.height)
            for (uint32_t x = 0; x < size.width; x += step.width) {
                CHECK(image->count < MOST_TILES, "more than %d tiles", MOST_TILES);
                struct tile *tile = &image->tiles[image->count++];
                tile->unit = -1;
                tile->region = (struct region){ .level = level, .x = x, .y = y, .slice = slice };
                tile->region.size = (struct size){
                    least(size.width - x, step.width),
                    least(size.height - y, step.height),
                    least(size.slices - slice, step.slices),
                };
            }
}

/* Levels too small for tiles lie in one tail, or one a layer, which is bound as a whole and stays. (NVK's
   vkQueueWaitIdle does not wait for binds: only their semaphores tell.) */
static void bind_tail(struct sparse *image, struct point *line)
{
    VkSparseMemoryBind binds[8];
    uint32_t count = 0, layers = image->picture.info.arrayLayers;

    if (layout_of.imageMipTailFirstLod >= image->picture.info.mipLevels || !layout_of.imageMipTailSize)
        return;
    if (layout_of.formatProperties.flags & VK_SPARSE_IMAGE_FORMAT_SINGLE_MIPTAIL_BIT)
        layers = 1;
    VkMemoryRequirements tail = { layers * layout_of.imageMipTailSize, needs.alignment, needs.memoryTypeBits };
    image->tail = memory_make(&gpu, tail, DEVICE);
    for (; count < layers; count++)
        binds[count] = (VkSparseMemoryBind){
            .resourceOffset = layout_of.imageMipTailOffset + count * layout_of.imageMipTailStride,
            .size = layout_of.imageMipTailSize,
            .memory = image->tail,
            .memoryOffset = count * layout_of.imageMipTailSize,
        };
    VkSparseImageOpaqueMemoryBindInfo info = { image->picture.image, count, binds };
    struct point next = { line->semaphore, line->value + 1 };
    bind_sparse(&gpu, (VkBindSparseInfo){ .imageOpaqueBindCount = 1, .pImageOpaqueBinds = &info }, *line, next);
    point_wait(&gpu, *line = next);
}

static void image_make(struct sparse *image, const struct format *format, VkImageCreateInfo info, struct point *line)
{
    uint32_t count = 1;

    memset(image, 0, sizeof *image);
    image->picture = picture_model(&gpu, format, info);
    vkGetImageMemoryRequirements(gpu.device, image->picture.image, &needs);
    vkGetImageSparseMemoryRequirements(gpu.device, image->picture.image, &count, &layout_of);
    CHECK(count == 1, "%u sets of sparse requirements", count);
    for (uint32_t level = 0; level < info.mipLevels && level < layout_of.imageMipTailFirstLod; level++)
        level_tiles(image, level);
    bind_tail(image, line);

    VkCommandBuffer commands = commands_begin(&gpu);
    image_to_general(commands, image->picture.image, VK_IMAGE_ASPECT_COLOR_BIT);
    commands_run(&gpu, commands);
    for (uint32_t level = layout_of.imageMipTailFirstLod; level < info.mipLevels; level++) {
        commands = commands_begin(&gpu);
        struct region region = region_whole(&image->picture, 0, level);
        picture_write(commands, &image->picture, region, &data, layout_tight(region, 0));
        commands_run(&gpu, commands);
    }
}

/* ---- Between the model of the tiles and that of the picture ---------------------------------------------------- */

/* A tile's texels lie in its unit without gaps, edge or not. */
static struct layout in_unit(void)
{
    struct size size = tile_size();

    return (struct layout){ 0, size.width, size.height };
}

/* The picture of unbound tiles is zero. */
static void gather(struct sparse *image)
{
    static uint8_t *zero;

    if (!zero)
        zero = calloc(1, 1 << 20);
    for (uint32_t t = 0; t < image->count; t++) {
        int unit = image->tiles[t].unit;
        model_write(&image->picture, image->tiles[t].region, unit < 0 ? zero : texels[unit], in_unit());
    }
}

/* Tiles take what was written to the picture. */
static void scatter(struct sparse *image)
{
    for (uint32_t t = 0; t < image->count; t++) {
        struct tile *tile = &image->tiles[t];
        if (tile->unit >= 0)
            model_read(&image->picture, tile->region, texels[tile->unit], in_unit());
    }
}

/* ---- Binds, writes, reads -------------------------------------------------------------------------------------- */

/* A unit that no tile of image `i` shows; only one image shows it unless aliasing is allowed. */
static int free_unit(uint32_t i)
{
    for (uint32_t tries = 0; tries < 1000; tries++) {
        uint32_t unit = below(POOL);
        if (!(users[unit] & (gpu.features.sparseResidencyAliased ? 1u << i : ~0u)))
            return (int)unit;
    }
    return -1;
}

static VkSparseImageMemoryBind tile_bind(const struct sparse *image, const struct tile *tile)
{
    VkImageSubresourceLayers at = region_layers(&image->picture, tile->region);

    return (VkSparseImageMemoryBind){
        .subresource = { at.aspectMask, at.mipLevel, at.baseArrayLayer },
        .offset = region_offset(&image->picture, tile->region),
        .extent = region_extent(&image->picture, tile->region),
        .memory = tile->unit < 0 ? VK_NULL_HANDLE : pool,
        .memoryOffset = tile->unit < 0 ? 0 : (VkDeviceSize)tile->unit * needs.alignment,
    };
}

static uint32_t plan(uint32_t i, VkSparseImageMemoryBind *binds)
{
    struct sparse *image = &images[i];
    uint32_t count = 0, part = between(1, 4);

    for (uint32_t t = 0; t < image->count; t++) {
        struct tile *tile = &image->tiles[t];
        if (below(4) >= part)
            continue;
        int unit = below(3) ? free_unit(i) : -1;
        if (tile->unit >= 0)
            users[tile->unit] &= ~(1u << i);
        if (unit >= 0)
            users[unit] |= 1u << i;
        tile->unit = unit;
        binds[count++] = tile_bind(image, tile);
    }
    return count;
}

static void bind(struct point wait, struct point signal)
{
    static VkSparseImageMemoryBind binds[IMAGES][MOST_TILES];
    VkSparseImageMemoryBindInfo infos[IMAGES];
    uint32_t used = 0;

    for (uint32_t i = 0; i < IMAGES; i++) {
        uint32_t count = plan(i, binds[i]);
        if (count)
            infos[used++] = (VkSparseImageMemoryBindInfo){ images[i].picture.image, count, binds[i] };
    }
    bind_sparse(&gpu, (VkBindSparseInfo){ .imageBindCount = used, .pImageBinds = infos }, wait, signal);
    for (uint32_t i = 0; i < IMAGES; i++)
        gather(&images[i]);
}

static void write_some(VkCommandBuffer commands, struct sparse *image)
{
    struct region region = region_random(&image->picture);
    struct layout layout = layout_random(&image->picture, region);

    if (layout_bytes(&image->picture, region, layout) > data.size)
        return;
    picture_write(commands, &image->picture, region, &data, layout);
    scatter(image);
    for (uint32_t i = 0; i < IMAGES; i++)
        gather(&images[i]);
    barrier(commands);
}

/* A tile's part of its level, which lies in the buffer from `offset` on. */
static struct layout in_level(const struct picture *picture, struct region tile, VkDeviceSize offset)
{
    struct size size = picture_size(picture, tile.level);
    size_t blocks = ((size_t)tile.slice * size.height + tile.y) * size.width + tile.x;

    return (struct layout){ offset + blocks * picture->format->planes[0].bytes, size.width, size.height };
}

/* Reads all levels. Tiles that show nothing are compared where they must be zero. */
static void check(struct sparse *image, struct point wait, struct point signal)
{
    VkDeviceSize offsets[MOST_LEVELS], end = 0;
    VkCommandBuffer commands = commands_begin(&gpu);

    for (uint32_t level = 0; level < image->picture.info.mipLevels; level++) {
        struct region region = region_whole(&image->picture, 0, level);
        offsets[level] = end;
        end = layout_bytes(&image->picture, region, layout_tight(region, end));
        end = (end + 15) & ~(VkDeviceSize)15;
        CHECK(end <= staging.size, "an image takes %llu bytes", (unsigned long long)end);
        picture_read(commands, &image->picture, region, &staging, layout_tight(region, offsets[level]));
    }
    commands_end(commands);
    submit(&gpu, commands, wait, signal, VK_NULL_HANDLE);
    point_wait(&gpu, signal);
    commands_free(&gpu, commands);
    for (uint32_t t = 0; t < image->count; t++) {
        struct region region = image->tiles[t].region;
        if (image->tiles[t].unit >= 0 || gpu.strict)
            MODEL_CHECK(&image->picture, region, staging.bytes,
                        in_level(&image->picture, region, offsets[region.level]));
    }
    for (uint32_t level = layout_of.imageMipTailFirstLod; level < image->picture.info.mipLevels; level++) {
        struct region region = region_whole(&image->picture, 0, level);
        MODEL_CHECK(&image->picture, region, staging.bytes, layout_tight(region, offsets[level]));
    }
}

static void pool_make(void)
{
    VkMemoryRequirements all = { POOL * needs.alignment, needs.alignment, needs.memoryTypeBits };

    pool = memory_make(&gpu, all, DEVICE);
    for (uint32_t u = 0; u < POOL; u++) {
        texels[u] = malloc(tile_bytes());
        users[u] = 0;
    }
}

/* Units get their first bytes by way of the first image, tile by tile. */
static void pool_fill(struct point *line)
{
    struct sparse *image = &images[0];
    struct size whole = tile_size();
    uint32_t full = 0;

    while (full < image->count && memcmp(&image->tiles[full].region.size, &whole, sizeof whole))
        full++;
    CHECK(full < image->count, "no whole tile");
    for (uint32_t unit = 0; unit < POOL; unit++) {
        struct tile *tile = &image->tiles[full];
        struct layout layout = in_unit();
        tile->unit = (int)unit;
        VkSparseImageMemoryBind bind = tile_bind(image, tile);
        VkSparseImageMemoryBindInfo info = { image->picture.image, 1, &bind };
        struct point bound = { line->semaphore, line->value + 1 }, done = { line->semaphore, line->value + 2 };
        bind_sparse(&gpu, (VkBindSparseInfo){ .imageBindCount = 1, .pImageBinds = &info }, *line, bound);
        layout.offset = below((uint32_t)(data.size - tile_bytes()) / 16) * 16;
        VkCommandBuffer commands = commands_begin(&gpu);
        picture_write(commands, &image->picture, tile->region, &data, layout);
        commands_end(commands);
        submit(&gpu, commands, bound, done, VK_NULL_HANDLE);
        point_wait(&gpu, done);
        commands_free(&gpu, commands);
        model_read(&image->picture, tile->region, texels[unit], in_unit());
        *line = done;
    }
    users[image->tiles[full].unit] |= 1;
}

/* ---- The two kinds --------------------------------------------------------------------------------------------- */

static void resident(const struct format *format, VkImageType type, struct point *line)
{
    VkExtent3D extent = { between(200, 500), between(200, 400), 1 };
    uint32_t layers = between(1, 3);
    VkSparseImageFormatProperties properties[4];
    uint32_t count = 4;

    vkGetPhysicalDeviceSparseImageFormatProperties(gpu.physical, format->format, type, VK_SAMPLE_COUNT_1_BIT,
                                                   VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT,
                                                   VK_IMAGE_TILING_OPTIMAL, &count, properties);
    if (!count)
        return;
    VkExtent3D g = properties[0].imageGranularity;
    if (type == VK_IMAGE_TYPE_3D)
        extent = (VkExtent3D){ between(g.width, 3 * g.width), between(g.height, 3 * g.height),
                               between(g.depth, 3 * g.depth) };
    else if (format->planes[0].bytes < 4) /* tiles are larger */
        extent = (VkExtent3D){ between(g.width, 3 * g.width), between(g.height, 3 * g.height), 1 };
    VkImageCreateInfo info = picture_info(format, type, extent, MOST_LEVELS, type == VK_IMAGE_TYPE_3D ? 1 : layers);
    info.flags = VK_IMAGE_CREATE_SPARSE_BINDING_BIT | VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT |
                 (gpu.features.sparseResidencyAliased ? VK_IMAGE_CREATE_SPARSE_ALIASED_BIT : 0);
    if (!format_usable(&gpu, &info))
        return;
    for (uint32_t i = 0; i < IMAGES; i++)
        image_make(&images[i], format, info, line);
    pool_make();
    pool_fill(line);

    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct point bound = { line->semaphore, line->value + 1 }, written = { line->semaphore, line->value + 2 };
        bind(*line, bound);
        VkCommandBuffer commands = commands_begin(&gpu);
        for (uint32_t n = below(5); n; n--)
            write_some(commands, &images[below(IMAGES)]);
        commands_end(commands);
        submit(&gpu, commands, bound, written, VK_NULL_HANDLE);
        *line = written;
        for (uint32_t i = 0; i < IMAGES; i++) {
            struct point next = { line->semaphore, line->value + 1 };
            check(&images[i], *line, next);
            *line = next;
        }
        commands_free(&gpu, commands);
    }
    for (uint32_t i = 0; i < IMAGES; i++) {
        picture_free(&gpu, &images[i].picture);
        vkFreeMemory(gpu.device, images[i].tail, NULL);
    }
    vkFreeMemory(gpu.device, pool, NULL);
    for (uint32_t u = 0; u < POOL; u++)
        free(texels[u]);
}

/* Bound as a whole: pages of the image go to the memory in an order of their own, then to another memory. */
static void whole(const struct format *format, struct point *line)
{
    VkExtent3D extent = { between(50, 300), between(50, 200), 1 };
    VkImageCreateInfo info = picture_info(format, VK_IMAGE_TYPE_2D, extent, MOST_LEVELS, between(1, 3));
    VkMemoryRequirements all;

    info.flags = VK_IMAGE_CREATE_SPARSE_BINDING_BIT;
    if (!format_usable(&gpu, &info))
        return;
    struct picture picture = picture_model(&gpu, format, info);
    vkGetImageMemoryRequirements(gpu.device, picture.image, &all);
    VkDeviceMemory memories[2] = { memory_make(&gpu, all, DEVICE), memory_make(&gpu, all, DEVICE) };
    uint32_t pages = (uint32_t)(all.size / all.alignment), first = below(pages);
    VkSparseMemoryBind *binds = calloc(pages, sizeof *binds);

    for (uint32_t m = 0; m < 2; m++) {
        struct point bound = { line->semaphore, line->value + 1 };
        for (uint32_t p = 0; p < pages; p++)
            binds[p] = (VkSparseMemoryBind){
                .resourceOffset = (pages - 1 - p) * all.alignment,
                .size = all.alignment,
                .memory = memories[m],
                .memoryOffset = (first + p) % pages * all.alignment,
            };
        VkSparseImageOpaqueMemoryBindInfo info = { picture.image, pages, binds };
        bind_sparse(&gpu, (VkBindSparseInfo){ .imageOpaqueBindCount = 1, .pImageOpaqueBinds = &info }, *line, bound);
        *line = bound;
        point_wait(&gpu, bound);
        VkCommandBuffer commands = commands_begin(&gpu);
        image_to_general(commands, picture.image, VK_IMAGE_ASPECT_COLOR_BIT);
        commands_run(&gpu, commands);
        picture_fill(&gpu, &picture, &staging);
        picture_check(&gpu, &picture, &staging);
    }
    picture_free(&gpu, &picture);
    vkFreeMemory(gpu.device, memories[0], NULL);
    vkFreeMemory(gpu.device, memories[1], NULL);
    free(binds);
}

int main(void)
{
    seed();
    gpu_open(&gpu);
    if (!gpu.features.sparseBinding)
        skipped("no sparse images");
    data = buffer_make(&gpu, STAGING, HOST);
    staging = buffer_make(&gpu, STAGING, HOST);
    random_bytes(data.bytes, STAGING);

    struct point line = { timeline_make(&gpu, 0), 0 };
    for (uint32_t f = 0; f < FORMATS; f++) {
        whole(&formats[f], &line);
        if (gpu.features.sparseResidencyImage2D)
            resident(&formats[f], VK_IMAGE_TYPE_2D, &line);
        if (gpu.features.sparseResidencyImage3D)
            resident(&formats[f], VK_IMAGE_TYPE_3D, &line);
    }
    vkDestroySemaphore(gpu.device, line.semaphore, NULL);
    buffer_free(&gpu, &data);
    buffer_free(&gpu, &staging);
    gpu_close(&gpu);
    passed();
}
