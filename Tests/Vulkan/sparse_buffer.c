/*
 * Law: a sparse buffer shows at each page the memory that was bound there last: pages are bound, bound elsewhere
 * and unbound at random, the same memory in two buffers where the device allows it, with timeline semaphores
 * between binds and copies. What is not bound reads as zero where the device says so, and takes writes without
 * harm.
 */
#include "support.h"

enum { BUFFERS = 2, PAGES = 200, MEMORIES = 4, UNITS = 150, ROUNDS = 60, MOST_BINDS = 40 };
#define MOST_BYTES ((VkDeviceSize)64 << 20)

/* A page of a sparse buffer, or a unit of memory: `unit` of `memory`; memory -1 is none. */
struct page {
    int memory;
    uint32_t unit;
};

struct sparse {
    VkBuffer handle;
    struct page pages[PAGES];
};

struct memory {
    VkDeviceMemory handle;
    VkBuffer whole;        /* all of it */
    uint8_t *bytes;        /* what it must hold */
    uint8_t *mapped;       /* NULL unless the host sees it */
    uint32_t bound[UNITS]; /* how many pages show it */
};

static struct gpu gpu;
static bool partial, aliased;
static VkDeviceSize unit;
static VkMemoryRequirements needs;
static struct sparse sparse[BUFFERS];
static struct memory memories[MEMORIES];
static struct buffer source, result;

static VkBufferCreateFlags flags(void)
{
    return VK_BUFFER_CREATE_SPARSE_BINDING_BIT | (partial ? VK_BUFFER_CREATE_SPARSE_RESIDENCY_BIT : 0) |
           (aliased ? VK_BUFFER_CREATE_SPARSE_ALIASED_BIT : 0);
}

static void memories_make(void)
{
    for (uint32_t m = 0; m < MEMORIES; m++) {
        struct memory *memory = &memories[m];
        enum place place = m % 2 ? HOST : DEVICE;
        VkMemoryRequirements whole = { UNITS * unit, needs.alignment, needs.memoryTypeBits };
        void *mapped;

        memory->handle = memory_make(&gpu, whole, place);
        memory->whole = buffer_handle(&gpu, UNITS * unit, 0);
        VK(vkBindBufferMemory(gpu.device, memory->whole, memory->handle, 0));
        if (place == HOST) {
            VK(vkMapMemory(gpu.device, memory->handle, 0, VK_WHOLE_SIZE, 0, &mapped));
            memory->mapped = mapped;
        }
        random_bytes(source.bytes, UNITS * unit);
        memory->bytes = malloc(UNITS * unit);
        memcpy(memory->bytes, source.bytes, UNITS * unit);
        VkCommandBuffer commands = commands_begin(&gpu);
        copy(commands, source.handle, 0, memory->whole, 0, UNITS * unit);
        commands_run(&gpu, commands);
    }
}

/* Changes what a page shows, in the model. */
static void show(struct page *page, struct page now)
{
    if (page->memory >= 0)
        memories[page->memory].bound[page->unit]--;
    if (now.memory >= 0)
        memories[now.memory].bound[now.unit]++;
    *page = now;
}

/* As many units of one memory, `count` at most, as may be bound now; none if it is a bad place. */
static uint32_t units_at(struct page at, uint32_t count)
{
    uint32_t n = 0;

    while (n < count && at.unit + n < UNITS && (aliased || !memories[at.memory].bound[at.unit + n]))
        n++;
    return n;
}

/* Binds of one call for one buffer, which do not overlap. Pages of `all` are bound, or are left out by chance. */
static uint32_t plan(struct sparse *buffer, VkSparseMemoryBind *binds, uint32_t most, bool all)
{
    uint32_t at = all ? 0 : below(PAGES), count = 0;

    while (at < PAGES && count < most) {
        uint32_t length = between(1, below(6) ? 6 : 60);
        if (length > PAGES - at)
            length = PAGES - at;
        struct page to = { (int)below(MEMORIES), below(UNITS) };
        if (partial && !all && below(3) == 0)
            to.memory = -1;
        else if (!(length = units_at(to, length)))
            continue;
        binds[count++] = (VkSparseMemoryBind){
            .resourceOffset = at * unit,
            .size = length * unit,
            .memory = to.memory < 0 ? VK_NULL_HANDLE : memories[to.memory].handle,
            .memoryOffset = to.memory < 0 ? 0 : to.unit * unit,
        };
        for (uint32_t i = 0; i < length; i++)
            show(&buffer->pages[at + i], (struct page){ to.memory, to.unit + i });
        at += length + (all ? 0 : below(PAGES / 4));
    }
    return count;
}

static void bind(struct point wait, struct point signal, bool all)
{
    static VkSparseMemoryBind binds[BUFFERS][PAGES];
    VkSparseBufferMemoryBindInfo infos[BUFFERS];
    uint32_t used = 0;

    for (uint32_t b = 0; b < BUFFERS; b++) {
        uint32_t count = plan(&sparse[b], binds[b], all ? PAGES : MOST_BINDS, all);
        if (count)
            infos[used++] = (VkSparseBufferMemoryBindInfo){ sparse[b].handle, count, binds[b] };
    }
    bind_sparse(&gpu, (VkBindSparseInfo){ .bufferBindCount = used, .pBufferBinds = infos }, wait, signal);
}

/* Bytes of at most two pages, not both showing one unit: a copy's own order is nobody's business. */
static void write_some(VkCommandBuffer commands)
{
    struct sparse *to = &sparse[below(BUFFERS)];
    VkDeviceSize at = random_word() % ((PAGES - 1) * unit), size = 1 + random_word() % unit,
                 from = random_word() % unit;
    const struct page *pages = &to->pages[at / unit];
    bool fill = below(4) == 0;
    uint32_t word = (uint32_t)random_word();

    if (pages[0].memory >= 0 && pages[0].memory == pages[1].memory && pages[0].unit == pages[1].unit)
        return;
    if (fill) {
        at &= ~(VkDeviceSize)3;
        size = (size + 3) & ~(VkDeviceSize)3;
        vkCmdFillBuffer(commands, to->handle, at, size, word);
    } else {
        copy(commands, source.handle, from, to->handle, at, size);
    }
    barrier(commands);
    for (VkDeviceSize i = 0; i < size; i++) {
        const struct page *page = &to->pages[(at + i) / unit];
        if (page->memory >= 0)
            memories[page->memory].bytes[page->unit * unit + (at + i) % unit] =
                fill ? (uint8_t)(word >> i % 4 * 8) : source.bytes[from + i];
    }
}

static void check_page(uint32_t round, uint32_t b, uint32_t p)
{
    const struct page *page = &sparse[b].pages[p];
    const uint8_t *got = result.bytes + (b * PAGES + p) * unit;

    if (page->memory < 0 && !gpu.strict)
        return;
    for (VkDeviceSize i = 0; i < unit; i++) {
        uint8_t want = page->memory < 0 ? 0 : memories[page->memory].bytes[page->unit * unit + i];
        CHECK(got[i] == want, "round %u: buffer %u, page %u (memory %d, unit %u), byte %#llx is %02x, not %02x",
              round, b, p, page->memory, page->unit, (unsigned long long)i, got[i], want);
    }
}

/* Binds, writes and reads, each waiting for the one before; now and then all of it before the first may start. */
static void round_of(uint32_t round, struct point *line, struct point *host, bool all)
{
    struct point bound = { line->semaphore, line->value + 1 }, done = { line->semaphore, line->value + 2 };
    bool late = below(4) == 0;

    if (late)
        host->value++;
    bind(late ? *host : *line, bound, all);
    VkCommandBuffer commands = commands_begin(&gpu);
    for (uint32_t n = below(10); n; n--)
        write_some(commands);
    vkCmdFillBuffer(commands, result.handle, 0, VK_WHOLE_SIZE, 0xa5a5a5a5);
    barrier(commands);
    for (uint32_t b = 0; b < BUFFERS; b++)
        copy(commands, sparse[b].handle, 0, result.handle, b * PAGES * unit, PAGES * unit);
    commands_end(commands);
    submit(&gpu, commands, bound, done, VK_NULL_HANDLE);
    if (late)
        point_signal(&gpu, *host);
    point_wait(&gpu, done);
    commands_free(&gpu, commands);
    *line = done;
    for (uint32_t b = 0; b < BUFFERS; b++)
        for (uint32_t p = 0; p < PAGES; p++)
            check_page(round, b, p);
}

static void check_memory(const struct memory *memory)
{
    VkCommandBuffer commands = commands_begin(&gpu);

    copy(commands, memory->whole, 0, result.handle, 0, UNITS * unit);
    commands_run(&gpu, commands);
    CHECK(!memcmp(result.bytes, memory->bytes, UNITS * unit), "memory holds other bytes than its pages showed");
    CHECK(!memory->mapped || !memcmp(memory->mapped, memory->bytes, UNITS * unit), "the host sees other bytes");
}

/* Every page of a large buffer is bound by itself, at random: thousands of binds in one call. */
static void permuted(struct point *line)
{
    uint32_t count = (uint32_t)(MOST_BYTES / unit < 5000 ? MOST_BYTES / unit : 5000),
             *order = malloc(count * sizeof *order);
    VkSparseMemoryBind *binds = calloc(count, sizeof *binds);
    struct buffer data = buffer_make(&gpu, count * unit, HOST), back = buffer_make(&gpu, count * unit, HOST);
    VkBuffer buffer = buffer_handle(&gpu, count * unit, flags()), whole = buffer_handle(&gpu, count * unit, 0);
    VkDeviceMemory memory =
        memory_make(&gpu, (VkMemoryRequirements){ count * unit, unit, needs.memoryTypeBits }, DEVICE);

    VK(vkBindBufferMemory(gpu.device, whole, memory, 0));
    random_bytes(data.bytes, data.size);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t j = below(i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (uint32_t i = 0; i < count; i++) /* resource pages go another way than memory's */
        binds[i] = (VkSparseMemoryBind){ order[i] * unit, unit, memory, order[(i + 1) % count] * unit, 0 };
    VkSparseBufferMemoryBindInfo info = { buffer, count, binds };
    struct point bound = { line->semaphore, ++line->value };
    bind_sparse(&gpu, (VkBindSparseInfo){ .bufferBindCount = 1, .pBufferBinds = &info }, NONE, bound);
    VkCommandBuffer commands = commands_begin(&gpu);
    copy(commands, data.handle, 0, buffer, 0, count * unit);
    barrier(commands);
    copy(commands, whole, 0, back.handle, 0, count * unit);
    commands_end(commands);
    submit(&gpu, commands, bound, (struct point){ line->semaphore, ++line->value }, VK_NULL_HANDLE);
    point_wait(&gpu, *line);
    commands_free(&gpu, commands);
    for (uint32_t i = 0; i < count; i++)
        CHECK(!memcmp(back.bytes + binds[i].memoryOffset, data.bytes + binds[i].resourceOffset, unit),
              "page %u of %u is not where it was bound", order[i], count);

    vkDestroyBuffer(gpu.device, buffer, NULL);
    vkDestroyBuffer(gpu.device, whole, NULL);
    vkFreeMemory(gpu.device, memory, NULL);
    buffer_free(&gpu, &data);
    buffer_free(&gpu, &back);
    free(binds);
    free(order);
}

int main(void)
{
    seed();
    gpu_open(&gpu);
    if (!gpu.features.sparseBinding)
        skipped("no sparse buffers");
    partial = gpu.features.sparseResidencyBuffer;
    aliased = gpu.features.sparseResidencyAliased;

    VkBuffer first = buffer_handle(&gpu, 1, flags());
    vkGetBufferMemoryRequirements(gpu.device, first, &needs);
    vkDestroyBuffer(gpu.device, first, NULL);
    unit = needs.alignment;
    source = buffer_make(&gpu, UNITS * unit, HOST);
    result = buffer_make(&gpu, BUFFERS * PAGES * unit, HOST);
    for (uint32_t b = 0; b < BUFFERS; b++) {
        sparse[b].handle = buffer_handle(&gpu, PAGES * unit, flags());
        for (uint32_t p = 0; p < PAGES; p++)
            sparse[b].pages[p].memory = -1;
    }
    memories_make();

    struct point line = { timeline_make(&gpu, 0), 0 }, host = { timeline_make(&gpu, 0), 0 };
    for (uint32_t round = 0; round < ROUNDS; round++)
        round_of(round, &line, &host, round == 0);
    for (uint32_t m = 0; m < MEMORIES; m++)
        check_memory(&memories[m]);
    permuted(&line);

    for (uint32_t b = 0; b < BUFFERS; b++)
        vkDestroyBuffer(gpu.device, sparse[b].handle, NULL);
    for (uint32_t m = 0; m < MEMORIES; m++) {
        vkDestroyBuffer(gpu.device, memories[m].whole, NULL);
        vkFreeMemory(gpu.device, memories[m].handle, NULL);
        free(memories[m].bytes);
    }
    vkDestroySemaphore(gpu.device, line.semaphore, NULL);
    vkDestroySemaphore(gpu.device, host.semaphore, NULL);
    buffer_free(&gpu, &source);
    buffer_free(&gpu, &result);
    gpu_close(&gpu);
    passed();
}
