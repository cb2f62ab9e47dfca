/*
 * Law: memory has an end, and allocating beyond it says so. What was allocated before keeps its bytes, and the
 * device goes on once there is room; what is given back can be had again, as much of it as the first time, and
 * reads as zero.
 */
#define _DEFAULT_SOURCE
#include "support.h"

#include <unistd.h>

enum { CHUNK = 256 << 20, KEPT = 6, MOST = 400, END = 4096, ROUNDS = 3 };

static struct gpu gpu;
static struct buffer words;

/* Freed memory may come back a little later: whoever used it last lets go of it in his own time. */
static VkResult allocate(const VkMemoryAllocateInfo *info, VkDeviceMemory *memory)
{
    VkResult result = vkAllocateMemory(gpu.device, info, NULL, memory);

    for (uint32_t tries = 0; tries < 100 && result == VK_ERROR_OUT_OF_DEVICE_MEMORY; tries++) {
        usleep(10000);
        result = vkAllocateMemory(gpu.device, info, NULL, memory);
    }
    return result;
}

/* Buffers of one chunk each until there is no room, `most` at most; how many there are. */
static uint32_t chunks_make(struct buffer *chunks, uint32_t most)
{
    for (uint32_t count = 0; count < most; count++) {
        struct buffer *chunk = &chunks[count];
        VkMemoryRequirements needs;

        *chunk = (struct buffer){ .handle = buffer_handle(&gpu, CHUNK, 0), .size = CHUNK };
        vkGetBufferMemoryRequirements(gpu.device, chunk->handle, &needs);
        VkMemoryAllocateInfo info = {
            .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
            .allocationSize = needs.size,
            .memoryTypeIndex = memory_type(&gpu, needs.memoryTypeBits, DEVICE),
        };
        VkResult result = allocate(&info, &chunk->memory);
        if (result != VK_SUCCESS) {
            vkDestroyBuffer(gpu.device, chunk->handle, NULL);
            CHECK(result == VK_ERROR_OUT_OF_DEVICE_MEMORY, "allocating one chunk too many gave %d", result);
            return count;
        }
        VK(vkBindBufferMemory(gpu.device, chunk->handle, chunk->memory, 0));
    }
    return most;
}

static void chunks_free(struct buffer *chunks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        buffer_free(&gpu, &chunks[i]);
}

/* Marks both ends of each chunk. */
static void mark(struct buffer *chunks, uint32_t count, uint32_t salt)
{
    VkCommandBuffer commands = commands_begin(&gpu);

    for (uint32_t i = 0; i < count; i++) {
        vkCmdFillBuffer(commands, chunks[i].handle, 0, END, salt + 2 * i);
        vkCmdFillBuffer(commands, chunks[i].handle, CHUNK - END, END, salt + 2 * i + 1);
    }
    commands_run(&gpu, commands);
}

/* The word that the chunk has all over at one end. */
static uint32_t word_at(const struct buffer *chunk, VkDeviceSize at)
{
    VkCommandBuffer commands = commands_begin(&gpu);
    uint32_t word;

    copy(commands, chunk->handle, at, words.handle, 0, END);
    commands_run(&gpu, commands);
    memcpy(&word, words.bytes, 4);
    for (uint32_t i = 4; i < END; i += 4)
        CHECK(!memcmp(words.bytes + i, &word, 4), "word %#x of a chunk's end differs from the first", i);
    return word;
}

static void check(const struct buffer *chunks, uint32_t count, uint32_t salt)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t low = word_at(&chunks[i], 0), high = word_at(&chunks[i], CHUNK - END);
        CHECK(low == salt + 2 * i && high == salt + 2 * i + 1, "chunk %u ends in %08x and %08x, salt %08x", i, low,
              high, salt);
    }
}

int main(void)
{
    static struct buffer kept[KEPT], more[MOST];
    uint32_t most = 0;

    seed();
    gpu_open(&gpu);
    words = buffer_make(&gpu, END, HOST);
    uint32_t salt = (uint32_t)random_word();
    CHECK(chunks_make(kept, KEPT) == KEPT, "no room for %d chunks", KEPT);
    mark(kept, KEPT, salt);

    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t count = chunks_make(more, MOST);
        CHECK(!gpu.nvk || count < MOST, "there is no end of memory after %d GiB", MOST / 4);
        if (count == MOST)
            skipped("there is no end of memory");
        CHECK(count && (!round || count == most), "%u chunks at first, now %u", most, count);
        most = count;
        chunks_free(more, count);
        check(kept, KEPT, salt);
        count = chunks_make(more, KEPT); /* written and given back, for the next round to find */
        if (gpu.nvk)                     /* its device gives no memory as others left it */
            CHECK(!word_at(&more[0], 0) && !word_at(&more[count - 1], CHUNK - END), "new memory is not zero");
        mark(more, count, ~salt);
        chunks_free(more, count);
    }
    chunks_free(kept, KEPT);
    buffer_free(&gpu, &words);
    gpu_close(&gpu);
    passed();
}
