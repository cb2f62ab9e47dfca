/*
 * Law: events are set and reset by commands and by the host, and work waits for them; timestamps are there when
 * their query says so, go up within a queue, and by as much as a wait in between took. Occlusion queries around no
 * drawing count nothing.
 */
#define _DEFAULT_SOURCE
#include "support.h"

#include <unistd.h>

enum { QUERIES = 64 };

static struct gpu gpu;

static VkEvent event_make(void)
{
    VkEventCreateInfo info = { .sType = VK_STRUCTURE_TYPE_EVENT_CREATE_INFO };
    VkEvent event;

    VK(vkCreateEvent(gpu.device, &info, NULL, &event));
    return event;
}

#define STATUS(event, wanted)                                                                                        \
    do {                                                                                                             \
        VkResult status_ = vkGetEventStatus(gpu.device, event);                                                      \
        CHECK(status_ == (wanted), "the event's status is %d, not %d", status_, wanted);                             \
    } while (0)

static void by_host(VkEvent event)
{
    STATUS(event, VK_EVENT_RESET);
    VK(vkSetEvent(gpu.device, event));
    STATUS(event, VK_EVENT_SET);
    VK(vkResetEvent(gpu.device, event));
    STATUS(event, VK_EVENT_RESET);
}

static void by_commands(VkEvent event)
{
    VkCommandBuffer commands = commands_begin(&gpu);
    vkCmdSetEvent(commands, event, VK_PIPELINE_STAGE_TRANSFER_BIT);
    commands_run(&gpu, commands);
    STATUS(event, VK_EVENT_SET);
    commands = commands_begin(&gpu);
    vkCmdResetEvent(commands, event, VK_PIPELINE_STAGE_TRANSFER_BIT);
    commands_run(&gpu, commands);
    STATUS(event, VK_EVENT_RESET);
}

/* The fill waits; what was submitted before it does not. */
static void waited_for(VkEvent event)
{
    struct buffer words = buffer_make(&gpu, 8, HOST);
    VkFence before = fence_make(&gpu), after = fence_make(&gpu);
    VkCommandBuffer first = commands_begin(&gpu), second = commands_begin(&gpu);

    memset(words.bytes, 0, 8);
    vkCmdFillBuffer(first, words.handle, 0, 4, 1);
    commands_end(first);
    vkCmdWaitEvents(second, 1, &event, VK_PIPELINE_STAGE_HOST_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, NULL, 0, NULL,
                    0, NULL);
    vkCmdFillBuffer(second, words.handle, 4, 4, 2);
    commands_end(second);
    submit(&gpu, first, NONE, NONE, before);
    submit(&gpu, second, NONE, NONE, after);
    fence_wait(&gpu, before);
    CHECK(!memcmp(words.bytes, (uint32_t[]){ 1, 0 }, 8), "the words are not 1 and 0 before the event");
    VkResult status = vkGetFenceStatus(gpu.device, after);
    CHECK(status == VK_NOT_READY, "what waits for the event has status %d", status);
    VK(vkSetEvent(gpu.device, event));
    fence_wait(&gpu, after);
    CHECK(!memcmp(words.bytes, (uint32_t[]){ 1, 2 }, 8), "the words are not 1 and 2 after the event");

    vkDestroyFence(gpu.device, before, NULL);
    vkDestroyFence(gpu.device, after, NULL);
    commands_free(&gpu, first);
    commands_free(&gpu, second);
    buffer_free(&gpu, &words);
}

struct answer {
    uint64_t value, available;
};

static VkResult answers(VkQueryPool pool, uint32_t count, struct answer *answers, VkQueryResultFlags flags)
{
    return vkGetQueryPoolResults(gpu.device, pool, 0, count, count * sizeof *answers, answers, sizeof *answers,
                                 VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WITH_AVAILABILITY_BIT | flags);
}

static VkQueryPool pool_make(VkQueryType type)
{
    VkQueryPoolCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
        .queryType = type,
        .queryCount = QUERIES,
    };
    VkQueryPool pool;

    VK(vkCreateQueryPool(gpu.device, &info, NULL, &pool));
    return pool;
}

/* Makes them unavailable, again. */
static void reset(VkQueryPool pool)
{
    struct answer got[QUERIES];
    VkCommandBuffer commands = commands_begin(&gpu);

    vkCmdResetQueryPool(commands, pool, 0, QUERIES);
    commands_run(&gpu, commands);
    VkResult result = answers(pool, QUERIES, got, 0);
    CHECK(result == VK_NOT_READY, "results after a reset gave %d", result);
    CHECK(!got[0].available && !got[QUERIES - 1].available, "a query is available after its reset");
}

static void occlusion(void)
{
    struct answer got[QUERIES];
    VkQueryPool pool = pool_make(VK_QUERY_TYPE_OCCLUSION);

    for (uint32_t round = 0; round < 2; round++) {
        reset(pool);
        VkCommandBuffer commands = commands_begin(&gpu);
        for (uint32_t i = 0; i < QUERIES; i++) {
            vkCmdBeginQuery(commands, pool, i, 0);
            vkCmdEndQuery(commands, pool, i);
        }
        commands_run(&gpu, commands);
        VK(answers(pool, QUERIES, got, VK_QUERY_RESULT_WAIT_BIT));
        for (uint32_t i = 0; i < QUERIES; i++)
            CHECK(got[i].available && !got[i].value, "query %u: availability %llu, %llu samples", i,
                  (unsigned long long)got[i].available, (unsigned long long)got[i].value);
    }
    vkDestroyQueryPool(gpu.device, pool, NULL);
}

static void timestamps(void)
{
    struct answer got[QUERIES];
    struct buffer words = buffer_make(&gpu, 1 << 20, DEVICE);
    VkQueryPool pool = pool_make(VK_QUERY_TYPE_TIMESTAMP);

    for (uint32_t round = 0; round < 3; round++) {
        reset(pool);
        VkCommandBuffer commands = commands_begin(&gpu);
        for (uint32_t i = 0; i < QUERIES - 1; i++) {
            vkCmdWriteTimestamp(commands, i % 2 ? VK_PIPELINE_STAGE_TRANSFER_BIT : VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
                                pool, i);
            vkCmdFillBuffer(commands, words.handle, 0, VK_WHOLE_SIZE, i);
            barrier(commands);
        }
        commands_run(&gpu, commands);
        usleep(20000);
        commands = commands_begin(&gpu);
        vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, pool, QUERIES - 1);
        commands_end(commands);
        submit(&gpu, commands, NONE, NONE, VK_NULL_HANDLE);
        VK(answers(pool, QUERIES, got, VK_QUERY_RESULT_WAIT_BIT));
        VK(vkQueueWaitIdle(gpu.queue));
        commands_free(&gpu, commands);
        for (uint32_t i = 0; i < QUERIES; i++) {
            CHECK(got[i].available, "timestamp %u is not available", i);
            CHECK(!i || got[i].value >= got[i - 1].value, "timestamp %u is %llu, and %llu came before", i,
                  (unsigned long long)got[i].value, (unsigned long long)got[i - 1].value);
        }
        double passed =
            (double)(got[QUERIES - 1].value - got[QUERIES - 2].value) * gpu.properties.limits.timestampPeriod;
        CHECK(passed >= 20e6, "20 ms took %.0f ns", passed);
    }
    vkDestroyQueryPool(gpu.device, pool, NULL);
    buffer_free(&gpu, &words);
}

int main(void)
{
    gpu_open(&gpu);
    VkEvent event = event_make();
    by_host(event);
    by_commands(event);
    waited_for(event);
    vkDestroyEvent(gpu.device, event, NULL);
    CHECK(gpu.family.timestampValidBits, "no timestamps");
    timestamps();
    occlusion();
    gpu_close(&gpu);
    passed();
}
