/* nouveau's own MMU, by the raw operations that VM_BIND uses (nvkm_uvmm_mthd_raw_*). */
#include "../kernel/device.h"
#include "../mmu.h"

#include <core/mm.h>
#include <mmu/priv.h>
#include <mmu/vmm.h>
#include <nvif/if500d.h>
#include <nvif/if900d.h>
#include <nvif/ifb00d.h>

struct mmu_space {
    const struct nvmmu_format *format;
    struct bench_device *device;
    struct nvkm_mmu *mmu;
    struct nvkm_vmm *vmm;
    struct nvkm_memory *inst; /* Tesla: holds the root directory */
    struct nvmmu_window window;
    const struct nvmmu_piece *pieces; /* what `nodes` were made of */
    size_t piece_count, node_room;
    struct nvkm_mm_node *nodes;
};

/* The object of a map. */
struct object {
    struct nvkm_memory memory;
    enum nvkm_memory_target target;
    u8 page;
    u64 size;
};

static enum nvkm_memory_target object_target(struct nvkm_memory *m) { return container_of(m, struct object, memory)->target; }
static u8 object_page(struct nvkm_memory *m) { return container_of(m, struct object, memory)->page; }
static u64 object_size(struct nvkm_memory *m) { return container_of(m, struct object, memory)->size; }
static const struct nvkm_memory_func object_func = {.target = object_target, .page = object_page, .size = object_size};

static const struct class {
    const char *name;
    int (*mmu)(struct nvkm_device *, enum nvkm_subdev_type, int, struct nvkm_mmu **);
    unsigned card_type, fb_page, big_page; /* fb_page: of the card; big_page: asked for */
} classes[] = {
    {"nv50", nv50_mmu_new, NV_50, 0, 0},       {"g84", g84_mmu_new, NV_50, 0, 0},
    {"gf100", gf100_mmu_new, NV_C0, 17, 0},    {"gf100-64k", gf100_mmu_new, NV_C0, 16, 0},
    {"gk104", gk104_mmu_new, NV_E0, 17, 0},    {"gk104-64k", gk104_mmu_new, NV_E0, 16, 0},
    {"gm200", gm200_mmu_new, GM100, 0, 17},    {"gm200-64k", gm200_mmu_new, GM100, 0, 16},
    {"gp100", gp100_mmu_new, GP100, 0, 0},     {"gv100", gv100_mmu_new, GV100, 0, 0},
    {"tu102", tu102_mmu_new, TU100, 0, 0},     {"gh100", gh100_mmu_new, GH100, 0, 0},
};

static int new_vmm(struct mmu_space *s, const struct class *c)
{
    struct gm200_vmm_v0 args = {.bigpage = (u8)c->big_page};

    return s->mmu->func->vmm.ctor(s->mmu, true, 0, 0, c->big_page ? &args : NULL, c->big_page ? sizeof args : 0, NULL,
                                  "bench", &s->vmm);
}

static struct mmu_space *kernel_open(const char *format)
{
    struct mmu_space *s = calloc(1, sizeof *s);
    const struct class *c = classes;

    while (strcmp(c->name, format))
        if (++c == classes + ARRAY_SIZE(classes))
            return NULL;
    s->format = nvmmu_format_find(format);
    s->device = bench_device_new(c->card_type, c->fb_page);
    s->window = (struct nvmmu_window){0, MMU_TABLES, s->device->vram, NVMMU_VRAM};
    if (c->mmu(&s->device->device, NVKM_SUBDEV_MMU, 0, &s->mmu) || new_vmm(s, c))
        abort();
    s->vmm->managed.raw = true;
    if (s->mmu->func->vmm.pd_offset) {
        if (nvkm_memory_new(&s->device->device, NVKM_MEM_TARGET_INST, 0x8000, 0x1000, true, &s->inst) ||
            nvkm_vmm_join(s->vmm, s->inst))
            abort();
        atomic_inc(&s->vmm->engref[NVKM_ENGINE_GR]); /* Tesla flushes for engines that use the space */
    }
    return s;
}

static void kernel_close(struct mmu_space *s)
{
    nvkm_vmm_part(s->vmm, s->inst);
    nvkm_memory_unref(&s->inst);
    nvkm_vmm_unref(&s->vmm);
    nvkm_mmu_ptc_dump(s->mmu);
    kfree(s->mmu);
    bench_device_delete(s->device);
    free(s->nodes);
    free(s);
}

/* nvkm_uvmm's checks: a page size of the class, whole pages, the client's part of the space. */
static int page_index(struct mmu_space *s, u64 va, u64 size, unsigned shift)
{
    const struct nvkm_vmm_page *page = s->vmm->func->page;

    if (!nvkm_vmm_in_managed_range(s->vmm, va, size))
        return -EINVAL;
    while (page->shift && page->shift != shift)
        page++;
    return page->shift && IS_ALIGNED(size, 1ull << shift) ? (int)(page - s->vmm->func->page) : -EINVAL;
}

static int kernel_get(struct mmu_space *s, uint64_t va, uint64_t size, unsigned shift)
{
    int page = page_index(s, va, size, shift);

    return page < 0 ? page : nvkm_vmm_raw_get(s->vmm, va, size, (u8)page);
}

static int kernel_put(struct mmu_space *s, uint64_t va, uint64_t size, unsigned shift)
{
    int page = page_index(s, va, size, shift);

    if (page >= 0)
        nvkm_vmm_raw_put(s->vmm, va, size, (u8)page);
    return page < 0 ? page : 0;
}

static int kernel_unmap(struct mmu_space *s, uint64_t va, uint64_t size, unsigned shift, bool sparse)
{
    int page = page_index(s, va, size, shift);

    if (page >= 0)
        nvkm_vmm_raw_unmap(s->vmm, va, size, sparse, (u8)page);
    return page < 0 ? page : 0;
}

static int kernel_sparse(struct mmu_space *s, uint64_t va, uint64_t size, bool ref)
{
    return nvkm_vmm_in_managed_range(s->vmm, va, size) ? nvkm_vmm_raw_sparse(s->vmm, va, size, ref) : -EINVAL;
}

/* nouveau's list of pieces, which a driver has at hand; a long one is made once for an array. */
static struct nvkm_mm_node *nodes(struct mmu_space *s, const struct nvmmu_map *m)
{
    /* Tesla's VRAM has an order over the banks; nothing else in nouveau comes as pieces there. */
    u8 type = (u8)(m->target != NVMMU_VRAM ? nvmmu_kind_storage(s->format, m->kind) : m->storage ? m->storage : 1);

    if (s->pieces == m->pieces && s->piece_count == m->piece_count && m->piece_count > MMU_PIECES_FEW)
        return s->nodes;
    s->pieces = m->pieces;
    s->piece_count = m->piece_count;
    if (s->node_room < m->piece_count) {
        s->node_room = m->piece_count;
        s->nodes = realloc(s->nodes, s->node_room * sizeof *s->nodes);
    }
    for (size_t i = 0; i < m->piece_count; i++)
        s->nodes[i] = (struct nvkm_mm_node){
            .next = i + 1 < m->piece_count ? &s->nodes[i + 1] : NULL, .type = type,
            .offset = (u32)(m->pieces[i].addr >> 12), .length = (u32)(m->pieces[i].size >> 12),
        };
    return s->nodes;
}

static u64 object_bytes(const struct nvmmu_map *m)
{
    u64 size = m->page_count << 12;

    for (size_t i = 0; i < m->piece_count; i++)
        size += m->pieces[i].size;
    return size;
}

/* Fills the arguments of the class; their size. */
static u32 arguments(struct mmu_space *s, const struct nvmmu_map *m, void *out)
{
    if (m->defaults)
        return 0;
    if (s->inst) {
        *(struct nv50_vmm_map_v0 *)out =
            (struct nv50_vmm_map_v0){.ro = m->ro, .priv = m->priv, .kind = (u8)m->kind, .comp = m->comp};
        return sizeof(struct nv50_vmm_map_v0);
    }
    /* Fermi's has the fields that the later ones have. */
    *(struct gf100_vmm_map_v0 *)out =
        (struct gf100_vmm_map_v0){.vol = m->vol, .ro = m->ro, .priv = m->priv, .kind = (u8)m->kind};
    return sizeof(struct gf100_vmm_map_v0);
}

static int kernel_map(struct mmu_space *s, const struct nvmmu_map *m)
{
    int page = page_index(s, m->va, m->size, m->shift), ret;
    struct object object = {
        .memory = {.func = &object_func, .kref = {{1}}}, .page = m->object_shift, .size = object_bytes(m),
        .target = m->target == NVMMU_VRAM   ? NVKM_MEM_TARGET_VRAM
                  : m->target == NVMMU_HOST ? NVKM_MEM_TARGET_HOST
                                            : NVKM_MEM_TARGET_NCOH,
    };
    struct nvkm_vma vma = {
        .addr = m->va, .size = m->size, .used = true, .no_comp = true, .page = (u8)page, .refd = (u8)page,
    };
    struct nvkm_vmm_map map = {
        .memory = &object.memory, .offset = m->offset, .mem = m->pieces ? nodes(s, m) : NULL,
        .dma = (dma_addr_t *)(uintptr_t)m->pages,
    };
    u64 args[4];
    u32 size = arguments(s, m, args);

    if (page < 0)
        return page;
    ret = nvkm_vmm_map(s->vmm, &vma, size ? args : NULL, size, &map);
    nvkm_memory_unref(&vma.memory);
    return ret;
}

static void nothing(struct mmu_space *s)
{
    (void)s;
}

static struct nvmmu_space kernel_walk(struct mmu_space *s)
{
    u64 root = s->inst ? nvkm_memory_addr(s->inst) + s->mmu->func->vmm.pd_offset : s->vmm->pd->pt[0]->addr;

    return (struct nvmmu_space){s->format, &s->window, 1, root, NVMMU_VRAM};
}

static unsigned long kernel_flushes(void)
{
    return bench_flushes;
}

const struct mmu_peer mmu_kernel = {
    .name = "kernel", .open = kernel_open, .close = kernel_close, .get = kernel_get, .put = kernel_put,
    .map = kernel_map, .unmap = kernel_unmap, .sparse = kernel_sparse, .begin = nothing, .end = nothing,
    .walk = kernel_walk, .flushes = kernel_flushes,
};
