/*
 * Law: thousands of command buffers in one submission run in their order, and thousands of allocations live beside
 * each other, each with its own bytes, also after every other one was freed and made again.
 */
#include "support.h"

enum { COMMANDS = 3000, ALLOCATIONS = 2000, SMALL = 8192 };

static struct gpu gpu;

/* Each command buffer moves a window on by a word: the last word got through all of them, in order, or is wrong. */
static void many_commands(void)
{
    VkCommandBuffer *commands = malloc(COMMANDS * sizeof *commands);
    struct buffer words = buffer_make(&gpu, (COMMANDS + 1) * 4, HOST);
    VkFence fence = fence_make(&gpu);
    uint32_t first = (uint32_t)random_word(), last;

    memset(words.bytes, 0, words.size);
    memcpy(words.bytes, &first, 4);
    for (uint32_t i = 0; i < COMMANDS; i++) {
        commands[i] = commands_begin(&gpu);
        barrier(commands[i]);
        copy(commands[i], words.handle, i * 4, words.handle, (i + 1) * 4, 4);
        commands_end(commands[i]);
    }
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .commandBufferCount = COMMANDS,
        .pCommandBuffers = commands,
    };
    VK(vkQueueSubmit(gpu.queue, 1, &info, fence));
    fence_wait(&gpu, fence);
    for (uint32_t i = 0; i <= COMMANDS; i++) {
        memcpy(&last, words.bytes + i * 4, 4);
        CHECK(last == first, "word %u is %08x, not %08x", i, last, first);
    }
    vkFreeCommandBuffers(gpu.device, gpu.pool, COMMANDS, commands);
    vkDestroyFence(gpu.device, fence, NULL);
    buffer_free(&gpu, &words);
    free(commands);
}

/* As many submissions of one command buffer each, none waited for before the last. */
static void many_submissions(void)
{
    struct buffer count = buffer_make(&gpu, 4, HOST);
    struct point line = { timeline_make(&gpu, 0), 0 };
    VkCommandBuffer *commands = malloc(COMMANDS * sizeof *commands);
    uint32_t seen;

    for (uint32_t i = 0; i < COMMANDS; i++) {
        struct point next = { line.semaphore, line.value + 1 };
        commands[i] = commands_begin(&gpu);
        vkCmdFillBuffer(commands[i], count.handle, 0, 4, i);
        commands_end(commands[i]);
        submit(&gpu, commands[i], line, next, VK_NULL_HANDLE);
        line = next;
    }
    point_wait(&gpu, line);
    memcpy(&seen, count.bytes, 4);
    CHECK(seen == COMMANDS - 1, "the last of %d submissions is %u", COMMANDS, seen);
    vkFreeCommandBuffers(gpu.device, gpu.pool, COMMANDS, commands);
    vkDestroySemaphore(gpu.device, line.semaphore, NULL);
    buffer_free(&gpu, &count);
    free(commands);
}

static void mark(struct buffer *buffers, uint32_t step)
{
    VkCommandBuffer commands = commands_begin(&gpu);

    for (uint32_t i = 0; i < ALLOCATIONS; i += step)
        vkCmdFillBuffer(commands, buffers[i].handle, 0, SMALL, i * 0x10001u + step);
    commands_run(&gpu, commands);
}

/* A third of them lies in the host's memory. */
static enum place place_of(uint32_t i)
{
    return i % 3 ? DEVICE : HOST;
}

static void many_allocations(void)
{
    uint32_t most = gpu.properties.limits.maxMemoryAllocationCount;
    struct buffer *buffers = calloc(ALLOCATIONS, sizeof *buffers);
    struct buffer all = buffer_make(&gpu, (VkDeviceSize)ALLOCATIONS * SMALL, HOST);

    if (most < ALLOCATIONS + 100)
        skipped("only %u allocations", most);
    for (uint32_t i = 0; i < ALLOCATIONS; i++)
        buffers[i] = buffer_make(&gpu, SMALL, place_of(i));
    mark(buffers, 1);
    for (uint32_t i = 0; i < ALLOCATIONS; i += 2) {
        buffer_free(&gpu, &buffers[i]);
        buffers[i] = buffer_make(&gpu, SMALL, place_of(i));
    }
    mark(buffers, 2);

    VkCommandBuffer commands = commands_begin(&gpu);
    for (uint32_t i = 0; i < ALLOCATIONS; i++)
        copy(commands, buffers[i].handle, 0, all.handle, (VkDeviceSize)i * SMALL, SMALL);
    commands_run(&gpu, commands);
    for (uint32_t i = 0; i < ALLOCATIONS; i++)
        for (uint32_t at = 0; at < SMALL; at += 4) {
            uint32_t got, want = i * 0x10001u + (i % 2 ? 1 : 2);
            memcpy(&got, all.bytes + (size_t)i * SMALL + at, 4);
            CHECK(got == want, "allocation %u, byte %#x is %08x, not %08x", i, at, got, want);
        }
    for (uint32_t i = 0; i < ALLOCATIONS; i++)
        buffer_free(&gpu, &buffers[i]);
    buffer_free(&gpu, &all);
    free(buffers);
}

int main(void)
{
    seed();
    gpu_open(&gpu);
    many_commands();
    many_submissions();
    many_allocations();
    gpu_close(&gpu);
    passed();
}
