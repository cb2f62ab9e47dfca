/*
 * Law: memory is mapped where the program wants it (VK_EXT_map_memory_placed), shows the device's bytes there and
 * nowhere else, and leaves the place reserved when it goes.
 */
#define _GNU_SOURCE
#include "support.h"

#include <sys/mman.h>
#include <unistd.h>

enum { SIZE = 1 << 20, ROUNDS = 20 };

static struct gpu gpu;
static PFN_vkMapMemory2KHR map_memory;
static PFN_vkUnmapMemory2KHR unmap_memory;

static void *map_at(VkDeviceMemory memory, void *place)
{
    VkMemoryMapPlacedInfoEXT where = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_MAP_PLACED_INFO_EXT,
        .pPlacedAddress = place,
    };
    VkMemoryMapInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_MAP_INFO_KHR,
        .pNext = &where,
        .flags = VK_MEMORY_MAP_PLACED_BIT_EXT,
        .memory = memory,
        .size = VK_WHOLE_SIZE,
    };
    void *bytes;

    VK(map_memory(gpu.device, &info, &bytes));
    return bytes;
}

static void unmap(VkDeviceMemory memory)
{
    VkMemoryUnmapInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_UNMAP_INFO_KHR,
        .flags = VK_MEMORY_UNMAP_RESERVE_BIT_EXT,
        .memory = memory,
    };

    VK(unmap_memory(gpu.device, &info));
}

/* A write(2) from memory that cannot be read is an error, not a signal. */
static bool readable(const void *bytes)
{
    int ends[2];

    CHECK(!pipe(ends), "no pipe");
    bool can = write(ends[1], bytes, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return can;
}

int main(void)
{
    seed();
    gpu_open(&gpu);
    if (!gpu.placed_maps)
        skipped("no VK_EXT_map_memory_placed");
    map_memory = CALL(&gpu, vkMapMemory2KHR);
    unmap_memory = CALL(&gpu, vkUnmapMemory2KHR);

    struct buffer buffer = buffer_make(&gpu, SIZE, HOST);
    vkUnmapMemory(gpu.device, buffer.memory);
    uint8_t *places = mmap(NULL, 4 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(places != MAP_FAILED, "no address space");
    uint32_t word = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint8_t *place = places + between(1, 2) * SIZE;
        uint8_t *bytes = map_at(buffer.memory, place);
        CHECK(bytes == place, "mapped at %p, not %p", (void *)bytes, (void *)place);
        CHECK(!readable(place - 1) && !readable(place + SIZE), "there is something beside the mapping");
        CHECK(!memcmp(bytes, &word, 4), "the mapping does not show what was written through the last one");
        VkCommandBuffer commands = commands_begin(&gpu);
        word = (uint32_t)random_word();
        vkCmdFillBuffer(commands, buffer.handle, 0, SIZE, word);
        commands_run(&gpu, commands);
        for (uint32_t i = 0; i < SIZE; i += 4)
            CHECK(!memcmp(bytes + i, &word, 4), "byte %#x is not what the device wrote", i);
        word = (uint32_t)random_word();
        memcpy(bytes, &word, 4);
        unmap(buffer.memory);
        CHECK(!readable(place), "the place is not reserved any more");
    }
    munmap(places, 4 * SIZE);
    buffer_free(&gpu, &buffer);
    gpu_close(&gpu);
    passed();
}
