/*
 * Law: when memory is full, allocating says so; what was allocated before keeps its bytes and the device goes on; what is
 * given back can be had again, as much of it as the first time, and reads as zero.
 */
#include "support.h"

enum { CHUNK = 256 << 20, MOST = 4096, END = 4096 };

static struct gpu gpu;
static struct buffer words;

/* Fills memory with buffers of one chunk each; how many there is room for. */
static uint32_t fill_up(struct buffer *chunks, VkDeviceSize offered)
{
    VkMemoryRequirements needs;
    uint32_t count = 0;

    for (;; count++) {
        struct buffer *chunk = &chunks[count];
        if (count == MOST || (VkDeviceSize)count * CHUNK > 2 * offered)
            skipped("memory has no end");
        *chunk = (struct buffer){ .handle = buffer_handle(&gpu, CHUNK, 0), .size = CHUNK };
        vkGetBufferMemoryRequirements(gpu.device, chunk->handle, &needs);
        VkMemoryAllocateInfo info = {
            .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
            .allocationSize = needs.size,
            .memoryTypeIndex = memory_type(&gpu, needs.memoryTypeBits, DEVICE),
        };
        VkResult result = vkAllocateMemory(gpu.device, &info, NULL, &chunk->memory);
        if (result != VK_SUCCESS) {
            vkDestroyBuffer(gpu.device, chunk->handle, NULL);
            CHECK(result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY,
                  "allocating the last chunk gave %d", result);
            return count;
        }
        VK(vkBindBufferMemory(gpu.device, chunk->handle, chunk->memory, 0));
    }
}

/* Marks both ends of each chunk, or reads them back. */
static void mark(struct buffer *chunks, uint32_t count, uint32_t salt)
{
    VkCommandBuffer commands = commands_begin(&gpu);

    for (uint32_t i = 0; i < count; i++) {
        vkCmdFillBuffer(commands, chunks[i].handle, 0, END, salt + 2 * i);
        vkCmdFillBuffer(commands, chunks[i].handle, CHUNK - END, END, salt + 2 * i + 1);
    }
    commands_run(&gpu, commands);
}

static uint32_t end_word(const struct buffer *chunk, VkDeviceSize at)
{
    VkCommandBuffer commands = commands_begin(&gpu);
    uint32_t word;

    copy(commands, chunk->handle, at, words.handle, 0, END);
    commands_run(&gpu, commands);
    memcpy(&word, words.bytes, 4);
    for (uint32_t i = 4; i < END; i += 4)
        CHECK(!memcmp(words.bytes + i, &word, 4), "word %#x of a chunk's end differs", i);
    return word;
}

static void check(const struct buffer *chunks, uint32_t count, uint32_t salt)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t low = end_word(&chunks[i], 0), high = end_word(&chunks[i], CHUNK - END);
        CHECK(low == salt + 2 * i && high == salt + 2 * i + 1, "chunk %u ends in %08x and %08x, salt %08x", i, low, high, salt);
    }
}

int main(void)
{
    static struct buffer chunks[MOST];
    VkDeviceSize offered = 0;
    uint32_t most = 0;

    seed();
    gpu_open(&gpu);
    for (uint32_t i = 0; i < gpu.memory.memoryHeapCount; i++)
        offered += gpu.memory.memoryHeaps[i].size;
    words = buffer_make(&gpu, END, HOST);

    for (uint32_t round = 0; round < 3; round++) {
        uint32_t count = fill_up(chunks, offered), salt = (uint32_t)random_word();
        CHECK(count > 0, "not one chunk");
        CHECK(!round || count == most, "%u chunks at first, now %u", most, count);
        most = count;
        if (gpu.nvk) /* its device gives no memory that another program wrote */
            CHECK(!end_word(&chunks[0], 0) && !end_word(&chunks[count - 1], CHUNK - END), "new memory is not zero");
        mark(chunks, count, salt);
        check(chunks, count, salt);
        uint32_t one = below(count); /* one goes and comes back while the others stay */
        buffer_free(&gpu, &chunks[one]);
        chunks[one] = buffer_make(&gpu, CHUNK, DEVICE);
        check(chunks, one, salt);
        for (uint32_t i = 0; i < count; i++)
            buffer_free(&gpu, &chunks[i]);
    }
    printf("memory_full: %u chunks of %d MiB\n", most, CHUNK >> 20);
    buffer_free(&gpu, &words);
    gpu_close(&gpu);
    passed();
}
