/*
 * Law: several devices at once, each used by several threads, do not see each other: every thread gets its own
 * bytes.
 */
#include "support.h"

#include <pthread.h>

enum { DEVICES = 3, THREADS = 3, ROUNDS = 40, SIZE = 1 << 16 };

struct shared {
    struct gpu gpu;
    pthread_mutex_t queue; /* of the device: one thread at a time */
    uint64_t seed;
};

struct worker {
    struct shared *shared;
    uint64_t seed;
};

/* The thread's own command pool, the device's queue. */
static void run(struct gpu *gpu, struct shared *shared, VkCommandBuffer commands, VkFence fence)
{
    commands_end(commands);
    pthread_mutex_lock(&shared->queue);
    submit(gpu, commands, NONE, NONE, fence);
    pthread_mutex_unlock(&shared->queue);
    fence_wait(gpu, fence);
    commands_free(gpu, commands);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct gpu gpu = worker->shared->gpu;
    VkCommandPoolCreateInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO };
    VkFence fence = fence_make(&gpu);

    seed_thread(worker->seed);
    VK(vkCreateCommandPool(gpu.device, &info, NULL, &gpu.pool));
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct buffer in = buffer_make(&gpu, SIZE, HOST), there = buffer_make(&gpu, SIZE, DEVICE);
        struct buffer out = buffer_make(&gpu, SIZE, HOST);
        random_bytes(in.bytes, SIZE);
        memset(out.bytes, 0, SIZE);
        VkCommandBuffer commands = commands_begin(&gpu);
        copy(commands, in.handle, 0, there.handle, 0, SIZE);
        barrier(commands);
        copy(commands, there.handle, 0, out.handle, 0, SIZE);
        run(&gpu, worker->shared, commands, fence);
        CHECK(!memcmp(in.bytes, out.bytes, SIZE), "round %u: other bytes came back", round);
        buffer_free(&gpu, &in);
        buffer_free(&gpu, &there);
        buffer_free(&gpu, &out);
    }
    vkDestroyCommandPool(gpu.device, gpu.pool, NULL);
    vkDestroyFence(gpu.device, fence, NULL);
    return NULL;
}

/* One device with its threads. */
static void *device(void *argument)
{
    struct shared *shared = argument;
    struct worker workers[THREADS];
    pthread_t threads[THREADS];

    gpu_open(&shared->gpu);
    pthread_mutex_init(&shared->queue, NULL);
    for (uint32_t t = 0; t < THREADS; t++) {
        workers[t] = (struct worker){ shared, shared->seed * THREADS + t };
        CHECK(!pthread_create(&threads[t], NULL, work, &workers[t]), "no thread");
    }
    for (uint32_t t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    gpu_close(&shared->gpu);
    pthread_mutex_destroy(&shared->queue);
    return NULL;
}

int main(void)
{
    static struct shared shared[DEVICES];
    pthread_t threads[DEVICES];
    uint64_t first = seed();

    for (uint32_t d = 0; d < DEVICES; d++) {
        shared[d].seed = first + d;
        CHECK(!pthread_create(&threads[d], NULL, device, &shared[d]), "no thread");
    }
    for (uint32_t d = 0; d < DEVICES; d++)
        pthread_join(threads[d], NULL);
    passed();
}
