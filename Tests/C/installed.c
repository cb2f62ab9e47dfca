/*
 * A program of somebody who installed libgpuvm: each part of the library through the installed headers. Maps a
 * buffer of two 64 KiB pages, asks for the splits that unmapping its first page makes, reads back through the page
 * tables where an address lies, and lets a channel's copy engine move bytes from one page to the other.
 * tools/test-install compiles it against the shared and the static library.
 */
#include <gpuvm/gpuvm.h>
#include <nvengine/channel.h>
#include <nvmmu/vmm.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(x) ((x) ? (void)0 : (printf("installed.c:%d: %s\n", __LINE__, #x), exit(1)))

enum { SIZE = 0x20000, PAGE = 0x10000 };
static const uint64_t va = 0x7f0000000000, pa = 0x400000;

/* VRAM for page tables: [0, sizeof vram) of the GPU's memory, handed out from the bottom. */
static _Alignas(4096) unsigned char vram[1 << 20];
static size_t used;
/* The buffer's memory, at pa. */
static _Alignas(4096) unsigned char buffer[SIZE];

static int alloc_table(void *ctx, size_t size, size_t align, struct nvmmu_table_mem *out)
{
    (void)ctx;
    used = (used + align - 1) / align * align;
    if (used + size > sizeof vram)
        return -12; /* -ENOMEM */
    *out = (struct nvmmu_table_mem){ .addr = used, .cpu = vram + used, .aperture = NVMMU_VRAM };
    used += size;
    return 0;
}

static void free_table(void *ctx, const struct nvmmu_table_mem *mem, size_t size)
{
    (void)ctx, (void)mem, (void)size;
}

static void address_space(void)
{
    struct gpuvm_config config = { .size = sizeof config, .range = (uint64_t)1 << 47 };
    struct gpuvm_req unmap = { .addr = va, .range = PAGE, .kind = GPUVM_REQ_UNMAP };
    struct gpuvm *vm;
    struct gpuvm_ops ops;
    gpuvm_bo bo;
    gpuvm_va mapping;

    CHECK(gpuvm_create(&config, &vm) == 0);
    CHECK(gpuvm_bo_create(vm, 1, &bo) == 0);
    CHECK(gpuvm_insert(vm, va, SIZE, bo, 0, &mapping) == 0);

    gpuvm_ops_init(&ops, NULL);
    CHECK(gpuvm_sm_ops(vm, &unmap, &ops) == 1);
    CHECK(ops.op[0].kind == GPUVM_OP_REMAP && ops.op[0].va == mapping);
    CHECK(ops.op[0].prev_range == 0 && ops.op[0].next_range == SIZE - PAGE);
    CHECK(gpuvm_op_next_addr(&ops.op[0]) == va + PAGE);
    gpuvm_ops_fini(&ops);
    gpuvm_destroy(vm);
}

/* A pushbuffer at the buffer's start copies 5 bytes from behind it to the second page. */
static void engine(const struct nvmmu_space *space)
{
    static const uint16_t copy = 0xc5b5;
    const uint64_t from = va + 0x100, to = va + PAGE;
    const unsigned push[] = {
        0x20000000 | 4 << 16 | 4 << 13 | 0x400 >> 2, /* offsets in and out */
        (unsigned)(from >> 32), (unsigned)from, (unsigned)(to >> 32), (unsigned)to,
        0x80000000 | 5 << 16 | 4 << 13 | 0x418 >> 2, /* line length */
        0x80000000 | 0x182 << 16 | 4 << 13 | 0x300 >> 2, /* launch: one line, both sides pitch */
    };
    struct nvengine_config config = {
        .size = sizeof config, .memory = { .space = *space }, .host_class = 0xc46f,
        .classes = &copy, .class_count = 1, .bound = { [4] = copy },
    };
    struct nvengine_channel *channel;

    memcpy(buffer, push, sizeof push);
    memcpy(buffer + 0x100, "bytes", 5);
    CHECK(nvengine_channel_create(&config, &channel) == 0);
    CHECK(nvengine_channel_push(channel, va, sizeof push, 0) == 0);
    CHECK(nvengine_channel_run(channel) == NVENGINE_IDLE);
    CHECK(memcmp(buffer + PAGE, "bytes", 6) == 0);
    CHECK(nvengine_channel_push(channel, va + SIZE, 4, 0) == 0);
    CHECK(nvengine_channel_run(channel) == -14); /* -EFAULT */
    CHECK(nvengine_channel_fault(channel)->va == va + SIZE);
    nvengine_channel_destroy(channel);
}

static void page_tables(void)
{
    struct nvmmu_window window[2] = {
        { .size = sizeof vram, .cpu = vram, .aperture = NVMMU_VRAM },
        { .base = pa, .size = sizeof buffer, .cpu = buffer, .aperture = NVMMU_VRAM },
    };
    struct nvmmu_vmm_config config = {
        .size = sizeof config,
        .format = nvmmu_format_find("tu102"),
        .windows = window,
        .window_count = 2,
        .hooks = { .alloc_table = alloc_table, .free_table = free_table },
    };
    struct nvmmu_piece piece = { .addr = pa, .size = SIZE };
    struct nvmmu_map map = {
        .va = va, .size = SIZE, .shift = 16,
        .target = NVMMU_VRAM, .object_shift = 16,
        .pieces = &piece, .piece_count = 1,
    };
    struct nvmmu_translation at;
    struct nvmmu_space space;
    struct nvmmu_vmm *vmm;

    CHECK(nvmmu_vmm_create(&config, &vmm) == 0);
    CHECK(nvmmu_vmm_get(vmm, va, SIZE, 16) == 0);
    CHECK(nvmmu_vmm_map(vmm, &map) == 0);

    space = nvmmu_vmm_space(vmm);
    nvmmu_translate(&space, va + PAGE + 8, &at);
    CHECK(at.state == NVMMU_MAPPED && at.pa == pa + PAGE + 8 && at.shift == 16);
    nvmmu_translate(&space, va + SIZE, &at);
    CHECK(at.state == NVMMU_UNMAPPED);
    engine(&space);
    nvmmu_vmm_destroy(vmm);
}

int main(void)
{
    CHECK(gpuvm_version() == GPUVM_VERSION);
    address_space();
    page_tables();
    puts("installed: passed");
    return 0;
}
