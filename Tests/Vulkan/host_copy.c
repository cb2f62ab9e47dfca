/*
 * Law: what the host copies into images (VK_EXT_host_image_copy) is what the device copies out of them, and the
 * other way round: both have one idea of where each texel lies.
 */
#include "picture.h"

enum { ROUNDS = 25, OPERATIONS = 20, STAGING = 4 << 20 };

static const struct format formats[] = {
    COLOR_FORMAT(R8_UNORM, 1, 1, 1),
    COLOR_FORMAT(R8G8_UNORM, 2, 1, 1),
    COLOR_FORMAT(R8G8B8A8_UNORM, 4, 1, 1),
    COLOR_FORMAT(R32_SFLOAT, 4, 1, 1),
    COLOR_FORMAT(R16G16B16A16_SFLOAT, 8, 1, 1),
    COLOR_FORMAT(R32G32B32A32_SFLOAT, 16, 1, 1),
    COLOR_FORMAT(BC1_RGB_UNORM_BLOCK, 8, 4, 4),
    COLOR_FORMAT(BC7_UNORM_BLOCK, 16, 4, 4),
};
enum { FORMATS = sizeof formats / sizeof *formats };

static struct gpu gpu;
static struct buffer data, staging;
static PFN_vkCopyMemoryToImageEXT copy_to_image;
static PFN_vkCopyImageToMemoryEXT copy_to_memory;
static PFN_vkCopyImageToImageEXT copy_image;
static PFN_vkTransitionImageLayoutEXT transition;

static VkImageCreateInfo random_info(const struct format *format)
{
    VkExtent3D extent = { between(1, 200), between(1, 150), 1 };
    VkImageType type = VK_IMAGE_TYPE_2D;
    uint32_t layers = below(2) ? 1 : between(1, 4);

    if (below(4) == 0) {
        type = VK_IMAGE_TYPE_3D;
        extent = (VkExtent3D){ between(1, 60), between(1, 40), between(1, 20) };
        layers = 1;
    }
    VkImageCreateInfo info = picture_info(format, type, extent, between(1, MOST_LEVELS), layers);
    info.usage |= VK_IMAGE_USAGE_HOST_TRANSFER_BIT_EXT;
    return info;
}

/* Its layout is made by the host, too. */
static struct picture make(const struct format *format, VkImageCreateInfo info)
{
    struct picture picture = picture_model(&gpu, format, info);
    VkHostImageLayoutTransitionInfoEXT to_general = {
        .sType = VK_STRUCTURE_TYPE_HOST_IMAGE_LAYOUT_TRANSITION_INFO_EXT,
        .image = picture.image,
        .oldLayout = VK_IMAGE_LAYOUT_UNDEFINED,
        .newLayout = VK_IMAGE_LAYOUT_GENERAL,
        .subresourceRange = { VK_IMAGE_ASPECT_COLOR_BIT, 0, VK_REMAINING_MIP_LEVELS, 0, VK_REMAINING_ARRAY_LAYERS },
    };
    VkMemoryRequirements needs;

    vkGetImageMemoryRequirements(gpu.device, picture.image, &needs);
    picture.memory = memory_make(&gpu, needs, DEVICE);
    VK(vkBindImageMemory(gpu.device, picture.image, picture.memory, 0));
    VK(transition(gpu.device, 1, &to_general));
    picture_fill(&gpu, &picture, &staging);
    return picture;
}

static void host_write(struct picture *picture, struct region region, struct layout layout)
{
    VkMemoryToImageCopyEXT copy = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_TO_IMAGE_COPY_EXT,
        .pHostPointer = data.bytes + layout.offset,
        .memoryRowLength = layout.row * picture->format->block_width,
        .memoryImageHeight = layout.rows * picture->format->block_height,
        .imageSubresource = region_layers(picture, region),
        .imageOffset = region_offset(picture, region),
        .imageExtent = region_extent(picture, region),
    };
    VkCopyMemoryToImageInfoEXT info = {
        .sType = VK_STRUCTURE_TYPE_COPY_MEMORY_TO_IMAGE_INFO_EXT,
        .dstImage = picture->image,
        .dstImageLayout = VK_IMAGE_LAYOUT_GENERAL,
        .regionCount = 1,
        .pRegions = &copy,
    };

    VK(copy_to_image(gpu.device, &info));
    model_write(picture, region, data.bytes, layout);
}

static void host_read(const struct picture *picture, struct region region, struct layout layout)
{
    VkImageToMemoryCopyEXT copy = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_TO_MEMORY_COPY_EXT,
        .pHostPointer = staging.bytes + layout.offset,
        .memoryRowLength = layout.row * picture->format->block_width,
        .memoryImageHeight = layout.rows * picture->format->block_height,
        .imageSubresource = region_layers(picture, region),
        .imageOffset = region_offset(picture, region),
        .imageExtent = region_extent(picture, region),
    };
    VkCopyImageToMemoryInfoEXT info = {
        .sType = VK_STRUCTURE_TYPE_COPY_IMAGE_TO_MEMORY_INFO_EXT,
        .srcImage = picture->image,
        .srcImageLayout = VK_IMAGE_LAYOUT_GENERAL,
        .regionCount = 1,
        .pRegions = &copy,
    };

    memset(staging.bytes, 0xa5, staging.size);
    VK(copy_to_memory(gpu.device, &info));
    MODEL_CHECK(picture, region, staging.bytes, layout);
}

/* A whole level of one image into its like. */
static void host_copy(const struct picture *from, struct picture *to)
{
    struct region region = region_whole(from, 0, below(from->info.mipLevels));
    VkImageCopy2KHR copy = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_COPY_2,
        .srcSubresource = region_layers(from, region),
        .dstSubresource = region_layers(to, region),
        .extent = region_extent(from, region),
    };
    VkCopyImageToImageInfoEXT info = {
        .sType = VK_STRUCTURE_TYPE_COPY_IMAGE_TO_IMAGE_INFO_EXT,
        .srcImage = from->image,
        .srcImageLayout = VK_IMAGE_LAYOUT_GENERAL,
        .dstImage = to->image,
        .dstImageLayout = VK_IMAGE_LAYOUT_GENERAL,
        .regionCount = 1,
        .pRegions = &copy,
    };
    struct layout layout = layout_tight(region, 0);

    VK(copy_image(gpu.device, &info));
    model_read(from, region, staging.bytes, layout);
    model_write(to, region, staging.bytes, layout);
}

static void device_write(struct picture *picture, struct region region, struct layout layout)
{
    VkCommandBuffer commands = commands_begin(&gpu);

    picture_write(commands, picture, region, &data, layout);
    commands_run(&gpu, commands);
}

static void operation(struct picture *picture, struct picture *other)
{
    struct region region = region_random(picture);
    struct layout layout = layout_random(picture, region);

    if (layout_bytes(picture, region, layout) > STAGING)
        return;
    switch (below(5)) {
    case 0: host_copy(other, picture); break;
    case 1: host_read(picture, region, layout); break;
    case 2: device_write(picture, region, layout); break;
    default: host_write(picture, region, layout);
    }
}

int main(void)
{
    uint32_t tried = 0;

    seed();
    gpu_open(&gpu);
    if (!gpu.host_image_copy)
        skipped("no VK_EXT_host_image_copy");
    copy_to_image = CALL(&gpu, vkCopyMemoryToImageEXT);
    copy_to_memory = CALL(&gpu, vkCopyImageToMemoryEXT);
    copy_image = CALL(&gpu, vkCopyImageToImageEXT);
    transition = CALL(&gpu, vkTransitionImageLayoutEXT);
    data = buffer_make(&gpu, STAGING, HOST);
    staging = buffer_make(&gpu, STAGING, HOST);
    random_bytes(data.bytes, STAGING);

    for (uint32_t round = 0; round < ROUNDS; round++) {
        const struct format *format = &formats[below(FORMATS)];
        VkImageCreateInfo info = random_info(format);
        if (!format_usable(&gpu, &info))
            continue;
        struct picture pictures[2] = { make(format, info), make(format, info) };
        for (uint32_t i = 0; i < OPERATIONS; i++) {
            uint32_t which = below(2);
            operation(&pictures[which], &pictures[!which]);
        }
        for (uint32_t i = 0; i < 2; i++) {
            picture_check(&gpu, &pictures[i], &staging);
            picture_free(&gpu, &pictures[i]);
        }
        tried++;
    }
    CHECK(tried, "no format of %d can be copied by the host", FORMATS);

    buffer_free(&gpu, &data);
    buffer_free(&gpu, &staging);
    gpu_close(&gpu);
    passed();
}
