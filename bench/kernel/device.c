/*
 * The device around nouveau's MMU: registers that are always ready, memory for page tables, and a switch that hangs
 * all of it on a card. Nothing that a plain map does not reach is here: never.c has its names.
 */
#include "device.h"

#include <core/mm.h>
#include <core/option.h>
#include <mmu/priv.h>
#include <subdev/bar.h>
#include <subdev/fb.h>
#include <subdev/timer.h>

#include <sys/mman.h>

/* ---- registers ---- */

unsigned long bench_flushes;

u32 bench_register_read(const void *offset)
{
    return (uintptr_t)offset == 0x100c80 ? 0x00ff8000 : 0; /* room in the flush queue, flush queued; not busy */
}

void bench_register_write(u32 value, const void *offset)
{
    switch ((uintptr_t)offset) {
    case 0x100cbc: /* Fermi to Volta */
    case 0xb830b0: /* Turing and later */
        bench_flushes += value >> 31;
        break;
    case 0x100c80: /* Tesla */
        bench_flushes += value & 1;
        break;
    }
}

void nvkm_timer_wait_init(struct nvkm_device *device, u64 ns, struct nvkm_timer_wait *w)
{
    (void)device, (void)ns, (void)w;
}

s64 nvkm_timer_wait_test(struct nvkm_timer_wait *w)
{
    (void)w;
    abort(); /* registers are ready at the first look */
}

/* ---- memory for tables: a window of VRAM, free blocks by size ---- */

struct block {
    struct nvkm_memory memory;
    struct bench_device *device;
    struct block *next;
    char *map;
    u64 addr, size;
    unsigned order;
};

static struct block *block_of(struct nvkm_memory *m)
{
    return container_of(m, struct block, memory);
}

static enum nvkm_memory_target block_target(struct nvkm_memory *m)
{
    (void)m;
    return NVKM_MEM_TARGET_VRAM;
}
static u8 block_page(struct nvkm_memory *m) { return (void)m, 12; }
static u64 block_addr(struct nvkm_memory *m) { return block_of(m)->addr; }
static u64 block_size(struct nvkm_memory *m) { return block_of(m)->size; }
static void *block_acquire(struct nvkm_memory *m) { return block_of(m)->map; }
static void block_release(struct nvkm_memory *m) { (void)m; }
static u32 block_read(struct nvkm_memory *m, u64 at) { return READ_ONCE(*(u32 *)(void *)(block_of(m)->map + at)); }
static void block_write(struct nvkm_memory *m, u64 at, u32 v) { WRITE_ONCE(*(u32 *)(void *)(block_of(m)->map + at), v); }

static const struct nvkm_memory_func block_func = {
    .target = block_target, .page = block_page, .addr = block_addr, .size = block_size,
    .acquire = block_acquire, .release = block_release,
};
static const struct nvkm_memory_ptrs block_ptrs = {block_read, block_write};

int nvkm_memory_new(struct nvkm_device *device, enum nvkm_memory_target target, u64 size, u32 align, bool zero,
                    struct nvkm_memory **out)
{
    struct bench_device *d = container_of(device, struct bench_device, device);
    u64 whole = max(max(size, (u64)align), (u64)0x1000);
    unsigned order = (unsigned)order_base_2(whole);
    struct block *b = d->blocks[order];

    (void)target;
    if (b) {
        d->blocks[order] = b->next;
    } else {
        u64 at = ALIGN(d->used, 1ull << order);

        if (at + (1ull << order) > BENCH_VRAM)
            return -ENOMEM;
        d->used = at + (1ull << order);
        b = kzalloc_obj(*b);
        b->memory.func = &block_func;
        b->memory.ptrs = &block_ptrs;
        b->device = d;
        b->addr = at;
        b->map = d->vram + at;
        b->order = order;
    }
    kref_init(&b->memory.kref);
    b->size = size;
    if (zero)
        memset(b->map, 0, size);
    *out = &b->memory;
    return 0;
}

struct nvkm_memory *nvkm_memory_ref(struct nvkm_memory *m)
{
    if (m)
        kref_get(&m->kref);
    return m;
}

/* Only tables' memory ends here; what is mapped belongs to its maker, who keeps a reference. */
void nvkm_memory_unref(struct nvkm_memory **pm)
{
    struct nvkm_memory *m = *pm;

    *pm = NULL;
    if (m && refcount_dec_and_test(&m->kref.refcount)) {
        struct block *b = block_of(m);
        struct bench_device *d = b->device;

        b->next = d->blocks[b->order];
        d->blocks[b->order] = b;
    }
}

/* Nothing is compressed. */
int nvkm_memory_tags_get(struct nvkm_memory *m, struct nvkm_device *device, u32 n, void (*clear)(struct nvkm_device *, u32, u32),
                         struct nvkm_tags **tags)
{
    (void)m, (void)device, (void)n, (void)clear, (void)tags;
    return -ENOSYS;
}

void nvkm_memory_tags_put(struct nvkm_memory *m, struct nvkm_device *device, struct nvkm_tags **tags)
{
    (void)m, (void)device, (void)tags;
}

/* ---- the card ---- */

bool nvkm_boolopt(const char *options, const char *name, bool value)
{
    (void)options, (void)name;
    return value;
}

void __nvkm_subdev_ctor(const struct nvkm_subdev_func *func, struct nvkm_device *device, enum nvkm_subdev_type type,
                        int inst, struct nvkm_subdev *s)
{
    s->func = func;
    s->device = device;
    s->type = type;
    s->inst = inst;
}

/* Hopper's MMU comes with GSP firmware, beside which the tables are written all the same. */
int r535_mmu_new(const struct nvkm_mmu_func *func, struct nvkm_device *device, enum nvkm_subdev_type type, int inst,
                 struct nvkm_mmu **out)
{
    return nvkm_mmu_new_(func, device, type, inst, out);
}

struct bench_device *bench_device_new(unsigned card_type, unsigned big_page)
{
    struct bench_device *d = calloc(1, sizeof *d);

    d->device.card_type = card_type;
    d->device.fb = &d->fb;
    d->fb.page = (u8)big_page;
    d->fb.ram = &d->ram;
    d->vram = aligned_alloc(2 << 20, BENCH_VRAM);
    if (!d->vram)
        abort();
    madvise(d->vram, BENCH_VRAM, MADV_HUGEPAGE);
    return d;
}

void bench_device_delete(struct bench_device *d)
{
    free(d->vram);
    free(d);
}
