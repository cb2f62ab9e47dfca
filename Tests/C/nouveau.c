/*
 * A client of nouveau in C, against the installed <gpuvm/nouveau.h>: makes buffers, binds them, submits a copy through a
 * pushbuffer and reads the bytes back; then has a push fault. Stepped and threaded.
 * tools/test-nouveau compiles it. With a folder as its argument each device writes a trace into it.
 */
#define _DEFAULT_SOURCE
#include <gpuvm/nouveau.h>
#include <nouveau/uapi.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHECK(x) ((x) ? (void)0 : (printf("nouveau.c:%d: %s\n", __LINE__, #x), exit(1)))

enum { SIZE = 0x10000 };
static const uint64_t source_va = 0x100000, target_va = 0x200000, push_va = 0x300000;

struct buffer {
    uint32_t handle;
    uint32_t *memory;
    struct gpuvm_nouveau_mapping *mapping;
};

static struct buffer buffer_make(struct gpuvm_nouveau_file *file, uint64_t va)
{
    struct nvu_gem_new new = { .info = { .domain = NVU_GEM_DOMAIN_GART, .size = SIZE } };
    struct nvu_vm_bind_op op = { .op = NVU_VM_BIND_OP_MAP, .addr = va, .range = SIZE };
    struct nvu_vm_bind bind = { .op_count = 1, .op_ptr = (uintptr_t)&op };
    struct buffer b;
    void *memory;

    CHECK(gpuvm_nouveau_ioctl(file, NVU_GEM_NEW, &new) == 0);
    b.handle = op.handle = new.info.handle;
    CHECK(gpuvm_nouveau_ioctl(file, NVU_VM_BIND, &bind) == 0);
    CHECK(gpuvm_nouveau_mmap(file, new.info.map_handle + 1, SIZE, &memory, &b.mapping) == -22);
    CHECK(gpuvm_nouveau_mmap(file, new.info.map_handle, SIZE, &memory, &b.mapping) == 0);
    b.memory = memory;
    return b;
}

/* Increasing methods of subchannel 4, the copy engine's. */
static uint32_t *method(uint32_t *p, uint32_t address, uint32_t count)
{
    *p = 1u << 29 | count << 16 | 4u << 13 | address >> 2;
    return p + 1;
}

static uint32_t copy_push(uint32_t *p, uint64_t source, uint64_t target, uint32_t bytes)
{
    uint32_t *begin = p;

    p = method(p, 0x400, 4); /* OFFSET_IN and OFFSET_OUT, upper and lower */
    *p++ = (uint32_t)(source >> 32);
    *p++ = (uint32_t)source;
    *p++ = (uint32_t)(target >> 32);
    *p++ = (uint32_t)target;
    p = method(p, 0x418, 2); /* LINE_LENGTH_IN, LINE_COUNT */
    *p++ = bytes;
    *p++ = 1;
    p = method(p, 0x300, 1); /* LAUNCH_DMA: non-pipelined, flush, both pitch */
    *p++ = 0x386;
    return (uint32_t)(p - begin) * 4;
}

static int submit(struct gpuvm_nouveau_file *file, uint32_t channel, uint32_t bytes, uint32_t syncobj)
{
    struct nvu_exec_push push = { .va = push_va, .va_len = bytes };
    struct nvu_sync signal = { .flags = NVU_SYNC_SYNCOBJ, .handle = syncobj };
    struct nvu_exec exec = { .channel = channel, .push_count = 1, .sig_count = 1,
                             .push_ptr = (uintptr_t)&push, .sig_ptr = (uintptr_t)&signal };

    return gpuvm_nouveau_ioctl(file, NVU_EXEC, &exec);
}

static void wait_for(struct gpuvm_nouveau *device, struct gpuvm_nouveau_file *file, uint32_t syncobj)
{
    struct nvu_syncobj_wait wait = { .handles = (uintptr_t)&syncobj, .count_handles = 1,
                                     .timeout_nsec = (int64_t)gpuvm_nouveau_now(device) + 5000000000 };

    CHECK(gpuvm_nouveau_ioctl(file, NVU_SYNCOBJ_WAIT, &wait) == 0);
}

static void client(uint32_t chipset, uint32_t flags)
{
    struct gpuvm_nouveau_config config = { .size = sizeof config, .chipset = chipset, .flags = flags,
                                           .vram = 64 << 20, .gart = 64 << 20 };
    struct nvu_vm_init init = { .kernel_managed_addr = 1ull << 39, .kernel_managed_size = 1ull << 38 };
    struct nvu_channel_alloc channel = { 0 };
    struct nvu_syncobj_create syncobj = { 0 };
    struct gpuvm_nouveau *device;
    struct gpuvm_nouveau_file *file;
    struct buffer source, target, push;
    char text[400];

    CHECK(gpuvm_nouveau_create(&config, &device) == 0);
    CHECK(gpuvm_nouveau_open(device, "client", &file) == 0);
    CHECK(gpuvm_nouveau_ioctl(file, NVU_VM_INIT, &init) == 0);
    CHECK(gpuvm_nouveau_ioctl(file, NVU_CHANNEL_ALLOC, &channel) == 0);
    CHECK(gpuvm_nouveau_ioctl(file, NVU_SYNCOBJ_CREATE, &syncobj) == 0);
    source = buffer_make(file, source_va);
    target = buffer_make(file, target_va);
    push = buffer_make(file, push_va);

    for (uint32_t i = 0; i < SIZE / 4; i++)
        CHECK(target.memory[i] == 0 && (source.memory[i] = i * 2654435761u, 1));
    CHECK(submit(file, (uint32_t)channel.channel, copy_push(push.memory, source_va, target_va, SIZE),
                 syncobj.handle) == 0);
    wait_for(device, file, syncobj.handle);
    CHECK(!memcmp(source.memory, target.memory, SIZE));

    CHECK(submit(file, (uint32_t)channel.channel, copy_push(push.memory, source_va, 0xdead0000, 16),
                 syncobj.handle) == 0);
    wait_for(device, file, syncobj.handle);
    CHECK(gpuvm_nouveau_fault_count(device) == 1 && gpuvm_nouveau_fault(device, 1, text, sizeof text) == -22);
    CHECK(gpuvm_nouveau_fault(device, 0, text, sizeof text) > 0 && strstr(text, "0xdead0000"));
    CHECK(gpuvm_nouveau_fault(device, 0, NULL, 0) == (int)strlen(text));
    CHECK(submit(file, (uint32_t)channel.channel, 4, syncobj.handle) == -19);

    gpuvm_nouveau_munmap(source.mapping);
    gpuvm_nouveau_munmap(push.mapping);
    gpuvm_nouveau_close(file);
    CHECK(target.memory[1] == 2654435761u); /* a mapping keeps its buffer */
    gpuvm_nouveau_munmap(target.mapping);
    gpuvm_nouveau_destroy(device);
}

/* What the next device is asked to record to. */
static void record(const char *folder, const char *name, const char *memory)
{
    char path[1000];

    if (!folder)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    setenv("GPUVM_RECORD", path, 1);
    setenv("GPUVM_RECORD_MEMORY", memory, 1);
}

/* Addresses that are no good are errors, wherever they stand. */
static void wild(void)
{
    static const struct nvu_getparam read_only = { .param = NVU_PARAM_CHIPSET_ID };
    const uint64_t bad[] = { 0, 8, 0xffff, 1ull << 46, 1ull << 62, ~0ull - 4 };
    struct gpuvm_nouveau_config config = { .size = sizeof config, .chipset = 0x172 };
    struct nvu_vm_init init = { .kernel_managed_addr = 1ull << 39, .kernel_managed_size = 1ull << 38 };
    struct nvu_vm_bind bind = { .op_count = 1 };
    struct gpuvm_nouveau *device;
    struct gpuvm_nouveau_file *file;

    CHECK(gpuvm_nouveau_create(&config, &device) == 0);
    CHECK(gpuvm_nouveau_open(device, "wild", &file) == 0);
    CHECK(gpuvm_nouveau_ioctl(file, NVU_VM_INIT, &init) == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(gpuvm_nouveau_ioctl(file, NVU_GEM_NEW, (void *)(uintptr_t)bad[i]) == -14);
        bind.op_ptr = bad[i];
        CHECK(gpuvm_nouveau_ioctl(file, NVU_VM_BIND, &bind) == -14);
    }
    CHECK(gpuvm_nouveau_ioctl(file, NVU_GETPARAM, (void *)(uintptr_t)&read_only) == -14);
    gpuvm_nouveau_close(file);
    gpuvm_nouveau_destroy(device);
}

/* What is beyond a config of another size is not read. */
static void short_config(void)
{
    char *pages = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t size = sizeof size;
    struct gpuvm_nouveau *device;

    CHECK(pages != MAP_FAILED && mprotect(pages + 4096, 4096, PROT_NONE) == 0);
    memcpy(pages + 4096 - size, &size, size);
    CHECK(gpuvm_nouveau_create((void *)(pages + 4096 - size), &device) == -22);
    munmap(pages, 2 * 4096);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : NULL;
    struct gpuvm_nouveau_config bad = { .size = sizeof bad, .chipset = 0x50 };
    struct gpuvm_nouveau *device = NULL;

    CHECK(gpuvm_nouveau_create(&bad, &device) == -19);
    bad.size--;
    CHECK(gpuvm_nouveau_create(&bad, &device) == -22);
    CHECK(gpuvm_nouveau_create(NULL, &device) == -22 && gpuvm_nouveau_create(&bad, NULL) == -22);
    short_config();
    wild();
    record(folder, "stepped.jsonl", "1");
    client(0x172, 0);
    record(folder, "words.jsonl.gz", "0");
    client(0x120, 0);
    record(folder, "threaded.jsonl.gz", "1");
    client(0xe4, GPUVM_NOUVEAU_THREADED);
    record(folder, "threaded-words.jsonl", "0");
    client(0x172, GPUVM_NOUVEAU_THREADED);
    puts("nouveau: passed");
}
