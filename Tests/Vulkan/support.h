/*
 * What the Vulkan programs share: how they end, a seeded generator, a device with all it offers, buffers, images'
 * barriers, submissions. Every program checks bytes and does transfers only: no shaders, no clears.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

/* ---- How a program ends: one line, and 0, 1 or 77 -------------------------------------------------------------- */

_Noreturn void passed(void);
_Noreturn void skipped(const char *why, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void failed(const char *file, int line, const char *why, ...) __attribute__((format(printf, 3, 4)));

#define CHECK(condition, ...) ((condition) ? (void)0 : failed(__FILE__, __LINE__, __VA_ARGS__))

/* A call that must succeed. */
#define VK(call)                                                                                                     \
    do {                                                                                                             \
        VkResult result_ = (call);                                                                                   \
        CHECK(result_ == VK_SUCCESS, "%s gave %d", #call, result_);                                                  \
    } while (0)

/* ---- Random numbers: a generator a thread, seeded by GPUVM_SEED or the clock ----------------------------------- */

uint64_t seed(void);              /* seeds this thread's generator and says with what */
void seed_thread(uint64_t value); /* the same for a further thread */
uint64_t random_word(void);
uint32_t below(uint32_t n);                    /* 0 … n - 1 */
uint32_t between(uint32_t low, uint32_t high); /* low … high */
void random_bytes(void *bytes, size_t size);

/* ---- The device ------------------------------------------------------------------------------------------------ */

struct gpu {
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    VkCommandPool pool;
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
    VkPhysicalDeviceFeatures features; /* all that it has are switched on */
    VkQueueFamilyProperties family;
    bool nvk;    /* the driver is Mesa's NVK */
    bool strict; /* sparse resources read as zero where nothing is bound */
    bool host_image_copy, placed_maps, external_memory, external_semaphore;
    PFN_vkWaitSemaphoresKHR wait_semaphores;
    PFN_vkSignalSemaphoreKHR signal_semaphore;
    PFN_vkGetSemaphoreCounterValueKHR semaphore_value;
};

void gpu_open(struct gpu *gpu);          /* skips where there is no device with a queue for all we do */
void gpu_close(struct gpu *gpu);         /* waits until it is idle */
VkResult gpu_try_close(struct gpu *gpu); /* the same; says how waiting ended */
PFN_vkVoidFunction gpu_call(const struct gpu *gpu,
                            const char *name); /* an extension's function, which must be there */
#define CALL(gpu, name) ((PFN_##name)gpu_call(gpu, #name))

/* ---- Memory and buffers ---------------------------------------------------------------------------------------- */

enum place { HOST, DEVICE };

struct buffer {
    VkBuffer handle;
    VkDeviceMemory memory;
    uint8_t *bytes; /* NULL unless HOST */
    VkDeviceSize size;
};

uint32_t memory_type(const struct gpu *gpu, uint32_t allowed, enum place place);
VkDeviceMemory memory_make(const struct gpu *gpu, VkMemoryRequirements needs, enum place place);
VkBuffer buffer_handle(const struct gpu *gpu, VkDeviceSize size, VkBufferCreateFlags flags);
struct buffer buffer_make(const struct gpu *gpu, VkDeviceSize size, enum place place);
void buffer_free(const struct gpu *gpu, struct buffer *buffer);

/* ---- Commands -------------------------------------------------------------------------------------------------- */

VkCommandBuffer commands_begin(const struct gpu *gpu);
void commands_end(VkCommandBuffer commands);                        /* what they wrote is there for the host, too */
void commands_run(const struct gpu *gpu, VkCommandBuffer commands); /* ends, submits, waits, frees */
void commands_free(const struct gpu *gpu, VkCommandBuffer commands);
void barrier(VkCommandBuffer commands); /* transfers before it are done before transfers after it */
void image_to_general(VkCommandBuffer commands, VkImage image, VkImageAspectFlags aspects);
void copy(VkCommandBuffer commands, VkBuffer from, VkDeviceSize at, VkBuffer to, VkDeviceSize there,
          VkDeviceSize size);

/* A point of a timeline semaphore; the value is ignored for binary ones. */
struct point {
    VkSemaphore semaphore;
    uint64_t value;
};
#define NONE ((struct point){ VK_NULL_HANDLE, 0 })

VkSemaphore timeline_make(const struct gpu *gpu, uint64_t value);
VkSemaphore binary_make(const struct gpu *gpu);
void point_wait(const struct gpu *gpu, struct point point);
void point_signal(const struct gpu *gpu, struct point point);
uint64_t timeline_value(const struct gpu *gpu, VkSemaphore semaphore);
VkFence fence_make(const struct gpu *gpu);
void fence_wait(const struct gpu *gpu, VkFence fence); /* and reset */

void submit(const struct gpu *gpu, VkCommandBuffer commands, struct point wait, struct point signal, VkFence fence);
/* `binds` without its semaphores. */
void bind_sparse(const struct gpu *gpu, VkBindSparseInfo binds, struct point wait, struct point signal);

#endif
