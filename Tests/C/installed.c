/*
 * A program of somebody who installed libgpuvm: both halves of the library through the installed headers. Maps a
 * buffer of two 64 KiB pages, asks for the splits that unmapping its first page makes, and reads back through the
 * page tables where an address lies. tools/test-install compiles it against the shared and the static library.
 */
#include <gpuvm/gpuvm.h>
#include <nvmmu/vmm.h>

#include <stdio.h>
#include <stdlib.h>

#define CHECK(x) ((x) ? (void)0 : (printf("installed.c:%d: %s\n", __LINE__, #x), exit(1)))

enum { SIZE = 0x20000, PAGE = 0x10000 };
static const uint64_t va = 0x7f0000000000, pa = 0x400000;

/* VRAM for page tables: [0, sizeof vram) of the GPU's memory, handed out from the bottom. */
static _Alignas(4096) unsigned char vram[1 << 20];
static size_t used;

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

static void page_tables(void)
{
    struct nvmmu_window window = { .size = sizeof vram, .cpu = vram, .aperture = NVMMU_VRAM };
    struct nvmmu_vmm_config config = {
        .size = sizeof config,
        .format = nvmmu_format_find("tu102"),
        .windows = &window,
        .window_count = 1,
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
