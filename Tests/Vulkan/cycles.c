/*
 * Law: a device that is destroyed leaves nothing: after 200 of them the process has the descriptors that it had
 * after the first few, and no more threads, mappings and memory than a pool of threads may have got since, which
 * stay.
 */
#define _DEFAULT_SOURCE
#include "support.h"

#include <dirent.h>
#include <unistd.h>

enum {
    WARM = 20,
    CYCLES = 200,
    SIZE = 1 << 20,
    MORE_THREADS = 4,
    MORE_MAPPINGS = 6 * MORE_THREADS,
    MORE_PAGES = 1024
};

struct usage {
    uint32_t descriptors, threads, mappings;
    unsigned long pages;
};

static uint32_t entries(const char *path)
{
    DIR *folder = opendir(path);
    uint32_t count = 0;

    CHECK(folder, "no %s", path);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static struct usage usage(void)
{
    struct usage now = { entries("/proc/self/fd"), entries("/proc/self/task"), 0, 0 };
    FILE *file = fopen("/proc/self/maps", "r");

    CHECK(file, "no /proc/self/maps");
    for (int c; (c = getc(file)) != EOF;)
        now.mappings += c == '\n';
    fclose(file);
    file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%*u %lu", &now.pages) == 1, "no /proc/self/statm");
    fclose(file);
    return now;
}

/* Ends with work that nobody waited for but the end itself. */
static void cycle(uint32_t i)
{
    struct gpu gpu;

    gpu_open(&gpu);
    struct buffer device = buffer_make(&gpu, SIZE, DEVICE), host = buffer_make(&gpu, SIZE, HOST);
    VkCommandBuffer commands = commands_begin(&gpu);
    vkCmdFillBuffer(commands, device.handle, 0, SIZE, i);
    barrier(commands);
    copy(commands, device.handle, 0, host.handle, 0, SIZE);
    commands_run(&gpu, commands);
    CHECK(!memcmp(host.bytes + SIZE - 4, &i, 4), "device %u: wrong bytes", i);
    commands = commands_begin(&gpu);
    vkCmdFillBuffer(commands, device.handle, 0, SIZE, ~i);
    commands_end(commands);
    submit(&gpu, commands, NONE, NONE, VK_NULL_HANDLE);
    VK(vkQueueWaitIdle(gpu.queue));
    buffer_free(&gpu, &device);
    buffer_free(&gpu, &host);
    gpu_close(&gpu);
}

int main(void)
{
    for (uint32_t i = 0; i < WARM; i++)
        cycle(i);
    struct usage before = usage();
    for (uint32_t i = WARM; i < CYCLES; i++)
        cycle(i);
    struct usage after = usage();
    printf("cycles: %u descriptors, %u threads, %u mappings, %lu pages before; %u, %u, %u, %lu after\n",
           before.descriptors, before.threads, before.mappings, before.pages, after.descriptors, after.threads,
           after.mappings, after.pages);
    CHECK(after.descriptors == before.descriptors, "%u descriptors became %u", before.descriptors, after.descriptors);
    CHECK(after.threads <= before.threads + MORE_THREADS, "%u threads became %u", before.threads, after.threads);
    CHECK(after.mappings <= before.mappings + MORE_MAPPINGS, "%u mappings became %u", before.mappings,
          after.mappings);
    CHECK(after.pages <= before.pages + MORE_PAGES, "%lu pages of memory became %lu", before.pages, after.pages);
    passed();
}
