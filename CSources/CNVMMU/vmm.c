/*
 * One address space: making it, batches and their flush, and a look inside.
 *
 * Flushes: whatever changes entries says so with nvmmu__changed(); the end of the outermost batch gives one flush for
 * all of it and only then frees the tables that were unlinked. Locking is the caller's (vmm.h).
 */
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include "vmm_private.h"

/* Ends what TLBs remember; then retired tables may go. */
static void flush(struct nvmmu_vmm *vmm, const struct nvmmu_flush *what)
{
    struct nvmmu_flush fl = *what;

    fl.root = address_of(root_of(vmm));
    fl.root_aperture = root_of(vmm)->page->mem.aperture;
    fl.bar = vmm->bar;
    if (vmm->hooks.flush)
        vmm->hooks.flush(vmm->hooks.ctx, &fl);
    nvmmu__retired_free(vmm);
}

/* ---- making ----------------------------------------------------------------------------------------------- */

static void shape_init(struct nvmmu_vmm *vmm, unsigned depth)
{
    const struct nvmmu_format *f = vmm->format;
    struct shape *sh = &vmm->shape[depth];
    bool leaf = depth == vmm->depths - 1;
    uint16_t at = 0;

    sh->tables = leaf ? 2 : 1;
    sh->words = f->gart ? 0 : f->level[depth].entry_bytes / 8;
    sh->pages = f->page_levels >> f->level[depth].level & 1;
    if (leaf) {
        sh->group = f->level[depth].shift - f->level[depth + 1].shift;
        sh->shadowed = at;
        at += BITS_WORDS(nvmmu__entries(&f->level[depth]));
        sh->holds = at;
        at += BITS_WORDS(nvmmu__entries(&f->level[depth]));
    }
    for (unsigned h = 0; h < sh->tables; h++) {
        sh->level[h] = &f->level[depth + h];
        sh->entries[h] = (uint32_t)nvmmu__entries(sh->level[h]);
        sh->table_bytes[h] = (uint32_t)nvmmu__table_bytes(sh->level[h]);
        sh->small[h] = sh->level[h]->table_align < TABLE_PAGE;
        sh->blank[h] = leaf && h == LPT ? f->hidden : 0;
        sh->refs[h] = at;
        at += BITS_WORDS(sh->entries[h]);
        sh->sparse[h] = at;
        at += BITS_WORDS(sh->entries[h]);
        if (f->pfn_levels & 1u << sh->level[h]->level) {
            sh->pfn[h] = at;
            at += BITS_WORDS(sh->entries[h]);
        }
    }
    sh->covers = (uint64_t)sh->entries[0] << sh->level[0]->shift;
    sh->bytes = (uint32_t)(sizeof(struct table) + at * sizeof(uint64_t) +
                           (leaf ? 0 : sh->entries[0] * sizeof(struct table *)));
}

static void pages_init(struct nvmmu_vmm *vmm)
{
    for (unsigned i = 0; i < vmm->format->page_count; i++) {
        const struct nvmmu_page_size *page = &vmm->format->page[i];
        unsigned depth, h;

        if (nvmmu__place(vmm, page->shift, &depth, &h))
            vmm->pages_of[page->shift] = (struct pages_of){(uint8_t)depth, (uint8_t)h, page->flags};
    }
}

static int windows_copy(struct nvmmu_vmm *vmm, const struct nvmmu_vmm_config *config)
{
    size_t bytes = config->window_count * sizeof(*config->windows);

    if (!bytes)
        return 0;
    vmm->windows = gpuvm_mem_alloc(&vmm->alloc, bytes, alignof(struct nvmmu_window));
    if (!vmm->windows)
        return -ENOMEM;
    memcpy(vmm->windows, config->windows, bytes);
    vmm->window_count = config->window_count;
    return 0;
}

static bool config_valid(const struct nvmmu_vmm_config *c)
{
    uint64_t limit;

    if (c->size != sizeof(*c) || !c->format || !c->hooks.alloc_table || !c->hooks.free_table)
        return false;
    limit = 1ull << c->format->va_bits;
    if (c->limit > limit || (c->limit ? c->start >= c->limit : c->start))
        return false;
    return c->kernel_addr <= limit && c->kernel_size <= limit - c->kernel_addr;
}

int nvmmu_vmm_create(const struct nvmmu_vmm_config *config, struct nvmmu_vmm **out)
{
    struct nvmmu_vmm *vmm;
    int ret;

    if (!config_valid(config))
        return -EINVAL;
    vmm = gpuvm_mem_alloc(&config->alloc, sizeof(*vmm), alignof(struct nvmmu_vmm));
    if (!vmm)
        return -ENOMEM;
    *vmm = (struct nvmmu_vmm){
        .format = config->format,
        .stores = nvmmu__stores_choose(),
        .hooks = config->hooks,
        .alloc = config->alloc,
        .kernel_addr = config->kernel_addr,
        .kernel_end = config->kernel_addr + config->kernel_size,
        .start = config->start,
        .limit = config->limit ? config->limit : 1ull << config->format->va_bits,
        .stolen = config->stolen,
        .dummy = config->dummy,
        .gsp_rm = config->gsp_rm,
        .keep_large = config->keep_large,
        .depths = config->format->level_count - 1u,
    };
    vmm->retired_end = &vmm->retired;
    for (unsigned depth = 0; depth < vmm->depths; depth++)
        shape_init(vmm, depth);
    pages_init(vmm);

    ret = windows_copy(vmm, config);
    if (!ret)
        ret = nvmmu__root_create(vmm);
    if (ret) {
        nvmmu_vmm_destroy(vmm);
        return ret;
    }
    *out = vmm;
    return 0;
}

void nvmmu_vmm_destroy(struct nvmmu_vmm *vmm)
{
    struct gpuvm_alloc alloc;

    if (!vmm)
        return;
    if (vmm->root && root_of(vmm)->cpu)
        flush(vmm, &(struct nvmmu_flush){.size = vmm->limit});
    alloc = vmm->alloc;
    nvmmu__tables_destroy(vmm);
    gpuvm_mem_free(&alloc, vmm->directories, vmm->directory_room * sizeof(*vmm->directories));
    gpuvm_mem_free(&alloc, vmm->sparse, vmm->sparse_room * sizeof(*vmm->sparse));
    gpuvm_mem_free(&alloc, vmm->windows, vmm->window_count * sizeof(*vmm->windows));
    gpuvm_mem_free(&alloc, vmm, sizeof(*vmm));
}

struct nvmmu_space nvmmu_vmm_space(const struct nvmmu_vmm *vmm)
{
    return (struct nvmmu_space){
        .format = vmm->format,
        .windows = vmm->windows,
        .window_count = vmm->window_count,
        .root = address_of(root_of(vmm)),
        .root_aperture = root_of(vmm)->page->mem.aperture,
    };
}

/* ---- batches ---------------------------------------------------------------------------------------------- */

void nvmmu__changed_elsewhere(struct nvmmu_vmm *vmm, unsigned depth, uint64_t va, uint64_t size)
{
    struct nvmmu_flush *fl = &vmm->flush;

    if (!vmm->changed) {
        *fl = (struct nvmmu_flush){.depth = (uint8_t)depth, .va = va, .size = size};
        vmm->changed = true;
        return;
    }
    if (depth < fl->depth)
        fl->depth = (uint8_t)depth;
    if (va + size > fl->va + fl->size)
        fl->size = va + size - fl->va;
    if (va < fl->va) {
        fl->size += fl->va - va;
        fl->va = va;
    }
}

void nvmmu_vmm_begin(struct nvmmu_vmm *vmm)
{
    vmm->batch++;
}

void nvmmu_vmm_end(struct nvmmu_vmm *vmm)
{
    if (--vmm->batch || !vmm->changed)
        return;
    vmm->changed = false;
    flush(vmm, &vmm->flush);
}

void nvmmu_vmm_set_bar(struct nvmmu_vmm *vmm, bool bar)
{
    vmm->bar = bar;
}

void nvmmu_vmm_flush(struct nvmmu_vmm *vmm, unsigned depth)
{
    nvmmu_vmm_begin(vmm);
    nvmmu__changed(vmm, depth, 0, vmm->limit);
    nvmmu_vmm_end(vmm);
}

/* ---- looking inside --------------------------------------------------------------------------------------- */

static int visit_tables(const struct nvmmu_vmm *vmm, const struct table *t,
                        int (*visit)(void *ctx, const struct nvmmu_table_info *), void *ctx)
{
    const struct shape *sh = shape_of(vmm, t);
    int ret = 0;

    for (unsigned h = 0; h < sh->tables && !ret; h++) {
        if (!t->hw[h].cpu)
            continue;
        ret = visit(ctx, &(struct nvmmu_table_info){
                             .level = sh->level[h]->level,
                             .va = t->va,
                             .addr = address_of(&t->hw[h]),
                             .aperture = t->hw[h].page->mem.aperture,
                             .entries = sh->entries[h],
                             .cpu = (const char *)t->hw[h].cpu + sh->level[h]->table_header,
                         });
    }
    for (uint32_t i = 0; t->child && i < sh->entries[0] && !ret; i++)
        if (t->child[i])
            ret = visit_tables(vmm, t->child[i], visit, ctx);
    return ret;
}

int nvmmu_vmm_tables(const struct nvmmu_vmm *vmm, int (*visit)(void *ctx, const struct nvmmu_table_info *), void *ctx)
{
    return visit_tables(vmm, vmm->root, visit, ctx);
}

static int visit_counters(const struct nvmmu_vmm *vmm, const struct table *t,
                          int (*visit)(void *ctx, const struct nvmmu_counters *), void *ctx)
{
    int ret = visit(ctx, &(struct nvmmu_counters){
                             .depth_from_leaf = vmm->depths - 1 - t->depth,
                             .va = t->va,
                             .refs = {t->refs[0], t->refs[1]},
                             .sparse = t->sparse,
                         });

    for (uint32_t i = 0; t->child && i < shape_of(vmm, t)->entries[0] && !ret; i++)
        if (t->child[i])
            ret = visit_counters(vmm, t->child[i], visit, ctx);
    return ret;
}

int nvmmu_vmm_counters(const struct nvmmu_vmm *vmm, int (*visit)(void *ctx, const struct nvmmu_counters *), void *ctx)
{
    return visit_counters(vmm, vmm->root, visit, ctx);
}
