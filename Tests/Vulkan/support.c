/* See support.h. Only each thread's generator is global. */
#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <stdarg.h>
#include <time.h>

static _Thread_local uint64_t generator;

/* ---- How a program ends ---------------------------------------------------------------------------------------- */

static void finish(const char *result, const char *why, va_list arguments)
{
    printf("%s: %s: ", program_invocation_short_name, result);
    vprintf(why, arguments);
}

void passed(void)
{
    printf("%s: passed\n", program_invocation_short_name);
    exit(0);
}

void skipped(const char *why, ...)
{
    va_list arguments;

    va_start(arguments, why);
    finish("skipped", why, arguments);
    puts("");
    exit(77);
}

void failed(const char *file, int line, const char *why, ...)
{
    va_list arguments;

    va_start(arguments, why);
    finish("failed", why, arguments);
    printf(" (%s:%d)\n", basename(file), line);
    fflush(stdout);
    _Exit(1); /* other threads may still be at work */
}

/* ---- Random numbers: splitmix64 -------------------------------------------------------------------------------- */

uint64_t seed(void)
{
    const char *given = getenv("GPUVM_SEED");
    uint64_t value = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

    printf("%s: GPUVM_SEED=%llu\n", program_invocation_short_name, (unsigned long long)value);
    seed_thread(value);
    return value;
}

void seed_thread(uint64_t value)
{
    generator = value;
}

uint64_t random_word(void)
{
    uint64_t z = generator += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t below(uint32_t n)
{
    return (uint32_t)(random_word() % n);
}

uint32_t between(uint32_t low, uint32_t high)
{
    return low + below(high - low + 1);
}

void random_bytes(void *bytes, size_t size)
{
    uint8_t *at = bytes;

    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), at += sizeof(uint64_t))
        memcpy(at, &(uint64_t){ random_word() }, sizeof(uint64_t));
    memcpy(at, &(uint64_t){ random_word() }, size);
}

/* ---- The device ------------------------------------------------------------------------------------------------ */

/* Switched on where the device has them. */
static const char *const wanted[] = {
    VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME,
    VK_KHR_MAINTENANCE_1_EXTENSION_NAME,
    VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME,
    VK_KHR_GET_MEMORY_REQUIREMENTS_2_EXTENSION_NAME,
    VK_KHR_DEDICATED_ALLOCATION_EXTENSION_NAME,
    VK_KHR_EXTERNAL_MEMORY_EXTENSION_NAME,
    VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
    VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
    VK_KHR_EXTERNAL_SEMAPHORE_EXTENSION_NAME,
    VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME,
    VK_KHR_COPY_COMMANDS_2_EXTENSION_NAME,
    VK_KHR_FORMAT_FEATURE_FLAGS_2_EXTENSION_NAME,
    VK_EXT_HOST_IMAGE_COPY_EXTENSION_NAME,
    VK_KHR_MAP_MEMORY_2_EXTENSION_NAME,
    VK_EXT_MAP_MEMORY_PLACED_EXTENSION_NAME,
};
enum { WANTED = sizeof wanted / sizeof *wanted };

struct offered {
    const char *names[WANTED];
    uint32_t count;
};

static bool has(const struct offered *offered, const char *name)
{
    for (uint32_t i = 0; i < offered->count; i++)
        if (!strcmp(offered->names[i], name))
            return true;
    return false;
}

static struct offered extensions(VkPhysicalDevice physical)
{
    struct offered offered = { .count = 0 };
    uint32_t count;

    VK(vkEnumerateDeviceExtensionProperties(physical, NULL, &count, NULL));
    VkExtensionProperties *all = calloc(count, sizeof *all);
    VK(vkEnumerateDeviceExtensionProperties(physical, NULL, &count, all));
    for (uint32_t w = 0; w < WANTED; w++)
        for (uint32_t i = 0; i < count; i++)
            if (!strcmp(all[i].extensionName, wanted[w])) {
                offered.names[offered.count++] = wanted[w];
                break;
            }
    free(all);
    return offered;
}

static void instance_make(struct gpu *gpu)
{
    const char *names[] = {
        VK_KHR_GET_PHYSICAL_DEVICE_PROPERTIES_2_EXTENSION_NAME,
        VK_KHR_EXTERNAL_MEMORY_CAPABILITIES_EXTENSION_NAME,
        VK_KHR_EXTERNAL_SEMAPHORE_CAPABILITIES_EXTENSION_NAME,
    };
    VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_2 };
    VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pApplicationInfo = &application,
        .enabledExtensionCount = 3,
        .ppEnabledExtensionNames = names,
    };
    uint32_t count = 1;

    VkResult result = vkCreateInstance(&info, NULL, &gpu->instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        skipped("no Vulkan driver");
    CHECK(result == VK_SUCCESS, "vkCreateInstance gave %d", result);
    result = vkEnumeratePhysicalDevices(gpu->instance, &count, &gpu->physical);
    CHECK(result >= 0, "vkEnumeratePhysicalDevices gave %d", result);
    CHECK(count > 0, "no device");
}

static void describe(struct gpu *gpu, const struct offered *offered)
{
    VkPhysicalDeviceDriverPropertiesKHR driver = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES };
    VkPhysicalDeviceProperties2KHR properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
        .pNext = &driver,
    };
    PFN_vkGetPhysicalDeviceProperties2KHR get = (PFN_vkGetPhysicalDeviceProperties2KHR)vkGetInstanceProcAddr(
        gpu->instance, "vkGetPhysicalDeviceProperties2KHR");
    uint32_t families = 1;

    if (!has(offered, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME))
        properties.pNext = NULL;
    get(gpu->physical, &properties);
    gpu->properties = properties.properties;
    gpu->nvk = driver.driverID == VK_DRIVER_ID_MESA_NVK;
    gpu->strict = gpu->properties.sparseProperties.residencyNonResidentStrict;
    vkGetPhysicalDeviceMemoryProperties(gpu->physical, &gpu->memory);
    vkGetPhysicalDeviceFeatures(gpu->physical, &gpu->features);
    vkGetPhysicalDeviceQueueFamilyProperties(gpu->physical, &families, &gpu->family);
    if (!has(offered, VK_KHR_TIMELINE_SEMAPHORE_EXTENSION_NAME))
        skipped("no timeline semaphores");
    gpu->host_image_copy = has(offered, VK_EXT_HOST_IMAGE_COPY_EXTENSION_NAME);
    gpu->placed_maps = has(offered, VK_EXT_MAP_MEMORY_PLACED_EXTENSION_NAME);
    gpu->external_memory = has(offered, VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME);
    gpu->external_semaphore = has(offered, VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME);
}

static void device_make(struct gpu *gpu, const struct offered *offered)
{
    VkPhysicalDeviceHostImageCopyFeaturesEXT host_copy = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_HOST_IMAGE_COPY_FEATURES_EXT,
        .hostImageCopy = VK_TRUE,
    };
    VkPhysicalDeviceMapMemoryPlacedFeaturesEXT placed = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAP_MEMORY_PLACED_FEATURES_EXT,
        .memoryMapPlaced = VK_TRUE,
        .memoryUnmapReserve = VK_TRUE,
    };
    VkPhysicalDeviceTimelineSemaphoreFeaturesKHR timeline = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
        .timelineSemaphore = VK_TRUE,
    };
    VkPhysicalDeviceFeatures2KHR features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .pNext = &timeline,
        .features = gpu->features,
    };
    VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueCount = 1,
        .pQueuePriorities = &(float){ 1 },
    };
    VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &features,
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos = &queue,
        .enabledExtensionCount = offered->count,
        .ppEnabledExtensionNames = offered->names,
    };

    features.features.robustBufferAccess = VK_FALSE;
    if (gpu->host_image_copy) {
        host_copy.pNext = features.pNext;
        features.pNext = &host_copy;
    }
    if (gpu->placed_maps) {
        placed.pNext = features.pNext;
        features.pNext = &placed;
    }
    VK(vkCreateDevice(gpu->physical, &info, NULL, &gpu->device));
    vkGetDeviceQueue(gpu->device, 0, 0, &gpu->queue);
}

void gpu_open(struct gpu *gpu)
{
    memset(gpu, 0, sizeof *gpu);
    instance_make(gpu);
    struct offered offered = extensions(gpu->physical);
    describe(gpu, &offered);
    device_make(gpu, &offered);

    VkCommandPoolCreateInfo pool = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO };
    VK(vkCreateCommandPool(gpu->device, &pool, NULL, &gpu->pool));
    gpu->wait_semaphores = CALL(gpu, vkWaitSemaphoresKHR);
    gpu->signal_semaphore = CALL(gpu, vkSignalSemaphoreKHR);
    gpu->semaphore_value = CALL(gpu, vkGetSemaphoreCounterValueKHR);
}

VkResult gpu_try_close(struct gpu *gpu)
{
    VkResult result = vkDeviceWaitIdle(gpu->device);

    vkDestroyCommandPool(gpu->device, gpu->pool, NULL);
    vkDestroyDevice(gpu->device, NULL);
    vkDestroyInstance(gpu->instance, NULL);
    return result;
}

void gpu_close(struct gpu *gpu)
{
    VK(gpu_try_close(gpu));
}

PFN_vkVoidFunction gpu_call(const struct gpu *gpu, const char *name)
{
    PFN_vkVoidFunction call = vkGetDeviceProcAddr(gpu->device, name);

    CHECK(call, "no %s", name);
    return call;
}

/* ---- Memory and buffers ---------------------------------------------------------------------------------------- */

/* HOST is memory that the host sees, rather not the device's own; DEVICE the device's own, rather not seen by the
   host. Where the device has no memory of its own, both are the same. */
static uint32_t fitness(VkMemoryPropertyFlags flags, enum place place)
{
    const VkMemoryPropertyFlags host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    bool seen = (flags & host) == host, own = flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;

    if (place == HOST)
        return seen ? 1 + !own : 0;
    return own ? 2 + !seen : 1;
}

uint32_t memory_type(const struct gpu *gpu, uint32_t allowed, enum place place)
{
    uint32_t best = 0, found = 0;

    for (uint32_t i = 0; i < gpu->memory.memoryTypeCount; i++) {
        uint32_t fit = allowed >> i & 1 ? fitness(gpu->memory.memoryTypes[i].propertyFlags, place) : 0;
        if (fit > best) {
            best = fit;
            found = i;
        }
    }
    CHECK(best, "no memory type among %#x", allowed);
    return found;
}

VkDeviceMemory memory_make(const struct gpu *gpu, VkMemoryRequirements needs, enum place place)
{
    VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .allocationSize = needs.size,
        .memoryTypeIndex = memory_type(gpu, needs.memoryTypeBits, place),
    };
    VkDeviceMemory memory;

    VK(vkAllocateMemory(gpu->device, &info, NULL, &memory));
    return memory;
}

VkBuffer buffer_handle(const struct gpu *gpu, VkDeviceSize size, VkBufferCreateFlags flags)
{
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .flags = flags,
        .size = size,
        .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
    };
    VkBuffer buffer;

    VK(vkCreateBuffer(gpu->device, &info, NULL, &buffer));
    return buffer;
}

struct buffer buffer_make(const struct gpu *gpu, VkDeviceSize size, enum place place)
{
    struct buffer buffer = { .handle = buffer_handle(gpu, size, 0), .size = size };
    VkMemoryRequirements needs;
    void *bytes;

    vkGetBufferMemoryRequirements(gpu->device, buffer.handle, &needs);
    buffer.memory = memory_make(gpu, needs, place);
    VK(vkBindBufferMemory(gpu->device, buffer.handle, buffer.memory, 0));
    if (place == HOST) {
        VK(vkMapMemory(gpu->device, buffer.memory, 0, VK_WHOLE_SIZE, 0, &bytes));
        buffer.bytes = bytes;
    }
    return buffer;
}

void buffer_free(const struct gpu *gpu, struct buffer *buffer)
{
    vkDestroyBuffer(gpu->device, buffer->handle, NULL);
    vkFreeMemory(gpu->device, buffer->memory, NULL);
}

/* ---- Commands -------------------------------------------------------------------------------------------------- */

VkCommandBuffer commands_begin(const struct gpu *gpu)
{
    VkCommandBufferAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = gpu->pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1,
    };
    VkCommandBufferBeginInfo begin = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
        .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
    };
    VkCommandBuffer commands;

    VK(vkAllocateCommandBuffers(gpu->device, &allocate, &commands));
    VK(vkBeginCommandBuffer(commands, &begin));
    return commands;
}

void commands_end(VkCommandBuffer commands)
{
    VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT,
    };

    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &memory, 0, NULL,
                         0, NULL);
    VK(vkEndCommandBuffer(commands));
}

void commands_free(const struct gpu *gpu, VkCommandBuffer commands)
{
    vkFreeCommandBuffers(gpu->device, gpu->pool, 1, &commands);
}

void commands_run(const struct gpu *gpu, VkCommandBuffer commands)
{
    commands_end(commands);
    submit(gpu, commands, NONE, NONE, VK_NULL_HANDLE);
    VK(vkQueueWaitIdle(gpu->queue));
    commands_free(gpu, commands);
}

void barrier(VkCommandBuffer commands)
{
    VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
    };

    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &memory, 0,
                         NULL, 0, NULL);
}

void image_to_general(VkCommandBuffer commands, VkImage image, VkImageAspectFlags aspects)
{
    VkImageMemoryBarrier transition = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
        .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        .oldLayout = VK_IMAGE_LAYOUT_UNDEFINED,
        .newLayout = VK_IMAGE_LAYOUT_GENERAL,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = image,
        .subresourceRange = { aspects, 0, VK_REMAINING_MIP_LEVELS, 0, VK_REMAINING_ARRAY_LAYERS },
    };

    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 0,
                         NULL, 1, &transition);
}

void copy(VkCommandBuffer commands, VkBuffer from, VkDeviceSize at, VkBuffer to, VkDeviceSize there,
          VkDeviceSize size)
{
    vkCmdCopyBuffer(commands, from, to, 1, &(VkBufferCopy){ at, there, size });
}

/* ---- Semaphores, fences, submissions --------------------------------------------------------------------------- */

static VkSemaphore semaphore_make(const struct gpu *gpu, VkSemaphoreTypeKHR type, uint64_t value)
{
    VkSemaphoreTypeCreateInfoKHR kind = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
        .semaphoreType = type,
        .initialValue = value,
    };
    VkSemaphoreCreateInfo info = { .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &kind };
    VkSemaphore semaphore;

    VK(vkCreateSemaphore(gpu->device, &info, NULL, &semaphore));
    return semaphore;
}

VkSemaphore timeline_make(const struct gpu *gpu, uint64_t value)
{
    return semaphore_make(gpu, VK_SEMAPHORE_TYPE_TIMELINE, value);
}

VkSemaphore binary_make(const struct gpu *gpu)
{
    return semaphore_make(gpu, VK_SEMAPHORE_TYPE_BINARY, 0);
}

void point_wait(const struct gpu *gpu, struct point point)
{
    VkSemaphoreWaitInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
        .semaphoreCount = 1,
        .pSemaphores = &point.semaphore,
        .pValues = &point.value,
    };

    VK(gpu->wait_semaphores(gpu->device, &info, UINT64_MAX));
}

void point_signal(const struct gpu *gpu, struct point point)
{
    VkSemaphoreSignalInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
        .semaphore = point.semaphore,
        .value = point.value,
    };

    VK(gpu->signal_semaphore(gpu->device, &info));
}

uint64_t timeline_value(const struct gpu *gpu, VkSemaphore semaphore)
{
    uint64_t value;

    VK(gpu->semaphore_value(gpu->device, semaphore, &value));
    return value;
}

VkFence fence_make(const struct gpu *gpu)
{
    VkFenceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
    VkFence fence;

    VK(vkCreateFence(gpu->device, &info, NULL, &fence));
    return fence;
}

void fence_wait(const struct gpu *gpu, VkFence fence)
{
    VK(vkWaitForFences(gpu->device, 1, &fence, VK_TRUE, UINT64_MAX));
    VK(vkResetFences(gpu->device, 1, &fence));
}

void submit(const struct gpu *gpu, VkCommandBuffer commands, struct point wait, struct point signal, VkFence fence)
{
    VkTimelineSemaphoreSubmitInfoKHR values = {
        .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
        .waitSemaphoreValueCount = wait.semaphore != VK_NULL_HANDLE,
        .pWaitSemaphoreValues = &wait.value,
        .signalSemaphoreValueCount = signal.semaphore != VK_NULL_HANDLE,
        .pSignalSemaphoreValues = &signal.value,
    };
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .pNext = &values,
        .waitSemaphoreCount = values.waitSemaphoreValueCount,
        .pWaitSemaphores = &wait.semaphore,
        .pWaitDstStageMask = &(VkPipelineStageFlags){ VK_PIPELINE_STAGE_ALL_COMMANDS_BIT },
        .commandBufferCount = commands != NULL,
        .pCommandBuffers = &commands,
        .signalSemaphoreCount = values.signalSemaphoreValueCount,
        .pSignalSemaphores = &signal.semaphore,
    };

    VK(vkQueueSubmit(gpu->queue, 1, &info, fence));
}

void bind_sparse(const struct gpu *gpu, VkBindSparseInfo binds, struct point wait, struct point signal)
{
    VkTimelineSemaphoreSubmitInfoKHR values = {
        .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
        .waitSemaphoreValueCount = wait.semaphore != VK_NULL_HANDLE,
        .pWaitSemaphoreValues = &wait.value,
        .signalSemaphoreValueCount = signal.semaphore != VK_NULL_HANDLE,
        .pSignalSemaphoreValues = &signal.value,
    };

    binds.sType = VK_STRUCTURE_TYPE_BIND_SPARSE_INFO;
    binds.pNext = &values;
    binds.waitSemaphoreCount = values.waitSemaphoreValueCount;
    binds.pWaitSemaphores = &wait.semaphore;
    binds.signalSemaphoreCount = values.signalSemaphoreValueCount;
    binds.pSignalSemaphores = &signal.semaphore;
    VK(vkQueueBindSparse(gpu->queue, 1, &binds, VK_NULL_HANDLE));
}
