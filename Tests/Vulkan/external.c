/*
 * Law: memory that goes through a file descriptor is one memory: two buffers over it see each other's writes,
 * within a device and, as a dma-buf, in another one. A semaphore that goes through a descriptor is one semaphore.
 * Descriptors may be closed early and duplicated; importing takes them.
 */
#define _DEFAULT_SOURCE
#include "support.h"

#include <poll.h>
#include <unistd.h>

enum { SIZE = 1 << 18 };

static struct gpu first, second;

/* ---- Memory ---------------------------------------------------------------------------------------------------- */

static bool supported(VkExternalMemoryHandleTypeFlagBits type)
{
    PFN_vkGetPhysicalDeviceExternalBufferPropertiesKHR get =
        (PFN_vkGetPhysicalDeviceExternalBufferPropertiesKHR)vkGetInstanceProcAddr(
            first.instance, "vkGetPhysicalDeviceExternalBufferPropertiesKHR");
    VkPhysicalDeviceExternalBufferInfo info = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
        .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
        .handleType = type,
    };
    VkExternalBufferProperties properties = { .sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES };
    const VkExternalMemoryFeatureFlags both =
        VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT | VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT;

    get(first.physical, &info, &properties);
    return (properties.externalMemoryProperties.externalMemoryFeatures & both) == both;
}

static struct buffer external_buffer(const struct gpu *gpu, VkExternalMemoryHandleTypeFlagBits type)
{
    VkExternalMemoryBufferCreateInfo external = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
        .handleTypes = type,
    };
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .pNext = &external,
        .size = SIZE,
        .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
    };
    struct buffer buffer = { .size = SIZE };

    VK(vkCreateBuffer(gpu->device, &info, NULL, &buffer.handle));
    return buffer;
}

/* `next` says whether the memory is to be exported or is imported. */
static void give_memory(const struct gpu *gpu, struct buffer *buffer, uint32_t types, const void *next)
{
    VkMemoryRequirements needs;

    vkGetBufferMemoryRequirements(gpu->device, buffer->handle, &needs);
    VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .pNext = next,
        .allocationSize = needs.size,
        .memoryTypeIndex = memory_type(gpu, needs.memoryTypeBits & types, DEVICE),
    };
    VK(vkAllocateMemory(gpu->device, &info, NULL, &buffer->memory));
    VK(vkBindBufferMemory(gpu->device, buffer->handle, buffer->memory, 0));
}

static struct buffer exported(const struct gpu *gpu, VkExternalMemoryHandleTypeFlagBits type)
{
    VkExportMemoryAllocateInfo export = {
        .sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
        .handleTypes = type,
    };
    struct buffer buffer = external_buffer(gpu, type);

    give_memory(gpu, &buffer, ~0u, &export);
    return buffer;
}

static int memory_fd(const struct gpu *gpu, VkDeviceMemory memory, VkExternalMemoryHandleTypeFlagBits type)
{
    VkMemoryGetFdInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
        .memory = memory,
        .handleType = type,
    };
    int fd = -1;

    VK(CALL(gpu, vkGetMemoryFdKHR)(gpu->device, &info, &fd));
    CHECK(fd >= 0, "exporting gave descriptor %d", fd);
    return fd;
}

/* Takes the descriptor. */
static struct buffer imported(const struct gpu *gpu, int fd, VkExternalMemoryHandleTypeFlagBits type)
{
    VkImportMemoryFdInfoKHR import = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
        .handleType = type,
        .fd = fd,
    };
    VkMemoryFdPropertiesKHR properties = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR,
        .memoryTypeBits = ~0u,
    };
    struct buffer buffer = external_buffer(gpu, type);

    if (type == VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT)
        VK(CALL(gpu, vkGetMemoryFdPropertiesKHR)(gpu->device, type, fd, &properties));
    give_memory(gpu, &buffer, properties.memoryTypeBits, &import);
    return buffer;
}

/* What is written to one buffer on its device is read from the other on the other's. */
static void same(const struct gpu *writer, const struct buffer *written, const struct gpu *reader,
                 const struct buffer *read, const char *how)
{
    struct buffer in = buffer_make(writer, SIZE, HOST), out = buffer_make(reader, SIZE, HOST);
    VkCommandBuffer commands = commands_begin(writer);

    random_bytes(in.bytes, SIZE);
    copy(commands, in.handle, 0, written->handle, 0, SIZE);
    commands_run(writer, commands);
    commands = commands_begin(reader);
    copy(commands, read->handle, 0, out.handle, 0, SIZE);
    commands_run(reader, commands);
    CHECK(!memcmp(in.bytes, out.bytes, SIZE), "%s: other bytes", how);
    buffer_free(writer, &in);
    buffer_free(reader, &out);
}

static void memory(VkExternalMemoryHandleTypeFlagBits type, const char *name)
{
    struct buffer one = exported(&first, type);
    int fd = memory_fd(&first, one.memory, type), other = dup(fd), again = memory_fd(&first, one.memory, type);

    close(again);
    struct buffer two = imported(&first, fd, type);
    same(&first, &one, &first, &two, name);
    same(&first, &two, &first, &one, name);
    struct buffer far = imported(&second, other, type);
    same(&first, &one, &second, &far, "memory of another device");
    same(&second, &far, &first, &two, "memory given to another device");
    buffer_free(&first, &one); /* who is left keeps the memory */
    same(&second, &far, &first, &two, "memory whose first owner is gone");
    buffer_free(&first, &two);
    same(&second, &far, &second, &far, "memory whose first device gave it up");
    buffer_free(&second, &far);
}

/* ---- Semaphores ------------------------------------------------------------------------------------------------ */

static VkSemaphore exportable(VkSemaphoreTypeKHR kind, VkExternalSemaphoreHandleTypeFlagBits type)
{
    VkExportSemaphoreCreateInfo export = {
        .sType = VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO,
        .handleTypes = type,
    };
    VkSemaphoreTypeCreateInfoKHR semaphore_kind = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
        .pNext = &export,
        .semaphoreType = kind,
    };
    VkSemaphoreCreateInfo info = { .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &semaphore_kind };
    VkSemaphore semaphore;

    VK(vkCreateSemaphore(first.device, &info, NULL, &semaphore));
    return semaphore;
}

static bool can_export(VkSemaphoreTypeKHR kind, VkExternalSemaphoreHandleTypeFlagBits type)
{
    PFN_vkGetPhysicalDeviceExternalSemaphorePropertiesKHR get =
        (PFN_vkGetPhysicalDeviceExternalSemaphorePropertiesKHR)vkGetInstanceProcAddr(
            first.instance, "vkGetPhysicalDeviceExternalSemaphorePropertiesKHR");
    VkSemaphoreTypeCreateInfoKHR semaphore_kind = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
        .semaphoreType = kind,
    };
    VkPhysicalDeviceExternalSemaphoreInfo info = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_SEMAPHORE_INFO,
        .pNext = &semaphore_kind,
        .handleType = type,
    };
    VkExternalSemaphoreProperties properties = { .sType = VK_STRUCTURE_TYPE_EXTERNAL_SEMAPHORE_PROPERTIES };
    const VkExternalSemaphoreFeatureFlags both =
        VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT | VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT;

    get(first.physical, &info, &properties);
    return (properties.externalSemaphoreFeatures & both) == both;
}

static int semaphore_fd(VkSemaphore semaphore, VkExternalSemaphoreHandleTypeFlagBits type)
{
    VkSemaphoreGetFdInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_GET_FD_INFO_KHR,
        .semaphore = semaphore,
        .handleType = type,
    };
    int fd = -2;

    VK(CALL(&first, vkGetSemaphoreFdKHR)(first.device, &info, &fd));
    return fd;
}

static void semaphore_import(VkSemaphore semaphore, int fd, VkExternalSemaphoreHandleTypeFlagBits type)
{
    VkImportSemaphoreFdInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
        .semaphore = semaphore,
        .flags = type == VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT ? VK_SEMAPHORE_IMPORT_TEMPORARY_BIT : 0,
        .handleType = type,
        .fd = fd,
    };

    VK(CALL(&second, vkImportSemaphoreFdKHR)(second.device, &info));
}

/* The second device waits for what the first one does. */
static void timeline(void)
{
    const VkExternalSemaphoreHandleTypeFlagBits type = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT;

    if (!can_export(VK_SEMAPHORE_TYPE_TIMELINE, type))
        return;
    VkSemaphore here = exportable(VK_SEMAPHORE_TYPE_TIMELINE, type), there = timeline_make(&second, 0);
    semaphore_import(there, semaphore_fd(here, type), type);
    submit(&first, NULL, NONE, (struct point){ here, 5 }, VK_NULL_HANDLE);
    point_wait(&second, (struct point){ there, 5 });
    VK(vkQueueWaitIdle(first.queue)); /* for validation, which does not see that this is over */
    submit(&second, NULL, (struct point){ there, 5 }, (struct point){ there, 9 }, VK_NULL_HANDLE);
    point_wait(&first, (struct point){ here, 9 });
    VK(vkQueueWaitIdle(second.queue));
    point_signal(&first, (struct point){ here, 12 });
    uint64_t value = timeline_value(&second, there);
    CHECK(value == 12, "the imported timeline stands at %llu", (unsigned long long)value);
    vkDestroySemaphore(first.device, here, NULL);
    vkDestroySemaphore(second.device, there, NULL);
}

static void binary(void)
{
    const VkExternalSemaphoreHandleTypeFlagBits type = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT;

    if (!can_export(VK_SEMAPHORE_TYPE_BINARY, type))
        return;
    VkSemaphore here = exportable(VK_SEMAPHORE_TYPE_BINARY, type), there = binary_make(&second);
    semaphore_import(there, semaphore_fd(here, type), type);
    for (uint32_t i = 0; i < 3; i++) {
        submit(&first, NULL, NONE, (struct point){ here, 0 }, VK_NULL_HANDLE);
        VkFence fence = fence_make(&second);
        submit(&second, NULL, (struct point){ there, 0 }, NONE, fence);
        fence_wait(&second, fence);
        vkDestroyFence(second.device, fence, NULL);
    }
    VK(vkQueueWaitIdle(first.queue));
    vkDestroySemaphore(first.device, here, NULL);
    vkDestroySemaphore(second.device, there, NULL);
}

/* A sync file can be polled; what it stands for may wait for the host still. */
static void sync_file(void)
{
    const VkExternalSemaphoreHandleTypeFlagBits type = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT;

    if (!can_export(VK_SEMAPHORE_TYPE_BINARY, type))
        return;
    struct buffer words = buffer_make(&first, 1 << 20, DEVICE);
    VkSemaphore here = exportable(VK_SEMAPHORE_TYPE_BINARY, type), there = binary_make(&second);
    VkFence fence = fence_make(&second);
    for (uint32_t i = 0; i < 3; i++) {
        VkCommandBuffer commands = commands_begin(&first);
        vkCmdFillBuffer(commands, words.handle, 0, VK_WHOLE_SIZE, i);
        commands_end(commands);
        submit(&first, commands, NONE, (struct point){ here, 0 }, VK_NULL_HANDLE);
        int fd = semaphore_fd(here, type); /* -1: already done */
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        CHECK(fd < 0 || (poll(&wait, 1, -1) == 1 && wait.revents & POLLIN), "polling the sync file gave %#x",
              wait.revents);
        semaphore_import(there, fd, type);
        submit(&second, NULL, (struct point){ there, 0 }, NONE, fence);
        fence_wait(&second, fence);
        VK(vkQueueWaitIdle(first.queue));
        commands_free(&first, commands);
    }
    vkDestroyFence(second.device, fence, NULL);
    vkDestroySemaphore(first.device, here, NULL);
    vkDestroySemaphore(second.device, there, NULL);
    buffer_free(&first, &words);
}

int main(void)
{
    uint32_t tried = 0;

    seed();
    gpu_open(&first);
    gpu_open(&second);
    if (first.external_memory && supported(VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT)) {
        memory(VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT, "memory as an opaque descriptor");
        tried++;
    }
    if (first.external_memory && supported(VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT)) {
        memory(VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT, "memory as a dma-buf");
        tried++;
    }
    if (first.external_semaphore) {
        timeline();
        binary();
        sync_file();
        tried++;
    }
    if (!tried)
        skipped("nothing goes through descriptors");
    gpu_close(&first);
    gpu_close(&second);
    passed();
}
