/*
 * Law: a copy from an address where nothing is bound loses the device that made it, and no other: one that was
 * there before goes on, and one made afterwards works.
 */
#include "support.h"

enum { SIZE = 1 << 16, TRIES = 1000 };

static void works(const struct gpu *gpu)
{
    struct buffer from = buffer_make(gpu, SIZE, HOST), to = buffer_make(gpu, SIZE, HOST);
    VkCommandBuffer commands = commands_begin(gpu);

    random_bytes(from.bytes, SIZE);
    copy(commands, from.handle, 0, to.handle, 0, SIZE);
    commands_run(gpu, commands);
    CHECK(!memcmp(from.bytes, to.bytes, SIZE), "a device copies other bytes");
    buffer_free(gpu, &from);
    buffer_free(gpu, &to);
}

/* The buffer must be bound as a whole before it is used, and is not bound at all: there are no pages behind it. */
static void lose(const struct gpu *gpu)
{
    struct buffer to = buffer_make(gpu, SIZE, HOST);
    VkBuffer nowhere = buffer_handle(gpu, SIZE, VK_BUFFER_CREATE_SPARSE_BINDING_BIT);
    VkCommandBuffer commands = commands_begin(gpu);
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .commandBufferCount = 1,
        .pCommandBuffers = &commands,
    };
    VkResult result = VK_SUCCESS;

    copy(commands, nowhere, 0, to.handle, 0, SIZE);
    commands_end(commands);
    VK(vkQueueSubmit(gpu->queue, 1, &info, VK_NULL_HANDLE));
    /* The fault kills the channel; the driver hears of it at the first submission after that. */
    for (uint32_t i = 0; i < TRIES && result == VK_SUCCESS; i++)
        result = vkQueueWaitIdle(gpu->queue);
    CHECK(result == VK_ERROR_DEVICE_LOST, "a bad address gave %d", result);
    result = vkQueueSubmit(gpu->queue, 0, NULL, VK_NULL_HANDLE);
    CHECK(result == VK_ERROR_DEVICE_LOST, "a lost device takes work, %d", result);
    vkDestroyBuffer(gpu->device, nowhere, NULL);
    commands_free(gpu, commands);
    buffer_free(gpu, &to);
}

int main(void)
{
    struct gpu before, lost, after;

    seed();
    gpu_open(&before);
    if (!before.nvk)
        skipped("only NVK's devices are known to be lost this way");
    gpu_open(&lost);
    works(&before);
    works(&lost);
    lose(&lost);
    works(&before);
    VkResult result = gpu_try_close(&lost);
    CHECK(result == VK_ERROR_DEVICE_LOST, "waiting for a lost device gave %d", result);
    gpu_open(&after);
    works(&after);
    works(&before);
    gpu_close(&after);
    gpu_close(&before);
    passed();
}
