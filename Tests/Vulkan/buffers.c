/*
 * Law: copies, fills and updates of buffers at random offsets and sizes give the bytes that the same operations
 * give on the host, however their submissions wait for each other: by timeline points, some submitted before what
 * they wait for is signalled, by binary semaphores and by fences.
 */
#include "support.h"

enum { SIZE = 1 << 20, ROUNDS = 60 };

static struct gpu gpu;
static struct buffer source, target, result;
static uint8_t model[SIZE];

static void fill(VkCommandBuffer commands)
{
    uint32_t offset = below(SIZE / 4) * 4, size = between(1, (SIZE - offset) / 4) * 4, word = (uint32_t)random_word();

    if (below(8) == 0) { /* what is left of a whole size counts in words */
        vkCmdFillBuffer(commands, target.handle, offset, VK_WHOLE_SIZE, word);
        size = SIZE - offset;
    } else {
        vkCmdFillBuffer(commands, target.handle, offset, size, word);
    }
    for (uint32_t at = offset; at < offset + size; at += 4)
        memcpy(model + at, &word, 4);
}

static void update(VkCommandBuffer commands)
{
    uint8_t data[65536];
    uint32_t size = between(1, below(4) ? 64 : sizeof data / 4) * 4, offset = below((SIZE - size) / 4 + 1) * 4;

    random_bytes(data, size);
    vkCmdUpdateBuffer(commands, target.handle, offset, size, data);
    memcpy(model + offset, data, size);
}

/* From the source, or within the target; several regions of one command do not overlap. */
static void copies(VkCommandBuffer commands)
{
    enum { MOST = 4, PART = SIZE / MOST };
    VkBufferCopy regions[MOST];
    uint32_t count = between(1, MOST);
    bool within = below(4) == 0; /* then from the lower half of each part to the upper */

    for (uint32_t i = 0; i < count; i++) {
        uint32_t room = within ? PART / 2 : PART;
        uint32_t size = between(1, below(4) ? 3000 : room);
        uint32_t from = below(within ? room - size + 1 : SIZE - size + 1) + (within ? i * PART : 0);
        uint32_t to = i * PART + (within ? room : 0) + below(room - size + 1);
        regions[i] = (VkBufferCopy){ from, to, size };
        memcpy(model + to, (within ? model : source.bytes) + from, size);
    }
    vkCmdCopyBuffer(commands, within ? target.handle : source.handle, target.handle, count, regions);
}

static VkCommandBuffer some_work(void)
{
    VkCommandBuffer commands = commands_begin(&gpu);

    for (uint32_t n = between(1, 12); n; n--) {
        switch (below(4)) {
        case 0: fill(commands); break;
        case 1: update(commands); break;
        default: copies(commands);
        }
        barrier(commands);
    }
    commands_end(commands);
    return commands;
}

/* Submits the work in one of three ways, all of which end in signalling `next`. */
static void submit_somehow(VkCommandBuffer work, struct point before, struct point next, struct point *host,
                           VkSemaphore binary)
{
    switch (below(4)) {
    case 0: /* before what it waits for is signalled */
        host->value++;
        submit(&gpu, work, *host, next, VK_NULL_HANDLE);
        point_signal(&gpu, *host);
        break;
    case 1:
        submit(&gpu, NULL, before, (struct point){ binary, 0 }, VK_NULL_HANDLE);
        submit(&gpu, work, (struct point){ binary, 0 }, next, VK_NULL_HANDLE);
        break;
    default: submit(&gpu, work, before, next, VK_NULL_HANDLE);
    }
}

int main(void)
{
    seed();
    gpu_open(&gpu);
    source = buffer_make(&gpu, SIZE, HOST);
    target = buffer_make(&gpu, SIZE, DEVICE);
    result = buffer_make(&gpu, SIZE, HOST);
    random_bytes(source.bytes, SIZE);

    struct point line = { timeline_make(&gpu, 7), 7 }, host = { timeline_make(&gpu, 0), 0 };
    VkSemaphore binary = binary_make(&gpu);
    VkFence fence = fence_make(&gpu);
    VkCommandBuffer first = commands_begin(&gpu);
    vkCmdFillBuffer(first, target.handle, 0, VK_WHOLE_SIZE, 0);
    commands_run(&gpu, first);

    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct point next = { line.semaphore, line.value + between(1, 5) };
        VkCommandBuffer work = some_work(), read = commands_begin(&gpu);
        copy(read, target.handle, 0, result.handle, 0, SIZE);
        commands_end(read);
        submit_somehow(work, line, next, &host, binary);
        submit(&gpu, read, next, NONE, fence);
        fence_wait(&gpu, fence);
        line = next;

        uint64_t value = timeline_value(&gpu, line.semaphore);
        CHECK(value == line.value, "round %u: the timeline stands at %llu, not %llu", round,
              (unsigned long long)value, (unsigned long long)line.value);
        for (uint32_t i = 0; i < SIZE; i++)
            CHECK(result.bytes[i] == model[i], "round %u: byte %#x is %02x, not %02x", round, i, result.bytes[i],
                  model[i]);
        commands_free(&gpu, work);
        commands_free(&gpu, read);
    }

    vkDestroyFence(gpu.device, fence, NULL);
    vkDestroySemaphore(gpu.device, binary, NULL);
    vkDestroySemaphore(gpu.device, host.semaphore, NULL);
    vkDestroySemaphore(gpu.device, line.semaphore, NULL);
    buffer_free(&gpu, &source);
    buffer_free(&gpu, &target);
    buffer_free(&gpu, &result);
    gpu_close(&gpu);
    passed();
}
